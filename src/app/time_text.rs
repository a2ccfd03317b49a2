//! Instants and civil dates as text (RFC 3339), at the edge only.

use jiff::Timestamp as JiffTimestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::calendar::{CivilDate, CivilZone};
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

/// Prints a civil date as `2026-11-22`.
pub fn print_date(date: CivilDate) -> String {
    let days = i64::from(date.0);
    let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(days));
    date.map_or_else(|_| "out of range".into(), |date| date.to_string())
}

/// The rules of an IANA time zone.
#[derive(Clone, Debug)]
pub struct IanaZone(TimeZone);

impl IanaZone {
    /// The zone of that name, if there is one.
    pub fn find(name: &str) -> Option<IanaZone> {
        TimeZone::get(name).ok().map(IanaZone)
    }
}

impl CivilZone for IanaZone {
    fn instant(&self, date: CivilDate, minute: u32) -> Timestamp {
        let (days, minute) = (minute / 1440, minute % 1440);
        let days = i64::from(date.0) + i64::from(days);
        let civil = Date::constant(1970, 1, 1)
            .checked_add(jiff::Span::new().days(days))
            .map(|date| date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0));
        let instant = civil.ok().and_then(|c| self.0.to_ambiguous_zoned(c).compatible().ok());
        let ticks = instant.map_or(i128::from(i64::MAX), |zoned| {
            zoned.timestamp().as_nanosecond() / NANOS_PER_TICK
        });
        Timestamp::from_ticks(i64::try_from(ticks).unwrap_or(i64::MAX))
    }

    fn date(&self, at: Timestamp) -> CivilDate {
        let nanos = i128::from(at.ticks()) * NANOS_PER_TICK;
        let instant = JiffTimestamp::from_nanosecond(nanos).unwrap_or(JiffTimestamp::UNIX_EPOCH);
        let date = instant.to_zoned(self.0.clone()).date();
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
        assert_eq!(print_date(zone.date(parse("2026-11-22T23:30:00Z").unwrap())), "2026-11-23");
    }
}
