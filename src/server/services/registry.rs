//! All subscriptions, also those whose session is gone, and who may take them over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opcua::types::MessageSecurityMode;

use super::session::{Proof, Session};
use super::share::Supply;
use super::subscription::Subscription;
use crate::server::limits::SubscriptionLimits;

/// The subscriptions by their numbers.
pub struct Registry {
    subscriptions: Mutex<HashMap<u32, Arc<Subscription>>>,
    last: AtomicU32,
    made: AtomicU32,
    supplies: Supplies,
    moving: Mutex<()>,
}

/// What all subscriptions share.
#[derive(Clone, Debug)]
pub struct Supplies {
    /// Room in queues.
    pub queued: Arc<Supply>,
    /// Bytes of messages that are kept.
    pub kept: Arc<Supply>,
}

impl Supplies {
    /// What there is when nothing is taken.
    pub fn new(limits: &SubscriptionLimits) -> Supplies {
        let (each, bytes) = (limits.queued_per_subscription, limits.retransmission_bytes);
        let bytes_in_all = limits.retransmission_bytes_in_all;
        Supplies {
            queued: Supply::new(limits.queued, each, limits.total),
            kept: Supply::new(bytes_in_all, bytes, limits.total),
        }
    }
}

impl Registry {
    /// No subscriptions.
    pub fn new(limits: &SubscriptionLimits) -> Registry {
        Registry {
            subscriptions: Mutex::default(),
            last: AtomicU32::new(0),
            made: AtomicU32::new(0),
            supplies: Supplies::new(limits),
            moving: Mutex::default(),
        }
    }

    /// What all subscriptions share.
    pub fn supplies(&self) -> &Supplies {
        &self.supplies
    }

    /// Held while a subscription moves from session to session: who takes it finds it whole, and in
    /// one session only.
    pub fn move_one(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Arc<Subscription>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscription under a new number, unless there are too many.
    pub fn add(
        &self,
        max: usize,
        make: impl FnOnce(u32) -> Arc<Subscription>,
    ) -> Option<Arc<Subscription>> {
        let mut subscriptions = self.lock();
        if subscriptions.len() >= max {
            return None;
        }
        let id = loop {
            let id = self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if id != 0 && !subscriptions.contains_key(&id) {
                break id;
            }
        };
        let subscription = make(id);
        subscriptions.insert(id, subscription.clone());
        self.made.fetch_add(1, Ordering::Relaxed);
        Some(subscription)
    }

    /// A subscription.
    pub fn find(&self, id: u32) -> Option<Arc<Subscription>> {
        self.lock().get(&id).cloned()
    }

    /// Removes a subscription.
    pub fn remove(&self, id: u32) {
        self.lock().remove(&id);
    }

    /// All subscriptions.
    pub fn all(&self) -> Vec<Arc<Subscription>> {
        self.lock().values().cloned().collect()
    }

    /// How many there are, and how many there have been.
    pub fn counts(&self) -> (usize, u32) {
        (self.lock().len(), self.made.load(Ordering::Relaxed))
    }
}

/// Who may take a subscription over (Part 4 §5.14.7.1).
#[derive(Clone, Debug)]
pub struct Owner {
    user: String,
    proof: Option<Proof>,
    application: String,
    certificate: Option<String>,
    mode: MessageSecurityMode,
}

impl Owner {
    /// The user of a session.
    pub fn of(session: &Session) -> Owner {
        let user = session.user();
        let mode = session.binding().channel.mode;
        Owner {
            user: user.as_ref().map_or_else(String::new, |user| user.name.clone()),
            proof: user.map(|user| user.proof),
            application: session.client.application_uri.as_ref().to_owned(),
            certificate: session.certificate.as_ref().map(|one| one.fingerprint.clone()),
            mode,
        }
    }

    /// Whether the user of a session is the same. Anonymous ones are known by their application,
    /// which only a certificate proves.
    pub fn is_same(&self, session: &Session) -> bool {
        let other = Owner::of(session);
        if self.user != other.user || self.proof != other.proof {
            return false;
        }
        if self.proof != Some(Proof::Anonymous) {
            return true;
        }
        let proved = self.certificate.is_some() && self.certificate == other.certificate;
        let open = self.mode == MessageSecurityMode::None && other.mode == self.mode;
        self.application == other.application && (proved || open)
    }
}
