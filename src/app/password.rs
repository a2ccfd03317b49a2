//! Passwords and their hashes (argon2id, PHC form).
//!
//! A hash takes 19 MiB by design. It is worked out in memory that is kept: what different threads
//! take and give back for it would stay with each of them.

use argon2::password_hash::{self, Output, PasswordHash, PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// Longest salt in bytes.
const SALT_MAX: usize = 64;

/// Whether a text is an argon2id hash in PHC form.
pub fn is_password_hash(text: &str) -> bool {
    PasswordHash::new(text).is_ok_and(|hash| hash.algorithm.as_str() == "argon2id")
}

/// The argon2id hash of a password, for the configuration.
pub fn hash_password(password: &str) -> Result<String, password_hash::Error> {
    let salt = SaltString::generate(&mut password_hash::rand_core::OsRng);
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
}

/// Checks passwords.
#[derive(Default)]
pub struct Verifier {
    memory: Vec<Block>,
}

impl Verifier {
    /// Whether a password has this hash.
    pub fn verify(&mut self, hash: &str, password: &str) -> bool {
        self.compare(hash, password).unwrap_or(false)
    }

    fn compare(&mut self, hash: &str, password: &str) -> Result<bool, password_hash::Error> {
        let known = PasswordHash::new(hash)?;
        let (Some(salt), Some(wanted)) = (known.salt, known.hash) else {
            return Ok(false);
        };
        let algorithm = Algorithm::try_from(known.algorithm)?;
        let version = known.version.map_or(Ok(Version::default()), Version::try_from)?;
        let params = Params::try_from(&known)?;
        self.memory.resize(params.block_count(), Block::default());
        let (mut salt_bytes, mut found) = ([0; SALT_MAX], [0; Output::MAX_LENGTH]);
        let salt = salt.decode_b64(&mut salt_bytes)?;
        let found = found.get_mut(..wanted.len()).unwrap_or_default();
        let argon2 = Argon2::new(algorithm, version, params);
        argon2.hash_password_into_with_memory(
            password.as_bytes(),
            salt,
            found,
            self.memory.as_mut_slice(),
        )?;
        // Takes the same time wherever they differ.
        Ok(Output::new(found)? == wanted)
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier as _;

    use super::*;

    #[test]
    fn a_hash_is_read_with_the_parameters_that_it_was_made_with() {
        let salt = SaltString::from_b64("c29tZXNhbHQ").unwrap();
        let mut verifier = Verifier::default();
        for (memory, passes, lanes, length) in [(64, 1, 1, 16), (256, 3, 2, 32), (32, 2, 4, 64)] {
            let params = Params::new(memory, passes, lanes, Some(length)).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash = argon2.hash_password(b"right", &salt).unwrap();
            assert!(Argon2::default().verify_password(b"right", &hash).is_ok());
            let text = hash.to_string();
            assert!(is_password_hash(&text));
            assert!(verifier.verify(&text, "right"), "{text}");
            assert!(!verifier.verify(&text, "wrong"), "{text}");
        }
        for text in ["", "right", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ", "$5$rounds=1$a$b"] {
            assert!(!verifier.verify(text, "right"), "{text}");
        }
    }
}
