//! What a machine says in the words of its own standard: the state machines of PackML (OPC 30050) and of
//! the Weihenstephan Standards (OPC 40600), each inside the state of the one above it.
//!
//! Nothing is made up: a machine that says a number which its standard does not know is in no state.

use opcua::types::{LocalizedText, NodeId, StatusCode, Variant};

use super::machinery::StatePart;
use crate::domain::signal::Vocabulary;

/// A state machine, from the outermost in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Aborted, or not.
    Base,
    /// Stopped, or not.
    Machine,
    /// What it does while it runs.
    Execute,
    /// Why it is held; Weihenstephan only.
    Held,
    /// Why it is suspended; Weihenstephan only.
    Suspended,
}

/// What is asked of a state machine or a mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpokenValue {
    /// The state of a machine.
    State(Level, StatePart),
    /// The states that a machine has.
    States(Level),
    /// Its transitions.
    Transitions(Level),
    /// The number of one of its states.
    Number(u32),
    /// The mode or program.
    Mode,
}

/// Namespace indexes of the two standards.
#[derive(Clone, Copy, Debug)]
pub struct SpokenIndexes {
    /// Of PackML.
    pub packml: u16,
    /// Of the Weihenstephan Standards.
    pub weihenstephan: u16,
}

/// A state: number, name and node.
type State = (u32, &'static str, u32);

/// The state of the outermost machine in which the next one is.
const CLEARED: u32 = 19;
/// The state of the next machine in which the one inside is.
const RUNNING: u32 = 18;
const BASE: [State; 3] = [(8, "Aborting", 61), (9, "Aborted", 62), (CLEARED, "Cleared", 71)];
const MACHINE: [State; 4] =
    [(1, "Clearing", 55), (2, "Stopped", 53), (7, "Stopping", 54), (RUNNING, "Running", 75)];
const EXECUTE: [State; 12] = [
    (3, "Starting", 29),
    (4, "Idle", 28),
    (5, "Suspended", 31),
    (6, "Execute", 36),
    (10, "Holding", 33),
    (11, "Held", 34),
    (12, "Unholding", 35),
    (13, "Suspending", 30),
    (14, "Unsuspending", 32),
    (15, "Resetting", 27),
    (16, "Completing", 37),
    (17, "Complete", 38),
];
/// The states of the innermost machines have no numbers in OPC 40600; these are in their order there.
const HELD: [State; 2] = [(1, "EquipmentFailure", 5012), (2, "ExternalFailure", 5014)];
const SUSPENDED: [State; 5] = [
    (1, "Lack", 5016),
    (2, "LackBranchLine", 5018),
    (3, "Prepared", 5020),
    (4, "Tailback", 5022),
    (5, "TailbackBranchLine", 5024),
];
/// OPC 40600 has two of the states of PackML anew, with machines inside.
const WITH_REASONS: [(u32, u32); 2] = [(11, 5028), (5, 5029)];
/// Bits of the tag `WS_Cur_State`, the state of PackML that each is, and the state inside it.
const BITS: [(i64, u32, Option<u32>); 16] = [
    (0x0001, 2, None),
    (0x0002, 3, None),
    (0x0004, 5, Some(5020)),
    (0x0008, 5, Some(5016)),
    (0x0010, 5, Some(5022)),
    (0x0020, 5, Some(5018)),
    (0x0040, 5, Some(5024)),
    (0x0080, 6, None),
    (0x0100, 7, None),
    (0x0200, 8, None),
    (0x0400, 11, Some(5012)),
    (0x0800, 11, Some(5014)),
    // An emergency stop aborts.
    (0x1000, 9, None),
    (0x2000, 10, None),
    (0x4000, 11, None),
    (0x8000, 4, None),
];

impl Level {
    fn states(self) -> &'static [State] {
        match self {
            Level::Base => &BASE,
            Level::Machine => &MACHINE,
            Level::Execute => &EXECUTE,
            Level::Held => &HELD,
            Level::Suspended => &SUSPENDED,
        }
    }

    fn transitions(self) -> &'static [u32] {
        match self {
            Level::Base => &[65, 66, 67],
            Level::Machine => &[57, 58, 59, 60],
            Level::Execute => {
                &[39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 99, 100, 101, 102, 103]
            }
            Level::Held | Level::Suspended => &[],
        }
    }
}

/// What is asked for at a path below the outermost state machine.
pub fn asked(path: &[&str]) -> Option<SpokenValue> {
    let (level, below) = match path {
        ["MachineState", "ExecuteState", "HeldState", below @ ..] => (Level::Held, below),
        ["MachineState", "ExecuteState", "SuspendedState", below @ ..] => (Level::Suspended, below),
        ["MachineState", "ExecuteState", below @ ..] => (Level::Execute, below),
        ["MachineState", below @ ..] => (Level::Machine, below),
        _ => (Level::Base, path),
    };
    Some(match *below {
        ["CurrentState"] => SpokenValue::State(level, StatePart::Text),
        ["CurrentState", "Id"] => SpokenValue::State(level, StatePart::Node),
        ["CurrentState", "Number"] => SpokenValue::State(level, StatePart::Number),
        ["AvailableStates"] => SpokenValue::States(level),
        ["AvailableTransitions"] => SpokenValue::Transitions(level),
        [state, "StateNumber"] => {
            let (number, _, _) = level.states().iter().find(|(_, name, _)| *name == state)?;
            SpokenValue::Number(*number)
        }
        _ => return None,
    })
}

/// The node of a state.
fn node(vocabulary: Vocabulary, indexes: SpokenIndexes, level: Level, state: &State) -> NodeId {
    let inner = matches!(level, Level::Held | Level::Suspended);
    let anew = WITH_REASONS.iter().find(|(number, _)| *number == state.0);
    match (vocabulary, level, anew) {
        (Vocabulary::Weihenstephan, Level::Execute, Some((_, node))) => {
            NodeId::new(indexes.weihenstephan, *node)
        }
        _ if inner => NodeId::new(indexes.weihenstephan, state.2),
        _ => NodeId::new(indexes.packml, state.2),
    }
}

/// What does not depend on what the machine says.
pub fn fixed(
    vocabulary: Vocabulary,
    value: SpokenValue,
    indexes: SpokenIndexes,
) -> Option<Variant> {
    Some(match value {
        SpokenValue::States(level) => {
            let states = level.states().iter().map(|s| node(vocabulary, indexes, level, s));
            states.collect::<Vec<_>>().into()
        }
        SpokenValue::Transitions(level) => {
            let transitions = level.transitions().iter();
            let nodes = transitions.map(|id| NodeId::new(indexes.packml, *id));
            nodes.collect::<Vec<_>>().into()
        }
        SpokenValue::Number(number) => Variant::UInt32(number),
        SpokenValue::State(..) | SpokenValue::Mode => return None,
    })
}

/// What a machine says with a number.
pub fn spoken(
    vocabulary: Vocabulary,
    value: SpokenValue,
    code: i64,
    indexes: SpokenIndexes,
) -> Result<Variant, StatusCode> {
    let (level, part) = match value {
        SpokenValue::State(level, part) => (level, part),
        SpokenValue::Mode => return mode(vocabulary, code),
        other => return fixed(vocabulary, other, indexes).ok_or(StatusCode::BadNotSupported),
    };
    let state = state_at(vocabulary, level, code)?;
    Ok(match part {
        StatePart::Text => LocalizedText::new("en", state.1).into(),
        StatePart::Node => node(vocabulary, indexes, level, state).into(),
        StatePart::Number => Variant::UInt32(state.0),
    })
}

/// The state of a state machine; a machine inside a state that is not the present one has none
/// (OPC 10000-16 §4.4.4).
fn state_at(vocabulary: Vocabulary, level: Level, code: i64) -> Result<&'static State, StatusCode> {
    let (number, inside) = match vocabulary {
        Vocabulary::PackMl => (u32::try_from(code).map_err(|_| StatusCode::BadOutOfRange)?, None),
        Vocabulary::Weihenstephan => {
            let found = BITS.iter().find(|(bit, ..)| *bit == code);
            let (_, number, inside) = found.ok_or(StatusCode::BadOutOfRange)?;
            (*number, *inside)
        }
    };
    let find = |states: &'static [State], number: u32| states.iter().find(|s| s.0 == number);
    let inner = |states: &'static [State], of: u32| match inside {
        _ if number != of => Err(StatusCode::BadStateNotActive),
        // It is held or suspended and does not say why.
        None => Err(StatusCode::BadNoData),
        Some(inside) => states.iter().find(|s| s.2 == inside).ok_or(StatusCode::BadNoData),
    };
    let (base, machine, execute) =
        (find(&BASE, number), find(&MACHINE, number), find(&EXECUTE, number));
    if base.or(machine).or(execute).is_none() {
        return Err(StatusCode::BadOutOfRange);
    }
    let inactive = StatusCode::BadStateNotActive;
    match level {
        Level::Base => base.or_else(|| find(&BASE, CLEARED)).ok_or(inactive),
        // Cleared and Running alone do not say what it does inside.
        Level::Machine if number == CLEARED => Err(StatusCode::BadNoData),
        Level::Execute if [CLEARED, RUNNING].contains(&number) => Err(StatusCode::BadNoData),
        Level::Machine if base.is_some() => Err(inactive),
        Level::Machine => machine.or_else(|| find(&MACHINE, RUNNING)).ok_or(inactive),
        Level::Execute => execute.ok_or(inactive),
        Level::Held => inner(&HELD, 11),
        Level::Suspended => inner(&SUSPENDED, 5),
    }
}

/// A mode of PackML, or a program of the Weihenstephan Standards, as its enumeration has it.
fn mode(vocabulary: Vocabulary, code: i64) -> Result<Variant, StatusCode> {
    let known: &[i64] = match vocabulary {
        Vocabulary::PackMl => &[0, 1, 2, 3],
        Vocabulary::Weihenstephan => &[0, 1, 2, 4, 8, 16, 32, 64],
    };
    let code = known.iter().find(|known| **known == code).ok_or(StatusCode::BadOutOfRange)?;
    i32::try_from(*code).map(Variant::Int32).map_err(|_| StatusCode::BadOutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signal::{MachineState, RawValue, StateMap};

    const INDEXES: SpokenIndexes = SpokenIndexes { packml: 7, weihenstephan: 8 };

    fn names(vocabulary: Vocabulary, code: i64) -> [Result<String, StatusCode>; 5] {
        let levels = [Level::Base, Level::Machine, Level::Execute, Level::Held, Level::Suspended];
        levels.map(|level| state_at(vocabulary, level, code).map(|state| state.1.to_owned()))
    }

    #[test]
    fn a_state_is_told_at_its_level_and_at_those_above() {
        let not_active = || Err(StatusCode::BadStateNotActive);
        let told = names(Vocabulary::PackMl, 6);
        let expected = ["Cleared", "Running", "Execute"].map(|name| Ok(name.to_owned()));
        assert_eq!(told[..3], expected);
        assert_eq!(told[3..], [not_active(), not_active()]);
        let stopped = names(Vocabulary::PackMl, 2);
        assert_eq!(stopped[1], Ok("Stopped".to_owned()));
        assert_eq!(stopped[2], not_active());
        let aborted = names(Vocabulary::PackMl, 9);
        assert_eq!(aborted[..3], [Ok("Aborted".to_owned()), not_active(), not_active()]);
        for unknown in [0, 20, -1, i64::MAX] {
            let told = names(Vocabulary::PackMl, unknown);
            assert!(told.iter().all(|one| *one == Err(StatusCode::BadOutOfRange)), "{unknown}");
        }
    }

    #[test]
    fn a_weihenstephan_machine_says_why_it_stands() {
        let lack = names(Vocabulary::Weihenstephan, 8);
        assert_eq!(lack[2], Ok("Suspended".to_owned()));
        assert_eq!(lack[3..], [Err(StatusCode::BadStateNotActive), Ok("Lack".to_owned())]);
        let failed = names(Vocabulary::Weihenstephan, 0x0400);
        assert_eq!(failed[2..4], [Ok("Held".to_owned()), Ok("EquipmentFailure".to_owned())]);
        assert_eq!(names(Vocabulary::Weihenstephan, 0x4000)[3], Err(StatusCode::BadNoData));
        let value = SpokenValue::State(Level::Execute, StatePart::Node);
        let held = spoken(Vocabulary::Weihenstephan, value, 0x0400, INDEXES);
        assert_eq!(
            held,
            Ok(NodeId::new(8, 5028_u32).into()),
            "its own Held has the reasons inside"
        );
        let held = spoken(Vocabulary::PackMl, value, 11, INDEXES);
        assert_eq!(held, Ok(NodeId::new(7, 34_u32).into()));
    }

    /// Whoever looks at both must not see a machine run in one and stand in the other.
    #[test]
    fn what_is_told_fits_what_is_counted() {
        for (map, vocabulary) in [
            (StateMap::PackMl, Vocabulary::PackMl),
            (StateMap::Weihenstephan, Vocabulary::Weihenstephan),
        ] {
            for code in 0..=0x1_0000_i64 {
                let meant = map.read(&RawValue::Integer(code.into()));
                let told = state_at(vocabulary, Level::Execute, code);
                // Running and Cleared are states of the machines around, and say too little alone.
                if matches!((vocabulary, code), (Vocabulary::PackMl, 18 | 19)) {
                    assert_eq!((meant, told), (None, Err(StatusCode::BadNoData)));
                    continue;
                }
                let is_known = told != Err(StatusCode::BadOutOfRange);
                assert_eq!(meant.is_some(), is_known, "{vocabulary:?} {code}");
                let executes = told.is_ok_and(|state| matches!(state.1, "Execute" | "Completing"));
                assert_eq!(meant == Some(MachineState::Running), executes, "{vocabulary:?} {code}");
            }
        }
    }

    #[test]
    fn modes_are_those_of_the_enumeration() {
        assert_eq!(mode(Vocabulary::PackMl, 3), Ok(Variant::Int32(3)));
        assert_eq!(mode(Vocabulary::PackMl, 4), Err(StatusCode::BadOutOfRange));
        assert_eq!(mode(Vocabulary::Weihenstephan, 16), Ok(Variant::Int32(16)));
        assert_eq!(mode(Vocabulary::Weihenstephan, 3), Err(StatusCode::BadOutOfRange));
    }
}
