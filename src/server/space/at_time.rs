//! HistoryRead at given instants (Part 11 §6.5.5): the value that was stored then, else the one that held,
//! since all that is kept here holds until the next (Stepped).

use opcua::types::{DataValue, StatusCode};

use super::history::Source;
use super::value::data_value;
use crate::channel::time::timestamp;
use crate::domain::time::{Span, Timestamp, Window};

/// Instants of one read at most.
pub const INSTANTS_MAX: usize = 1000;
/// Bad values before an instant that are passed over to find one that was good.
const PASSED_MAX: usize = 32;
/// Good, and not stored at that instant but held over from an earlier one (Part 11 §6.4.3, Table 29).
const GOOD_INTERPOLATED: u32 = 0x0000_0402;
/// The same where something unknown lies between.
const UNCERTAIN_INTERPOLATED: u32 = 0x40A4_0402;

/// Which instants are asked for.
#[derive(Clone, Debug)]
pub struct AtTimeRequest {
    /// The instants, in the order in which they are answered.
    pub times: Vec<Timestamp>,
    /// Whether the value that is nearest is taken as it is, be it bad; else bad ones are passed over, and
    /// the value is uncertain (Part 13 §3.1.9).
    pub simple_bounds: bool,
    /// The present.
    pub now: Timestamp,
}

/// The values at the instants, in their order.
///
/// Instants that are near each other are answered from one look at their stretch of time, so that many cost
/// little more than one.
pub async fn read(
    source: &impl Source,
    request: &AtTimeRequest,
) -> Result<Vec<DataValue>, StatusCode> {
    let nothing = |at: &Timestamp| data_value(None, StatusCode::BadNoData, *at, source.now());
    let mut values: Vec<DataValue> = request.times.iter().map(nothing).collect();
    let Some(oldest) = source.oldest().await? else {
        return Ok(values);
    };
    // What will be is not known, and what was before everything neither.
    let is_known = |at: Timestamp| oldest <= at && at <= request.now;
    let mut order: Vec<(Timestamp, usize)> = request.times.iter().copied().zip(0..).collect();
    order.retain(|(at, _)| is_known(*at));
    order.sort_unstable();
    let mut rest = order.as_slice();
    while let Some((from, _)) = rest.first() {
        let end = *from + source.stretch(None);
        let near = rest.partition_point(|(at, _)| *at < end);
        let (stretch, others) = rest.split_at(near);
        let last = stretch.last().map_or(*from, |(at, _)| *at);
        let window = Window { from: *from, to: last + Span::from_ticks(1) };
        let mut stored: Vec<(Timestamp, DataValue)> = Vec::new();
        if let Some(before) = source.last_before(*from).await? {
            stored.extend(
                before.source_timestamp.as_ref().and_then(timestamp).map(|at| (at, before)),
            );
        }
        stored.extend(source.values(window).await?);
        for (at, index) in stretch {
            if let Some(value) = held(source, request, &stored, *at).await? {
                values[*index] = value;
            }
        }
        rest = others;
    }
    Ok(values)
}

/// The value at an instant, of those that are stored around it; none where there is none.
async fn held(
    source: &impl Source,
    request: &AtTimeRequest,
    stored: &[(Timestamp, DataValue)],
    at: Timestamp,
) -> Result<Option<DataValue>, StatusCode> {
    let until = stored.partition_point(|(known, _)| *known <= at);
    let Some(((since, newest), earlier)) = stored[..until].split_last() else {
        return Ok(None);
    };
    if *since == at {
        return Ok(Some(newest.clone()));
    }
    if request.simple_bounds || newest.value.is_some() {
        let status = match newest.status {
            Some(status) if newest.value.is_none() || !status.is_good() => status,
            _ => StatusCode::from(GOOD_INTERPOLATED),
        };
        return Ok(Some(data_value(newest.value.clone(), status, at, source.now())));
    }
    let status = newest.status.unwrap_or(StatusCode::BadNoData);
    let mut good = earlier.iter().rev().find(|(_, value)| value.value.is_some()).cloned();
    let mut first = stored[0].0;
    for _ in 0..PASSED_MAX {
        if good.is_some() {
            break;
        }
        let Some(before) = source.last_before(first).await? else {
            break;
        };
        let Some(time) = before.source_timestamp.as_ref().and_then(timestamp) else {
            break;
        };
        first = time;
        good = before.value.is_some().then_some((time, before));
    }
    let (value, status) = match good {
        Some((_, good)) => (good.value, StatusCode::from(UNCERTAIN_INTERPOLATED)),
        None => (None, status),
    };
    Ok(Some(data_value(value, status, at, source.now())))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use opcua::types::Variant;

    use super::*;
    use crate::channel::time::date_time;

    /// Values at some instants; `None` where nothing was known from then on.
    struct Stored(Vec<(i64, Option<i64>)>);

    fn at(ticks: i64) -> Timestamp {
        Timestamp::from_ticks(ticks)
    }

    impl Stored {
        fn all(&self) -> Vec<(Timestamp, DataValue)> {
            let value = |(ticks, value): &(i64, Option<i64>)| {
                let status = value.map_or(StatusCode::BadNoCommunication, |_| StatusCode::Good);
                let value = value.map(Variant::Int64);
                (at(*ticks), data_value(value, status, at(*ticks), at(100)))
            };
            self.0.iter().map(value).collect()
        }
    }

    #[async_trait]
    impl Source for Stored {
        fn now(&self) -> Timestamp {
            at(100)
        }
        async fn oldest(&self) -> Result<Option<Timestamp>, StatusCode> {
            Ok(self.0.first().map(|(ticks, _)| at(*ticks)))
        }
        fn stretch(&self, _: Option<(Span, bool)>) -> Span {
            Span::from_ticks(10)
        }
        async fn values(&self, window: Window) -> Result<Vec<(Timestamp, DataValue)>, StatusCode> {
            let mut all = self.all();
            all.retain(|(at, _)| window.contains(*at));
            Ok(all)
        }
        async fn last_before(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode> {
            Ok(self.all().into_iter().rfind(|(known, _)| *known < at).map(|(_, value)| value))
        }
        async fn first_since(&self, _: Timestamp) -> Result<Option<DataValue>, StatusCode> {
            Ok(None)
        }
    }

    /// Value and status at an instant.
    async fn seen(stored: &Stored, ticks: i64, simple_bounds: bool) -> (Option<Variant>, u32) {
        let request = AtTimeRequest { times: vec![at(ticks)], simple_bounds, now: at(100) };
        let value = read(stored, &request).await.unwrap().pop().unwrap();
        (value.value, value.status.unwrap().bits())
    }

    #[tokio::test]
    async fn a_value_is_as_it_was_stored_or_holds_from_before_and_nothing_is_made_up() {
        let stored = Stored(vec![(10, Some(1)), (20, Some(2)), (30, None), (40, Some(4))]);
        let number = |number| Some(Variant::Int64(number));
        let no_data = (None, StatusCode::BadNoData.bits());
        let unknown = (None, StatusCode::BadNoCommunication.bits());
        assert_eq!(seen(&stored, 9, true).await, no_data);
        assert_eq!(seen(&stored, 10, true).await, (number(1), 0));
        assert_eq!(seen(&stored, 15, true).await, (number(1), GOOD_INTERPOLATED));
        assert_eq!(seen(&stored, 30, true).await, unknown);
        assert_eq!(seen(&stored, 35, true).await, unknown);
        assert_eq!(seen(&stored, 35, false).await, (number(2), UNCERTAIN_INTERPOLATED));
        assert_eq!(seen(&stored, 99, true).await, (number(4), GOOD_INTERPOLATED));
        assert_eq!(seen(&stored, 101, true).await, no_data);
        // Many at once, in any order, are as each alone.
        for simple_bounds in [true, false] {
            let ticks = [99, 9, 35, 10, 15, 101, 30, 41, 40, 35];
            let times = ticks.iter().map(|ticks| at(*ticks)).collect();
            let request = AtTimeRequest { times, simple_bounds, now: at(100) };
            let values = read(&stored, &request).await.unwrap();
            assert_eq!(values.len(), ticks.len());
            for (ticks, value) in ticks.into_iter().zip(values) {
                let alone = seen(&stored, ticks, simple_bounds).await;
                assert_eq!((value.value, value.status.unwrap().bits()), alone, "at {ticks}");
                assert_eq!(value.source_timestamp, Some(date_time(at(ticks))));
            }
        }
    }
}
