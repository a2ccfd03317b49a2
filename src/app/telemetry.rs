//! What is kept of the values that machines show, and what a store of them must do.
//!
//! A value goes in as it came and comes out the same, bit for bit: what its bytes mean is known to those who
//! have made them. A store never holds a place open between two questions.

use std::sync::Arc;

use super::ports::StoreError;
use crate::domain::time::{Span, Timestamp, Window};

/// All values of one variable, under a number that stays its own.
pub type SeriesId = u32;

/// What a variable said at an instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// When it was so.
    pub at: Timestamp,
    /// The status of the value (Part 4 §7.39).
    pub status: u32,
    /// The value.
    pub value: Sampled,
}

/// A value that is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sampled {
    /// There is none.
    None,
    /// A number.
    Number {
        /// What kind of number; one of the simple built-in types (Part 6 §5.1.2).
        kind: u8,
        /// Its bits, as its kind has them.
        bits: u64,
    },
    /// Anything else, as bytes.
    Bytes(Arc<[u8]>),
}

/// Samples of several variables in the order in which they came.
pub type Samples = Vec<(SeriesId, Sample)>;

/// A store of samples, as its only writer sees it.
pub trait TelemetryStore: Send {
    /// Keeps samples; they are durable on return, all or none. It may be tried again after an error.
    fn append(&mut self, samples: &[(SeriesId, Sample)], now: Timestamp) -> Result<(), StoreError>;

    /// Does what is due without samples: notes that the program lives, and lets go of what is too old.
    fn tend(&mut self, now: Timestamp) -> Result<(), StoreError>;

    /// What is kept.
    fn reader(&self) -> Arc<dyn TelemetryReader>;
}

/// What a store has kept.
pub trait TelemetryReader: Send + Sync {
    /// The numbers of series of these names, and whether they are new; they are durable on return.
    fn series(&self, names: &[String]) -> Result<Vec<(SeriesId, bool)>, StoreError>;

    /// How long values are kept.
    fn keeps(&self) -> Span;

    /// When the program before this one was alive last, if there was one.
    fn last_alive(&self) -> Option<Timestamp>;

    /// An instant before which a series has nothing; none where it has nothing at all.
    fn oldest(&self, series: SeriesId) -> Result<Option<Timestamp>, StoreError>;

    /// The samples of a window in order of time, those of one instant in the order in which they came.
    fn values(&self, series: SeriesId, window: Window) -> Result<Vec<Sample>, StoreError>;

    /// The last sample before an instant.
    fn last_before(&self, series: SeriesId, at: Timestamp) -> Result<Option<Sample>, StoreError>;

    /// The first sample at or after an instant.
    fn first_since(&self, series: SeriesId, at: Timestamp) -> Result<Option<Sample>, StoreError>;
}
