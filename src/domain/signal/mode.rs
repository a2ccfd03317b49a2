//! Operation modes: what a machine is meant for at the moment, beside the state in which it is.

use std::collections::BTreeMap;

use super::value::RawValue;

/// The operation mode, with the numbers of OPC 40001-1 (MachineryOperationMode).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OperationMode {
    /// None of the others.
    None,
    /// It is being maintained.
    Maintenance,
    /// It is being set up.
    Setup,
    /// It is there to produce.
    Processing,
}

impl OperationMode {
    /// All modes, in the order of their numbers.
    pub const ALL: [OperationMode; 4] = [
        OperationMode::None,
        OperationMode::Maintenance,
        OperationMode::Setup,
        OperationMode::Processing,
    ];

    /// The word used in configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationMode::None => "none",
            OperationMode::Maintenance => "maintenance",
            OperationMode::Setup => "setup",
            OperationMode::Processing => "processing",
        }
    }

    /// The mode of that name.
    pub fn parse(text: &str) -> Option<OperationMode> {
        OperationMode::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// How the values of a mode signal are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ModeMap {
    /// The configured values.
    Values(BTreeMap<String, OperationMode>),
    /// PackML unit modes (OPC 30050): production, maintenance, manual.
    PackMl,
    /// Machinery operation modes (OPC 40001-1).
    Machinery,
    /// Programs of the Weihenstephan Standards (OPC 40600, WSProgramEnumerationType).
    Weihenstephan,
}

impl ModeMap {
    /// The mode that a value means.
    pub fn read(&self, raw: &RawValue) -> Option<OperationMode> {
        match (self, raw) {
            (ModeMap::Values(map), raw) => map.get(&raw.to_string()).copied(),
            (ModeMap::PackMl, RawValue::Integer(number)) => match number {
                0 => Some(OperationMode::None),
                1 => Some(OperationMode::Processing),
                2 => Some(OperationMode::Maintenance),
                // Manual mode is for setting up and jogging.
                3 => Some(OperationMode::Setup),
                _ => None,
            },
            (ModeMap::Machinery, RawValue::Integer(number)) => {
                usize::try_from(*number).ok().and_then(|n| OperationMode::ALL.get(n)).copied()
            }
            (ModeMap::Weihenstephan, RawValue::Integer(program)) => match program {
                // No program, and the one that bridges breaks, which the calendar knows.
                0 | 64 => Some(OperationMode::None),
                // Production, with what leads to it and away from it.
                1 | 2 | 4 => Some(OperationMode::Processing),
                // Cleaning and changeover make ready for what comes next.
                8 | 16 => Some(OperationMode::Setup),
                32 => Some(OperationMode::Maintenance),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_have_the_numbers_and_words_of_their_sources() {
        use OperationMode::{Maintenance, None as NoMode, Processing, Setup};
        let words = OperationMode::ALL.map(OperationMode::as_str);
        assert_eq!(words, ["none", "maintenance", "setup", "processing"]);
        assert_eq!(words.map(OperationMode::parse), OperationMode::ALL.map(Some));
        assert_eq!(OperationMode::parse("produce"), None);
        let read = |map: &ModeMap| [0, 1, 2, 3, 4].map(|n| map.read(&RawValue::Integer(n)));
        let packml = [NoMode, Processing, Maintenance, Setup].map(Some);
        assert_eq!(read(&ModeMap::PackMl)[..4], packml);
        assert_eq!(read(&ModeMap::Machinery)[..4], OperationMode::ALL.map(Some));
        assert_eq!((read(&ModeMap::PackMl)[4], read(&ModeMap::Machinery)[4]), (None, None));
        assert_eq!(ModeMap::Machinery.read(&RawValue::Integer(-1)), None);
        let programs = [0, 1, 2, 4, 8, 16, 32, 64];
        let program = |n| ModeMap::Weihenstephan.read(&RawValue::Integer(n));
        let meant = [NoMode, Processing, Processing, Processing, Setup, Setup, Maintenance, NoMode];
        assert_eq!(programs.map(program), meant.map(Some));
        assert_eq!([3, 128, -1].map(program), [None; 3]);
        assert_eq!(ModeMap::PackMl.read(&RawValue::Bool(true)), None);
        let own = ModeMap::Values(BTreeMap::from([("auto".to_owned(), Processing)]));
        assert_eq!(own.read(&RawValue::Text("auto".into())), Some(Processing));
        assert_eq!(own.read(&RawValue::Text("manual".into())), None);
    }
}
