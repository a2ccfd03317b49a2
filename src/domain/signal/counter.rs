//! How many parts a counter has counted between two of its values.
//!
//! A rising counter starts anywhere, wraps, is reset and sometimes steps back; a pulse counts with
//! each rising edge; a batch report says the parts themselves. What cannot be told apart is flagged
//! and never guessed upwards.

use super::value::{RawValue, Reading, Unusable};

/// What a counter's values are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CounterKind {
    /// A number that rises with the parts.
    #[default]
    Rising,
    /// True for a moment with each part.
    Pulse,
    /// The parts of a batch, with each value anew.
    Batch,
}

/// What is configured about a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CounterRule {
    /// What its values are.
    pub kind: CounterKind,
    /// Parts that one count stands for.
    pub parts: u32,
    /// The largest value it shows before it continues at 0.
    pub rollover: Option<u64>,
    /// The largest increase between two values, or batch, that is believed.
    pub max_step: Option<u64>,
}

impl Default for CounterRule {
    fn default() -> Self {
        CounterRule { kind: CounterKind::Rising, parts: 1, rollover: None, max_step: None }
    }
}

/// How a delta was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CountMethod {
    /// The first value; nothing is counted.
    Baseline,
    /// The value rose or stayed.
    Rise,
    /// The counter wrapped at its configured maximum.
    Rollover,
    /// The counter started again at 0.
    Reset,
    /// The value is lower, yet too high for a reset: a new baseline, nothing is counted.
    Backwards,
    /// The value rose further than is believed: a new baseline, nothing is counted.
    Jump,
}

impl CountMethod {
    /// The word used in JSON and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            CountMethod::Baseline => "baseline",
            CountMethod::Rise => "rise",
            CountMethod::Rollover => "rollover",
            CountMethod::Reset => "reset",
            CountMethod::Backwards => "backwards",
            CountMethod::Jump => "jump",
        }
    }

    /// Whether the step was flagged and not counted.
    pub fn is_doubtful(self) -> bool {
        matches!(self, CountMethod::Backwards | CountMethod::Jump)
    }
}

impl CounterRule {
    /// Reads a value.
    pub fn read(self, raw: &RawValue) -> Reading {
        match (self.kind, raw) {
            (CounterKind::Pulse, RawValue::Bool(value)) => Reading::Count(u64::from(*value)),
            (CounterKind::Pulse, RawValue::Integer(value)) => {
                Reading::Count(u64::from(*value != 0))
            }
            (CounterKind::Rising | CounterKind::Batch, RawValue::Integer(value)) => {
                let count = u64::try_from(*value).map(Reading::Count);
                count.unwrap_or(Reading::Unusable(Unusable::UnknownValue))
            }
            _ => Reading::Unusable(Unusable::WrongType),
        }
    }

    /// Parts counted with a value after the usable one before it, which the first has not.
    pub fn step(self, previous: Option<u64>, current: u64) -> (u64, CountMethod) {
        let (count, method) = match (self.kind, previous) {
            (CounterKind::Batch, _) if !self.believes(current) => (0, CountMethod::Jump),
            (CounterKind::Batch, _) => (current, CountMethod::Rise),
            (_, None) => (0, CountMethod::Baseline),
            // A pulse that falls is no step back.
            (CounterKind::Pulse, Some(previous)) => {
                (current.saturating_sub(previous), CountMethod::Rise)
            }
            (CounterKind::Rising, Some(previous)) => self.delta(previous, current),
        };
        (count.saturating_mul(self.parts.into()), method)
    }

    fn believes(self, step: u64) -> bool {
        self.max_step.is_none_or(|max| step <= max)
    }

    /// What a rising counter counted from `previous` to `current`.
    ///
    /// Without a configured step, a wrap is believed up to a tenth of the counter's range; a
    /// counter that fell by more than that was reset.
    fn delta(self, previous: u64, current: u64) -> (u64, CountMethod) {
        if current >= previous {
            let rise = current - previous;
            let believed = self.believes(rise);
            return if believed { (rise, CountMethod::Rise) } else { (0, CountMethod::Jump) };
        }
        if let Some(wrapped) = self.wrapped(previous, current) {
            return (wrapped, CountMethod::Rollover);
        }
        if self.believes(current) {
            (current, CountMethod::Reset)
        } else {
            (0, CountMethod::Backwards)
        }
    }

    fn wrapped(self, previous: u64, current: u64) -> Option<u64> {
        let rollover = self.rollover?;
        let step = rollover.checked_sub(previous)?.checked_add(current)?.checked_add(1)?;
        let limit = self.max_step.unwrap_or((rollover / 10).max(1));
        (step <= limit).then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollover_is_counted_once_and_a_reset_from_zero() {
        let rule = CounterRule { rollover: Some(999), ..CounterRule::default() };
        assert_eq!(rule.step(Some(995), 3), (8, CountMethod::Rollover));
        assert_eq!(rule.step(Some(500), 3), (3, CountMethod::Reset));
        assert_eq!(rule.step(Some(3), 3), (0, CountMethod::Rise));
        assert_eq!(rule.step(None, 700), (0, CountMethod::Baseline));
        assert_eq!(CounterRule::default().step(Some(995), 3), (3, CountMethod::Reset));
    }

    #[test]
    fn a_wrap_is_believed_up_to_a_tenth_of_the_range_or_the_configured_step() {
        let rule = CounterRule { rollover: Some(999), ..CounterRule::default() };
        assert_eq!(rule.step(Some(901), 0), (99, CountMethod::Rollover));
        assert_eq!(rule.step(Some(900), 0), (0, CountMethod::Reset), "100 is beyond 99");
        let stepped = CounterRule { max_step: Some(10), ..rule };
        assert_eq!(stepped.step(Some(995), 5), (10, CountMethod::Rollover));
        assert_eq!(stepped.step(Some(995), 6), (6, CountMethod::Reset), "11 is beyond the step");
        let tiny = CounterRule { rollover: Some(3), ..CounterRule::default() };
        assert_eq!(tiny.step(Some(3), 0), (1, CountMethod::Rollover));
        let above = CounterRule { rollover: Some(99), ..CounterRule::default() };
        assert_eq!(above.step(Some(120), 4), (4, CountMethod::Reset), "it never was a maximum");
    }

    #[test]
    fn steps_beyond_belief_are_flagged_and_not_counted() {
        let rule = CounterRule { max_step: Some(50), ..CounterRule::default() };
        assert_eq!(rule.step(Some(100), 99), (0, CountMethod::Backwards));
        assert_eq!(rule.step(Some(100), 150), (50, CountMethod::Rise));
        assert_eq!(rule.step(Some(100), 151), (0, CountMethod::Jump));
        assert_eq!(rule.step(Some(100), 50), (50, CountMethod::Reset));
        assert!(CountMethod::Jump.is_doubtful() && !CountMethod::Reset.is_doubtful());
    }

    #[test]
    fn a_pulse_counts_its_rising_edge_and_a_batch_each_report() {
        let pulse = CounterRule { kind: CounterKind::Pulse, parts: 4, ..CounterRule::default() };
        assert_eq!(pulse.step(Some(0), 1), (4, CountMethod::Rise));
        assert_eq!(pulse.step(Some(1), 0), (0, CountMethod::Rise));
        assert_eq!(pulse.step(Some(1), 1), (0, CountMethod::Rise));
        assert_eq!(pulse.step(None, 1), (0, CountMethod::Baseline));
        assert_eq!(pulse.read(&RawValue::Bool(true)), Reading::Count(1));
        assert_eq!(pulse.read(&RawValue::Integer(7)), Reading::Count(1));
        let kind = CounterKind::Batch;
        let batch = CounterRule { kind, max_step: Some(100), ..CounterRule::default() };
        assert_eq!(batch.step(None, 60), (60, CountMethod::Rise));
        assert_eq!(batch.step(Some(60), 100), (100, CountMethod::Rise));
        assert_eq!(batch.step(Some(60), 101), (0, CountMethod::Jump));
    }

    #[test]
    fn counters_accept_whole_numbers_only() {
        let rule = CounterRule::default();
        assert_eq!(rule.read(&RawValue::Integer(7)), Reading::Count(7));
        let wrong = Reading::Unusable(Unusable::WrongType);
        assert_eq!(rule.read(&RawValue::Text("7".into())), wrong);
        assert_eq!(rule.read(&RawValue::Bool(true)), wrong);
        let negative = Reading::Unusable(Unusable::UnknownValue);
        assert_eq!(rule.read(&RawValue::Integer(-1)), negative);
    }
}
