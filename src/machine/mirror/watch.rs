//! The variables of a machine that are watched for those who look at its mirror: one item a variable,
//! however many look, as fast as the fastest of them wants it, and for a while after the last one has
//! gone. What else is told in the same subscriptions, events, goes on to [`Hearing`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use opcua::types::{
    AttributeId, Context, DataChangeFilter, DataChangeTrigger, DataValue, ExtensionObject,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, ReadValueId,
    StatusCode,
};
use tokio::sync::Notify;

use super::common::Common;
use super::hearing::Hearing;
use super::mapping::{Mapping, To};
use crate::channel::time::date_time;
use crate::domain::time::Timestamp;
use crate::machine::client::{Failure, Message, Notification, Session, Watching};
use crate::machine::items::queue;
use crate::mirror::{Mirror, Wanted, without_value};

/// Items of one subscription, where the machine does not say how many it takes.
const ITEMS_MAX: usize = 10_000;

/// The watched variables of a machine, as long as it keeps our session.
pub struct MirrorWatch {
    mirror: Arc<Mirror>,
    mapping: RwLock<Option<Arc<Mapping>>>,
    /// Its events.
    pub hearing: Hearing,
    state: Mutex<State>,
    /// Something is to be watched anew.
    again: Notify,
}

#[derive(Default)]
struct State {
    /// By the ids of our server.
    items: HashMap<NodeId, Item>,
    handles: HashMap<u32, NodeId>,
    last: u32,
    /// Items of each subscription.
    subscriptions: HashMap<u32, usize>,
}

#[derive(Clone, Debug)]
struct Item {
    handle: u32,
    /// Its subscription and its number there; none where the machine has refused it.
    at: Option<(u32, u32)>,
    sampling: Duration,
    /// Since when nobody looks at it.
    unwanted: Option<Instant>,
}

/// What is to be done so that the right variables are watched.
#[derive(Debug, Default)]
pub struct Plan {
    /// Variables to watch, and how often they are to be looked at.
    add: Vec<(NodeId, Duration)>,
    /// Items to give up, by their subscriptions.
    remove: HashMap<u32, Vec<u32>>,
}

impl Plan {
    /// Whether a subscription is needed.
    pub fn needs_items(&self) -> bool {
        !self.add.is_empty()
    }
}

impl MirrorWatch {
    /// Nothing is watched yet.
    pub fn new(mirror: Arc<Mirror>, common: Common) -> MirrorWatch {
        let (mapping, hearing, state) = (RwLock::default(), Hearing::new(common), Mutex::default());
        MirrorWatch { mirror, mapping, hearing, state, again: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids and values of both sides; none before the machine was copied.
    pub fn mapping(&self) -> Option<Arc<Mapping>> {
        self.mapping.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says what ids and values are on both sides. Those that were the same stay the same: a machine whose
    /// namespaces have moved is watched anew.
    pub fn set_mapping(&self, mapping: Arc<Mapping>) {
        *self.mapping.write().unwrap_or_else(PoisonError::into_inner) = Some(mapping);
    }

    /// Waits until there is room for more.
    pub async fn room(&self) {
        self.mirror.room().await;
    }

    /// Waits until something is to be watched anew.
    pub async fn again(&self) {
        self.again.notified().await;
    }

    /// The machine does not have a subscription any more.
    pub fn lost(&self, subscription: u32) {
        if self.hearing.lost(subscription) {
            self.mirror.events_unheard();
        }
        let mut state = self.state();
        state.subscriptions.remove(&subscription);
        let is_lost = |item: &Item| item.at.is_some_and(|(of, _)| of == subscription);
        let gone: Vec<_> = state.items.extract_if(|_, item| is_lost(item)).collect();
        gone.iter().for_each(|(_, item)| drop(state.handles.remove(&item.handle)));
        drop(state);
        self.mirror.forget(gone.iter().map(|(id, _)| id));
        self.again.notify_one();
    }

    /// Takes what the machine tells.
    pub fn take(&self, message: &Message, context: &Context<'_>, now: Timestamp) {
        let Some(mapping) = self.mapping() else { return };
        for notification in &message.notifications {
            if let Notification::Events(events) = notification
                && self.hearing.take(events, &mapping, &self.mirror, (context, now))
            {
                self.again.notify_one();
            }
        }
        let mut changes = Vec::new();
        {
            let state = self.state();
            for notification in &message.notifications {
                let Notification::Changes(changed) = notification else { continue };
                for (handle, value) in changed {
                    let Some(id) = state.handles.get(handle) else { continue };
                    let value = mapping.data_value(value.clone(), To::Here, context);
                    changes.push((id.clone(), Arc::new(received(value, now))));
                }
            }
        }
        changes
            .retain(|(id, value)| !self.mirror.last_heard(id).is_some_and(|l| is_same(&l, value)));
        self.mirror.changed(changes);
    }

    /// What is to be done so that these are watched.
    pub fn plan(&self, wanted: &Wanted, linger: Duration) -> Plan {
        let now = Instant::now();
        let mut state = self.state();
        let mut plan = Plan::default();
        for (id, item) in &mut state.items {
            match wanted.get(id) {
                None => drop(item.unwanted.get_or_insert(now)),
                Some(sampling) => {
                    item.unwanted = None;
                    if *sampling < item.sampling {
                        plan.add.push((id.clone(), *sampling));
                    }
                }
            }
        }
        let is_over =
            |item: &Item| item.unwanted.is_some_and(|since| now.duration_since(since) >= linger);
        let gone: Vec<_> = state.items.extract_if(|_, item| is_over(item)).collect();
        let faster: Vec<_> = plan.add.iter().filter_map(|(id, _)| state.items.remove(id)).collect();
        for item in gone.iter().map(|(_, item)| item).chain(&faster) {
            state.handles.remove(&item.handle);
            if let Some((subscription, number)) = item.at {
                plan.remove.entry(subscription).or_default().push(number);
                if let Some(count) = state.subscriptions.get_mut(&subscription) {
                    *count = count.saturating_sub(1);
                }
            }
        }
        let is_new = |id: &&NodeId| !state.items.contains_key(*id);
        let is_planned = |id: &NodeId| plan.add.iter().any(|(known, _)| known == id);
        let new: Vec<_> = wanted.keys().filter(is_new).filter(|id| !is_planned(id)).collect();
        let new: Vec<_> = new.into_iter().map(|id| (id.clone(), wanted[id])).collect();
        plan.add.extend(new);
        drop(state);
        self.mirror.forget(gone.iter().map(|(id, _)| id));
        plan
    }

    /// Whether something is watched that nobody looks at.
    pub fn lingers(&self) -> bool {
        self.state().items.values().any(|item| item.unwanted.is_some())
    }

    /// A subscription with room for another item.
    pub fn subscription(&self, session: &Session) -> Option<u32> {
        let max = items_max(session);
        let state = self.state();
        let with_room = state.subscriptions.iter().find(|(_, count)| **count < max);
        with_room.map(|(subscription, _)| *subscription)
    }

    /// There is a new subscription.
    pub fn begin(&self, subscription: u32) {
        self.state().subscriptions.insert(subscription, 0);
    }

    /// Hears events in a subscription; gives what is to be said of it, in plain words.
    pub async fn hear(
        &self,
        subscription: u32,
        session: &Session,
    ) -> Result<Option<String>, Failure> {
        let Some(mapping) = self.mapping() else { return Ok(None) };
        *self.state().subscriptions.entry(subscription).or_default() += 1;
        self.hearing.begin(session, subscription, &mapping).await
    }

    /// Gives up what is not looked at any more.
    pub async fn remove(&self, plan: &mut Plan, session: &Session) -> Result<(), Failure> {
        for (subscription, items) in plan.remove.drain() {
            match session.unwatch(subscription, &items).await {
                // What the machine does not have needs not be given up.
                Err(failure) if failure.is_broken() => return Err(failure),
                _ => {}
            }
        }
        Ok(())
    }

    /// Watches as many of what is wanted as a subscription has room for.
    pub async fn add(
        &self,
        plan: &mut Plan,
        subscription: u32,
        session: &Session,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let Some(mapping) = self.mapping() else { return Ok(()) };
        let asked = self.enter(plan, subscription, items_max(session), &mapping);
        let mut entered = Entered { watch: self, subscription, asked: &asked, is_over: false };
        let mut pending: Vec<usize> = (0..asked.len()).collect();
        let mut refused = Vec::new();
        for with_filter in [true, false] {
            let requests: Vec<_> =
                pending.iter().map(|index| request(&asked[*index], with_filter)).collect();
            if requests.is_empty() {
                break;
            }
            let watched = match session.watch(subscription, &requests).await {
                Ok(watched) => watched,
                Err(failure) if failure.is_broken() => return Err(failure),
                Err(failure) => {
                    requests.iter().map(|_| Watching::refused(failure.status)).collect()
                }
            };
            let mut again = Vec::new();
            let mut state = self.state();
            for (index, Watching { status, id, .. }) in pending.into_iter().zip(watched) {
                let node = &asked[index].here;
                match status {
                    status if !status.is_bad() => {
                        if let Some(item) = state.items.get_mut(node) {
                            item.at = Some((subscription, id));
                        }
                    }
                    status if with_filter && is_about_filter(status) => again.push(index),
                    status => {
                        if let Some(count) = state.subscriptions.get_mut(&subscription) {
                            *count = count.saturating_sub(1);
                        }
                        let value = Arc::new(without_value(status, now));
                        refused.push((node.clone(), value));
                    }
                }
            }
            pending = again;
        }
        entered.is_over = true;
        self.mirror.changed(refused);
        Ok(())
    }

    /// None of what is wanted can be watched, and for what reason.
    pub fn refuse(&self, plan: &mut Plan, status: StatusCode, now: Timestamp) {
        let mut state = self.state();
        let mut refused = Vec::with_capacity(plan.add.len());
        for (id, sampling) in plan.add.drain(..) {
            let item = Item { handle: 0, at: None, sampling, unwanted: None };
            state.items.insert(id.clone(), item);
            refused.push((id, Arc::new(without_value(status, now))));
        }
        drop(state);
        self.mirror.changed(refused);
    }

    /// Forgets items that were asked for.
    fn leave(&self, subscription: u32, asked: &[Asked]) {
        let mut state = self.state();
        for one in asked {
            state.handles.remove(&one.handle);
            state.items.remove(&one.here);
        }
        if let Some(count) = state.subscriptions.get_mut(&subscription) {
            *count = count.saturating_sub(asked.len());
        }
    }

    /// Notes items before they are asked for: a machine may tell of them before it has answered.
    fn enter(
        &self,
        plan: &mut Plan,
        subscription: u32,
        max: usize,
        mapping: &Mapping,
    ) -> Vec<Asked> {
        let mut state = self.state();
        let count = state.subscriptions.get(&subscription).copied().unwrap_or(0);
        let room = max.saturating_sub(count).min(plan.add.len());
        state.subscriptions.insert(subscription, count + room);
        let mut asked = Vec::with_capacity(room);
        for (here, sampling) in plan.add.drain(..room) {
            state.last = state.last.wrapping_add(1).max(1);
            let handle = state.last;
            let item = Item { handle, at: None, sampling, unwanted: None };
            state.handles.insert(handle, here.clone());
            state.items.insert(here.clone(), item);
            let there = mapping.there(&here);
            asked.push(Asked { here, there, handle, sampling });
        }
        asked
    }
}

/// Items that were noted and are asked for. Where that is given up in between, nobody knows what has become of
/// them; they are forgotten, and asked for again.
struct Entered<'a> {
    watch: &'a MirrorWatch,
    subscription: u32,
    asked: &'a [Asked],
    is_over: bool,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.watch.leave(self.subscription, self.asked);
        }
    }
}

/// An item that is asked for.
struct Asked {
    here: NodeId,
    there: NodeId,
    handle: u32,
    sampling: Duration,
}

fn items_max(session: &Session) -> usize {
    session.limits().items_of_subscription.unwrap_or(ITEMS_MAX).min(ITEMS_MAX)
}

fn is_about_filter(status: StatusCode) -> bool {
    [
        StatusCode::BadMonitoredItemFilterUnsupported,
        StatusCode::BadFilterNotAllowed,
        StatusCode::BadMonitoredItemFilterInvalid,
    ]
    .contains(&status)
}

/// A value as it is told on: with the machine's own time and status, and with the time at which it came.
pub fn received(value: DataValue, now: Timestamp) -> DataValue {
    DataValue { server_timestamp: Some(date_time(now)), server_picoseconds: None, ..value }
}

/// Whether a machine has told the same once more.
fn is_same(one: &DataValue, other: &DataValue) -> bool {
    one.value == other.value
        && one.status.unwrap_or_default() == other.status.unwrap_or_default()
        && one.source_timestamp == other.source_timestamp
        && one.source_picoseconds == other.source_picoseconds
}

fn request(asked: &Asked, with_filter: bool) -> MonitoredItemCreateRequest {
    let filter = DataChangeFilter {
        trigger: DataChangeTrigger::StatusValue,
        deadband_type: 0,
        deadband_value: 0.0,
    };
    MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId {
            node_id: asked.there.clone(),
            attribute_id: AttributeId::Value as u32,
            ..ReadValueId::default()
        },
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: asked.handle,
            sampling_interval: asked.sampling.as_secs_f64() * 1000.0,
            filter: match with_filter {
                true => ExtensionObject::from_message(filter),
                false => ExtensionObject::null(),
            },
            queue_size: queue(asked.sampling),
            discard_oldest: true,
        },
    }
}
