//! A subscription (Part 4 §5.14.1): its items, what waits to be sent, its counters.
//!
//! It is locked for moments only, by whoever has something for it; what it takes out is encoded
//! outside of the lock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use opcua::types::{Context, DataValue, MonitoringMode, TimestampsToReturn};
use tokio::sync::Notify;

use super::item::{Item, Offered, Watch};
use super::items::Items;
use super::queue::{Entry, Fields};
use super::registry::{Owner, Supplies};
use super::session::Session;
use super::share::Share;
use crate::server::limits::SubscriptionLimits;

/// How a subscription is published.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Time between two cycles.
    pub interval: Duration,
    /// Cycles without a publish request after which it ends.
    pub lifetime: u32,
    /// Cycles without news after which a keep-alive is sent.
    pub keep_alive: u32,
    /// Notifications in one message.
    pub notifications: usize,
    /// Higher goes first.
    pub priority: u8,
}

/// What is counted about a subscription.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    pub modified: u32,
    pub enabled: u32,
    pub disabled: u32,
    pub republish_requests: u32,
    pub republished: u32,
    pub transfer_requests: u32,
    pub to_other_client: u32,
    pub to_same_client: u32,
    pub publish_requests: u32,
    pub data_changes: u32,
    pub events: u32,
    pub late: u32,
    pub discarded_messages: u32,
    pub value_overflows: u32,
    pub event_overflows: u32,
}

/// What a subscription has to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    Nothing,
    KeepAlive,
    News,
}

/// A notification of one item.
#[derive(Debug)]
pub struct Notification {
    /// The client's own number for the item.
    pub client_handle: u32,
    /// Which timestamps are wanted.
    pub timestamps: TimestampsToReturn,
    /// What it says.
    pub entry: Entry,
}

/// What is taken out to be sent.
#[derive(Debug)]
pub struct Taken {
    /// Number of the message.
    pub sequence: u32,
    /// Its content; empty for a keep-alive.
    pub notifications: Vec<Notification>,
    /// Whether more waits.
    pub more: bool,
}

/// What a publishing cycle came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cycle {
    /// Nothing to say.
    Quiet,
    /// Something to say.
    Due,
    /// The client has not asked for too long.
    Expired,
}

/// The changing part of a subscription.
#[derive(Debug)]
pub struct State {
    /// The session that it belongs to; gone when that was closed.
    pub session: Weak<Session>,
    /// Who may take it over.
    pub owner: Owner,
    /// How it is published.
    pub pace: Pace,
    /// Whether notifications are sent.
    pub enabled: bool,
    /// Items by their numbers.
    pub items: Items,
    /// Counters.
    pub counters: Counters,
    /// Whether any item looks at values at intervals.
    paced: bool,
    /// Items with news, in the order in which they had them.
    news: VecDeque<u32>,
    /// Room that its queues take.
    queued: Share,
    due: Due,
    has_spoken: bool,
    /// Cycles since the last message.
    silent: u32,
    /// Cycles without a publish request.
    unattended: u32,
    sequence: u32,
    sent: VecDeque<(u32, Bytes)>,
    kept: Share,
    closed: bool,
}

/// A subscription.
#[derive(Debug)]
pub struct Subscription {
    /// Its number.
    pub id: u32,
    state: Mutex<State>,
    /// When its conditions were refreshed last.
    refreshed: Mutex<Option<Instant>>,
    /// Tells its task that the pace has changed or that it is over.
    pub changed: Notify,
}

impl Subscription {
    /// A subscription of a session.
    pub fn new(
        id: u32,
        session: &Arc<Session>,
        pace: Pace,
        enabled: bool,
        supplies: &Supplies,
    ) -> Arc<Subscription> {
        let state = State {
            session: Arc::downgrade(session),
            owner: Owner::of(session),
            pace,
            enabled,
            items: Items::default(),
            counters: Counters::default(),
            paced: false,
            news: VecDeque::new(),
            queued: Share::of(&supplies.queued),
            due: Due::Nothing,
            has_spoken: false,
            silent: 0,
            unattended: 0,
            sequence: 0,
            sent: VecDeque::new(),
            kept: Share::of(&supplies.kept),
            closed: false,
        };
        Arc::new(Subscription {
            id,
            state: Mutex::new(state),
            refreshed: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Locks its state. Never hold it while encoding, waiting, or locking another subscription.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes values for items that want them.
    pub fn offer<'a>(
        &self,
        now: Instant,
        values: impl Iterator<Item = (u32, &'a Arc<DataValue>)>,
        wants: fn(&Item, Instant, &DataValue) -> bool,
    ) {
        let mut state = self.lock();
        for (item, value) in values {
            let crowded = state.is_crowded();
            let known = state.items.get_mut(item).filter(|known| wants(known, now, value));
            if let Some(known) = known {
                let offered = known.offer(now, value, crowded);
                state.note(item, offered);
            }
        }
    }

    /// Takes the value with which an item begins, unless a newer one has come meanwhile.
    pub fn offer_first(&self, now: Instant, item: u32, value: &Arc<DataValue>) {
        let mut state = self.lock();
        let crowded = state.is_crowded();
        let Some(known) = state.items.get_mut(item).filter(|item| item.is_fresh()) else {
            return;
        };
        let offered = known.begin(now, value, crowded);
        state.note(item, offered);
    }

    /// Takes the selected fields of an event for an item.
    pub fn offer_event(&self, item: u32, fields: Fields, overflow: impl FnOnce() -> Fields) {
        let mut state = self.lock();
        let crowded = state.is_crowded();
        let Some(known) = state.items.get_mut(item) else {
            return;
        };
        let offered = known.offer_event(fields, crowded, overflow);
        state.note(item, offered);
    }

    /// Whether conditions may be refreshed again, some time after the last time.
    pub fn may_refresh(&self, now: Instant, pause: Duration) -> bool {
        let mut last = self.refreshed.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| now.duration_since(last) >= pause);
        if may {
            *last = Some(now);
        }
        may
    }

    /// A publishing cycle; `attended` says whether the session has publish requests.
    pub fn cycle(&self, now: Instant, attended: bool) -> Cycle {
        let mut state = self.lock();
        state.flush(now);
        let has_news = state.enabled && state.has_news();
        if has_news {
            state.due = Due::News;
        } else if state.due == Due::Nothing {
            state.silent = state.silent.saturating_add(1);
            if !state.has_spoken || state.silent >= state.pace.keep_alive {
                state.due = Due::KeepAlive;
            }
        }
        if attended {
            state.unattended = 0;
        } else {
            state.unattended = state.unattended.saturating_add(1);
            if state.unattended >= state.pace.lifetime {
                return Cycle::Expired;
            }
            if state.due != Due::Nothing {
                state.counters.late = state.counters.late.saturating_add(1);
            }
        }
        if state.due == Due::Nothing { Cycle::Quiet } else { Cycle::Due }
    }

    /// Whether it waits for a publish request, and how urgent it is.
    pub fn waits(&self) -> Option<u8> {
        let state = self.lock();
        (state.due != Due::Nothing && !state.closed).then_some(state.pace.priority)
    }

    /// Takes out what is to be sent next: so many notifications at most, and none after so many bytes.
    pub fn take(
        &self,
        (notifications_max, bytes): (usize, usize),
        context: &Context<'_>,
    ) -> Option<Taken> {
        let mut state = self.lock();
        if state.due == Due::Nothing || state.closed {
            return None;
        }
        state.counters.publish_requests = state.counters.publish_requests.saturating_add(1);
        state.has_spoken = true;
        state.silent = 0;
        state.unattended = 0;
        let limit = match state.pace.notifications {
            0 => notifications_max,
            limit => limit.min(notifications_max),
        };
        let notifications = match state.enabled {
            true => state.drain(limit, bytes, context),
            false => Vec::new(),
        };
        let more = state.enabled && state.has_news();
        state.due = if more { Due::News } else { Due::Nothing };
        if notifications.is_empty() {
            let sequence = next_sequence(state.sequence);
            return Some(Taken { sequence, notifications, more });
        }
        state.sequence = next_sequence(state.sequence);
        Some(Taken { sequence: state.sequence, notifications, more })
    }

    /// Keeps a message that was sent, so that the client can ask for it again.
    pub fn keep(&self, sequence: u32, message: Bytes, limits: &SubscriptionLimits) {
        let mut state = self.lock();
        state.kept.take(message.len());
        state.sent.push_back((sequence, message));
        while state.sent.len() > limits.retransmission
            || state.kept.is_used_up() && state.sent.len() > 1
        {
            if let Some((_, old)) = state.sent.pop_front() {
                state.kept.give(old.len());
                state.counters.discarded_messages += 1;
            }
        }
    }
}

/// Sequence numbers begin at 1 and skip 0 (Part 4 §7.9).
fn next_sequence(last: u32) -> u32 {
    if last == u32::MAX { 1 } else { last + 1 }
}

impl State {
    fn is_crowded(&self) -> bool {
        self.queued.is_used_up()
    }

    /// An item has another pace.
    pub fn note_pace(&mut self, sampling: Duration) {
        self.paced |= !sampling.is_zero();
    }

    /// An item had news: it gets into the list, and so do those that it triggers.
    pub fn note(&mut self, id: u32, offered: Offered) {
        let Some(item) = self.items.get_mut(id).filter(|_| offered.is_news()) else {
            return;
        };
        self.queued.take(offered.added * item.weight());
        match &item.watch {
            Watch::Data(_) => self.counters.value_overflows += offered.lost,
            Watch::Events(_) => self.counters.event_overflows += offered.lost,
        }
        if item.reports() && !item.listed {
            item.listed = true;
            self.news.push_back(id);
        }
        if item.links.is_empty() {
            return;
        }
        for link in item.links.clone() {
            let Some(linked) = self.items.get_mut(link) else {
                continue;
            };
            // What waits there is reported together with this.
            if linked.mode == MonitoringMode::Sampling && !linked.queue.is_empty() {
                linked.triggered = true;
                if !linked.listed {
                    linked.listed = true;
                    self.news.push_back(link);
                }
            }
        }
    }

    /// Lets items look at values whose turn has come.
    fn flush(&mut self, now: Instant) {
        if !self.paced {
            return;
        }
        let pending = self.items.iter().filter(|item| item.has_pending());
        let waiting: Vec<u32> = pending.map(|item| item.id).collect();
        for id in waiting {
            let crowded = self.is_crowded();
            if let Some(item) = self.items.get_mut(id) {
                let offered = item.flush(now, crowded);
                self.note(id, offered);
            }
        }
    }

    fn has_news(&self) -> bool {
        self.news.iter().any(|id| {
            self.items.get(*id).is_some_and(|item| item.reports() && !item.queue.is_empty())
        })
    }

    fn drain(&mut self, limit: usize, bytes: usize, context: &Context<'_>) -> Vec<Notification> {
        let (mut notifications, mut size) = (Vec::new(), 0_usize);
        while notifications.len() < limit
            && size < bytes
            && let Some(id) = self.news.pop_front()
        {
            let Some(item) = self.items.get_mut(id) else {
                continue;
            };
            if !item.reports() {
                item.listed = false;
                continue;
            }
            let (settings, weight) = (item.settings, item.weight());
            while notifications.len() < limit
                && size < bytes
                && let Some(entry) = item.queue.take()
            {
                size = size.saturating_add(entry.size(context));
                self.queued.give(weight);
                match entry {
                    Entry::Value(..) => self.counters.data_changes += 1,
                    Entry::Event(_) => self.counters.events += 1,
                }
                notifications.push(Notification {
                    client_handle: settings.client_handle,
                    timestamps: settings.timestamps,
                    entry,
                });
            }
            if item.queue.is_empty() {
                (item.listed, item.triggered) = (false, false);
            } else {
                self.news.push_front(id);
            }
        }
        notifications
    }

    /// Removes an item.
    pub fn remove(&mut self, id: u32) -> Option<Item> {
        let mut item = self.items.remove(id)?;
        self.queued.give(item.queue.clear() * item.weight());
        Some(item)
    }

    /// Changes the mode of an item; says whether its present value must be looked at.
    pub fn set_mode(&mut self, id: u32, mode: MonitoringMode) -> Option<bool> {
        let item = self.items.get_mut(id)?;
        let (dropped, begins) = item.set_mode(mode);
        self.queued.give(dropped * item.weight());
        // What waited while it was only sampled is reported from now on.
        if item.reports() && !item.queue.is_empty() && !item.listed {
            item.listed = true;
            self.news.push_back(id);
        }
        Some(begins)
    }

    /// Gives back the room of entries that were lost because a queue became smaller.
    pub fn forget(&mut self, room: usize) {
        self.queued.give(room);
    }

    /// The client has said something about the subscription.
    pub fn attend(&mut self) {
        self.unattended = 0;
    }

    /// Numbers of the messages that can be asked for again.
    pub fn available(&self) -> Vec<u32> {
        self.sent.iter().map(|(sequence, _)| *sequence).collect()
    }

    /// A message that was sent.
    pub fn sent(&self, sequence: u32) -> Option<Bytes> {
        self.sent.iter().find(|(known, _)| *known == sequence).map(|(_, message)| message.clone())
    }

    /// The client has a message and will not ask for it again.
    pub fn acknowledge(&mut self, sequence: u32) -> bool {
        let Some(at) = self.sent.iter().position(|(known, _)| *known == sequence) else {
            return false;
        };
        if let Some((_, message)) = self.sent.remove(at) {
            self.kept.give(message.len());
        }
        true
    }

    /// Number of the message that says that the subscription is over or elsewhere.
    pub fn last_sequence(&mut self) -> u32 {
        self.sequence = next_sequence(self.sequence);
        self.sequence
    }

    /// Ends it; nothing is taken out any more. Gives its items.
    pub fn close(&mut self) -> Vec<Item> {
        self.closed = true;
        self.news.clear();
        self.queued.give_all();
        self.kept.give_all();
        self.sent.clear();
        self.items.take_all()
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Cycles since the last message, and without a publish request.
    pub fn cycles(&self) -> (u32, u32) {
        (self.silent, self.unattended)
    }

    /// Number of the next message.
    pub fn next_sequence(&self) -> u32 {
        next_sequence(self.sequence)
    }

    /// Messages that were not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.sent.len()
    }
}
