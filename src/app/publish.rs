//! Builds the published picture, touching only what changed, and tells every value that has become
//! durable: a picture shows the newest one only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use super::live::Live;
use super::live_figures::LiveFigures;
use super::ports::Reader;
use super::view::{KpiWindow, MachineView, OrderView, PlantView, Said};
use crate::domain::core::Core;
use crate::domain::event::Event;
use crate::domain::evidence::Observation;
use crate::domain::id::{LineId, MachineId, OrderId};
use crate::domain::notice::Matter;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::signal::{RawValue, Reading, SignalRole, SignalRule, is_bad};
use crate::domain::time::{Span, Timestamp, Window};

/// Figures are computed again at most this often while things change.
pub const KPI_INTERVAL: Span = Span::from_millis(250);
/// Figures are computed again at least this often, since time itself changes them.
pub const KPI_AGE_MAX: Span = Span::from_millis(1000);
/// Commits whose values wait for those who listen; who is slower than that misses some.
const OBSERVED_MAX: usize = 1024;

/// What has changed since the last picture.
pub struct Publisher {
    sender: watch::Sender<Arc<PlantView>>,
    observed: broadcast::Sender<Arc<[Observation]>>,
    machines: BTreeSet<MachineId>,
    orders: BTreeSet<OrderId>,
    lines: BTreeSet<LineId>,
    /// See [`MachineView::said`].
    said: BTreeMap<MachineId, BTreeMap<SignalRole, Said>>,
    /// Whether notices were told that no picture knows of, and whether conditions are among them.
    has_notices: bool,
    has_conditions: bool,
    kpis_at: Timestamp,
    other_kpis_at: Timestamp,
}

impl Publisher {
    /// A publisher and where its pictures are seen.
    pub fn new() -> (Publisher, watch::Receiver<Arc<PlantView>>) {
        let (sender, receiver) = watch::channel(Arc::default());
        let publisher = Publisher {
            sender,
            observed: broadcast::Sender::new(OBSERVED_MAX),
            machines: BTreeSet::new(),
            orders: BTreeSet::new(),
            lines: BTreeSet::new(),
            said: BTreeMap::new(),
            has_notices: false,
            has_conditions: false,
            kpis_at: Timestamp::MIN,
            other_kpis_at: Timestamp::MIN,
        };
        (publisher, receiver)
    }

    /// Where values that have become durable are told.
    pub fn observed(&self) -> broadcast::Sender<Arc<[Observation]>> {
        self.observed.clone()
    }

    /// The first picture: nothing of the plant, but what was told before.
    pub fn begin(&mut self, core: &Core) {
        let conditions = Arc::new(core.conditions().cloned().collect());
        let view = PlantView { notices: core.notices(), conditions, ..PlantView::default() };
        self.sender.send_replace(Arc::new(view));
    }

    /// Tells the values among facts that are durable now, and notes that there are notices.
    pub fn tell(&mut self, facts: &[Event]) {
        for fact in facts {
            if let Event::Noticed(notice) = fact {
                self.has_notices = true;
                self.has_conditions |= matches!(notice.matter, Matter::Condition(_));
            }
        }
        if self.observed.receiver_count() == 0 {
            return;
        }
        let values = facts.iter().filter_map(|fact| match fact {
            Event::Observed(observation) => Some(observation.clone()),
            _ => None,
        });
        let values: Arc<[Observation]> = values.collect();
        if !values.is_empty() {
            // Nobody listens any more; that is as good as nobody listening.
            let _ = self.observed.send(values);
        }
    }

    /// Marks everything as changed, after a start.
    pub fn touch_all(&mut self, core: &Core) {
        self.machines.extend(core.plant().machines.keys().cloned());
        self.orders.extend(core.orders().map(|order| order.id().clone()));
        self.lines.extend(core.plant().lines.keys().cloned());
    }

    /// Marks what a fact changes.
    pub fn touch(&mut self, core: &Core, event: &Event) {
        match event {
            Event::Observed(observation) => self.touch_machine(core, &observation.machine),
            Event::LinkChanged(change) => self.touch_machine(core, &change.machine),
            Event::Reported { machine, adjustment, .. } => {
                self.touch_machine(core, machine);
                self.touch_order(core, &adjustment.order);
            }
            Event::Remarked { machine, .. } => self.touch_machine(core, machine),
            Event::OrderTransferred { machine, .. } => drop(self.machines.insert(machine.clone())),
            Event::PlantDefined { .. } => self.touch_all(core),
            Event::OrderStored { request, .. } => self.touch_order(core, &request.id),
            Event::OrderMoved { order, .. } | Event::OrderRetired(order) => {
                self.touch_order(core, order);
            }
            Event::LotRecorded(operation) | Event::LotVoided(operation) => {
                self.touch_order(core, &operation.order);
            }
            Event::OrderAdmitted(order) => self.touch_order(core, order.id()),
            Event::Confirmed(confirmation) => self.touch_order(core, &confirmation.order),
            Event::Noticed(notice) => self.machines.extend(notice.machine.clone()),
            Event::Archived { .. }
            | Event::Recalled { .. }
            | Event::ShiftNoted { .. }
            | Event::ShiftRecorded(_)
            | Event::ShiftUnchanged { .. } => {}
        }
    }

    /// Keeps what signals have said; all of it is durable. What is said again counts as well: after a start it
    /// is all that there is until something changes.
    pub fn hear<'a>(&mut self, core: &Core, said: impl Iterator<Item = &'a Observation>) {
        said.for_each(|observation| self.hear_one(core, observation));
    }

    fn hear_one(&mut self, core: &Core, observation: &Observation) {
        let Observation { machine, role, at, status, raw, reading, .. } = observation;
        let Some(known) = core.plant().machines.get(machine) else {
            return;
        };
        if !self.said.contains_key(machine) {
            self.said.insert(machine.clone(), BTreeMap::new());
        }
        let Some(said) = self.said.get_mut(machine) else {
            return;
        };
        if said.get(role).is_some_and(|newer| newer.at > *at) {
            return;
        }
        let code = match raw {
            RawValue::Integer(code) if !is_bad(*status) => i64::try_from(*code).ok(),
            _ => None,
        };
        let unusable = match reading {
            Reading::Unusable(why) => Some(*why),
            _ => None,
        };
        let vocabulary = known.rule(*role).and_then(SignalRule::vocabulary);
        let code = vocabulary.zip(code);
        said.insert(*role, Said { status: *status, unusable, code, at: *at });
        if !self.machines.contains(machine) {
            self.machines.insert(machine.clone());
        }
    }

    fn touch_machine(&mut self, core: &Core, machine: &MachineId) {
        self.machines.insert(machine.clone());
        let line = core.plant().machines.get(machine).map(|m| m.line.clone());
        self.orders.extend(line.iter().filter_map(|l| Some(core.running_on(l)?.id().clone())));
        // Late values change totals of orders that have ended as well.
        let changed = core.unconfirmed().filter(|order| Some(&order.request.line) == line.as_ref());
        self.orders.extend(changed.map(|order| order.id().clone()));
        self.lines.extend(line);
    }

    fn touch_order(&mut self, core: &Core, id: &OrderId) {
        self.orders.insert(id.clone());
        let line = core.order(id).and_then(|o| core.plant().lines.get(&o.request.line));
        if let Some(line) = line {
            self.lines.insert(line.id.clone());
            self.machines.extend(line.machines.iter().cloned());
        }
    }

    /// When the next picture is due although nothing happens.
    pub fn next(&self) -> Timestamp {
        let wait = if self.lines.is_empty() { KPI_AGE_MAX } else { KPI_INTERVAL };
        self.kpis_at + wait
    }

    /// Shows the machines and orders that have changed, and the shifts that were recorded.
    pub fn publish(&mut self, core: &Core, now: Timestamp) {
        if self.machines.is_empty() && self.orders.is_empty() && !self.has_notices {
            return;
        }
        let mut view = self.next_view(now);
        view.notices = core.notices();
        self.has_notices = false;
        if std::mem::take(&mut self.has_conditions) {
            view.conditions = Arc::new(core.conditions().cloned().collect());
        }
        for machine in std::mem::take(&mut self.machines) {
            if core.plant().machines.contains_key(&machine) {
                let mut picture = machine_view(core, &machine, now);
                picture.said = self.said.get(&machine).cloned().unwrap_or_default();
                view.machines.insert(machine, Arc::new(picture));
            } else {
                self.said.remove(&machine);
                view.machines.remove(&machine);
            }
        }
        for id in std::mem::take(&mut self.orders) {
            match core.order(&id) {
                Some(order) => {
                    let totals = core.totals(order);
                    let picture = OrderView { order: order.clone(), totals };
                    view.orders.insert(id, Arc::new(picture));
                }
                None => {
                    view.orders.remove(&id);
                }
            }
        }
        self.sender.send_replace(Arc::new(view));
    }

    /// Shows the figures, when they are due.
    pub fn publish_figures(
        &mut self,
        core: &Core,
        live: &mut Live,
        reader: &dyn Reader,
        now: Timestamp,
    ) {
        if now < self.next() {
            return;
        }
        self.lines.clear();
        self.kpis_at = now;
        let mut view = self.next_view(now);
        view.kpis.clear();
        let mut figures = LiveFigures::new(core, live, reader, now);
        for equipment in all_equipment(core) {
            let picture = figures.view(KpiWindow::ThisShift, &equipment);
            view.kpis.extend(picture.map(|kpi| (equipment, Arc::new(kpi))));
        }
        if now - self.other_kpis_at >= KPI_AGE_MAX {
            self.other_kpis_at = now;
            let mut others = BTreeMap::new();
            for window in [KpiWindow::LastShift, KpiWindow::ThisOrder, KpiWindow::LastHour] {
                for equipment in all_equipment(core) {
                    let picture = figures.view(window, &equipment);
                    others.extend(picture.map(|kpi| ((window, equipment), Arc::new(kpi))));
                }
            }
            view.other_kpis = Arc::new(others);
        }
        self.sender.send_replace(Arc::new(view));
    }

    fn next_view(&self, now: Timestamp) -> PlantView {
        let mut view = PlantView::clone(&self.sender.borrow());
        view.version += 1;
        view.at = now;
        view
    }
}

fn all_equipment(core: &Core) -> Vec<Equipment> {
    let plant = core.plant();
    let mut all = vec![Equipment::Site];
    all.extend(plant.areas.iter().map(|area| Equipment::Area(area.id.clone())));
    all.extend(plant.lines.keys().cloned().map(Equipment::Line));
    all.extend(plant.machines.keys().cloned().map(Equipment::Machine));
    all
}

fn machine_view(core: &Core, machine: &MachineId, now: Timestamp) -> MachineView {
    let Some(evidence) = core.evidence(machine) else {
        return MachineView::default();
    };
    let state = core.facts_at(now).state_at(machine, now);
    let present = Window { from: now, to: now + Span::from_ticks(1) };
    let mut stops = core.facts_at(now).stops(machine, present);
    let line = core.plant().machines.get(machine).map(|m| &m.line);
    let counters = evidence.counts.iter();
    MachineView {
        linked: evidence.is_linked(),
        linked_since: evidence.links.last().map(|p| p.at),
        state: state.and_then(|p| p.state),
        state_since: state.map(|p| p.at),
        counters: counters.filter_map(|(role, c)| Some((*role, c.latest()?))).collect(),
        told: evidence.told().collect(),
        lot: evidence.lots.last().and_then(|p| p.value.clone()),
        stop: stops.pop().filter(|stop| stop.end.is_none()),
        mode: match evidence.circumstance(SignalRole::Mode, now) {
            Some(Reading::Mode(mode)) => Some(*mode),
            _ => None,
        },
        operator: match evidence.circumstance(SignalRole::Operator, now) {
            Some(Reading::Operator(person)) => person.clone(),
            _ => None,
        },
        transfer: core.transfer(machine).cloned(),
        order: line.and_then(|line| core.running_on(line)).map(|order| order.id().clone()),
        said: BTreeMap::new(),
    }
}
