//! What is watched at a machine: requests for its items, and what becomes of them.
//!
//! Queues are as long as a connection may be away, so that a machine keeps what happens meanwhile.

use std::time::Duration;

use opcua::types::{
    AttributeId, DataChangeFilter, DataChangeTrigger, ExtensionObject, MonitoredItemCreateRequest,
    MonitoringMode, MonitoringParameters, NodeId, ReadValueId, StatusCode,
};

use super::client::{Failure, Session, Watching};
use super::{MachineConnection, Node};

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
    Watched(NodeId),
    /// It cannot be watched.
    Refused(StatusCode, String),
}

/// Values that a machine has to keep of an item that is sampled so often.
pub fn queue(sampling: Duration) -> u32 {
    if sampling.is_zero() {
        return QUEUE_OF_CHANGES;
    }
    let samples = BRIDGED.as_millis().div_ceil(sampling.as_millis().max(1));
    u32::try_from(samples).unwrap_or(QUEUE_MAX).clamp(QUEUE_MIN, QUEUE_MAX)
}

/// The handle of an item; items are numbered from 1, since some machines take 0 for none.
fn handle(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

/// The item of a handle.
pub fn index(handle: u32) -> Option<usize> {
    usize::try_from(handle).ok()?.checked_sub(1)
}

/// Asks for all items; what became of each.
pub async fn watch(
    session: &Session,
    subscription: u32,
    connection: &MachineConnection,
    namespaces: &[String],
) -> Result<Vec<Item>, Failure> {
    let mut items: Vec<Item> = Vec::with_capacity(connection.items.len());
    let mut pending = Vec::new();
    for (index, (_, node)) in connection.items.iter().enumerate() {
        match Node::id(node, namespaces) {
            Ok(id) => {
                pending.push(index);
                items.push(Item::Watched(id));
            }
            Err(why) => items.push(Item::Refused(StatusCode::BadNodeIdUnknown, why)),
        }
    }
    for with_filter in [true, false] {
        let requests: Vec<_> = pending
            .iter()
            .filter_map(|index| match &items[*index] {
                Item::Watched(id) => Some(request(*index, id, connection, with_filter)),
                Item::Refused(..) => None,
            })
            .collect();
        if requests.is_empty() {
            break;
        }
        let watched = session.watch(subscription, &requests).await?;
        pending = sort(&mut items, pending, &watched, with_filter);
    }
    Ok(items)
}

/// Notes what was refused; gives what is to be asked for without a filter: some machines know none on
/// some types, and then every change of the value must do.
fn sort(
    items: &mut [Item],
    pending: Vec<usize>,
    watched: &[Watching],
    with_filter: bool,
) -> Vec<usize> {
    let mut again = Vec::new();
    for (index, Watching { status, .. }) in pending.into_iter().zip(watched) {
        match *status {
            status if !status.is_bad() => {}
            StatusCode::BadMonitoredItemFilterUnsupported
            | StatusCode::BadFilterNotAllowed
            | StatusCode::BadMonitoredItemFilterInvalid
                if with_filter =>
            {
                again.push(index);
            }
            status => {
                let why = match &items[index] {
                    Item::Watched(node) => format!("{node}: {status}"),
                    Item::Refused(_, why) => why.clone(),
                };
                items[index] = Item::Refused(status, why);
            }
        }
    }
    again
}

fn request(
    index: usize,
    node: &NodeId,
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
            node_id: node.clone(),
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
        let node = |index: u32| Item::Watched(NodeId::new(1, index));
        let mut items = vec![node(0), node(1), node(2)];
        let with = |status| Watching { status, id: 1, sampling: 0.0, queue: 1 };
        let unsupported = with(StatusCode::BadMonitoredItemFilterUnsupported);
        let watched = [with(StatusCode::Good), unsupported, with(StatusCode::BadNodeIdUnknown)];
        assert_eq!(sort(&mut items, vec![0, 1, 2], &watched, true), [1]);
        assert!(matches!(items[1], Item::Watched(_)));
        assert!(matches!(items[2], Item::Refused(StatusCode::BadNodeIdUnknown, _)));
        assert_eq!(sort(&mut items, vec![1], &[unsupported], false), [0_usize; 0]);
        assert!(matches!(items[1], Item::Refused(..)));
    }
}
