//! A session with a machine (Part 4 §5.7): begun, taken up again over another connection, closed.
//!
//! A session does not end with its connection: its [`Passport`] is what is needed to go on with it,
//! so that the machine's subscriptions and what they have queued are still there.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use opcua::core::RequestMessage;
use opcua::types::{
    ActivateSessionRequest, ApplicationDescription, ApplicationType, ByteString,
    CloseSessionRequest, ContextOwned, CreateSessionRequest, CreateSessionResponse, DateTime,
    EndpointDescription, NodeId, ObjectId, RequestHeader, SignatureData, StatusCode,
    TimestampsToReturn, UAString,
};

use super::answer::{encode, open, whole};
use super::connection::Connection;
use super::endpoint::fits;
use super::failure::Failure;
use super::identity::{Challenge, User, present};
use super::limits::Limits;
use super::open::{Parties, off_the_workers};
use super::vendor::Vendor;
use crate::channel::pki::PeerCertificate;
use crate::channel::signature::{sign, verify};

/// Our name among applications; it stands in our certificate too.
pub const APPLICATION_URI: &str = "urn:linewright:client";
/// Length of what the machine has to sign, in bytes (Part 4 §5.7.2).
const NONCE: usize = 32;
/// How long a machine keeps a session that nothing is heard of. Machines have few, and keep what
/// dead clients leave behind.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a request may take if nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What is needed to go on with a session. Whoever has it has the session, so it cannot be printed.
#[derive(Clone)]
pub struct Passport {
    token: NodeId,
    nonce: ByteString,
    endpoint: EndpointDescription,
    /// Shared, since what was learned of a machine holds for who goes on.
    limits: Arc<Mutex<Limits>>,
    vendor: Vendor,
    /// How long the machine keeps the session without hearing of us.
    pub timeout: Duration,
}

/// Whom we talk to and how we present ourselves.
#[derive(Clone)]
pub struct Manners {
    /// URL under which the machine was reached.
    pub url: String,
    /// Name of the session, for the people at the machine.
    pub name: String,
    /// As whom we log on.
    pub user: User,
    /// The endpoint as it was found; absent without protection, when nothing was asked before.
    pub endpoint: Option<EndpointDescription>,
    /// The machine's certificate, judged; it may have one on an unprotected connection too.
    pub machine: Option<PeerCertificate>,
}

/// A session that is active on a connection.
pub struct Session {
    connection: Connection,
    parties: Arc<Parties>,
    context: Arc<ContextOwned>,
    passport: Passport,
    handles: AtomicU32,
}

impl Session {
    /// Begins a session.
    pub async fn begin(
        connection: Connection,
        parties: Arc<Parties>,
        context: Arc<ContextOwned>,
        manners: &Manners,
    ) -> Result<Session, Failure> {
        let passport = create(&connection, &parties, &context, manners).await?;
        let mut session = Session::go_on(connection, parties, context, manners, passport).await?;
        let said = session.read(&Limits::questions(), TimestampsToReturn::Neither).await?;
        session.passport.limits = Arc::new(Mutex::new(Limits::of(&said)));
        session.passport.vendor = Limits::vendor(&said);
        Ok(session)
    }

    /// Goes on with a session over this connection.
    pub async fn go_on(
        connection: Connection,
        parties: Arc<Parties>,
        context: Arc<ContextOwned>,
        manners: &Manners,
        passport: Passport,
    ) -> Result<Session, Failure> {
        let handles = AtomicU32::new(1);
        let mut session = Session { connection, parties, context, passport, handles };
        session.activate(manners).await?;
        Ok(session)
    }

    async fn activate(&mut self, manners: &Manners) -> Result<(), Failure> {
        let (parties, user) = (self.parties.clone(), manners.user.clone());
        let machine = manners.machine.clone();
        let (endpoint, nonce) = (self.passport.endpoint.clone(), self.passport.nonce.clone());
        let proving = move || {
            let certificates = parties.certificates.as_ref();
            let challenge = Challenge {
                protection: parties.protection,
                endpoint: &endpoint,
                certificate: machine.as_ref(),
                nonce: &nonce,
            };
            let token = present(&user, &challenge)?;
            let signature = match certificates {
                Some((own, peer)) => {
                    let signed =
                        sign(parties.protection.policy, &own.key, peer.der.as_ref(), &nonce);
                    signed.map_err(|status| Failure::untrusted(status, "our key cannot sign"))?
                }
                None => SignatureData::default(),
            };
            Ok((token, signature))
        };
        let ((token, user_signature), signature) = tokio::task::spawn_blocking(proving)
            .await
            .unwrap_or(Err(Failure::lost(StatusCode::BadInternalError, "no proof was made")))?;
        let request = ActivateSessionRequest {
            request_header: self.header(PATIENCE),
            client_signature: signature,
            client_software_certificates: None,
            locale_ids: Some(vec!["en".into()]),
            user_identity_token: token,
            user_token_signature: user_signature,
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context.context();
        let expected = ObjectId::ActivateSessionResponse_Encoding_DefaultBinary;
        let mut reader = open(&answer, &context, expected)?;
        self.passport.nonce = reader.plain().map_err(super::answer::unreadable)?;
        Ok(())
    }

    /// What is needed to go on with this session.
    pub fn passport(&self) -> &Passport {
        &self.passport
    }

    /// How much the machine takes at once.
    pub fn limits(&self) -> Limits {
        *self.passport.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the machine takes less at once than it says.
    pub(super) fn learn(&self, less: impl FnOnce(&mut Limits)) {
        less(&mut self.passport.limits.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Asks for things in parts that the machine takes; where it refuses a part because that is too many, it is
    /// asked for fewer, from now on.
    pub(super) async fn in_parts<'a, T, R, Answered>(
        &self,
        all: &'a [T],
        most: impl Fn(&mut Limits) -> &mut usize,
        ask: impl Fn(&'a [T]) -> Answered,
    ) -> Result<Vec<R>, Failure>
    where
        Answered: Future<Output = Result<Vec<R>, Failure>>,
    {
        let (mut answers, mut rest) = (Vec::with_capacity(all.len()), all);
        while !rest.is_empty() {
            let at_once = *most(&mut self.limits());
            let (part, after) = rest.split_at(rest.len().min(at_once));
            match ask(part).await {
                Ok(answered) => {
                    answers.extend(answered);
                    rest = after;
                }
                Err(failure) if failure.is_too_many() && part.len() > 1 => {
                    self.learn(|limits| *most(limits) = part.len() / 2);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(answers)
    }

    /// Whose server the machine's is.
    pub fn vendor(&self) -> Vendor {
        self.passport.vendor
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What messages are read and written with.
    pub fn context(&self) -> &ContextOwned {
        &self.context
    }

    /// The header of a request.
    pub fn header(&self, patience: Duration) -> RequestHeader {
        let handle = self.handles.fetch_add(1, Ordering::Relaxed);
        header(self.passport.token.clone(), handle, patience)
    }

    /// Asks something.
    pub async fn ask(
        &self,
        request: impl Into<RequestMessage>,
        patience: Duration,
    ) -> Result<Bytes, Failure> {
        let request = encode(&request.into(), &self.context.context())?;
        self.connection.ask(request, patience).await
    }

    /// Ends the session, its subscriptions too, and the connection: machines have few of them.
    pub async fn close(&self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let request = CloseSessionRequest {
            request_header: self.header(PATIENCE),
            delete_subscriptions: true,
        };
        // A machine that does not answer forgets the session in time.
        let _ = self.ask(request, PATIENCE).await;
        let _ = tokio::time::timeout(PATIENCE, self.connection.close(&self.context)).await;
    }
}

fn header(token: NodeId, handle: u32, patience: Duration) -> RequestHeader {
    RequestHeader {
        authentication_token: token,
        timestamp: DateTime::now(),
        request_handle: handle,
        timeout_hint: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
        ..RequestHeader::dummy()
    }
}

async fn create(
    connection: &Connection,
    parties: &Arc<Parties>,
    context: &ContextOwned,
    manners: &Manners,
) -> Result<Passport, Failure> {
    let nonce = opcua::crypto::random::byte_string(NONCE);
    let own = parties.certificates.as_ref().map(|(own, _)| own.der.clone());
    let request = CreateSessionRequest {
        request_header: header(NodeId::null(), 0, PATIENCE),
        client_description: ApplicationDescription {
            application_uri: APPLICATION_URI.into(),
            product_uri: "urn:linewright".into(),
            application_name: "Linewright".into(),
            application_type: ApplicationType::Client,
            ..ApplicationDescription::default()
        },
        server_uri: UAString::null(),
        endpoint_url: manners.url.as_str().into(),
        session_name: manners.name.as_str().into(),
        client_nonce: nonce.clone(),
        client_certificate: own.unwrap_or_default(),
        requested_session_timeout: TIMEOUT.as_secs_f64() * 1000.0,
        max_response_message_size: u32::try_from(super::greet::MESSAGE_MAX).unwrap_or(0),
    };
    let request = encode(&request.into(), &context.context())?;
    let answer = connection.ask(request, PATIENCE).await?;
    let response: CreateSessionResponse =
        whole(&answer, &context.context(), ObjectId::CreateSessionResponse_Encoding_DefaultBinary)?;
    check_machine(parties, &response, nonce).await?;
    let endpoint = endpoint_of(parties, &response, manners)?;
    let timeout = Duration::try_from_secs_f64(response.revised_session_timeout / 1000.0);
    Ok(Passport {
        token: response.authentication_token,
        nonce: response.server_nonce,
        endpoint,
        limits: Arc::default(),
        vendor: Vendor::default(),
        timeout: timeout.unwrap_or(TIMEOUT),
    })
}

/// The machine has the key of the certificate with which the channel was opened.
async fn check_machine(
    parties: &Arc<Parties>,
    response: &CreateSessionResponse,
    nonce: ByteString,
) -> Result<(), Failure> {
    if parties.certificates.is_none() {
        return Ok(());
    }
    let (parties, signature) = (parties.clone(), response.server_signature.clone());
    let certificate = response.server_certificate.clone();
    let checked = off_the_workers(true, move || {
        let Some((own, peer)) = &parties.certificates else { return Ok(()) };
        if !certificate.as_ref().starts_with(peer.der.as_ref()) {
            return Err(StatusCode::BadCertificateInvalid);
        }
        verify(parties.protection.policy, peer, own.der.as_ref(), &nonce, &signature)
    });
    checked.await.map_err(|status| {
        Failure::untrusted(status, "the machine does not prove that its certificate is its own")
    })
}

/// The endpoint that is used, as the machine names it inside the session: somebody between us may
/// have changed what was asked before (Part 4 §5.7.2).
fn endpoint_of(
    parties: &Parties,
    response: &CreateSessionResponse,
    manners: &Manners,
) -> Result<EndpointDescription, Failure> {
    let named = response.server_endpoints.as_deref().unwrap_or_default();
    if let Some(endpoint) = named.iter().find(|endpoint| fits(endpoint, parties.protection)) {
        return Ok(endpoint.clone());
    }
    match &manners.endpoint {
        Some(endpoint) if named.is_empty() => Ok(endpoint.clone()),
        _ => {
            let text = "the machine does not offer the endpoint that it was reached at";
            Err(Failure::untrusted(StatusCode::BadSecurityChecksFailed, text))
        }
    }
}
