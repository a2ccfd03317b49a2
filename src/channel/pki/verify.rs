//! Chains of certificates and lists of revoked ones (Part 4 §6.1.3), on what was read already.

use opcua::types::StatusCode;
use rsa::RsaPublicKey;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::signature::Verifier as _;
use sha2::{Sha256, Sha384, Sha512};
use x509_cert::crl::CertificateList;
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::BitString;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::referenced::OwnedToRef as _;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::certificate::PeerCertificate;

/// Certificates between a client's and a root, both included.
const DEPTH_MAX: usize = 6;
const KEY_BITS_MIN: usize = 2048;
const KEY_BITS_MAX: usize = 4096;

const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");

/// What certificates are judged by.
pub struct Anchors<'a> {
    /// Trusted clients and authorities.
    pub trusted: &'a [PeerCertificate],
    /// Authorities that complete chains.
    pub issuers: &'a [PeerCertificate],
    /// Revocation lists.
    pub lists: &'a [CertificateList],
    /// The present, in seconds since the Unix epoch.
    pub now: i64,
    /// Whether a certificate that nobody has trusted is taken, if all else is right.
    pub trust_all: bool,
}

/// A code and a sentence.
pub type Fault = (StatusCode, String);

fn fault<T>(status: StatusCode, text: impl Into<String>) -> Result<T, Fault> {
    Err((status, text.into()))
}

impl Anchors<'_> {
    /// Judges a client's certificate; `sent` is what came behind it.
    pub fn judge(&self, leaf: &PeerCertificate, sent: &[PeerCertificate]) -> Result<(), Fault> {
        let bits = leaf.key_bits();
        if !(KEY_BITS_MIN..=KEY_BITS_MAX).contains(&bits) {
            let text =
                format!("its key has {bits} bits; {KEY_BITS_MIN} to {KEY_BITS_MAX} are taken");
            return fault(StatusCode::BadCertificatePolicyCheckFailed, text);
        }
        let chain = self.chain(leaf, sent)?;
        let is_trusted = |one: &&PeerCertificate| {
            self.trusted.iter().any(|trusted| trusted.fingerprint == one.fingerprint)
        };
        if !self.trust_all && !chain.iter().any(is_trusted) {
            return fault(StatusCode::BadCertificateUntrusted, "nobody has trusted it");
        }
        self.check_time(&chain)?;
        check_use(&chain)?;
        self.check_revoked(&chain)
    }

    /// The certificates from a client's to a root, each signed by the next.
    fn chain<'a>(
        &'a self,
        leaf: &'a PeerCertificate,
        sent: &'a [PeerCertificate],
    ) -> Result<Vec<&'a PeerCertificate>, Fault> {
        let mut chain = vec![leaf];
        let mut last = leaf;
        while !last.is_self_issued() {
            if chain.len() >= DEPTH_MAX {
                return fault(StatusCode::BadCertificateChainIncomplete, "its chain has no end");
            }
            let known = self.trusted.iter().chain(self.issuers).chain(sent);
            let named = known.filter(|candidate| {
                candidate.parsed.tbs_certificate.subject == last.parsed.tbs_certificate.issuer
            });
            let Some(issuer) = named.into_iter().find(|issuer| is_signed_by(last, issuer)) else {
                let text = format!("its issuer {} is not known", last.issuer());
                return fault(StatusCode::BadCertificateChainIncomplete, text);
            };
            if chain.iter().any(|one| one.fingerprint == issuer.fingerprint) {
                return fault(StatusCode::BadCertificateChainIncomplete, "its chain is a circle");
            }
            chain.push(issuer);
            last = issuer;
        }
        if !is_signed_by(last, last) {
            return fault(StatusCode::BadCertificateInvalid, "its signature is wrong");
        }
        Ok(chain)
    }

    fn check_time(&self, chain: &[&PeerCertificate]) -> Result<(), Fault> {
        for (index, one) in chain.iter().enumerate() {
            let (from, to) = one.validity();
            let why = match self.now {
                now if now < from => "is not valid yet",
                now if now > to => "has expired",
                _ => continue,
            };
            let text = format!("{} {why}", one.subject());
            return match index {
                0 => fault(StatusCode::BadCertificateTimeInvalid, text),
                _ => fault(StatusCode::BadCertificateIssuerTimeInvalid, text),
            };
        }
        Ok(())
    }

    /// Every issued certificate needs a list of its issuer that does not name it.
    fn check_revoked(&self, chain: &[&PeerCertificate]) -> Result<(), Fault> {
        for (index, pair) in chain.windows(2).enumerate() {
            let (one, issuer) = (pair[0], pair[1]);
            let subject = &issuer.parsed.tbs_certificate.subject;
            let of_issuer = |list: &&CertificateList| {
                list.tbs_cert_list.issuer == *subject
                    && !self.is_outdated(list)
                    && verify(
                        issuer,
                        &list.signature_algorithm,
                        &list.signature,
                        list.tbs_cert_list.to_der().ok(),
                    )
            };
            let lists: Vec<_> = self.lists.iter().filter(of_issuer).collect();
            if lists.is_empty() {
                let text = format!("no valid revocation list of {} is in crl/", issuer.subject());
                return match index {
                    0 => fault(StatusCode::BadCertificateRevocationUnknown, text),
                    _ => fault(StatusCode::BadCertificateIssuerRevocationUnknown, text),
                };
            }
            let serial = &one.parsed.tbs_certificate.serial_number;
            let names = |list: &&CertificateList| {
                let revoked = list.tbs_cert_list.revoked_certificates.as_deref();
                revoked.unwrap_or_default().iter().any(|entry| entry.serial_number == *serial)
            };
            if lists.iter().any(names) {
                let text = format!("{} has revoked it", issuer.subject());
                return match index {
                    0 => fault(StatusCode::BadCertificateRevoked, text),
                    _ => fault(StatusCode::BadCertificateIssuerRevoked, text),
                };
            }
        }
        Ok(())
    }

    fn is_outdated(&self, list: &CertificateList) -> bool {
        let next = list.tbs_cert_list.next_update;
        next.is_some_and(|time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX) < self.now
        })
    }
}

/// Uses that the certificates allow: signing and encryption for the client, issuing for the others.
fn check_use(chain: &[&PeerCertificate]) -> Result<(), Fault> {
    for (index, one) in chain.iter().enumerate() {
        let tbs = &one.parsed.tbs_certificate;
        let usage = tbs.get::<KeyUsage>().ok().flatten().map(|(_, usage)| usage);
        if index == 0 {
            if usage.is_some_and(|usage| !usage.digital_signature()) {
                let text = "it must not be used for signatures";
                return fault(StatusCode::BadCertificateUseNotAllowed, text);
            }
            continue;
        }
        let constraints = tbs.get::<BasicConstraints>().ok().flatten();
        let is_authority = constraints.is_some_and(|(_, constraints)| {
            let below = u8::try_from(index - 1).unwrap_or(u8::MAX);
            constraints.ca && constraints.path_len_constraint.is_none_or(|max| below <= max)
        });
        if !is_authority || usage.is_some_and(|usage| !usage.key_cert_sign()) {
            let text = format!("{} must not issue it", one.subject());
            return fault(StatusCode::BadCertificateIssuerUseNotAllowed, text);
        }
    }
    Ok(())
}

fn is_signed_by(one: &PeerCertificate, issuer: &PeerCertificate) -> bool {
    let certificate = &one.parsed;
    let signed = certificate.tbs_certificate.to_der().ok();
    verify(issuer, &certificate.signature_algorithm, &certificate.signature, signed)
}

/// Whether a signature of an issuer is right. Hashes that are broken are never right.
fn verify(
    issuer: &PeerCertificate,
    algorithm: &AlgorithmIdentifierOwned,
    signature: &BitString,
    signed: Option<Vec<u8>>,
) -> bool {
    let info = issuer.parsed.tbs_certificate.subject_public_key_info.owned_to_ref();
    let (Ok(key), Some(signed)) = (RsaPublicKey::try_from(info), signed) else {
        return false;
    };
    let Some(signature) = signature.as_bytes().and_then(|b| Signature::try_from(b).ok()) else {
        return false;
    };
    match algorithm.oid {
        SHA256_WITH_RSA => VerifyingKey::<Sha256>::new(key).verify(&signed, &signature).is_ok(),
        SHA384_WITH_RSA => VerifyingKey::<Sha384>::new(key).verify(&signed, &signature).is_ok(),
        SHA512_WITH_RSA => VerifyingKey::<Sha512>::new(key).verify(&signed, &signature).is_ok(),
        _ => false,
    }
}
