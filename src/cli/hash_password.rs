//! `hash-password`: the hash that goes into the configuration.

use std::io::IsTerminal as _;

use super::{EXIT_SOFTWARE, EXIT_USAGE, Failure, Outcome};
use crate::app::password::hash_password;

/// Shortest password that is accepted.
const LENGTH_MIN: usize = 12;

/// Reads a password and prints its hash.
pub fn run() -> Outcome {
    println!("{}", read_and_hash()?);
    Ok(())
}

/// Asks for a password, twice and unseen, where somebody sits at a terminal; reads one line of
/// standard input otherwise. Gives its hash.
pub fn read_and_hash() -> Result<String, Failure> {
    let password = match std::io::stdin().is_terminal() {
        true => ask()?,
        false => read_line()?,
    };
    if password.chars().count() < LENGTH_MIN {
        let text = format!("the password is too short; use {LENGTH_MIN} characters or more");
        return Err(Failure::new(EXIT_USAGE, text));
    }
    hash_password(&password)
        .map_err(|error| Failure::new(EXIT_SOFTWARE, format!("no hash: {error}")))
}

fn ask() -> Result<String, Failure> {
    let prompt = |text: &str| {
        rpassword::prompt_password(text)
            .map_err(|error| Failure::new(EXIT_SOFTWARE, format!("terminal: {error}")))
    };
    let password = prompt(&format!("Password ({LENGTH_MIN} characters or more): "))?;
    if prompt("Once more: ")? != password {
        let text = "the two passwords differ; nothing is changed, try again".to_owned();
        return Err(Failure::new(EXIT_USAGE, text));
    }
    Ok(password)
}

fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|error| Failure::new(EXIT_SOFTWARE, format!("standard input: {error}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
