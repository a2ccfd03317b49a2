//! What the machine's own history knows of the time in which we did not hear it (Part 11 §6.5.3).
//!
//! History closes a gap only where it begins with what we had heard last and reaches to what we
//! heard first again, for every signal, and where the machine's server ran all the time. What is
//! found is told in any case; a gap that may have held more stays one.

use std::time::Duration;

use opcua::types::{
    AttributeId, ByteString, DataValue, NodeId, ReadValueId, TimestampsToReturn, Variant,
};
use tokio::time::Instant;

use super::client::{Failure, Session};
use super::forward::{Forward, Origin};
use super::items::{Item, Watch};
use super::value::{source_time, status};
use super::{MachineConnection, Watched};
use crate::channel::time::date_time;
use crate::domain::time::{Span, Timestamp};

/// How long reading history may take; meanwhile the machine keeps what is new.
const PATIENCE: Duration = Duration::from_secs(20);
/// Values that are asked for at once.
const PAGE: u32 = 1000;
/// Values of an item that are taken.
const VALUES_MAX: usize = 200_000;
/// Bit of an access level (Part 3 §8.57): history can be read.
const HISTORY_READ: u8 = 1 << 2;
/// Some machines keep times of history to the millisecond.
const SAME_TIME: Span = Span::from_millis(1);

/// Tells what history knows of the gap; whether that is everything.
pub async fn fill(
    session: &Session,
    forward: &mut Forward,
    connection: &MachineConnection,
    watch: &Watch,
    started: Option<Timestamp>,
) -> Result<bool, String> {
    let Some(lost) = forward.lost().filter(|_| forward.believes_times()) else {
        return Ok(false);
    };
    let signals: Vec<(usize, &NodeId)> = signals(connection, &watch.items).collect();
    let has_history = match has_history(session, &signals).await {
        Ok(has_history) => has_history,
        // A machine that does not say it has none.
        Err(_) => return Ok(false),
    };
    let deadline = Instant::now() + PATIENCE;
    // A server that was not running has written nothing down.
    let mut is_whole =
        started.is_some_and(|started| started <= lost) && signals.len() == signal_count(connection);
    for ((item, node), has_history) in signals.into_iter().zip(has_history) {
        let Some(gap) = Missed::of(forward, item) else {
            is_whole = false;
            continue;
        };
        // What has the time of before has not changed since.
        if gap.is_taken_over && gap.to <= gap.from {
            continue;
        }
        if !has_history {
            is_whole = false;
            continue;
        }
        let read = tokio::time::timeout_at(deadline, gap.read(session, node)).await;
        let Ok(Ok(values)) = read else {
            is_whole = false;
            continue;
        };
        is_whole &= gap.is_whole(&values);
        for value in values {
            if gap.is_news(&value) {
                let value = watch.read_history(item, value, session);
                forward.value(item, value, Origin::History).await?;
            }
        }
    }
    Ok(is_whole)
}

fn signals<'a>(
    connection: &'a MachineConnection,
    items: &'a [Item],
) -> impl Iterator<Item = (usize, &'a NodeId)> {
    let all = connection.items.iter().zip(items).enumerate();
    all.filter_map(|(index, ((watched, _), item))| match (watched, item) {
        (Watched::Signal(_), Item::Watched(spot)) => Some((index, spot.history_node()?)),
        _ => None,
    })
}

fn signal_count(connection: &MachineConnection) -> usize {
    let watched = connection.items.iter().map(|(watched, _)| watched);
    watched.filter(|watched| matches!(watched, Watched::Signal(_))).count()
}

/// Whether the history of nodes can be read by us.
pub async fn has_history(
    session: &Session,
    nodes: &[(usize, &NodeId)],
) -> Result<Vec<bool>, Failure> {
    let question = |node: &NodeId| ReadValueId {
        node_id: node.clone(),
        attribute_id: AttributeId::UserAccessLevel as u32,
        ..ReadValueId::default()
    };
    let questions: Vec<_> = nodes.iter().map(|(_, node)| question(node)).collect();
    let levels = session.read(&questions, TimestampsToReturn::Neither).await?;
    let allows = |level: &DataValue| matches!(level.value, Some(Variant::Byte(level)) if level & HISTORY_READ != 0);
    Ok(levels.iter().map(allows).collect())
}

/// What was missed of an item: from what it told last before to what it told first after.
pub struct Missed {
    /// When it told something last before.
    pub from: Timestamp,
    /// When it told something first after.
    pub to: Timestamp,
    /// Whether its beginning is the time of a fact: the machine may have no value of just that time.
    pub is_taken_over: bool,
}

impl Missed {
    fn of(forward: &Forward, item: usize) -> Option<Missed> {
        let (from, to) = forward.missed(item)?;
        let is_taken_over = forward.is_taken_over();
        (from <= to || is_taken_over).then_some(Missed { from, to, is_taken_over })
    }

    /// What the machine's history has of it.
    pub async fn read(&self, session: &Session, node: &NodeId) -> Result<Vec<DataValue>, Failure> {
        // A time that is kept to the millisecond may lie before the one that we know.
        let window = (date_time(self.from - SAME_TIME), date_time(self.to + SAME_TIME));
        let (mut values, mut next): (Vec<DataValue>, Option<ByteString>) = (Vec::new(), None);
        loop {
            // Where the beginning is no time of a value, the value before it shows that history reaches back.
            let with_bounds = (PAGE, self.is_taken_over);
            let page = session.history(node, window, with_bounds, next.take()).await?;
            if page.status.is_bad() {
                return Err(Failure::refused(page.status));
            }
            let is_end = page.values.is_empty() || values.len() > VALUES_MAX;
            values.extend(page.values);
            next = page.next;
            if next.is_none() {
                return Ok(self.within(values));
            }
            if is_end {
                return Err(Failure::refused(opcua::types::StatusCode::BadTooManyOperations));
            }
        }
    }

    /// Without the bound behind the end, which is not asked for.
    fn within(&self, mut values: Vec<DataValue>) -> Vec<DataValue> {
        let is_behind = |value: &DataValue| {
            source_time(value).is_none_or(|at| at > self.to + SAME_TIME)
                || status(value) == opcua::types::StatusCode::BadBoundNotFound.bits()
                    && source_time(value).is_some_and(|at| at >= self.to)
        };
        while self.is_taken_over && values.last().is_some_and(is_behind) {
            values.pop();
        }
        values
    }

    /// Whether values reach from one end to the other without a word about missing ones.
    pub fn is_whole(&self, values: &[DataValue]) -> bool {
        let times: Vec<Timestamp> = values.iter().filter_map(source_time).collect();
        let is_near =
            |one: Timestamp, other: Timestamp| (one - other).ticks().abs() <= SAME_TIME.ticks();
        times.len() == values.len()
            && times.first().is_some_and(|first| {
                is_near(*first, self.from) || self.is_taken_over && *first <= self.from
            })
            && times.last().is_some_and(|last| is_near(*last, self.to))
            && times.is_sorted()
            && !values.iter().any(|value| {
                let lost = [
                    opcua::types::StatusCode::BadDataLost,
                    opcua::types::StatusCode::BadNoData,
                    opcua::types::StatusCode::BadBoundNotFound,
                ];
                lost.iter().any(|code| code.bits() & 0xffff_0000 == status(value) & 0xffff_0000)
            })
    }

    /// Whether a value is none of those that we know.
    pub fn is_news(&self, value: &DataValue) -> bool {
        source_time(value).is_some_and(|at| at > self.from + SAME_TIME && at <= self.to)
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{DateTime, StatusCode};

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ticks(Span::from_millis(1_000_000 + ms).ticks())
    }

    fn value(ms: i64) -> DataValue {
        let source_timestamp: Option<DateTime> = Some(date_time(at(ms)));
        DataValue { value: Some(1_i32.into()), source_timestamp, ..DataValue::default() }
    }

    #[test]
    fn only_history_from_the_last_known_value_to_the_first_new_one_is_whole() {
        let missed = Missed { from: at(0), to: at(500), is_taken_over: false };
        assert!(missed.is_whole(&[value(0), value(200), value(500)]));
        assert!(!missed.is_whole(&[value(200), value(500)]), "it has forgotten what was before");
        assert!(!missed.is_whole(&[value(0), value(200)]), "it does not know the present yet");
        assert!(!missed.is_whole(&[value(0), value(300), value(200), value(500)]));
        assert!(!missed.is_whole(&[]));
        let lost = DataValue { status: Some(StatusCode::BadDataLost), ..value(200) };
        assert!(!missed.is_whole(&[value(0), lost, value(500)]));
        let news: Vec<_> = [0, 1, 200, 500, 600].map(|ms| missed.is_news(&value(ms))).into();
        assert_eq!(news, [false, false, true, true, false]);
        let unchanged = Missed { from: at(0), to: at(0), is_taken_over: false };
        assert!(unchanged.is_whole(&[value(0)]), "nothing has happened");
    }

    #[test]
    fn what_begins_with_a_fact_is_whole_where_history_reaches_back_behind_it() {
        let missed = Missed { from: at(100), to: at(500), is_taken_over: true };
        let behind = DataValue { status: Some(StatusCode::BadBoundNotFound), ..value(501) };
        let values = missed.within(vec![value(40), value(200), value(500), behind]);
        assert_eq!(values.len(), 3);
        assert!(missed.is_whole(&values));
        assert!(!missed.is_news(&values[0]), "it was known before");
        assert!(!missed.is_whole(&values[1..]), "nobody knows what was before");
        let begins = DataValue { status: Some(StatusCode::BadBoundNotFound), ..value(99) };
        assert!(!missed.is_whole(&[begins, value(200), value(500)]));
    }
}
