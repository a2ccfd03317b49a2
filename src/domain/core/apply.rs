//! Facts take effect. This is total and cannot fail: what is stored has happened.

use super::Core;
use crate::domain::event::{Confirmation, Event};
use crate::domain::evidence::{EvidenceBlock, MachineEvidence, Observation};
use crate::domain::genealogy::{Assignment, LotOperation, LotOperationKind};
use crate::domain::id::{LotId, MachineId, OrderId};
use crate::domain::order::{JobState, Order, OrderRequest, OrderRun};
use crate::domain::time::{Timestamp, Window};

/// What the store has to keep besides the fact itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Applied {
    /// The order that changed.
    pub order: Option<OrderId>,
    /// Evidence that left memory or came too late for it.
    pub archived: Option<(MachineId, EvidenceBlock)>,
}

impl Core {
    /// Lets a fact take effect.
    pub fn apply(&mut self, event: &Event) -> Applied {
        let order = |id: &OrderId| Applied { order: Some(id.clone()), archived: None };
        match event {
            Event::Observed(observation) => self.note(observation),
            Event::LinkChanged(change) => {
                let point = crate::domain::series::Point {
                    at: change.at,
                    seq: change.seq,
                    value: change.up,
                };
                self.evidence_mut(&change.machine).links.insert(point);
                self.totals_may_change(&change.machine, change.at);
                Applied::default()
            }
            Event::OrderStored { request, at, .. } => {
                self.keep_order(request, *at);
                order(&request.id)
            }
            Event::OrderMoved { order: id, state, at, .. } => {
                self.advance(id, *state, *at);
                order(id)
            }
            Event::Reported { machine, adjustment, good, lot, .. } => {
                self.evidence_mut(machine).adjust(adjustment.clone());
                self.unconfirmed.insert(adjustment.order.clone());
                if let Some(order) = self.orders.get_mut(&adjustment.order) {
                    order.book(lot.as_ref(), *good);
                }
                order(&adjustment.order)
            }
            Event::StopClassified { machine, classification } => {
                self.evidence_mut(machine).classify(classification.clone());
                Applied::default()
            }
            Event::LotRecorded(operation) => self.note_lot(operation, true),
            Event::LotVoided(operation) => self.note_lot(operation, false),
            Event::Confirmed(confirmation) => self.confirmed(confirmation),
            Event::Archived { machine, before } => self.archive_before(machine, *before),
            Event::OrderRetired(id) => {
                self.unconfirmed.remove(id);
                if let Some(order) = self.orders.remove(id) {
                    self.runs.entry(order.request.line).or_default().retain(|r| r.order != *id);
                }
                Applied::default()
            }
        }
    }

    fn evidence_mut(&mut self, machine: &MachineId) -> &mut MachineEvidence {
        self.evidence.entry(machine.clone()).or_default()
    }

    fn note(&mut self, observation: &Observation) -> Applied {
        let machine = &observation.machine;
        if observation.at >= self.archived_to(machine) {
            self.evidence_mut(machine).observe(observation);
            self.totals_may_change(machine, observation.at);
            return Applied::default();
        }
        let mut late = MachineEvidence::default();
        late.observe(observation);
        Applied { order: None, archived: Some((machine.clone(), late.to_block())) }
    }

    fn keep_order(&mut self, request: &OrderRequest, at: Timestamp) {
        match self.orders.get_mut(&request.id) {
            Some(order) => order.revise(request.clone()),
            None => {
                self.orders.insert(request.id.clone(), Order::new(request.clone(), at));
            }
        }
    }

    fn advance(&mut self, id: &OrderId, state: JobState, at: Timestamp) {
        let interval = self.plant.confirmation_interval;
        let Some(order) = self.orders.get_mut(id) else {
            return;
        };
        order.advance(state, at);
        self.unconfirmed.insert(id.clone());
        if state == JobState::Running {
            order.confirm_next = Some(at + interval);
        }
        let runs = self.runs.entry(order.request.line.clone()).or_default();
        runs.retain(|run| run.order != *id);
        runs.extend(order.runs.iter().cloned());
        runs.sort_by(|a, b| (a.start, &a.order).cmp(&(b.start, &b.order)));
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
        Applied { order: Some(operation.order.clone()), archived: None }
    }

    fn confirmed(&mut self, confirmation: &Confirmation) -> Applied {
        let interval = self.plant.confirmation_interval;
        self.confirmations = self.confirmations.max(confirmation.seq);
        self.unconfirmed.remove(&confirmation.order);
        if let Some(order) = self.orders.get_mut(&confirmation.order) {
            order.confirmed = confirmation.total;
            order.confirmations = confirmation.order_seq;
            order.confirm_next = Some(confirmation.at + interval);
        }
        Applied { order: Some(confirmation.order.clone()), archived: None }
    }

    /// Moves evidence to the archive; totals of orders keep what it said.
    fn archive_before(&mut self, machine: &MachineId, before: Timestamp) -> Applied {
        let window = Window { from: self.archived_to(machine), to: before };
        let gains: Vec<_> = self
            .orders
            .values()
            .map(|order| (order.id().clone(), self.totals_in(order, window, Some(machine))))
            .collect();
        for (id, gain) in gains {
            if let Some(order) = self.orders.get_mut(&id) {
                order.archived = order.archived.plus(gain);
            }
        }
        let block = self.evidence_mut(machine).drain_before(before);
        self.archived_to.insert(machine.clone(), before);
        Applied { order: None, archived: Some((machine.clone(), block)) }
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
            self.runs.push(OrderRun { order, product, start: at, end: None });
        }
    }

    /// Books reported good parts on a lot.
    pub(super) fn book(&mut self, lot: Option<&LotId>, good: u32) {
        if let Some(lot) = lot {
            *self.produced.entry(lot.clone()).or_default() += i64::from(good);
        }
    }
}
