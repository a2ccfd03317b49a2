//! Looking at machines: what is so is compared with what was told, and the difference is told.
//!
//! So it does not matter what has changed a machine's time, a value in order, a late one, a person or
//! time itself: everything is told once, and nothing that was told stays wrong.

use std::collections::BTreeMap;

use super::Core;
use super::tell::Teller;
use crate::domain::command::Look;
use crate::domain::event::Event;
use crate::domain::evidence::Observation;
use crate::domain::id::MachineId;
use crate::domain::notice::{Matter, Notice};
use crate::domain::oee::stops::Stop;
use crate::domain::signal::{MachineState, SignalRole};
use crate::domain::time::{Span, Timestamp, Window};

const TICK: Span = Span::from_ticks(1);

/// What was told of a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// What lies before this was never told, or can no longer be compared.
    pub from: Timestamp,
    /// The last state that was told, and since when it holds.
    pub state: Option<(Timestamp, Option<MachineState>)>,
    /// Stops by their starts.
    pub stops: BTreeMap<Timestamp, Stop>,
}

/// Values that came late and were not told yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Late {
    values: u64,
    oldest: Timestamp,
    newest: Timestamp,
}

impl Core {
    /// Tells what is otherwise than it was told.
    pub(super) fn look(&self, look: &Look, out: &mut Vec<Event>) {
        let mut teller = Teller::after(self, out, look.now);
        for (machine, from) in &look.machines {
            if self.plant().machines.contains_key(machine) {
                self.look_at(machine, *from, look, &mut teller);
            }
        }
        out.extend(teller.into_facts());
    }

    /// The machines that time itself can have changed since they were looked at.
    pub fn looks_due(&self, now: Timestamp) -> Vec<MachineId> {
        let is_due = |machine: &&MachineId| {
            let stands = || {
                let open = self.told.get(*machine).and_then(|told| told.stops.values().next_back());
                open.is_some_and(|stop| {
                    stop.end.is_none() && !self.is_told_as_condition(machine, stop)
                })
            };
            self.derives_states(machine) || stands() || self.conditions_move(machine, now)
        };
        self.plant().machines.keys().filter(is_due).cloned().collect()
    }

    /// Whether a value of a signal can change what was told of a machine.
    pub fn can_tell(&self, machine: &MachineId, role: SignalRole) -> bool {
        let is_told = !role.is_counter() && role != SignalRole::Lot;
        is_told || self.derives_states(machine) || self.late.contains_key(machine)
    }

    /// What was told of a machine.
    pub fn told(&self, machine: &MachineId) -> Option<&Told> {
        self.told.get(machine)
    }

    fn look_at(&self, machine: &MachineId, from: Timestamp, look: &Look, teller: &mut Teller<'_>) {
        let known = self.told.get(machine);
        if let Some(late) = self.late.get(machine) {
            let Late { values, oldest, newest } = *late;
            teller.of_machine(machine, look.now, Matter::LateData { values, oldest, newest });
        }
        let told_from = known.map_or(from, |known| known.from);
        // A stop that a value ends is over right before the first instant that the value changes.
        let from = (from - TICK).max(told_from).min(look.now);
        let window = Window { from, to: look.now + TICK };
        let stops = self.facts_at(look.now).stops(machine, window);
        self.tell_states(machine, known, window, teller);
        self.tell_stops(machine, (known, &stops), window, look.now, teller);
        self.look_at_conditions(machine, (known, &stops), window, look, teller);
    }

    fn tell_states(
        &self,
        machine: &MachineId,
        known: Option<&Told>,
        window: Window,
        teller: &mut Teller<'_>,
    ) {
        let last = known.and_then(|known| known.state);
        let mut before = last.and_then(|(_, state)| state);
        let mut is_first = last.is_none();
        for point in self.facts_at(window.to - TICK).track(machine, window) {
            let is_new = last.is_none_or(|(at, _)| point.at > at);
            if is_new && (is_first || point.state != before) && point.at < window.to {
                let matter = Matter::StateChanged { from: before, to: point.state };
                teller.of_machine(machine, point.at, matter);
                (before, is_first) = (point.state, false);
            }
        }
    }

    fn tell_stops(
        &self,
        machine: &MachineId,
        (known, stops): (Option<&Told>, &[Stop]),
        window: Window,
        now: Timestamp,
        teller: &mut Teller<'_>,
    ) {
        let touches =
            |stop: &&Stop| stop.start < window.to && stop.end.is_none_or(|end| end > window.from);
        let was: Vec<&Stop> =
            known.into_iter().flat_map(|known| known.stops.values().filter(touches)).collect();
        let mut new: Vec<&Stop> = Vec::new();
        for stop in stops {
            match was.iter().find(|known| known.start == stop.start) {
                Some(known) => tell_difference(machine, known, stop, now, teller),
                None => new.push(stop),
            }
        }
        for gone in was.iter().filter(|known| stops.iter().all(|stop| stop.start != known.start)) {
            let meets = |stop: &&Stop| stop.window().intersect(gone.window()).is_some();
            let instead = new.iter().position(meets).map(|index| new.remove(index));
            let matter = Matter::StopRevised { was: gone.window(), stop: instead.cloned() };
            teller.of_machine(machine, now, matter);
        }
        // What ended before anything was told is history, not news.
        let told_from = known.map_or(window.from, |known| known.from);
        for stop in new.into_iter().filter(|s| s.end.is_none_or(|_| s.start >= told_from)) {
            let started = Stop { end: None, physical: None, ..stop.clone() };
            teller.of_machine(machine, stop.start, Matter::StopStarted(started));
            if let Some(end) = stop.end {
                teller.of_machine(machine, end, Matter::StopEnded(stop.clone()));
            }
        }
    }

    /// Notes what was told.
    pub(super) fn note_notice(&mut self, notice: &Notice) {
        self.seen(notice.told);
        self.notices = self.notices.max(notice.number);
        match (&notice.machine, &notice.matter) {
            (_, Matter::Condition(condition)) => self.keep_condition(condition),
            (Some(machine), Matter::LateData { .. }) => {
                self.late.remove(machine);
            }
            (Some(machine), matter) => self.note_told(machine, notice.at, matter),
            (None, _) => {}
        }
    }

    fn note_told(&mut self, machine: &MachineId, at: Timestamp, matter: &Matter) {
        let is_told = matches!(
            matter,
            Matter::StateChanged { .. }
                | Matter::StopStarted(_)
                | Matter::StopEnded(_)
                | Matter::StopClassified(_)
                | Matter::StopRevised { .. }
        );
        if !is_told {
            return;
        }
        let told = self.told.entry(machine.clone());
        let told = told.or_insert_with(|| Told { from: at, state: None, stops: BTreeMap::new() });
        match matter {
            Matter::StateChanged { to, .. } => told.state = Some((at, *to)),
            Matter::StopStarted(stop) | Matter::StopEnded(stop) | Matter::StopClassified(stop) => {
                told.stops.insert(stop.start, stop.clone());
            }
            Matter::StopRevised { was, stop } => {
                told.stops.remove(&was.from);
                told.stops.extend(stop.as_ref().map(|stop| (stop.start, stop.clone())));
            }
            _ => {}
        }
    }

    /// Whether a value is older than what is known of its signal.
    pub(super) fn is_late(&self, observation: &Observation) -> bool {
        let evidence = self.evidence.get(&observation.machine);
        let newest = evidence.and_then(|evidence| evidence.newest_of(observation.role));
        newest.is_some_and(|newest| observation.at < newest)
    }

    /// Notes a value that is older than what was known of its signal.
    pub(super) fn note_late(&mut self, machine: &MachineId, at: Timestamp) {
        let late = self.late.entry(machine.clone());
        let late = late.or_insert(Late { values: 0, oldest: at, newest: at });
        late.values += 1;
        (late.oldest, late.newest) = (late.oldest.min(at), late.newest.max(at));
    }

    /// Forgets what was told of stops that have left memory.
    pub(super) fn forget_told(&mut self, machine: &MachineId, before: Timestamp) {
        let conditions = &self.conditions;
        if let Some(told) = self.told.get_mut(machine) {
            told.from = told.from.max(before);
            told.stops.retain(|start, stop| {
                let id = super::conditions::of_stop(machine, *start);
                stop.end.is_none_or(|end| end >= before) || conditions.contains_key(&id)
            });
        }
    }
}

/// Tells what is otherwise about a stop that was told.
fn tell_difference(
    machine: &MachineId,
    was: &Stop,
    is: &Stop,
    now: Timestamp,
    teller: &mut Teller<'_>,
) {
    match (was.end, is.end) {
        (None, Some(end)) => teller.of_machine(machine, end, Matter::StopEnded(is.clone())),
        (before, after) if before != after || was.record != is.record => {
            let matter = Matter::StopRevised { was: was.window(), stop: Some(is.clone()) };
            teller.of_machine(machine, now, matter);
        }
        _ => {}
    }
    if was.cause != is.cause {
        let said = is.cause.as_ref().and_then(|cause| cause.said.as_ref());
        let at = said.map_or(now, |said| said.at);
        teller.of_machine(machine, at, Matter::StopClassified(is.clone()));
    }
}
