//! What the mirrors of all machines have in common: what machines declare of their events is kept once for all that
//! declare the same, since most have the types of OPC UA itself and those of their maker, hundreds of fields each;
//! and machines are copied a few at a time, since what has to be held meanwhile is much.
//!
//! Nothing is kept here for longer than some machine needs it, and no machine waits long for another.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::event_types::EventTypes;
use crate::mirror::Fields;

/// Machines that are copied at a time.
const AT_A_TIME: usize = 8;
/// How long a machine waits for others at most: some of them may be slow.
const PATIENCE: Duration = Duration::from_secs(5);

/// What they have in common.
#[derive(Clone)]
pub struct Common {
    turns: Arc<Semaphore>,
    /// Types of events.
    pub types: Arc<Alike<EventTypes>>,
    /// Where their fields are here.
    pub fields: Arc<Alike<Fields>>,
}

impl Default for Common {
    fn default() -> Self {
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        Common { turns, types: Arc::default(), fields: Arc::default() }
    }
}

impl Common {
    /// Waits for a turn to copy a machine, but not for long.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = self.turns.clone().acquire_owned();
        tokio::time::timeout(PATIENCE, turn).await.ok()?.ok()
    }
}

/// Values of which equal ones are kept once.
#[derive(Debug)]
pub struct Alike<T>(Mutex<Vec<Weak<T>>>);

impl<T> Default for Alike<T> {
    fn default() -> Self {
        Alike(Mutex::default())
    }
}

impl<T: PartialEq> Alike<T> {
    /// The one that is kept of all that are equal to a value.
    pub fn one(&self, value: T) -> Arc<T> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|one| one.strong_count() > 0);
        if let Some(one) = known.iter().filter_map(Weak::upgrade).find(|one| **one == value) {
            return one;
        }
        let one = Arc::new(value);
        known.push(Arc::downgrade(&one));
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_kept_once_and_no_longer_than_somebody_has_them() {
        let alike = Alike::default();
        let (one, other) = (alike.one("type".to_owned()), alike.one("other type".to_owned()));
        assert!(Arc::ptr_eq(&one, &alike.one("type".to_owned())));
        assert!(!Arc::ptr_eq(&one, &other));
        drop((one, other));
        let again = alike.one("type".to_owned());
        assert_eq!((Arc::strong_count(&again), alike.0.lock().unwrap().len()), (1, 1));
    }
}
