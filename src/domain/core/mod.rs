//! The core: the state of the plant, the decisions on it and the facts that change it.
//!
//! `decide` says what an input would bring about and changes nothing; `apply` takes a fact and
//! cannot fail; `next_deadline` says when time itself brings something about. Replay uses `apply`
//! alone, so what was decided once is never decided again.

mod apply;
mod closing;
mod conditions;
mod confirm;
mod decide;
mod look;
mod memory;
mod notes;
mod reach;
mod remark;
mod snapshot;
mod tell;
mod totals;

pub use apply::Applied;
pub use closing::{Closing, DueClosing, LineClosing, ShiftChange};
pub use look::Told;
pub use snapshot::{MachineSnapshot, Snapshot};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::evidence::MachineEvidence;
use super::id::{LineId, MachineId, OrderId};
use super::notice::{Condition, ConditionId};
use super::oee::evaluate::Facts;
use super::order::{Order, OrderRun};
use super::plant::Plant;
use super::plant::history::PlantHistory;
use super::time::{Span, TICKS_PER_SECOND, Timestamp};
use super::transfer::MachineTransfer;

/// Evidence that came back stays at least so long, since what is late seldom comes alone.
const RECALLED_STAYS: Span = Span::from_seconds(60);
/// Evidence leaves memory in steps of this many ticks.
const ARCHIVE_STEP: i64 = 3600 * TICKS_PER_SECOND;

/// The state of a plant.
#[derive(Clone, Debug)]
pub struct Core {
    history: PlantHistory,
    /// The latest instant that any input has brought.
    now: Timestamp,
    /// How long evidence stays in memory; `None` for ever, as in replay.
    retention: Option<Span>,
    evidence: BTreeMap<MachineId, MachineEvidence>,
    archived_to: BTreeMap<MachineId, Timestamp>,
    /// Until when evidence that came back stays in memory.
    recalled: BTreeMap<MachineId, Timestamp>,
    runs: BTreeMap<LineId, Vec<OrderRun>>,
    orders: BTreeMap<OrderId, Order>,
    /// Orders whose totals may differ from those confirmed; all others need no look.
    unconfirmed: BTreeSet<OrderId>,
    confirmations: u64,
    closings: BTreeMap<LineId, LineClosing>,
    shift_records: u64,
    /// When the next shift is closed, as far as the calendar was asked.
    next_closing: Option<Timestamp>,
    /// Number of the newest notice.
    notices: u64,
    /// What was told of machines.
    told: BTreeMap<MachineId, Told>,
    /// Late values that were not told yet.
    late: BTreeMap<MachineId, look::Late>,
    /// Conditions that anybody has to do something about, and the last of each kind and machine.
    conditions: BTreeMap<ConditionId, Condition>,
    /// What machines were told of orders. One that is not configured for a while may come back, and must not be
    /// started again.
    transfers: BTreeMap<MachineId, MachineTransfer>,
}

impl Core {
    /// A plant about which nothing is known yet.
    pub fn new(plant: Arc<Plant>, retention: Option<Span>) -> Self {
        let history = PlantHistory::new(plant);
        let machines = history.current().machines.keys();
        let evidence = machines.map(|id| (id.clone(), MachineEvidence::new(&history, id)));
        let evidence = evidence.collect();
        Core {
            history,
            now: Timestamp::MIN,
            retention,
            evidence,
            archived_to: BTreeMap::new(),
            recalled: BTreeMap::new(),
            runs: BTreeMap::new(),
            orders: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            confirmations: 0,
            closings: BTreeMap::new(),
            shift_records: 0,
            next_closing: None,
            notices: 0,
            told: BTreeMap::new(),
            late: BTreeMap::new(),
            conditions: BTreeMap::new(),
            transfers: BTreeMap::new(),
        }
    }

    /// The plant.
    pub fn plant(&self) -> &Arc<Plant> {
        self.history.current()
    }

    /// The plant as it was described over time.
    pub fn history(&self) -> &PlantHistory {
        &self.history
    }

    /// The latest instant that any input has brought.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The facts for computing figures about the time that is in memory.
    pub fn facts(&self) -> Facts<'_, MachineEvidence> {
        self.facts_at(self.now)
    }

    /// The facts as seen from an instant: what is open lasts until then.
    pub fn facts_at(&self, now: Timestamp) -> Facts<'_, MachineEvidence> {
        Facts { history: &self.history, evidence: &self.evidence, runs: &self.runs, now }
    }

    /// Evidence about a machine.
    pub fn evidence(&self, machine: &MachineId) -> Option<&MachineEvidence> {
        self.evidence.get(machine)
    }

    /// The instant before which evidence about a machine is in the archive.
    pub fn archived_to(&self, machine: &MachineId) -> Timestamp {
        self.archived_to.get(machine).copied().unwrap_or(Timestamp::MIN)
    }

    /// Runs of a line that are in memory, in order of time.
    pub fn runs(&self, line: &LineId) -> &[OrderRun] {
        self.runs.get(line).map_or(&[], Vec::as_slice)
    }

    /// An order that is in memory: every unfinished one, and finished ones for a while.
    pub fn order(&self, id: &OrderId) -> Option<&Order> {
        self.orders.get(id)
    }

    /// The orders in memory.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.values()
    }

    /// What a machine was told of orders, if anything.
    pub fn transfer(&self, machine: &MachineId) -> Option<&MachineTransfer> {
        self.transfers.get(machine)
    }

    /// The order that runs on a line.
    pub fn running_on(&self, line: &LineId) -> Option<&Order> {
        let run = self.runs(line).iter().rev().find(|run| run.end.is_none())?;
        self.orders.get(&run.order)
    }

    /// Number of the newest notice.
    pub fn notices(&self) -> u64 {
        self.notices
    }

    /// The next instant at which something happens without any input.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let confirmations = self.unconfirmed().filter_map(|order| self.confirmation_due(order));
        let archives = self.evidence.keys().filter_map(|machine| self.archive_due(machine));
        // Orders that ran leave with the next deadline after their evidence.
        let unstarted = self.orders.values().filter(|order| order.runs.is_empty());
        let retirements = unstarted.filter_map(|order| self.retirement_due(order));
        confirmations.chain(archives).chain(retirements).chain(self.closing_deadline()).min()
    }
}
