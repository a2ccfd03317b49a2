//! One connection to a machine: a task that owns the socket and the secure channel, and a handle
//! through which many can ask at once.
//!
//! It knows nothing of sessions. Everything that waits is bounded, and whoever asks waits no longer
//! than he wanted: a machine that hangs holds up nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use opcua::types::{CloseSecureChannelRequest, ContextOwned, RequestHeader, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::answer::encode;
use super::failure::Failure;
use super::greet::{
    CHUNKS_MAX, Framer, MESSAGE_MAX, PeerLimits, broken, closed, greet, next_frame, told,
};
use super::open::{Asked, Parties, answered, ask};
use crate::channel::assemble::{Assembler, Budget, MessageLimits};
use crate::channel::frame::{Frame, FrameKind, Side};
use crate::channel::symmetric::Channel;

/// Requests that may wait to be sent.
const WAITING_MAX: usize = 256;
/// Answers that may be outstanding, those included that nobody waits for any more.
const OUTSTANDING_MAX: usize = 4096;
/// While so many bytes wait to be sent, no more requests are taken.
const HIGH_WATER: usize = 1 << 20;
/// How long opening the channel may take.
const OPENING: Duration = Duration::from_secs(10);
/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(1);

type Reply = oneshot::Sender<Result<Bytes, Failure>>;

enum Order {
    Ask(Vec<u8>, Reply),
    Close(Vec<u8>),
}

/// A handle to a connection.
#[derive(Clone)]
pub struct Connection {
    orders: mpsc::Sender<Order>,
    ended: watch::Receiver<Option<Failure>>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl Connection {
    /// Connects and opens a channel.
    pub async fn open(
        url: &str,
        parties: Arc<Parties>,
        budget: Budget,
        context: Arc<ContextOwned>,
    ) -> Result<Connection, Failure> {
        let (stream, framer, limits) = greet(url).await?;
        let (policy, mode) = (parties.protection.policy, parties.protection.mode);
        let mut driver = Driver {
            stream,
            framer,
            limits,
            channel: Channel::new(Side::Client, 0, policy, mode),
            parties,
            context,
            assembler: Assembler::new(budget),
            out: BytesMut::new(),
            requests: 0,
            outstanding: HashMap::new(),
            renewal: None,
            renew_at: Instant::now(),
        };
        match tokio::time::timeout(OPENING, driver.issue()).await {
            Ok(issued) => issued?,
            Err(_) => return Err(Failure::silent("the machine does not open a channel")),
        }
        let (orders, waiting) = mpsc::channel(WAITING_MAX);
        let (tell, ended) = watch::channel(None);
        let task = tokio::spawn(async move {
            let failure = driver.run(waiting).await;
            driver.give_up(&failure);
            tell.send_replace(Some(failure));
        });
        Ok(Connection { orders, ended, _task: Arc::new(AbortOnDropHandle::new(task)) })
    }

    /// Sends an encoded request and waits for its answer, not longer than this.
    pub async fn ask(&self, request: Vec<u8>, patience: Duration) -> Result<Bytes, Failure> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            if self.orders.send(Order::Ask(request, reply)).await.is_err() {
                return Err(self.why_ended());
            }
            answer.await.unwrap_or_else(|_| Err(self.why_ended()))
        };
        let late = |_| Failure::silent(format!("no answer within {} s", patience.as_secs_f32()));
        tokio::time::timeout(patience, asked).await.map_err(late)?
    }

    fn why_ended(&self) -> Failure {
        let known = self.ended.borrow().clone();
        known
            .unwrap_or_else(|| Failure::lost(StatusCode::BadNotConnected, "there is no connection"))
    }

    /// Waits until the connection has ended, and says why.
    pub async fn ended(&self) -> Failure {
        let mut ended = self.ended.clone();
        // The task tells before it ends; otherwise it was ended with its handle.
        let _ = ended.wait_for(Option::is_some).await;
        self.why_ended()
    }

    /// Says goodbye; what was not answered before fails.
    pub async fn close(&self, context: &ContextOwned) {
        let request = CloseSecureChannelRequest { request_header: RequestHeader::dummy() };
        let Ok(request) = encode(&request.into(), &context.context()) else { return };
        if self.orders.send(Order::Close(request)).await.is_ok() {
            self.ended().await;
        }
    }
}

struct Driver {
    stream: TcpStream,
    framer: Framer,
    limits: PeerLimits,
    channel: Channel,
    parties: Arc<Parties>,
    context: Arc<ContextOwned>,
    assembler: Assembler,
    out: BytesMut,
    requests: u32,
    outstanding: HashMap<u32, Reply>,
    renewal: Option<Asked>,
    renew_at: Instant,
}

impl Driver {
    async fn issue(&mut self) -> Result<(), Failure> {
        self.renew().await?;
        self.stream.write_all_buf(&mut self.out).await.map_err(|error| broken(&error))?;
        let frame = next_frame(&mut self.stream, &mut self.framer).await?;
        self.take_token(frame).await
    }

    /// Asks for a token.
    async fn renew(&mut self) -> Result<(), Failure> {
        let request = self.next_request();
        let asked =
            ask(&self.parties, &mut self.channel, request, &self.context, &mut self.out).await?;
        self.renewal = Some(asked);
        Ok(())
    }

    async fn take_token(&mut self, frame: Frame) -> Result<(), Failure> {
        let asked = self.renewal.take().ok_or_else(|| {
            let text = "the machine opens a channel that nobody has asked for";
            Failure::malformed(StatusCode::BadTcpMessageTypeInvalid, text)
        })?;
        let lifetime =
            answered(&self.parties, &mut self.channel, &asked, frame, &self.context).await?;
        // Part 4 §5.6.2: a client renews after three quarters of the life.
        self.renew_at = Instant::now() + lifetime * 3 / 4;
        Ok(())
    }

    fn next_request(&mut self) -> u32 {
        self.requests = self.requests.wrapping_add(1).max(1);
        self.requests
    }

    async fn run(&mut self, mut waiting: mpsc::Receiver<Order>) -> Failure {
        loop {
            let may_send = self.out.len() < HIGH_WATER && self.outstanding.len() < OUTSTANDING_MAX;
            let (mut reader, mut writer) = self.stream.split();
            let step = tokio::select! {
                biased;
                written = writer.write_buf(&mut self.out), if !self.out.is_empty() => match written {
                    Ok(0) => Err(closed()),
                    Ok(_) => Ok(()),
                    Err(error) => Err(broken(&error)),
                },
                read = reader.read_buf(self.framer.input()) => match read {
                    Ok(0) => Err(closed()),
                    Ok(_) => self.take().await,
                    Err(error) => Err(broken(&error)),
                },
                order = waiting.recv(), if may_send => match order {
                    Some(Order::Ask(request, reply)) => self.send(&request, reply),
                    Some(Order::Close(request)) => Err(self.say_goodbye(&request).await),
                    None => Err(Failure::lost(StatusCode::BadConnectionClosed, "we have closed it")),
                },
                () = tokio::time::sleep_until(self.renew_at.into()), if self.renewal.is_none() => {
                    self.renew().await
                }
                () = expiry(&self.channel) => {
                    let text = "the machine has not renewed the channel in time";
                    Err(Failure::lost(StatusCode::BadSecureChannelClosed, text))
                }
            };
            if let Err(failure) = step {
                return failure;
            }
            if self.outstanding.len() >= OUTSTANDING_MAX {
                self.outstanding.retain(|_, reply| !reply.is_closed());
                if self.outstanding.len() >= OUTSTANDING_MAX {
                    return Failure::silent("the machine answers nothing any more");
                }
            }
        }
    }

    fn send(&mut self, request: &[u8], reply: Reply) -> Result<(), Failure> {
        let PeerLimits { chunk, message, chunks } = self.limits;
        let is_large = message > 0 && request.len() > message
            || chunks > 0 && self.channel.chunks(request.len(), chunk) > chunks;
        if is_large {
            let text = "the request is larger than the machine takes";
            // Who asked may have gone already.
            let _ = reply.send(Err(Failure::malformed(StatusCode::BadRequestTooLarge, text)));
            return Ok(());
        }
        let id = self.next_request();
        self.outstanding.insert(id, reply);
        self.seal(id, request)
    }

    fn seal(&mut self, id: u32, request: &[u8]) -> Result<(), Failure> {
        let sealed = self.channel.seal(id, request, self.limits.chunk, &mut self.out);
        sealed.map_err(|status| Failure::lost(status, "the channel cannot be used any more"))
    }

    async fn say_goodbye(&mut self, request: &[u8]) -> Failure {
        let id = self.next_request();
        if self.channel.seal_goodbye(id, request, &mut self.out).is_ok() {
            let goodbye = async {
                self.stream.write_all_buf(&mut self.out).await?;
                self.stream.shutdown().await
            };
            // A machine that takes nothing any more sees that the connection is gone.
            let _ = tokio::time::timeout(GOODBYE, goodbye).await;
        }
        Failure::lost(StatusCode::BadConnectionClosed, "we have closed it")
    }

    async fn take(&mut self) -> Result<(), Failure> {
        while let Some(frame) = self.framer.next()? {
            match frame.header.kind {
                FrameKind::Message => self.message(&frame)?,
                FrameKind::Open => self.take_token(frame).await?,
                FrameKind::Error => return Err(told(&frame.bytes)),
                FrameKind::Hello | FrameKind::Acknowledge | FrameKind::Close => {
                    let text = "the machine greets again";
                    return Err(Failure::malformed(StatusCode::BadTcpMessageTypeInvalid, text));
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, frame: &Frame) -> Result<(), Failure> {
        const LIMITS: MessageLimits = MessageLimits { size: MESSAGE_MAX, chunks: CHUNKS_MAX };
        let wrong =
            |status| Failure::malformed(status, "the machine's message is not as it must be");
        let chunk = self.channel.open(Instant::now(), frame).map_err(wrong)?;
        let (request, kind) = (chunk.request, chunk.kind);
        if kind == crate::channel::frame::ChunkKind::Abort {
            self.assembler.add(chunk, LIMITS).map_err(wrong)?;
            if let Some(reply) = self.outstanding.remove(&request) {
                let aborted = Failure::refused(StatusCode::BadRequestInterrupted);
                let _ = reply.send(Err(aborted));
            }
            return Ok(());
        }
        let Some(message) = self.assembler.add(chunk, LIMITS).map_err(wrong)? else {
            return Ok(());
        };
        // Who has waited long enough is gone; an answer to nobody is no error.
        if let Some(reply) = self.outstanding.remove(&message.request) {
            let _ = reply.send(Ok(message.body));
        }
        Ok(())
    }

    fn give_up(&mut self, failure: &Failure) {
        for (_, reply) in self.outstanding.drain() {
            let _ = reply.send(Err(failure.clone()));
        }
    }
}

async fn expiry(channel: &Channel) {
    match channel.expires() {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
