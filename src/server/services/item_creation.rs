//! CreateMonitoredItems (Part 4 §5.13.2), and the values with which items begin.

use std::sync::Arc;
use std::time::Instant;

use opcua::types::{
    CreateMonitoredItemsResponse, MonitoredItemCreateResult, NumericRange, QualifiedName,
    StatusCode, TimestampsToReturn,
};

use super::Services;
use super::attribute::{check_count, failed};
use super::dispatch::Asked;
use super::hub::{Hub, WatchedItem};
use super::item::{Item, Watch};
use super::item_watch::{NotPrepared, filter_result, refused};
use super::queue::Queue;
use super::request::{CreateItem, Items, ReadItem};
use super::respond::{take_turns, to_the_end};
use super::subscription::Subscription;
use crate::server::space::Asker;
use crate::server::wire::Reply;

/// The attribute whose values machines tell.
const VALUE: u32 = opcua::types::AttributeId::Value as u32;

/// Items that are being made. A request may end early, because its time is over or its connection is
/// gone: then the client knows none of them, and none of them stays.
struct Making<'a> {
    hub: &'a Hub,
    subscription: &'a Arc<Subscription>,
    /// Room that was reserved and is not used yet.
    room: usize,
    made: Vec<WatchedItem>,
}

impl Making<'_> {
    /// Lets them watch, those that have not been deleted meanwhile; says whether the subscription
    /// is there still.
    fn watch(&self) -> bool {
        self.hub.watch(self.subscription, &self.made);
        let state = self.subscription.lock();
        let is_gone = |item: &&WatchedItem| state.items.get(item.id).is_none();
        let gone: Vec<_> = self.made.iter().filter(is_gone).collect();
        let is_closed = state.is_closed();
        drop(state);
        if !gone.is_empty() {
            self.hub.unwatch(self.subscription, gone.iter().map(|item| (&item.spot.node, item.id)));
        }
        !is_closed
    }

    /// They stay.
    fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let mut removed = 0;
        if !self.made.is_empty() {
            let mut state = self.subscription.lock();
            // Those that somebody else has removed have given their room back already.
            removed = self.made.iter().filter_map(|item| state.remove(item.id)).count();
            drop(state);
            let places = self.made.iter().map(|item| (&item.spot.node, item.id));
            self.hub.unwatch(self.subscription, places);
        }
        self.hub.release(self.room + removed);
    }
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
        self: &Arc<Self>,
        asked: &Asked,
        request: Items<CreateItem>,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription)?;
        let timestamps = request.timestamps.ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
        check_count(request.items.len(), self.limits.operations.monitored_items)?;
        let count = request.items.len();
        let mut making = Making {
            hub: &self.hub,
            subscription: &subscription,
            room: self.hub.reserve(count, self.limits.subscriptions.items),
            made: Vec::with_capacity(count),
        };
        let mut results = Vec::with_capacity(count);
        for (index, item) in request.items.into_iter().enumerate() {
            take_turns(index).await;
            let made = match making.room {
                0 => Err(refused(StatusCode::BadTooManyMonitoredItems)),
                _ => self.create_item(asked, &subscription, item, timestamps).await,
            };
            results.push(match made {
                Ok((made, result)) => {
                    making.room -= 1;
                    making.made.push(made);
                    result
                }
                Err((status_code, result)) => MonitoredItemCreateResult {
                    status_code,
                    filter_result: filter_result(result),
                    ..MonitoredItemCreateResult::default()
                },
            });
        }
        if !making.watch() {
            return Err(StatusCode::BadSubscriptionIdInvalid);
        }
        // The first values are read after the watch has begun, so no change is lost in between.
        let ids = making.made.iter().map(|item| item.id).collect();
        self.look_at(&subscription, ids).await;
        making.keep();
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().map(|result| result.status_code));
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

    /// Lets items look at the present values: an item without a first value would stay silent until
    /// the next change.
    pub(super) async fn look_at(
        self: &Arc<Self>,
        subscription: &Arc<Subscription>,
        mut items: Vec<u32>,
    ) {
        items.retain(|id| !self.look_at_once(subscription, *id));
        if items.is_empty() {
            return;
        }
        let (services, subscription) = (self.clone(), subscription.clone());
        let looking = async move {
            for id in items {
                services.look_into_store(&subscription, id).await;
            }
        };
        // At the end of the process nobody looks any more.
        let _ = to_the_end(looking).await;
    }

    /// Whether nothing is left to be looked at, because the value was at hand or is not wanted.
    fn look_at_once(&self, subscription: &Subscription, id: u32) -> bool {
        let now = Instant::now();
        let Some((item, asker)) = fresh(subscription, id) else {
            return true;
        };
        let Some(read) = self.read_at_once(&item, &asker) else {
            // A machine tells it by itself once it is watched there, and is not waited for.
            return item.attribute == VALUE && self.space.is_remote(&item.node);
        };
        subscription.offer_first(now, id, &Arc::new(read.unwrap_or_else(failed)));
        true
    }

    async fn look_into_store(&self, subscription: &Subscription, id: u32) {
        let now = Instant::now();
        let Some((item, asker)) = fresh(subscription, id) else {
            return;
        };
        let value = self.read_item(&item, &asker).await;
        subscription.offer_first(now, id, &Arc::new(value));
    }
}

/// What an item that has seen nothing yet looks at, and for whom.
fn fresh(subscription: &Subscription, id: u32) -> Option<(ReadItem, Arc<Asker>)> {
    let state = subscription.lock();
    let item = state.items.get(id).filter(|item| item.is_fresh())?;
    let read = ReadItem {
        node: item.spot.node.clone(),
        attribute: item.attribute,
        // The item takes its part of an array itself.
        range: Ok(NumericRange::None),
        encoding: QualifiedName::null(),
    };
    Some((read, item.asker.clone()))
}
