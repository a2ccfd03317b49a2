//! The certificate files as a person handles them: list, trust, reject, remove, show.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::certificate::PeerCertificate;
use super::trust::read_folder;

/// Shortest beginning of a fingerprint that names a certificate.
const ID_MIN: usize = 8;

/// Where a certificate is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Our own.
    Own,
    /// Trusted.
    Trusted,
    /// Completes chains.
    Issuer,
    /// Refused.
    Rejected,
}

impl Place {
    /// All of them.
    pub const ALL: [Place; 4] = [Place::Own, Place::Trusted, Place::Issuer, Place::Rejected];

    /// Name of its folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Own => "own",
            Place::Trusted => "trusted",
            Place::Issuer => "issuer",
            Place::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A certificate in its place.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where it is.
    pub place: Place,
    /// Its file.
    pub path: PathBuf,
    /// The certificate.
    pub certificate: PeerCertificate,
}

/// The folder with all of them.
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store in a folder.
    pub fn new(root: &Path) -> Store {
        Store { root: root.to_owned() }
    }

    /// All certificates.
    pub fn list(&self) -> Vec<Listed> {
        let of_place = |place: Place| {
            let files = read_folder(&self.root.join(place.as_str())).into_iter();
            files.filter_map(move |(path, bytes)| {
                let certificate = PeerCertificate::from_file(&bytes).ok()?;
                Some(Listed { place, path, certificate })
            })
        };
        Place::ALL.into_iter().flat_map(of_place).collect()
    }

    /// The one certificate whose fingerprint begins so.
    pub fn find(&self, id: &str) -> Result<Listed, String> {
        let id = id.to_ascii_lowercase();
        if id.len() < ID_MIN {
            return Err(format!("{id:?} is too short; give {ID_MIN} or more characters of the id"));
        }
        let mut found = self
            .list()
            .into_iter()
            .filter(|one| one.place != Place::Own && one.certificate.fingerprint.starts_with(&id));
        let first = found.next();
        let first = first.ok_or_else(|| {
            format!("no certificate begins with {id}; linewright pki list shows all")
        })?;
        match found.find(|other| other.certificate.fingerprint != first.certificate.fingerprint) {
            Some(_) => Err(format!("more than one certificate begins with {id}; give more of it")),
            None => Ok(first),
        }
    }

    /// Moves the certificate to a place; it is in no other afterwards.
    pub fn move_to(&self, id: &str, place: Place) -> Result<Listed, String> {
        let found = self.find(id)?;
        let folder = self.root.join(place.as_str());
        // Its name stays, because the client of the machines looks for it by name.
        let name = found.path.file_name().unwrap_or_default();
        let path = folder.join(name);
        let problem = |error: std::io::Error| format!("{}: {error}", path.display());
        fs::create_dir_all(&folder).map_err(problem)?;
        let temporary = path.with_extension("new");
        fs::copy(&found.path, &temporary).map_err(problem)?;
        fs::rename(&temporary, &path).map_err(problem)?;
        self.delete_except(&found.certificate.fingerprint, Some(&path))?;
        Ok(Listed { place, path, ..found })
    }

    /// Removes the certificate from wherever it is.
    pub fn remove(&self, id: &str) -> Result<Listed, String> {
        let found = self.find(id)?;
        self.delete_except(&found.certificate.fingerprint, None)?;
        Ok(found)
    }

    fn delete_except(&self, fingerprint: &str, kept: Option<&Path>) -> Result<(), String> {
        for one in self.list() {
            let is_it = one.certificate.fingerprint == fingerprint && one.place != Place::Own;
            if is_it && Some(one.path.as_path()) != kept {
                let removed = fs::remove_file(&one.path);
                removed.map_err(|error| format!("{}: {error}", one.path.display()))?;
            }
        }
        Ok(())
    }
}
