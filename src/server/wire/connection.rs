//! One connection: bytes in, frames, messages, requests; responses, chunks, bytes out.
//!
//! It owns its channel, so nothing here is locked. What the peer does not read in time ends the
//! connection, and while much is waiting to be sent, nothing more is read: a slow client delays only
//! itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use opcua::core::ResponseMessage;
use opcua::types::{ResponseHeader, ServiceFault, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Wire;
use super::admission::{Admission, Phase, Refusal, Verdict};
use super::encode::{Acknowledge, encode_message, read_hello, write_error};
use super::handler::{ChannelInfo, Outgoing, Reply};
use crate::app::refusals;
use crate::channel::assemble::Assembler;
use crate::channel::frame::{Frame, FrameKind};
use crate::channel::symmetric::Channel;

/// Requests of one connection that are worked on at once; more are not read.
const IN_WORK_MAX: usize = 16;
/// A request of more bytes has many operations: it is the only one of its connection while it is
/// worked on, so that one client's large answers do not pile up.
const LARGE: usize = 64 << 10;
/// Responses that may wait for the connection.
pub const OUTGOING_MAX: usize = 512;
/// While so many bytes wait to be sent, nothing more is read or encoded.
const HIGH_WATER: usize = 1 << 20;
/// A peer that takes nothing for so long is gone.
const STALLED: Duration = Duration::from_secs(30);
/// Smallest buffer that a peer may offer (Part 6 §7.1.2.3).
const BUFFER_MIN: u32 = 8192;
/// How long and how much is read after the last word, so that the peer gets to see it.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 1 << 16;
const READ: usize = 1 << 16;

/// What the peer takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeerLimits {
    pub chunk: usize,
    pub message: usize,
    pub chunks: usize,
}

/// Bytes of a chunk that are not its message: headers, padding and signature.
const CHUNK_OVERHEAD: usize = 1024;

impl PeerLimits {
    /// Largest message that the peer takes, 0 for any.
    pub fn response_max(self) -> usize {
        let PeerLimits { chunk, message, chunks } = self;
        let in_chunks = chunk.saturating_sub(CHUNK_OVERHEAD).saturating_mul(chunks);
        match (message, in_chunks) {
            (0, limit) | (limit, 0) => limit,
            (message, in_chunks) => message.min(in_chunks),
        }
    }
}

/// How a connection ended.
pub(super) enum End {
    /// The peer has said goodbye or gone.
    Closed,
    /// It was told to go.
    Refused(StatusCode, String),
    /// Its certificate is not accepted; what is said of that to it.
    Untrusted(String),
}

impl From<StatusCode> for End {
    fn from(status: StatusCode) -> End {
        End::Refused(status, status.sub_code().description().to_owned())
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> End {
        End::Refused(refusal.status, refusal.reason.to_owned())
    }
}

/// A connection while it lasts.
pub(super) struct Connection {
    pub wire: Arc<Wire>,
    pub peer: SocketAddr,
    pub admission: Admission,
    pub channel: Option<(Channel, Arc<ChannelInfo>)>,
    pub endpoint_url: String,
    pub limits: PeerLimits,
    pub out: BytesMut,
    pub sender: mpsc::Sender<Outgoing>,
    assembler: Assembler,
    body: Vec<u8>,
    work: FuturesUnordered<BoxFuture<'static, Outgoing>>,
    has_large: bool,
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    wire: Arc<Wire>,
    mut stream: TcpStream,
    peer: SocketAddr,
    stop: CancellationToken,
) {
    let (sender, outgoing) = mpsc::channel(OUTGOING_MAX);
    let mut connection = Connection {
        admission: Admission::new(Instant::now(), wire.limits.admission),
        assembler: Assembler::new(wire.budget.clone()),
        wire,
        peer,
        channel: None,
        endpoint_url: String::new(),
        limits: PeerLimits::default(),
        out: BytesMut::new(),
        sender,
        body: Vec::new(),
        work: FuturesUnordered::new(),
        has_large: false,
    };
    let end = connection.run(&mut stream, outgoing, &stop).await;
    if let Some((_, info)) = connection.channel.take() {
        connection.wire.handler.closed(&info);
    }
    let (status, reason) = match end {
        End::Closed => return,
        End::Refused(status, reason) => {
            connection.wire.note_refusal(peer, status, &reason);
            (status, reason)
        }
        End::Untrusted(reason) => {
            connection.wire.handler.refused(peer, refusals::Refusal::Certificate, &reason);
            (StatusCode::BadSecurityChecksFailed, reason)
        }
    };
    write_error(status, &reason, &mut connection.out);
    say_goodbye(&mut stream, &connection.out).await;
}

/// Sends the last bytes and reads on for a moment, because a close with unread bytes would destroy
/// them on their way.
pub(super) async fn say_goodbye(stream: &mut TcpStream, last: &[u8]) {
    let goodbye = async {
        stream.write_all(last).await?;
        stream.shutdown().await?;
        let (mut scratch, mut count) = ([0; 4096], 0);
        while count < LINGER_BYTES {
            match stream.read(&mut scratch).await? {
                0 => break,
                read => count += read,
            }
        }
        std::io::Result::Ok(())
    };
    // A peer that does not listen is none of our concern any more.
    let _ = tokio::time::timeout(LINGER, goodbye).await;
}

impl Connection {
    async fn run(
        &mut self,
        stream: &mut TcpStream,
        mut outgoing: mpsc::Receiver<Outgoing>,
        stop: &CancellationToken,
    ) -> End {
        let (mut reader, mut writer) = stream.split();
        let mut input = BytesMut::with_capacity(READ);
        let mut progress = Instant::now();
        loop {
            let is_full = self.out.len() >= HIGH_WATER;
            let may_read = !is_full && self.work.len() < IN_WORK_MAX && !self.has_large;
            if self.out.is_empty() {
                progress = Instant::now();
            }
            let deadline = self.deadline(progress);
            tokio::select! {
                biased;
                written = writer.write_buf(&mut self.out), if !self.out.is_empty() => match written {
                    Ok(0) | Err(_) => return End::Closed,
                    Ok(_) => progress = Instant::now(),
                },
                Some(done) = self.work.next(), if !is_full => {
                    self.has_large &= !self.work.is_empty();
                    if let Err(end) = self.reply(done) {
                        return end;
                    }
                }
                Some(later) = outgoing.recv(), if !is_full => {
                    if let Err(end) = self.reply(later) {
                        return end;
                    }
                }
                read = reader.read_buf(&mut input), if may_read => match read {
                    Ok(0) | Err(_) => return End::Closed,
                    Ok(_) => {
                        if let Err(end) = self.take(&mut input).await {
                            return end;
                        }
                    }
                },
                () = tokio::time::sleep_until(deadline.into()) => return self.too_late(progress),
                () = stop.cancelled() => {
                    return End::Refused(StatusCode::BadShutdown, "the server stops".into());
                }
            }
        }
    }

    /// The next instant at which the connection ends if nothing happens.
    fn deadline(&self, progress: Instant) -> Instant {
        let stalled = (!self.out.is_empty()).then(|| progress + STALLED);
        let expired = self.channel.as_ref().and_then(|(channel, _)| channel.expires());
        let all = [stalled, expired, self.admission.deadline()];
        let far = Instant::now() + Duration::from_secs(3600);
        all.into_iter().flatten().min().unwrap_or(far)
    }

    fn too_late(&self, progress: Instant) -> End {
        let now = Instant::now();
        if !self.out.is_empty() && now >= progress + STALLED {
            return End::Closed;
        }
        match self.admission.phase() {
            Phase::Open => End::Refused(
                StatusCode::BadSecureChannelClosed,
                "the channel was not renewed in time".into(),
            ),
            _ => End::Refused(StatusCode::BadTimeout, "no channel was opened in time".into()),
        }
    }

    /// Takes what has been read.
    async fn take(&mut self, input: &mut BytesMut) -> Result<(), End> {
        let mut verdict = self.admission.on_bytes(Instant::now(), input);
        input.clear();
        loop {
            match verdict {
                Verdict::More => return Ok(()),
                Verdict::Refused(refusal) => return Err(refusal.into()),
                Verdict::Frame(frame) => self.frame(frame).await?,
            }
            verdict = self.admission.on_bytes(Instant::now(), &[]);
        }
    }

    async fn frame(&mut self, frame: Frame) -> Result<(), End> {
        match frame.header.kind {
            FrameKind::Hello => self.hello(&frame),
            FrameKind::Open => self.open(frame).await,
            FrameKind::Message => self.message(&frame).await,
            FrameKind::Close => {
                if let Some((channel, _)) = &mut self.channel {
                    channel.open(Instant::now(), &frame)?;
                }
                Err(End::Closed)
            }
            // What only servers send is refused before it gets here.
            FrameKind::Acknowledge | FrameKind::Error => {
                Err(StatusCode::BadTcpMessageTypeInvalid.into())
            }
        }
    }

    fn hello(&mut self, frame: &Frame) -> Result<(), End> {
        let hello = read_hello(&frame.bytes)?;
        let url = hello.endpoint_url.as_ref();
        if url.len() > self.wire.limits.admission.hello_max {
            return Err(StatusCode::BadTcpEndpointUrlInvalid.into());
        }
        if hello.receive_buffer_size < BUFFER_MIN || hello.send_buffer_size < BUFFER_MIN {
            let reason = "buffers have at least 8192 bytes".to_owned();
            return Err(End::Refused(StatusCode::BadConnectionRejected, reason));
        }
        let ours = u32::try_from(self.wire.limits.admission.frame_max).unwrap_or(u32::MAX);
        let acknowledge = Acknowledge {
            receive_max: ours.min(hello.send_buffer_size),
            send_max: ours.min(hello.receive_buffer_size),
            message_max: u32::try_from(self.wire.limits.message.size).unwrap_or(u32::MAX),
            chunks_max: u32::try_from(self.wire.limits.message.chunks).unwrap_or(u32::MAX),
        };
        self.endpoint_url = url.to_owned();
        self.limits = PeerLimits {
            chunk: acknowledge.send_max as usize,
            message: hello.max_message_size as usize,
            chunks: hello.max_chunk_count as usize,
        };
        self.admission.greeted(Instant::now(), acknowledge.receive_max as usize);
        acknowledge.write(&mut self.out);
        Ok(())
    }

    async fn message(&mut self, frame: &Frame) -> Result<(), End> {
        let Some((channel, info)) = &mut self.channel else {
            return Err(StatusCode::BadTcpSecureChannelUnknown.into());
        };
        let chunk = channel.open(Instant::now(), frame)?;
        let limits = match info.is_established() {
            true => self.wire.limits.message,
            false => self.wire.limits.early_message,
        };
        let Some(message) = self.assembler.add(chunk, limits)? else {
            return Ok(());
        };
        let request = message.request;
        let is_large = message.body.len() >= LARGE;
        let mut handled = self.wire.handler.clone().handle(info.clone(), request, message.body);
        if is_large {
            handled = in_turn(self.wire.large.clone(), handled);
        }
        let mut work: BoxFuture<'static, Outgoing> =
            Box::pin(async move { Outgoing { request, reply: handled.await } });
        // Most requests are answered at once; the others go on beside what comes next.
        match futures::poll!(&mut work) {
            std::task::Poll::Ready(done) => self.reply(done),
            std::task::Poll::Pending => {
                self.work.push(work);
                self.has_large |= is_large;
                Ok(())
            }
        }
    }

    fn reply(&mut self, outgoing: Outgoing) -> Result<(), End> {
        let Some((channel, info)) = &mut self.channel else {
            return Ok(());
        };
        let encoded = match outgoing.reply {
            Reply::Later => return Ok(()),
            Reply::Encoded(bytes) => Some(bytes),
            Reply::Message(message) => {
                encode_reply(&self.wire, &message, &mut self.body)?;
                None
            }
        };
        let body: &[u8] = encoded.as_deref().unwrap_or(&self.body);
        let PeerLimits { chunk, message, chunks } = self.limits;
        let is_large = message > 0 && body.len() > message
            || chunks > 0 && channel.chunks(body.len(), chunk) > chunks
            || info.response_max > 0 && body.len() > info.response_max;
        if is_large {
            let fault = too_large(body);
            encode_message(&fault, &self.wire.context.context(), &mut self.body)?;
            channel.seal(outgoing.request, &self.body, chunk, &mut self.out)?;
        } else {
            channel.seal(outgoing.request, body, chunk, &mut self.out)?;
        }
        if self.body.capacity() > HIGH_WATER {
            self.body = Vec::new();
        }
        Ok(())
    }
}

/// Works on a large request when it has its turn, in a task of its own: the turn ends with the work,
/// even while the peer does not take what it has asked for before.
fn in_turn(turns: Arc<Semaphore>, work: BoxFuture<'static, Reply>) -> BoxFuture<'static, Reply> {
    Box::pin(async move {
        let working = AbortOnDropHandle::new(tokio::spawn(async move {
            let _turn = turns.acquire_owned().await;
            work.await
        }));
        // Only the end of the process ends it early; then nobody is told anything any more.
        working.await.unwrap_or(Reply::Later)
    })
}

/// Encodes an answer, or a fault in its place.
fn encode_reply(
    wire: &Wire,
    message: &ResponseMessage,
    body: &mut Vec<u8>,
) -> Result<(), StatusCode> {
    let context = wire.context.context();
    let Err(status) = encode_message(message, &context, body) else {
        return Ok(());
    };
    tracing::error!(%status, message = message.type_name(), "not encodable");
    let handle = message.response_header().request_handle;
    let header = ResponseHeader::new_service_result(handle, StatusCode::BadEncodingError);
    encode_message(&ServiceFault { response_header: header }.into(), &context, body)
}

/// The fault in place of an answer that the client could not take; its handle stands behind the
/// four bytes of the type id and the time.
fn too_large(body: &[u8]) -> ResponseMessage {
    let handle = body.get(12..).and_then(|rest| rest.first_chunk::<4>());
    let handle = handle.map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let header = ResponseHeader::new_service_result(handle, StatusCode::BadResponseTooLarge);
    ServiceFault { response_header: header }.into()
}

impl Wire {
    /// A peer was turned away; peers that break the protocol again and again are banned.
    fn note_refusal(&self, peer: SocketAddr, status: StatusCode, reason: &str) {
        let Some(refusal) = refusal(status) else {
            return;
        };
        // Whoever is slow or wants what is not offered is no attacker.
        let is_error = !matches!(refusal, refusals::Refusal::TooSlow | refusals::Refusal::Policy);
        if is_error && self.gate().error(Instant::now(), peer.ip()) {
            tracing::warn!(%peer, "too many protocol errors; the address is banned for a minute");
        }
        self.handler.refused(peer, refusal, reason);
    }
}

/// What kind of refusal a status is; none when we end on our own account.
pub(super) fn refusal(status: StatusCode) -> Option<refusals::Refusal> {
    match status {
        StatusCode::BadShutdown => None,
        StatusCode::BadTimeout | StatusCode::BadSecureChannelClosed => {
            Some(refusals::Refusal::TooSlow)
        }
        StatusCode::BadSecurityPolicyRejected | StatusCode::BadSecurityModeRejected => {
            Some(refusals::Refusal::Policy)
        }
        StatusCode::BadSecurityChecksFailed | StatusCode::BadNonceInvalid => {
            Some(refusals::Refusal::Security)
        }
        StatusCode::BadTcpMessageTooLarge | StatusCode::BadTcpNotEnoughResources => {
            Some(refusals::Refusal::TooLarge)
        }
        _ => Some(refusals::Refusal::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_ends_with_its_work_even_if_nobody_asks_for_the_answer() {
        let turns = Arc::new(Semaphore::new(1));
        let work = Box::pin(async {
            tokio::task::yield_now().await;
            Reply::Later
        });
        let mut waiting = in_turn(turns.clone(), work);
        assert!(futures::poll!(&mut waiting).is_pending());
        // The next one has its turn although the first was never looked at again.
        let next = in_turn(turns, Box::pin(async { Reply::Later }));
        tokio::time::timeout(Duration::from_secs(20), next).await.unwrap();
    }
}
