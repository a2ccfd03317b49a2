//! Where the wire meets the services: whole requests go in, responses come out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use opcua::core::ResponseMessage;
use opcua::crypto::SecurityPolicy;
use opcua::types::MessageSecurityMode;
use tokio::sync::mpsc;

use crate::app::refusals::Refusal;
use crate::channel::pki::{NotTrusted, PeerCertificate};

/// What a channel is, for those who answer its requests.
#[derive(Debug)]
pub struct ChannelInfo {
    /// Its id.
    pub id: u32,
    /// Policy.
    pub policy: SecurityPolicy,
    /// Mode.
    pub mode: MessageSecurityMode,
    /// Certificate of the client; absent under policy None.
    pub certificate: Option<PeerCertificate>,
    /// Where the client is.
    pub peer: SocketAddr,
    /// The URL with which it connected.
    pub endpoint_url: String,
    /// Largest message that it takes, 0 for any.
    pub response_max: usize,
    /// Takes responses that come later.
    pub outgoing: mpsc::Sender<Outgoing>,
    established: AtomicBool,
}

impl ChannelInfo {
    /// A channel on which nobody has logged on yet.
    pub fn new(
        (id, policy, mode): (u32, SecurityPolicy, MessageSecurityMode),
        certificate: Option<PeerCertificate>,
        (peer, endpoint_url): (SocketAddr, String),
        response_max: usize,
        outgoing: mpsc::Sender<Outgoing>,
    ) -> ChannelInfo {
        let established = AtomicBool::new(false);
        ChannelInfo {
            id,
            policy,
            mode,
            certificate,
            peer,
            endpoint_url,
            response_max,
            outgoing,
            established,
        }
    }

    /// A session is active on the channel: larger messages are taken from now on.
    pub fn establish(&self) {
        self.established.store(true, Ordering::Relaxed);
    }

    /// Whether a session was ever active on it.
    pub fn is_established(&self) -> bool {
        self.established.load(Ordering::Relaxed)
    }

    /// Sends a response that was kept waiting; says whether the connection took it.
    pub fn send(&self, request: u32, reply: Reply) -> bool {
        self.outgoing.try_send(Outgoing { request, reply }).is_ok()
    }
}

/// A response.
#[derive(Debug)]
pub enum Reply {
    /// To be encoded.
    Message(Box<ResponseMessage>),
    /// Encoded already, with its type id.
    Encoded(Bytes),
    /// It comes later, over the channel's queue.
    Later,
}

impl<T: Into<ResponseMessage>> From<T> for Reply {
    fn from(message: T) -> Reply {
        Reply::Message(Box::new(message.into()))
    }
}

/// A response on its way to a client.
#[derive(Debug)]
pub struct Outgoing {
    /// The request that it answers.
    pub request: u32,
    /// The response.
    pub reply: Reply,
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request; the body is type id and request as they came.
    fn handle(
        self: Arc<Self>,
        channel: Arc<ChannelInfo>,
        request: u32,
        body: Bytes,
    ) -> BoxFuture<'static, Reply>;

    /// A channel was opened.
    fn opened(&self, channel: &ChannelInfo);

    /// A channel is gone.
    fn closed(&self, channel: &ChannelInfo);

    /// A peer was turned away.
    fn refused(&self, peer: SocketAddr, refusal: Refusal, reason: &str);

    /// A peer's certificate was refused.
    fn certificate_refused(&self, peer: SocketAddr, why: &NotTrusted);
}
