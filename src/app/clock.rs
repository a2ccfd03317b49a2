//! The clock as a port, so that tests can set the time.

use crate::domain::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The present instant, UTC.
    fn now(&self) -> Timestamp;
}
