//! What a raw value of a machine means: state, mode, count, reason or lot.
//!
//! The meaning is decided once, when the value arrives, and stored with it, so that a later change
//! of the mapping never rewrites the past. Nothing here guesses: what the mapping does not know is
//! [`Reading::Unusable`] and says why. What follows from several values together, such as a state
//! from the pace of cycles, is made in [`crate::domain::oee::track`].

pub mod counter;
pub mod mode;
pub mod rule;
pub mod state;
pub mod value;

pub use mode::{ModeMap, OperationMode};
pub use rule::{CycleRule, Signal, SignalRule, StateRule, Vocabulary};
pub use state::{MachineState, StateMap};
pub use value::{RawValue, Reading, Unusable, is_bad};

/// The part that a signal plays for its machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SignalRole {
    /// The machine's state.
    State,
    /// Counter of good parts.
    Good,
    /// Counter of rejected parts.
    Reject,
    /// Counter of all parts processed, good or not.
    Total,
    /// Number of the lot that the machine is consuming.
    Lot,
    /// Counter of parts that came in.
    Infeed,
    /// Counter of parts that were not good at first and go to rework.
    Rework,
    /// Counter of parts that were rejected while the process settled after a start.
    StartupReject,
    /// Cycles that the machine completes; tells whether it runs.
    Cycle,
    /// Operation mode.
    Mode,
    /// Code of the reason for which it stands.
    Reason,
    /// Whether what follows takes no more.
    Blocked,
    /// Whether nothing comes in.
    Starved,
    /// Who works at it.
    Operator,
}

impl SignalRole {
    /// All roles, in a fixed order.
    pub const ALL: [SignalRole; 14] = [
        SignalRole::State,
        SignalRole::Good,
        SignalRole::Reject,
        SignalRole::Total,
        SignalRole::Lot,
        SignalRole::Infeed,
        SignalRole::Rework,
        SignalRole::StartupReject,
        SignalRole::Cycle,
        SignalRole::Mode,
        SignalRole::Reason,
        SignalRole::Blocked,
        SignalRole::Starved,
        SignalRole::Operator,
    ];

    /// The roles that count.
    pub const COUNTERS: [SignalRole; 7] = [
        SignalRole::Good,
        SignalRole::Reject,
        SignalRole::Total,
        SignalRole::Infeed,
        SignalRole::Rework,
        SignalRole::StartupReject,
        SignalRole::Cycle,
    ];

    /// The roles whose values say under which circumstances the machine is in its state.
    pub const CIRCUMSTANCES: [SignalRole; 5] = [
        SignalRole::Mode,
        SignalRole::Reason,
        SignalRole::Blocked,
        SignalRole::Starved,
        SignalRole::Operator,
    ];

    /// Whether its signal counts.
    pub fn is_counter(self) -> bool {
        SignalRole::COUNTERS.contains(&self)
    }

    /// The word used in configuration, logs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            SignalRole::State => "state",
            SignalRole::Good => "good",
            SignalRole::Reject => "reject",
            SignalRole::Total => "total",
            SignalRole::Lot => "lot",
            SignalRole::Infeed => "infeed",
            SignalRole::Rework => "rework",
            SignalRole::StartupReject => "startup_reject",
            SignalRole::Cycle => "cycle",
            SignalRole::Mode => "mode",
            SignalRole::Reason => "reason",
            SignalRole::Blocked => "blocked",
            SignalRole::Starved => "starved",
            SignalRole::Operator => "operator",
        }
    }

    /// The role of that name.
    pub fn parse(text: &str) -> Option<SignalRole> {
        SignalRole::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// The names of all roles, for messages.
    pub fn names() -> String {
        SignalRole::ALL.map(SignalRole::as_str).join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_a_word_of_its_own_and_is_found_by_it() {
        for role in SignalRole::ALL {
            assert_eq!(SignalRole::parse(role.as_str()), Some(role));
        }
        assert_eq!(SignalRole::parse("speed"), None);
        let names = "state, good, reject, total, lot, infeed, rework, startup_reject, cycle, mode, \
                     reason, blocked, starved, operator";
        assert_eq!(SignalRole::names(), names);
    }

    #[test]
    fn what_is_wrong_with_a_value_or_a_step_has_a_word() {
        use super::counter::CountMethod as M;
        let methods = [M::Baseline, M::Rise, M::Rollover, M::Reset, M::Backwards, M::Jump];
        let words = ["baseline", "rise", "rollover", "reset", "backwards", "jump"];
        assert_eq!(methods.map(M::as_str), words);
        let reasons = [Unusable::BadStatus, Unusable::WrongType, Unusable::UnknownValue];
        let words = ["bad status", "wrong type", "unknown value"];
        assert_eq!(reasons.map(Unusable::as_str), words);
    }
}
