//! CreateSession, ActivateSession, CloseSession, Cancel (Part 4 §5.7).

use std::sync::Arc;
use std::time::Duration;

use opcua::crypto::SecurityPolicy;
use opcua::types::{
    ActivateSessionRequest, ActivateSessionResponse, ByteString, CancelRequest, CancelResponse,
    CloseSessionRequest, CloseSessionResponse, CreateSessionRequest, CreateSessionResponse, Guid,
    MessageSecurityMode, NodeId, SignatureData, StatusCode,
};

use super::Services;
use super::dispatch::Asked;
use super::identity::may_rebind;
use super::respond::header;
use super::session::{Beginning, Identity, Session};
use crate::channel::signature;
use crate::server::space::Asker;
use crate::server::wire::{ChannelInfo, Reply};

/// Length of what a client has to sign, and of session tokens, in bytes.
const NONCE: usize = 32;
/// Longest name of a session that is kept.
const NAME_MAX: usize = 256;
/// Languages and earlier users that are kept.
const KEPT_MAX: usize = 10;
/// Index of the namespace of this server (Part 5 §6.3.1).
const LOCAL: u16 = 1;

fn random_bytes(count: usize) -> ByteString {
    let mut bytes = vec![0; count];
    opcua::crypto::random::bytes(&mut bytes);
    ByteString::from(bytes)
}

impl Services {
    /// The session of a request, if the request may use it.
    pub(super) fn session(
        &self,
        channel: &Arc<ChannelInfo>,
        token: &NodeId,
    ) -> Result<Arc<Session>, StatusCode> {
        let session = self.sessions.find(token).ok_or(StatusCode::BadSessionIdInvalid)?;
        if session.binding().channel.id != channel.id {
            return Err(StatusCode::BadSecureChannelIdInvalid);
        }
        if !session.is_active() {
            self.end_session(&session, true, "used before it was activated");
            return Err(StatusCode::BadSessionNotActivated);
        }
        session.touch();
        Ok(session)
    }

    pub(super) async fn create_session(
        &self,
        channel: Arc<ChannelInfo>,
        request: CreateSessionRequest,
    ) -> Result<Reply, StatusCode> {
        self.check_client(&channel, &request)?;
        let wanted = Duration::try_from_secs_f64(request.requested_session_timeout / 1000.0);
        let limits = self.limits.sessions;
        let timeout = match wanted {
            Ok(wanted) if !wanted.is_zero() => wanted.clamp(limits.timeout_min, limits.timeout_max),
            _ => limits.timeout_max,
        };
        let nonce = random_bytes(NONCE);
        let mut name = request.session_name.as_ref().to_owned();
        name.truncate(
            (0..=NAME_MAX.min(name.len())).rfind(|at| name.is_char_boundary(*at)).unwrap_or(0),
        );
        let session = Session::new(Beginning {
            id: NodeId::new(LOCAL, Guid::new()),
            token: NodeId::new(0, random_bytes(NONCE)),
            name,
            client: request.client_description,
            endpoint_url: request.endpoint_url.as_ref().to_owned(),
            timeout,
            created: self.clock.now(),
            response_max: request.max_response_message_size,
            nonce: nonce.clone(),
            channel: channel.clone(),
        });
        let server_signature = self.sign(&channel, &request.client_nonce).await?;
        let endpoints = self.endpoint_descriptions(request.endpoint_url.as_ref());
        if let Some(oldest) = self.sessions.add(session.clone()) {
            self.end_session(&oldest, true, "gave way to a newer one before it was activated");
        }
        self.counts.session_created();
        self.audit_session(&session, "CreateSession", StatusCode::Good);
        let is_secured = channel.policy != SecurityPolicy::None;
        Ok(CreateSessionResponse {
            response_header: header(&request.request_header, self.now(), StatusCode::Good),
            session_id: session.id.clone(),
            authentication_token: session.token.clone(),
            revised_session_timeout: timeout.as_secs_f64() * 1000.0,
            server_nonce: nonce,
            server_certificate: if is_secured { self.own.der.clone() } else { ByteString::null() },
            server_endpoints: Some(endpoints),
            server_software_certificates: None,
            server_signature,
            max_request_message_size: u32::try_from(self.limits.wire.message.size).unwrap_or(0),
        }
        .into())
    }

    /// The client of a session is the one that has opened the channel.
    fn check_client(
        &self,
        channel: &ChannelInfo,
        request: &CreateSessionRequest,
    ) -> Result<(), StatusCode> {
        let Some(certificate) = &channel.certificate else {
            return Ok(());
        };
        if request.client_nonce.as_ref().len() < NONCE {
            return Err(StatusCode::BadNonceInvalid);
        }
        let sent = request.client_certificate.as_ref();
        if !sent.starts_with(certificate.der.as_ref()) {
            return Err(StatusCode::BadCertificateInvalid);
        }
        let uri = request.client_description.application_uri.as_ref();
        if certificate.application_uri().as_deref() != Some(uri) {
            self.audit_uri_mismatch(channel, uri);
            return Err(StatusCode::BadCertificateUriInvalid);
        }
        Ok(())
    }

    /// Signs what the client has sent, which proves that our key is ours.
    async fn sign(
        &self,
        channel: &Arc<ChannelInfo>,
        nonce: &ByteString,
    ) -> Result<SignatureData, StatusCode> {
        let Some(certificate) = &channel.certificate else {
            return Ok(SignatureData::default());
        };
        let (own, policy, nonce) = (self.own.clone(), channel.policy, nonce.clone());
        let certificate = certificate.der.clone();
        let signing = tokio::task::spawn_blocking(move || {
            signature::sign(policy, &own.key, certificate.as_ref(), &nonce)
        });
        let signed = signing.await.map_err(|_| StatusCode::BadInternalError)?;
        signed.map_err(|_| StatusCode::BadInternalError)
    }

    pub(super) async fn activate_session(
        &self,
        channel: Arc<ChannelInfo>,
        request: ActivateSessionRequest,
    ) -> Result<Reply, StatusCode> {
        let token = &request.request_header.authentication_token;
        let session = self.sessions.find(token).ok_or(StatusCode::BadSessionIdInvalid)?;
        let activated = self.log_on(&session, &channel, &request).await;
        let status = activated.as_ref().err().copied().unwrap_or(StatusCode::Good);
        self.audit_activation(&session, &request, status);
        let nonce = match activated {
            Ok(nonce) => nonce,
            Err(status) => {
                self.counts.session_refused(status);
                return Err(status);
            }
        };
        Ok(ActivateSessionResponse {
            response_header: header(&request.request_header, self.now(), StatusCode::Good),
            server_nonce: nonce,
            results: None,
            diagnostic_infos: None,
        }
        .into())
    }

    async fn log_on(
        &self,
        session: &Arc<Session>,
        channel: &Arc<ChannelInfo>,
        request: &ActivateSessionRequest,
    ) -> Result<ByteString, StatusCode> {
        let (bound, nonce, is_active) = {
            let binding = session.binding();
            (binding.channel.id, binding.nonce.clone(), binding.user.is_some())
        };
        // A session that nobody has logged on to belongs to the channel that has made it.
        if bound != channel.id && !is_active {
            return Err(StatusCode::BadSecureChannelIdInvalid);
        }
        if let Some(certificate) = &channel.certificate {
            let signature = &request.client_signature;
            let own = self.own.der.as_ref();
            signature::verify(channel.policy, certificate, own, &nonce, signature)?;
        }
        let user = self.identify(channel, request, &nonce).await?;
        if bound != channel.id && !may_rebind(session, channel, &user) {
            return Err(StatusCode::BadSecurityChecksFailed);
        }
        if !is_active {
            self.sessions.may_activate(session, &user.name)?;
        }
        let next = random_bytes(NONCE);
        self.bind(session, channel, (nonce, next.clone()), user, request)?;
        session.touch();
        channel.establish();
        Ok(next)
    }

    fn bind(
        &self,
        session: &Session,
        channel: &Arc<ChannelInfo>,
        (nonce, next): (ByteString, ByteString),
        user: Identity,
        request: &ActivateSessionRequest,
    ) -> Result<(), StatusCode> {
        let asker = Arc::new(Asker {
            name: user.name.clone(),
            role: user.role,
            signed: channel.mode != MessageSecurityMode::None,
            encrypted: channel.mode == MessageSecurityMode::SignAndEncrypt,
        });
        let mut binding = session.binding();
        // Each nonce is good for one logon.
        if binding.nonce != nonce {
            return Err(StatusCode::BadNonceInvalid);
        }
        binding.nonce = next;
        if binding.channel.id != channel.id {
            session.publishing.drop_channel(binding.channel.id);
        }
        binding.channel = channel.clone();
        if let Some(before) = binding.user.replace(user) {
            binding.history.push(before.name);
            let surplus = binding.history.len().saturating_sub(KEPT_MAX);
            binding.history.drain(..surplus);
        }
        binding.asker = asker;
        if let Some(locales) = &request.locale_ids {
            let locales = locales.iter().take(KEPT_MAX);
            binding.locales = locales.map(|one| one.as_ref().to_owned()).collect();
        }
        Ok(())
    }

    pub(super) fn close_session(
        &self,
        channel: &ChannelInfo,
        request: &CloseSessionRequest,
    ) -> Result<Reply, StatusCode> {
        let token = &request.request_header.authentication_token;
        let session = self.sessions.find(token).ok_or(StatusCode::BadSessionIdInvalid)?;
        if session.binding().channel.id != channel.id {
            return Err(StatusCode::BadSecureChannelIdInvalid);
        }
        self.end_session(&session, request.delete_subscriptions, "closed by the client");
        let response_header = header(&request.request_header, self.now(), StatusCode::Good);
        Ok(CloseSessionResponse { response_header }.into())
    }

    /// Ends a session. Its subscriptions end with it or live on until their lifetime is over.
    pub(super) fn end_session(&self, session: &Session, delete: bool, why: &str) {
        if !self.sessions.remove(session) {
            return;
        }
        for subscription in session.publishing.close(&*self.clock) {
            if delete {
                self.delete_subscription(&subscription);
            } else {
                subscription.lock().session = std::sync::Weak::new();
            }
        }
        tracing::debug!(session = session.name, why, "a session has ended");
        self.audit_session(session, "CloseSession", StatusCode::Good);
    }

    /// Ends sessions that nobody uses any more, and those of users who are not what they were.
    pub fn end_outdated_sessions(&self) {
        for session in self.sessions.all() {
            if session.user().is_some_and(|user| !self.logons.holds(&user)) {
                self.end_session(&session, true, "the user was removed or changed");
            }
        }
        for session in self.sessions.outdated() {
            self.counts.session_timed_out();
            // Its subscriptions wait for their own lifetime: the client may come back for them.
            self.end_session(&session, false, "not used in time");
        }
    }

    pub(super) fn cancel(&self, asked: &Asked, request: &CancelRequest) -> Reply {
        let publishing = &asked.session.publishing;
        let cancel_count = publishing.cancel(request.request_handle, &*self.clock);
        self.audit_cancel(&asked.session, request.request_handle);
        let response_header = header(&asked.header, self.now(), StatusCode::Good);
        CancelResponse { response_header, cancel_count }.into()
    }
}
