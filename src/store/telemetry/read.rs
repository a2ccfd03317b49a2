//! Reading samples: those in memory and those in blocks as one.
//!
//! Memory is looked at first, and says up to which segment blocks are read, so that what is being sealed
//! meanwhile is found once.

use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLockReadGuard};

use super::Shared;
use super::days::day_of;
use super::heads::{Heads, Remembered};
use crate::app::ports::StoreError;
use crate::app::telemetry::{Sample, SeriesId, TelemetryReader};
use crate::domain::time::{Span, Timestamp, Window};

const TICK: Span = Span::from_ticks(1);

/// What is kept.
pub struct SampleReader(pub Arc<Shared>);

impl SampleReader {
    fn heads(&self) -> RwLockReadGuard<'_, Heads> {
        self.0.heads.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TelemetryReader for SampleReader {
    fn series(&self, names: &[String]) -> Result<Vec<(SeriesId, bool)>, StoreError> {
        self.0.names.numbers(names)
    }

    fn keeps(&self) -> Span {
        self.0.keeps
    }

    fn last_alive(&self) -> Option<Timestamp> {
        self.0.last_alive
    }

    fn oldest(&self, series: SeriesId) -> Result<Option<Timestamp>, StoreError> {
        let in_memory = self.heads().oldest(series);
        Ok(self.0.days.oldest().into_iter().chain(in_memory).min())
    }

    fn values(&self, series: SeriesId, window: Window) -> Result<Vec<Sample>, StoreError> {
        if window.to <= window.from {
            return Ok(Vec::new());
        }
        let Remembered { samples: in_memory, sealed } = self.heads().read(series, window);
        let mut samples = Vec::new();
        for day in self.0.days.all().range(day_of(window.from)..=day_of(window.to - TICK)) {
            let of_day = self.0.days.read(*day, series, window, sealed)?;
            samples.extend(of_day.into_iter().filter(|sample| window.contains(sample.at)));
        }
        samples.extend(in_memory);
        // Those of one instant stay in the order in which they came.
        samples.sort_by_key(|sample| sample.at);
        Ok(samples)
    }

    fn last_before(&self, series: SeriesId, at: Timestamp) -> Result<Option<Sample>, StoreError> {
        let (in_memory, _, sealed) = self.heads().around(series, at);
        let days = self.0.days.all();
        for day in days.range(..=day_of(at - TICK)).rev() {
            if in_memory.as_ref().is_some_and(|known| day_of(known.at) > *day) {
                break;
            }
            if let Some(last) = self.0.days.last_before(*day, series, at, sealed)? {
                let is_later = |known: &Sample| known.at >= last.at;
                return Ok(Some(in_memory.filter(is_later).unwrap_or(last)));
            }
        }
        Ok(in_memory)
    }

    fn first_since(&self, series: SeriesId, at: Timestamp) -> Result<Option<Sample>, StoreError> {
        let (_, in_memory, sealed) = self.heads().around(series, at);
        let days = self.0.days.all();
        for day in days.range((Bound::Included(day_of(at)), Bound::Unbounded)) {
            if in_memory.as_ref().is_some_and(|known| day_of(known.at) < *day) {
                break;
            }
            if let Some(first) = self.0.days.first_since(*day, series, at, sealed)? {
                let is_earlier = |known: &Sample| known.at < first.at;
                return Ok(Some(in_memory.filter(is_earlier).unwrap_or(first)));
            }
        }
        Ok(in_memory)
    }
}
