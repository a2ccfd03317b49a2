//! Opening and renewing a secure channel (Part 4 §5.6.2): policy, trust, proof, keys, in this order,
//! so that nothing expensive is done for a peer that would be refused anyway.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::crypto::SecurityPolicy;
use opcua::types::{
    ByteString, ChannelSecurityToken, MessageSecurityMode, OpenSecureChannelRequest,
    OpenSecureChannelResponse, ResponseHeader, SecurityTokenRequestType, StatusCode,
};

use super::Wire;
use super::connection::{Connection, End};
use super::encode::{encode_message, read_open_request};
use super::handler::ChannelInfo;
use crate::channel::asymmetric::{
    OpenedChunk, Sealing, open_header, open_plain, open_secured, seal,
};
use crate::channel::frame::{Frame, Side};
use crate::channel::pki::{NotTrusted, PeerCertificate};
use crate::channel::symmetric::{Channel, Nonces};
use crate::channel::time::now_date_time;

/// Shortest and longest life of a token.
const LIFETIME_MIN: Duration = Duration::from_secs(30);
const LIFETIME_MAX: Duration = Duration::from_secs(3600);

/// Who has opened a chunk, and what was inside.
type Proved = (Option<PeerCertificate>, OpenedChunk);

enum NotProved {
    Untrusted(Box<NotTrusted>),
    Wrong(StatusCode),
}

impl Connection {
    /// Opens or renews the channel.
    pub(super) async fn open(&mut self, frame: Frame) -> Result<(), End> {
        let header = open_header(&frame.bytes)?;
        let (policy, channel_id) = (header.policy, header.channel);
        if !self.wire.offers(policy, None) {
            return Err(StatusCode::BadSecurityPolicyRejected.into());
        }
        let expected = self.channel.as_ref().map_or(0, |(channel, _)| channel.id());
        if channel_id != expected && channel_id != 0 {
            return Err(StatusCode::BadTcpSecureChannelUnknown.into());
        }
        let (peer, opened) = prove(self.wire.clone(), self.peer, policy, frame).await?;
        let request = {
            let context = self.wire.early_context.context();
            read_open_request(&opened.message, &context)?
        };
        if !self.wire.offers(policy, Some(request.security_mode)) {
            return Err(StatusCode::BadSecurityModeRejected.into());
        }
        let nonce = request.client_nonce.as_ref();
        let nonce_length = policy.secure_channel_nonce_length();
        if policy != SecurityPolicy::None && nonce.len() != nonce_length {
            return Err(StatusCode::BadNonceInvalid.into());
        }
        match request.request_type {
            SecurityTokenRequestType::Issue if self.channel.is_none() => {
                self.issue(policy, request.security_mode, peer);
            }
            SecurityTokenRequestType::Renew => self.check_renewal(policy, &request, &peer)?,
            SecurityTokenRequestType::Issue => {
                return Err(StatusCode::BadTcpSecureChannelUnknown.into());
            }
        }
        self.answer(&opened, &request)
    }

    fn issue(
        &mut self,
        policy: SecurityPolicy,
        mode: MessageSecurityMode,
        peer: Option<PeerCertificate>,
    ) {
        let id = self.wire.next_id();
        let info = ChannelInfo::new(
            (id, policy, mode),
            peer,
            (self.peer, std::mem::take(&mut self.endpoint_url)),
            self.limits.response_max(),
            self.sender.clone(),
        );
        self.channel = Some((Channel::new(Side::Server, id, policy, mode), Arc::new(info)));
    }

    /// A channel is renewed by who has opened it, as it was opened.
    fn check_renewal(
        &self,
        policy: SecurityPolicy,
        request: &OpenSecureChannelRequest,
        peer: &Option<PeerCertificate>,
    ) -> Result<(), End> {
        let Some((_, info)) = &self.channel else {
            return Err(StatusCode::BadTcpSecureChannelUnknown.into());
        };
        let fingerprint = |peer: &Option<PeerCertificate>| {
            peer.as_ref().map(|certificate| certificate.fingerprint.clone())
        };
        let is_same = info.policy == policy
            && info.mode == request.security_mode
            && fingerprint(&info.certificate) == fingerprint(peer);
        if is_same { Ok(()) } else { Err(StatusCode::BadSecurityChecksFailed.into()) }
    }

    fn answer(
        &mut self,
        opened: &OpenedChunk,
        request: &OpenSecureChannelRequest,
    ) -> Result<(), End> {
        let wire = self.wire.clone();
        let Some((channel, info)) = &mut self.channel else {
            return Err(StatusCode::BadInternalError.into());
        };
        channel.accept_sequence(opened.sequence)?;
        let nonce = info.policy.random_nonce();
        let requested = Duration::from_millis(u64::from(request.requested_lifetime));
        let lifetime = match requested {
            Duration::ZERO => LIFETIME_MAX,
            wanted => wanted.clamp(LIFETIME_MIN, LIFETIME_MAX),
        };
        let token = wire.next_id();
        let nonces = Nonces { own: nonce.as_ref(), peer: request.client_nonce.as_ref() };
        channel.add_token(Instant::now(), token, lifetime, &nonces);
        let response = OpenSecureChannelResponse {
            response_header: ResponseHeader {
                timestamp: now_date_time(&*wire.clock),
                request_handle: request.request_header.request_handle,
                ..ResponseHeader::null()
            },
            server_protocol_version: 0,
            security_token: ChannelSecurityToken {
                channel_id: channel.id(),
                token_id: token,
                created_at: now_date_time(&*wire.clock),
                revised_lifetime: u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX),
            },
            server_nonce: if nonce.is_null() { ByteString::null() } else { nonce },
        };
        let mut message = Vec::new();
        encode_message(&response.into(), &wire.context.context(), &mut message)?;
        let own = wire.own();
        let certificates = info.certificate.as_ref().map(|peer| (&*own, peer));
        let sealing = Sealing { policy: info.policy, certificates };
        let numbers = (channel.next_sequence(), opened.request);
        seal(&sealing, channel.id(), numbers, &message, &mut self.out)?;
        if self.admission.phase() != super::admission::Phase::Open {
            self.admission.opened();
            wire.handler.opened(info);
        }
        Ok(())
    }
}

/// Who the peer is, and that it is so. Costs operations with the private key, so only few are
/// done at once, and not where others are waited for.
async fn prove(
    wire: Arc<Wire>,
    from: SocketAddr,
    policy: SecurityPolicy,
    frame: Frame,
) -> Result<Proved, End> {
    if policy == SecurityPolicy::None {
        let body = open_header(&frame.bytes)?.body;
        return Ok((None, open_plain(&frame.bytes, body)?));
    }
    let _permit = wire.proofs.acquire().await.map_err(|_| StatusCode::BadShutdown)?;
    let prover = wire.clone();
    let proof = tokio::task::spawn_blocking(move || -> Result<Proved, NotProved> {
        let header = open_header(&frame.bytes).map_err(NotProved::Wrong)?;
        let now = prover.now_seconds();
        let peer = prover.trust.judge(header.certificate, now);
        let peer = peer.map_err(|why| NotProved::Untrusted(Box::new(why)))?;
        let own = prover.own();
        let opened = open_secured(&frame.bytes, &header, &own, &peer);
        Ok((Some(peer), opened.map_err(NotProved::Wrong)?))
    });
    match proof.await {
        Ok(Ok(proved)) => Ok(proved),
        Ok(Err(NotProved::Wrong(status))) => Err(status.into()),
        Ok(Err(NotProved::Untrusted(why))) => {
            wire.handler.certificate_refused(from, &why);
            // What exactly is wrong is for our log, not for a stranger (Part 4 §6.1.3).
            let reason = match &why.certificate {
                Some(certificate) => format!(
                    "this client's certificate {} is not accepted; see the server's log",
                    certificate.short_id()
                ),
                None => "this client's certificate is not accepted".to_owned(),
            };
            Err(End::Untrusted(reason))
        }
        Err(_) => Err(StatusCode::BadInternalError.into()),
    }
}
