//! Notices: what people and systems are told as it happens, each once and for ever.
//!
//! A notice is a fact like any other: numbered without gaps, stored in the commit of what it is about,
//! and complete in itself, so that it reads in ten years as it was told. Nothing follows from it but
//! what has been told.

pub mod condition;
mod refusal;

pub use condition::{Condition, ConditionAction, ConditionId, Shelving};
pub use refusal::ConditionRefusal;

use super::calendar::CivilDate;
use super::genealogy::LotOperation;
use super::id::{LineId, MachineId, OrderId, ReasonId};
use super::oee::stops::Stop;
use super::order::{JobCommand, Order, Totals};
use super::shift::ShiftNote;
use super::signal::MachineState;
use super::time::{Timestamp, Window};
use super::transfer::OrderTransfer;

/// Something that was told.
#[derive(Clone, PartialEq, Debug)]
pub struct Notice {
    /// Its number in the plant, from 1 without gaps.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// When it was known.
    pub told: Timestamp,
    /// The line where it happened, as the plant was described then.
    pub line: Option<LineId>,
    /// The machine where it happened.
    pub machine: Option<MachineId>,
    /// What happened.
    pub matter: Matter,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Matter {
    /// A machine is in another state.
    StateChanged {
        /// The state before; absent where it was not known.
        from: Option<MachineState>,
        /// The state now; absent where it is not known.
        to: Option<MachineState>,
    },
    /// A machine stands.
    StopStarted(Stop),
    /// A machine runs again.
    StopEnded(Stop),
    /// A stop has a reason, or another one.
    StopClassified(Stop),
    /// What was told of a stop was not so: late data or a person say otherwise.
    StopRevised {
        /// The time that was told.
        was: Window,
        /// The stop as it is now; absent where there was none.
        stop: Option<Stop>,
    },
    /// An order was stored, revised or moved.
    Order {
        /// The order after it.
        order: Box<Order>,
        /// Its parts.
        totals: Totals,
        /// What moved it; absent where it was stored or revised.
        command: Option<JobCommand>,
        /// Who did it.
        actor: String,
    },
    /// A machine was told of an order of its line; what came of it is never `Calling`.
    Transfer(OrderTransfer),
    /// Parts were taken from or added to what was known.
    CountCorrected(CountCorrection),
    /// Values came that are older than what was known.
    LateData {
        /// How many.
        values: u64,
        /// Source time of the oldest.
        oldest: Timestamp,
        /// Source time of the newest.
        newest: Timestamp,
    },
    /// Material of a lot went into or came out of an order.
    Lot {
        /// The operation.
        operation: LotOperation,
        /// Whether an earlier record of it turned out to be wrong.
        voided: bool,
    },
    /// The link to a machine went up or down.
    Link {
        /// Whether values arrive.
        up: bool,
    },
    /// A shift was closed, or a closed one changed.
    Shift(ShiftNotice),
    /// Somebody wrote something down about a shift.
    Note(ShiftNote),
    /// A condition is in another state.
    Condition(Box<Condition>),
}

impl Matter {
    /// The job order that it is about.
    pub fn order(&self) -> Option<&OrderId> {
        match self {
            Matter::Order { order, .. } => Some(order.id()),
            Matter::CountCorrected(correction) => Some(&correction.order),
            Matter::Lot { operation, .. } => Some(&operation.order),
            Matter::Transfer(transfer) => Some(&transfer.order),
            _ => None,
        }
    }
}

/// Parts that were corrected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountCorrection {
    /// The order to which they belong.
    pub order: OrderId,
    /// Good parts more, or less where negative.
    pub good: i64,
    /// Scrapped parts more or less.
    pub scrap: i64,
    /// Parts for rework more or less.
    pub rework: i64,
    /// Why parts were scrapped.
    pub reason: Option<ReasonId>,
    /// Who said so; `system` where late counts did.
    pub actor: String,
}

/// That a shift was closed or changed; its figures are with the record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShiftNotice {
    /// Number of the record in the plant, without gaps.
    pub record: u64,
    /// Name of the shift.
    pub shift: String,
    /// First instant of the shift.
    pub start: Timestamp,
    /// The date to which its production belongs.
    pub production_date: CivilDate,
    /// 1 when it was closed, one more with each change afterwards.
    pub revision: u32,
    /// Whose doing it was.
    pub actor: String,
    /// Why.
    pub cause: String,
}
