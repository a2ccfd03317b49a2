//! What is published after each commit: an immutable picture of the plant as it is now.
//!
//! Interfaces read it without locks and without asking the engine. It shows durable facts only.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::id::{LotId, MachineId, OrderId, PersonId};
use crate::domain::notice::Condition;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Kpi;
use crate::domain::oee::stops::Stop;
use crate::domain::order::{Order, Totals};
use crate::domain::signal::{MachineState, OperationMode, SignalRole, Unusable, Vocabulary};
use crate::domain::time::Timestamp;
use crate::domain::transfer::MachineTransfer;

/// The plant at an instant.
#[derive(Clone, Default)]
pub struct PlantView {
    /// Rises with every publication.
    pub version: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Machines by key.
    pub machines: BTreeMap<MachineId, Arc<MachineView>>,
    /// Figures of the running shift, or of the last hours where there are no shifts.
    pub kpis: BTreeMap<Equipment, Arc<KpiView>>,
    /// Figures of the other windows.
    pub other_kpis: Arc<BTreeMap<(KpiWindow, Equipment), Arc<KpiView>>>,
    /// Orders in memory: all unfinished ones and the recently finished.
    pub orders: BTreeMap<OrderId, Arc<OrderView>>,
    /// Number of the newest notice; the store has them all.
    pub notices: u64,
    /// Conditions that anybody has to do something about, and the last of each kind and machine.
    pub conditions: Arc<Vec<Condition>>,
}

/// A machine at an instant.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MachineView {
    /// Whether values arrive.
    pub linked: bool,
    /// Since when the link is so.
    pub linked_since: Option<Timestamp>,
    /// The state, `None` when unknown.
    pub state: Option<MachineState>,
    /// Source time of the state.
    pub state_since: Option<Timestamp>,
    /// Counters as the machine shows them, with their source time.
    pub counters: BTreeMap<SignalRole, (u64, Timestamp)>,
    /// The newest instant of which each signal has told something, also before a start.
    pub told: BTreeMap<SignalRole, Timestamp>,
    /// The lot in use.
    pub lot: Option<LotId>,
    /// The stop in which it is.
    pub stop: Option<Stop>,
    /// The order that runs on its line.
    pub order: Option<OrderId>,
    /// What it was told of the orders of its line, if anything.
    pub transfer: Option<MachineTransfer>,
    /// The mode in which it is, where it says so.
    pub mode: Option<OperationMode>,
    /// Who works at it.
    pub operator: Option<PersonId>,
    /// What its signals said last. Only what arrives is here: after a start, a machine has said nothing until
    /// it is connected.
    pub said: BTreeMap<SignalRole, Said>,
}

/// What a signal said last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// OPC UA status code of the value.
    pub status: u32,
    /// Why it cannot be used, if so.
    pub unusable: Option<Unusable>,
    /// The number that it is in the standard whose words the signal speaks. The configuration may name
    /// another standard since.
    pub code: Option<(Vocabulary, i64)>,
    /// Its source time.
    pub at: Timestamp,
}

/// The windows of which there are figures at all times.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum KpiWindow {
    /// The running shift, or the last hours where there are no shifts.
    ThisShift,
    /// The shift before; the day before where there are no shifts.
    LastShift,
    /// The runs of the order that is made.
    ThisOrder,
    /// The last hour, rounded up to a minute.
    LastHour,
}

impl KpiWindow {
    /// All windows.
    pub const ALL: [KpiWindow; 4] =
        [KpiWindow::ThisShift, KpiWindow::LastShift, KpiWindow::ThisOrder, KpiWindow::LastHour];

    /// The name shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            KpiWindow::ThisShift => "ThisShift",
            KpiWindow::LastShift => "LastShift",
            KpiWindow::ThisOrder => "ThisOrder",
            KpiWindow::LastHour => "LastHour",
        }
    }

    /// The window of that name.
    pub fn parse(name: &str) -> Option<KpiWindow> {
        KpiWindow::ALL.into_iter().find(|window| window.as_str() == name)
    }
}

impl PlantView {
    /// Figures of a window.
    pub fn kpi(&self, window: KpiWindow, equipment: &Equipment) -> Option<&Arc<KpiView>> {
        match window {
            KpiWindow::ThisShift => self.kpis.get(equipment),
            other => self.other_kpis.get(&(other, equipment.clone())),
        }
    }
}

/// Figures with the window they are about.
#[derive(Clone, PartialEq, Debug)]
pub struct KpiView {
    /// Name of the window: that of the shift or the number of the order, `rolling` for the last hours
    /// where there are no shifts, `hour` for the last hour.
    pub window_name: String,
    /// The figures.
    pub kpi: Kpi,
}

/// An order with its totals.
#[derive(Clone, PartialEq, Debug)]
pub struct OrderView {
    /// The order.
    pub order: Order,
    /// Its totals.
    pub totals: Totals,
}
