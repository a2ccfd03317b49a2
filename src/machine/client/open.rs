//! Opening and renewing the secure channel as the side that asks (Part 4 §5.6.2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use opcua::types::{
    ByteString, ContextOwned, DateTime, ObjectId, OpenSecureChannelRequest,
    OpenSecureChannelResponse, RequestHeader, SecurityTokenRequestType, StatusCode,
};

use super::answer::{encode, whole};
use super::failure::Failure;
use super::greet::told;
use super::target::Protection;
use crate::channel::asymmetric::{
    OpenedChunk, Sealing, open_header, open_plain, open_secured, seal,
};
use crate::channel::frame::{Frame, FrameKind};
use crate::channel::pki::{OwnIdentity, PeerCertificate, split_chain};
use crate::channel::symmetric::{Channel, Nonces};

/// The life of a token that is asked for.
const LIFETIME: Duration = Duration::from_secs(3600);
/// What a machine may make of it.
const LIFETIME_MIN: Duration = Duration::from_secs(10);
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// Who both sides are.
pub struct Parties {
    /// How the connection is protected.
    pub protection: Protection,
    /// Certificates of both sides, ours first; absent without protection.
    pub certificates: Option<(Arc<OwnIdentity>, PeerCertificate)>,
}

impl Parties {
    /// Nobody has to prove anything.
    pub fn unprotected() -> Parties {
        Parties { protection: Protection::NONE, certificates: None }
    }
}

/// What was asked, and what the answer is read with.
pub struct Asked {
    nonce: ByteString,
    kind: SecurityTokenRequestType,
}

/// Writes the request to open or renew a channel.
pub async fn ask(
    parties: &Arc<Parties>,
    channel: &mut Channel,
    request: u32,
    context: &ContextOwned,
    out: &mut BytesMut,
) -> Result<Asked, Failure> {
    let Protection { policy, mode } = parties.protection;
    let nonce = policy.random_nonce();
    let kind = match channel.id() {
        0 => SecurityTokenRequestType::Issue,
        _ => SecurityTokenRequestType::Renew,
    };
    let message = OpenSecureChannelRequest {
        request_header: RequestHeader {
            timestamp: DateTime::now(),
            request_handle: request,
            ..RequestHeader::dummy()
        },
        client_protocol_version: 0,
        request_type: kind,
        security_mode: mode,
        client_nonce: nonce.clone(),
        requested_lifetime: u32::try_from(LIFETIME.as_millis()).unwrap_or(u32::MAX),
    };
    let message = encode(&message.into(), &context.context())?;
    let (id, numbers) = (channel.id(), (channel.next_sequence(), request));
    let parties = parties.clone();
    let sealed = off_the_workers(parties.certificates.is_some(), move || {
        let mut out = BytesMut::new();
        let certificates = parties.certificates.as_ref().map(|(own, peer)| (&**own, peer));
        seal(&Sealing { policy, certificates }, id, numbers, &message, &mut out).map(|()| out)
    });
    let sealed = sealed.await.map_err(|status| {
        Failure::malformed(status, "the channel cannot be opened with these certificates")
    })?;
    out.extend_from_slice(&sealed);
    Ok(Asked { nonce, kind })
}

/// Takes the answer: the channel has its token, and what it lives.
pub async fn answered(
    parties: &Arc<Parties>,
    channel: &mut Channel,
    asked: &Asked,
    frame: Frame,
    context: &ContextOwned,
) -> Result<Duration, Failure> {
    match frame.header.kind {
        FrameKind::Open => {}
        FrameKind::Error => return Err(told(&frame.bytes)),
        _ => {
            let text = "the machine answers something else than that a channel is open";
            return Err(Failure::malformed(StatusCode::BadTcpMessageTypeInvalid, text));
        }
    }
    let opened = unseal(parties.clone(), frame).await?;
    let wrong = |status| Failure::malformed(status, "the machine opens the channel wrongly");
    channel.accept_sequence(opened.sequence).map_err(wrong)?;
    let response: OpenSecureChannelResponse = whole(
        &opened.message,
        &context.context(),
        ObjectId::OpenSecureChannelResponse_Encoding_DefaultBinary,
    )?;
    let token = response.security_token;
    let policy = parties.protection.policy;
    let nonce = response.server_nonce.as_ref();
    if parties.protection.is_secured() && nonce.len() != policy.secure_channel_nonce_length() {
        return Err(wrong(StatusCode::BadNonceInvalid));
    }
    match asked.kind {
        SecurityTokenRequestType::Issue if token.channel_id != 0 => {
            channel.set_id(token.channel_id);
        }
        SecurityTokenRequestType::Renew if token.channel_id == channel.id() => {}
        _ => return Err(wrong(StatusCode::BadTcpSecureChannelUnknown)),
    }
    let lifetime = Duration::from_millis(u64::from(token.revised_lifetime));
    let lifetime = lifetime.clamp(LIFETIME_MIN, LIFETIME_MAX);
    let nonces = Nonces { own: asked.nonce.as_ref(), peer: nonce };
    channel.add_token(Instant::now(), token.token_id, lifetime, &nonces);
    Ok(lifetime)
}

async fn unseal(parties: Arc<Parties>, frame: Frame) -> Result<OpenedChunk, Failure> {
    let wrong = |status| {
        Failure::untrusted(status, "the machine's answer is not signed and encrypted as it must be")
    };
    let opened = off_the_workers(parties.certificates.is_some(), move || {
        let header = open_header(&frame.bytes)?;
        if header.policy != parties.protection.policy {
            return Err(StatusCode::BadSecurityPolicyRejected);
        }
        let Some((own, peer)) = &parties.certificates else {
            return open_plain(&frame.bytes, header.body);
        };
        if split_chain(header.certificate).first() != Some(&peer.der.as_ref()) {
            return Err(StatusCode::BadCertificateInvalid);
        }
        open_secured(&frame.bytes, &header, own, peer)
    });
    opened.await.map_err(wrong)
}

/// Operations with keys take their time; others must not wait for them.
pub async fn off_the_workers<T: Send + 'static>(
    is_costly: bool,
    work: impl FnOnce() -> Result<T, StatusCode> + Send + 'static,
) -> Result<T, StatusCode> {
    if !is_costly {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StatusCode::BadInternalError))
}
