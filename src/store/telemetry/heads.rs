//! The samples that are in no block yet, in memory. The log has them, too.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::app::telemetry::{Sample, SeriesId};
use crate::domain::time::{Timestamp, Window};

/// Samples by series, in order of time; those of one instant in the order in which they came.
pub type BySeries = HashMap<SeriesId, Vec<Sample>>;

/// What is in no block yet.
#[derive(Default)]
pub struct Heads {
    open: BySeries,
    /// Samples that are open.
    count: usize,
    /// When the first of them came.
    since: Option<Timestamp>,
    /// What is being sealed, and the segment of the log up to which it reaches.
    frozen: Option<(Arc<BySeries>, u64)>,
    /// The segment up to which everything is in blocks.
    sealed: u64,
}

/// What memory has of a series, and up to which segment blocks have what it has not.
pub struct Remembered {
    /// The samples that were asked for, in the order in which they came to be kept.
    pub samples: Vec<Sample>,
    /// Blocks of later segments say the same once more.
    pub sealed: u64,
}

impl Heads {
    /// Nothing in memory; everything up to a segment is in blocks.
    pub fn new(sealed: u64) -> Heads {
        Heads { sealed, ..Heads::default() }
    }

    /// Adds a sample that is durable.
    pub fn add(&mut self, series: SeriesId, sample: Sample, now: Timestamp) {
        let head = self.open.entry(series).or_default();
        match head.last().is_none_or(|last| last.at <= sample.at) {
            true => head.push(sample),
            false => {
                let place = head.partition_point(|known| known.at <= sample.at);
                head.insert(place, sample);
            }
        }
        self.count += 1;
        self.since.get_or_insert(now);
    }

    /// Samples that are open.
    pub fn count(&self) -> usize {
        self.count
    }

    /// When the first open sample came.
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// What is being sealed.
    pub fn frozen(&self) -> Option<(Arc<BySeries>, u64)> {
        self.frozen.clone()
    }

    /// What is open is to be sealed; it came with segments up to one.
    pub fn freeze(&mut self, segment: u64) {
        let open = std::mem::take(&mut self.open);
        (self.count, self.since) = (0, None);
        self.frozen = Some((Arc::new(open), segment));
    }

    /// What was frozen is in blocks.
    pub fn sealed(&mut self) {
        if let Some((_, segment)) = self.frozen.take() {
            self.sealed = segment;
        }
    }

    /// The samples of a series in a window.
    pub fn read(&self, series: SeriesId, window: Window) -> Remembered {
        let frozen = self.frozen.as_ref().and_then(|(frozen, _)| frozen.get(&series));
        let heads = frozen.into_iter().chain(self.open.get(&series));
        let samples = heads.flat_map(|head| {
            let from = head.partition_point(|sample| sample.at < window.from);
            let to = head.partition_point(|sample| sample.at < window.to);
            head.get(from..to).unwrap_or_default()
        });
        Remembered { samples: samples.cloned().collect(), sealed: self.sealed }
    }

    /// The last sample of a series before an instant, and the first one since then.
    pub fn around(&self, series: SeriesId, at: Timestamp) -> (Option<Sample>, Option<Sample>, u64) {
        let frozen = self.frozen.as_ref().and_then(|(frozen, _)| frozen.get(&series));
        let (mut before, mut since): (Option<&Sample>, Option<&Sample>) = (None, None);
        for head in frozen.into_iter().chain(self.open.get(&series)) {
            let place = head.partition_point(|sample| sample.at < at);
            let last = place.checked_sub(1).and_then(|place| head.get(place));
            // Of those of one instant the one that came last is the last.
            before = before.into_iter().chain(last).max_by_key(|sample| sample.at);
            since = since.into_iter().chain(head.get(place)).min_by_key(|sample| sample.at);
        }
        (before.cloned(), since.cloned(), self.sealed)
    }

    /// The first instant of a series.
    pub fn oldest(&self, series: SeriesId) -> Option<Timestamp> {
        let frozen = self.frozen.as_ref().and_then(|(frozen, _)| frozen.get(&series));
        let heads = frozen.into_iter().chain(self.open.get(&series));
        heads.filter_map(|head| head.first()).map(|sample| sample.at).min()
    }
}

/// Samples by the days to which they belong.
pub fn by_day(
    samples: &BySeries,
    day_of: impl Fn(Timestamp) -> i32,
) -> BTreeMap<i32, BTreeMap<SeriesId, &[Sample]>> {
    let mut days: BTreeMap<i32, BTreeMap<SeriesId, &[Sample]>> = BTreeMap::new();
    for (series, samples) in samples {
        for of_day in samples.chunk_by(|one, next| day_of(one.at) == day_of(next.at)) {
            if let Some(first) = of_day.first() {
                days.entry(day_of(first.at)).or_default().insert(*series, of_day);
            }
        }
    }
    days
}
