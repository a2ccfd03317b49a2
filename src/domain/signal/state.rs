//! Machine states, and how values are read as such.

use std::collections::BTreeMap;

use super::value::RawValue;
use crate::domain::quantity::Quantity;

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

    /// Whether it stands because of itself, not because of its neighbours.
    pub fn stands_by_itself(self) -> bool {
        matches!(self, MachineState::Down | MachineState::Idle | MachineState::Setup)
    }
}

/// How the values of a state signal are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StateMap {
    /// The configured values; Booleans are keyed `true` and `false`.
    Values(BTreeMap<String, MachineState>),
    /// PackML state numbers (OPC 30050).
    PackMl,
    /// Machinery item states (OPC 40001-1); joined with the operation mode where that is bound.
    Machinery,
    /// Operating states of the Weihenstephan Standards (tag `WS_Cur_State`).
    Weihenstephan,
    /// A number that is high enough while the machine runs.
    Threshold {
        /// The lowest number at which it runs.
        running_from: Quantity,
        /// The state below.
        otherwise: MachineState,
    },
}

impl StateMap {
    /// The state that a value means; `None` when the mapping does not know it.
    pub fn read(&self, raw: &RawValue) -> Option<MachineState> {
        match self {
            StateMap::Values(map) => map.get(&raw.to_string()).copied(),
            StateMap::PackMl => integer(raw).and_then(packml_state),
            StateMap::Machinery => integer(raw).and_then(machinery_state),
            StateMap::Weihenstephan => integer(raw).and_then(weihenstephan_state),
            StateMap::Threshold { running_from, otherwise } => {
                let number = number(raw)?;
                Some(if number >= *running_from { MachineState::Running } else { *otherwise })
            }
        }
    }

    /// Whether a value is of a type that the mapping could know.
    pub fn fits(&self, raw: &RawValue) -> bool {
        match self {
            StateMap::Values(_) => !matches!(raw, RawValue::Other(_)),
            StateMap::PackMl | StateMap::Machinery | StateMap::Weihenstephan => {
                integer(raw).is_some()
            }
            StateMap::Threshold { .. } => number(raw).is_some(),
        }
    }
}

fn integer(raw: &RawValue) -> Option<i128> {
    match raw {
        RawValue::Integer(number) => Some(*number),
        _ => None,
    }
}

fn number(raw: &RawValue) -> Option<Quantity> {
    match raw {
        RawValue::Integer(number) => i64::try_from(*number).ok().map(Quantity::from_whole),
        RawValue::Decimal(number) => Some(*number),
        _ => None,
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

/// Maps an OPC 40001-1 item state: NotAvailable and OutOfService are down, NotExecuting stands ready.
fn machinery_state(number: i128) -> Option<MachineState> {
    match number {
        0 | 1 => Some(MachineState::Down),
        2 => Some(MachineState::Idle),
        3 => Some(MachineState::Running),
        _ => None,
    }
}

/// Maps an operating state of the Weihenstephan Standards, one bit each.
///
/// Operating produces; lack and tailback, on the line or a branch of it, wait for the line; starting,
/// prepared and idle stand ready; stopped, failed, held and aborted machines are down. 0 says nothing.
fn weihenstephan_state(bits: i128) -> Option<MachineState> {
    match bits {
        0x0080 => Some(MachineState::Running),
        0x0008 | 0x0020 => Some(MachineState::Starved),
        0x0010 | 0x0040 => Some(MachineState::Blocked),
        0x0002 | 0x0004 | 0x8000 => Some(MachineState::Idle),
        0x0001 | 0x0100 | 0x0200 | 0x0400 | 0x0800 | 0x1000 | 0x2000 | 0x4000 => {
            Some(MachineState::Down)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packml_execute_runs_and_held_is_down() {
        let read = |number| StateMap::PackMl.read(&RawValue::Integer(number));
        assert_eq!(read(6), Some(MachineState::Running));
        assert_eq!(read(11), Some(MachineState::Down));
        assert_eq!(read(5), Some(MachineState::Starved));
        assert_eq!(read(4), Some(MachineState::Idle));
        assert_eq!(read(99), None);
        assert_eq!(read(0), None);
    }

    #[test]
    fn a_machinery_item_that_executes_runs() {
        let states = (0..5).map(|n| StateMap::Machinery.read(&RawValue::Integer(n)));
        let expected = [
            Some(MachineState::Down),
            Some(MachineState::Down),
            Some(MachineState::Idle),
            Some(MachineState::Running),
            None,
        ];
        assert_eq!(states.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_weihenstephan_machine_waits_for_its_line_in_lack_and_tailback() {
        let read = |bits| StateMap::Weihenstephan.read(&RawValue::Integer(bits));
        assert_eq!(read(128), Some(MachineState::Running));
        assert_eq!([8, 32].map(read), [Some(MachineState::Starved); 2]);
        assert_eq!([16, 64].map(read), [Some(MachineState::Blocked); 2]);
        assert_eq!([2, 4, 32_768].map(read), [Some(MachineState::Idle); 3]);
        let down = [1, 256, 512, 1024, 2048, 4096, 8192, 16_384];
        assert_eq!(down.map(read), [Some(MachineState::Down); 8]);
        // Nothing, two states at once, and what no standard knows.
        assert_eq!([0, 129, 65_536, -1].map(read), [None; 4]);
        assert!(!StateMap::Weihenstephan.fits(&RawValue::Bool(true)));
    }

    #[test]
    fn a_threshold_is_reached_by_its_own_value_and_by_fractions() {
        let map = StateMap::Threshold {
            running_from: "2.5".parse().unwrap(),
            otherwise: MachineState::Down,
        };
        let decimal = |text: &str| map.read(&RawValue::Decimal(text.parse().unwrap()));
        assert_eq!(decimal("2.5"), Some(MachineState::Running));
        assert_eq!(decimal("2.499999999"), Some(MachineState::Down));
        assert_eq!(map.read(&RawValue::Integer(3)), Some(MachineState::Running));
        assert_eq!(map.read(&RawValue::Bool(true)), None);
        assert!(!map.fits(&RawValue::Bool(true)));
    }

    #[test]
    fn every_state_has_a_word_and_stands_by_itself_or_because_of_its_neighbours() {
        let words = ["running", "setup", "down", "blocked", "starved", "idle"];
        assert_eq!(MachineState::ALL.map(MachineState::as_str), words);
        assert_eq!(words.map(MachineState::parse), MachineState::ALL.map(Some));
        assert_eq!(MachineState::parse("waiting"), None);
        let by_itself = MachineState::ALL.map(MachineState::stands_by_itself);
        assert_eq!(by_itself, [false, true, true, false, false, true]);
    }
}
