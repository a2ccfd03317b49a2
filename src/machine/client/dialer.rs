//! Reaching machines: which endpoint, whose certificate, as whom. What all connections share is here:
//! our own certificate, the trust list, and the memory for unfinished messages.
//!
//! A machine is told nothing secret before its certificate has been judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use opcua::types::{ContextOwned, EndpointDescription, NamespaceMap, StatusCode};
use tokio::sync::OnceCell;

use super::connection::Connection;
use super::endpoint::{choose, offered};
use super::failure::Failure;
use super::identity::User;
use super::open::Parties;
use super::session::{APPLICATION_URI, Manners, Passport, Session};
use super::target::{Credentials, Target};
use crate::app::clock::Clock;
use crate::channel::assemble::Budget;
use crate::channel::decode::{decoding, raw_context};
use crate::channel::pki::{NotTrusted, OwnIdentity, PeerCertificate, TrustList};
use crate::domain::time::TICKS_PER_SECOND;

/// Digits of a fingerprint that pin a certificate at least.
pub const PIN_MIN: usize = 16;
/// Bytes of messages of several chunks that may be unfinished, of all machines together.
const UNFINISHED_MAX: usize = 256 << 20;

/// A machine as it was found: what is needed to come back without asking again.
#[derive(Clone)]
pub struct Found {
    parties: Arc<Parties>,
    manners: Manners,
}

impl Found {
    /// Whether the machine has shown the same certificate as another time, or none both times.
    pub fn has_certificate_of(&self, other: &Found) -> bool {
        let der = |found: &Found| found.manners.machine.as_ref().map(|machine| machine.der.clone());
        der(self) == der(other)
    }
}

/// What all connections to machines share.
pub struct Dialer {
    pki: PathBuf,
    clock: Arc<dyn Clock>,
    budget: Budget,
    context: Arc<ContextOwned>,
    own: OnceCell<Arc<OwnIdentity>>,
    trust: OnceCell<Arc<TrustList>>,
}

impl Dialer {
    /// With the certificates of a folder; they are made when they are first needed.
    pub fn new(pki: &Path, clock: Arc<dyn Clock>) -> Dialer {
        Dialer {
            pki: pki.to_owned(),
            clock,
            budget: Budget::new(UNFINISHED_MAX),
            context: Arc::new(raw_context(NamespaceMap::new(), decoding())),
            own: OnceCell::new(),
            trust: OnceCell::new(),
        }
    }

    /// What a machine offers.
    pub async fn offered(&self, url: &str) -> Result<Vec<EndpointDescription>, Failure> {
        offered(url, self.budget.clone(), self.context.clone()).await
    }

    /// Names of the policies that a machine offers.
    pub async fn policies(&self, url: &str) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        for endpoint in self.offered(url).await? {
            let uri = endpoint.security_policy_uri.as_ref();
            let name = uri.rsplit('#').next().unwrap_or(uri);
            let name: String = name.chars().filter(char::is_ascii_graphic).take(40).collect();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Finds the endpoint that is meant, and judges the certificate of the machine.
    pub async fn find(&self, target: &Target) -> Result<Found, Failure> {
        let user = user(&target.credentials).await?;
        let needs_no_proof = !target.protection.is_secured() && user.has_no_secret();
        let mut found = Found {
            parties: Arc::new(Parties::unprotected()),
            manners: Manners {
                url: target.url.clone(),
                name: target.name.clone(),
                user,
                endpoint: None,
                machine: None,
            },
        };
        if needs_no_proof {
            return Ok(found);
        }
        let endpoint = choose(self.offered(&target.url).await?, target.protection)?;
        let judged = match endpoint.server_certificate.as_ref() {
            [] => None,
            sent => Some(self.judge(sent.to_vec(), target.pinned.clone()).await?),
        };
        if target.protection.is_secured() {
            let machine = judged.clone().ok_or_else(|| {
                let text = "the machine offers this endpoint without a certificate";
                Failure::untrusted(StatusCode::BadCertificateInvalid, text)
            })?;
            found.parties = Arc::new(Parties {
                protection: target.protection,
                certificates: Some((self.own().await?, machine)),
            });
        }
        found.manners.machine = judged;
        found.manners.endpoint = Some(endpoint);
        Ok(found)
    }

    /// Connects and begins a session.
    pub async fn log_on(&self, found: &Found) -> Result<Session, Failure> {
        let connection = self.connect(found).await?;
        let (parties, context) = (found.parties.clone(), self.context.clone());
        Session::begin(connection, parties, context, &found.manners).await
    }

    /// Connects and goes on with a session.
    pub async fn go_on(&self, found: &Found, passport: Passport) -> Result<Session, Failure> {
        let connection = self.connect(found).await?;
        let (parties, context) = (found.parties.clone(), self.context.clone());
        Session::go_on(connection, parties, context, &found.manners, passport).await
    }

    async fn connect(&self, found: &Found) -> Result<Connection, Failure> {
        let (url, parties) = (&found.manners.url, found.parties.clone());
        Connection::open(url, parties, self.budget.clone(), self.context.clone()).await
    }

    async fn own(&self) -> Result<Arc<OwnIdentity>, Failure> {
        let unusable = |text: String| Failure::untrusted(StatusCode::BadCertificateInvalid, text);
        let making = || async {
            let pki = self.pki.clone();
            let load = move || OwnIdentity::load_or_create(&pki, APPLICATION_URI, &[]);
            let own = tokio::task::spawn_blocking(load).await;
            own.unwrap_or_else(|error| Err(error.to_string())).map(Arc::new).map_err(unusable)
        };
        self.own.get_or_try_init(making).await.cloned()
    }

    async fn trust(&self) -> Result<Arc<TrustList>, Failure> {
        let making = || async {
            let list = TrustList::new(&self.pki, false);
            let unusable = |text| Failure::untrusted(StatusCode::BadConfigurationError, text);
            list.map(Arc::new).map_err(unusable)
        };
        self.trust.get_or_try_init(making).await.cloned()
    }

    /// Whether a certificate is the machine's: the pinned one, or one that the trust list knows.
    async fn judge(
        &self,
        sent: Vec<u8>,
        pinned: Option<String>,
    ) -> Result<PeerCertificate, Failure> {
        if let Some(pin) = pinned {
            return self::pinned(&sent, &pin);
        }
        let trust = self.trust().await?;
        let now = self.clock.now().ticks().div_euclid(TICKS_PER_SECOND);
        let judge = move || match trust.judge(&sent, now) {
            // A certificate that a person has trusted itself must not stop a plant on the day it expires.
            Err(NotTrusted {
                status: StatusCode::BadCertificateTimeInvalid, certificate, ..
            }) if certificate.as_ref().is_some_and(|one| trust.has_exactly(&one.fingerprint)) => {
                certificate.map(|one| *one).ok_or_else(expired)
            }
            judged => judged,
        };
        let judged = tokio::task::spawn_blocking(judge).await;
        let judged = judged.map_err(|error| {
            Failure::untrusted(StatusCode::BadConfigurationError, error.to_string())
        })?;
        judged.map_err(|refused| {
            let mut text = format!("the machine's certificate is refused: {}", refused.reason);
            if let Some(certificate) = &refused.certificate {
                let id = certificate.short_id();
                text += &format!(
                    "; compare its fingerprint {id}… with the machine's, then: linewright pki trust \
                     --side client {id}"
                );
            }
            Failure::untrusted(refused.status, text)
        })
    }
}

/// Reads what stands in files anew for every connection: it may have been renewed.
async fn user(credentials: &Credentials) -> Result<User, Failure> {
    let unusable = |text: String| Failure::untrusted(StatusCode::BadIdentityTokenInvalid, text);
    match credentials.clone() {
        Credentials::Anonymous => Ok(User::Anonymous),
        Credentials::Password { name, password } => Ok(User::Password { name, password }),
        Credentials::Certificate { certificate, key } => {
            let load = move || OwnIdentity::load(&certificate, &key);
            let loaded = tokio::task::spawn_blocking(load).await;
            let loaded = loaded.unwrap_or_else(|error| Err(error.to_string()));
            loaded.map(|own| User::Certificate(Arc::new(own))).map_err(unusable)
        }
        Credentials::Token(file) => {
            let token = tokio::fs::read_to_string(&file).await;
            let token = token.map_err(|e| unusable(format!("{}: {e}", file.display())))?;
            Ok(User::Token(token.trim().to_owned()))
        }
    }
}

fn expired() -> NotTrusted {
    let (status, reason) = (StatusCode::BadCertificateTimeInvalid, "it has expired".to_owned());
    NotTrusted { status, reason, certificate: None }
}

fn pinned(sent: &[u8], pin: &str) -> Result<PeerCertificate, Failure> {
    let parts = crate::channel::pki::split_chain(sent);
    let first = parts.first().copied().unwrap_or(sent);
    let certificate = PeerCertificate::from_der(first).map_err(|status| {
        Failure::untrusted(status, "the machine shows no certificate with an RSA key")
    })?;
    // Fewer digits could be those of a certificate that somebody has made for it.
    if pin.len() >= PIN_MIN && certificate.fingerprint.starts_with(&pin.to_ascii_lowercase()) {
        return Ok(certificate);
    }
    let text = format!(
        "the machine shows the certificate {}…, not the pinned {pin}; if its certificate was \
         renewed, change `certificate` of the machine",
        certificate.short_id()
    );
    Err(Failure::untrusted(StatusCode::BadCertificateUntrusted, text))
}
