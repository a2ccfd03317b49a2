//! HistoryRead of raw values (Part 11 §6.5.3): which values a request means, and in which pages they
//! are given.
//!
//! A page costs what it gives, however long the history is: it goes on from a place in time, never
//! from an open transaction or a count, and looks at a limited stretch of time.

use async_trait::async_trait;
use opcua::types::{DataValue, StatusCode};

use super::value::data_value;
use crate::domain::time::{Span, Timestamp, Window};

/// Values of one page at most.
const PAGE_MAX: usize = 1000;
/// Stretches of time that are looked at for one page. A page may be short or empty and yet not the
/// last.
const STRETCHES_MAX: usize = 50;

const TICK: Span = Span::from_ticks(1);
/// 1601-01-01: nothing is earlier in OPC UA.
const EARLIEST: Timestamp = Timestamp::from_ticks(-116_444_736_000_000_000);

/// The stored values of one variable.
#[async_trait]
pub trait Source: Sync {
    /// The present.
    fn now(&self) -> Timestamp;

    /// The oldest instant at which there can be a value.
    async fn oldest(&self) -> Result<Option<Timestamp>, StatusCode>;

    /// How long a stretch of time is looked at after one of a length, which had values or not; at
    /// first, and then.
    fn stretch(&self, before: Option<(Span, bool)>) -> Span;

    /// The values of a window in order of time.
    async fn values(&self, window: Window) -> Result<Vec<(Timestamp, DataValue)>, StatusCode>;

    /// The last value before an instant.
    async fn last_before(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode>;

    /// The first value at or after an instant, as far as it is near.
    async fn first_since(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode>;
}

/// How far a request has been answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The instant of the last value that was given.
    pub at: Timestamp,
    /// Values of this instant that were given.
    pub same: usize,
    /// Values that were given in all pages.
    pub given: usize,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RawHistoryRequest {
    /// Start; `None` when not given.
    pub start: Option<Timestamp>,
    /// End; `None` when not given.
    pub end: Option<Timestamp>,
    /// Values wanted at most, in a page where both ends are given; 0 for all.
    pub limit: usize,
    /// Whether the values at the bounds are wanted.
    pub bounds: bool,
    /// Where the pages before have ended.
    pub after: Option<Place>,
    /// The present.
    pub now: Timestamp,
}

/// A page of stored values.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// The values, in the order that was asked for.
    pub values: Vec<DataValue>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
}

/// The instants that a request means.
#[derive(Clone, Copy, Debug)]
struct Range {
    /// Where it starts, inclusive, and where it ends.
    start: Timestamp,
    end: Timestamp,
    /// The instants inside.
    inside: Window,
}

impl Range {
    fn is_reverse(&self) -> bool {
        self.end < self.start
    }
}

impl RawHistoryRequest {
    /// At least two of start, end and number must be given (Part 11 §6.5.3.2). The start belongs to
    /// the range, the end does not, whichever is earlier.
    fn range(&self) -> Result<Range, StatusCode> {
        let (start, end) = match (self.start, self.end) {
            (Some(start), Some(end)) => (start, end),
            (Some(start), None) if self.limit > 0 => (start, self.now.max(start) + TICK),
            (None, Some(end)) if self.limit > 0 => (end, EARLIEST.min(end)),
            _ => return Err(StatusCode::BadHistoryOperationInvalid),
        };
        let inside = match end < start {
            true => Window { from: end + TICK, to: start + TICK },
            // One instant is a range too.
            false => Window { from: start, to: end.max(start + TICK) },
        };
        Ok(Range { start, end, inside })
    }

    /// Room of the next page. With both ends given the number is the size of a page; with one end it
    /// is all that is wanted.
    fn room(&self) -> usize {
        let given = self.after.map_or(0, |place| place.given);
        match (self.limit, self.start.is_some() && self.end.is_some()) {
            (0, _) => PAGE_MAX,
            (limit, true) => limit.min(PAGE_MAX),
            (limit, false) => limit.saturating_sub(given).min(PAGE_MAX),
        }
    }
}

/// A page that is being filled.
struct Filling {
    room: usize,
    values: Vec<DataValue>,
    place: Place,
}

impl Filling {
    fn is_full(&self) -> bool {
        self.values.len() >= self.room
    }

    fn add(&mut self, at: Timestamp, value: DataValue) {
        self.place.same = if self.place.at == at { self.place.same + 1 } else { 1 };
        self.place.at = at;
        self.add_bound(value);
    }

    fn add_bound(&mut self, value: DataValue) {
        self.place.given += 1;
        self.values.push(value);
    }

    /// The page, with more to come from the place where it ends.
    fn continued(self, request: &RawHistoryRequest) -> HistoryPage {
        let has_one_end = request.start.is_none() || request.end.is_none();
        let is_all = has_one_end && self.place.given >= request.limit;
        HistoryPage { values: self.values, next: (!is_all).then_some(self.place) }
    }
}

/// Reads a page.
pub async fn read(
    source: &impl Source,
    request: &RawHistoryRequest,
) -> Result<HistoryPage, StatusCode> {
    let range = request.range()?;
    let reverse = range.is_reverse();
    let mut rest = known_part(source, &range, request.now).await?;
    let first = if reverse { rest.to - TICK } else { rest.from };
    let place = request.after.unwrap_or(Place { at: first, same: 0, given: 0 });
    if request.after.is_some() {
        match reverse {
            true => rest.to = rest.to.min(place.at + TICK),
            false => rest.from = rest.from.max(place.at),
        }
    }
    let mut page = Filling { room: request.room(), values: Vec::new(), place };
    let mut skip = place.same;
    let mut needs_start = request.bounds && request.after.is_none();
    let mut length = source.stretch(None);
    for _ in 0..STRETCHES_MAX {
        if rest.from >= rest.to {
            break;
        }
        let stretch = match reverse {
            true => Window { from: rest.from.max(rest.to - length), to: rest.to },
            false => Window { from: rest.from, to: rest.to.min(rest.from + length) },
        };
        let mut found = source.values(stretch).await?;
        length = source.stretch(Some((length, !found.is_empty())));
        if reverse {
            found.reverse();
        }
        for (at, value) in found {
            if skip > 0 && at == place.at {
                skip -= 1;
                continue;
            }
            if std::mem::take(&mut needs_start) && at != range.start {
                page.add_bound(bound(source, &range, range.start).await?);
            }
            if page.is_full() {
                return Ok(page.continued(request));
            }
            page.add(at, value);
        }
        match reverse {
            true => rest.to = stretch.from,
            false => rest.from = stretch.to,
        }
    }
    if rest.from < rest.to {
        // What is left begins where no value was given yet.
        let at = if reverse { rest.to - TICK } else { rest.from };
        page.place = Place { at, same: 0, given: page.place.given };
        if needs_start {
            page.add_bound(bound(source, &range, range.start).await?);
        }
        return Ok(page.continued(request));
    }
    if needs_start {
        page.add_bound(bound(source, &range, range.start).await?);
    }
    if request.bounds && range.start != range.end {
        if page.is_full() {
            return Ok(page.continued(request));
        }
        page.add_bound(bound(source, &range, range.end).await?);
    }
    Ok(HistoryPage { values: page.values, next: None })
}

/// The instants of a range in which there can be values.
async fn known_part(
    source: &impl Source,
    range: &Range,
    now: Timestamp,
) -> Result<Window, StatusCode> {
    let inside = range.inside;
    let oldest = source.oldest().await?.unwrap_or(now + TICK);
    let from = inside.from.max(oldest);
    Ok(Window { from, to: inside.to.min(now + TICK).max(from) })
}

/// The value at a bound of a range, or the nearest one outside (Part 11 §6.5.3.2).
async fn bound(
    source: &impl Source,
    range: &Range,
    at: Timestamp,
) -> Result<DataValue, StatusCode> {
    let is_lower = (at == range.start) != range.is_reverse();
    let found = match is_lower {
        // A value at the end of a range that goes backwards is outside.
        true => source.last_before(range.inside.from).await?,
        false => source.first_since(range.inside.to).await?,
    };
    let none = || data_value(None, StatusCode::BadBoundNotFound, at, source.now());
    Ok(found.unwrap_or_else(none))
}

#[cfg(test)]
mod tests {
    use opcua::types::Variant;

    use super::*;

    /// Values at some instants; looks at three at a time.
    struct Stored(Vec<i64>);

    const NOW: i64 = 20;

    fn at(ticks: i64) -> Timestamp {
        Timestamp::from_ticks(ticks)
    }

    impl Stored {
        /// Values of the same instant differ in their hundreds.
        fn all(&self) -> Vec<(Timestamp, DataValue)> {
            let value = |(index, ticks): (usize, &i64)| {
                let number = *ticks + 100 * index as i64;
                let value = Some(Variant::Int64(number));
                (at(*ticks), data_value(value, StatusCode::Good, at(*ticks), at(NOW)))
            };
            self.0.iter().enumerate().map(value).collect()
        }
    }

    #[async_trait]
    impl Source for Stored {
        fn now(&self) -> Timestamp {
            at(NOW)
        }

        async fn oldest(&self) -> Result<Option<Timestamp>, StatusCode> {
            Ok(self.0.first().map(|ticks| at(*ticks)))
        }

        fn stretch(&self, _: Option<(Span, bool)>) -> Span {
            Span::from_ticks(3)
        }

        async fn values(&self, window: Window) -> Result<Vec<(Timestamp, DataValue)>, StatusCode> {
            assert!(window.length() <= Span::from_ticks(3));
            let mut all = self.all();
            all.retain(|(at, _)| window.contains(*at));
            Ok(all)
        }

        async fn last_before(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode> {
            let found = self.all().into_iter().rfind(|(known, _)| *known < at);
            Ok(found.map(|(_, value)| value))
        }

        async fn first_since(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode> {
            let found = self.all().into_iter().find(|(known, _)| *known >= at);
            Ok(found.map(|(_, value)| value))
        }
    }

    fn number(value: &DataValue) -> i64 {
        match value.value {
            Some(Variant::Int64(number)) => number,
            _ => {
                assert_eq!(value.status, Some(StatusCode::BadBoundNotFound));
                -1
            }
        }
    }

    fn request(start: Option<i64>, end: Option<i64>, limit: usize) -> RawHistoryRequest {
        RawHistoryRequest {
            start: start.map(at),
            end: end.map(at),
            limit,
            bounds: true,
            after: None,
            now: at(NOW),
        }
    }

    /// All pages together; none is larger than it may be.
    async fn pages(stored: &Stored, mut request: RawHistoryRequest) -> Vec<i64> {
        let mut all = Vec::new();
        for _ in 0..100 {
            let page = read(stored, &request).await.unwrap();
            assert!(request.limit == 0 || page.values.len() <= request.limit);
            all.extend(page.values.iter().map(number));
            match page.next {
                Some(place) => request.after = Some(place),
                None => return all,
            }
        }
        panic!("the pages do not end");
    }

    /// What a request means, put down in one piece.
    fn meant(stored: &Stored, start: i64, end: i64, bounds: bool) -> Vec<i64> {
        let all: Vec<i64> = stored.0.clone();
        let told = |index: usize| all[index] + 100 * index as i64;
        let below = |limit: i64| all.iter().rposition(|t| *t < limit).map_or(-1, told);
        let above = |limit: i64| all.iter().position(|t| *t >= limit).map_or(-1, told);
        let inside = |t: &i64| match end < start {
            true => end < *t && *t <= start,
            false => start <= *t && (*t < end || *t == start),
        };
        let mut meant: Vec<i64> =
            (0..all.len()).filter(|index| inside(&all[*index])).map(told).collect();
        if end < start {
            meant.reverse();
        }
        if bounds {
            if !all.contains(&start) {
                meant.insert(0, if end < start { above(start + 1) } else { below(start) });
            }
            if end != start {
                meant.push(if end < start { below(end + 1) } else { above(end) });
            }
        }
        meant
    }

    #[tokio::test]
    async fn pages_of_any_size_give_what_is_meant_in_both_directions() {
        let stored = Stored(vec![4, 5, 5, 5, 9, 15, 15]);
        for (start, end) in (0..19).flat_map(|start| (0..19).map(move |end| (start, end))) {
            for (limit, bounds) in (0..5).flat_map(|limit| [(limit, false), (limit, true)]) {
                let mut wanted = request(Some(start), Some(end), limit);
                wanted.bounds = bounds;
                let told = pages(&stored, wanted).await;
                let meant = meant(&stored, start, end, bounds);
                assert_eq!(told, meant, "{start} to {end}, {limit} a page, bounds {bounds}");
            }
        }
    }

    #[tokio::test]
    async fn with_one_end_the_number_is_all_that_is_wanted() {
        let stored = Stored(vec![4, 5, 5, 9]);
        let mut forward = request(Some(5), None, 2);
        assert_eq!(pages(&stored, forward.clone()).await, [105, 205]);
        forward.limit = 9;
        forward.bounds = false;
        assert_eq!(pages(&stored, forward).await, [105, 205, 309]);
        let mut backward = request(None, Some(8), 2);
        backward.bounds = false;
        assert_eq!(pages(&stored, backward).await, [205, 105]);
        assert!(read(&stored, &request(Some(5), None, 0)).await.is_err());
        assert!(read(&stored, &request(None, None, 5)).await.is_err());
    }

    #[tokio::test]
    async fn what_is_older_or_newer_than_everything_is_not_searched() {
        let stored = Stored(vec![4, 5]);
        let far = i64::MAX / 4;
        let mut wanted = request(Some(-far), Some(far), 0);
        wanted.bounds = false;
        let page = read(&stored, &wanted).await.unwrap();
        assert_eq!((page.values.len(), page.next), (2, None));
    }

    #[tokio::test]
    async fn a_page_looks_at_a_limited_stretch_and_the_next_one_goes_on() {
        let stored = Stored(vec![-10_000, 10]);
        let mut wanted = request(Some(-10_000), Some(NOW), 0);
        wanted.bounds = false;
        let first = read(&stored, &wanted).await.unwrap();
        assert_eq!(first.values.len(), 1);
        assert!(first.next.is_some());
        let all = pages(&stored, wanted).await;
        assert_eq!(all, [-10_000, 110]);
    }
}
