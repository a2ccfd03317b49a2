//! How we log on to a machine: anonymous, with a name and a password, with a certificate or with a
//! token of somebody that the machine believes (Part 4 §7.36 and §7.37).

use std::fmt;
use std::sync::Arc;

use opcua::crypto::SecurityPolicy;
use opcua::types::{
    AnonymousIdentityToken, ByteString, EndpointDescription, ExtensionObject, IssuedIdentityToken,
    MessageSecurityMode, SignatureData, StatusCode, UAString, UserNameIdentityToken,
    UserTokenPolicy, UserTokenType, X509IdentityToken,
};

use super::failure::Failure;
use super::target::Protection;
use crate::channel::pki::{OwnIdentity, PeerCertificate};
use crate::channel::signature::sign;

/// As whom we log on.
#[derive(Clone)]
pub enum User {
    /// As nobody.
    Anonymous,
    /// With a name and a password.
    Password {
        /// Name.
        name: String,
        /// Password.
        password: String,
    },
    /// With a certificate and its key.
    Certificate(Arc<OwnIdentity>),
    /// With a token that somebody else has issued.
    Token(String),
}

impl fmt::Debug for User {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            User::Anonymous => out.write_str("anonymous"),
            User::Password { name, .. } => write!(out, "user {name}"),
            User::Certificate(own) => write!(out, "certificate {own:?}"),
            User::Token(_) => out.write_str("an issued token"),
        }
    }
}

impl User {
    /// Whether nothing is told that others must not hear.
    pub fn has_no_secret(&self) -> bool {
        matches!(self, User::Anonymous)
    }

    fn kind(&self) -> UserTokenType {
        match self {
            User::Anonymous => UserTokenType::Anonymous,
            User::Password { .. } => UserTokenType::UserName,
            User::Certificate(_) => UserTokenType::Certificate,
            User::Token(_) => UserTokenType::IssuedToken,
        }
    }
}

/// What the machine has sent for proofs.
pub struct Challenge<'a> {
    /// How the connection is protected.
    pub protection: Protection,
    /// The endpoint, with the kinds of users that it takes.
    pub endpoint: &'a EndpointDescription,
    /// The machine's certificate, when it has shown one that is trusted.
    pub certificate: Option<&'a PeerCertificate>,
    /// Its last nonce.
    pub nonce: &'a ByteString,
}

/// Who we are, as it is sent, with a signature where a key has to prove it.
pub fn present(
    user: &User,
    challenge: &Challenge<'_>,
) -> Result<(ExtensionObject, SignatureData), Failure> {
    let policy = token_policy(user, challenge.endpoint)?;
    let id = policy.policy_id.clone();
    let unsigned = SignatureData::default();
    match user {
        User::Anonymous => {
            let token = AnonymousIdentityToken { policy_id: id };
            Ok((ExtensionObject::from_message(token), unsigned))
        }
        User::Password { name, password } => {
            let (secret, algorithm) = conceal(password.as_bytes(), policy, challenge)?;
            let token = UserNameIdentityToken {
                policy_id: id,
                user_name: name.as_str().into(),
                password: secret,
                encryption_algorithm: algorithm,
            };
            Ok((ExtensionObject::from_message(token), unsigned))
        }
        User::Token(token) => {
            let (secret, algorithm) = conceal(token.as_bytes(), policy, challenge)?;
            let token = IssuedIdentityToken {
                policy_id: id,
                token_data: secret,
                encryption_algorithm: algorithm,
            };
            Ok((ExtensionObject::from_message(token), unsigned))
        }
        User::Certificate(own) => {
            let with = security_of(policy, challenge.protection)?;
            let machine = proved(challenge)?;
            if with == SecurityPolicy::None {
                let text = "the machine takes certificates of users without any proof";
                return Err(Failure::untrusted(StatusCode::BadSecurityPolicyRejected, text));
            }
            let signature = sign(with, &own.key, machine.der.as_ref(), challenge.nonce);
            let unsignable = |status| Failure::untrusted(status, "the key of the user cannot sign");
            let token = X509IdentityToken { policy_id: id, certificate_data: own.der.clone() };
            Ok((ExtensionObject::from_message(token), signature.map_err(unsignable)?))
        }
    }
}

/// The first policy of the endpoint for this kind of user.
fn token_policy<'a>(
    user: &User,
    endpoint: &'a EndpointDescription,
) -> Result<&'a UserTokenPolicy, Failure> {
    let kind = user.kind();
    let offered = endpoint.user_identity_tokens.as_deref().unwrap_or_default();
    offered.iter().find(|policy| policy.token_type == kind).ok_or_else(|| {
        let kinds: Vec<_> = offered.iter().map(|p| format!("{:?}", p.token_type)).collect();
        let takes = if kinds.is_empty() { "nobody".to_owned() } else { kinds.join(", ") };
        let text = format!("the machine takes {takes}, not {kind:?}; change `user` of the machine");
        Failure::untrusted(StatusCode::BadIdentityTokenRejected, text)
    })
}

/// The policy with which a user's secret is encrypted or his proof signed.
fn security_of(
    policy: &UserTokenPolicy,
    protection: Protection,
) -> Result<SecurityPolicy, Failure> {
    let uri = policy.security_policy_uri.as_ref();
    if uri.is_empty() {
        return Ok(protection.policy);
    }
    match SecurityPolicy::from_uri(uri) {
        SecurityPolicy::Unknown => {
            let text = format!("the machine wants users under the unknown policy {uri}");
            Err(Failure::untrusted(StatusCode::BadSecurityPolicyRejected, text))
        }
        known => Ok(known),
    }
}

fn proved<'a>(challenge: &Challenge<'a>) -> Result<&'a PeerCertificate, Failure> {
    challenge.certificate.ok_or_else(|| {
        let text = "the machine has not shown a certificate that is trusted, so it is told nothing \
                    secret";
        Failure::untrusted(StatusCode::BadCertificateUntrusted, text)
    })
}

/// Encrypts a secret for the machine (Part 4 §7.37.2): its length, it, the nonce. Never sent as it
/// is, but over a channel that is encrypted itself.
fn conceal(
    secret: &[u8],
    policy: &UserTokenPolicy,
    challenge: &Challenge<'_>,
) -> Result<(ByteString, UAString), Failure> {
    let with = security_of(policy, challenge.protection)?;
    if with == SecurityPolicy::None {
        if challenge.protection.mode == MessageSecurityMode::SignAndEncrypt {
            return Ok((ByteString::from(secret), UAString::null()));
        }
        let text = "the machine wants passwords that everybody can read; use another `security`";
        return Err(Failure::untrusted(StatusCode::BadSecurityPolicyRejected, text));
    }
    let key = &proved(challenge)?.key;
    let length = u32::try_from(secret.len() + challenge.nonce.len()).unwrap_or(u32::MAX);
    let plain = [&length.to_le_bytes(), secret, challenge.nonce.as_ref()].concat();
    let mut cipher = vec![0; with.calculate_cipher_text_size(plain.len(), key)];
    let size = with.asymmetric_encrypt(key, &plain, &mut cipher).map_err(|error| {
        Failure::untrusted(error.status(), "the secret cannot be encrypted for the machine")
    })?;
    cipher.truncate(size);
    let algorithm = with.asymmetric_encryption_algorithm().unwrap_or_default();
    Ok((ByteString::from(cipher), algorithm.into()))
}
