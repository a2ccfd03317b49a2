//! Conditions of machines: when they begin and end by themselves, and what people do about them.

use super::Core;
use super::look::Told;
use super::tell::Teller;
use crate::domain::command::{CommandInput, ConditionCommand, Look, Outcome, RemarkCommand};
use crate::domain::event::Event;
use crate::domain::id::MachineId;
use crate::domain::notice::condition::{
    Change, Comment, ConditionSource, SHELVED_LONGEST, Shelving,
};
use crate::domain::notice::{Condition, ConditionAction, ConditionId, ConditionRefusal, Matter};
use crate::domain::oee::stops::Stop;
use crate::domain::plant::Machine;
use crate::domain::rejection::Rejection;
use crate::domain::signal::MachineState;
use crate::domain::time::{Span, Timestamp, Window};

/// A link that comes back within this long was no condition.
const LINK_GRACE: Span = Span::from_seconds(10);
/// Stops of one machine that are conditions at the same time; older ones are history.
const BRANCHES_MAX: usize = 50;

/// Severities (OPC 10000-5 §6.4.2: above 667 is high, below 334 low).
mod severity {
    pub const LINK: u16 = 700;
    pub const DOWN: u16 = 700;
    pub const SETUP_OR_IDLE: u16 = 500;
    pub const BLOCKED_OR_STARVED: u16 = 400;
    pub const OVER: u16 = 200;
}

/// The condition of a stop.
pub(super) fn of_stop(machine: &MachineId, start: Timestamp) -> ConditionId {
    ConditionId::Stop(machine.clone(), start)
}

fn severity_of(state: MachineState) -> u16 {
    match state {
        MachineState::Down => severity::DOWN,
        MachineState::Setup | MachineState::Idle | MachineState::Running => severity::SETUP_OR_IDLE,
        MachineState::Blocked | MachineState::Starved => severity::BLOCKED_OR_STARVED,
    }
}

impl Core {
    /// The conditions with their branches: those that anybody has to do something about, and the last
    /// of each kind and machine.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.conditions.values()
    }

    /// The newest branch of a condition; a quiet one where nothing has happened yet.
    pub fn condition(&self, source: &ConditionSource) -> Condition {
        let newest = self.branches(source).next_back();
        let quiet = || {
            let id = match source {
                ConditionSource::Stops(machine) => of_stop(machine, Timestamp::MIN),
                ConditionSource::Link(machine) => ConditionId::Link(machine.clone()),
            };
            Condition::quiet(id, Timestamp::MIN)
        };
        newest.cloned().unwrap_or_else(quiet)
    }

    /// The branches of a condition, oldest first.
    fn branches(
        &self,
        source: &ConditionSource,
    ) -> impl DoubleEndedIterator<Item = &Condition> + use<'_> {
        let machine = source.machine().clone();
        let (first, last) = match source {
            ConditionSource::Stops(_) => {
                (of_stop(&machine, Timestamp::MIN), of_stop(&machine, Timestamp::MAX))
            }
            ConditionSource::Link(_) => {
                (ConditionId::Link(machine.clone()), ConditionId::Link(machine))
            }
        };
        self.conditions.range(first..=last).map(|(_, condition)| condition)
    }

    /// Whether a stop is a condition already, or need not be one.
    pub(super) fn is_told_as_condition(&self, machine: &MachineId, stop: &Stop) -> bool {
        let condition = self.conditions.get(&of_stop(machine, stop.start));
        condition.is_some_and(|condition| condition.active.is && !condition.confirmed.is)
    }

    /// Whether time itself can change a condition of a machine.
    pub(super) fn conditions_move(&self, machine: &MachineId, now: Timestamp) -> bool {
        let is_over = |shelving: Shelving| matches!(shelving, Shelving::Timed(to) if to <= now);
        let link = self.conditions.get(&ConditionId::Link(machine.clone()));
        self.is_linked(machine) == link.is_some_and(|link| link.active.is)
            || link.is_some_and(|link| is_over(link.shelving))
            || is_over(self.condition(&ConditionSource::Stops(machine.clone())).shelving)
    }

    /// Keeps a condition as it was told, and of the others what is still needed.
    pub(super) fn keep_condition(&mut self, condition: &Condition) {
        let id = condition.id.clone();
        self.conditions.insert(id.clone(), condition.clone());
        let source = id.source();
        let newest = self.branches(&source).next_back().map(|branch| branch.id.clone());
        self.conditions.retain(|known, branch| {
            !known.is_branch_of(&id) || branch.retain || Some(known) == newest.as_ref()
        });
    }

    /// Compares the conditions of a machine with what is so.
    pub(super) fn look_at_conditions(
        &self,
        machine: &MachineId,
        (known, stops): (Option<&Told>, &[Stop]),
        window: Window,
        look: &Look,
        teller: &mut Teller<'_>,
    ) {
        self.look_at_link(machine, look, teller);
        self.look_at_shelving(machine, look.now, teller);
        let source = ConditionSource::Stops(machine.clone());
        let mut trunk = self.condition(&source);
        if !trunk.enabled.is {
            return;
        }
        let told_from = known.map_or(window.from, |known| known.from);
        for stop in stops.iter().filter(|s| s.end.is_none() || s.start >= told_from) {
            if stop.record == stop.start {
                self.look_at_stop(machine, stop, &trunk, look.now, teller);
                let of_this = teller.told_of(&of_stop(machine, stop.start));
                trunk = of_this.filter(|told| told.id > trunk.id).cloned().unwrap_or(trunk);
            }
        }
        let is_gone = |branch: &&Condition| match &branch.id {
            ConditionId::Stop(_, start) => {
                branch.retain
                    && window.contains(*start)
                    && stops.iter().all(|stop| stop.start != *start || stop.record != *start)
            }
            ConditionId::Link(_) => false,
        };
        for gone in self.branches(&source).filter(is_gone) {
            let change = Change {
                active: Some(false),
                acked: Some(true),
                confirmed: Some(true),
                severity: Some(severity::OVER),
                message: Some(format!("{} did not stand then", self.name_of(machine))),
                ..Change::default()
            };
            teller.of_condition(gone, change, look.now);
        }
        self.end_oldest(&source, look.now, teller);
        self.look_at_quality(&source, look.now, teller);
    }

    /// Whoever looks at a condition of a machine that says nothing any more is told so.
    fn look_at_quality(&self, source: &ConditionSource, now: Timestamp, teller: &mut Teller<'_>) {
        let is_linked = self.is_linked(source.machine());
        let retained = self.branches(source).filter(|branch| branch.retain);
        for branch in retained.filter(|branch| branch.known.is != is_linked) {
            let change = Change { known: Some(is_linked), ..Change::default() };
            teller.of_condition(branch, change, now);
        }
    }

    fn is_linked(&self, machine: &MachineId) -> bool {
        self.evidence.get(machine).is_some_and(|evidence| evidence.is_linked())
    }

    /// Of very many branches the oldest are told to be over; the list of stops has them all.
    fn end_oldest(&self, source: &ConditionSource, now: Timestamp, teller: &mut Teller<'_>) {
        let retained: Vec<_> = self.branches(source).filter(|branch| branch.retain).collect();
        let surplus = retained.len().saturating_sub(BRANCHES_MAX);
        for oldest in retained.into_iter().take(surplus) {
            let change = Change {
                acked: Some(true),
                confirmed: Some(true),
                message: Some("an old stop; it stays on the list of stops to explain".into()),
                ..Change::default()
            };
            teller.of_condition(oldest, change, now);
        }
    }

    fn look_at_stop(
        &self,
        machine: &MachineId,
        stop: &Stop,
        trunk: &Condition,
        now: Timestamp,
        teller: &mut Teller<'_>,
    ) {
        let plant = self.history.at(stop.start);
        let Some(described) = plant.machines.get(machine) else {
            return;
        };
        let id = of_stop(machine, stop.start);
        let unexplained = stop.needs_explanation(plant, described, now);
        let known = self.conditions.get(&id);
        let stands = stop.end.is_none();
        let (message, severity) = self.told_of(described, stop, unexplained);
        match known {
            None if unexplained => {
                // Who has still to do something about the one before finds it as a branch.
                let before = teller.told_of(&trunk.id).unwrap_or(trunk);
                if before.retain && before.id < id {
                    teller.of_condition(trunk, Change { branch: true, ..Change::default() }, now);
                }
                let before = Condition {
                    branch: trunk.id > id,
                    state: Some(stop.state),
                    shelving: trunk.shelving,
                    shelved_at: trunk.shelved_at,
                    ..Condition::quiet(id, now)
                };
                let change = Change {
                    active: Some(stands),
                    acked: Some(false),
                    confirmed: Some(false),
                    known: Some(self.is_linked(machine)),
                    severity: Some(severity),
                    message: Some(message),
                    ..Change::default()
                };
                teller.of_condition(&before, change, now);
            }
            Some(known) if known.active.is != stands || known.confirmed.is == unexplained => {
                let said = stop.cause.as_ref().and_then(|cause| cause.said.as_ref());
                let said = said.filter(|_| !unexplained).map(|said| Comment {
                    text: said.comment.clone(),
                    at: said.at,
                    actor: said.actor.clone(),
                });
                let ends = known.active.is && !stands && known.shelving == Shelving::OneShot;
                let change = Change {
                    active: Some(stands),
                    confirmed: Some(!unexplained),
                    // Whoever says why it stood has seen that it stood.
                    acked: (!unexplained).then_some(true),
                    shelving: ends.then_some(Shelving::Unshelved),
                    comment: said,
                    severity: Some(severity),
                    message: Some(message),
                    ..Change::default()
                };
                teller.of_condition(known, change, now);
            }
            _ => {}
        }
    }

    /// What people are told of a stop, and how urgent it is.
    fn told_of(&self, machine: &Machine, stop: &Stop, unexplained: bool) -> (String, u16) {
        let stands = stop.end.is_none();
        let verb = if stands { "stands" } else { "stood" };
        let state = stop.state.as_str();
        let severity = if stands && unexplained { severity_of(stop.state) } else { severity::OVER };
        let reason = stop.cause.as_ref().filter(|_| !unexplained).map(|cause| &cause.reason);
        let reason = reason.map(|key| match self.plant().reasons.get(key) {
            Some(reason) => reason.name.clone(),
            None => key.to_string(),
        });
        let why = match reason {
            Some(reason) => reason,
            None if unexplained => format!("{state}, nobody has said why"),
            None => format!("{state}, which needs no reason"),
        };
        (format!("{} {verb}: {why}", machine.name), severity)
    }

    fn name_of(&self, machine: &MachineId) -> String {
        let described = self.plant().machines.get(machine);
        described.map_or_else(|| machine.to_string(), |machine| machine.name.clone())
    }

    fn look_at_link(&self, machine: &MachineId, look: &Look, teller: &mut Teller<'_>) {
        let evidence = self.evidence.get(machine);
        let is_up = self.is_linked(machine);
        let changed = evidence.and_then(|evidence| evidence.links.last()).map(|last| last.at);
        let lost = changed.map_or(look.running_since, |at| at.max(look.running_since));
        let known = self.condition(&ConditionSource::Link(machine.clone()));
        let is_lost = !is_up && (known.active.is || look.now - lost >= LINK_GRACE);
        if known.active.is == is_lost || !known.enabled.is {
            return;
        }
        let name = self.name_of(machine);
        let change = if is_lost {
            Change {
                active: Some(true),
                acked: Some(false),
                severity: Some(severity::LINK),
                message: Some(format!("no connection to {name}")),
                ..Change::default()
            }
        } else {
            let once = known.shelving == Shelving::OneShot;
            Change {
                active: Some(false),
                shelving: once.then_some(Shelving::Unshelved),
                severity: Some(severity::OVER),
                message: Some(format!("the connection to {name} is back")),
                ..Change::default()
            }
        };
        teller.of_condition(&known, change, look.now);
    }

    fn look_at_shelving(&self, machine: &MachineId, now: Timestamp, teller: &mut Teller<'_>) {
        let sources =
            [ConditionSource::Stops(machine.clone()), ConditionSource::Link(machine.clone())];
        for source in sources {
            let newest = self.condition(&source);
            if matches!(newest.shelving, Shelving::Timed(until) if until <= now) {
                let shelving = Some(Shelving::Unshelved);
                teller.of_condition(&newest, Change { shelving, ..Change::default() }, now);
            }
        }
    }

    /// The branch that a notice has told of; the newest where none is given.
    pub fn branch(
        &self,
        source: &ConditionSource,
        notice: Option<u64>,
    ) -> Result<Condition, Rejection> {
        let Some(number) = notice else {
            return Ok(self.condition(source));
        };
        let mut branches = self.branches(source).rev();
        let named = branches.find(|branch| branch.known_by.contains(&number));
        let unknown = ConditionRefusal::UnknownNotice;
        named.cloned().ok_or_else(|| Rejection::Condition(source.machine().clone(), unknown))
    }

    /// Tells what was said of stops that are too old to be looked at.
    pub(super) fn tell_old_stops(
        &self,
        input: &CommandInput,
        stops: &[Stop],
        facts: &mut Vec<Event>,
    ) {
        let spoken_of = facts.iter().find_map(|fact| match fact {
            Event::Remarked { machine, .. } => Some(machine.clone()),
            _ => None,
        });
        let Some(machine) = spoken_of else {
            return;
        };
        let told_from = self.told(&machine).map_or(Timestamp::MAX, |told| told.from);
        let mut teller = Teller::after(self, facts, input.at);
        let trunk = self.condition(&ConditionSource::Stops(machine.clone()));
        for stop in stops.iter().filter(|s| s.end.is_some() && s.start < told_from) {
            teller.of_machine(&machine, input.at, Matter::StopClassified(stop.clone()));
            if stop.record == stop.start
                && self.conditions.contains_key(&of_stop(&machine, stop.start))
            {
                self.look_at_stop(&machine, stop, &trunk, input.at, &mut teller);
            }
        }
        facts.extend(teller.into_facts());
    }

    /// Somebody does something about a condition.
    pub(super) fn act(
        &self,
        command: &ConditionCommand,
        input: &CommandInput,
        out: &mut Vec<Event>,
    ) -> Result<Outcome, Rejection> {
        let ConditionCommand { source, action, notice, comment, reason } = command;
        self.machine_is_known(source.machine())?;
        let condition = self.branch(source, *notice)?;
        if let (ConditionAction::Confirm, Some(reason), ConditionId::Stop(machine, start)) =
            (action, reason, &condition.id)
            && !condition.confirmed.is
        {
            let remark = RemarkCommand::Classify { stop: *start, reason: reason.clone() };
            return self.remark(machine, (&remark, comment), input, out);
        }
        let mut change = what_changes(&condition, action, input)?;
        if !comment.is_empty() || *action == ConditionAction::Comment {
            let (text, at, actor) = (comment.to_owned(), input.at, input.actor.clone());
            change.comment = Some(Comment { text, at, actor });
        }
        let mut teller = Teller::after(self, out, input.at);
        teller.of_condition(&condition, change, input.at);
        if *action == ConditionAction::Disable {
            let others = self.branches(source).filter(|other| other.id != condition.id);
            for branch in others {
                let change = Change { enabled: Some(false), ..Change::default() };
                teller.of_condition(branch, change, input.at);
            }
        }
        out.extend(teller.into_facts());
        Ok(Outcome::Noted)
    }
}

/// What an action changes, if it can be done now (OPC 10000-9 §5.5 to §5.8).
fn what_changes(
    condition: &Condition,
    action: &ConditionAction,
    input: &CommandInput,
) -> Result<Change, Rejection> {
    let refused = |why| Rejection::Condition(condition.id.machine().clone(), why);
    if !condition.enabled.is && *action != ConditionAction::Enable {
        return Err(refused(match action {
            ConditionAction::Disable => ConditionRefusal::AlreadyDisabled,
            _ => ConditionRefusal::Disabled,
        }));
    }
    let change = Change::default();
    let shelving = |shelving| Change { shelving: Some(shelving), ..Change::default() };
    Ok(match action {
        ConditionAction::Acknowledge if condition.acked.is => {
            return Err(refused(ConditionRefusal::AlreadyAcknowledged));
        }
        ConditionAction::Acknowledge => Change { acked: Some(true), ..change },
        ConditionAction::Confirm if condition.confirmed.is => {
            return Err(refused(ConditionRefusal::AlreadyConfirmed));
        }
        // Only its reason confirms a stop; see the command that classifies it.
        ConditionAction::Confirm => return Err(refused(ConditionRefusal::ReasonIsMissing)),
        ConditionAction::Comment => change,
        ConditionAction::Enable if condition.enabled.is => {
            return Err(refused(ConditionRefusal::AlreadyEnabled));
        }
        ConditionAction::Enable => Change { enabled: Some(true), ..change },
        ConditionAction::Disable => Change { enabled: Some(false), ..change },
        ConditionAction::ShelveFor(span) if *span <= Span::ZERO || *span > SHELVED_LONGEST => {
            return Err(refused(ConditionRefusal::ShelvingTime));
        }
        ConditionAction::ShelveFor(span) => shelving(Shelving::Timed(input.at + *span)),
        ConditionAction::ShelveOnce if condition.shelving == Shelving::OneShot => {
            return Err(refused(ConditionRefusal::AlreadyShelved));
        }
        ConditionAction::ShelveOnce => shelving(Shelving::OneShot),
        ConditionAction::Unshelve if !condition.shelving.holds(input.at) => {
            return Err(refused(ConditionRefusal::NotShelved));
        }
        ConditionAction::Unshelve => shelving(Shelving::Unshelved),
    })
}
