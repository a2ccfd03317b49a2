//! Who a user is: anonymous, a name with a password, or a certificate with its key (Part 4 §7.36).
//!
//! All failures look alike and none of them tells a password: what was wrong is for the audit.

use std::sync::Arc;

use opcua::crypto::{KeySize as _, SecurityPolicy};
use opcua::types::{
    ActivateSessionRequest, AnonymousIdentityToken, BinaryDecodable, ByteString, ExtensionObject,
    SignatureData, StatusCode, UAString, UserNameIdentityToken, X509IdentityToken,
};

use super::Services;
use super::discovery::token_policy;
use super::session::{Identity, Proof, Session};
use crate::app::access::{Denied, Users};
use crate::channel::decode::{Reader, raw_body};
use crate::channel::pki::{OwnIdentity, PeerCertificate};
use crate::channel::signature::verify;
use crate::domain::role::Role;
use crate::server::wire::ChannelInfo;

/// Encodings of identity tokens.
mod encoding {
    pub const ANONYMOUS: u32 = 321;
    pub const USER_NAME: u32 = 324;
    pub const CERTIFICATE: u32 = 327;
}

/// Longest password in bytes.
const PASSWORD_MAX: usize = 1024;

/// Who may log on.
pub struct Logons {
    /// The users.
    pub users: Arc<Users>,
}

impl Logons {
    /// Whether somebody who has logged on could do so still.
    pub fn holds(&self, identity: &Identity) -> bool {
        identity.version.is_none_or(|version| self.users.still_has(&identity.name, version))
    }
}

/// A token as it was sent.
enum Token {
    Anonymous,
    UserName { name: String, password: Vec<u8>, algorithm: UAString },
    Certificate(ByteString),
}

fn decode<T: BinaryDecodable>(services: &Services, body: &[u8]) -> Result<T, StatusCode> {
    let context = services.context.context();
    let token = Reader::new(body, &context).plain();
    token.map_err(|_| StatusCode::BadIdentityTokenInvalid)
}

impl Services {
    fn read_token(&self, object: &ExtensionObject) -> Result<Token, StatusCode> {
        const INVALID: StatusCode = StatusCode::BadIdentityTokenInvalid;
        // A client that sends none is anonymous (Part 4 §5.7.3.2).
        if object.is_null() {
            return Ok(Token::Anonymous);
        }
        let (id, body) = raw_body(object).ok_or(INVALID)?;
        match id.as_u32().filter(|_| id.namespace == 0) {
            Some(encoding::ANONYMOUS) => {
                let token: AnonymousIdentityToken = decode(self, body)?;
                check_policy(&token.policy_id, token_policy::ANONYMOUS)?;
                Ok(Token::Anonymous)
            }
            Some(encoding::USER_NAME) => {
                let token: UserNameIdentityToken = decode(self, body)?;
                check_policy(&token.policy_id, token_policy::USER_NAME)?;
                Ok(Token::UserName {
                    name: token.user_name.as_ref().to_owned(),
                    password: token.password.as_ref().to_vec(),
                    algorithm: token.encryption_algorithm,
                })
            }
            Some(encoding::CERTIFICATE) => {
                let token: X509IdentityToken = decode(self, body)?;
                check_policy(&token.policy_id, token_policy::CERTIFICATE)?;
                Ok(Token::Certificate(token.certificate_data))
            }
            _ => Err(INVALID),
        }
    }

    /// Who wants to use a session; `nonce` is what he has to have signed or encrypted.
    pub(super) async fn identify(
        &self,
        channel: &ChannelInfo,
        request: &ActivateSessionRequest,
        nonce: &ByteString,
    ) -> Result<Identity, StatusCode> {
        let origin = match &channel.certificate {
            Some(certificate) => certificate.fingerprint.clone(),
            None => channel.peer.ip().to_string(),
        };
        match self.read_token(&request.user_identity_token)? {
            Token::Anonymous => {
                if !self.endpoints.takes_anonymous(channel.policy) {
                    return Err(StatusCode::BadIdentityTokenRejected);
                }
                let (name, role, proof) = (String::new(), Role::Observer, Proof::Anonymous);
                Ok(Identity { name, role, proof, version: None })
            }
            Token::UserName { name, password, algorithm } => {
                if channel.policy == SecurityPolicy::None {
                    return Err(StatusCode::BadIdentityTokenRejected);
                }
                let secret = Secret {
                    policy: channel.policy,
                    cipher: password,
                    algorithm,
                    nonce: nonce.clone(),
                };
                self.prove_password(name, secret, origin).await
            }
            Token::Certificate(der) => {
                let (policy, signature) = (channel.policy, &request.user_token_signature);
                self.prove_certificate(&der, policy, signature, nonce)
            }
        }
    }

    async fn prove_password(
        &self,
        name: String,
        secret: Secret,
        origin: String,
    ) -> Result<Identity, StatusCode> {
        let (users, own) = (self.logons.users.clone(), self.own.clone());
        let proved = tokio::task::spawn_blocking(move || {
            users.prove_sealed(&name, || secret.open(&own), &origin)
        });
        match proved.await {
            Ok(Ok(caller)) => Ok(Identity::of(caller, Proof::Password)),
            Ok(Err(Denied::Wrong | Denied::Locked)) => Err(StatusCode::BadUserAccessDenied),
            Ok(Err(Denied::Busy)) => Err(StatusCode::BadServerTooBusy),
            Err(_) => Err(StatusCode::BadInternalError),
        }
    }

    fn prove_certificate(
        &self,
        der: &ByteString,
        policy: SecurityPolicy,
        signature: &SignatureData,
        nonce: &ByteString,
    ) -> Result<Identity, StatusCode> {
        if policy == SecurityPolicy::None || !self.endpoints.certificates {
            return Err(StatusCode::BadIdentityTokenRejected);
        }
        let invalid = StatusCode::BadIdentityTokenInvalid;
        let certificate = PeerCertificate::from_der(der.as_ref()).map_err(|_| invalid)?;
        let caller = self.logons.users.by_certificate(&certificate.fingerprint);
        let caller = caller.ok_or(StatusCode::BadIdentityTokenRejected)?;
        let seconds = crate::domain::time::TICKS_PER_SECOND;
        let now = self.clock.now().ticks().div_euclid(seconds);
        let (from, to) = certificate.validity();
        if !(from..=to).contains(&now) {
            return Err(StatusCode::BadIdentityTokenRejected);
        }
        verify(policy, &certificate, self.own.der.as_ref(), nonce, signature)
            .map_err(|_| StatusCode::BadUserSignatureInvalid)?;
        Ok(Identity::of(caller, Proof::Certificate(certificate.fingerprint)))
    }
}

fn check_policy(sent: &UAString, known: &str) -> Result<(), StatusCode> {
    if sent.as_ref() == known { Ok(()) } else { Err(StatusCode::BadIdentityTokenInvalid) }
}

/// A password on its way (Part 4 §7.36.2.2).
struct Secret {
    policy: SecurityPolicy,
    cipher: Vec<u8>,
    algorithm: UAString,
    nonce: ByteString,
}

impl Secret {
    /// The password, if it was encrypted for us and for this session.
    fn open(&self, own: &OwnIdentity) -> Option<String> {
        let wanted = self.policy.asymmetric_encryption_algorithm()?;
        let size = own.key.size();
        // Only the algorithm of the channel: others could be used to ask the key questions.
        if self.algorithm.as_ref() != wanted
            || self.cipher.is_empty()
            || !self.cipher.len().is_multiple_of(size)
            || self.cipher.len() > PASSWORD_MAX.next_multiple_of(size)
        {
            return None;
        }
        let mut plain = vec![0; self.cipher.len()];
        let length = self.policy.asymmetric_decrypt(&own.key, &self.cipher, &mut plain).ok()?;
        let plain = plain.get(..length)?;
        let (size, rest) = plain.split_first_chunk::<4>()?;
        let secret = rest.get(..u32::from_le_bytes(*size) as usize)?;
        let password = secret.strip_suffix(self.nonce.as_ref())?;
        String::from_utf8(password.to_vec()).ok()
    }
}

/// Whether a session may go on with another channel: same client, same user (Part 4 §5.7.3.1).
pub fn may_rebind(session: &Session, channel: &ChannelInfo, user: &Identity) -> bool {
    let (bound, known) = {
        let binding = session.binding();
        (binding.channel.clone(), binding.user.clone())
    };
    let fingerprint = |info: &ChannelInfo| {
        info.certificate.as_ref().map(|certificate| certificate.fingerprint.clone())
    };
    let is_same_client = fingerprint(&bound) == fingerprint(channel)
        && bound.policy == channel.policy
        && bound.mode == channel.mode;
    // Without certificates nobody can show that he is the same; then only the address speaks.
    let is_known = channel.certificate.is_some() || bound.peer.ip() == channel.peer.ip();
    is_same_client && is_known && known.as_ref() == Some(user)
}
