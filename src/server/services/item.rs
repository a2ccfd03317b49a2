//! A monitored item (Part 4 §5.13): when it samples, what of a value it looks at, what it reports.
//!
//! Source timestamps are never changed. Sampling needs no timer: what was due at an earlier instant
//! is found when the next value or the next publishing comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::types::{DataValue, MonitoringMode, NumericRange, StatusCode, TimestampsToReturn};

use super::filter::data_change::DataFilter;
use super::filter::event::EventFilter;
use super::hub::Spot;
use super::queue::{Added, Fields, Queue};
use crate::server::space::Asker;

/// What an item watches.
#[derive(Debug)]
pub enum Watch {
    /// A value or another attribute.
    Data(DataWatch),
    /// Events.
    Events(Arc<EventFilter>),
}

/// How an item watches a value.
#[derive(Debug)]
pub struct DataWatch {
    /// Which changes count.
    pub filter: DataFilter,
    /// Part of an array; most items have none.
    pub range: Option<Box<NumericRange>>,
    /// The value that was reported last.
    last: Option<Arc<DataValue>>,
    /// When values are looked at; items that report every change have no pace.
    pace: Option<Box<Pace>>,
    /// When it got the value with which it began.
    began: Option<Instant>,
}

/// When an item looks at values.
#[derive(Debug)]
struct Pace {
    /// The next look.
    next: Instant,
    /// The newest value, when its turn has not come yet.
    pending: Option<Arc<DataValue>>,
}

impl DataWatch {
    fn has_pending(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.pending.is_some())
    }

    /// Has seen nothing yet.
    pub fn new(filter: DataFilter, range: NumericRange) -> DataWatch {
        let range = (!range.is_none()).then(|| Box::new(range));
        DataWatch { filter, range, last: None, pace: None, began: None }
    }
}

/// What a client has asked for.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The client's own number for the item.
    pub client_handle: u32,
    /// Time between two looks; zero for every change.
    pub sampling: Duration,
    /// Room of the queue.
    pub queue_size: u32,
    /// Which end of it is lost.
    pub discard_oldest: bool,
    /// Which timestamps are wanted.
    pub timestamps: TimestampsToReturn,
}

/// A monitored item.
#[derive(Debug)]
pub struct Item {
    /// Its number.
    pub id: u32,
    /// Where it watches.
    pub spot: Arc<Spot>,
    /// Which attribute.
    pub attribute: u32,
    /// Mode.
    pub mode: MonitoringMode,
    /// What the client has asked for.
    pub settings: Settings,
    /// How it watches.
    pub watch: Watch,
    /// What waits to be reported.
    pub queue: Queue,
    /// Items that are reported when this one has news.
    pub links: Vec<u32>,
    /// Whether another item has asked for what waits here.
    pub triggered: bool,
    /// Whether it is in the list of those with news.
    pub listed: bool,
    /// Who watches; rights may depend on it.
    pub asker: Arc<Asker>,
}

/// What came of an offer: a value that had waited and the new one may both be news.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Offered {
    /// Entries that wait in addition to those before.
    pub added: usize,
    /// Entries that were lost for new ones.
    pub lost: u32,
}

impl Offered {
    fn nothing() -> Offered {
        Offered::default()
    }

    fn one(added: Added) -> Offered {
        match added {
            Added::More => Offered { added: 1, lost: 0 },
            Added::Lost => Offered { added: 0, lost: 1 },
        }
    }

    /// Whether there is anything to report.
    pub fn is_news(self) -> bool {
        self.added > 0 || self.lost > 0
    }
}

/// How long values may be on their way to those who watch.
const ON_THE_WAY: Duration = Duration::from_secs(1);
/// Room that an event takes in a queue beside a value: it has many fields.
const EVENT_WEIGHT: usize = 16;

impl Item {
    /// Room that each entry of its queue takes.
    pub fn weight(&self) -> usize {
        match self.watch {
            Watch::Data(_) => 1,
            Watch::Events(_) => EVENT_WEIGHT,
        }
    }

    /// Whether what waits is reported by itself.
    pub fn reports(&self) -> bool {
        self.mode == MonitoringMode::Reporting || self.triggered
    }

    /// Takes a new value. `crowded` says that all queues together are full.
    pub fn offer(&mut self, now: Instant, value: &Arc<DataValue>, crowded: bool) -> Offered {
        if self.mode == MonitoringMode::Disabled {
            return Offered::nothing();
        }
        let sampling = self.settings.sampling;
        let due = self.flush(now, crowded);
        let Watch::Data(watch) = &mut self.watch else {
            return Offered::nothing();
        };
        if !sampling.is_zero() {
            match &mut watch.pace {
                Some(pace) if now < pace.next => {
                    pace.pending = Some(value.clone());
                    return due;
                }
                Some(pace) => pace.next = now + sampling,
                none => *none = Some(Box::new(Pace { next: now + sampling, pending: None })),
            }
        }
        let new = self.sample(value, crowded);
        Offered { added: due.added + new.added, lost: due.lost + new.lost }
    }

    /// Looks at a value that waited, if its turn has come.
    pub fn flush(&mut self, now: Instant, crowded: bool) -> Offered {
        let sampling = self.settings.sampling;
        let Watch::Data(watch) = &mut self.watch else {
            return Offered::nothing();
        };
        let Some(pace) = watch.pace.as_mut().filter(|pace| now >= pace.next) else {
            return Offered::nothing();
        };
        let Some(value) = pace.pending.take() else {
            return Offered::nothing();
        };
        // The looks stay on their grid, however late this one is.
        let behind = now.duration_since(pace.next).as_nanos();
        let passed = behind / sampling.as_nanos().max(1);
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        pace.next += sampling.saturating_mul(passed.saturating_add(1));
        self.sample(&value, crowded)
    }

    /// Whether a value waits for its turn.
    pub fn has_pending(&self) -> bool {
        matches!(&self.watch, Watch::Data(watch) if watch.has_pending())
    }

    fn sample(&mut self, value: &Arc<DataValue>, crowded: bool) -> Offered {
        let Watch::Data(watch) = &mut self.watch else {
            return Offered::nothing();
        };
        let value = match &watch.range {
            Some(range) => Arc::new(part(value, range)),
            None => value.clone(),
        };
        if !watch.filter.is_change(watch.last.as_deref(), &value) {
            return Offered::nothing();
        }
        watch.last = Some(value.clone());
        Offered::one(self.queue.add_value(value, crowded))
    }

    /// Takes the value with which it begins.
    pub fn begin(&mut self, now: Instant, value: &Arc<DataValue>, crowded: bool) -> Offered {
        if let Watch::Data(watch) = &mut self.watch {
            watch.began = Some(now);
        }
        self.offer(now, value, crowded)
    }

    /// Whether a value was on its way already when it began with a newer one. Later a source time
    /// that goes back is the machine's own affair, and its values are news.
    pub fn begins_after(&self, now: Instant, value: &DataValue) -> bool {
        let Watch::Data(watch) = &self.watch else {
            return false;
        };
        let last = watch.last.as_ref().and_then(|last| last.source_timestamp);
        watch.began.is_some_and(|began| now < began + ON_THE_WAY)
            && last.is_some_and(|last| value.source_timestamp.is_some_and(|time| time < last))
    }

    /// Whether it has not seen any value yet.
    pub fn is_fresh(&self) -> bool {
        let is_new = |watch: &DataWatch| watch.last.is_none() && !watch.has_pending();
        self.mode != MonitoringMode::Disabled
            && matches!(&self.watch, Watch::Data(watch) if is_new(watch))
    }

    /// The part of an array that it watches.
    pub fn range(&self) -> NumericRange {
        match &self.watch {
            Watch::Data(watch) => watch.range.as_deref().cloned().unwrap_or_default(),
            Watch::Events(_) => NumericRange::None,
        }
    }

    /// Watches in another way from now on; what it has seen counts on.
    pub fn change_watch(&mut self, watch: Watch) {
        match (&mut self.watch, watch) {
            (Watch::Data(own), Watch::Data(new)) => {
                own.filter = new.filter;
                own.pace = None;
            }
            (own, new) => *own = new,
        }
    }

    /// Takes an event whose fields were selected already.
    pub fn offer_event(
        &mut self,
        fields: Fields,
        crowded: bool,
        overflow: impl FnOnce() -> Fields,
    ) -> Offered {
        if self.mode == MonitoringMode::Disabled {
            return Offered::nothing();
        }
        Offered::one(self.queue.add_event(fields, crowded, overflow))
    }

    /// Changes the mode (Part 4 §5.13.4); gives how many waiting entries were dropped, and whether
    /// the present value must be looked at.
    pub fn set_mode(&mut self, mode: MonitoringMode) -> (usize, bool) {
        let was = std::mem::replace(&mut self.mode, mode);
        if mode == MonitoringMode::Disabled {
            if let Watch::Data(watch) = &mut self.watch {
                (watch.last, watch.pace) = (None, None);
            }
            return (self.queue.clear(), false);
        }
        let begins = was == MonitoringMode::Disabled && matches!(self.watch, Watch::Data(_));
        (0, begins)
    }

    /// Lets the present value be reported again, whether it has changed or not.
    pub fn resend(&mut self) {
        if let Watch::Data(watch) = &mut self.watch {
            (watch.last, watch.pace) = (None, None);
        }
    }
}

/// The part of a value that an index range names.
fn part(value: &DataValue, range: &NumericRange) -> DataValue {
    let mut part = value.clone();
    match part.value.take().map(|value| value.range_of(range)) {
        Some(Ok(value)) => part.value = Some(value),
        Some(Err(status)) => part.status = Some(status),
        None => {}
    }
    if part.value.is_none() && part.status.is_none_or(|status| status.is_good()) {
        part.status = Some(StatusCode::BadIndexRangeNoData);
    }
    part
}

#[cfg(test)]
mod tests {
    use opcua::types::{DateTime, NodeId, Variant};

    use super::super::queue::Entry;
    use super::*;

    fn item(sampling_ms: u64) -> Item {
        let settings = Settings {
            client_handle: 1,
            sampling: Duration::from_millis(sampling_ms),
            queue_size: 10,
            discard_oldest: true,
            timestamps: TimestampsToReturn::Both,
        };
        Item {
            id: 1,
            spot: Spot::new(&NodeId::new(1, "x")),
            attribute: 13,
            mode: MonitoringMode::Reporting,
            settings,
            watch: Watch::Data(DataWatch::new(DataFilter::default(), NumericRange::None)),
            queue: Queue::new(10, true),
            links: Vec::new(),
            triggered: false,
            listed: false,
            asker: Arc::new(Asker::anonymous()),
        }
    }

    fn value(number: i32, at: i64, status: StatusCode) -> Arc<DataValue> {
        Arc::new(DataValue {
            value: Some(number.into()),
            status: Some(status),
            source_timestamp: Some(DateTime::from(at)),
            ..DataValue::default()
        })
    }

    fn good(number: i32, at: i64) -> Arc<DataValue> {
        value(number, at, StatusCode::Good)
    }

    fn reported(item: &mut Item) -> Vec<(i32, i64)> {
        std::iter::from_fn(|| item.queue.take())
            .map(|entry| match entry {
                Entry::Value(value, _) => match value.value {
                    Some(Variant::Int32(n)) => (n, value.source_timestamp.unwrap().ticks()),
                    _ => panic!("no number"),
                },
                Entry::Event(_) => panic!("no value"),
            })
            .collect()
    }

    #[test]
    fn an_interval_of_zero_reports_every_change_with_its_own_time() {
        let (mut item, now) = (item(0), Instant::now());
        // Late, early and equal source times are all the machine's own.
        for (number, at) in [(1, 500), (2, 100), (3, 100), (4, 9_000_000)] {
            item.offer(now, &good(number, at), false);
        }
        assert_eq!(reported(&mut item), [(1, 500), (2, 100), (3, 100), (4, 9_000_000)]);
    }

    #[test]
    fn what_was_on_its_way_is_older_than_the_beginning_and_a_clock_that_goes_back_is_news() {
        let (mut item, start) = (item(0), Instant::now());
        item.begin(start, &good(2, 200), false);
        let soon = start + Duration::from_millis(50);
        assert!(item.begins_after(soon, &good(1, 100)));
        assert!(!item.begins_after(soon, &good(3, 300)));
        item.offer(soon, &good(3, 300), false);
        let later = start + Duration::from_secs(2);
        assert!(!item.begins_after(later, &good(4, 100)));
        item.offer(later, &good(4, 100), false);
        assert_eq!(reported(&mut item), [(2, 200), (3, 300), (4, 100)]);
    }

    #[test]
    fn a_paced_item_reports_the_newest_value_at_each_look_with_its_own_time() {
        let (mut item, start) = (item(100), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for (ms, number) in [(0, 1), (30, 2), (60, 3), (130, 4), (450, 5)] {
            item.offer(at(ms), &good(number, number.into()), false);
        }
        // 1 at 0, 3 at 100, 4 at 200; the turn of 5 is at 500.
        assert_eq!(reported(&mut item), [(1, 1), (3, 3), (4, 4)]);
        assert!(item.has_pending());
        item.flush(at(499), false);
        assert_eq!(reported(&mut item), []);
        item.flush(at(500), false);
        assert_eq!(reported(&mut item), [(5, 5)]);
    }

    #[test]
    fn a_change_of_status_alone_is_reported_and_one_that_came_back_in_between_is_not() {
        let (mut every, mut paced, start) = (item(0), item(100), Instant::now());
        let statuses = [StatusCode::Good, StatusCode::Bad, StatusCode::Good];
        for status in statuses {
            every.offer(start, &value(1, 1, status), false);
            paced.offer(start, &value(1, 1, status), false);
        }
        assert_eq!(every.queue.len(), 3);
        paced.flush(start + Duration::from_secs(1), false);
        assert_eq!(paced.queue.len(), 1);
    }

    #[test]
    fn a_disabled_item_forgets_and_begins_anew() {
        let (mut item, now) = (item(0), Instant::now());
        item.offer(now, &good(1, 1), false);
        assert_eq!(item.set_mode(MonitoringMode::Disabled), (1, false));
        assert!(!item.offer(now, &good(2, 2), false).is_news());
        assert_eq!(item.set_mode(MonitoringMode::Reporting), (0, true));
        item.offer(now, &good(1, 1), false);
        assert_eq!(reported(&mut item), [(1, 1)]);
    }

    #[test]
    fn an_index_range_looks_at_a_part_only() {
        let (mut item, now) = (item(0), Instant::now());
        item.watch = Watch::Data(DataWatch::new(DataFilter::default(), NumericRange::Index(1)));
        let array = |numbers: [i32; 2]| {
            Arc::new(DataValue { value: Some(numbers.to_vec().into()), ..DataValue::default() })
        };
        item.offer(now, &array([1, 5]), false);
        assert!(!item.offer(now, &array([2, 5]), false).is_news());
        assert!(item.offer(now, &array([2, 6]), false).is_news());
        let short = DataValue { value: Some(vec![1_i32].into()), ..DataValue::default() };
        item.offer(now, &Arc::new(short), false);
        let last = std::iter::from_fn(|| item.queue.take()).last();
        let Some(Entry::Value(value, _)) = last else { panic!("nothing") };
        assert_eq!(value.status, Some(StatusCode::BadIndexRangeNoData));
    }
}
