//! Notices that follow from a fact by itself: orders, lots, counts, links, shifts.

use std::collections::BTreeMap;

use super::Core;
use crate::domain::command::Input;
use crate::domain::event::{ConfirmationKind, Event};
use crate::domain::id::{LineId, MachineId, OrderId};
use crate::domain::notice::condition::Change;
use crate::domain::notice::{Condition, ConditionId, CountCorrection, Matter, Notice, ShiftNotice};
use crate::domain::order::{JobCommand, Order};
use crate::domain::shift::ShiftRecord;
use crate::domain::time::Timestamp;
use crate::domain::transfer::TransferOutcome;

/// Gives notices their numbers.
pub(super) struct Teller<'a> {
    core: &'a Core,
    number: u64,
    told: Timestamp,
    notices: Vec<Event>,
    /// Conditions as they are after these notices.
    conditions: BTreeMap<ConditionId, Condition>,
}

impl<'a> Teller<'a> {
    /// Notices that come after some facts which are not applied yet.
    pub fn after(core: &'a Core, facts: &[Event], told: Timestamp) -> Teller<'a> {
        let before = facts.iter().filter(|fact| matches!(fact, Event::Noticed(_))).count();
        Teller {
            core,
            number: core.notices + before as u64,
            told,
            notices: Vec::new(),
            conditions: BTreeMap::new(),
        }
    }

    /// Tells something of a machine.
    pub fn of_machine(&mut self, machine: &MachineId, at: Timestamp, matter: Matter) {
        let line = self.core.plant().line_of(machine).map(|line| line.id.clone());
        self.push(at, (line, Some(machine.clone())), matter);
    }

    /// Tells something of a line.
    pub fn of_line(&mut self, line: &LineId, at: Timestamp, matter: Matter) {
        self.push(at, (Some(line.clone()), None), matter);
    }

    /// A condition as these notices tell of it.
    pub fn told_of(&self, condition: &ConditionId) -> Option<&Condition> {
        self.conditions.get(condition)
    }

    /// Tells that something about a condition is otherwise.
    pub fn of_condition(&mut self, condition: &Condition, change: Change, at: Timestamp) {
        // What was told of it a moment ago is not forgotten.
        let before = self.conditions.get(&condition.id).unwrap_or(condition);
        let after = Box::new(before.with(change, at));
        let machine = after.id.machine().clone();
        self.of_machine(&machine, at, Matter::Condition(after));
    }

    fn push(
        &mut self,
        at: Timestamp,
        (line, machine): (Option<LineId>, Option<MachineId>),
        matter: Matter,
    ) {
        self.number += 1;
        let (number, told) = (self.number, self.told);
        let matter = match matter {
            Matter::Condition(condition) => {
                let condition = condition.known_by(number);
                self.conditions.insert(condition.id.clone(), condition.clone());
                Matter::Condition(Box::new(condition))
            }
            other => other,
        };
        let notice = Notice { number, at, told, line, machine, matter };
        self.notices.push(Event::Noticed(Box::new(notice)));
    }

    /// The notices as facts.
    pub fn into_facts(self) -> Vec<Event> {
        self.notices
    }
}

/// When an input became known.
pub(super) fn known_at(core: &Core, input: &Input) -> Timestamp {
    match input {
        Input::Observed(observation) => observation.received,
        Input::Linked(change) => change.at,
        Input::Command(input) => input.at,
        Input::Tick(now) => *now,
        Input::Closed(closing) => closing.at,
        Input::Look(look) => look.now,
        Input::Restarted { last_alive, .. } => *last_alive,
        Input::Recall(recall) => recall.at,
        Input::Defined { .. } | Input::Archive { .. } | Input::Admit(_) => core.now,
    }
}

impl Core {
    /// The notices that follow from facts which are not applied yet.
    pub(super) fn tell(&self, facts: &mut Vec<Event>, told: Timestamp) {
        let mut teller = Teller::after(self, facts, told);
        for fact in facts.iter() {
            self.tell_one(fact, &mut teller);
        }
        let notices = teller.into_facts();
        facts.extend(notices);
    }

    fn tell_one(&self, fact: &Event, teller: &mut Teller<'_>) {
        match fact {
            Event::LinkChanged(change) => {
                teller.of_machine(&change.machine, change.at, Matter::Link { up: change.up });
            }
            Event::OrderStored { request, at, actor } => {
                let mut order = Order::new(request.clone(), *at);
                if let Some(known) = self.orders.get(&request.id) {
                    order = known.clone();
                    order.revise(request.clone());
                }
                self.tell_order(order, (None, *at, actor), teller);
            }
            Event::OrderMoved { order, command, state, at, actor } => {
                if let Some(known) = self.orders.get(order) {
                    let mut order = known.clone();
                    order.advance(*state, *at);
                    self.tell_order(order, (Some(*command), *at, actor), teller);
                }
            }
            Event::Reported { machine, adjustment, reason, actor, .. } => {
                let correction = CountCorrection {
                    order: adjustment.order.clone(),
                    good: adjustment.good,
                    scrap: adjustment.reject,
                    rework: adjustment.rework - adjustment.rework_good,
                    reason: reason.clone(),
                    actor: actor.clone(),
                };
                teller.of_machine(machine, adjustment.at, Matter::CountCorrected(correction));
            }
            Event::Confirmed(confirmation) if confirmation.kind == ConfirmationKind::Correction => {
                let delta = confirmation.delta;
                let correction = CountCorrection {
                    order: confirmation.order.clone(),
                    good: delta.good,
                    scrap: delta.scrap,
                    rework: delta.rework,
                    reason: None,
                    actor: "system".to_owned(),
                };
                if let Some(line) = self.line_of_order(&confirmation.order) {
                    teller.of_line(line, confirmation.at, Matter::CountCorrected(correction));
                }
            }
            Event::LotRecorded(operation) | Event::LotVoided(operation) => {
                let voided = matches!(fact, Event::LotVoided(_));
                let matter = Matter::Lot { operation: operation.clone(), voided };
                match (&operation.machine, self.line_of_order(&operation.order)) {
                    (Some(machine), _) => teller.of_machine(machine, operation.at, matter),
                    (None, Some(line)) => teller.of_line(line, operation.at, matter),
                    (None, None) => {}
                }
            }
            Event::OrderTransferred { machine, transfer, at } => {
                let known = self.transfers.get(machine);
                // What the machine refuses again in the same words is no news.
                let is_old = known.is_some_and(|known| known.is_last(transfer));
                if transfer.outcome != TransferOutcome::Calling && !is_old {
                    teller.of_machine(machine, *at, Matter::Transfer(transfer.clone()));
                }
            }
            Event::ShiftNoted { line, note } => {
                teller.of_line(line, note.at, Matter::Note(note.clone()));
            }
            Event::ShiftRecorded(record) => {
                teller.of_line(&record.line, record.at, Matter::Shift(notice_of(record)));
            }
            _ => {}
        }
    }

    fn line_of_order(&self, order: &OrderId) -> Option<&LineId> {
        self.orders.get(order).map(|order| &order.request.line)
    }

    fn tell_order(
        &self,
        order: Order,
        (command, at, actor): (Option<JobCommand>, Timestamp, &str),
        teller: &mut Teller<'_>,
    ) {
        let (line, totals) = (order.request.line.clone(), self.totals(&order));
        let (order, actor) = (Box::new(order), actor.to_owned());
        teller.of_line(&line, at, Matter::Order { order, totals, command, actor });
    }
}

fn notice_of(record: &ShiftRecord) -> ShiftNotice {
    ShiftNotice {
        record: record.seq,
        shift: record.shift.name.clone(),
        start: record.shift.window.from,
        production_date: record.shift.production_date,
        revision: record.revision,
        actor: record.actor.clone(),
        cause: record.cause.clone(),
    }
}
