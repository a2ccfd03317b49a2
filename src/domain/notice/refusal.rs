//! Why something cannot be done about a condition.

use crate::domain::rejection::RejectionKind;

/// Why something cannot be done about a condition of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConditionRefusal {
    /// No notice of that number has told of the condition.
    UnknownNotice,
    /// It was acknowledged before.
    AlreadyAcknowledged,
    /// It was confirmed before.
    AlreadyConfirmed,
    /// A stop is confirmed by its reason only.
    ReasonIsMissing,
    /// It is not watched.
    Disabled,
    /// It was disabled before.
    AlreadyDisabled,
    /// It was enabled before.
    AlreadyEnabled,
    /// It is put aside already.
    AlreadyShelved,
    /// It is not put aside.
    NotShelved,
    /// It cannot be put aside for that time.
    ShelvingTime,
}

impl ConditionRefusal {
    /// Stable code for programs, what is wrong, and what to do.
    pub fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            ConditionRefusal::UnknownNotice => (
                "mes.condition.unknown_event",
                "no event of that id has told of it",
                "take the EventId from an event of the condition or of a refresh",
            ),
            ConditionRefusal::AlreadyAcknowledged => (
                "mes.condition.already_acknowledged",
                "it is acknowledged already",
                "nothing need be done",
            ),
            ConditionRefusal::AlreadyConfirmed => (
                "mes.condition.already_confirmed",
                "it is confirmed already",
                "a stop can be given another reason with ClassifyStop",
            ),
            ConditionRefusal::ReasonIsMissing => (
                "mes.condition.reason_missing",
                "a stop is confirmed by its reason, and the comment names none",
                "give the key or the name of a reason as the comment, or use ClassifyStop",
            ),
            ConditionRefusal::Disabled => {
                ("mes.condition.disabled", "it is disabled", "enable it first")
            }
            ConditionRefusal::AlreadyDisabled => {
                ("mes.condition.already_disabled", "it is disabled already", "nothing need be done")
            }
            ConditionRefusal::AlreadyEnabled => {
                ("mes.condition.already_enabled", "it is enabled already", "nothing need be done")
            }
            ConditionRefusal::AlreadyShelved => {
                ("mes.condition.already_shelved", "it is shelved already", "unshelve it first")
            }
            ConditionRefusal::NotShelved => {
                ("mes.condition.not_shelved", "it is not shelved", "nothing need be done")
            }
            ConditionRefusal::ShelvingTime => (
                "mes.condition.shelving_time",
                "it cannot be shelved for that time",
                "give a time above zero and up to 24 hours",
            ),
        }
    }

    /// What it means to a caller.
    pub fn kind(self) -> RejectionKind {
        match self {
            ConditionRefusal::UnknownNotice => RejectionKind::NotFound,
            ConditionRefusal::ReasonIsMissing | ConditionRefusal::ShelvingTime => {
                RejectionKind::Invalid
            }
            _ => RejectionKind::Conflict,
        }
    }
}
