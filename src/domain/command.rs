//! What comes into the core: observations, changes of links, commands of people and systems, time.

use super::evidence::{LinkChange, Observation};
use super::id::{LotId, MachineId, OrderId, ReasonId};
use super::oee::stops::Stop;
use super::order::{JobCommand, Order, OrderRequest};
use super::quantity::Quantity;
use super::time::Timestamp;

/// One input. The core knows the time only from here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A value of a signal.
    Observed(Observation),
    /// A link went up or down.
    Linked(LinkChange),
    /// Somebody wants something.
    Command(CommandInput),
    /// A deadline has come.
    Tick(Timestamp),
    /// The program starts again; it was last known to be alive at this instant.
    Restarted {
        /// Last sign of life.
        last_alive: Timestamp,
        /// Order among changes of the same time.
        seq: u64,
    },
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
    /// Give a stop its reason.
    ClassifyStop {
        /// The machine that stood.
        machine: MachineId,
        /// An instant inside the stop, best its start.
        stop: Timestamp,
        /// The reason.
        reason: ReasonId,
        /// Free text.
        comment: String,
    },
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
    /// The stop that was classified.
    Stop(Box<Stop>),
}
