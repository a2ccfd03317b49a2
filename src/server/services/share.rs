//! How much one subscription takes of something that all share: room in queues, kept messages.
//!
//! One of them can never take what others need: each has a part that is its own, and takes more
//! only while there is more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What there is of something.
#[derive(Debug)]
pub struct Supply {
    taken: AtomicUsize,
    /// For all together, beyond what is each one's own.
    all: usize,
    /// For one at most.
    each: usize,
    /// What nobody can take from anybody.
    own: usize,
}

impl Supply {
    /// A supply of which `count` at most take their share.
    pub fn new(all: usize, each: usize, count: usize) -> Arc<Supply> {
        Arc::new(Supply { taken: AtomicUsize::new(0), all, each, own: all / count.max(1) })
    }
}

/// What one has taken; it goes back when this is dropped.
#[derive(Debug)]
pub struct Share {
    supply: Arc<Supply>,
    taken: usize,
}

impl Share {
    /// Nothing taken yet.
    pub fn of(supply: &Arc<Supply>) -> Share {
        Share { supply: supply.clone(), taken: 0 }
    }

    /// Takes some.
    pub fn take(&mut self, amount: usize) {
        self.taken += amount;
        self.supply.taken.fetch_add(amount, Ordering::Relaxed);
    }

    /// Gives some back.
    pub fn give(&mut self, amount: usize) {
        let amount = amount.min(self.taken);
        self.taken -= amount;
        self.supply.taken.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Gives all back.
    pub fn give_all(&mut self) {
        self.give(self.taken);
    }

    /// Whether it has taken as much as it may at the moment.
    pub fn is_used_up(&self) -> bool {
        self.taken >= self.supply.each
            || self.taken >= self.supply.own
                && self.supply.taken.load(Ordering::Relaxed) >= self.supply.all
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_takes_much_while_there_is_much_and_nobody_goes_without() {
        let supply = Supply::new(100, 60, 10);
        let (mut greedy, mut second, mut modest) =
            (Share::of(&supply), Share::of(&supply), Share::of(&supply));
        greedy.take(59);
        assert!(!greedy.is_used_up());
        greedy.take(1);
        assert!(greedy.is_used_up(), "more than one may have");
        second.take(40);
        assert!(second.is_used_up(), "all is taken");
        modest.take(9);
        assert!(!modest.is_used_up(), "a tenth is its own");
        modest.take(1);
        assert!(modest.is_used_up());
        drop(greedy);
        assert!(!second.is_used_up());
        second.give(100);
        assert_eq!(supply.taken.load(Ordering::Relaxed), 10);
    }
}
