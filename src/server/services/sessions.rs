//! All sessions: bounded in number, found by their secret token, ended when nobody uses them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opcua::types::{NodeId, StatusCode};

use super::session::Session;
use crate::server::limits::SessionLimits;

/// The sessions.
pub struct Sessions {
    limits: SessionLimits,
    by_token: Mutex<HashMap<NodeId, Arc<Session>>>,
}

impl Sessions {
    /// None yet.
    pub fn new(limits: SessionLimits) -> Sessions {
        Sessions { limits, by_token: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<Session>>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session with a token.
    pub fn find(&self, token: &NodeId) -> Option<Arc<Session>> {
        self.lock().get(token).cloned()
    }

    /// Adds a session without a user. Those that nobody has logged on to never keep others out:
    /// the oldest of them gives way.
    pub fn add(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        let mut sessions = self.lock();
        let pending = sessions.values().filter(|one| !one.is_active());
        let pending: Vec<_> = pending.cloned().collect();
        let surplus = pending.len() >= self.limits.pending;
        let oldest = pending.into_iter().max_by_key(|one| one.age()).filter(|_| surplus);
        if let Some(oldest) = &oldest {
            sessions.remove(&oldest.token);
        }
        sessions.insert(session.token.clone(), session);
        oldest
    }

    /// Whether another session of a user may become active.
    pub fn may_activate(&self, session: &Session, user: &str) -> Result<(), StatusCode> {
        let sessions = self.lock();
        let others = sessions.values().filter(|one| one.token != session.token);
        let users = others.filter_map(|one| one.user()).collect::<Vec<_>>();
        let of_user = users.iter().filter(|one| one.name == user).count();
        if users.len() >= self.limits.active || of_user >= self.limits.per_user {
            return Err(StatusCode::BadTooManySessions);
        }
        Ok(())
    }

    /// Removes a session.
    pub fn remove(&self, session: &Session) -> bool {
        self.lock().remove(&session.token).is_some()
    }

    /// All sessions.
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// Sessions that nobody uses any more, and those that nobody has logged on to in time.
    pub fn outdated(&self) -> Vec<Arc<Session>> {
        let is_outdated = |one: &&Arc<Session>| {
            one.idle() >= one.timeout
                || !one.is_active() && one.age() >= self.limits.activate_within
        };
        self.lock().values().filter(is_outdated).cloned().collect()
    }

    /// Publish requests of a channel that is gone cannot be answered any more.
    pub fn channel_closed(&self, channel: u32) {
        for session in self.all() {
            session.publishing.drop_channel(channel);
        }
    }
}
