//! How the values of one signal are read.

use std::collections::BTreeMap;

use super::SignalRole;
use super::counter::CounterRule;
use super::mode::ModeMap;
use super::state::StateMap;
use super::value::{RawValue, Reading, Unusable, is_bad};
use crate::domain::id::{LotId, PersonId, ReasonId};
use crate::domain::time::Span;

/// One signal of a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signal {
    /// What it is for.
    pub role: SignalRole,
    /// How its values are read.
    pub rule: SignalRule,
}

/// How values are read; the kind fits the role of the signal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignalRule {
    /// As states.
    State(StateRule),
    /// As operation modes.
    Mode(ModeMap),
    /// As counts.
    Count(CounterRule),
    /// As cycles, which are counted and whose pace is a state.
    Cycle(CounterRule, CycleRule),
    /// As reasons; what the map does not know is unusable, an empty text or 0 is none.
    Reason(BTreeMap<String, ReasonId>),
    /// As a condition that holds or not.
    Truth,
    /// As the number of a lot.
    Lot,
    /// As the key of a person.
    Operator,
}

/// Standards of machines whose words say more than what is made of them here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Vocabulary {
    /// PackML (OPC 30050).
    PackMl,
    /// The Weihenstephan Standards (OPC 40600).
    Weihenstephan,
}

impl SignalRule {
    /// The standard in whose words the values are.
    pub fn vocabulary(&self) -> Option<Vocabulary> {
        match self {
            SignalRule::State(StateRule { map: StateMap::PackMl, .. })
            | SignalRule::Mode(ModeMap::PackMl) => Some(Vocabulary::PackMl),
            SignalRule::State(StateRule { map: StateMap::Weihenstephan, .. })
            | SignalRule::Mode(ModeMap::Weihenstephan) => Some(Vocabulary::Weihenstephan),
            _ => None,
        }
    }
}

/// How states are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateRule {
    /// What the values mean.
    pub map: StateMap,
    /// A state that does not hold at least this long is passed over.
    pub hold: Span,
}

/// What the pace of cycles says about the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CycleRule {
    /// The cycle where the product that is made has no ideal cycle.
    pub cycle: Option<Span>,
    /// From this many hundredths of the ideal cycle on, a cycle is slow.
    pub slow_from: u32,
    /// From this many hundredths of the ideal cycle on, the machine has stopped in between.
    pub stop_from: u32,
}

impl Signal {
    /// Reads a raw value with its OPC UA status code.
    pub fn read(&self, raw: &RawValue, status: u32) -> Reading {
        if is_bad(status) {
            return Reading::Unusable(Unusable::BadStatus);
        }
        match &self.rule {
            SignalRule::State(rule) if !rule.map.fits(raw) => {
                Reading::Unusable(Unusable::WrongType)
            }
            SignalRule::State(rule) => known(rule.map.read(raw).map(Reading::State)),
            SignalRule::Mode(map) => known(map.read(raw).map(Reading::Mode)),
            SignalRule::Count(rule) | SignalRule::Cycle(rule, _) => rule.read(raw),
            SignalRule::Reason(map) => read_reason(map, raw),
            SignalRule::Truth => match raw {
                RawValue::Bool(value) => Reading::Truth(*value),
                RawValue::Integer(value) => Reading::Truth(*value != 0),
                _ => Reading::Unusable(Unusable::WrongType),
            },
            SignalRule::Lot => read_name(raw, |text| {
                text.map_or(Some(Reading::Lot(None)), |text| {
                    LotId::parse(text).ok().map(|lot| Reading::Lot(Some(lot)))
                })
            }),
            SignalRule::Operator => read_name(raw, |text| {
                text.map_or(Some(Reading::Operator(None)), |text| {
                    PersonId::parse(text).ok().map(|person| Reading::Operator(Some(person)))
                })
            }),
        }
    }
}

fn known(reading: Option<Reading>) -> Reading {
    reading.unwrap_or(Reading::Unusable(Unusable::UnknownValue))
}

fn read_reason(map: &BTreeMap<String, ReasonId>, raw: &RawValue) -> Reading {
    match raw {
        RawValue::Other(_) => Reading::Unusable(Unusable::WrongType),
        raw => match map.get(&raw.to_string()) {
            Some(reason) => Reading::Reason(Some(reason.clone())),
            None if matches!(raw, RawValue::Integer(0) | RawValue::Bool(false)) => {
                Reading::Reason(None)
            }
            None if raw.to_string().trim().is_empty() => Reading::Reason(None),
            None => Reading::Unusable(Unusable::UnknownValue),
        },
    }
}

/// Reads a name; an empty text is none.
fn read_name(raw: &RawValue, parse: impl FnOnce(Option<&str>) -> Option<Reading>) -> Reading {
    let text = match raw {
        RawValue::Text(text) => text.trim().to_owned(),
        RawValue::Integer(number) => number.to_string(),
        _ => return Reading::Unusable(Unusable::WrongType),
    };
    known(parse((!text.is_empty()).then_some(text.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signal::MachineState;

    fn state(map: BTreeMap<String, MachineState>) -> Signal {
        let rule = StateRule { map: StateMap::Values(map), hold: Span::ZERO };
        Signal { role: SignalRole::State, rule: SignalRule::State(rule) }
    }

    #[test]
    fn a_value_that_the_map_does_not_know_is_unusable_and_not_idle() {
        let state = state(BTreeMap::from([("1".to_owned(), MachineState::Running)]));
        assert_eq!(state.read(&RawValue::Integer(1), 0), Reading::State(MachineState::Running));
        let unknown = Reading::Unusable(Unusable::UnknownValue);
        assert_eq!(state.read(&RawValue::Integer(9), 0), unknown);
        let bad = Reading::Unusable(Unusable::BadStatus);
        assert_eq!(state.read(&RawValue::Integer(1), 0x8031_0000), bad);
        let wrong = Reading::Unusable(Unusable::WrongType);
        assert_eq!(state.read(&RawValue::Other("array".into()), 0), wrong);
    }

    #[test]
    fn a_reason_code_of_zero_is_no_reason_and_an_unknown_one_is_flagged() {
        let jam = ReasonId::parse("jam").unwrap();
        let map = BTreeMap::from([("17".to_owned(), jam.clone())]);
        let signal = Signal { role: SignalRole::Reason, rule: SignalRule::Reason(map) };
        assert_eq!(signal.read(&RawValue::Integer(17), 0), Reading::Reason(Some(jam)));
        assert_eq!(signal.read(&RawValue::Integer(0), 0), Reading::Reason(None));
        assert_eq!(signal.read(&RawValue::Text(" ".into()), 0), Reading::Reason(None));
        let unknown = Reading::Unusable(Unusable::UnknownValue);
        assert_eq!(signal.read(&RawValue::Integer(18), 0), unknown);
    }

    #[test]
    fn a_badge_is_a_person_and_an_empty_one_nobody() {
        let signal = Signal { role: SignalRole::Operator, rule: SignalRule::Operator };
        let ann = PersonId::parse("ann").unwrap();
        assert_eq!(signal.read(&RawValue::Text("ann ".into()), 0), Reading::Operator(Some(ann)));
        assert_eq!(signal.read(&RawValue::Text(String::new()), 0), Reading::Operator(None));
    }

    #[test]
    fn a_condition_is_a_boolean_or_a_number_that_is_not_zero() {
        let signal = Signal { role: SignalRole::Blocked, rule: SignalRule::Truth };
        for (raw, holds) in [
            (RawValue::Bool(true), true),
            (RawValue::Bool(false), false),
            (RawValue::Integer(0), false),
            (RawValue::Integer(-3), true),
        ] {
            assert_eq!(signal.read(&raw, 0), Reading::Truth(holds), "{raw}");
        }
        let wrong = Reading::Unusable(Unusable::WrongType);
        assert_eq!(signal.read(&RawValue::Text("yes".into()), 0), wrong);
    }

    #[test]
    fn a_lot_may_be_a_number_and_what_would_break_a_node_id_is_none() {
        let signal = Signal { role: SignalRole::Lot, rule: SignalRule::Lot };
        let lot = |text: &str| Reading::Lot(Some(LotId::parse(text).unwrap()));
        assert_eq!(signal.read(&RawValue::Integer(4711), 0), lot("4711"));
        assert_eq!(signal.read(&RawValue::Text("L-1".into()), 0), lot("L-1"));
        assert_eq!(signal.read(&RawValue::Text("  ".into()), 0), Reading::Lot(None));
        let unknown = Reading::Unusable(Unusable::UnknownValue);
        assert_eq!(signal.read(&RawValue::Text("a/b".into()), 0), unknown);
        let wrong = Reading::Unusable(Unusable::WrongType);
        assert_eq!(signal.read(&RawValue::Bool(true), 0), wrong);
    }
}
