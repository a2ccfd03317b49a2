//! Facts take effect. This is total and cannot fail: what is stored has happened.

use std::sync::Arc;

use super::{Core, RECALLED_STAYS, ShiftChange};
use crate::domain::event::{Confirmation, Event};
use crate::domain::evidence::{
    Adjustment, EvidenceBlock, LinkChange, MachineEvidence, Observation, Remark,
};
use crate::domain::genealogy::{Assignment, LotOperation, LotOperationKind};
use crate::domain::id::{LotId, MachineId, OrderId};
use crate::domain::order::{JobState, Order, OrderRequest, OrderRun, Totals};
use crate::domain::plant::Plant;
use crate::domain::series::Point;
use crate::domain::time::{Span, Timestamp, Window};

/// What the store has to keep besides the fact itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// The order that changed.
    pub order: Option<OrderId>,
    /// The order that left memory, as it is to be kept.
    pub retired: Option<Box<Order>>,
    /// Evidence that left memory or came too late for it.
    pub archived: Option<(MachineId, EvidenceBlock)>,
    /// The time of machines whose figures may have changed.
    pub touched: Vec<(MachineId, Window)>,
}

impl Core {
    /// Lets a fact take effect.
    pub fn apply(&mut self, event: &Event) -> Applied {
        let order = |id: &OrderId| Applied { order: Some(id.clone()), ..Applied::default() };
        match event {
            Event::Observed(observation) => self.note(observation),
            Event::LinkChanged(change) => self.note_link(change),
            Event::OrderStored { request, at, .. } => {
                self.seen(*at);
                self.keep_order(request, *at);
                order(&request.id)
            }
            Event::OrderMoved { order: id, state, at, actor, .. } => {
                self.seen(*at);
                let touched = self.advance(id, *state, (*at, actor));
                Applied { touched, ..order(id) }
            }
            Event::Reported { machine, adjustment, good, lot, actor, .. } => {
                let touched = self.note_report(machine, adjustment, actor);
                if let Some(order) = self.orders.get_mut(&adjustment.order) {
                    order.book(lot.as_ref(), *good);
                }
                Applied { touched, ..order(&adjustment.order) }
            }
            Event::Remarked { machine, remark, reach } => {
                let touched = self.note_remark(machine, remark, *reach);
                Applied { touched, ..Applied::default() }
            }
            Event::PlantDefined { from, plant } => {
                self.define(*from, plant);
                Applied::default()
            }
            Event::LotRecorded(operation) => self.note_lot(operation, true),
            Event::LotVoided(operation) => self.note_lot(operation, false),
            Event::Confirmed(confirmation) => self.confirmed(confirmation),
            Event::ShiftRecorded(record) => {
                self.seen(record.at);
                self.recorded(record);
                Applied::default()
            }
            Event::OrderTransferred { machine, transfer, at } => {
                self.seen(*at);
                self.transfers.entry(machine.clone()).or_default().note(transfer, *at);
                Applied::default()
            }
            Event::ShiftNoted { note, .. } => {
                self.seen(note.at);
                Applied::default()
            }
            Event::ShiftUnchanged { line, start } => {
                self.unchanged(line, *start);
                Applied::default()
            }
            Event::Archived { machine, before } => self.archive_before(machine, *before),
            Event::Recalled { machine, from, block, remarks, at } => {
                self.recall(machine, *from, (block, remarks), *at);
                Applied::default()
            }
            Event::OrderRetired(id) => self.retire(id),
            Event::Noticed(notice) => {
                self.note_notice(notice);
                Applied::default()
            }
            Event::OrderAdmitted(order) => {
                self.orders.insert(order.id().clone(), (**order).clone());
                self.keep_runs(order.id());
                Applied::default()
            }
        }
    }

    fn retire(&mut self, id: &OrderId) -> Applied {
        self.unconfirmed.remove(id);
        let retired = self.orders.remove(id);
        if let Some(order) = &retired {
            let runs = self.runs.entry(order.request.line.clone()).or_default();
            runs.retain(|run| run.order != *id);
        }
        Applied { retired: retired.map(Box::new), ..Applied::default() }
    }

    /// Time has come at least so far.
    pub(super) fn seen(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
    }

    /// Whether nothing is known of a machine yet.
    fn is_unknown(&self, machine: &MachineId) -> bool {
        self.evidence.get(machine).is_none_or(|evidence| evidence.oldest().is_none())
    }

    fn note_link(&mut self, change: &LinkChange) -> Applied {
        self.seen(change.at);
        let is_first = self.is_unknown(&change.machine);
        let point = Point { at: change.at, seq: change.seq, value: change.up };
        self.evidence_mut(&change.machine).links.insert(point);
        self.totals_may_change(&change.machine, change.at);
        if is_first {
            self.plan_closings(self.now);
        }
        let window = Window { from: change.at, to: Timestamp::MAX };
        let cause = if change.up { "a link came back" } else { "a link was lost" };
        let touched = self.correct(&change.machine, window, (change.at, "system", cause));
        Applied { touched, ..Applied::default() }
    }

    fn note_report(
        &mut self,
        machine: &MachineId,
        adjustment: &Adjustment,
        actor: &str,
    ) -> Vec<(MachineId, Window)> {
        self.seen(adjustment.at);
        self.evidence_mut(machine).remarks.add(Remark::Parts(adjustment.clone()));
        self.unconfirmed.insert(adjustment.order.clone());
        let window = Window { from: adjustment.at, to: adjustment.at + Span::from_ticks(1) };
        self.correct(machine, window, (adjustment.at, actor, "parts were reported"))
    }

    fn note_remark(
        &mut self,
        machine: &MachineId,
        remark: &Remark,
        reach: Window,
    ) -> Vec<(MachineId, Window)> {
        let (said, cause) = match remark {
            Remark::Parts(adjustment) => return self.note_report(machine, adjustment, "system"),
            Remark::Classified(given) => (&given.said, "a stop was given another reason"),
            Remark::Cut(cut) => (&cut.said, "a stop was split"),
            Remark::Joined(join) => (&join.said, "stops were merged"),
            Remark::Stated(stop) => (&stop.said, "a stop was stated or withdrawn"),
            Remark::Resolved(gap) => (&gap.said, "a gap was resolved"),
        };
        self.seen(said.at);
        // What is about archived time alone is kept by the store.
        if remark.reaches() >= self.oldest_needed(machine) {
            self.evidence_mut(machine).remarks.add(remark.clone());
        }
        if matches!(remark, Remark::Resolved(_)) {
            self.totals_may_change(machine, remark.anchor());
        }
        self.correct(machine, reach, (said.at, &said.actor, cause))
    }

    fn closed_to_of(&self, machine: &MachineId) -> Timestamp {
        let line = self.plant().line_of(machine);
        line.map_or(Timestamp::MIN, |line| self.closed_to(&line.id))
    }

    /// Something has changed in a window of a machine; closed shifts in it are looked at again.
    fn correct(
        &mut self,
        machine: &MachineId,
        window: Window,
        (at, actor, cause): (Timestamp, &str, &str),
    ) -> Vec<(MachineId, Window)> {
        if window.from < self.closed_to_of(machine) {
            let change = ShiftChange { at, actor: actor.to_owned(), cause: cause.to_owned() };
            self.may_have_changed(machine, window, &change);
        }
        vec![(machine.clone(), window)]
    }

    fn define(&mut self, from: Timestamp, plant: &Arc<Plant>) {
        self.seen(from);
        self.history.define(from, plant.clone());
        for machine in plant.machines.keys() {
            let history = &self.history;
            let evidence = self.evidence.entry(machine.clone());
            let evidence = evidence.or_insert_with(|| MachineEvidence::new(history, machine));
            evidence.define(history, machine, from);
        }
        // Nobody can do anything any more about a machine that is gone.
        self.conditions.retain(|id, _| plant.machines.contains_key(id.machine()));
        self.plan_closings(self.now);
    }

    fn evidence_mut(&mut self, machine: &MachineId) -> &mut MachineEvidence {
        let history = &self.history;
        let evidence = self.evidence.entry(machine.clone());
        evidence.or_insert_with(|| MachineEvidence::new(history, machine))
    }

    /// The oldest instant on which figures from memory may depend.
    fn oldest_needed(&self, machine: &MachineId) -> Timestamp {
        let archived_to = self.archived_to(machine);
        let oldest = self.evidence.get(machine).and_then(MachineEvidence::oldest);
        if archived_to == Timestamp::MIN { archived_to } else { oldest.unwrap_or(archived_to) }
    }

    fn note(&mut self, observation: &Observation) -> Applied {
        let machine = &observation.machine;
        self.seen(observation.received);
        let is_first = self.is_unknown(machine);
        let is_in_memory = observation.at >= self.archived_to(machine);
        if self.is_late(observation) {
            self.note_late(machine, observation.at);
        }
        if is_in_memory {
            self.evidence_mut(machine).observe(observation);
            self.totals_may_change(machine, observation.at);
        }
        if is_first {
            self.plan_closings(self.now);
        }
        let reach = self.reach_of(observation);
        let cause = (observation.received, "system", "late data arrived");
        let touched = self.correct(machine, reach, cause);
        if is_in_memory {
            return Applied { touched, ..Applied::default() };
        }
        let mut late = MachineEvidence::default();
        late.observe(observation);
        Applied {
            archived: Some((machine.clone(), late.to_block())),
            touched,
            ..Applied::default()
        }
    }

    fn keep_order(&mut self, request: &OrderRequest, at: Timestamp) {
        match self.orders.get_mut(&request.id) {
            Some(order) => order.revise(request.clone()),
            None => {
                self.orders.insert(request.id.clone(), Order::new(request.clone(), at));
            }
        }
    }

    fn advance(
        &mut self,
        id: &OrderId,
        state: JobState,
        (at, actor): (Timestamp, &str),
    ) -> Vec<(MachineId, Window)> {
        let interval = self.plant().confirmation_interval;
        let Some(order) = self.orders.get_mut(id) else {
            return Vec::new();
        };
        order.advance(state, at);
        self.unconfirmed.insert(id.clone());
        if state == JobState::Running {
            order.confirm_next = Some(at + interval);
        }
        let line = order.request.line.clone();
        self.keep_runs(id);
        let machines = self.plant().lines.get(&line).map(|line| line.machines.clone());
        let window = Window { from: at, to: Timestamp::MAX };
        let mut touched = Vec::new();
        for machine in machines.into_iter().flatten() {
            let cause = (self.now, actor, "an order was moved");
            touched.extend(self.correct(&machine, window, cause));
        }
        touched
    }

    /// The runs of an order are among those of its line.
    fn keep_runs(&mut self, id: &OrderId) {
        if let Some(order) = self.orders.get(id) {
            let runs = self.runs.entry(order.request.line.clone()).or_default();
            runs.retain(|run| run.order != *id);
            runs.extend(order.runs.iter().cloned());
            runs.sort_by(|a, b| (a.start, &a.order).cmp(&(b.start, &b.order)));
        }
    }

    fn note_lot(&mut self, operation: &LotOperation, holds: bool) -> Applied {
        let Some(order) = self.orders.get_mut(&operation.order) else {
            return Applied::default();
        };
        let from_signal = operation.assignment == Assignment::TimeWindow
            && operation.kind == LotOperationKind::Consumed;
        if let Some(machine) = operation.machine.clone().filter(|_| from_signal) {
            let key = (machine, operation.lot.clone(), operation.at);
            if holds {
                order.consumed.insert(key);
            } else {
                order.consumed.remove(&key);
            }
        }
        Applied { order: Some(operation.order.clone()), ..Applied::default() }
    }

    fn confirmed(&mut self, confirmation: &Confirmation) -> Applied {
        let interval = self.plant().confirmation_interval;
        self.confirmations = self.confirmations.max(confirmation.seq);
        self.unconfirmed.remove(&confirmation.order);
        if let Some(order) = self.orders.get_mut(&confirmation.order) {
            order.confirmed = confirmation.total;
            order.confirmations = confirmation.order_seq;
            order.confirm_next = Some(confirmation.at + interval);
        }
        Applied { order: Some(confirmation.order.clone()), ..Applied::default() }
    }

    /// Takes evidence back from the archive; totals of orders count it as in memory again.
    fn recall(
        &mut self,
        machine: &MachineId,
        from: Timestamp,
        (block, remarks): (&EvidenceBlock, &[Remark]),
        at: Timestamp,
    ) {
        let window = Window { from, to: self.archived_to(machine) };
        let evidence = self.evidence_mut(machine);
        evidence.absorb(block.clone());
        remarks.iter().for_each(|remark| evidence.remarks.add(remark.clone()));
        let gains = self.gains(machine, window);
        for (id, gain) in gains {
            if let Some(order) = self.orders.get_mut(&id) {
                order.archived = order.archived.since(gain);
            }
        }
        self.archived_to.insert(machine.clone(), from);
        self.recalled.insert(machine.clone(), at + RECALLED_STAYS);
    }

    /// What a machine adds to the totals of the orders in memory in a window.
    fn gains(&self, machine: &MachineId, window: Window) -> Vec<(OrderId, Totals)> {
        let orders = self.orders.values();
        let gain = |order: &Order| self.totals_in(order, window, machine);
        orders.map(|order| (order.id().clone(), gain(order))).collect()
    }

    /// Moves evidence to the archive; totals of orders keep what it said.
    fn archive_before(&mut self, machine: &MachineId, before: Timestamp) -> Applied {
        let window = Window { from: self.archived_to(machine), to: before };
        let gains = self.gains(machine, window);
        for (id, gain) in gains {
            if let Some(order) = self.orders.get_mut(&id) {
                order.archived = order.archived.plus(gain);
            }
        }
        let block = self.evidence_mut(machine).drain_before(before);
        self.archived_to.insert(machine.clone(), before);
        self.forget_told(machine, before);
        self.recalled.remove(machine);
        Applied { archived: Some((machine.clone(), block)), ..Applied::default() }
    }

    /// The whole run list of a line, for a snapshot.
    pub(super) fn all_runs(&self) -> Vec<(crate::domain::id::LineId, Vec<OrderRun>)> {
        self.runs.iter().map(|(line, runs)| (line.clone(), runs.clone())).collect()
    }
}

impl Order {
    /// Takes over a new revision.
    pub(super) fn revise(&mut self, request: OrderRequest) {
        if self.state.is_prepared() {
            self.state = if request.released {
                JobState::AllowedToStart
            } else {
                JobState::NotAllowedToStart
            };
        }
        self.request = request;
    }

    /// Goes to a state at an instant; runs begin and end with it.
    pub(super) fn advance(&mut self, state: JobState, at: Timestamp) {
        self.state = state;
        self.changed = at;
        if let Some(open) = self.runs.last_mut().filter(|run| run.end.is_none()) {
            open.end = Some(at);
        }
        if state == JobState::Running {
            let (order, product) = (self.request.id.clone(), self.request.product.clone());
            let cycle = self.request.ideal_cycle;
            self.runs.push(OrderRun { order, product, start: at, end: None, cycle });
        }
    }

    /// Books reported good parts on a lot.
    pub(super) fn book(&mut self, lot: Option<&LotId>, good: u32) {
        if let Some(lot) = lot {
            *self.produced.entry(lot.clone()).or_default() += i64::from(good);
        }
    }
}
