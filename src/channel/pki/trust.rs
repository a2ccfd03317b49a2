//! Whether a client is trusted, from files that may change while the server runs.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use opcua::types::StatusCode;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode as _;

use super::certificate::{PeerCertificate, split_chain};
use super::verify::Anchors;

/// Files are looked at again after this long.
const FRESH: Duration = Duration::from_secs(2);
/// Refused certificates that are kept.
const REJECTED_MAX: usize = 20;
/// Files that are read of a folder, and how large each may be.
const FILES_MAX: usize = 1000;
const FILE_MAX: u64 = 4 << 20;

/// Why a certificate is not trusted.
#[derive(Clone, Debug)]
pub struct NotTrusted {
    /// The code of Part 4 §6.1.3.
    pub status: StatusCode,
    /// A sentence.
    pub reason: String,
    /// The certificate, when it could be parsed.
    pub certificate: Option<Box<PeerCertificate>>,
}

#[derive(Default)]
struct Files {
    read_at: Option<Instant>,
    trusted: Vec<PeerCertificate>,
    issuers: Vec<PeerCertificate>,
    lists: Vec<CertificateList>,
    rejected: HashSet<String>,
}

/// The trust list of the server.
pub struct TrustList {
    root: PathBuf,
    trust_all: bool,
    files: Mutex<Files>,
}

impl TrustList {
    /// The list in a folder; `trust_all` takes every certificate that is right in itself.
    pub fn new(root: &Path, trust_all: bool) -> Result<TrustList, String> {
        for folder in ["trusted", "issuer", "crl", "rejected"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(TrustList { root: root.to_owned(), trust_all, files: Mutex::default() })
    }

    /// Judges what a client has sent as its certificate; one that is refused is kept for a person
    /// to look at. Reads files now and then.
    pub fn judge(&self, sent: &[u8], now_seconds: i64) -> Result<PeerCertificate, NotTrusted> {
        let invalid = |status| NotTrusted {
            status,
            reason: "it is no certificate with an RSA key".into(),
            certificate: None,
        };
        let mut chain = split_chain(sent).into_iter().map(PeerCertificate::from_der);
        let leaf = chain.next().unwrap_or(Err(StatusCode::BadCertificateInvalid));
        let leaf = leaf.map_err(invalid)?;
        let sent: Vec<_> = chain.filter_map(Result::ok).collect();
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.read_at.is_none_or(|at| at.elapsed() >= FRESH) {
            *files = self.read();
        }
        let trust_all = self.trust_all && !files.rejected.contains(&leaf.fingerprint);
        let anchors = Anchors {
            trusted: &files.trusted,
            issuers: &files.issuers,
            lists: &files.lists,
            now: now_seconds,
            trust_all,
        };
        match anchors.judge(&leaf, &sent) {
            Ok(()) => Ok(leaf),
            Err((status, reason)) => {
                let is_new = files.rejected.insert(leaf.fingerprint.clone());
                if is_new && let Err(error) = self.keep(&leaf) {
                    tracing::warn!(%error, "a refused certificate could not be kept");
                }
                Err(NotTrusted { status, reason, certificate: Some(Box::new(leaf)) })
            }
        }
    }

    /// Whether a person has trusted exactly this certificate, byte for byte. Reads files now and then.
    pub fn has_exactly(&self, fingerprint: &str) -> bool {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if files.read_at.is_none_or(|at| at.elapsed() >= FRESH) {
            *files = self.read();
        }
        files.trusted.iter().any(|one| one.fingerprint == fingerprint)
    }

    fn read(&self) -> Files {
        let certificates = |folder: &str| {
            let files = read_folder(&self.root.join(folder)).into_iter();
            files.filter_map(|(_, bytes)| PeerCertificate::from_file(&bytes).ok()).collect()
        };
        let lists = read_folder(&self.root.join("crl")).into_iter();
        let rejected: Vec<PeerCertificate> = certificates("rejected");
        Files {
            read_at: Some(Instant::now()),
            trusted: certificates("trusted"),
            issuers: certificates("issuer"),
            lists: lists.filter_map(|(_, bytes)| read_list(&bytes)).collect(),
            rejected: rejected.into_iter().map(|one| one.fingerprint).collect(),
        }
    }

    /// Keeps a refused certificate, and of all refused ones only the newest.
    fn keep(&self, certificate: &PeerCertificate) -> std::io::Result<()> {
        let folder = self.root.join("rejected");
        let path = folder.join(format!("{}.der", certificate.fingerprint));
        fs::write(path, certificate.der.as_ref())?;
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
        files.sort();
        let surplus = files.len().saturating_sub(REJECTED_MAX);
        files[..surplus].iter().try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn read_list(bytes: &[u8]) -> Option<CertificateList> {
    if bytes.starts_with(b"-----BEGIN") {
        let (_, der) = x509_cert::der::pem::decode_vec(bytes).ok()?;
        return CertificateList::from_der(&der).ok();
    }
    CertificateList::from_der(bytes).ok()
}

/// The files of a folder in the order of their names; what cannot be read is left out.
pub(super) fn read_folder(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.truncate(FILES_MAX);
    let readable = |path: PathBuf| {
        let metadata = fs::metadata(&path).ok()?;
        let is_file = metadata.is_file() && metadata.len() <= FILE_MAX;
        is_file.then(|| fs::read(&path).ok()).flatten().map(|bytes| (path, bytes))
    };
    paths.into_iter().filter_map(readable).collect()
}
