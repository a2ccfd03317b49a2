//! CreateMonitoredItems, ModifyMonitoredItems, SetMonitoringMode, SetTriggering,
//! DeleteMonitoredItems (Part 4 §5.13).

use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::types::{
    AttributeId, CreateMonitoredItemsResponse, DataChangeFilter, DataTypeId,
    DeleteMonitoredItemsRequest, DeleteMonitoredItemsResponse, EventFilterResult, ExtensionObject,
    ModifyMonitoredItemsResponse, MonitoredItemCreateResult, MonitoredItemModifyResult, NodeClass,
    NodeId, NumericRange, PermissionType, QualifiedName, Range, ReferenceTypeId,
    SetMonitoringModeResponse, SetTriggeringRequest, SetTriggeringResponse, StatusCode,
    TimestampsToReturn, Variant,
};

use super::Services;
use super::attribute::{check_access, check_count, check_encoding, check_restrictions};
use super::dispatch::Asked;
use super::filter::data_change::{DataFilter, Measured};
use super::filter::event::{AGGREGATE_FILTER, DATA_CHANGE_FILTER, EVENT_FILTER, EventFilter};
use super::hub::WatchedItem;
use super::item::{DataWatch, Item, Settings, Watch};
use super::queue::Queue;
use super::request::{CreateItem, Items, Parameters, ReadItem, SetMode};
use super::respond::{Operations, header, take_turns};
use super::subscription::Subscription;
use crate::server::decode::{Reader, raw_body};
use crate::server::space::{CURRENT_READ, Node};
use crate::server::wire::Reply;

/// Longest time between two looks.
const SAMPLING_MAX: Duration = Duration::from_secs(24 * 3600);
/// Room for events where the client leaves it to us.
const EVENT_QUEUE: u32 = 1000;

/// What an item will watch, and what is said of its filter.
struct Prepared {
    watch: Watch,
    filter_result: Option<EventFilterResult>,
}

/// An item that could not be made, with what is said of its filter.
type NotPrepared = (StatusCode, Option<EventFilterResult>);

fn refused(status: StatusCode) -> NotPrepared {
    (status, None)
}

fn filter_result(result: Option<EventFilterResult>) -> ExtensionObject {
    result.map_or_else(ExtensionObject::null, ExtensionObject::new)
}

impl Services {
    pub(super) fn subscription(
        &self,
        asked: &Asked,
        id: u32,
    ) -> Result<Arc<Subscription>, StatusCode> {
        let subscription = asked.session.publishing.subscription(id);
        let subscription = subscription.ok_or(StatusCode::BadSubscriptionIdInvalid)?;
        subscription.lock().attend();
        Ok(subscription)
    }

    pub(super) async fn create_items(
        &self,
        asked: &Asked,
        request: Items<CreateItem>,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription)?;
        let timestamps = request.timestamps.ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
        check_count(request.items.len(), self.limits.operations.monitored_items)?;
        let limits = &self.limits.subscriptions;
        let mut room = self.hub.reserve(request.items.len(), limits.items);
        let mut results = Vec::with_capacity(request.items.len());
        let mut watched = Vec::with_capacity(request.items.len());
        for (index, item) in request.items.into_iter().enumerate() {
            take_turns(index).await;
            let made = match room {
                0 => Err(refused(StatusCode::BadTooManyMonitoredItems)),
                _ => self.create_item(asked, &subscription, item, timestamps).await,
            };
            results.push(match made {
                Ok((made, result)) => {
                    room -= 1;
                    watched.push(made);
                    result
                }
                Err((status_code, result)) => MonitoredItemCreateResult {
                    status_code,
                    filter_result: filter_result(result),
                    ..MonitoredItemCreateResult::default()
                },
            });
        }
        self.hub.release(room);
        self.hub.watch(&subscription, &watched);
        // The first values are read after the watch has begun, so no change is lost in between.
        let ids: Vec<_> = watched.iter().map(|item| item.id).collect();
        self.look_at(&subscription, &ids).await;
        if subscription.lock().is_closed() {
            self.delete_subscription(&subscription);
            return Err(StatusCode::BadSubscriptionIdInvalid);
        }
        let mut operations = Operations::new(&asked.header);
        let diagnostic_infos = operations.of(results.iter().map(|result| result.status_code));
        let mut response_header = header(&asked.header, self.now(), StatusCode::Good);
        operations.finish(&mut response_header);
        let results = Some(results);
        Ok(CreateMonitoredItemsResponse { response_header, results, diagnostic_infos }.into())
    }

    async fn create_item(
        &self,
        asked: &Asked,
        subscription: &Subscription,
        request: CreateItem,
        timestamps: TimestampsToReturn,
    ) -> Result<(WatchedItem, MonitoredItemCreateResult), NotPrepared> {
        let mode = request.mode.ok_or(refused(StatusCode::BadMonitoringModeInvalid))?;
        let prepared = self.prepare(asked, &request.watch, &request.parameters.filter).await?;
        let spot = self.hub.spot(&request.watch.node);
        let attribute = request.watch.attribute;
        let mut state = subscription.lock();
        let full = refused(StatusCode::BadTooManyMonitoredItems);
        if state.items.len() >= self.limits.subscriptions.items_per_subscription {
            return Err(full);
        }
        let pace = state.pace.interval;
        let settings = self.settings(&request.parameters, &prepared.watch, pace, timestamps);
        let filter = match &prepared.watch {
            Watch::Events(filter) => Some(filter.clone()),
            Watch::Data(_) => None,
        };
        let asker = asked.asker.clone();
        let made = state.items.add(|id| Item {
            id,
            spot: spot.clone(),
            attribute,
            mode,
            settings,
            watch: prepared.watch,
            queue: Queue::new(settings.queue_size, settings.discard_oldest),
            links: Vec::new(),
            triggered: false,
            listed: false,
            asker: asker.clone(),
        });
        let id = made.ok_or(full)?;
        state.note_pace(settings.sampling);
        let watched = WatchedItem { id, spot, attribute, filter, asker };
        let result = MonitoredItemCreateResult {
            status_code: StatusCode::Good,
            monitored_item_id: id,
            revised_sampling_interval: settings.sampling.as_secs_f64() * 1000.0,
            revised_queue_size: settings.queue_size,
            filter_result: filter_result(prepared.filter_result),
        };
        Ok((watched, result))
    }

    /// What the client gets of what it wants (Part 4 §7.21).
    fn settings(
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

    /// Checks what an item is to watch, and how.
    async fn prepare(
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
        EventFilter::read(&mut reader, self.space.types(), &self.limits.subscriptions)
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

    /// Lets items look at the present values.
    pub(super) async fn look_at(&self, subscription: &Arc<Subscription>, items: &[u32]) {
        for id in items {
            let watched = {
                let state = subscription.lock();
                let item = state.items.get(*id).filter(|item| item.is_fresh());
                item.map(|item| (item.spot.clone(), item.attribute, item.asker.clone()))
            };
            let Some((spot, attribute, asker)) = watched else {
                continue;
            };
            let now = Instant::now();
            let current = match attribute == AttributeId::Value as u32 {
                true => self.space.current_value(&spot.node),
                false => None,
            };
            let value = match current {
                Some(value) => value,
                None => {
                    let item = ReadItem {
                        node: spot.node.clone(),
                        attribute,
                        range: Ok(NumericRange::None),
                        encoding: QualifiedName::null(),
                    };
                    self.read_item(&item, &asker).await
                }
            };
            subscription.offer_first(now, *id, &Arc::new(value));
        }
    }

    pub(super) async fn modify_items(
        &self,
        asked: &Asked,
        request: Items<(u32, Parameters)>,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription)?;
        let timestamps = request.timestamps.ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
        check_count(request.items.len(), self.limits.operations.monitored_items)?;
        let mut results = Vec::with_capacity(request.items.len());
        for (id, wanted) in request.items {
            let changed = self.modify_item(asked, &subscription, (id, wanted), timestamps).await;
            results.push(match changed {
                Ok(result) => result,
                Err((status_code, result)) => MonitoredItemModifyResult {
                    status_code,
                    filter_result: filter_result(result),
                    ..MonitoredItemModifyResult::default()
                },
            });
        }
        let mut operations = Operations::new(&asked.header);
        let diagnostic_infos = operations.of(results.iter().map(|result| result.status_code));
        let mut response_header = header(&asked.header, self.now(), StatusCode::Good);
        operations.finish(&mut response_header);
        let results = Some(results);
        Ok(ModifyMonitoredItemsResponse { response_header, results, diagnostic_infos }.into())
    }

    async fn modify_item(
        &self,
        asked: &Asked,
        subscription: &Arc<Subscription>,
        (id, wanted): (u32, Parameters),
        timestamps: TimestampsToReturn,
    ) -> Result<MonitoredItemModifyResult, NotPrepared> {
        let unknown = refused(StatusCode::BadMonitoredItemIdInvalid);
        let watch = {
            let state = subscription.lock();
            let item = state.items.get(id).ok_or(unknown.clone())?;
            ReadItem {
                node: item.spot.node.clone(),
                attribute: item.attribute,
                range: Ok(item.range()),
                encoding: QualifiedName::null(),
            }
        };
        let prepared = self.prepare(asked, &watch, &wanted.filter).await?;
        let mut state = subscription.lock();
        let pace = state.pace.interval;
        let item = state.items.get_mut(id).ok_or(unknown)?;
        let settings = self.settings(&wanted, &prepared.watch, pace, timestamps);
        let lost = item.queue.resize(settings.queue_size, settings.discard_oldest) * item.weight();
        item.settings = settings;
        let spot = item.spot.clone();
        if let Watch::Events(filter) = &prepared.watch {
            self.hub.change_filter(subscription, (&spot.node, id), filter);
        }
        item.change_watch(prepared.watch);
        state.forget(lost);
        state.note_pace(settings.sampling);
        Ok(MonitoredItemModifyResult {
            status_code: StatusCode::Good,
            revised_sampling_interval: settings.sampling.as_secs_f64() * 1000.0,
            revised_queue_size: settings.queue_size,
            filter_result: filter_result(prepared.filter_result),
        })
    }

    pub(super) async fn set_monitoring_mode(
        &self,
        asked: &Asked,
        request: SetMode,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription)?;
        let mode = request.mode.ok_or(StatusCode::BadMonitoringModeInvalid)?;
        check_count(request.items.len(), self.limits.operations.monitored_items)?;
        let mut begin = Vec::new();
        let results: Vec<_> = {
            let mut state = subscription.lock();
            let set = |id: &u32| match state.set_mode(*id, mode) {
                None => StatusCode::BadMonitoredItemIdInvalid,
                Some(begins) => {
                    if begins {
                        begin.push(*id);
                    }
                    StatusCode::Good
                }
            };
            request.items.iter().map(set).collect()
        };
        self.look_at(&subscription, &begin).await;
        let mut operations = Operations::new(&asked.header);
        let diagnostic_infos = operations.of(results.iter().copied());
        let mut response_header = header(&asked.header, self.now(), StatusCode::Good);
        operations.finish(&mut response_header);
        let results = Some(results);
        Ok(SetMonitoringModeResponse { response_header, results, diagnostic_infos }.into())
    }

    pub(super) fn set_triggering(
        &self,
        asked: &Asked,
        request: SetTriggeringRequest,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription_id)?;
        let add = request.links_to_add.unwrap_or_default();
        let remove = request.links_to_remove.unwrap_or_default();
        check_count(add.len() + remove.len(), self.limits.operations.monitored_items)?;
        let mut state = subscription.lock();
        let trigger = request.triggering_item_id;
        let known = state.items.get(trigger).ok_or(StatusCode::BadMonitoredItemIdInvalid)?;
        let mut links = known.links.clone();
        let removed = remove.iter().map(|link| match links.iter().position(|one| one == link) {
            Some(at) => {
                links.swap_remove(at);
                StatusCode::Good
            }
            None => StatusCode::BadMonitoredItemIdInvalid,
        });
        let removed: Vec<_> = removed.collect();
        let max = self.limits.subscriptions.triggered_per_item;
        let added = add.iter().map(|link| {
            if state.items.get(*link).is_none() || *link == trigger {
                StatusCode::BadMonitoredItemIdInvalid
            } else if links.len() >= max {
                StatusCode::BadTooManyMonitoredItems
            } else {
                if !links.contains(link) {
                    links.push(*link);
                }
                StatusCode::Good
            }
        });
        let added: Vec<_> = added.collect();
        if let Some(item) = state.items.get_mut(trigger) {
            item.links = links;
        }
        drop(state);
        let told = |statuses: Vec<StatusCode>| (!statuses.is_empty()).then_some(statuses);
        Ok(SetTriggeringResponse {
            response_header: header(&asked.header, self.now(), StatusCode::Good),
            add_results: told(added),
            add_diagnostic_infos: None,
            remove_results: told(removed),
            remove_diagnostic_infos: None,
        }
        .into())
    }

    pub(super) fn delete_items(
        &self,
        asked: &Asked,
        request: DeleteMonitoredItemsRequest,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription_id)?;
        let ids = request.monitored_item_ids.unwrap_or_default();
        check_count(ids.len(), self.limits.operations.monitored_items)?;
        let mut gone = Vec::new();
        let results: Vec<_> = {
            let mut state = subscription.lock();
            let remove = |id: &u32| match state.remove(*id) {
                Some(item) => {
                    gone.push(item);
                    StatusCode::Good
                }
                None => StatusCode::BadMonitoredItemIdInvalid,
            };
            ids.iter().map(remove).collect()
        };
        self.hub.unwatch(&subscription, &gone);
        let mut operations = Operations::new(&asked.header);
        let diagnostic_infos = operations.of(results.iter().copied());
        let mut response_header = header(&asked.header, self.now(), StatusCode::Good);
        operations.finish(&mut response_header);
        let results = Some(results);
        Ok(DeleteMonitoredItemsResponse { response_header, results, diagnostic_infos }.into())
    }
}

/// Whether somebody wants to watch the attribute itself and not the events.
fn is_data_filter(filter: &ExtensionObject) -> bool {
    raw_body(filter).is_some_and(|(id, _)| id == NodeId::new(0, DATA_CHANGE_FILTER))
}
