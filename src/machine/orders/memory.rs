//! What a machine was told last. It outlasts the program, so that a method is never called again because
//! somebody else has begun anew: a machine that has been switched on must not start by itself.

use std::path::{Path, PathBuf};

use super::job::Told;
use crate::domain::id::OrderId;
use crate::domain::order::JobState;
use crate::mirror::write;

/// What is known of what a machine knows.
#[derive(Debug, Default)]
pub struct Memory {
    /// What it was told last.
    pub told: Option<Told>,
    /// Whether it still knows that; not after a new beginning with it.
    pub is_certain: bool,
    file: Option<PathBuf>,
}

impl Memory {
    /// What was told before the machine or the program began anew.
    pub fn of(file: Option<&Path>) -> Memory {
        let text = file.and_then(|file| std::fs::read_to_string(file).ok());
        let told = text.as_deref().and_then(parse);
        Memory { told, is_certain: false, file: file.map(Path::to_owned) }
    }

    /// Whether all that belongs to something was done before.
    pub fn has(&self, told: &Told) -> bool {
        self.told.as_ref() == Some(told)
    }

    /// The machine knows it now.
    pub fn note(&mut self, told: Told) -> std::io::Result<()> {
        let is_new = self.told.as_ref() != Some(&told);
        let text = format!("{}\n{}\n{}\n", told.order, told.revision, told.state);
        (self.told, self.is_certain) = (Some(told), true);
        match &self.file {
            Some(file) if is_new => {
                if let Some(directory) = file.parent() {
                    std::fs::create_dir_all(directory)?;
                }
                write(file, text.as_bytes())
            }
            _ => Ok(()),
        }
    }
}

fn parse(text: &str) -> Option<Told> {
    let mut lines = text.lines();
    let order = OrderId::parse(lines.next()?).ok()?;
    let revision = lines.next()?.parse().ok()?;
    let state = lines.next()?;
    let state = JobState::ALL.into_iter().find(|known| known.as_str() == state)?;
    Some(Told { order, revision, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_known_again_but_not_certain() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("told/M1");
        let told = Told {
            order: OrderId::parse("4711").unwrap(),
            revision: 3,
            state: JobState::Interrupted,
        };
        let mut memory = Memory::of(Some(&file));
        assert_eq!((&memory.told, memory.is_certain), (&None, false));
        memory.note(told.clone()).unwrap();
        assert!(memory.is_certain);
        let again = Memory::of(Some(&file));
        assert_eq!((again.has(&told), again.is_certain), (true, false));
        std::fs::write(&file, "4711\n3\nFlying\n").unwrap();
        assert_eq!(Memory::of(Some(&file)).told, None);
    }
}
