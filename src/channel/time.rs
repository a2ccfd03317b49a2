//! Our instants as OPC UA counts them, and back: the one place of the server where it is done.

use opcua::types::DateTime;

use crate::app::clock::Clock;
use crate::domain::time::{TICKS_PER_SECOND, Timestamp};

/// Ticks between 1601-01-01, where OPC UA counts from, and 1970-01-01.
const EPOCH_DIFFERENCE: i64 = 116_444_736_000_000_000;
const NANOSECONDS_PER_TICK: u32 = 100;

/// An instant as OPC UA counts it.
pub fn date_time(at: Timestamp) -> DateTime {
    DateTime::from(at.ticks().saturating_add(EPOCH_DIFFERENCE))
}

/// Ticks since 1601; the type's own way to count them goes through the calendar.
pub fn ticks(time: &DateTime) -> i64 {
    let time = time.as_chrono();
    let seconds = time.timestamp().saturating_mul(TICKS_PER_SECOND);
    let rest = i64::from(time.timestamp_subsec_nanos() / NANOSECONDS_PER_TICK);
    seconds.saturating_add(rest).saturating_add(EPOCH_DIFFERENCE)
}

/// An instant of OPC UA in our ticks; `None` for the null time.
pub fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let ticks = ticks(time);
    (ticks > 0).then(|| Timestamp::from_ticks(ticks - EPOCH_DIFFERENCE))
}

/// The present as OPC UA counts it.
pub fn now_date_time(clock: &dyn Clock) -> DateTime {
    date_time(clock.now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_as_the_type_counts_them() {
        for known in [0, 1, -1, 9_999_999, EPOCH_DIFFERENCE - 1, EPOCH_DIFFERENCE, i64::MAX / 4] {
            let time = DateTime::from(known);
            assert_eq!((ticks(&time), time.ticks()), (known, known));
        }
    }
}
