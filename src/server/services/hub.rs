//! Who watches what: values and events go in, and find the items that wait for them.
//!
//! A value is handed over once and shared. Nothing is done for a node that nobody watches.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use opcua::types::{DataValue, NodeId, ObjectId, PermissionType};

use super::filter::event::{EventFilter, overflow_type};
use super::item::Item;
use super::queue::{Entry, Fields};
use super::subscription::Subscription;
use crate::server::space::{Asker, Event, Protection, Space};

/// The attribute whose changes are handed over.
const VALUE: u32 = opcua::types::AttributeId::Value as u32;

/// Values for one subscription under one lock.
const RUN_MAX: usize = 256;

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

/// A watched node. Who hands over values of it often keeps it, and need not search.
pub struct Spot {
    /// The node.
    pub node: NodeId,
    watchers: RwLock<Vec<ValueWatcher>>,
}

impl std::fmt::Debug for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.node)
    }
}

impl Spot {
    /// A node that nobody watches yet.
    pub fn new(node: &NodeId) -> Arc<Spot> {
        Arc::new(Spot { node: node.clone(), watchers: RwLock::default() })
    }

    /// The subscription and item that watch it first.
    fn first_watcher(&self) -> Option<(u32, u32)> {
        let watchers = read(&self.watchers);
        watchers.first().map(|watcher| (watcher.subscription.id, watcher.item))
    }

    /// The shortest sampling interval with which it is watched.
    pub fn fastest(&self) -> Duration {
        let watchers = read(&self.watchers);
        let intervals = watchers.iter().filter_map(|watcher| {
            let state = watcher.subscription.lock();
            state.items.get(watcher.item).map(|item| item.settings.sampling)
        });
        intervals.min().unwrap_or_default()
    }

    /// Whether anybody watches it.
    pub fn is_watched(&self) -> bool {
        !read(&self.watchers).is_empty()
    }
}

/// A spot that is found by its node.
struct ByNode(Arc<Spot>);

impl std::hash::Hash for ByNode {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.node.hash(state);
    }
}

impl PartialEq for ByNode {
    fn eq(&self, other: &ByNode) -> bool {
        self.0.node == other.0.node
    }
}

impl Eq for ByNode {}

impl std::borrow::Borrow<NodeId> for ByNode {
    fn borrow(&self) -> &NodeId {
        &self.0.node
    }
}

/// Who watches what.
#[derive(Default)]
pub struct Hub {
    values: RwLock<HashSet<ByNode>>,
    events: RwLock<HashMap<NodeId, Vec<EventWatcher>>>,
    /// The watched nodes, until that changes.
    watched: Mutex<Option<Arc<Vec<Arc<Spot>>>>>,
    items: AtomicUsize,
    /// Held by whoever tells an event. A refresh holds it from what it looks at to its end, so that
    /// no condition is told as it was after it has been told as it is.
    telling: Mutex<()>,
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

    /// The spot of a node, shared with all who watch it.
    pub fn spot(&self, node: &NodeId) -> Arc<Spot> {
        let known = read(&self.values).get(node).map(|known| known.0.clone());
        known.unwrap_or_else(|| Spot::new(node))
    }

    /// Items watch from now on.
    pub fn watch(&self, subscription: &Arc<Subscription>, items: &[WatchedItem]) {
        let mut has_new = false;
        {
            let mut values = write(&self.values);
            for item in items.iter().filter(|i| i.filter.is_none() && i.attribute == VALUE) {
                let known = values.get(&item.spot.node).map(|known| known.0.clone());
                let spot = known.unwrap_or_else(|| {
                    has_new = true;
                    values.insert(ByNode(item.spot.clone()));
                    item.spot.clone()
                });
                let mut watchers = write(&spot.watchers);
                watchers.reserve_exact(1);
                watchers.push(ValueWatcher { subscription: subscription.clone(), item: item.id });
            }
        }
        if has_new {
            self.forget_watched();
        }
        let with_filter = items.iter().filter_map(|item| Some((item, item.filter.clone()?)));
        for (item, filter) in with_filter {
            let mut events = write(&self.events);
            events.entry(item.spot.node.clone()).or_default().push(EventWatcher {
                subscription: subscription.clone(),
                item: item.id,
                filter,
                asker: item.asker.clone(),
            });
        }
    }

    /// Items of a subscription watch their nodes no longer.
    pub fn unwatch<'a>(
        &self,
        subscription: &Arc<Subscription>,
        items: impl Iterator<Item = (&'a NodeId, u32)>,
    ) {
        let mut by_node: HashMap<&NodeId, HashSet<u32>> = HashMap::new();
        for (node, item) in items {
            by_node.entry(node).or_default().insert(item);
        }
        let is_gone = |of: &Arc<Subscription>, item: u32, gone: &HashSet<u32>| {
            Arc::ptr_eq(of, subscription) && gone.contains(&item)
        };
        let mut has_fewer = false;
        {
            let mut values = write(&self.values);
            for (node, gone) in &by_node {
                let Some(spot) = values.get(*node).map(|known| known.0.clone()) else {
                    continue;
                };
                let mut watchers = write(&spot.watchers);
                watchers.retain(|one| !is_gone(&one.subscription, one.item, gone));
                if watchers.is_empty() {
                    values.remove(*node);
                    has_fewer = true;
                }
            }
            // Memory goes back when most of it is not used any more.
            if values.capacity() > 1024 && values.len() < values.capacity() / 8 {
                let room = values.len() * 2;
                values.shrink_to(room);
            }
        }
        if has_fewer {
            self.forget_watched();
        }
        if !self.has_event_watchers() {
            return;
        }
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

    /// An item wants other events from now on.
    pub fn change_filter(
        &self,
        subscription: &Arc<Subscription>,
        (node, item): (&NodeId, u32),
        filter: &Arc<EventFilter>,
    ) {
        let mut events = write(&self.events);
        for watcher in events.get_mut(node).into_iter().flatten() {
            if watcher.item == item && Arc::ptr_eq(&watcher.subscription, subscription) {
                watcher.filter = filter.clone();
            }
        }
    }

    /// Somebody watches more or less often than before, or something else.
    pub fn forget_watched(&self) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The nodes whose values are watched.
    pub fn watched(&self) -> Arc<Vec<Arc<Spot>>> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let list = || {
            let mut spots: Vec<_> = read(&self.values).iter().map(|one| one.0.clone()).collect();
            // Those of one subscription stand together, so that it is locked once for many.
            spots.sort_by_cached_key(|spot| spot.first_watcher());
            Arc::new(spots)
        };
        watched.get_or_insert_with(list).clone()
    }

    /// Hands new values to those who watch them.
    pub fn push(&self, changes: &[(Arc<Spot>, Arc<DataValue>)]) {
        offer(changes, |_, _, _| true);
    }

    /// Hands over values that have followed each other. An item that has just begun with a newer one
    /// does not get those before.
    pub fn push_series(&self, changes: &[(Arc<Spot>, Arc<DataValue>)]) {
        offer(changes, |item, now, value| !item.begins_after(now, value));
    }

    /// Hands over values before which others were lost; each of them says so.
    pub fn push_after_loss(&self, changes: &[(Arc<Spot>, Arc<DataValue>)]) {
        let marked = changes.iter().map(|(spot, value)| {
            let status = Entry::status(value, true);
            (spot.clone(), Arc::new(DataValue { status, ..(**value).clone() }))
        });
        self.push(&marked.collect::<Vec<_>>());
    }

    /// Keeps every other event back for as long as it is held.
    pub fn alone(&self) -> MutexGuard<'_, ()> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an event to those who watch its source, what is above that, or the server. Each of
    /// their items gets it once.
    pub fn emit(&self, space: &dyn Space, event: &Event) {
        let _alone = self.alone();
        let mut places = vec![event.source.clone()];
        places.extend(space.notifiers(&event.source));
        places.push(ObjectId::Server.into());
        places.dedup();
        let types = &*space.types();
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
                let fields = Box::new(fields);
                subscription.offer_event(item, fields, || overflow_fields(&filter, event, space));
            }
        }
    }

    /// Hands an event to the items of one subscription, or one of them, that watch a place where it is
    /// seen; to every one of them where all are meant. Whoever calls it is [`Self::alone`].
    pub fn emit_to(
        &self,
        space: &dyn Space,
        event: &Event,
        (subscription, item): (&Arc<Subscription>, Option<u32>),
        all: bool,
    ) {
        let mut places = vec![event.source.clone(), ObjectId::Server.into()];
        places.extend(space.notifiers(&event.source));
        let mut wanted = Vec::new();
        for (place, watchers) in read(&self.events).iter() {
            if !all && !places.contains(place) {
                continue;
            }
            let of_it = watchers.iter().filter(|watcher| {
                Arc::ptr_eq(&watcher.subscription, subscription)
                    && item.is_none_or(|item| item == watcher.item)
            });
            wanted.extend(of_it.map(|watcher| (watcher.item, watcher.filter.clone())));
        }
        let types = &*space.types();
        for (item, filter) in wanted {
            let fields =
                if all { Some(filter.fields(event, types)) } else { filter.select(event, types) };
            if let Some(fields) = fields {
                let lost = || overflow_fields(&filter, event, space);
                subscription.offer_event(item, Box::new(fields), lost);
            }
        }
    }

    /// Whether an item of a subscription watches events.
    pub fn watches_events(&self, subscription: &Arc<Subscription>, item: u32) -> bool {
        read(&self.events)
            .values()
            .flatten()
            .any(|watcher| Arc::ptr_eq(&watcher.subscription, subscription) && watcher.item == item)
    }

    /// Whether anybody watches events.
    pub fn has_event_watchers(&self) -> bool {
        !read(&self.events).is_empty()
    }
}

/// Offers values to the items that watch, in runs: neighbours often belong to one subscription, which
/// then is locked once for many.
fn offer(changes: &[(Arc<Spot>, Arc<DataValue>)], wants: fn(&Item, Instant, &DataValue) -> bool) {
    let now = Instant::now();
    let mut run = Vec::with_capacity(RUN_MAX);
    let mut of: Option<Arc<Subscription>> = None;
    for (spot, value) in changes {
        for watcher in read(&spot.watchers).iter() {
            let is_same = of.as_ref().is_some_and(|one| Arc::ptr_eq(one, &watcher.subscription));
            if (!is_same || run.len() == RUN_MAX)
                && let Some(subscription) = of.replace(watcher.subscription.clone())
            {
                subscription.offer(now, run.drain(..), wants);
            }
            run.push((watcher.item, value));
        }
    }
    if let Some(subscription) = of {
        subscription.offer(now, run.drain(..), wants);
    }
}

/// The event that says that events were lost (Part 4 §5.13.1.5), as the filter selects it.
fn overflow_fields(filter: &EventFilter, lost: &Event, space: &dyn Space) -> Fields {
    let text = "events were lost, because the queue was full";
    let source = (ObjectId::Server.into(), "Server");
    let event = Event::new(overflow_type(), source, lost.time, 500, text);
    Box::new(filter.fields(&event, &space.types()))
}

/// An item as the hub needs it.
pub struct WatchedItem {
    /// Its number.
    pub id: u32,
    /// Where it watches.
    pub spot: Arc<Spot>,
    /// Which attribute.
    pub attribute: u32,
    /// Which events, if it watches events.
    pub filter: Option<Arc<EventFilter>>,
    /// Who watches.
    pub asker: Arc<Asker>,
}
