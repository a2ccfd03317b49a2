//! What an item may watch, and how (Part 4 §7.21, §7.22): the node, the user's rights, the filter.

use std::sync::Arc;
use std::time::Duration;

use opcua::types::{
    AttributeId, DataChangeFilter, DataTypeId, EventFilterResult, ExtensionObject, NodeClass,
    NodeId, PermissionType, QualifiedName, Range, ReferenceTypeId, StatusCode, TimestampsToReturn,
    Variant,
};

use super::Services;
use super::attribute::{check_access, check_encoding, check_restrictions};
use super::dispatch::Asked;
use super::filter::data_change::{DataFilter, Measured};
use super::filter::event::{AGGREGATE_FILTER, DATA_CHANGE_FILTER, EVENT_FILTER, EventFilter};
use super::item::{DataWatch, Settings, Watch};
use super::request::{Parameters, ReadItem};
use crate::channel::decode::{Reader, raw_body};
use crate::server::space::{CURRENT_READ, Node};

/// Longest time between two looks.
const SAMPLING_MAX: Duration = Duration::from_secs(24 * 3600);
/// Room for events where the client leaves it to us.
const EVENT_QUEUE: u32 = 1000;

/// What an item will watch, and what is said of its filter.
pub(super) struct Prepared {
    pub watch: Watch,
    pub filter_result: Option<EventFilterResult>,
}

/// An item that could not be made, with what is said of its filter.
pub(super) type NotPrepared = (StatusCode, Option<EventFilterResult>);

pub(super) fn refused(status: StatusCode) -> NotPrepared {
    (status, None)
}

pub(super) fn filter_result(result: Option<EventFilterResult>) -> ExtensionObject {
    result.map_or_else(ExtensionObject::null, ExtensionObject::new)
}

impl Services {
    /// Checks what an item is to watch, and how.
    pub(super) async fn prepare(
        &self,
        asked: &Asked,
        watch: &ReadItem,
        filter: &ExtensionObject,
    ) -> Result<Prepared, NotPrepared> {
        let node = self.visible(&watch.node, &asked.asker).await.map_err(refused)?;
        let attribute = AttributeId::from_u32(watch.attribute);
        let attribute = attribute.map_err(|_| refused(StatusCode::BadAttributeIdInvalid))?;
        let range = watch.range.clone().map_err(refused)?;
        check_encoding(&watch.encoding, watch.attribute).map_err(refused)?;
        if attribute == AttributeId::EventNotifier && !is_data_filter(filter) {
            return self.prepare_events(asked, &node, filter);
        }
        let is_value = attribute == AttributeId::Value && node.class() == NodeClass::Variable;
        if is_value {
            let unreadable = StatusCode::BadNotReadable;
            check_access(&node, &asked.asker, CURRENT_READ, unreadable).map_err(refused)?;
        } else {
            let value = self.read_item(watch, &asked.asker).await;
            if let Some(status) = value.status.filter(|status| status.is_bad()) {
                return Err(refused(status));
            }
        }
        let filter = self.data_filter(&node, filter, is_value).await.map_err(refused)?;
        let watch = Watch::Data(DataWatch::new(filter, range));
        Ok(Prepared { watch, filter_result: None })
    }

    fn prepare_events(
        &self,
        asked: &Asked,
        node: &Node,
        filter: &ExtensionObject,
    ) -> Result<Prepared, NotPrepared> {
        if node.class() != NodeClass::Object {
            return Err(refused(StatusCode::BadAttributeIdInvalid));
        }
        if !node.is_notifier() {
            return Err(refused(StatusCode::BadNotSupported));
        }
        let protection = node.protection;
        let permissions = protection.permissions(asked.asker.role);
        if !permissions.contains(PermissionType::ReceiveEvents) {
            return Err(refused(StatusCode::BadUserAccessDenied));
        }
        check_restrictions(protection, &asked.asker).map_err(refused)?;
        let (filter, result) = self.event_filter(filter).map_err(refused)?;
        match filter {
            Ok(filter) => {
                let watch = Watch::Events(Arc::new(filter));
                Ok(Prepared { watch, filter_result: Some(result) })
            }
            Err(status) => Err((status, Some(result))),
        }
    }

    fn event_filter(
        &self,
        filter: &ExtensionObject,
    ) -> Result<(Result<EventFilter, StatusCode>, EventFilterResult), StatusCode> {
        let (id, body) = raw_body(filter).ok_or(StatusCode::BadEventFilterInvalid)?;
        if id != NodeId::new(0, EVENT_FILTER) {
            return Err(StatusCode::BadFilterNotAllowed);
        }
        let context = self.context.context();
        let mut reader = Reader::new(body, &context);
        EventFilter::read(&mut reader, &self.space.types(), &self.limits.subscriptions)
    }

    async fn data_filter(
        &self,
        node: &Node,
        filter: &ExtensionObject,
        is_value: bool,
    ) -> Result<DataFilter, StatusCode> {
        let Some((id, body)) = raw_body(filter) else {
            return Ok(DataFilter::default());
        };
        match id.as_u32().filter(|_| id.namespace == 0) {
            Some(DATA_CHANGE_FILTER) if is_value => {}
            Some(DATA_CHANGE_FILTER | EVENT_FILTER) => return Err(StatusCode::BadFilterNotAllowed),
            Some(AGGREGATE_FILTER) => return Err(StatusCode::BadMonitoredItemFilterUnsupported),
            _ => return Err(StatusCode::BadMonitoredItemFilterInvalid),
        }
        let filter: DataChangeFilter = {
            let context = self.context.context();
            let read = Reader::new(body, &context).plain();
            read.map_err(|_| StatusCode::BadMonitoredItemFilterInvalid)?
        };
        let types = self.space.types();
        let number = NodeId::from(DataTypeId::Number);
        let numeric =
            node.value_type().is_some_and(|(data_type, _)| types.is_a(&data_type, &number));
        let range = self.range_of(&node.id).await;
        DataFilter::new(&filter, Measured { numeric, range })
    }

    /// The width of a variable's EURange.
    async fn range_of(&self, id: &NodeId) -> Option<f64> {
        let property: NodeId = ReferenceTypeId::HasProperty.into();
        let name = QualifiedName::new(0, "EURange");
        for reference in self.space.references(id).await.ok()? {
            if reference.forward
                && reference.reference_type == property
                && self.space.known(&reference.target).is_some_and(|node| node.browse_name == name)
                && let Some(Variant::ExtensionObject(object)) =
                    self.space.value(&reference.target).await.value
            {
                let range = object.inner_as::<Range>()?;
                return Some(range.high - range.low);
            }
        }
        None
    }

    /// What the client gets of what it wants (Part 4 §7.21).
    pub(super) fn settings(
        &self,
        wanted: &Parameters,
        watch: &Watch,
        pace: Duration,
        timestamps: TimestampsToReturn,
    ) -> Settings {
        let limits = &self.limits.subscriptions;
        let (sampling, queue_size) = match watch {
            Watch::Events(_) => {
                let size = if wanted.queue_size <= 1 { EVENT_QUEUE } else { wanted.queue_size };
                (Duration::ZERO, size.min(limits.event_queue))
            }
            Watch::Data(_) => {
                let interval = Duration::try_from_secs_f64(wanted.sampling / 1000.0);
                let interval = match interval {
                    Ok(interval) => interval.min(SAMPLING_MAX),
                    // Below zero stands for the publishing interval.
                    Err(_) if wanted.sampling > 0.0 => SAMPLING_MAX,
                    Err(_) => pace,
                };
                (interval, wanted.queue_size.clamp(1, limits.queue))
            }
        };
        Settings {
            client_handle: wanted.client_handle,
            sampling,
            queue_size,
            discard_oldest: wanted.discard_oldest,
            timestamps,
        }
    }
}

/// Whether somebody wants to watch the attribute itself and not the events.
fn is_data_filter(filter: &ExtensionObject) -> bool {
    raw_body(filter).is_some_and(|(id, _)| id == NodeId::new(0, DATA_CHANGE_FILTER))
}
