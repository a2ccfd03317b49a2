//! Why a command is refused, in words for people and codes for programs.
//!
//! Every refusal has a stable code, a kind from which the interfaces derive their status, and the
//! next step to take.

use std::fmt;

use super::id::{LineId, LotId, MachineId, OrderId, ProductId, ReasonId};
use super::notice::ConditionRefusal;
use super::order::{JobCommand, JobState, allowed_commands};
use super::shift::NoteRefusal;

/// A refused command; nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// No machine of that key is configured.
    UnknownMachine(MachineId),
    /// No line of that key is configured.
    UnknownLine(LineId),
    /// No product of that key is configured.
    UnknownProduct(ProductId),
    /// No reason of that key is configured.
    UnknownReason(ReasonId),
    /// No such order is stored.
    UnknownOrder(OrderId),
    /// The command is not allowed in the order's state.
    IllegalCommand {
        /// The order.
        order: OrderId,
        /// Its state.
        state: JobState,
        /// What was asked.
        command: JobCommand,
    },
    /// The line already makes another order.
    LineBusy {
        /// The line.
        line: LineId,
        /// The order that runs on it.
        running: OrderId,
    },
    /// The same revision was sent with other content.
    RevisionConflict {
        /// The order.
        order: OrderId,
        /// The revision.
        revision: u64,
    },
    /// Line, product or lot of an order that has begun cannot change.
    OrderHasBegun {
        /// The order.
        order: OrderId,
        /// Its state.
        state: JobState,
    },
    /// The order quantity must be above zero.
    QuantityNotPositive(OrderId),
    /// Nothing can be reported on the order in its state.
    ReportNotAllowed {
        /// The order.
        order: OrderId,
        /// Its state.
        state: JobState,
    },
    /// Neither good nor scrapped parts were reported.
    NothingReported(OrderId),
    /// Good parts of the line are counted by a machine.
    GoodIsCounted {
        /// The line.
        line: LineId,
        /// The machine that counts them.
        machine: MachineId,
    },
    /// More scrap was reported than good parts have been counted.
    ScrapExceedsGood {
        /// The order.
        order: OrderId,
        /// Good parts so far.
        good: i64,
    },
    /// The machine did not stand still at that time.
    NoStopThere(MachineId),
    /// The reason may not be given to a stop of that time.
    ReasonNotInUse(ReasonId),
    /// The instant lies outside the stop that was to be cut, or at its start.
    SplitOutsideStop(MachineId),
    /// Of the stops to be made one, the last lies before the first, or both are the same.
    NothingToMerge(MachineId),
    /// The window is empty, ends after now, or begins before anything is known of the machine.
    ImpossibleWindow(MachineId),
    /// No such stop was stated.
    NoStatedStop(MachineId),
    /// There is no gap in that time.
    NoGapThere(MachineId),
    /// The time belongs to a shift that is closed; only who may correct may change it.
    ShiftClosed(LineId),
    /// The ideal cycle of an order must be longer than nothing.
    IdealCycleNotPositive(OrderId),
    /// A lot cannot be made from itself.
    LotFromItself(LotId),
    /// The time lies before something that has already happened to the order.
    OutOfOrder(OrderId),
    /// A note about a shift of a line cannot be kept.
    Note(LineId, NoteRefusal),
    /// Something cannot be done about a condition of a machine.
    Condition(MachineId, ConditionRefusal),
}

/// What a refusal means to a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RejectionKind {
    /// The thing does not exist.
    NotFound,
    /// It exists, but its state does not allow the command.
    Conflict,
    /// The command makes no sense in itself.
    Invalid,
}

impl Rejection {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::UnknownMachine(_) => "mes.machine.unknown",
            Rejection::UnknownLine(_) => "mes.line.unknown",
            Rejection::UnknownProduct(_) => "mes.product.unknown",
            Rejection::UnknownReason(_) => "mes.reason.unknown",
            Rejection::UnknownOrder(_) => "mes.order.unknown",
            Rejection::IllegalCommand { .. } => "mes.order.illegal_command",
            Rejection::LineBusy { .. } => "mes.line.busy",
            Rejection::RevisionConflict { .. } => "mes.order.revision_conflict",
            Rejection::OrderHasBegun { .. } => "mes.order.has_begun",
            Rejection::QuantityNotPositive(_) => "mes.order.quantity_not_positive",
            Rejection::ReportNotAllowed { .. } => "mes.report.not_allowed",
            Rejection::NothingReported(_) => "mes.report.empty",
            Rejection::GoodIsCounted { .. } => "mes.report.good_is_counted",
            Rejection::ScrapExceedsGood { .. } => "mes.report.scrap_exceeds_good",
            Rejection::NoStopThere(_) => "mes.stop.unknown",
            Rejection::ReasonNotInUse(_) => "mes.reason.not_in_use",
            Rejection::SplitOutsideStop(_) => "mes.stop.split_outside",
            Rejection::NothingToMerge(_) => "mes.stop.nothing_to_merge",
            Rejection::ImpossibleWindow(_) => "mes.stop.impossible_window",
            Rejection::NoStatedStop(_) => "mes.stop.not_stated",
            Rejection::NoGapThere(_) => "mes.gap.unknown",
            Rejection::ShiftClosed(_) => "mes.shift.closed",
            Rejection::IdealCycleNotPositive(_) => "mes.order.ideal_cycle_not_positive",
            Rejection::LotFromItself(_) => "mes.lot.from_itself",
            Rejection::OutOfOrder(_) => "mes.order.out_of_order",
            Rejection::Note(_, refusal) => refusal.texts().0,
            Rejection::Condition(_, refusal) => refusal.texts().0,
        }
    }

    /// What it means to a caller.
    pub fn kind(&self) -> RejectionKind {
        match self {
            Rejection::Condition(_, refusal) => refusal.kind(),
            Rejection::UnknownMachine(_)
            | Rejection::UnknownOrder(_)
            | Rejection::NoStopThere(_)
            | Rejection::NoStatedStop(_)
            | Rejection::Note(_, NoteRefusal::NoShift)
            | Rejection::NoGapThere(_) => RejectionKind::NotFound,
            Rejection::UnknownLine(_)
            | Rejection::UnknownProduct(_)
            | Rejection::UnknownReason(_)
            | Rejection::QuantityNotPositive(_)
            | Rejection::NothingReported(_)
            | Rejection::ReasonNotInUse(_)
            | Rejection::SplitOutsideStop(_)
            | Rejection::NothingToMerge(_)
            | Rejection::ImpossibleWindow(_)
            | Rejection::IdealCycleNotPositive(_)
            | Rejection::Note(_, NoteRefusal::Length)
            | Rejection::LotFromItself(_) => RejectionKind::Invalid,
            Rejection::IllegalCommand { .. }
            | Rejection::LineBusy { .. }
            | Rejection::RevisionConflict { .. }
            | Rejection::OrderHasBegun { .. }
            | Rejection::ReportNotAllowed { .. }
            | Rejection::GoodIsCounted { .. }
            | Rejection::ScrapExceedsGood { .. }
            | Rejection::ShiftClosed(_)
            | Rejection::OutOfOrder(_) => RejectionKind::Conflict,
        }
    }

    /// What the caller can do.
    pub fn next_step(&self) -> String {
        match self {
            Rejection::UnknownMachine(_)
            | Rejection::UnknownLine(_)
            | Rejection::UnknownProduct(_)
            | Rejection::UnknownReason(_) => {
                "use a key from the configuration or add it there".into()
            }
            Rejection::UnknownOrder(_) => "store the order first with PUT /v1/orders/{id}".into(),
            Rejection::IllegalCommand { state, .. } => match allowed_commands(*state).as_slice() {
                [] => "nothing more can be done with this order".into(),
                allowed => {
                    let words: Vec<_> = allowed.iter().map(|c| c.as_str()).collect();
                    format!("allowed now: {}", words.join(", "))
                }
            },
            Rejection::LineBusy { running, .. } => {
                format!("pause or complete order {running} first")
            }
            Rejection::RevisionConflict { .. } => "send the change with a higher revision".into(),
            Rejection::OrderHasBegun { .. } => {
                "only quantity, due time and priority can change now; abort it to make it elsewhere"
                    .into()
            }
            Rejection::QuantityNotPositive(_) => "send a quantity above zero".into(),
            Rejection::ReportNotAllowed { .. } => "report on an order that has been started".into(),
            Rejection::NothingReported(_) => "give good or scrap above zero".into(),
            Rejection::GoodIsCounted { .. } => {
                "report scrap only; it is taken from the counted good parts".into()
            }
            Rejection::ScrapExceedsGood { .. } => "check the number of scrapped parts".into(),
            Rejection::NoStopThere(_) => "take the start of a stop from GET /v1/stops".into(),
            Rejection::ReasonNotInUse(_) => {
                "choose a reason whose dates include the stop, or change them in the configuration"
                    .into()
            }
            Rejection::SplitOutsideStop(_) => {
                "give an instant after the start of the stop and before its end".into()
            }
            Rejection::NothingToMerge(_) => {
                "give instants inside two different stops, the earlier one first".into()
            }
            Rejection::ImpossibleWindow(_) => {
                "give a start after the machine was first seen and an end after it, not in the \
                 future and within 31 days"
                    .into()
            }
            Rejection::NoStatedStop(_) => {
                "take the start of a stop with origin `stated` from GET /v1/stops".into()
            }
            Rejection::NoGapThere(_) => "take a time of class no_data from GET /v1/timeline".into(),
            Rejection::ShiftClosed(_) => "ask a supervisor to make the correction".into(),
            Rejection::IdealCycleNotPositive(_) => {
                "send an ideal cycle above zero, or none to use that of the product".into()
            }
            Rejection::LotFromItself(_) => "give the lot of the material that went in".into(),
            Rejection::OutOfOrder(_) => "give a later time or none".into(),
            Rejection::Note(_, refusal) => refusal.texts().2.into(),
            Rejection::Condition(_, refusal) => refusal.texts().2.into(),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::UnknownMachine(id) => write!(out, "no machine {id} is configured"),
            Rejection::UnknownLine(id) => write!(out, "no line {id} is configured"),
            Rejection::UnknownProduct(id) => write!(out, "no product {id} is configured"),
            Rejection::UnknownReason(id) => write!(out, "no reason {id} is configured"),
            Rejection::UnknownOrder(id) => write!(out, "no order {id} is stored"),
            Rejection::IllegalCommand { order, state, command } => {
                write!(out, "order {order} is {state} and cannot {}", command.as_str())
            }
            Rejection::LineBusy { line, running } => {
                write!(out, "line {line} is making order {running}")
            }
            Rejection::RevisionConflict { order, revision } => write!(
                out,
                "revision {revision} of order {order} was sent before with other content"
            ),
            Rejection::OrderHasBegun { order, state } => {
                write!(out, "order {order} is {state}; its line, product and lot cannot change")
            }
            Rejection::QuantityNotPositive(id) => {
                write!(out, "order {id} has no quantity above zero")
            }
            Rejection::ReportNotAllowed { order, state } => {
                write!(out, "order {order} is {state}; nothing can be reported on it")
            }
            Rejection::NothingReported(id) => write!(out, "the report on order {id} is empty"),
            Rejection::GoodIsCounted { line, machine } => {
                write!(out, "good parts of line {line} are counted by machine {machine}")
            }
            Rejection::ScrapExceedsGood { order, good } => {
                write!(out, "order {order} has {good} good parts, fewer than reported as scrap")
            }
            Rejection::NoStopThere(id) => write!(out, "machine {id} has no stop at that time"),
            Rejection::ReasonNotInUse(id) => {
                write!(out, "reason {id} is not in use at the time of the stop")
            }
            Rejection::SplitOutsideStop(id) => {
                write!(out, "the instant does not lie inside that stop of machine {id}")
            }
            Rejection::NothingToMerge(id) => {
                write!(out, "these are no two stops of machine {id}, one after the other")
            }
            Rejection::ImpossibleWindow(id) => {
                write!(out, "machine {id} cannot have stood or run in that time as stated")
            }
            Rejection::NoStatedStop(id) => {
                write!(out, "no stop of machine {id} was stated to begin at that time")
            }
            Rejection::NoGapThere(id) => {
                write!(out, "what machine {id} did at that time is known")
            }
            Rejection::ShiftClosed(id) => {
                write!(out, "the shift of line {id} at that time is closed")
            }
            Rejection::IdealCycleNotPositive(id) => {
                write!(out, "the ideal cycle of order {id} is not above zero")
            }
            Rejection::LotFromItself(id) => write!(out, "lot {id} cannot be made from itself"),
            Rejection::Note(id, refusal) => write!(out, "line {id}: {}", refusal.texts().1),
            Rejection::OutOfOrder(id) => {
                write!(out, "the time lies before the last change of order {id}")
            }
            Rejection::Condition(id, refusal) => {
                write!(
                    out,
                    "nothing was done about a condition of machine {id}: {}",
                    refusal.texts().1
                )
            }
        }
    }
}

impl std::error::Error for Rejection {}
