//! Certificates: our own, and which others are trusted.
//!
//! Files are the whole state, so that a person, a script or `linewright pki` can change it while
//! the server runs: `own/`, `private/`, `trusted/` (clients and authorities that are trusted),
//! `issuer/` (authorities that only complete chains), `crl/` (revocation lists), `rejected/` (the
//! newest that were refused). It never trusts what it could not check.

mod certificate;
mod own;
mod store;
mod trust;
mod verify;

pub use certificate::{PeerCertificate, fingerprint, split_chain};
pub use own::{OwnIdentity, certificate_path, create};
pub use store::{Listed, Place, Store};
pub use trust::{NotTrusted, TrustList};
