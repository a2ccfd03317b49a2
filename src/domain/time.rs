//! Time as the domain knows it: exact, UTC, counted in ticks of 100 ns.
//!
//! This module never asks what time it is and knows no time zone; instants come in with the inputs.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use super::quantity::Quantity;

/// Ticks (100 ns) in one second.
pub const TICKS_PER_SECOND: i64 = 10_000_000;
/// Ticks (100 ns) in one millisecond.
pub const TICKS_PER_MILLISECOND: i64 = 10_000;

/// An instant: ticks of 100 ns since 1970-01-01T00:00:00Z, the resolution of an OPC UA DateTime.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

/// A duration in ticks of 100 ns; negative spans are legal results of subtraction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(i64);

/// A half-open stretch of time `[from, to)`; an empty window has `from == to`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Window {
    /// First instant inside.
    pub from: Timestamp,
    /// First instant after.
    pub to: Timestamp,
}

impl Timestamp {
    /// Earliest representable instant; stands for "since ever".
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// Latest representable instant; stands for "not ended yet".
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// Makes an instant from ticks since the Unix epoch.
    pub const fn from_ticks(ticks: i64) -> Self {
        Timestamp(ticks)
    }

    /// Ticks since the Unix epoch.
    pub const fn ticks(self) -> i64 {
        self.0
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// Makes a span from ticks.
    pub const fn from_ticks(ticks: i64) -> Self {
        Span(ticks)
    }

    /// Makes a span from whole seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Span(seconds.saturating_mul(TICKS_PER_SECOND))
    }

    /// Makes a span from whole milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Span(millis.saturating_mul(TICKS_PER_MILLISECOND))
    }

    /// Reads a positive duration such as `250ms`, `1.5s`, `2m`, `8h` or `30d`, exact to the tick.
    pub fn parse(text: &str) -> Option<Self> {
        let split = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = text.split_at(split);
        let ticks_per_unit: i64 = match unit {
            "us" => 10,
            "ms" => 10_000,
            "s" => 10_000_000,
            "m" | "min" => 600_000_000,
            "h" => 36_000_000_000,
            "d" => 864_000_000_000,
            _ => return None,
        };
        let amount: Quantity = number.trim().parse().ok()?;
        let ticks = amount.billionths().checked_mul(ticks_per_unit.into())? / 1_000_000_000;
        let exact = amount.billionths() * i128::from(ticks_per_unit) % 1_000_000_000 == 0;
        let ticks = i64::try_from(ticks).ok()?;
        (exact && ticks > 0).then_some(Span(ticks))
    }

    /// The span in ticks.
    pub const fn ticks(self) -> i64 {
        self.0
    }
}

impl Window {
    /// Makes a window; `None` when it would end before it starts.
    pub fn new(from: Timestamp, to: Timestamp) -> Option<Self> {
        (from <= to).then_some(Window { from, to })
    }

    /// Length of the window.
    pub fn length(self) -> Span {
        self.to - self.from
    }

    /// Whether the instant lies inside.
    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// The part common to both, if it is not empty.
    pub fn intersect(self, other: Window) -> Option<Window> {
        let from = self.from.max(other.from);
        let to = self.to.min(other.to);
        (from < to).then_some(Window { from, to })
    }
}

impl Sub for Timestamp {
    type Output = Span;
    fn sub(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Span;
    fn sub(self, other: Span) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Span) {
        *self = *self + other;
    }
}

impl SubAssign for Span {
    fn sub_assign(&mut self, other: Span) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Span {
    fn sum<I: Iterator<Item = Span>>(spans: I) -> Span {
        spans.fold(Span::ZERO, Add::add)
    }
}

impl fmt::Display for Span {
    /// Seconds with up to seven decimals, exact.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let ticks = self.0.unsigned_abs();
        let (whole, part) = (ticks / TICKS_PER_SECOND as u64, ticks % TICKS_PER_SECOND as u64);
        if part == 0 {
            return write!(out, "{sign}{whole} s");
        }
        let digits = format!("{part:07}");
        write!(out, "{sign}{whole}.{} s", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_prints_exact_seconds() {
        assert_eq!(Span::from_ticks(12_500_000).to_string(), "1.25 s");
        assert_eq!(Span::from_seconds(-3).to_string(), "-3 s");
        assert_eq!(Span::from_ticks(1).to_string(), "0.0000001 s");
    }

    #[test]
    fn durations_are_exact_and_positive() {
        assert_eq!(Span::parse("250ms"), Some(Span::from_millis(250)));
        assert_eq!(Span::parse("1.5s"), Some(Span::from_millis(1500)));
        assert_eq!(Span::parse("2m"), Some(Span::from_seconds(120)));
        assert_eq!(Span::parse("10us"), Some(Span::from_ticks(100)));
        assert_eq!(Span::parse("8h"), Some(Span::from_seconds(8 * 3600)));
        assert_eq!(Span::parse("30d"), Some(Span::from_seconds(30 * 86_400)));
        for wrong in ["", "5", "-1s", "0s", "1.00000001s", "1y", "s"] {
            assert_eq!(Span::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn windows_are_half_open() {
        let w = Window::new(Timestamp(10), Timestamp(20)).unwrap();
        assert!(w.contains(Timestamp(10)) && !w.contains(Timestamp(20)));
        assert_eq!(w.intersect(Window { from: Timestamp(20), to: Timestamp(30) }), None);
        assert!(Window::new(Timestamp(2), Timestamp(1)).is_none());
    }
}
