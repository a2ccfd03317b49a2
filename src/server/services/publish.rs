//! Publish requests of a session and the subscriptions that wait for them (Part 4 §5.14.5).
//!
//! One hand at a time takes messages out of a session's subscriptions, so they leave in the order of
//! their numbers; whoever comes meanwhile leaves word and goes on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use opcua::types::{Context, ResponseHeader, ServiceFault, StatusCode};

use super::encode::{Envelope, message, publish_response};
use super::subscription::Subscription;
use crate::app::clock::Clock;
use crate::channel::time::now_date_time;
use crate::server::limits::SubscriptionLimits;
use crate::server::wire::{ChannelInfo, Reply};

/// Last words of subscriptions that wait for a publish request.
const LAST_WORDS_MAX: usize = 100;

/// A publish request that waits.
#[derive(Debug)]
pub struct Waiting {
    /// Where the answer goes.
    pub channel: Arc<ChannelInfo>,
    /// Request id.
    pub request: u32,
    /// The client's own number for the request.
    pub handle: u32,
    /// When the client gives it up.
    pub deadline: Option<Instant>,
    /// Results of its acknowledgements.
    pub results: Vec<StatusCode>,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<Waiting>,
    subscriptions: BTreeMap<u32, Arc<Subscription>>,
    /// What subscriptions that are gone have still to say.
    last_words: VecDeque<(u32, Bytes)>,
    /// The subscription that was served last; the next of the same priority has its turn.
    served: u32,
    closed: bool,
}

/// Publishing of one session.
#[derive(Debug, Default)]
pub struct Publishing {
    state: Mutex<State>,
    /// How many have asked for the messages to be taken out.
    asked: AtomicUsize,
}

/// What answers need.
pub struct Surroundings<'a> {
    /// The clock.
    pub clock: &'a dyn Clock,
    /// How things are encoded.
    pub context: &'a Context<'a>,
    /// The limits.
    pub limits: &'a SubscriptionLimits,
}

impl Waiting {
    fn header(&self, clock: &dyn Clock, status: StatusCode) -> ResponseHeader {
        ResponseHeader::new_timestamped_service_result(now_date_time(clock), self.handle, status)
    }

    fn refuse(&self, clock: &dyn Clock, status: StatusCode) {
        let fault = ServiceFault { response_header: self.header(clock, status) };
        // A client that is gone needs no answer.
        self.channel.send(self.request, Reply::from(fault));
    }
}

impl Publishing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a request. When too many wait, the oldest is given back (Part 4 §5.14.5.1).
    pub fn take_request(
        &self,
        waiting: Waiting,
        around: &Surroundings<'_>,
    ) -> Result<(), StatusCode> {
        let refused = {
            let mut state = self.lock();
            if state.closed {
                return Err(StatusCode::BadSessionClosed);
            }
            if state.subscriptions.is_empty() && state.last_words.is_empty() {
                return Err(StatusCode::BadNoSubscription);
            }
            state.requests.push_back(waiting);
            let is_full = state.requests.len() > around.limits.publish_requests;
            if is_full { state.requests.pop_front() } else { None }
        };
        if let Some(refused) = refused {
            refused.refuse(around.clock, StatusCode::BadTooManyPublishRequests);
        }
        Ok(())
    }

    /// Requests whose client has given them up are answered so.
    pub fn drop_late(&self, now: Instant, clock: &dyn Clock) {
        let late = {
            let mut state = self.lock();
            let is_late = |one: &Waiting| one.deadline.is_some_and(|deadline| now >= deadline);
            if !state.requests.iter().any(is_late) {
                return;
            }
            let all = std::mem::take(&mut state.requests);
            let (late, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(is_late);
            state.requests = rest.into();
            late
        };
        late.iter().for_each(|one| one.refuse(clock, StatusCode::BadTimeout));
    }

    /// Gives back requests with a handle; how many there were.
    pub fn cancel(&self, handle: u32, clock: &dyn Clock) -> u32 {
        self.give_back(clock, StatusCode::BadRequestCancelledByClient, |one| one.handle == handle)
    }

    /// Requests of a channel that is gone cannot be answered any more.
    pub fn drop_channel(&self, channel: u32) {
        self.lock().requests.retain(|one| one.channel.id != channel);
    }

    fn give_back(
        &self,
        clock: &dyn Clock,
        status: StatusCode,
        which: impl Fn(&Waiting) -> bool,
    ) -> u32 {
        let given = {
            let mut state = self.lock();
            let all = std::mem::take(&mut state.requests);
            let (given, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| which(one));
            state.requests = rest.into();
            given
        };
        given.iter().for_each(|one| one.refuse(clock, status));
        u32::try_from(given.len()).unwrap_or(u32::MAX)
    }

    /// Ends publishing; gives the subscriptions that were there.
    pub fn close(&self, clock: &dyn Clock) -> Vec<Arc<Subscription>> {
        let subscriptions = {
            let mut state = self.lock();
            state.closed = true;
            state.last_words.clear();
            std::mem::take(&mut state.subscriptions)
        };
        self.give_back(clock, StatusCode::BadSessionClosed, |_| true);
        subscriptions.into_values().collect()
    }

    /// Adds a subscription.
    pub fn add(&self, subscription: Arc<Subscription>) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.subscriptions.insert(subscription.id, subscription);
        true
    }

    /// Removes a subscription, which may leave a last word. Requests for which nobody is left are
    /// given back.
    pub fn remove(&self, id: u32, last_word: Option<Bytes>, clock: &dyn Clock) {
        let is_deserted = {
            let mut state = self.lock();
            state.subscriptions.remove(&id);
            if let Some(word) = last_word.filter(|_| !state.closed) {
                state.last_words.push_back((id, word));
                if state.last_words.len() > LAST_WORDS_MAX {
                    state.last_words.pop_front();
                }
            }
            state.subscriptions.is_empty() && state.last_words.is_empty()
        };
        if is_deserted {
            self.give_back(clock, StatusCode::BadNoSubscription, |_| true);
        }
    }

    /// A subscription of the session.
    pub fn subscription(&self, id: u32) -> Option<Arc<Subscription>> {
        self.lock().subscriptions.get(&id).cloned()
    }

    /// All subscriptions of the session.
    pub fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        self.lock().subscriptions.values().cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().subscriptions.len()
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.lock().requests.len()
    }

    /// Sends what can be sent.
    pub fn pump(&self, around: &Surroundings<'_>) {
        if self.asked.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let mut seen = 1;
        loop {
            while self.send_one(around) {}
            let left = self.asked.fetch_sub(seen, Ordering::AcqRel) - seen;
            if left == 0 {
                return;
            }
            seen = left;
        }
    }

    /// Sends one message, if there is a request and something to say.
    fn send_one(&self, around: &Surroundings<'_>) -> bool {
        let (waiting, subscription) = {
            let mut state = self.lock();
            if state.requests.is_empty() {
                return false;
            }
            if let Some((id, word)) = state.last_words.pop_front() {
                let waiting = state.requests.pop_front();
                let is_deserted = state.subscriptions.is_empty() && state.last_words.is_empty();
                drop(state);
                if let Some(waiting) = waiting {
                    deliver(&waiting, id, (&[], false), &word, around);
                }
                if is_deserted {
                    self.give_back(around.clock, StatusCode::BadNoSubscription, |_| true);
                }
                return true;
            }
            let Some(next) = state.next() else {
                return false;
            };
            state.served = next.id;
            (state.requests.pop_front(), next)
        };
        let Some(waiting) = waiting else {
            return false;
        };
        let bytes = match waiting.channel.response_max {
            0 => usize::MAX,
            // One more, as large as all of them, still fits.
            most => most / 2,
        };
        let limits = (around.limits.notifications, bytes);
        let Some(taken) = subscription.take(limits, around.context) else {
            // Somebody else had it; the request goes on waiting.
            self.lock().requests.push_front(waiting);
            return true;
        };
        let at = now_date_time(around.clock);
        let encoded = message(taken.sequence, at, &taken.notifications, around.context);
        let Ok(bytes) = encoded else {
            tracing::error!(subscription = subscription.id, "a notification is not encodable");
            waiting.refuse(around.clock, StatusCode::BadEncodingError);
            return true;
        };
        if !taken.notifications.is_empty() {
            subscription.keep(taken.sequence, bytes.clone(), around.limits);
        }
        let available = subscription.lock().available();
        deliver(&waiting, subscription.id, (&available, taken.more), &bytes, around);
        true
    }
}

impl State {
    /// The subscription whose turn it is: the highest priority, and among equals the next one.
    fn next(&self) -> Option<Arc<Subscription>> {
        let turn = |id: u32| (id <= self.served, id);
        let waiting = self.subscriptions.values().filter_map(|one| Some((one.waits()?, one)));
        let first = waiting.min_by_key(|(priority, one)| (u8::MAX - priority, turn(one.id)));
        first.map(|(_, one)| one.clone())
    }
}

fn deliver(
    waiting: &Waiting,
    subscription: u32,
    (available, more): (&[u32], bool),
    message: &[u8],
    around: &Surroundings<'_>,
) {
    let envelope = Envelope {
        header: waiting.header(around.clock, StatusCode::Good),
        subscription,
        available: available.to_vec(),
        more,
        results: waiting.results.clone(),
    };
    match publish_response(&envelope, message, around.context) {
        // What does not arrive can be asked for again.
        Ok(bytes) => {
            waiting.channel.send(waiting.request, Reply::Encoded(bytes));
        }
        Err(status) => waiting.refuse(around.clock, status),
    }
}
