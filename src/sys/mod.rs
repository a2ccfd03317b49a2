//! The operating system: the only place that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::app::clock::Clock;
use crate::domain::time::Timestamp;

const NANOS_PER_TICK: u128 = 100;

/// The wall clock of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ticks = since_epoch.as_nanos() / NANOS_PER_TICK;
        Timestamp::from_ticks(i64::try_from(ticks).unwrap_or(i64::MAX))
    }
}
