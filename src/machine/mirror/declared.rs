//! What machines declare of their events, kept once for all machines that declare the same: most have the types of
//! OPC UA itself and those of their maker, hundreds of fields each.
//!
//! Nothing is kept here for longer than some machine needs it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::event_types::EventTypes;
use crate::mirror::Fields;

/// What is declared by any machine.
#[derive(Clone, Default)]
pub struct Declared {
    /// Types of events.
    pub types: Arc<Alike<EventTypes>>,
    /// Where their fields are here.
    pub fields: Arc<Alike<Fields>>,
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
