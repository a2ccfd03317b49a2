//! What is said about the configuration of a running program: since when it holds, and why the newest one
//! was not taken over. Not facts: what the plant was when is in the store.

use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::time::Timestamp;

/// The configuration, for people to look at.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Since when the present one holds.
    pub since: Timestamp,
    /// When it was last read, whatever came of it.
    pub read: Timestamp,
    /// Why the newest one was not taken over; empty when it was.
    pub problems: Vec<String>,
    /// What of it takes a restart.
    pub restart_for: Vec<String>,
}

/// The board on which that is written and from which interfaces read it.
#[derive(Clone, Default)]
pub struct ConfigurationBoard {
    reading: Arc<RwLock<Reading>>,
}

impl ConfigurationBoard {
    /// Changes what is said.
    pub fn update(&self, change: impl FnOnce(&mut Reading)) {
        change(&mut self.reading.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is said.
    pub fn read(&self) -> Reading {
        self.reading.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
