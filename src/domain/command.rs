//! What comes into the core: observations, changes of links, commands of people and systems, time.

use std::sync::Arc;

use super::core::Closing;
use super::evidence::{EvidenceBlock, LinkChange, MachineEvidence, Observation, Remark};
use super::id::{LineId, LotId, MachineId, OrderId, PersonId, ReasonId};
use super::notice::ConditionAction;
use super::notice::condition::ConditionSource;
use super::oee::stops::Stop;
use super::order::{JobCommand, Order, OrderRequest};
use super::plant::Plant;
use super::quantity::Quantity;
use super::signal::MachineState;
use super::time::{Timestamp, Window};
use super::transfer::OrderTransfer;

/// One input. The core knows the time only from here.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// A value of a signal.
    Observed(Observation),
    /// A link went up or down.
    Linked(LinkChange),
    /// Somebody wants something.
    Command(CommandInput),
    /// A deadline has come.
    Tick(Timestamp),
    /// The plant is described so from now on.
    Defined {
        /// From when on.
        from: Timestamp,
        /// The description.
        plant: Arc<Plant>,
    },
    /// Evidence about a machine before an instant is to leave memory.
    Archive {
        /// The machine.
        machine: MachineId,
        /// The instant.
        before: Timestamp,
    },
    /// A finished order that something late belongs to, as the store keeps it.
    Admit(Box<Order>),
    /// Archived evidence that something late belongs to; the orders that ran then come before it.
    Recall(Box<Recall>),
    /// Some machines may be otherwise than was told.
    Look(Look),
    /// A shift that was due has these figures.
    Closed(Box<Closing>),
    /// The program starts again; it was last known to be alive at this instant.
    Restarted {
        /// Last sign of life.
        last_alive: Timestamp,
        /// Order among changes of the same time.
        seq: u64,
    },
}

/// Evidence that comes back into memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Recall {
    /// The machine.
    pub machine: MachineId,
    /// From which instant on all evidence will be in memory again.
    pub from: Timestamp,
    /// The observations.
    pub block: EvidenceBlock,
    /// What people said.
    pub remarks: Vec<Remark>,
    /// When.
    pub at: Timestamp,
}

/// Which machines to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// The present.
    pub now: Timestamp,
    /// Since when this program runs; links that were lost because it did not are not lost.
    pub running_since: Timestamp,
    /// The machines, each with the first instant at which something can be otherwise.
    pub machines: Vec<(MachineId, Timestamp)>,
}

/// A command with who gave it and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandInput {
    /// What is wanted.
    pub command: Command,
    /// User name.
    pub actor: String,
    /// From when on it holds.
    pub at: Timestamp,
    /// Order among commands of the same time.
    pub seq: u64,
    /// Whether the actor may change what belongs to a closed shift.
    pub may_correct: bool,
    /// Evidence about the machine that the command is about, where that has left memory.
    pub context: Option<Box<MachineEvidence>>,
}

/// What can be wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Store an order, or a new revision of it.
    StoreOrder(OrderRequest),
    /// Move an order through its states.
    MoveOrder {
        /// The order.
        order: OrderId,
        /// What to do.
        command: JobCommand,
    },
    /// Report good and scrapped parts in one action.
    Report(Report),
    /// Record that material of a lot went into an order.
    Consume(Consumption),
    /// Say something about a machine's time.
    Remark {
        /// The machine.
        machine: MachineId,
        /// What.
        remark: RemarkCommand,
        /// Why, in free text.
        comment: String,
    },
    /// Say who works at a machine from now on; nobody when absent.
    LogOn {
        /// The machine.
        machine: MachineId,
        /// The person.
        person: Option<PersonId>,
    },
    /// Do something about a condition.
    Condition(ConditionCommand),
    /// Note that a machine was told of an order of its line, or is about to be.
    Transfer {
        /// The machine.
        machine: MachineId,
        /// What it is told, and what came of it.
        transfer: OrderTransfer,
    },
    /// Write something down about a shift.
    NoteShift {
        /// The line.
        line: LineId,
        /// An instant inside the shift; the shift that runs when absent.
        shift: Option<Timestamp>,
        /// What.
        text: String,
    },
}

/// What somebody does about a condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConditionCommand {
    /// The condition.
    pub source: ConditionSource,
    /// What is done.
    pub action: ConditionAction,
    /// The number of a notice that names the branch; the newest when absent.
    pub notice: Option<u64>,
    /// What is said with it.
    pub comment: String,
    /// Why the machine stood, where a stop is confirmed.
    pub reason: Option<ReasonId>,
}

/// What can be said about a machine's time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RemarkCommand {
    /// A stop has this reason.
    Classify {
        /// An instant inside the stop, best its start.
        stop: Timestamp,
        /// The reason.
        reason: ReasonId,
    },
    /// A stop is two from an instant on.
    Split {
        /// An instant inside the stop.
        stop: Timestamp,
        /// First instant of the second part.
        at: Timestamp,
    },
    /// Stops from one to another are one.
    Merge {
        /// An instant inside the first.
        first: Timestamp,
        /// An instant inside the last.
        last: Timestamp,
    },
    /// The machine stood although no signal says so.
    StateStop {
        /// When.
        window: Window,
        /// Why.
        reason: ReasonId,
    },
    /// An earlier statement was wrong.
    WithdrawStop {
        /// When the stop was said to begin.
        start: Timestamp,
    },
    /// What the machine did in a gap.
    ResolveGap {
        /// When.
        window: Window,
        /// In which state it was.
        state: MachineState,
    },
}

impl RemarkCommand {
    /// The time that is spoken of.
    pub fn window(&self) -> Window {
        let instant = |at: Timestamp| Window { from: at, to: at };
        match self {
            RemarkCommand::Classify { stop, .. } => instant(*stop),
            RemarkCommand::Split { stop, at } => {
                Window { from: (*stop).min(*at), to: (*stop).max(*at) }
            }
            RemarkCommand::Merge { first, last } => {
                Window { from: (*first).min(*last), to: (*first).max(*last) }
            }
            RemarkCommand::StateStop { window, .. } | RemarkCommand::ResolveGap { window, .. } => {
                *window
            }
            RemarkCommand::WithdrawStop { start } => instant(*start),
        }
    }
}

/// Parts reported by a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The order.
    pub order: OrderId,
    /// Good parts, in addition to earlier reports.
    pub good: u32,
    /// Scrapped parts, in addition to earlier reports.
    pub scrap: u32,
    /// Parts that go to rework, in addition to earlier reports.
    pub rework: u32,
    /// Reworked parts that are good now, in addition to earlier reports.
    pub rework_good: u32,
    /// The lot they belong to; the order's own when absent.
    pub lot: Option<LotId>,
    /// Why parts were scrapped.
    pub reason: Option<ReasonId>,
}

/// Material that went into an order, as a person or system states it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consumption {
    /// The order.
    pub order: OrderId,
    /// The lot that was used.
    pub lot: LotId,
    /// How much of it, where known.
    pub quantity: Option<Quantity>,
    /// The machine that used it, where known.
    pub machine: Option<MachineId>,
}

/// What a command did to an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It was not known before.
    Created,
    /// It changed.
    Changed,
    /// Nothing; the revision is stale or was sent before.
    Unchanged,
}

/// What came of an input that was accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// An observation or a tick; nobody waits for an answer.
    Noted,
    /// An order after the command.
    Order {
        /// The order as it now stands.
        order: Box<Order>,
        /// What the command did to it.
        change: Change,
    },
    /// The stops that were spoken of, as they now are.
    Stops(Vec<Stop>),
}
