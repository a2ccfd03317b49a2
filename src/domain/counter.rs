//! How many parts a rising counter has counted between two of its values.
//!
//! A counter starts anywhere, wraps, is reset and sometimes steps back. What cannot be told apart is
//! flagged and never guessed upwards.

/// What is configured about a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CounterRule {
    /// The largest value it shows before it continues at 0.
    pub rollover: Option<u64>,
    /// The largest increase between two values that is believed.
    pub max_step: Option<u64>,
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
}

impl CounterRule {
    /// Parts counted from `previous` to `current`.
    ///
    /// Without a configured step, a wrap is believed up to a tenth of the counter's range; a
    /// counter that fell by more than that was reset.
    pub fn delta(self, previous: u64, current: u64) -> (u64, CountMethod) {
        let believed = |step: u64| self.max_step.is_none_or(|max| step <= max);
        if current >= previous {
            let rise = current - previous;
            return if believed(rise) { (rise, CountMethod::Rise) } else { (0, CountMethod::Jump) };
        }
        if let Some(wrapped) = self.wrapped(previous, current) {
            return (wrapped, CountMethod::Rollover);
        }
        if believed(current) { (current, CountMethod::Reset) } else { (0, CountMethod::Backwards) }
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
        let rule = CounterRule { rollover: Some(999), max_step: None };
        assert_eq!(rule.delta(995, 3), (8, CountMethod::Rollover));
        assert_eq!(rule.delta(500, 3), (3, CountMethod::Reset));
        assert_eq!(rule.delta(3, 3), (0, CountMethod::Rise));
        assert_eq!(CounterRule::default().delta(995, 3), (3, CountMethod::Reset));
    }

    #[test]
    fn steps_beyond_belief_are_flagged_and_not_counted() {
        let rule = CounterRule { rollover: None, max_step: Some(50) };
        assert_eq!(rule.delta(100, 99), (0, CountMethod::Backwards));
        assert_eq!(rule.delta(100, 151), (0, CountMethod::Jump));
        assert_eq!(rule.delta(100, 50), (50, CountMethod::Reset));
    }
}
