//! What is watched at a machine: requests for its items, and what becomes of them.
//!
//! Queues are as long as a connection may be away, so that a machine keeps what happens meanwhile.

use std::time::Duration;

use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeTrigger, DataValue, ExtensionObject,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, ReadValueId,
    StatusCode,
};

use super::MachineConnection;
use super::client::{Failure, Message, Notification, Session, Watching};
use super::spot::{Finder, Spot, joined};
use super::structure::Layouts;

/// How long a machine keeps values for us while we are away.
pub const BRIDGED: Duration = Duration::from_secs(60);
/// Values that are kept of an item that tells every change, whose pace nobody knows.
const QUEUE_OF_CHANGES: u32 = 1000;
/// Shortest and longest queue that is asked for.
const QUEUE_MIN: u32 = 10;
const QUEUE_MAX: u32 = 10_000;

/// What became of an item.
#[derive(Clone, Debug)]
pub enum Item {
    /// It is watched.
    Watched(Spot),
    /// It cannot be watched.
    Refused(StatusCode, String),
}

/// What is watched at a machine, and what its variables said last.
#[derive(Debug, Default)]
pub struct Watch {
    /// What became of the items, in the order of the configuration.
    pub items: Vec<Item>,
    /// Which item, and which of its variables, by handle.
    handles: Vec<(usize, usize)>,
    latest: Vec<Vec<Option<DataValue>>>,
    layouts: Layouts,
}

/// Values that a machine has to keep of an item that is sampled so often.
pub fn queue(sampling: Duration) -> u32 {
    if sampling.is_zero() {
        return QUEUE_OF_CHANGES;
    }
    let samples = BRIDGED.as_millis().div_ceil(sampling.as_millis().max(1));
    u32::try_from(samples).unwrap_or(QUEUE_MAX).clamp(QUEUE_MIN, QUEUE_MAX)
}

impl Watch {
    /// Asks for all items.
    pub async fn begin(
        session: &Session,
        subscription: u32,
        connection: &MachineConnection,
        namespaces: &[String],
    ) -> Result<Watch, Failure> {
        let mut finder = Finder::new(session, namespaces);
        let mut watch = Watch::default();
        for (item, (_, place)) in connection.items.iter().enumerate() {
            let found = match finder.find(place).await? {
                Ok(spot) => Item::Watched(spot),
                Err((status, why)) => Item::Refused(status, why),
            };
            let parts = match &found {
                Item::Watched(spot) => spot.nodes().len(),
                Item::Refused(..) => 0,
            };
            watch.handles.extend((0..parts).map(|part| (item, part)));
            watch.latest.push(vec![None; parts]);
            watch.items.push(found);
        }
        watch.layouts = finder.layouts;
        watch.ask(session, subscription, connection).await?;
        Ok(watch)
    }

    async fn ask(
        &mut self,
        session: &Session,
        subscription: u32,
        connection: &MachineConnection,
    ) -> Result<(), Failure> {
        let mut pending: Vec<usize> = (0..self.handles.len()).collect();
        for with_filter in [true, false] {
            let requests: Vec<_> = pending
                .iter()
                .filter_map(|handle| {
                    let (item, part) = *self.handles.get(*handle)?;
                    let Item::Watched(spot) = self.items.get(item)? else { return None };
                    let node = spot.nodes().into_iter().nth(part)?.clone();
                    Some(request(*handle, node, connection, with_filter))
                })
                .collect();
            if requests.is_empty() {
                break;
            }
            let watched = session.watch(subscription, &requests).await?;
            pending = self.sort(pending, &watched, with_filter);
        }
        Ok(())
    }

    /// Notes what was refused; gives what is to be asked for without a filter: some machines know none on
    /// some types, and then every change of the value must do.
    fn sort(&mut self, pending: Vec<usize>, watched: &[Watching], with_filter: bool) -> Vec<usize> {
        let mut again = Vec::new();
        for (handle, Watching { status, .. }) in pending.into_iter().zip(watched) {
            match *status {
                status if !status.is_bad() => {}
                StatusCode::BadMonitoredItemFilterUnsupported
                | StatusCode::BadFilterNotAllowed
                | StatusCode::BadMonitoredItemFilterInvalid
                    if with_filter =>
                {
                    again.push(handle);
                }
                status => self.refuse(handle, status),
            }
        }
        again
    }

    fn refuse(&mut self, handle: usize, status: StatusCode) {
        let (item, part) = self.handles[handle];
        if let Item::Watched(spot) = &self.items[item] {
            let node = spot.nodes().into_iter().nth(part);
            let why = node.map_or_else(String::new, |node| format!("{node}: {status}"));
            self.items[item] = Item::Refused(status, why);
        }
    }

    /// The changes that a message tells, by item. A handle that was never given says nothing.
    pub fn read(&mut self, message: &Message, session: &Session) -> Vec<(usize, DataValue)> {
        let mut values = Vec::new();
        for notification in &message.notifications {
            let Notification::Changes(changes) = notification else { continue };
            for (handle, value) in changes {
                let known = index(*handle).and_then(|index| self.handles.get(index));
                let Some((item, part)) = known.copied() else { continue };
                let Item::Watched(spot) = &self.items[item] else { continue };
                let read = match spot {
                    Spot::Value { .. } => {
                        Some(spot.read_one(value.clone(), &self.layouts, session))
                    }
                    Spot::States(levels) => {
                        self.latest[item][part] = Some(value.clone());
                        joined(levels, &self.latest[item], part)
                    }
                };
                values.extend(read.map(|value| (item, value)));
            }
        }
        values
    }

    /// What a value of the history of an item says.
    pub fn read_history(&self, item: usize, value: DataValue, session: &Session) -> DataValue {
        match self.items.get(item) {
            Some(Item::Watched(spot)) => spot.read_one(value, &self.layouts, session),
            _ => value,
        }
    }
}

/// A handle as it is sent; they count from 1, since some machines take 0 for none.
fn handle(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

fn index(handle: u32) -> Option<usize> {
    usize::try_from(handle).ok()?.checked_sub(1)
}

fn request(
    index: usize,
    node: NodeId,
    connection: &MachineConnection,
    with_filter: bool,
) -> MonitoredItemCreateRequest {
    let filter = DataChangeFilter {
        trigger: DataChangeTrigger::StatusValue,
        deadband_type: 0,
        deadband_value: 0.0,
    };
    let sampling = super::duration(connection.sampling_interval);
    MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId {
            node_id: node,
            attribute_id: AttributeId::Value as u32,
            ..ReadValueId::default()
        },
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: handle(index),
            sampling_interval: sampling.as_secs_f64() * 1000.0,
            filter: match with_filter {
                true => ExtensionObject::from_message(filter),
                false => ExtensionObject::null(),
            },
            queue_size: queue(sampling),
            discard_oldest: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_bridge_the_time_without_a_connection() {
        let of = |ms: u64| queue(Duration::from_millis(ms));
        assert_eq!(of(100), 600);
        assert_eq!(of(1000), 60);
        assert_eq!((of(0), of(1), of(60_000)), (QUEUE_OF_CHANGES, QUEUE_MAX, QUEUE_MIN));
    }

    #[test]
    fn only_what_has_an_unsupported_filter_is_asked_for_again() {
        let spot = |index: u32| Spot::Value {
            node: NodeId::new(1, index),
            field: Vec::new(),
            data_type: NodeId::null(),
        };
        let mut watch = Watch {
            items: (0..3).map(|index| Item::Watched(spot(index))).collect(),
            handles: vec![(0, 0), (1, 0), (2, 0)],
            ..Watch::default()
        };
        let with = |status| Watching { status, id: 1, sampling: 0.0, queue: 1 };
        let unsupported = with(StatusCode::BadMonitoredItemFilterUnsupported);
        let watched = [with(StatusCode::Good), unsupported, with(StatusCode::BadNodeIdUnknown)];
        assert_eq!(watch.sort(vec![0, 1, 2], &watched, true), [1]);
        assert!(matches!(watch.items[1], Item::Watched(_)));
        assert!(matches!(watch.items[2], Item::Refused(StatusCode::BadNodeIdUnknown, _)));
        assert_eq!(watch.sort(vec![1], &[unsupported], false), [0_usize; 0]);
        assert!(matches!(watch.items[1], Item::Refused(..)));
    }
}
