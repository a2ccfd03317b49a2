//! Namespace URIs of our server by their indexes: its own first, then those of mirrored machines in the
//! order in which they were first seen.
//!
//! An index never means something else while the nodesets stay the same, also after a restart: some
//! clients keep indexes, and would show the values of another machine. So the order is kept in a file to
//! which lines are only added.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use crate::domain::id::MachineId;

/// Namespaces of all machines together.
pub const NAMESPACES_MAX: usize = 20_000;
/// Longest URI that is taken, in bytes.
const URI_MAX: usize = 1000;

/// Namespace URIs by index.
pub struct Namespaces {
    file: Option<PathBuf>,
    table: RwLock<Table>,
}

#[derive(Default)]
struct Table {
    uris: Vec<String>,
    indexes: HashMap<String, u16>,
    /// How many of them are the server's own.
    own: usize,
}

impl Table {
    fn push(&mut self, uri: String) -> Option<u16> {
        let index = u16::try_from(self.uris.len()).ok()?;
        self.indexes.insert(uri.clone(), index);
        self.uris.push(uri);
        Some(index)
    }
}

/// The URI of a namespace of a machine in our server.
fn source_uri(machine: &MachineId, uri: &str) -> String {
    format!("urn:linewright:ua:source:{machine}:{uri}")
}

impl Namespaces {
    /// None yet. What is added for machines is kept in a file, if there is one.
    pub fn new(file: Option<PathBuf>) -> Namespaces {
        Namespaces { file, table: RwLock::default() }
    }

    /// These and no others, for servers without mirrors.
    pub fn of(own: Vec<String>) -> Arc<Namespaces> {
        let namespaces = Namespaces::new(None);
        // Nothing is read, so nothing can fail but that there are too many.
        let _ = namespaces.begin(own);
        Arc::new(namespaces)
    }

    /// The server's own come first; behind them what the file has kept.
    pub fn begin(&self, own: Vec<String>) -> Result<(), String> {
        let kept = self.file.as_deref().map(kept).transpose()?.unwrap_or_default();
        let mut table = Table { own: own.len(), ..Table::default() };
        for uri in own.into_iter().chain(kept) {
            if !table.indexes.contains_key(&uri) {
                table.push(uri).ok_or("there are too many namespaces")?;
            }
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        Ok(())
    }

    /// All URIs in the order of their indexes.
    pub fn all(&self) -> Vec<String> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).uris.clone()
    }

    /// Those that the server has itself.
    pub fn own(&self) -> Vec<String> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.uris.get(..table.own).unwrap_or_default().to_vec()
    }

    /// The index of a namespace that the server has itself.
    pub fn shared(&self, uri: &str) -> Option<u16> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.indexes.get(uri).copied().filter(|index| usize::from(*index) < table.own)
    }

    /// The index of a namespace of a machine, which is a namespace of its own here. It is durable before it
    /// is told to anybody.
    pub fn of_machine(&self, machine: &MachineId, uri: &str) -> Result<u16, String> {
        let uri = source_uri(machine, uri);
        if uri.len() > URI_MAX || uri.chars().any(char::is_control) {
            return Err("a namespace of the machine is no URI".into());
        }
        if let Some(index) = self.index(&uri) {
            return Ok(index);
        }
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = table.indexes.get(&uri) {
            return Ok(*index);
        }
        if table.uris.len() - table.own >= NAMESPACES_MAX {
            return Err(format!("machines have more than {NAMESPACES_MAX} namespaces together"));
        }
        if let Some(file) = &self.file {
            keep(file, &uri).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        table.push(uri).ok_or_else(|| "there are too many namespaces".into())
    }

    /// Whether an index is that of a namespace of a machine.
    pub fn is_of_machine(&self, index: u16) -> bool {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        (table.own..table.uris.len()).contains(&usize::from(index))
    }

    fn index(&self, uri: &str) -> Option<u16> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.indexes.get(uri).copied()
    }
}

/// The lines of the file. The last one may not have been written to its end; nobody has been told of it.
fn kept(file: &Path) -> Result<Vec<String>, String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", file.display())),
    };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        let cut = OpenOptions::new().write(true).open(file).and_then(|f| f.set_len(whole as u64));
        cut.map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(text[..whole].lines().map(str::to_owned).collect())
}

fn keep(file: &Path, uri: &str) -> std::io::Result<()> {
    let is_new = !file.exists();
    let mut lines = OpenOptions::new().append(true).create(true).open(file)?;
    lines.write_all(format!("{uri}\n").as_bytes())?;
    lines.sync_all()?;
    if let Some(directory) = file.parent().filter(|_| is_new) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: &str) -> MachineId {
        MachineId::parse(id).unwrap()
    }

    fn own() -> Vec<String> {
        ["http://opcfoundation.org/UA/", "urn:own"].map(str::to_owned).to_vec()
    }

    #[test]
    fn indexes_of_machines_stay_whoever_comes_first_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("namespaces");
        let first = Namespaces::new(Some(file.clone()));
        first.begin(own()).unwrap();
        let (a, b) = (machine("A"), machine("B"));
        assert_eq!(first.of_machine(&a, "urn:plc"), Ok(2));
        assert_eq!(first.of_machine(&b, "urn:plc"), Ok(3));
        assert_eq!(first.of_machine(&a, "urn:plc"), Ok(2));
        let second = Namespaces::new(Some(file));
        second.begin(own()).unwrap();
        assert_eq!(second.of_machine(&b, "urn:plc"), Ok(3));
        assert_eq!(second.of_machine(&b, "urn:other"), Ok(4));
        assert_eq!(second.all()[2], "urn:linewright:ua:source:A:urn:plc");
    }

    #[test]
    fn a_line_that_was_not_written_to_its_end_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("namespaces");
        std::fs::write(&file, "urn:linewright:ua:source:A:urn:plc\nurn:linewright:ua:so").unwrap();
        let namespaces = Namespaces::new(Some(file.clone()));
        namespaces.begin(own()).unwrap();
        assert_eq!(namespaces.of_machine(&machine("B"), "urn:plc"), Ok(3));
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            text,
            "urn:linewright:ua:source:A:urn:plc\nurn:linewright:ua:source:B:urn:plc\n"
        );
    }

    #[test]
    fn only_the_servers_own_are_shared_and_what_is_no_uri_is_refused() {
        let namespaces = Namespaces::new(None);
        namespaces.begin(own()).unwrap();
        let index = namespaces.of_machine(&machine("A"), "urn:plc").unwrap();
        assert_eq!(namespaces.shared("urn:own"), Some(1));
        assert_eq!(namespaces.shared(&namespaces.all()[usize::from(index)]), None);
        assert!(namespaces.of_machine(&machine("A"), "urn:a\nurn:b").is_err());
        assert!(namespaces.of_machine(&machine("A"), &"x".repeat(2000)).is_err());
    }
}
