//! The history that a machine keeps, as if it were ours.

use std::sync::Arc;

use async_trait::async_trait;
use opcua::types::{ByteString, DataValue, DateTime, NodeId, StatusCode};

use super::super::history::Source;
use crate::channel::time::{date_time, timestamp};
use crate::domain::time::{Span, Timestamp, Window};
use crate::mirror::{HistoryRead, Remote};

/// Values that are asked of a machine at once.
const PAGE: u32 = 1000;
/// Values of one stretch of time; who wants more asks for less time.
const VALUES_MAX: usize = 100_000;
/// The first stretch that is looked at, and the longest one.
const STRETCH: Span = Span::from_seconds(3600);
const STRETCH_MAX: Span = Span::from_seconds(366 * 24 * 3600);
/// How much longer a stretch gets after one without values.
const GROWTH: i64 = 8;

/// The history of a variable at its machine.
pub struct RemoteHistory {
    /// The machine.
    pub remote: Arc<dyn Remote>,
    /// The variable.
    pub node: NodeId,
    /// The present.
    pub now: Timestamp,
}

impl RemoteHistory {
    async fn read(
        &self,
        (from, to): (DateTime, DateTime),
        most: usize,
    ) -> Result<Vec<(Timestamp, DataValue)>, StatusCode> {
        let (mut values, mut next): (Vec<(Timestamp, DataValue)>, Option<ByteString>) =
            (Vec::new(), None);
        loop {
            let max = u32::try_from(most - values.len()).unwrap_or(PAGE).min(PAGE);
            let (node, bounds) = (self.node.clone(), false);
            let slice = HistoryRead { node, from, to, max, bounds, next: next.take() };
            let slice = self.remote.history(&slice).await?;
            let is_empty = slice.values.is_empty();
            let timed = slice.values.into_iter();
            let timed =
                timed.filter_map(|value| Some((timestamp(&value.source_timestamp?)?, value)));
            values.extend(timed);
            next = slice.next;
            if next.is_none() || values.len() >= most {
                return Ok(values);
            }
            // A page with nothing on it would let a machine go on for ever.
            if is_empty || values.len() > VALUES_MAX {
                return Err(StatusCode::BadTooManyOperations);
            }
        }
    }

    async fn one(
        &self,
        from: DateTime,
        to: DateTime,
    ) -> Result<Option<(Timestamp, DataValue)>, StatusCode> {
        Ok(self.read((from, to), 1).await?.into_iter().next())
    }
}

#[async_trait]
impl Source for RemoteHistory {
    fn now(&self) -> Timestamp {
        self.now
    }

    async fn oldest(&self) -> Result<Option<Timestamp>, StatusCode> {
        // The second of January 1601: some machines take the first one for no time at all.
        let earliest = DateTime::from(24 * 3600 * 10_000_000_i64);
        Ok(self.one(earliest, date_time(self.now)).await?.map(|(at, _)| at))
    }

    fn stretch(&self, before: Option<(Span, bool)>) -> Span {
        match before {
            None => STRETCH,
            Some((length, true)) => length,
            Some((length, false)) => {
                Span::from_ticks(length.ticks().saturating_mul(GROWTH)).min(STRETCH_MAX)
            }
        }
    }

    async fn values(&self, window: Window) -> Result<Vec<(Timestamp, DataValue)>, StatusCode> {
        let ends = (date_time(window.from), date_time(window.to));
        let mut values = self.read(ends, usize::MAX).await?;
        values.retain(|(at, _)| (window.from..window.to).contains(at));
        values.sort_by_key(|(at, _)| *at);
        Ok(values)
    }

    async fn last_before(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode> {
        let earliest = DateTime::from(24 * 3600 * 10_000_000_i64);
        // Backward, from right before it.
        let before = date_time(at - Span::from_ticks(1));
        Ok(self.one(before, earliest).await?.map(|(_, value)| value))
    }

    async fn first_since(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode> {
        let far = date_time(self.now.max(at) + Span::from_seconds(1));
        Ok(self.one(date_time(at), far).await?.map(|(_, value)| value))
    }
}
