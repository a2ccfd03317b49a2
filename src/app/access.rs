//! Who a caller is: user names with argon2id hashes or certificates, the same for every interface.
//!
//! A password never leaves this module and never reaches a log. Wrong passwords cost the same time as
//! right ones. Who has given too many of them waits: the user as far as he comes from there, and the
//! place that they come from. So nobody can lock others out, and an administrator waits only briefly.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, password_hash};
use sha2::{Digest, Sha256};

use super::clock::Clock;
use crate::domain::role::Role;
use crate::domain::time::{Span, Timestamp};

/// Wrong passwords of a user in a row, from one place, after which he has to wait there.
const USER_FAILURES_MAX: u32 = 5;
/// Wrong passwords from one place in a row, whoever is named, after which it has to wait.
const ORIGIN_FAILURES_MAX: u32 = 20;
/// How long they wait.
const LOCKED_FOR: Span = Span::from_seconds(60);
/// How long an administrator waits: somebody must be able to help.
const ADMIN_LOCKED_FOR: Span = Span::from_seconds(2);
/// How long a password that was right needs no new hashing.
const REMEMBERED_FOR: Span = Span::from_seconds(300);
/// Users and places that are remembered; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 4096;

/// Where calls come from that have no place of their own.
pub const HTTP: &str = "http";

/// A configured user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// argon2id hash in PHC form; without one he proves himself with a certificate.
    pub password_hash: Option<String>,
    /// SHA-256 of his certificates, in hexadecimal digits.
    pub certificates: Vec<String>,
}

/// Somebody who has proved who he is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// User name.
    pub name: String,
    /// Role.
    pub role: Role,
}

/// Why somebody was not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// Name or password is wrong.
    Wrong,
    /// Too many wrong passwords; try again after a minute.
    Locked,
}

/// What is remembered between calls.
#[derive(Default)]
struct Attempts {
    failures: u32,
    locked_until: Option<Timestamp>,
    /// Hash of the password that was last right, and until when it is trusted.
    proved: Option<([u8; 32], Timestamp)>,
    last: Timestamp,
}

/// Whose attempts are counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Counted {
    User(String, String),
    Origin(String),
}

/// The configured users.
pub struct Users {
    users: RwLock<BTreeMap<String, User>>,
    attempts: Mutex<BTreeMap<Counted, Attempts>>,
    clock: Arc<dyn Clock>,
    /// Checked for unknown names, so that they take as long as known ones.
    decoy: String,
}

fn by_name(users: Vec<User>) -> BTreeMap<String, User> {
    users.into_iter().map(|user| (user.name.clone(), user)).collect()
}

impl Attempts {
    fn fail(&mut self, now: Timestamp, max: u32, wait: Span) {
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

impl Users {
    /// The users and the clock that measures how long a lock lasts.
    pub fn new(users: Vec<User>, clock: Arc<dyn Clock>) -> Users {
        let decoy = hash_password("no user has this password").unwrap_or_default();
        Users { users: RwLock::new(by_name(users)), attempts: Mutex::default(), clock, decoy }
    }

    /// Puts other users in place of those that are known.
    pub fn replace(&self, users: Vec<User>) {
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = by_name(users);
    }

    fn find(&self, name: &str) -> Option<User> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Whether a user of this name still has the role, and a password or this certificate.
    pub fn still_has(&self, name: &str, role: Role, certificate: Option<&str>) -> bool {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.get(name).is_some_and(|user| {
            let proves = match certificate {
                Some(fingerprint) => user.certificates.iter().any(|one| one == fingerprint),
                None => user.password_hash.is_some(),
            };
            user.role == role && proves
        })
    }

    /// The user to whom a certificate belongs; that he has its key is for the caller to check.
    pub fn by_certificate(&self, fingerprint: &str) -> Option<Caller> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        let owns = |user: &&User| user.certificates.iter().any(|one| one == fingerprint);
        let user = users.values().find(owns)?;
        Some(Caller { name: user.name.clone(), role: user.role })
    }

    /// Checks name and password of a call from a place. Blocks for some milliseconds of hashing.
    pub fn prove(&self, name: &str, password: &str, origin: &str) -> Result<Caller, Denied> {
        let now = self.clock.now();
        let counted = Counted::User(name.to_owned(), origin.to_owned());
        let digest: [u8; 32] = Sha256::digest(password.as_bytes()).into();
        let user = self.find(name);
        self.check_locks(&counted, origin, &digest, now)?;
        let caller = user.as_ref().map(|user| Caller { name: user.name.clone(), role: user.role });
        if let Some(caller) = caller.clone().filter(|_| self.is_remembered(&counted, &digest, now))
        {
            return Ok(caller);
        }
        let hash = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let right = verify(hash.unwrap_or(&self.decoy), password) && hash.is_some();
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = caller.filter(|_| right) {
            let proved = Some((digest, now + REMEMBERED_FOR));
            attempts.insert(counted, Attempts { proved, last: now, ..Attempts::default() });
            attempts.remove(&Counted::Origin(origin.to_owned()));
            forget(&mut attempts);
            return Ok(caller);
        }
        if let Some(user) = user {
            let is_admin = user.role == Role::Admin;
            let wait = if is_admin { ADMIN_LOCKED_FOR } else { LOCKED_FOR };
            let of_user = attempts.entry(counted).or_default();
            of_user.last = now;
            of_user.fail(now, USER_FAILURES_MAX, wait);
        }
        // All of HTTP may come through one proxy: it is no place that could be locked.
        if origin != HTTP {
            let of_origin = attempts.entry(Counted::Origin(origin.to_owned())).or_default();
            of_origin.last = now;
            of_origin.fail(now, ORIGIN_FAILURES_MAX, LOCKED_FOR);
        }
        forget(&mut attempts);
        Err(Denied::Wrong)
    }

    /// A lock holds for everything but the password that was right a moment ago.
    fn check_locks(
        &self,
        counted: &Counted,
        origin: &str,
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), Denied> {
        if self.is_remembered(counted, digest, now) {
            return Ok(());
        }
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_origin = Counted::Origin(origin.to_owned());
        let is_locked = |key| attempts.get(key).is_some_and(|one: &Attempts| one.is_locked(now));
        if is_locked(counted) || is_locked(&of_origin) {
            return Err(Denied::Locked);
        }
        Ok(())
    }

    fn is_remembered(&self, counted: &Counted, digest: &[u8; 32], now: Timestamp) -> bool {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let proved = attempts.get(counted).and_then(|one| one.proved);
        proved.is_some_and(|(known, until)| known == *digest && now < until)
    }
}

/// Keeps memory bounded, whatever names and places are tried.
fn forget(attempts: &mut BTreeMap<Counted, Attempts>) {
    if attempts.len() <= REMEMBERED_MAX {
        return;
    }
    let mut ages: Vec<Timestamp> = attempts.values().map(|one| one.last).collect();
    ages.sort_unstable();
    let middle = ages[ages.len() / 2];
    attempts.retain(|_, one| one.last > middle);
}

fn verify(hash: &str, password: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(hash) else {
        return false;
    };
    Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
}

/// Whether a text is an argon2id hash in PHC form.
pub fn is_password_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| hash.algorithm.as_str() == "argon2id")
}

/// The argon2id hash of a password, for the configuration.
pub fn hash_password(password: &str) -> Result<String, password_hash::Error> {
    let salt = SaltString::generate(&mut password_hash::rand_core::OsRng);
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    struct SetClock(AtomicI64);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_ticks(self.0.load(Ordering::Relaxed))
        }
    }

    fn users(clock: &Arc<SetClock>) -> Users {
        let hash = Some(hash_password("right").unwrap());
        let user = |name: &str, role, password_hash: &Option<String>| User {
            name: name.into(),
            role,
            password_hash: password_hash.clone(),
            certificates: vec![format!("certificate of {name}")],
        };
        let all = vec![
            user("ann", Role::Operator, &hash),
            user("root", Role::Admin, &hash),
            user("panel", Role::Operator, &None),
        ];
        Users::new(all, clock.clone())
    }

    fn clock() -> Arc<SetClock> {
        Arc::new(SetClock(AtomicI64::new(0)))
    }

    #[test]
    fn a_user_with_five_wrong_passwords_waits_a_minute() {
        let clock = clock();
        let users = users(&clock);
        for _ in 0..USER_FAILURES_MAX {
            assert_eq!(users.prove("ann", "wrong", "here"), Err(Denied::Wrong));
        }
        assert_eq!(users.prove("ann", "right", "here"), Err(Denied::Locked));
        clock.0.store(LOCKED_FOR.ticks(), Ordering::Relaxed);
        assert_eq!(users.prove("ann", "right", "here").map(|c| c.role), Ok(Role::Operator));
        assert_eq!(users.prove("bob", "right", "here"), Err(Denied::Wrong));
    }

    #[test]
    fn nobody_locks_others_out() {
        let users = users(&clock());
        for _ in 0..50 {
            // Whoever guesses from elsewhere does not reach the lock of the user here.
            assert!(users.prove("ann", "wrong", "there").is_err());
        }
        assert_eq!(users.prove("ann", "right", "there"), Err(Denied::Locked));
        assert!(users.prove("ann", "right", "here").is_ok());
    }

    #[test]
    fn a_place_that_tries_many_names_waits_and_http_is_no_place() {
        let users = users(&clock());
        for number in 0..ORIGIN_FAILURES_MAX {
            for origin in ["there", HTTP] {
                assert!(users.prove(&format!("nobody{number}"), "wrong", origin).is_err());
            }
        }
        assert_eq!(users.prove("ann", "right", "there"), Err(Denied::Locked));
        assert!(users.prove("ann", "right", HTTP).is_ok());
    }

    #[test]
    fn an_administrator_waits_only_briefly() {
        let clock = clock();
        let users = users(&clock);
        for _ in 0..USER_FAILURES_MAX {
            assert!(users.prove("root", "wrong", "here").is_err());
        }
        assert_eq!(users.prove("root", "right", "here"), Err(Denied::Locked));
        clock.0.store(ADMIN_LOCKED_FOR.ticks(), Ordering::Relaxed);
        assert!(users.prove("root", "right", "here").is_ok());
    }

    #[test]
    fn certificates_belong_to_users_and_users_without_password_have_none() {
        let users = users(&clock());
        let caller = users.by_certificate("certificate of panel").unwrap();
        assert_eq!((caller.name.as_str(), caller.role), ("panel", Role::Operator));
        assert_eq!(users.by_certificate("another"), None);
        for password in ["", "right", "no user has this password"] {
            assert_eq!(users.prove("panel", password, "here"), Err(Denied::Wrong));
        }
        users.replace(Vec::new());
        assert_eq!(users.by_certificate("certificate of panel"), None);
        assert!(users.prove("ann", "right", "here").is_err());
    }

    #[test]
    fn memory_does_not_grow_with_names_and_places() {
        let mut attempts = BTreeMap::new();
        for number in 0..20_000 {
            let last = Timestamp::from_ticks(number);
            attempts.insert(
                Counted::Origin(number.to_string()),
                Attempts { last, ..Attempts::default() },
            );
            forget(&mut attempts);
        }
        assert!(attempts.len() <= REMEMBERED_MAX);
    }
}
