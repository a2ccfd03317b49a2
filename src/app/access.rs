//! Who a caller is: user names and argon2id hashes, the same for every interface.
//!
//! A password never leaves this module and never reaches a log. Wrong passwords cost the same time as
//! right ones, and a user with too many of them waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, password_hash};
use sha2::{Digest, Sha256};

use super::clock::Clock;
use crate::domain::role::Role;
use crate::domain::time::{Span, Timestamp};

/// Wrong passwords in a row after which a user has to wait.
const FAILURES_MAX: u32 = 5;
/// How long a user with too many wrong passwords waits.
const LOCKED_FOR: Span = Span::from_seconds(60);
/// How long a password that was right needs no new hashing.
const REMEMBERED_FOR: Span = Span::from_seconds(300);

/// A configured user.
#[derive(Clone, Debug)]
pub struct User {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// argon2id hash in PHC form.
    pub password_hash: String,
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

/// What is remembered about a user between calls.
#[derive(Default)]
struct Attempts {
    failures: u32,
    locked_until: Option<Timestamp>,
    /// Hash of the password that was last right, and until when it is trusted.
    proved: Option<([u8; 32], Timestamp)>,
}

/// The configured users.
pub struct Users {
    users: BTreeMap<String, User>,
    attempts: Mutex<BTreeMap<String, Attempts>>,
    clock: Arc<dyn Clock>,
    /// Checked for unknown names, so that they take as long as known ones.
    decoy: String,
}

impl Users {
    /// The users and the clock that measures how long a lock lasts.
    pub fn new(users: Vec<User>, clock: Arc<dyn Clock>) -> Users {
        let decoy = hash_password("no user has this password").unwrap_or_default();
        let users = users.into_iter().map(|user| (user.name.clone(), user)).collect();
        Users { users, attempts: Mutex::default(), clock, decoy }
    }

    /// The role of a user that an earlier call has proved.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.users.get(name).map(|user| user.role)
    }

    /// Checks name and password. Blocks for some milliseconds of hashing.
    pub fn prove(&self, name: &str, password: &str) -> Result<Caller, Denied> {
        let Some(user) = self.users.get(name) else {
            verify(&self.decoy, password);
            return Err(Denied::Wrong);
        };
        let caller = Caller { name: user.name.clone(), role: user.role };
        let digest: [u8; 32] = Sha256::digest(password.as_bytes()).into();
        let now = self.clock.now();
        if self.is_remembered(name, &digest, now)? {
            return Ok(caller);
        }
        let right = verify(&user.password_hash, password);
        let Ok(mut attempts) = self.attempts.lock() else {
            return Err(Denied::Wrong);
        };
        let attempts = attempts.entry(name.to_owned()).or_default();
        if right {
            let proved = Some((digest, now + REMEMBERED_FOR));
            *attempts = Attempts { proved, ..Attempts::default() };
            return Ok(caller);
        }
        attempts.failures += 1;
        if attempts.failures >= FAILURES_MAX {
            attempts.failures = 0;
            attempts.locked_until = Some(now + LOCKED_FOR);
        }
        Err(Denied::Wrong)
    }

    fn is_remembered(&self, name: &str, digest: &[u8; 32], now: Timestamp) -> Result<bool, Denied> {
        let Ok(attempts) = self.attempts.lock() else {
            return Ok(false);
        };
        let Some(attempts) = attempts.get(name) else {
            return Ok(false);
        };
        if attempts.proved.is_some_and(|(known, until)| known == *digest && now < until) {
            return Ok(true);
        }
        if attempts.locked_until.is_some_and(|until| now < until) {
            return Err(Denied::Locked);
        }
        Ok(false)
    }
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

    #[test]
    fn a_user_with_five_wrong_passwords_waits_a_minute() {
        let clock = Arc::new(SetClock(AtomicI64::new(0)));
        let password_hash = hash_password("right").unwrap();
        let user = User { name: "ann".into(), role: Role::Operator, password_hash };
        let users = Users::new(vec![user], clock.clone());
        for _ in 0..FAILURES_MAX {
            assert_eq!(users.prove("ann", "wrong"), Err(Denied::Wrong));
        }
        assert_eq!(users.prove("ann", "right"), Err(Denied::Locked));
        clock.0.store(LOCKED_FOR.ticks(), Ordering::Relaxed);
        assert_eq!(users.prove("ann", "right").map(|c| c.role), Ok(Role::Operator));
        assert_eq!(users.prove("bob", "right"), Err(Denied::Wrong));
    }
}
