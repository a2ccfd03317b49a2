//! Who watches what: values and events go in, and find the items that wait for them.
//!
//! A value is handed over once and shared. Nothing is done for a node that nobody watches.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use opcua::types::{DataValue, NodeId, ObjectId, PermissionType, Variant};

use super::filter::event::{EventFilter, overflow_type};
use super::item::{Item, Watch};
use super::subscription::Subscription;
use crate::server::space::{Asker, Event, Protection, Space};

/// Values for which watchers are looked up under one lock.
const BATCH: usize = 2000;

/// Bits of an attribute id.
const VALUE: u32 = 13;

struct ValueWatcher {
    subscription: Arc<Subscription>,
    item: u32,
}

struct EventWatcher {
    subscription: Arc<Subscription>,
    item: u32,
    filter: Arc<EventFilter>,
    asker: Arc<Asker>,
}

/// The watchers of one node.
type Watchers<T> = HashMap<Arc<NodeId>, Vec<T>>;

/// Who watches what.
#[derive(Default)]
pub struct Hub {
    values: RwLock<Watchers<ValueWatcher>>,
    events: RwLock<Watchers<EventWatcher>>,
    /// The watched nodes, until that changes.
    watched: Mutex<Option<Arc<Vec<Arc<NodeId>>>>>,
    items: AtomicUsize,
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Items in all subscriptions.
    pub fn items(&self) -> usize {
        self.items.load(Ordering::Relaxed)
    }

    /// Makes room for some items, if there is room.
    pub fn reserve(&self, count: usize, max: usize) -> usize {
        let mut granted = 0;
        let more = |items: usize| {
            granted = count.min(max.saturating_sub(items));
            Some(items + granted)
        };
        // The closure always says yes.
        let _ = self.items.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        granted
    }

    /// Gives room back that was not used, or is not used any more.
    pub fn release(&self, count: usize) {
        self.items.fetch_sub(count, Ordering::Relaxed);
    }

    /// Another node id that is shared with the other watchers of the node.
    pub fn shared(&self, node: &NodeId) -> Arc<NodeId> {
        let values = read(&self.values);
        values.get_key_value(node).map_or_else(|| Arc::new(node.clone()), |(id, _)| id.clone())
    }

    /// Items watch from now on.
    pub fn watch(&self, subscription: &Arc<Subscription>, items: &[WatchedItem]) {
        let mut has_new = false;
        {
            let mut values = write(&self.values);
            for item in items.iter().filter(|i| i.filter.is_none() && i.attribute == VALUE) {
                let watchers = values.entry(item.node.clone()).or_insert_with(|| {
                    has_new = true;
                    Vec::with_capacity(1)
                });
                let subscription = subscription.clone();
                watchers.push(ValueWatcher { subscription, item: item.id });
            }
        }
        if has_new {
            self.forget_watched();
        }
        let with_filter = items.iter().filter_map(|item| Some((item, item.filter.clone()?)));
        let mut events = None;
        for (item, filter) in with_filter {
            let events = events.get_or_insert_with(|| write(&self.events));
            events.entry(item.node.clone()).or_default().push(EventWatcher {
                subscription: subscription.clone(),
                item: item.id,
                filter,
                asker: item.asker.clone(),
            });
        }
    }

    /// Items of a subscription watch no longer.
    pub fn unwatch(&self, subscription: &Arc<Subscription>, items: &[Item]) {
        let mut by_node: HashMap<&Arc<NodeId>, HashSet<u32>> = HashMap::new();
        for item in items {
            by_node.entry(&item.node).or_default().insert(item.id);
        }
        let is_gone = |of: &Arc<Subscription>, item: u32, gone: &HashSet<u32>| {
            Arc::ptr_eq(of, subscription) && gone.contains(&item)
        };
        let mut has_fewer = false;
        {
            let mut values = write(&self.values);
            for (node, gone) in &by_node {
                if let Some(watchers) = values.get_mut(*node) {
                    watchers.retain(|one| !is_gone(&one.subscription, one.item, gone));
                    if watchers.is_empty() {
                        values.remove(*node);
                        has_fewer = true;
                    }
                }
            }
            if has_fewer {
                shrink(&mut values);
            }
        }
        if has_fewer {
            self.forget_watched();
        }
        if items.iter().any(|item| matches!(item.watch, Watch::Events(_))) {
            let mut events = write(&self.events);
            for (node, gone) in &by_node {
                if let Some(watchers) = events.get_mut(*node) {
                    watchers.retain(|one| !is_gone(&one.subscription, one.item, gone));
                    if watchers.is_empty() {
                        events.remove(*node);
                    }
                }
            }
        }
        self.release(items.len());
    }

    /// An item wants other events from now on.
    pub fn change_filter(
        &self,
        subscription: &Arc<Subscription>,
        (node, item): (&Arc<NodeId>, u32),
        filter: &Arc<EventFilter>,
    ) {
        let mut events = write(&self.events);
        for watcher in events.get_mut(node).into_iter().flatten() {
            if watcher.item == item && Arc::ptr_eq(&watcher.subscription, subscription) {
                watcher.filter = filter.clone();
            }
        }
    }

    fn forget_watched(&self) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The nodes whose values are watched.
    pub fn watched(&self) -> Arc<Vec<Arc<NodeId>>> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let list = || Arc::new(read(&self.values).keys().cloned().collect());
        watched.get_or_insert_with(list).clone()
    }

    /// Hands new values to those who watch them.
    pub fn push<N: std::borrow::Borrow<NodeId>>(&self, changes: &[(N, Arc<DataValue>)]) {
        let now = Instant::now();
        for batch in changes.chunks(BATCH) {
            let values = read(&self.values);
            for (node, value) in batch {
                for watcher in values.get(node.borrow()).into_iter().flatten() {
                    watcher.subscription.offer(now, watcher.item, value);
                }
            }
        }
    }

    /// Hands an event to those who watch its source, what is above that, or the server. Each of
    /// their items gets it once.
    pub fn emit(&self, space: &dyn Space, event: &Event) {
        let mut places = vec![event.source.clone()];
        places.extend(space.notifiers(&event.source));
        places.push(ObjectId::Server.into());
        places.dedup();
        let types = space.types();
        // Who has done what is for those who answer for the installation.
        let protection =
            if event.is_audit(types) { Protection::Diagnostics } else { Protection::Open };
        let mut wanted = Vec::new();
        {
            let events = read(&self.events);
            for watcher in places.iter().filter_map(|place| events.get(place)).flatten() {
                if protection.allows(&watcher.asker, PermissionType::ReceiveEvents) {
                    let (subscription, filter) = (&watcher.subscription, &watcher.filter);
                    wanted.push((subscription.clone(), watcher.item, filter.clone()));
                }
            }
        }
        for (subscription, item, filter) in wanted {
            if let Some(fields) = filter.select(event, types) {
                subscription.offer_event(item, fields, || overflow_fields(&filter, event, space));
            }
        }
    }

    /// Whether anybody watches events.
    pub fn has_event_watchers(&self) -> bool {
        !read(&self.events).is_empty()
    }
}

/// Gives memory back when most of it is not used any more.
fn shrink<T>(map: &mut Watchers<T>) {
    if map.capacity() > 1024 && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}

/// The event that says that events were lost (Part 4 §5.13.1.5), as the filter selects it.
fn overflow_fields(filter: &EventFilter, lost: &Event, space: &dyn Space) -> Vec<Variant> {
    let text = "events were lost, because the queue was full";
    let source = (ObjectId::Server.into(), "Server");
    let event = Event::new(overflow_type(), source, lost.time, 500, text);
    filter.fields(&event, space.types())
}

/// An item as the hub needs it.
pub struct WatchedItem {
    /// Its number.
    pub id: u32,
    /// What it watches.
    pub node: Arc<NodeId>,
    /// Which attribute.
    pub attribute: u32,
    /// Which events, if it watches events.
    pub filter: Option<Arc<EventFilter>>,
    /// Who watches.
    pub asker: Arc<Asker>,
}
