//! Instants and civil dates as text (RFC 3339), at the edge only.

use jiff::Timestamp as JiffTimestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::domain::calendar::{CivilDate, CivilZone, LocalTime};
use crate::domain::time::Timestamp;

const NANOS_PER_TICK: i128 = 100;

/// Reads an RFC 3339 instant; an offset or `Z` is required. Finer than 100 ns is cut off.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let parsed: JiffTimestamp = text.parse().map_err(|_| {
        format!("{text:?} is not an RFC 3339 time with offset, such as 2026-11-22T06:00:00Z")
    })?;
    let ticks = parsed.as_nanosecond().div_euclid(NANOS_PER_TICK);
    i64::try_from(ticks).map(Timestamp::from_ticks).map_err(|_| format!("{text:?} is out of range"))
}

/// Prints an instant as RFC 3339 in UTC, exact to the tick.
pub fn print(at: Timestamp) -> String {
    match JiffTimestamp::from_nanosecond(i128::from(at.ticks()) * NANOS_PER_TICK) {
        Ok(instant) => instant.to_string(),
        Err(_) if at.ticks() < 0 => "-infinity".into(),
        Err(_) => "infinity".into(),
    }
}

/// The rules of an IANA time zone.
#[derive(Clone, Debug)]
pub struct IanaZone {
    name: String,
    zone: TimeZone,
}

impl IanaZone {
    /// The zone of that name, if there is one.
    pub fn find(name: &str) -> Option<IanaZone> {
        let zone = TimeZone::get(name).ok()?;
        Some(IanaZone { name: name.to_owned(), zone })
    }

    /// An instant of the wall clock at an offset from UTC.
    fn at_offset(civil: jiff::civil::DateTime, offset: jiff::tz::Offset) -> Timestamp {
        offset.to_timestamp(civil).map_or(Timestamp::MAX, in_ticks)
    }
}

fn in_ticks(at: JiffTimestamp) -> Timestamp {
    let ticks = at.as_nanosecond().div_euclid(NANOS_PER_TICK);
    Timestamp::from_ticks(i64::try_from(ticks).unwrap_or(i64::MAX))
}

impl CivilZone for IanaZone {
    fn name(&self) -> &str {
        &self.name
    }

    fn local(&self, date: CivilDate, minute: u32) -> LocalTime {
        let (days, minute) = (minute / 1440, minute % 1440);
        let days = i64::from(date.0) + i64::from(days);
        let civil = Date::constant(1970, 1, 1)
            .checked_add(jiff::Span::new().days(days))
            .map(|date| date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0));
        let Ok(civil) = civil else {
            return LocalTime::Once(Timestamp::MAX);
        };
        match self.zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                LocalTime::Once(Self::at_offset(civil, offset))
            }
            AmbiguousOffset::Fold { before, after } => {
                LocalTime::Twice(Self::at_offset(civil, before), Self::at_offset(civil, after))
            }
            AmbiguousOffset::Gap { before, after } => {
                let early = after.to_timestamp(civil).unwrap_or(JiffTimestamp::MAX);
                let change = self.zone.following(early).next();
                let before = Self::at_offset(civil, before);
                let change = change.map_or(before, |change| in_ticks(change.timestamp()));
                LocalTime::Never { before, after: in_ticks(early), change }
            }
        }
    }

    fn date(&self, at: Timestamp) -> CivilDate {
        let nanos = i128::from(at.ticks()) * NANOS_PER_TICK;
        let instant = JiffTimestamp::from_nanosecond(nanos).unwrap_or(JiffTimestamp::UNIX_EPOCH);
        let date = instant.to_zoned(self.zone.clone()).date();
        let days = date.since((jiff::Unit::Day, Date::constant(1970, 1, 1)));
        CivilDate(days.map_or(0, |span| span.get_days()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_offset_and_printed_in_utc_to_the_tick() {
        let at = parse("2026-11-22T07:00:00.1234567+01:00").unwrap();
        assert_eq!(print(at), "2026-11-22T06:00:00.1234567Z");
        assert!(parse("2026-11-22T07:00:00").is_err());
        assert!(parse("yesterday").is_err());
    }

    #[test]
    fn the_nights_of_the_clock_change_have_seven_and_nine_hours() {
        let zone = IanaZone::find("Europe/Berlin").unwrap();
        let night = |text: &str| {
            let date = zone.date(parse(text).unwrap());
            (zone.instant(date, 30 * 60) - zone.instant(date, 22 * 60)).ticks() / 36_000_000_000
        };
        assert_eq!(night("2026-03-28T12:00:00Z"), 7);
        assert_eq!(night("2026-10-24T12:00:00Z"), 9);
        assert_eq!(night("2026-11-21T12:00:00Z"), 8);
        let date = zone.date(parse("2026-11-22T23:30:00Z").unwrap());
        assert_eq!(date.to_string(), "2026-11-23");
    }

    #[test]
    fn times_of_the_clock_change_have_two_readings_or_none_and_keep_their_order() {
        let zone = IanaZone::find("Europe/Berlin").unwrap();
        let at = |text: &str| parse(text).unwrap();
        let spring = CivilDate::parse("2026-03-29").unwrap();
        let expected = LocalTime::Never {
            before: at("2026-03-29T01:30:00Z"),
            after: at("2026-03-29T00:30:00Z"),
            change: at("2026-03-29T01:00:00Z"),
        };
        assert_eq!(zone.local(spring, 150), expected);
        assert_eq!(zone.instant(spring, 150), at("2026-03-29T01:00:00Z"));
        let autumn = CivilDate::parse("2026-10-25").unwrap();
        let twice = LocalTime::Twice(at("2026-10-25T00:30:00Z"), at("2026-10-25T01:30:00Z"));
        assert_eq!(zone.local(autumn, 150), twice);
        assert_eq!(zone.instant(autumn, 150), at("2026-10-25T00:30:00Z"));
        for date in [spring, autumn] {
            let minutes: Vec<_> = (0..1440).map(|minute| zone.instant(date, minute)).collect();
            assert!(minutes.is_sorted(), "later on the clock is never earlier in fact");
        }
    }
}
