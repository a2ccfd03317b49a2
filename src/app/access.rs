//! Who a caller is: user names with argon2id hashes or certificates, the same for every interface.
//!
//! A password never leaves this module and never reaches a log. Wrong passwords cost the same time as
//! right ones, and are counted in the module `attempts`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::attempts::{ADMIN_LOCKED_FOR, Attempts, LOCKED_FOR, Turns};
use super::clock::Clock;
use super::password::{Verifier, hash_password};
use crate::domain::role::Role;

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
    /// Which of the users who have had this name he is: one who was changed is another.
    pub version: u64,
}

/// Why somebody was not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// Name or password is wrong.
    Wrong,
    /// Too many wrong passwords; try again after a minute.
    Locked,
    /// Too many others wait for their passwords to be checked; try again.
    Busy,
}

/// A user, and since which change of the users he is as he is.
struct Entry {
    user: User,
    version: u64,
}

impl Entry {
    fn caller(&self) -> Caller {
        Caller { name: self.user.name.clone(), role: self.user.role, version: self.version }
    }
}

/// The users by their names.
#[derive(Default)]
struct Known {
    entries: BTreeMap<String, Entry>,
    changes: u64,
}

impl Known {
    fn replace(&mut self, users: Vec<User>) {
        self.changes += 1;
        let mut before = std::mem::take(&mut self.entries);
        for user in users {
            let same = before.remove(&user.name).filter(|entry| entry.user == user);
            let version = same.map_or(self.changes, |entry| entry.version);
            self.entries.insert(user.name.clone(), Entry { user, version });
        }
    }
}

/// The configured users.
pub struct Users {
    known: RwLock<Known>,
    attempts: Mutex<Attempts>,
    /// Passwords that wait to be checked. Those of HTTP have a queue of their own, since all of HTTP
    /// may come through one proxy and cannot be locked out.
    turns: Turns,
    turns_of_http: Turns,
    verifier: Mutex<Verifier>,
    clock: Arc<dyn Clock>,
    /// Checked for unknown names, so that they take as long as known ones.
    decoy: String,
}

impl Users {
    /// The users and the clock that measures how long a lock lasts.
    pub fn new(users: Vec<User>, clock: Arc<dyn Clock>) -> Users {
        let mut known = Known::default();
        known.replace(users);
        Users {
            known: RwLock::new(known),
            attempts: Mutex::default(),
            turns: Turns::default(),
            turns_of_http: Turns::default(),
            verifier: Mutex::default(),
            clock,
            decoy: hash_password("no user has this password").unwrap_or_default(),
        }
    }

    /// Puts other users in place of those that are known.
    pub fn replace(&self, users: Vec<User>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).replace(users);
        // What was right a moment ago may be so no longer.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).forget_proofs();
    }

    /// A user with the hash of his password.
    fn find(&self, name: &str) -> Option<(Caller, Option<String>)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entries.get(name)?;
        Some((entry.caller(), entry.user.password_hash.clone()))
    }

    /// Whether a caller could prove himself still as he has done: neither he nor what he needs for
    /// it has changed.
    pub fn still_has(&self, name: &str, version: u64) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.entries.get(name).is_some_and(|entry| entry.version == version)
    }

    /// The user to whom a certificate belongs; that he has its key is for the caller to check.
    pub fn by_certificate(&self, fingerprint: &str) -> Option<Caller> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let owns = |entry: &&Entry| entry.user.certificates.iter().any(|one| one == fingerprint);
        known.entries.values().find(owns).map(Entry::caller)
    }

    /// Checks name and password of a call from a place. Blocks for some milliseconds of hashing, and
    /// while others have their turn.
    pub fn prove(&self, name: &str, password: &str, origin: &str) -> Result<Caller, Denied> {
        // The password that was right a moment ago waits for nobody.
        let remembered = {
            let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            attempts.remembered(name, origin, self.clock.now())
        };
        if remembered == Some(digest(password))
            && let Some((caller, _)) = self.find(name)
        {
            return Ok(caller);
        }
        self.prove_sealed(name, || Some(password.to_owned()), origin)
    }

    /// Checks name and password of a call from a place, where the password has to be opened first,
    /// which costs work too: nothing is opened for somebody who is locked.
    pub fn prove_sealed(
        &self,
        name: &str,
        open: impl FnOnce() -> Option<String>,
        origin: &str,
    ) -> Result<Caller, Denied> {
        let turns = if origin == HTTP { &self.turns_of_http } else { &self.turns };
        let _turn = turns.wait().ok_or(Denied::Busy)?;
        let now = self.clock.now();
        let (locked, remembered) = {
            let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            (attempts.is_locked(name, origin, now), attempts.remembered(name, origin, now))
        };
        // A lock holds for everything but the password that was right a moment ago.
        if locked && remembered.is_none() {
            return Err(Denied::Locked);
        }
        let (caller, hash) = self.find(name).unzip();
        let password = open();
        let tried = password.as_deref().map(digest);
        if let Some(caller) = caller.clone().filter(|_| tried.is_some() && tried == remembered) {
            return Ok(caller);
        }
        if locked {
            return Err(Denied::Locked);
        }
        let is_right = password.is_some_and(|password| {
            let hash = hash.flatten();
            let mut verifier = self.verifier.lock().unwrap_or_else(PoisonError::into_inner);
            verifier.verify(hash.as_deref().unwrap_or(&self.decoy), &password) && hash.is_some()
        });
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        match (caller, tried) {
            // A proof counts only if the user has not changed meanwhile; nobody forgets proofs now.
            (Some(caller), Some(tried)) if is_right && self.still_has(name, caller.version) => {
                attempts.succeed(name, origin, tried, now);
                Ok(caller)
            }
            (caller, _) => {
                let wait = caller.map(|caller| match caller.role {
                    Role::Admin => ADMIN_LOCKED_FOR,
                    _ => LOCKED_FOR,
                });
                // All of HTTP may come through one proxy: it is no place that could be locked.
                attempts.fail(wait.map(|wait| (name, wait)), origin, origin != HTTP, now);
                Err(Denied::Wrong)
            }
        }
    }
}

fn digest(password: &str) -> [u8; 32] {
    Sha256::digest(password.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::super::attempts::{ORIGIN_FAILURES_MAX, USER_FAILURES_MAX};
    use super::*;
    use crate::domain::time::Timestamp;

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
    fn a_password_that_was_changed_is_wrong_at_once() {
        let users = users(&clock());
        let before = users.prove("ann", "right", "here").unwrap();
        assert!(users.still_has("ann", before.version));
        let changed = User {
            name: "ann".into(),
            role: Role::Operator,
            password_hash: Some(hash_password("another").unwrap()),
            certificates: Vec::new(),
        };
        users.replace(vec![changed.clone()]);
        assert!(!users.still_has("ann", before.version));
        assert_eq!(users.prove("ann", "right", "here"), Err(Denied::Wrong));
        let after = users.prove("ann", "another", "here").unwrap();
        users.replace(vec![changed]);
        assert!(users.still_has("ann", after.version), "nothing has changed");
    }

    #[test]
    fn many_tries_at_once_are_no_more_tries_and_nothing_is_opened_for_who_is_locked() {
        let users = users(&clock());
        let opened = std::sync::atomic::AtomicUsize::new(0);
        let open = || {
            opened.fetch_add(1, Ordering::Relaxed);
            Some("wrong".to_owned())
        };
        std::thread::scope(|scope| {
            for _ in 0..30 {
                scope.spawn(|| users.prove_sealed("ann", open, "here").unwrap_err());
            }
        });
        assert_eq!(opened.load(Ordering::Relaxed), USER_FAILURES_MAX as usize);
    }

    #[test]
    fn a_password_that_cannot_be_opened_is_a_wrong_one() {
        let users = users(&clock());
        for _ in 0..USER_FAILURES_MAX {
            assert_eq!(users.prove_sealed("ann", || None, "here"), Err(Denied::Wrong));
        }
        assert_eq!(users.prove("ann", "right", "here"), Err(Denied::Locked));
    }
}
