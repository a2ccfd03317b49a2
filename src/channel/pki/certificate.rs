//! Certificates of others: parsed once, with what trust and channels need of them.

use std::fmt;

use opcua::crypto::{KeySize as _, PublicKey, X509};
use opcua::types::{ByteString, StatusCode};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, DecodePem as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Certificates of a chain that are looked at.
const CHAIN_MAX: usize = 6;
/// Characters of a fingerprint that name a certificate to people.
pub const SHORT_ID: usize = 16;

/// A parsed certificate.
#[derive(Clone)]
pub struct PeerCertificate {
    /// As it was sent, without its chain.
    pub der: ByteString,
    /// Its public key.
    pub key: PublicKey,
    /// SHA-1 of it; names it in the protocol.
    pub thumbprint: Vec<u8>,
    /// SHA-256 of it in hexadecimal digits; names it to people and in configuration.
    pub fingerprint: String,
    /// What was parsed.
    pub(super) parsed: Certificate,
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.subject(), self.short_id())
    }
}

/// SHA-256 in hexadecimal digits.
pub fn fingerprint(der: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(der).iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Splits a certificate and the chain behind it.
pub fn split_chain(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = bytes;
    let mut parts = Vec::new();
    while parts.len() < CHAIN_MAX
        && let Some(length) = der_length(rest)
        && let Some((one, after)) = rest.split_at_checked(length)
    {
        parts.push(one);
        rest = after;
    }
    parts
}

/// Length of the DER sequence at the start, header included.
fn der_length(bytes: &[u8]) -> Option<usize> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    if *tag != 0x30 {
        return None;
    }
    if *first < 0x80 {
        return Some(2 + usize::from(*first));
    }
    let count = usize::from(*first & 0x7f);
    if count == 0 || count > 3 {
        return None;
    }
    let length = rest.get(..count)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    Some(2 + count + length)
}

impl PeerCertificate {
    /// Parses a certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<PeerCertificate, StatusCode> {
        const INVALID: StatusCode = StatusCode::BadCertificateInvalid;
        let parsed = Certificate::from_der(der).map_err(|_| INVALID)?;
        let x509 = X509::from_der(der).map_err(|_| INVALID)?;
        Ok(PeerCertificate {
            der: ByteString::from(der),
            key: x509.public_key().map_err(|_| INVALID)?,
            thumbprint: x509.thumbprint().value().to_vec(),
            fingerprint: fingerprint(der),
            parsed,
        })
    }

    /// Reads a file's content, DER or PEM.
    pub fn from_file(content: &[u8]) -> Result<PeerCertificate, StatusCode> {
        if !content.starts_with(b"-----BEGIN") {
            return PeerCertificate::from_der(content);
        }
        use x509_cert::der::Encode as _;
        let invalid = |_| StatusCode::BadCertificateInvalid;
        let der = Certificate::from_pem(content).map_err(invalid)?.to_der().map_err(invalid)?;
        PeerCertificate::from_der(&der)
    }

    /// The subject, for people.
    pub fn subject(&self) -> String {
        printable(&self.parsed.tbs_certificate.subject.to_string())
    }

    /// The issuer, for people.
    pub fn issuer(&self) -> String {
        printable(&self.parsed.tbs_certificate.issuer.to_string())
    }

    /// Whether it was issued by itself.
    pub fn is_self_issued(&self) -> bool {
        self.parsed.tbs_certificate.subject == self.parsed.tbs_certificate.issuer
    }

    /// First and last second of its validity, since the Unix epoch.
    pub fn validity(&self) -> (i64, i64) {
        let validity = &self.parsed.tbs_certificate.validity;
        let seconds = |time: x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        (seconds(validity.not_before), seconds(validity.not_after))
    }

    /// Length of its key in bits.
    pub fn key_bits(&self) -> usize {
        self.key.size() * 8
    }

    /// The application URI in its alternative names (Part 6 §6.2.2).
    pub fn application_uri(&self) -> Option<String> {
        self.alternative_names().into_iter().find_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
            _ => None,
        })
    }

    fn alternative_names(&self) -> Vec<GeneralName> {
        let found = self.parsed.tbs_certificate.get::<SubjectAltName>();
        found.ok().flatten().map(|(_, names)| names.0).unwrap_or_default()
    }

    /// The first characters of its fingerprint.
    pub fn short_id(&self) -> &str {
        self.fingerprint.get(..SHORT_ID).unwrap_or(&self.fingerprint)
    }
}

/// A foreign text without anything that a terminal or a log could take for more.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_split_and_garbage_is_none() {
        let first = [0x30, 3, 1, 2, 3];
        let second = [&[0x30, 0x81, 200][..], &[7; 200]].concat();
        let both = [&first[..], &second].concat();
        assert_eq!(split_chain(&both), [&first[..], &second]);
        assert_eq!(split_chain(&both[..both.len() - 1]), [&first[..]]);
        for garbage in [&[][..], &[0x30], &[0x30, 0x84, 1, 1, 1, 1], &[0x31, 0], &[0x30, 0x80]] {
            assert!(split_chain(garbage).is_empty(), "{garbage:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_invalid() {
        for bytes in [&[][..], &[0x30, 0], b"hello", &[0xff; 1000]] {
            let invalid = Some(StatusCode::BadCertificateInvalid);
            assert_eq!(PeerCertificate::from_der(bytes).err(), invalid);
            assert_eq!(PeerCertificate::from_file(bytes).err(), invalid);
        }
    }
}
