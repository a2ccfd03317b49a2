//! Wrong passwords: how many, of whom, from where, and how long somebody waits after too many.
//!
//! The user waits as far as he comes from there, and so does the place that tries many names. So
//! nobody can lock others out, and an administrator waits only briefly.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::time::{Span, Timestamp};

/// Wrong passwords of a user in a row, from one place, after which he has to wait there.
pub const USER_FAILURES_MAX: u32 = 5;
/// Wrong passwords from one place in a row, whoever is named, after which it has to wait.
pub const ORIGIN_FAILURES_MAX: u32 = 20;
/// How long they wait.
pub const LOCKED_FOR: Span = Span::from_seconds(60);
/// How long an administrator waits: somebody must be able to help.
pub const ADMIN_LOCKED_FOR: Span = Span::from_seconds(2);
/// How long a password that was right needs no new hashing.
const REMEMBERED_FOR: Span = Span::from_seconds(300);
/// Users and places that are remembered; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 4096;
/// Passwords that wait to be checked; more are turned away, so that those who wait for them do not
/// take all the places of those who need no check.
const WAITING_MAX: usize = 16;

/// Whose attempts are counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    User(String, String),
    Origin(String),
}

/// What is remembered between calls.
#[derive(Default)]
struct Attempt {
    failures: u32,
    locked_until: Option<Timestamp>,
    /// Hash of the password that was last right, and until when it is trusted.
    proved: Option<([u8; 32], Timestamp)>,
    last: Timestamp,
}

impl Attempt {
    fn fail(&mut self, now: Timestamp, max: u32, wait: Span) {
        self.last = now;
        self.failures += 1;
        if self.failures >= max {
            self.failures = 0;
            self.locked_until = Some(now + wait);
        }
    }

    fn is_locked(&self, now: Timestamp) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }
}

/// The attempts of all users and places.
#[derive(Default)]
pub struct Attempts(BTreeMap<Counted, Attempt>);

impl Attempts {
    /// Whether a user has to wait there, or everybody who comes from there.
    pub fn is_locked(&self, name: &str, origin: &str, now: Timestamp) -> bool {
        let all = [user(name, origin), Counted::Origin(origin.to_owned())];
        all.iter().filter_map(|one| self.0.get(one)).any(|one| one.is_locked(now))
    }

    /// Hash of the password that was right a moment ago.
    pub fn remembered(&self, name: &str, origin: &str, now: Timestamp) -> Option<[u8; 32]> {
        let (hash, until) = self.0.get(&user(name, origin))?.proved?;
        (now < until).then_some(hash)
    }

    /// A password was right: what was wrong before is forgiven.
    pub fn succeed(&mut self, name: &str, origin: &str, hash: [u8; 32], now: Timestamp) {
        let proved = Some((hash, now + REMEMBERED_FOR));
        let attempt = Attempt { proved, last: now, ..Attempt::default() };
        self.0.insert(user(name, origin), attempt);
        self.0.remove(&Counted::Origin(origin.to_owned()));
        self.forget();
    }

    /// A password was wrong; who is known waits for his own time after too many.
    pub fn fail(
        &mut self,
        known: Option<(&str, Span)>,
        origin: &str,
        is_place: bool,
        now: Timestamp,
    ) {
        if let Some((name, wait)) = known {
            let of_user = self.0.entry(user(name, origin)).or_default();
            of_user.fail(now, USER_FAILURES_MAX, wait);
        }
        if is_place {
            let of_origin = self.0.entry(Counted::Origin(origin.to_owned())).or_default();
            of_origin.fail(now, ORIGIN_FAILURES_MAX, LOCKED_FOR);
        }
        self.forget();
    }

    /// Every password is checked again.
    pub fn forget_proofs(&mut self) {
        self.0.values_mut().for_each(|attempt| attempt.proved = None);
    }

    /// Keeps memory bounded, whatever names and places are tried.
    fn forget(&mut self) {
        if self.0.len() <= REMEMBERED_MAX {
            return;
        }
        let mut ages: Vec<Timestamp> = self.0.values().map(|one| one.last).collect();
        ages.sort_unstable();
        let middle = ages[ages.len() / 2];
        self.0.retain(|_, one| one.last > middle);
    }
}

fn user(name: &str, origin: &str) -> Counted {
    Counted::User(name.to_owned(), origin.to_owned())
}

/// Where passwords wait to be checked. One has its turn at a time: that bounds memory and work, and
/// nobody has more tries because he makes them all at once.
#[derive(Default)]
pub struct Turns {
    waiting: AtomicUsize,
    turn: Mutex<()>,
}

/// A turn; it ends when this is dropped.
pub struct Turn<'a> {
    turns: &'a Turns,
    _held: MutexGuard<'a, ()>,
}

impl Turns {
    /// Waits for its turn; `None` when too many wait already.
    pub fn wait(&self) -> Option<Turn<'_>> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let held = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Turn { turns: self, _held: held })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_does_not_grow_with_names_and_places() {
        let mut attempts = Attempts::default();
        for number in 0..20_000 {
            let now = Timestamp::from_ticks(number);
            attempts.fail(Some((&number.to_string(), LOCKED_FOR)), "there", true, now);
        }
        assert!(attempts.0.len() <= REMEMBERED_MAX);
    }

    #[test]
    fn only_so_many_wait() {
        let turns = Turns::default();
        let held = turns.wait().unwrap();
        std::thread::scope(|scope| {
            let waiting: Vec<_> =
                (0..WAITING_MAX + 9).map(|_| scope.spawn(|| turns.wait().is_some())).collect();
            while turns.waiting.load(Ordering::Relaxed) < WAITING_MAX
                || waiting.iter().filter(|one| one.is_finished()).count() < 10
            {
                std::thread::yield_now();
            }
            drop(held);
            let had = waiting.into_iter().map(|one| one.join().unwrap());
            assert_eq!(had.filter(|had| *had).count(), WAITING_MAX - 1);
        });
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
    }
}
