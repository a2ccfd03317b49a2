//! A session (Part 4 §5.7): who it is, on which channel, what it has begun and not finished.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opcua::types::{
    ApplicationDescription, ByteString, NodeId, ServiceCounterDataType, StatusCode,
};

use super::publish::Publishing;
use crate::app::access::Caller;
use crate::channel::pki::PeerCertificate;
use crate::domain::role::Role;
use crate::domain::time::Timestamp;
use crate::server::space::{Asker, EventPlace, Place, Reference};
use crate::server::wire::ChannelInfo;

/// How somebody has proved who he is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// Not at all.
    Anonymous,
    /// With a password.
    Password,
    /// With the key of a certificate.
    Certificate(String),
}

/// Somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// User name; empty for an anonymous one.
    pub name: String,
    /// Role.
    pub role: Role,
    /// How it was proved.
    pub proof: Proof,
    /// Which of the users who have had this name; none for an anonymous one.
    pub version: Option<u64>,
}

impl Identity {
    /// A user who has proved who he is.
    pub fn of(caller: Caller, proof: Proof) -> Identity {
        let Caller { name, role, version } = caller;
        Identity { name, role, proof, version: Some(version) }
    }
}

/// What a session has that changes with its channel and user.
#[derive(Debug)]
pub struct Binding {
    /// The channel on which it is used.
    pub channel: Arc<ChannelInfo>,
    /// What the client has to sign next.
    pub nonce: ByteString,
    /// The user, once there is one.
    pub user: Option<Identity>,
    /// What the user may do over the channel.
    pub asker: Arc<Asker>,
    /// Users before.
    pub history: Vec<String>,
    /// Languages that the client wants.
    pub locales: Vec<String>,
}

/// How far a list that comes in pages is read.
#[derive(Debug)]
pub struct Listing {
    /// The node that lists.
    pub node: NodeId,
    /// Where the next page begins; the first one when absent.
    pub after: Option<String>,
}

/// A browse that goes on later.
#[derive(Debug)]
pub struct BrowsePoint {
    /// What is still to be told.
    pub rest: Vec<Reference>,
    /// The list that follows it, of which a page at a time is read.
    pub listing: Option<Listing>,
    /// How.
    pub result_mask: u32,
    /// How much at once.
    pub max: usize,
    /// Which classes.
    pub class_mask: u32,
}

/// How far a history read has come.
#[derive(Clone, Copy, Debug)]
pub enum HistoryPlace {
    /// Among values.
    Value(Place),
    /// Among events, of which so many were given.
    Event(EventPlace, usize),
}

/// A history read that goes on later.
#[derive(Clone, Debug)]
pub struct HistoryPoint {
    /// Of which variable.
    pub node: NodeId,
    /// How far it has come.
    pub place: HistoryPlace,
    /// The present when the read began, so that all pages are of the same answer.
    pub now: Timestamp,
}

/// What goes on later.
#[derive(Debug, Default)]
pub struct Points {
    next: u64,
    /// Browses by their points.
    pub browse: HashMap<u64, BrowsePoint>,
    /// History reads by their points.
    pub history: HashMap<u64, HistoryPoint>,
}

impl Points {
    /// A number for another point.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Names it to everybody.
    pub id: NodeId,
    /// Names it to its client alone.
    pub token: NodeId,
    /// Name that the client has given it.
    pub name: String,
    /// The client.
    pub client: ApplicationDescription,
    /// Its certificate.
    pub certificate: Option<PeerCertificate>,
    /// URL that it has used.
    pub endpoint_url: String,
    /// Time without a request after which it ends.
    pub timeout: Duration,
    /// When it began.
    pub created: Timestamp,
    /// Largest message that the client takes.
    pub response_max: u32,
    began: Instant,
    last_request: AtomicU64,
    binding: Mutex<Binding>,
    points: Mutex<Points>,
    /// Its subscriptions and publish requests.
    pub publishing: Publishing,
    counters: Mutex<HashMap<&'static str, ServiceCounterDataType>>,
    unauthorized: AtomicU32,
}

/// What a session begins with.
pub struct Beginning {
    pub id: NodeId,
    pub token: NodeId,
    pub name: String,
    pub client: ApplicationDescription,
    pub endpoint_url: String,
    pub timeout: Duration,
    pub created: Timestamp,
    pub response_max: u32,
    pub nonce: ByteString,
    pub channel: Arc<ChannelInfo>,
}

impl Session {
    /// A session without a user.
    pub fn new(beginning: Beginning) -> Arc<Session> {
        let Beginning { channel, nonce, .. } = beginning;
        Arc::new(Session {
            id: beginning.id,
            token: beginning.token,
            name: beginning.name,
            client: beginning.client,
            certificate: channel.certificate.clone(),
            endpoint_url: beginning.endpoint_url,
            timeout: beginning.timeout,
            created: beginning.created,
            response_max: beginning.response_max,
            began: Instant::now(),
            last_request: AtomicU64::new(0),
            binding: Mutex::new(Binding {
                channel,
                nonce,
                user: None,
                asker: Arc::new(Asker::anonymous()),
                history: Vec::new(),
                locales: Vec::new(),
            }),
            points: Mutex::default(),
            publishing: Publishing::default(),
            counters: Mutex::default(),
            unauthorized: AtomicU32::new(0),
        })
    }

    /// Channel and user.
    pub fn binding(&self) -> MutexGuard<'_, Binding> {
        self.binding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes on later.
    pub fn points(&self) -> MutexGuard<'_, Points> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has a user.
    pub fn is_active(&self) -> bool {
        self.binding().user.is_some()
    }

    /// What its user may do.
    pub fn asker(&self) -> Arc<Asker> {
        self.binding().asker.clone()
    }

    /// Its user.
    pub fn user(&self) -> Option<Identity> {
        self.binding().user.clone()
    }

    /// The client has sent a request.
    pub fn touch(&self) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_request.store(since, Ordering::Relaxed);
    }

    /// Time since the last request.
    pub fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last_request.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }

    /// Time since it began.
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Counts a request and how it went.
    pub fn count(&self, service: &'static str, result: StatusCode) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.entry(service).or_default();
        counter.total_count = counter.total_count.wrapping_add(1);
        if result.is_bad() {
            counter.error_count = counter.error_count.wrapping_add(1);
        }
        if result == StatusCode::BadUserAccessDenied {
            self.unauthorized.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted of a service.
    pub fn counted(&self, service: &'static str) -> ServiceCounterDataType {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get(service).cloned().unwrap_or_default()
    }

    /// What was counted of all services, and how often a user was refused.
    pub fn counted_in_all(&self) -> (ServiceCounterDataType, u32) {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = ServiceCounterDataType::default();
        for counter in counters.values() {
            all.total_count = all.total_count.wrapping_add(counter.total_count);
            all.error_count = all.error_count.wrapping_add(counter.error_count);
        }
        (all, self.unauthorized.load(Ordering::Relaxed))
    }
}
