//! The reason tree: why something stood, and what that means for the figures.

use std::collections::BTreeMap;

use super::Plant;
use crate::domain::id::ReasonId;
use crate::domain::time::{Span, Window};

/// One entry of the reason tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// Business key; never reused.
    pub id: ReasonId,
    /// Name shown to people.
    pub name: String,
    /// Names in other languages, by RFC 5646 tag.
    pub names: BTreeMap<String, String>,
    /// The loss to which a stop with this reason belongs.
    pub class: ReasonClass,
    /// The entry above it.
    pub parent: Option<ReasonId>,
    /// Whether a stop with this reason is a failure, for MTBF and MTTR.
    pub failure: bool,
    /// Whether a stop for this reason can be what stops the line.
    pub stops_line: bool,
    /// Of several reasons of one instant, the one with the highest holds.
    pub priority: u32,
    /// A stop with this reason that lasts this long needs a comment to be explained.
    pub comment_from: Option<Span>,
    /// How long a stop may have this reason, and which it has afterwards.
    pub maximum: Option<MaximumDuration>,
    /// When stops may be given this reason.
    pub valid: Window,
}

/// A bound on how long a reason may hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MaximumDuration {
    /// The bound.
    pub span: Span,
    /// The reason of what exceeds it.
    pub then: ReasonId,
}

/// What a stop with a given reason counts as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ReasonClass {
    /// Unplanned down time.
    Down,
    /// Setup or changeover.
    Setup,
    /// Planned down time, outside planned busy time.
    Planned,
    /// Blocked by what follows.
    Blocked,
    /// Starved by what precedes.
    Starved,
}

impl ReasonClass {
    /// All classes.
    pub const ALL: [ReasonClass; 5] = [
        ReasonClass::Down,
        ReasonClass::Setup,
        ReasonClass::Planned,
        ReasonClass::Blocked,
        ReasonClass::Starved,
    ];

    /// The word used in configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            ReasonClass::Down => "down",
            ReasonClass::Setup => "setup",
            ReasonClass::Planned => "planned",
            ReasonClass::Blocked => "blocked",
            ReasonClass::Starved => "starved",
        }
    }

    /// The class of that name.
    pub fn parse(text: &str) -> Option<ReasonClass> {
        ReasonClass::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

impl Reason {
    /// The name in a language, else the one in the language of the plant.
    ///
    /// A language that is not there itself is looked for without its region.
    pub fn name_in(&self, language: &str) -> &str {
        let base = language.split('-').next().unwrap_or(language);
        let found = self.names.get(language).or_else(|| self.names.get(base));
        found.unwrap_or(&self.name)
    }
}

impl Plant {
    /// A reason and those above it, from the top.
    pub fn reason_path(&self, reason: &ReasonId) -> Vec<&Reason> {
        let mut path: Vec<&Reason> = Vec::new();
        let mut next = self.reasons.get(reason);
        while let Some(reason) = next.filter(|reason| !path.iter().any(|r| r.id == reason.id)) {
            path.push(reason);
            next = reason.parent.as_ref().and_then(|parent| self.reasons.get(parent));
        }
        path.reverse();
        path
    }
}
