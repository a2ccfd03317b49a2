//! Our instants as OPC UA counts them, and back: the one place of the server where it is done.

use opcua::types::DateTime;

use crate::app::clock::Clock;
use crate::domain::time::Timestamp;

/// Ticks between 1601-01-01, where OPC UA counts from, and 1970-01-01.
const EPOCH_DIFFERENCE: i64 = 116_444_736_000_000_000;

/// An instant as OPC UA counts it.
pub fn date_time(at: Timestamp) -> DateTime {
    DateTime::from(at.ticks().saturating_add(EPOCH_DIFFERENCE))
}

/// An instant of OPC UA in our ticks; `None` for the null time.
pub fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let ticks = time.ticks();
    (ticks > 0).then(|| Timestamp::from_ticks(ticks - EPOCH_DIFFERENCE))
}

/// The present as OPC UA counts it.
pub fn now_date_time(clock: &dyn Clock) -> DateTime {
    date_time(clock.now())
}
