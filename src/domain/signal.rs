//! What a raw value of a machine means: state, count or lot.
//!
//! The meaning is decided once, when the value arrives, and stored with it, so that a later change
//! of the mapping never rewrites the past. Nothing here guesses: what the mapping does not know is
//! [`Reading::Unusable`] and says why.

use std::collections::BTreeMap;
use std::fmt;

use super::id::LotId;

/// The part that a signal plays for its machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SignalRole {
    /// The machine's state.
    State,
    /// Rising counter of good parts.
    Good,
    /// Rising counter of rejected parts.
    Reject,
    /// Rising counter of all parts, good and rejected.
    Total,
    /// Number of the lot that the machine is consuming.
    Lot,
}

impl SignalRole {
    /// All roles, in a fixed order.
    pub const ALL: [SignalRole; 5] = [
        SignalRole::State,
        SignalRole::Good,
        SignalRole::Reject,
        SignalRole::Total,
        SignalRole::Lot,
    ];

    /// The word used in configuration, logs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            SignalRole::State => "state",
            SignalRole::Good => "good",
            SignalRole::Reject => "reject",
            SignalRole::Total => "total",
            SignalRole::Lot => "lot",
        }
    }

    /// The role of that name.
    pub fn parse(text: &str) -> Option<SignalRole> {
        SignalRole::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What a machine does, as far as it says so itself.
///
/// Planning (order, calendar, reason) is joined later: the same machine state is a loss of one kind
/// with an order and of another without (OPC 40001-1 annex C).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MachineState {
    /// It produces.
    Running,
    /// It is being set up or changed over.
    Setup,
    /// It stands because of itself.
    Down,
    /// It stands because what follows cannot take more.
    Blocked,
    /// It stands because nothing comes in.
    Starved,
    /// It stands ready without saying why.
    Idle,
}

impl MachineState {
    /// All states, in the order of their numbers on the wire.
    pub const ALL: [MachineState; 6] = [
        MachineState::Running,
        MachineState::Setup,
        MachineState::Down,
        MachineState::Blocked,
        MachineState::Starved,
        MachineState::Idle,
    ];

    /// The word used in configuration, JSON and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            MachineState::Running => "running",
            MachineState::Setup => "setup",
            MachineState::Down => "down",
            MachineState::Blocked => "blocked",
            MachineState::Starved => "starved",
            MachineState::Idle => "idle",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<MachineState> {
        MachineState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A value as a machine sent it, reduced to what a signal can be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RawValue {
    /// A Boolean.
    Bool(bool),
    /// Any whole number, a float without fraction included.
    Integer(i128),
    /// A text.
    Text(String),
    /// Something that no signal can be; holds its type for the message.
    Other(String),
}

impl fmt::Display for RawValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawValue::Bool(value) => write!(out, "{value}"),
            RawValue::Integer(value) => write!(out, "{value}"),
            RawValue::Text(value) => out.write_str(value),
            RawValue::Other(kind) => write!(out, "a value of type {kind}"),
        }
    }
}

/// How the values of a state signal are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StateMap {
    /// The configured values; Booleans are keyed `true` and `false`.
    Values(BTreeMap<String, MachineState>),
    /// PackML state numbers (OPC 30050).
    PackMl,
}

/// One signal of a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signal {
    /// What it is for.
    pub role: SignalRole,
    /// How a state is read; only for [`SignalRole::State`].
    pub states: Option<StateMap>,
    /// Where a counter wraps and how far it may step; only for counters.
    pub counter: super::counter::CounterRule,
}

/// What a value means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reading {
    /// The machine's state.
    State(MachineState),
    /// A counter's value.
    Count(u64),
    /// The lot in use, or none.
    Lot(Option<LotId>),
    /// The value cannot be used.
    Unusable(Unusable),
}

/// Why a value cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unusable {
    /// The machine marked it bad.
    BadStatus,
    /// Its type does not fit the role.
    WrongType,
    /// The state map has no entry for it.
    UnknownValue,
}

impl Unusable {
    /// The word used in logs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Unusable::BadStatus => "bad status",
            Unusable::WrongType => "wrong type",
            Unusable::UnknownValue => "unknown value",
        }
    }
}

/// Whether an OPC UA status code says that the value may not be used (severity bits, Part 4 §7.39).
pub fn is_bad(status: u32) -> bool {
    status >> 30 >= 2
}

impl Signal {
    /// Reads a raw value with its OPC UA status code.
    pub fn read(&self, raw: &RawValue, status: u32) -> Reading {
        if is_bad(status) {
            return Reading::Unusable(Unusable::BadStatus);
        }
        match self.role {
            SignalRole::State => self.read_state(raw),
            SignalRole::Good | SignalRole::Reject | SignalRole::Total => read_count(raw),
            SignalRole::Lot => read_lot(raw),
        }
    }

    fn read_state(&self, raw: &RawValue) -> Reading {
        if matches!(raw, RawValue::Other(_)) {
            return Reading::Unusable(Unusable::WrongType);
        }
        let state = match (&self.states, raw) {
            (Some(StateMap::PackMl), RawValue::Integer(number)) => packml_state(*number),
            (Some(StateMap::PackMl), _) => return Reading::Unusable(Unusable::WrongType),
            (Some(StateMap::Values(map)), raw) => map.get(&raw.to_string()).copied(),
            (None, _) => None,
        };
        state.map_or(Reading::Unusable(Unusable::UnknownValue), Reading::State)
    }
}

fn read_count(raw: &RawValue) -> Reading {
    match raw {
        RawValue::Integer(value) => match u64::try_from(*value) {
            Ok(count) => Reading::Count(count),
            Err(_) => Reading::Unusable(Unusable::UnknownValue),
        },
        _ => Reading::Unusable(Unusable::WrongType),
    }
}

fn read_lot(raw: &RawValue) -> Reading {
    let text = match raw {
        RawValue::Text(text) => text.trim().to_owned(),
        RawValue::Integer(number) => number.to_string(),
        _ => return Reading::Unusable(Unusable::WrongType),
    };
    if text.is_empty() {
        return Reading::Lot(None);
    }
    match LotId::parse(&text) {
        Ok(lot) => Reading::Lot(Some(lot)),
        Err(_) => Reading::Unusable(Unusable::UnknownValue),
    }
}

/// Maps an OPC 30050 PackML state number to what it means for production.
///
/// Execute and Completing produce; Suspended waits for the line; Held, Stopped, Aborted and the
/// ways there are down; Idle, Complete and what leads to Execute stand ready.
fn packml_state(number: i128) -> Option<MachineState> {
    match number {
        6 | 16 => Some(MachineState::Running),
        5 | 13 | 14 => Some(MachineState::Starved),
        1 | 2 | 7..=12 => Some(MachineState::Down),
        3 | 4 | 15 | 17 => Some(MachineState::Idle),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(role: SignalRole, states: Option<StateMap>) -> Signal {
        Signal { role, states, counter: Default::default() }
    }

    #[test]
    fn a_value_that_the_map_does_not_know_is_unusable_and_not_idle() {
        let map = BTreeMap::from([("1".to_owned(), MachineState::Running)]);
        let state = signal(SignalRole::State, Some(StateMap::Values(map)));
        assert_eq!(state.read(&RawValue::Integer(1), 0), Reading::State(MachineState::Running));
        let unknown = Reading::Unusable(Unusable::UnknownValue);
        assert_eq!(state.read(&RawValue::Integer(9), 0), unknown);
        let bad = Reading::Unusable(Unusable::BadStatus);
        assert_eq!(state.read(&RawValue::Integer(1), 0x8031_0000), bad);
    }

    #[test]
    fn counters_accept_whole_numbers_only() {
        let good = signal(SignalRole::Good, None);
        assert_eq!(good.read(&RawValue::Integer(7), 0x4000_0000), Reading::Count(7));
        let wrong = Reading::Unusable(Unusable::WrongType);
        assert_eq!(good.read(&RawValue::Text("7".into()), 0), wrong);
        let negative = Reading::Unusable(Unusable::UnknownValue);
        assert_eq!(good.read(&RawValue::Integer(-1), 0), negative);
    }

    #[test]
    fn packml_execute_runs_and_held_is_down() {
        let state = signal(SignalRole::State, Some(StateMap::PackMl));
        assert_eq!(state.read(&RawValue::Integer(6), 0), Reading::State(MachineState::Running));
        assert_eq!(state.read(&RawValue::Integer(11), 0), Reading::State(MachineState::Down));
        let unknown = Reading::Unusable(Unusable::UnknownValue);
        assert_eq!(state.read(&RawValue::Integer(99), 0), unknown);
    }
}
