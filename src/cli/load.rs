//! Reading a configuration with the files, variables and time zones of this computer.

use std::path::Path;
use std::sync::Arc;

use super::{EXIT_NO_INPUT, EXIT_USAGE, Failure, binding};
use crate::app::password::is_password_hash;
use crate::app::time_text::{self, IanaZone};
use crate::config::problem::Problem;
use crate::config::settings::{Settings, Surroundings, UserSettings};
use crate::domain::calendar::CivilZone;
use crate::domain::id::MachineId;
use crate::domain::time::Timestamp;

/// This computer.
struct ThisComputer {
    /// Whether passwords of machines are fetched; whoever keeps users or certificates has none.
    secrets: bool,
}

const SERVING: ThisComputer = ThisComputer { secrets: true };
const KEEPING: ThisComputer = ThisComputer { secrets: false };

impl Surroundings for ThisComputer {
    fn zone(&self, name: &str) -> Option<Arc<dyn CivilZone>> {
        let zone = IanaZone::find(name)?;
        Some(Arc::new(zone))
    }

    fn print(&self, at: Timestamp) -> String {
        time_text::print(at)
    }

    fn file(&self, path: &str) -> Result<String, String> {
        if !self.secrets {
            return Ok(String::new());
        }
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn variable(&self, name: &str) -> Option<String> {
        if self.secrets { std::env::var(name).ok() } else { Some(String::new()) }
    }

    fn bound(&self, data: &Path, machine: &MachineId) -> Option<String> {
        std::fs::read_to_string(binding::file(data, machine)).ok()
    }

    fn is_password_hash(&self, text: &str) -> bool {
        is_password_hash(text)
    }
}

/// A configuration as it is written.
#[derive(Clone, Debug)]
pub struct Source {
    /// Name of the file, for messages.
    pub file: String,
    /// What stands in it.
    pub text: String,
}

impl Source {
    /// What stands in a file.
    pub fn of(path: &Path) -> Result<Source, Failure> {
        Ok(Source { file: path.display().to_string(), text: read(path)? })
    }
}

/// Reads and checks what is written.
pub fn from_source(source: &Source) -> Result<Settings, Failure> {
    from_text(&source.file, &source.text).map_err(|problems| failure(&problems))
}

/// Reads and checks a text.
pub fn from_text(file: &str, text: &str) -> Result<Settings, Vec<Problem>> {
    crate::config::load(file, text, &SERVING)
}

/// Reads a file.
pub fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        let text = format!("{} cannot be read: {error}; check the path", path.display());
        Failure::new(EXIT_NO_INPUT, text)
    })
}

/// Reads and checks a file.
pub fn from_file(path: &Path) -> Result<Settings, Failure> {
    from_source(&Source::of(path)?)
}

/// Reads and checks a file for a command that talks to no machine: their passwords, which are for the
/// account of the service, are not fetched.
pub fn without_secrets(path: &Path) -> Result<Settings, Failure> {
    let loaded = crate::config::load(&path.display().to_string(), &read(path)?, &KEEPING);
    loaded.map_err(|problems| failure(&problems))
}

/// All problems as one failure.
pub fn failure(problems: &[Problem]) -> Failure {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let count = problems.len();
    let noun = if count == 1 { "problem" } else { "problems" };
    let text = format!("the configuration has {count} {noun}\n{}", lines.join("\n"));
    Failure::new(EXIT_USAGE, text)
}

/// Reads and checks a text of users.
pub fn users_from_text(file: &str, text: &str) -> Result<Vec<UserSettings>, Vec<Problem>> {
    crate::config::load_users(file, text, &SERVING)
}
