//! Conditions (OPC 10000-9): what somebody has to look at until it is dealt with.
//!
//! A stop that nobody has explained is a condition of its machine: active while the machine stands,
//! acknowledged when somebody has seen it, confirmed when it has its reason. A lost link is another.
//! A condition changes by [`Condition::with`] only, and every change is told.

use crate::domain::id::MachineId;
use crate::domain::signal::MachineState;
use crate::domain::time::{Span, Timestamp};

/// How many of its own notices a condition can be named by, the newest ones.
const KNOWN_BY_MAX: usize = 16;
/// Longest time for which something can be put aside.
pub const SHELVED_LONGEST: Span = Span::from_seconds(24 * 3600);

/// What a condition is about. Conditions of one machine and kind are branches of one another; the
/// newest is the one that is seen at the machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConditionId {
    /// A stop that has to be explained, by its start.
    Stop(MachineId, Timestamp),
    /// The link to a machine.
    Link(MachineId),
}

impl ConditionId {
    /// The machine.
    pub fn machine(&self) -> &MachineId {
        match self {
            ConditionId::Stop(machine, _) | ConditionId::Link(machine) => machine,
        }
    }

    /// Whether both are branches of one condition.
    pub fn is_branch_of(&self, other: &ConditionId) -> bool {
        self.source() == other.source()
    }

    /// The condition without its branch.
    pub fn source(&self) -> ConditionSource {
        match self {
            ConditionId::Stop(machine, _) => ConditionSource::Stops(machine.clone()),
            ConditionId::Link(machine) => ConditionSource::Link(machine.clone()),
        }
    }
}

/// A condition with all its branches.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConditionSource {
    /// Stops of a machine that have to be explained.
    Stops(MachineId),
    /// The link to a machine.
    Link(MachineId),
}

impl ConditionSource {
    /// The machine.
    pub fn machine(&self) -> &MachineId {
        match self {
            ConditionSource::Stops(machine) | ConditionSource::Link(machine) => machine,
        }
    }
}

/// Whether alarms of a condition are put aside for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Shelving {
    /// They are not.
    #[default]
    Unshelved,
    /// Until an instant.
    Timed(Timestamp),
    /// Until it is no longer active.
    OneShot,
}

impl Shelving {
    /// Whether it is put aside at an instant.
    pub fn holds(self, now: Timestamp) -> bool {
        match self {
            Shelving::Unshelved => false,
            Shelving::Timed(until) => now < until,
            Shelving::OneShot => true,
        }
    }
}

/// A truth with the instant since which it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Since {
    /// Whether it is so.
    pub is: bool,
    /// Since when.
    pub at: Timestamp,
}

/// What was said to a condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Comment {
    /// The text.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
}

/// The state of a condition or of a branch of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// What it is about.
    pub id: ConditionId,
    /// Whether a newer one has taken its place at the machine.
    pub branch: bool,
    /// Whether it is watched at all.
    pub enabled: Since,
    /// Whether what it is about lasts.
    pub active: Since,
    /// Whether somebody has seen it.
    pub acked: Since,
    /// Whether it has been dealt with: the stop has its reason. Links need no confirmation.
    pub confirmed: Since,
    /// Whether what is known of it is up to date: values of the machine arrive.
    pub known: Since,
    /// Whether it was put aside.
    pub shelving: Shelving,
    /// Since when it is put aside or not.
    pub shelved_at: Timestamp,
    /// The last comment.
    pub comment: Option<Comment>,
    /// How urgent it is, from 1 to 1000 (OPC 10000-5 §6.4.2).
    pub severity: u16,
    /// How urgent it was before, and since when it is not.
    pub last_severity: (u16, Timestamp),
    /// The state in which the machine stopped; absent for links.
    pub state: Option<MachineState>,
    /// When it changed last.
    pub changed: Timestamp,
    /// Whether anybody has still to do something about it.
    pub retain: bool,
    /// What it is, for people.
    pub message: String,
    /// Numbers of the notices that told of it, oldest first.
    pub known_by: Vec<u64>,
}

/// What somebody does about a condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConditionAction {
    /// It was seen.
    Acknowledge,
    /// It was dealt with.
    Confirm,
    /// Something is said about it.
    Comment,
    /// It is watched.
    Enable,
    /// It is watched no longer.
    Disable,
    /// It is put aside for a time.
    ShelveFor(Span),
    /// It is put aside until it is no longer active.
    ShelveOnce,
    /// It is no longer put aside.
    Unshelve,
}

/// What about a condition is otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Whether a newer one takes its place.
    pub branch: bool,
    /// Whether it is watched.
    pub enabled: Option<bool>,
    /// Whether it lasts.
    pub active: Option<bool>,
    /// Whether it was seen.
    pub acked: Option<bool>,
    /// Whether it was dealt with.
    pub confirmed: Option<bool>,
    /// Whether what is known of it is up to date.
    pub known: Option<bool>,
    /// Whether it is put aside.
    pub shelving: Option<Shelving>,
    /// What was said.
    pub comment: Option<Comment>,
    /// How urgent it is.
    pub severity: Option<u16>,
    /// What it is.
    pub message: Option<String>,
}

fn changed(old: Since, new: Option<bool>, at: Timestamp) -> Since {
    match new {
        Some(is) if is != old.is => Since { is, at },
        _ => old,
    }
}

impl Condition {
    /// A condition that nothing has happened to yet.
    pub fn quiet(id: ConditionId, at: Timestamp) -> Condition {
        Condition {
            id,
            branch: false,
            enabled: Since { is: true, at },
            active: Since { is: false, at },
            acked: Since { is: true, at },
            confirmed: Since { is: true, at },
            known: Since { is: true, at },
            shelving: Shelving::Unshelved,
            shelved_at: at,
            comment: None,
            severity: 1,
            last_severity: (1, at),
            state: None,
            changed: at,
            retain: false,
            message: String::new(),
            known_by: Vec::new(),
        }
    }

    /// The condition after a change at an instant.
    #[must_use]
    pub fn with(&self, change: Change, at: Timestamp) -> Condition {
        let mut after = self.clone();
        after.branch |= change.branch;
        after.enabled = changed(self.enabled, change.enabled, at);
        after.active = changed(self.active, change.active, at);
        after.acked = changed(self.acked, change.acked, at);
        after.confirmed = changed(self.confirmed, change.confirmed, at);
        after.known = changed(self.known, change.known, at);
        after.changed = at;
        if let Some(shelving) = change.shelving.filter(|shelving| *shelving != self.shelving) {
            (after.shelving, after.shelved_at) = (shelving, at);
        }
        after.comment = change.comment.or(after.comment);
        if let Some(severity) = change.severity.filter(|severity| *severity != self.severity) {
            after.last_severity = (self.severity, at);
            after.severity = severity;
        }
        after.message = change.message.unwrap_or(after.message);
        after.retain =
            after.enabled.is && (after.active.is || !after.acked.is || !after.confirmed.is);
        after
    }

    /// The condition as a notice of some number tells it.
    #[must_use]
    pub fn known_by(mut self, number: u64) -> Condition {
        self.known_by.push(number);
        let surplus = self.known_by.len().saturating_sub(KNOWN_BY_MAX);
        self.known_by.drain(..surplus);
        self
    }
}
