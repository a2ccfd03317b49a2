//! Civil dates and what a time zone knows of them.
//!
//! The tables of time zones are not here: they come in behind [`CivilZone`].

use std::fmt;

use crate::domain::time::{TICKS_PER_SECOND, Timestamp};

/// Minutes of one wall-clock day.
pub const MINUTES_PER_DAY: u32 = 24 * 60;

const TICKS_PER_MINUTE: i64 = 60 * TICKS_PER_SECOND;
const TICKS_PER_DAY: i64 = MINUTES_PER_DAY as i64 * TICKS_PER_MINUTE;

/// A civil date (proleptic Gregorian) as days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CivilDate(pub i32);

impl CivilDate {
    /// The date of a year, month and day; `None` when there is no such day.
    pub fn new(year: i32, month: u32, day: u32) -> Option<CivilDate> {
        if !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
            return None;
        }
        let (year64, month64) = (i64::from(year), i64::from(month));
        // Years are counted from March, so that a leap day is the last of its year.
        let shifted = year64 - i64::from(month <= 2);
        let era = shifted.div_euclid(400);
        let year_of_era = shifted.rem_euclid(400);
        let day_of_year = (153 * ((month64 + 9) % 12) + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let date = CivilDate(i32::try_from(era * 146_097 + day_of_era - 719_468).ok()?);
        (day >= 1 && date.parts() == (year, month, day)).then_some(date)
    }

    /// Reads `2026-12-24`.
    pub fn parse(text: &str) -> Option<CivilDate> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| {
            let part = parts.next()?;
            let plain = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
            if plain { part.parse::<u32>().ok() } else { None }
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        if parts.next().is_some() {
            return None;
        }
        CivilDate::new(i32::try_from(year).ok()?, month, day)
    }

    /// Year, month and day.
    pub fn parts(self) -> (i32, u32, u32) {
        let days = i64::from(self.0) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leap_days) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let small = |number: i64| u32::try_from(number).unwrap_or(0);
        (i32::try_from(year).unwrap_or(i32::MAX), small(month), small(day))
    }

    /// Day of the week, Monday = 0.
    pub fn weekday(self) -> usize {
        usize::try_from((i64::from(self.0) + 3).rem_euclid(7)).unwrap_or(0)
    }

    /// The date so many days later, or earlier.
    pub fn plus(self, days: i32) -> CivilDate {
        CivilDate(self.0.saturating_add(days))
    }
}

impl fmt::Display for CivilDate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.parts();
        write!(out, "{year:04}-{month:02}-{day:02}")
    }
}

/// What a wall-clock time means in a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocalTime {
    /// One instant.
    Once(Timestamp),
    /// Two instants, because the clocks are put back over it.
    Twice(Timestamp, Timestamp),
    /// None, because the clocks are put forward over it.
    Never {
        /// The instant with the offset that holds before the change.
        before: Timestamp,
        /// The instant with the offset that holds after it.
        after: Timestamp,
        /// The change.
        change: Timestamp,
    },
}

/// What a time zone knows.
pub trait CivilZone: Send + Sync {
    /// Its IANA name.
    fn name(&self) -> &str;
    /// What a minute of a civil date means; a minute of 1440 or more lies on a later date.
    fn local(&self, date: CivilDate, minute: u32) -> LocalTime;
    /// The civil date on which an instant falls.
    fn date(&self, at: Timestamp) -> CivilDate;

    /// The instant at which a recurring rule takes effect.
    ///
    /// A time that exists twice is the first of the two, one that does not exist is the change of
    /// the clocks. So later times of a day are never earlier instants, and shifts that follow each
    /// other on the wall clock do so in fact.
    fn instant(&self, date: CivilDate, minute: u32) -> Timestamp {
        match self.local(date, minute) {
            LocalTime::Once(at) | LocalTime::Twice(at, _) => at,
            LocalTime::Never { change, .. } => change,
        }
    }
}

/// A zone without daylight saving, at a fixed distance from UTC; for tests and replay in UTC.
#[derive(Clone, Copy, Debug)]
pub struct FixedZone {
    /// Minutes east of UTC.
    pub offset_minutes: i32,
}

impl CivilZone for FixedZone {
    fn name(&self) -> &str {
        "fixed"
    }

    fn local(&self, date: CivilDate, minute: u32) -> LocalTime {
        let minutes = i64::from(minute) - i64::from(self.offset_minutes);
        let ticks = i64::from(date.0) * TICKS_PER_DAY + minutes * TICKS_PER_MINUTE;
        LocalTime::Once(Timestamp::from_ticks(ticks))
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
    fn dates_are_read_and_printed_over_leap_years() {
        for text in ["1970-01-01", "2000-02-29", "2024-02-29", "2026-12-31", "2100-03-01"] {
            assert_eq!(CivilDate::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["2026-02-29", "2100-02-29", "2026-13-01", "2026-00-10", "26-1-1", "x", ""] {
            assert_eq!(CivilDate::parse(wrong), None, "{wrong}");
        }
        assert_eq!(CivilDate::parse("1970-01-02"), Some(CivilDate(1)));
        assert_eq!(CivilDate::parse("2026-11-25").unwrap().weekday(), 2, "a Wednesday");
    }

    #[test]
    fn every_day_of_four_centuries_is_itself() {
        for day in 0..146_097 {
            let date = CivilDate(day);
            let (year, month, of_month) = date.parts();
            assert_eq!(CivilDate::new(year, month, of_month), Some(date));
        }
    }

    #[test]
    fn a_fixed_zone_begins_its_days_at_its_own_midnight() {
        let india = FixedZone { offset_minutes: 330 };
        assert_eq!(india.name(), "fixed");
        let midnight = india.instant(CivilDate(10), 0);
        assert_eq!(midnight.ticks(), 10 * TICKS_PER_DAY - 330 * TICKS_PER_MINUTE);
        assert_eq!(india.date(midnight), CivilDate(10));
        let before = Timestamp::from_ticks(midnight.ticks() - 1);
        assert_eq!(india.date(before), CivilDate(9));
        assert_eq!(india.instant(CivilDate(9), MINUTES_PER_DAY), midnight);
    }
}
