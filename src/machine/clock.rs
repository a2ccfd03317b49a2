//! The clock of a machine, as seen from here: how far it is off, and whether it jumps.
//!
//! An answer says what time it was at the machine somewhere between question and answer, so the
//! quickest answers know it best. Some machines count their clock on only once a second: what they
//! say may be too early by that, and never too late, so of quick answers the latest time is right.

use std::collections::VecDeque;

use crate::domain::time::{Span, TICKS_PER_MILLISECOND, Timestamp};

/// Answers that are remembered.
const REMEMBERED: usize = 8;
/// A difference beyond what the answers leave open is a jump if it is larger than this, which is more
/// than a clock that counts seconds can be behind itself.
const JUMP: i64 = 1500 * TICKS_PER_MILLISECOND;
/// Answers that took no longer than twice the quickest one and this are quick as well.
const QUICK: i64 = 20 * TICKS_PER_MILLISECOND;

/// How a machine's clock stands to ours.
#[derive(Clone, Debug)]
pub struct MachineClock {
    /// Beyond this difference our own time is used.
    limit: Span,
    /// Difference, and how long the answer took.
    answers: VecDeque<(Span, Span)>,
    skew: Span,
}

/// A measurement: when it was asked and answered by our clock, and what was said.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// When it was asked.
    pub asked: Timestamp,
    /// When it was answered.
    pub answered: Timestamp,
    /// The time of the machine.
    pub said: Timestamp,
}

impl MachineClock {
    /// Nothing is known: it counts as right.
    pub fn new(limit: Span) -> MachineClock {
        MachineClock { limit, answers: VecDeque::new(), skew: Span::ZERO }
    }

    /// Takes a reading; gives how far the clock has jumped since the ones before, if it has.
    pub fn measure(&mut self, reading: &Reading) -> Option<Span> {
        let took = reading.answered - reading.asked;
        let middle = reading.asked + Span::from_ticks(took.ticks() / 2);
        let difference = reading.said - middle;
        let off = (difference - self.skew).ticks().saturating_abs();
        // Half of the time that each answer took is what it leaves open.
        let open = self.answers.iter().map(|(_, took)| took.ticks()).min();
        let jumped = open.is_some_and(|open| off > (open + took.ticks()) / 2 + JUMP);
        let jump = jumped.then(|| difference - self.skew);
        if jumped {
            self.answers.clear();
        }
        self.answers.truncate(REMEMBERED - 1);
        self.answers.push_front((difference, took));
        let quickest = self.answers.iter().map(|(_, took)| took.ticks()).min().unwrap_or(0);
        let quick = self.answers.iter().filter(|(_, took)| took.ticks() <= 2 * quickest + QUICK);
        self.skew = quick.map(|(difference, _)| *difference).max().unwrap_or(Span::ZERO);
        jump
    }

    /// The machine's clock less ours.
    pub fn skew(&self) -> Span {
        self.skew
    }

    /// Whether it is so far off that its times are not used.
    pub fn is_not_believed(&self) -> bool {
        self.skew.ticks().unsigned_abs() > self.limit.ticks().unsigned_abs()
    }

    /// An instant of ours on the machine's clock, unless that is not believed.
    pub fn at_machine(&self, ours: Timestamp) -> Timestamp {
        if self.is_not_believed() { ours } else { ours + self.skew }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(clock: &mut MachineClock, at: i64, took: i64, off: i64) -> Option<i64> {
        let ms = |ms: i64| Timestamp::from_ticks(ms * TICKS_PER_MILLISECOND);
        let reading =
            Reading { asked: ms(at), answered: ms(at + took), said: ms(at + took / 2 + off) };
        clock.measure(&reading).map(|jump| jump.ticks() / TICKS_PER_MILLISECOND)
    }

    #[test]
    fn the_quickest_answer_says_how_far_a_clock_is_off_and_a_slow_one_is_no_jump() {
        let mut clock = MachineClock::new(Span::from_seconds(10));
        assert_eq!(read(&mut clock, 0, 10, 500), None);
        // Asked at once, answered late: it says less than it seems to.
        assert_eq!(read(&mut clock, 1000, 4000, 2000), None);
        assert_eq!(clock.skew(), Span::from_millis(500));
        assert_eq!(read(&mut clock, 6000, 2, 503), None);
        assert_eq!(clock.skew(), Span::from_millis(503));
        assert_eq!(clock.at_machine(Timestamp::from_ticks(0)).ticks(), 503 * TICKS_PER_MILLISECOND);
    }

    #[test]
    fn a_clock_that_counts_seconds_is_not_taken_for_a_slow_one_or_for_one_that_jumps() {
        let mut clock = MachineClock::new(Span::from_seconds(10));
        for (at, behind) in [(0, 20), (5300, 320), (10_990, 990), (16_100, 100)] {
            assert_eq!(read(&mut clock, at, 4, -behind), None);
        }
        assert_eq!(clock.skew(), Span::from_millis(-20));
    }

    #[test]
    fn a_jump_is_seen_and_beyond_the_limit_our_own_time_is_used() {
        let mut clock = MachineClock::new(Span::from_seconds(10));
        assert_eq!(read(&mut clock, 0, 10, 0), None);
        assert_eq!(read(&mut clock, 1000, 10, -3_600_000), Some(-3_600_000));
        assert!(clock.is_not_believed());
        assert_eq!(clock.at_machine(Timestamp::from_ticks(7)), Timestamp::from_ticks(7));
        assert_eq!(read(&mut clock, 2000, 10, 0), Some(3_600_000));
        assert!(!clock.is_not_believed());
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        let mut clock = MachineClock::new(Span::from_seconds(10));
        for step in 0..100 {
            assert_eq!(read(&mut clock, step * 1000, 10, step * 10), None);
        }
        assert!(clock.skew() >= Span::from_millis(900));
    }
}
