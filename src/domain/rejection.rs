//! Why a command is refused, in words for people and codes for programs.
//!
//! Every refusal has a stable code, a kind from which the interfaces derive their status, and the
//! next step to take.

use std::fmt;

use super::id::{LineId, LotId, MachineId, OrderId, ProductId, ReasonId};
use super::order::{JobCommand, JobState, allowed_commands};

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
    /// A lot cannot be made from itself.
    LotFromItself(LotId),
    /// The time lies before something that has already happened to the order.
    OutOfOrder(OrderId),
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
            Rejection::LotFromItself(_) => "mes.lot.from_itself",
            Rejection::OutOfOrder(_) => "mes.order.out_of_order",
        }
    }

    /// What it means to a caller.
    pub fn kind(&self) -> RejectionKind {
        match self {
            Rejection::UnknownMachine(_)
            | Rejection::UnknownOrder(_)
            | Rejection::NoStopThere(_) => RejectionKind::NotFound,
            Rejection::UnknownLine(_)
            | Rejection::UnknownProduct(_)
            | Rejection::UnknownReason(_)
            | Rejection::QuantityNotPositive(_)
            | Rejection::NothingReported(_)
            | Rejection::LotFromItself(_) => RejectionKind::Invalid,
            Rejection::IllegalCommand { .. }
            | Rejection::LineBusy { .. }
            | Rejection::RevisionConflict { .. }
            | Rejection::OrderHasBegun { .. }
            | Rejection::ReportNotAllowed { .. }
            | Rejection::GoodIsCounted { .. }
            | Rejection::ScrapExceedsGood { .. }
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
            Rejection::LotFromItself(_) => "give the lot of the material that went in".into(),
            Rejection::OutOfOrder(_) => "give a later time or none".into(),
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
            Rejection::LotFromItself(id) => write!(out, "lot {id} cannot be made from itself"),
            Rejection::OutOfOrder(id) => {
                write!(out, "the time lies before the last change of order {id}")
            }
        }
    }
}

impl std::error::Error for Rejection {}
