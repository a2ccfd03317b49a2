//! `hash-password`: the hash that goes into the configuration.

use super::{EXIT_SOFTWARE, EXIT_USAGE, Failure, Outcome};
use crate::app::access::hash_password;

/// Shortest password that is accepted.
const LENGTH_MIN: usize = 12;

/// Reads one line and prints its hash.
pub fn run() -> Outcome {
    println!("{}", read_and_hash()?);
    Ok(())
}

/// Reads a password from standard input; gives its hash.
pub fn read_and_hash() -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|error| Failure::new(EXIT_SOFTWARE, format!("standard input: {error}")))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.chars().count() < LENGTH_MIN {
        let text = format!("the password is too short; use {LENGTH_MIN} characters or more");
        return Err(Failure::new(EXIT_USAGE, text));
    }
    hash_password(password)
        .map_err(|error| Failure::new(EXIT_SOFTWARE, format!("no hash: {error}")))
}
