//! Shift patterns: wall-clock rules that become exact intervals of UTC.
//!
//! The rules of the time zone are injected, so nights of seven and nine hours come out right and
//! this module stays free of time zone tables. A line without a pattern is scheduled always.

use std::fmt;
use std::sync::Arc;

use super::id::LineId;
use super::time::{Timestamp, Window};

/// Minutes of one wall-clock day.
pub const MINUTES_PER_DAY: u32 = 24 * 60;

/// A civil date as days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CivilDate(pub i32);

impl CivilDate {
    /// Day of the week, Monday = 0.
    pub fn weekday(self) -> usize {
        usize::try_from((self.0 + 3).rem_euclid(7)).unwrap_or(0)
    }
}

/// What a time zone knows.
pub trait CivilZone: Send + Sync {
    /// The instant at a minute of a civil date; a minute of 1440 or more lies on a later date.
    ///
    /// A wall-clock time that does not exist is read with the offset before the change, one that
    /// exists twice is the first of the two.
    fn instant(&self, date: CivilDate, minute: u32) -> Timestamp;
    /// The civil date on which an instant falls.
    fn date(&self, at: Timestamp) -> CivilDate;
}

/// One shift as a rule of the wall clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShiftPattern {
    /// Name, for example `early`.
    pub name: String,
    /// The lines it holds for; empty for all.
    pub lines: Vec<LineId>,
    /// Days of the week on which it starts, Monday first.
    pub days: [bool; 7],
    /// First minute of the day.
    pub start: u32,
    /// Minute after the last; more than 1440 when it ends on the next day.
    pub end: u32,
    /// Planned breaks as minutes, counted like `start` and `end`.
    pub breaks: Vec<(u32, u32)>,
}

/// One shift that takes place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShiftInstance {
    /// Name of its pattern.
    pub name: String,
    /// The civil date on which it starts: its production date.
    pub production_date: CivilDate,
    /// When it takes place.
    pub window: Window,
    /// Planned breaks inside it.
    pub breaks: Vec<Window>,
}

/// All shift patterns of a site.
#[derive(Clone)]
pub struct Calendar {
    patterns: Vec<ShiftPattern>,
    zone: Arc<dyn CivilZone>,
}

impl fmt::Debug for Calendar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Calendar").field("patterns", &self.patterns).finish_non_exhaustive()
    }
}

impl Calendar {
    /// Makes a calendar of patterns read in a zone.
    pub fn new(patterns: Vec<ShiftPattern>, zone: Arc<dyn CivilZone>) -> Self {
        Calendar { patterns, zone }
    }

    /// Whether any shift is configured for the line; without one it is scheduled always.
    pub fn has_shifts(&self, line: &LineId) -> bool {
        self.patterns_of(line).next().is_some()
    }

    /// The zone in which the patterns are read.
    pub fn zone(&self) -> &dyn CivilZone {
        &*self.zone
    }

    fn patterns_of<'a>(&'a self, line: &'a LineId) -> impl Iterator<Item = &'a ShiftPattern> {
        self.patterns.iter().filter(move |p| p.lines.is_empty() || p.lines.contains(line))
    }

    /// The shifts of a line that touch the window, in order of time, unclipped.
    pub fn shifts(&self, line: &LineId, window: Window) -> Vec<ShiftInstance> {
        let first = self.zone.date(window.from).0 - 2;
        let last = self.zone.date(window.to).0;
        let mut shifts = Vec::new();
        for pattern in self.patterns_of(line) {
            for day in first..=last {
                let date = CivilDate(day);
                if !pattern.days[date.weekday()] {
                    continue;
                }
                let shift = self.materialise(pattern, date);
                if shift.window.intersect(window).is_some() {
                    shifts.push(shift);
                }
            }
        }
        shifts.sort_by(|a, b| (a.window.from, &a.name).cmp(&(b.window.from, &b.name)));
        shifts
    }

    /// The shift that runs at an instant.
    pub fn shift_at(&self, line: &LineId, at: Timestamp) -> Option<ShiftInstance> {
        let instant = Window { from: at, to: Timestamp::from_ticks(at.ticks().saturating_add(1)) };
        self.shifts(line, instant).into_iter().find(|s| s.window.contains(at))
    }

    fn materialise(&self, pattern: &ShiftPattern, date: CivilDate) -> ShiftInstance {
        let between = |from: u32, to: u32| {
            let from = self.zone.instant(date, from);
            Window { from, to: self.zone.instant(date, to).max(from) }
        };
        ShiftInstance {
            name: pattern.name.clone(),
            production_date: date,
            window: between(pattern.start, pattern.end),
            breaks: pattern.breaks.iter().map(|(from, to)| between(*from, *to)).collect(),
        }
    }
}

/// A zone without daylight saving, at a fixed distance from UTC; for tests and replay in UTC.
#[derive(Clone, Copy, Debug)]
pub struct FixedZone {
    /// Minutes east of UTC.
    pub offset_minutes: i32,
}

const TICKS_PER_MINUTE: i64 = 60 * super::time::TICKS_PER_SECOND;
const TICKS_PER_DAY: i64 = MINUTES_PER_DAY as i64 * TICKS_PER_MINUTE;

impl CivilZone for FixedZone {
    fn instant(&self, date: CivilDate, minute: u32) -> Timestamp {
        let minutes = i64::from(minute) - i64::from(self.offset_minutes);
        Timestamp::from_ticks(i64::from(date.0) * TICKS_PER_DAY + minutes * TICKS_PER_MINUTE)
    }

    fn date(&self, at: Timestamp) -> CivilDate {
        let offset = i64::from(self.offset_minutes) * TICKS_PER_MINUTE;
        let days = at.ticks().saturating_add(offset).div_euclid(TICKS_PER_DAY);
        CivilDate(i32::try_from(days).unwrap_or(i32::MAX / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_shift_belongs_to_the_date_on_which_it_starts() {
        let night = ShiftPattern {
            name: "night".into(),
            lines: vec![],
            days: [true; 7],
            start: 22 * 60,
            end: 30 * 60,
            breaks: vec![(26 * 60, 26 * 60 + 30)],
        };
        let calendar = Calendar::new(vec![night], Arc::new(FixedZone { offset_minutes: 60 }));
        let line = LineId::parse("L1").unwrap();
        let three_local = Timestamp::from_ticks(10 * TICKS_PER_DAY + 2 * 60 * TICKS_PER_MINUTE);
        let shift = calendar.shift_at(&line, three_local).unwrap();
        assert_eq!(shift.production_date, CivilDate(9));
        assert_eq!(shift.window.length().ticks(), 8 * 60 * TICKS_PER_MINUTE);
        assert_eq!(shift.breaks[0].length().ticks(), 30 * TICKS_PER_MINUTE);
        assert_eq!(CivilDate(0).weekday(), 3, "1970-01-01 was a Thursday");
    }
}
