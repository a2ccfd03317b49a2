//! HistoryRead at given instants (Part 11 §6.5.5): the value that was stored then, else the one that held,
//! since all that is kept here holds until the next (Stepped).

use opcua::types::{DataValue, StatusCode};

use super::history::Source;
use super::value::data_value;
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

/// The values at the instants.
pub async fn read(
    source: &impl Source,
    request: &AtTimeRequest,
) -> Result<Vec<DataValue>, StatusCode> {
    let mut values = Vec::with_capacity(request.times.len());
    for at in &request.times {
        values.push(one(source, request, *at).await?);
    }
    Ok(values)
}

async fn one(
    source: &impl Source,
    request: &AtTimeRequest,
    at: Timestamp,
) -> Result<DataValue, StatusCode> {
    let nothing = || data_value(None, StatusCode::BadNoData, at, source.now());
    // What will be is not known, and what was before everything neither.
    if at > request.now || source.oldest().await?.is_none_or(|oldest| at < oldest) {
        return Ok(nothing());
    }
    let instant = Window { from: at, to: at + Span::from_ticks(1) };
    if let Some((_, stored)) = source.values(instant).await?.pop() {
        return Ok(stored);
    }
    let mut before = source.last_before(at).await?;
    let mut passed = 0;
    while !request.simple_bounds
        && passed < PASSED_MAX
        && let Some(value) = &before
        && value.value.is_none()
        && let Some(time) = value.source_timestamp.as_ref().and_then(crate::server::time::timestamp)
    {
        before = source.last_before(time).await?;
        passed += 1;
    }
    let Some(held) = before else {
        return Ok(nothing());
    };
    let status = match held.status {
        Some(status) if held.value.is_none() => status,
        _ if passed > 0 => StatusCode::from(UNCERTAIN_INTERPOLATED),
        Some(status) if !status.is_good() => status,
        _ => StatusCode::from(GOOD_INTERPOLATED),
    };
    Ok(data_value(held.value, status, at, source.now()))
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use opcua::types::Variant;

    use super::*;

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
    }
}
