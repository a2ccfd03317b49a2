//! Decisions: what an input brings about. Nothing here changes the state.

use std::collections::BTreeSet;

use super::tell::known_at;
use super::{ARCHIVE_STEP, Core};
use crate::domain::command::{
    Change, Command, CommandInput, Consumption, Input, Outcome, Recall, Report,
};
use crate::domain::event::{ConfirmationKind, Event};
use crate::domain::evidence::{Adjustment, LinkChange, Observation};
use crate::domain::genealogy::{Assignment, LotOperation, LotOperationKind, lots_used};
use crate::domain::id::{MachineId, OrderId, PersonId, ReasonId};
use crate::domain::order::{JobCommand, JobState, Order, OrderRequest, OrderRun, transition};
use crate::domain::plant::Line;
use crate::domain::quantity::Quantity;
use crate::domain::rejection::Rejection;
use crate::domain::series::Point;
use crate::domain::signal::{RawValue, Reading, SignalRole};
use crate::domain::time::{Span, Timestamp};

impl Core {
    /// What an input brings about: events in the order in which they must be applied.
    pub fn decide(&self, input: &Input, out: &mut Vec<Event>) -> Result<Outcome, Rejection> {
        let mut facts = Vec::new();
        let outcome = self.decide_facts(input, &mut facts)?;
        let known = known_at(self, input);
        self.tell(&mut facts, known);
        if let (Input::Command(input), Outcome::Stops(stops)) = (input, &outcome) {
            self.tell_old_stops(input, stops, &mut facts);
        }
        out.append(&mut facts);
        Ok(outcome)
    }

    fn decide_facts(&self, input: &Input, out: &mut Vec<Event>) -> Result<Outcome, Rejection> {
        match input {
            Input::Observed(observation) => self.observe(observation, out),
            Input::Linked(change) => {
                self.machine_is_known(&change.machine)?;
                out.extend(self.in_sequence(change).map(Event::LinkChanged));
                Ok(Outcome::Noted)
            }
            Input::Command(input) => self.command(input, out),
            Input::Tick(now) => {
                self.confirm_due(*now, out);
                self.archive(*now, out);
                Ok(Outcome::Noted)
            }
            Input::Defined { from, plant } => {
                // The first description is kept as well, or a later one would hold since ever.
                if *from == Timestamp::MIN || **self.plant() != **plant {
                    out.push(Event::PlantDefined { from: *from, plant: plant.clone() });
                }
                Ok(Outcome::Noted)
            }
            Input::Archive { machine, before } => {
                if self.evidence.contains_key(machine) && *before > self.archived_to(machine) {
                    out.push(Event::Archived { machine: machine.clone(), before: *before });
                }
                Ok(Outcome::Noted)
            }
            Input::Admit(order) => {
                if !self.orders.contains_key(order.id()) {
                    out.push(Event::OrderAdmitted(order.clone()));
                }
                Ok(Outcome::Noted)
            }
            Input::Recall(recall) => {
                let Recall { machine, from, block, remarks, at } = (**recall).clone();
                if from < self.archived_to(&machine) {
                    out.push(Event::Recalled { machine, from, block, remarks, at });
                }
                Ok(Outcome::Noted)
            }
            Input::Closed(closing) => {
                self.close(closing, out);
                Ok(Outcome::Noted)
            }
            Input::Look(look) => {
                self.look(look, out);
                Ok(Outcome::Noted)
            }
            Input::Restarted { last_alive, seq } => {
                self.restarted(*last_alive, *seq, out);
                Ok(Outcome::Noted)
            }
        }
    }

    pub(super) fn machine_is_known(&self, machine: &MachineId) -> Result<(), Rejection> {
        let known = self.plant().machines.contains_key(machine);
        if known { Ok(()) } else { Err(Rejection::UnknownMachine(machine.clone())) }
    }

    /// A change of the link with a time not before the change before it, `None` when it changes nothing.
    ///
    /// The clock of a machine is known to some milliseconds only, so a quick reconnect may seem to
    /// lie before the loss. Whoever says that a link is up again at the very instant at which it was lost
    /// says that nothing was missed meanwhile: the gap is closed and has no length.
    fn in_sequence(&self, change: &LinkChange) -> Option<LinkChange> {
        let last = self.evidence.get(&change.machine).and_then(|evidence| evidence.links.last());
        let mut change = change.clone();
        if let Some(last) = last.filter(|last| last.seq < change.seq) {
            if last.value == change.up {
                return None;
            }
            let is_closed = change.up && change.at == last.at;
            if !is_closed {
                change.at = change.at.max(last.at + Span::from_ticks(1));
            }
        }
        Some(change)
    }

    fn observe(
        &self,
        observation: &Observation,
        out: &mut Vec<Event>,
    ) -> Result<Outcome, Rejection> {
        self.machine_is_known(&observation.machine)?;
        let evidence = self.evidence.get(&observation.machine);
        if evidence.is_some_and(|evidence| evidence.knows(observation)) {
            return Ok(Outcome::Noted);
        }
        out.push(Event::Observed(observation.clone()));
        if observation.role == SignalRole::Lot {
            self.trace_lot_signal(observation, out);
        }
        Ok(Outcome::Noted)
    }

    /// A lot signal changed: corrects what the orders of the line are known to have consumed.
    fn trace_lot_signal(&self, observation: &Observation, out: &mut Vec<Event>) {
        let Some(evidence) = self.evidence.get(&observation.machine) else {
            return;
        };
        let mut after = crate::domain::evidence::MachineEvidence {
            lots: evidence.lots.clone(),
            ..Default::default()
        };
        let value = match &observation.reading {
            Reading::Lot(lot) => lot.clone(),
            _ => None,
        };
        after.lots.insert(Point { at: observation.at, seq: observation.seq, value });
        let line = self.plant().machines.get(&observation.machine).map(|m| &m.line);
        for order in self.orders.values().filter(|order| Some(&order.request.line) == line) {
            self.trace(order, &observation.machine, &after, out);
        }
    }

    /// The difference between the lots a machine used in an order's runs and those recorded.
    fn trace(
        &self,
        order: &Order,
        machine: &MachineId,
        evidence: &crate::domain::evidence::MachineEvidence,
        out: &mut Vec<Event>,
    ) {
        let used = lots_used(evidence, order);
        let recorded = order.consumed.iter().filter(|(m, _, _)| m == machine);
        let operation = |lot: &_, at: &_| LotOperation {
            kind: LotOperationKind::Consumed,
            lot: Clone::clone(lot),
            order: order.id().clone(),
            product: order.request.product.clone(),
            machine: Some(machine.clone()),
            at: *at,
            quantity: None,
            assignment: Assignment::TimeWindow,
            actor: machine.to_string(),
        };
        for (_, lot, at) in recorded.clone() {
            if !used.iter().any(|(l, t)| l == lot && t == at) {
                out.push(Event::LotVoided(operation(lot, at)));
            }
        }
        for (lot, at) in &used {
            if !recorded.clone().any(|(_, l, t)| l == lot && t == at) {
                out.push(Event::LotRecorded(operation(lot, at)));
            }
        }
    }

    fn archive(&self, now: Timestamp, out: &mut Vec<Event>) {
        let Some(retention) = self.retention else {
            return;
        };
        let ticks = (now - retention).ticks().div_euclid(ARCHIVE_STEP) * ARCHIVE_STEP;
        let before = Timestamp::from_ticks(ticks);
        let due = |machine: &&MachineId| self.archive_due(machine).is_some_and(|due| due <= now);
        let leaving: BTreeSet<&MachineId> = self.evidence.keys().filter(due).collect();
        let archived =
            |machine: &&MachineId| Event::Archived { machine: (*machine).clone(), before };
        out.extend(leaving.iter().map(archived));
        let archived_to = |machine: &MachineId| {
            if leaving.contains(machine) { before } else { self.archived_to(machine) }
        };
        let is_due = |order: &&Order| self.may_retire(order, now, &archived_to);
        let retired = self.orders.values().filter(is_due);
        out.extend(retired.map(|order| Event::OrderRetired(order.id().clone())));
    }

    /// Nobody watched the machines from the last sign of life until their links are up again.
    fn restarted(&self, last_alive: Timestamp, seq: u64, out: &mut Vec<Event>) {
        for (machine, evidence) in &self.evidence {
            if evidence.is_linked() {
                let at = evidence.newest().map_or(last_alive, |newest| newest.max(last_alive));
                let machine = machine.clone();
                out.push(Event::LinkChanged(LinkChange { machine, at, seq, up: false }));
            }
        }
    }

    fn command(&self, input: &CommandInput, out: &mut Vec<Event>) -> Result<Outcome, Rejection> {
        match &input.command {
            Command::StoreOrder(request) => self.store_order(request, input, out),
            Command::MoveOrder { order, command } => self.move_order(order, *command, input, out),
            Command::Report(report) => self.report(report, input, out),
            Command::Consume(consumption) => self.consume(consumption, input, out),
            Command::Remark { machine, remark, comment } => {
                self.remark(machine, (remark, comment), input, out)
            }
            Command::LogOn { machine, person } => self.log_on(machine, person.as_ref(), input, out),
            Command::Condition(command) => self.act(command, input, out),
            Command::Transfer { machine, transfer } => {
                self.machine_is_known(machine)?;
                if !self.transfers.get(machine).is_some_and(|known| known.has(transfer)) {
                    let (machine, transfer) = (machine.clone(), transfer.clone());
                    out.push(Event::OrderTransferred { machine, transfer, at: input.at });
                }
                Ok(Outcome::Noted)
            }
            Command::NoteShift { line, shift, text } => {
                self.note_shift(line, *shift, text, (input, out))
            }
        }
    }

    fn store_order(
        &self,
        request: &OrderRequest,
        input: &CommandInput,
        out: &mut Vec<Event>,
    ) -> Result<Outcome, Rejection> {
        let unchanged = |order: &Order| {
            Ok(Outcome::Order { order: Box::new(order.clone()), change: Change::Unchanged })
        };
        if let Some(order) = self.orders.get(&request.id) {
            let current = &order.request;
            if request.revision < current.revision || request == current {
                return unchanged(order);
            }
            if request.revision == current.revision {
                let (order, revision) = (request.id.clone(), request.revision);
                return Err(Rejection::RevisionConflict { order, revision });
            }
        }
        if !self.plant().lines.contains_key(&request.line) {
            return Err(Rejection::UnknownLine(request.line.clone()));
        }
        if !self.plant().products.contains_key(&request.product) {
            return Err(Rejection::UnknownProduct(request.product.clone()));
        }
        if request.quantity <= Quantity::ZERO {
            return Err(Rejection::QuantityNotPositive(request.id.clone()));
        }
        if request.ideal_cycle.is_some_and(|cycle| cycle <= Span::ZERO) {
            return Err(Rejection::IdealCycleNotPositive(request.id.clone()));
        }
        let (after, change) = match self.orders.get(&request.id) {
            None => (Order::new(request.clone(), input.at), Change::Created),
            Some(order) => (self.revise(order, request)?, Change::Changed),
        };
        let (request, at, actor) = (request.clone(), input.at, input.actor.clone());
        out.push(Event::OrderStored { request, at, actor });
        Ok(Outcome::Order { order: Box::new(after), change })
    }

    fn revise(&self, order: &Order, request: &OrderRequest) -> Result<Order, Rejection> {
        let current = &order.request;
        let moved = (&request.line, &request.product, &request.lot)
            != (&current.line, &current.product, &current.lot);
        let begun = !order.state.is_prepared();
        if order.state.is_final() || (begun && moved) {
            let (order, state) = (request.id.clone(), order.state);
            return Err(Rejection::OrderHasBegun { order, state });
        }
        let mut after = order.clone();
        after.revise(request.clone());
        Ok(after)
    }

    fn find_order(&self, id: &OrderId) -> Result<(&Order, &Line), Rejection> {
        let order = self.orders.get(id).ok_or_else(|| Rejection::UnknownOrder(id.clone()))?;
        let line = &order.request.line;
        let line = self.plant().lines.get(line).ok_or_else(|| Rejection::UnknownLine(line.clone()));
        Ok((order, line?))
    }

    fn move_order(
        &self,
        id: &OrderId,
        command: JobCommand,
        input: &CommandInput,
        out: &mut Vec<Event>,
    ) -> Result<Outcome, Rejection> {
        let (order, line) = self.find_order(id)?;
        let Some(state) = transition(order.state, command) else {
            let (order, state) = (id.clone(), order.state);
            return Err(Rejection::IllegalCommand { order, state, command });
        };
        if input.at < order.changed && !order.runs.is_empty() {
            return Err(Rejection::OutOfOrder(id.clone()));
        }
        if state == JobState::Running {
            self.line_is_free(line, id, input.at)?;
        }
        let mut after = order.clone();
        after.advance(state, input.at);
        let (actor, at) = (input.actor.clone(), input.at);
        out.push(Event::OrderMoved { order: id.clone(), command, state, at, actor });
        self.trace_order(line, &after, input, out);
        if !after.runs.is_empty() {
            let totals = self.totals(&after);
            let kind = ConfirmationKind::StateChanged;
            out.push(Event::Confirmed(self.confirmation(&after, kind, at, totals)));
        }
        Ok(Outcome::Order { order: Box::new(after), change: Change::Changed })
    }

    fn line_is_free(&self, line: &Line, id: &OrderId, at: Timestamp) -> Result<(), Rejection> {
        let taken = |run: &&OrderRun| run.window().to > at && run.order != *id;
        match self.runs(&line.id).iter().rev().find(taken) {
            Some(run) => {
                let (line, running) = (line.id.clone(), run.order.clone());
                Err(Rejection::LineBusy { line, running })
            }
            None => Ok(()),
        }
    }

    /// Records the lot that an order makes when it first runs, and the lots in use on its line.
    fn trace_order(&self, line: &Line, order: &Order, input: &CommandInput, out: &mut Vec<Event>) {
        if order.state == JobState::Running && order.runs.len() == 1 {
            out.push(Event::LotRecorded(LotOperation {
                kind: LotOperationKind::Produced,
                lot: order.lot(),
                order: order.id().clone(),
                product: order.request.product.clone(),
                machine: Some(line.outfeed.clone()),
                at: input.at,
                quantity: None,
                assignment: Assignment::OrderWide,
                actor: input.actor.clone(),
            }));
        }
        for machine in &line.machines {
            if let Some(evidence) = self.evidence.get(machine) {
                self.trace(order, machine, evidence, out);
            }
        }
    }

    fn report(
        &self,
        report: &Report,
        input: &CommandInput,
        out: &mut Vec<Event>,
    ) -> Result<Outcome, Rejection> {
        let (order, line) = self.find_order(&report.order)?;
        if order.runs.is_empty() || order.state == JobState::Closed {
            let (order, state) = (report.order.clone(), order.state);
            return Err(Rejection::ReportNotAllowed { order, state });
        }
        if [report.good, report.scrap, report.rework, report.rework_good] == [0; 4] {
            return Err(Rejection::NothingReported(report.order.clone()));
        }
        if let Some(reason) = &report.reason {
            self.reason_is_known(reason)?;
        }
        let counted = self.counts_good(line);
        let totals = self.totals(order);
        if counted && report.good > 0 {
            let (line, machine) = (line.id.clone(), line.outfeed.clone());
            return Err(Rejection::GoodIsCounted { line, machine });
        }
        let (scrap, rework) = (i64::from(report.scrap), i64::from(report.rework));
        if counted && scrap + rework > totals.good {
            let (order, good) = (report.order.clone(), totals.good);
            return Err(Rejection::ScrapExceedsGood { order, good });
        }
        let (good, rework_good) = (i64::from(report.good), i64::from(report.rework_good));
        let adjustment = Adjustment {
            at: input.at,
            seq: input.seq,
            order: report.order.clone(),
            good: if counted { -scrap - rework } else { good },
            reject: scrap,
            rework,
            rework_good,
        };
        let mut after = order.clone();
        after.book(report.lot.as_ref(), report.good);
        let mut total = totals;
        total.good += adjustment.good;
        total.scrap += adjustment.reject;
        total.rework += adjustment.rework - adjustment.rework_good;
        out.push(Event::Reported {
            machine: line.outfeed.clone(),
            adjustment,
            good: report.good,
            lot: report.lot.clone(),
            reason: report.reason.clone(),
            actor: input.actor.clone(),
        });
        self.record_reported_lot(report, order, line, input, out);
        let kind = ConfirmationKind::Reported;
        out.push(Event::Confirmed(self.confirmation(&after, kind, input.at, total)));
        Ok(Outcome::Order { order: Box::new(after), change: Change::Changed })
    }

    fn record_reported_lot(
        &self,
        report: &Report,
        order: &Order,
        line: &Line,
        input: &CommandInput,
        out: &mut Vec<Event>,
    ) {
        let Some(lot) = report.lot.as_ref().filter(|lot| **lot != order.lot()) else {
            return;
        };
        out.push(Event::LotRecorded(LotOperation {
            kind: LotOperationKind::Produced,
            lot: lot.clone(),
            order: order.id().clone(),
            product: order.request.product.clone(),
            machine: Some(line.outfeed.clone()),
            at: input.at,
            quantity: Some(Quantity::from_whole(report.good.into())),
            assignment: Assignment::Stated,
            actor: input.actor.clone(),
        }));
    }

    fn consume(
        &self,
        consumption: &Consumption,
        input: &CommandInput,
        out: &mut Vec<Event>,
    ) -> Result<Outcome, Rejection> {
        let (order, _) = self.find_order(&consumption.order)?;
        if order.runs.is_empty() || order.state == JobState::Closed {
            let (order, state) = (consumption.order.clone(), order.state);
            return Err(Rejection::ReportNotAllowed { order, state });
        }
        if let Some(machine) = &consumption.machine {
            self.machine_is_known(machine)?;
        }
        if consumption.quantity.is_some_and(|quantity| quantity <= Quantity::ZERO) {
            return Err(Rejection::NothingReported(consumption.order.clone()));
        }
        if consumption.lot == order.lot() || order.produced.contains_key(&consumption.lot) {
            return Err(Rejection::LotFromItself(consumption.lot.clone()));
        }
        out.push(Event::LotRecorded(LotOperation {
            kind: LotOperationKind::Consumed,
            lot: consumption.lot.clone(),
            order: order.id().clone(),
            product: order.request.product.clone(),
            machine: consumption.machine.clone(),
            at: input.at,
            quantity: consumption.quantity,
            assignment: Assignment::Stated,
            actor: input.actor.clone(),
        }));
        Ok(Outcome::Order { order: Box::new(order.clone()), change: Change::Changed })
    }

    /// Somebody begins or ends to work at a machine.
    fn log_on(
        &self,
        machine: &MachineId,
        person: Option<&PersonId>,
        input: &CommandInput,
        out: &mut Vec<Event>,
    ) -> Result<Outcome, Rejection> {
        self.machine_is_known(machine)?;
        let observation = Observation {
            machine: machine.clone(),
            role: SignalRole::Operator,
            at: input.at,
            received: input.at,
            seq: input.seq,
            status: 0,
            raw: RawValue::Text(person.map_or_else(String::new, ToString::to_string)),
            reading: Reading::Operator(person.cloned()),
        };
        self.observe(&observation, out)
    }

    pub(super) fn reason_is_known(&self, reason: &ReasonId) -> Result<(), Rejection> {
        let known = self.plant().reasons.contains_key(reason);
        if known { Ok(()) } else { Err(Rejection::UnknownReason(reason.clone())) }
    }
}
