//! The listening socket: who may connect gets a task, who may not gets a word and no more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use opcua::types::StatusCode;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Wire;
use super::connection::{say_goodbye, serve};
use super::encode::write_error;
use super::gate::NotAdmitted;

/// Rest after a failed accept, so that a lack of descriptors is waited out and not spun on.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Peers without a place that are told so at the same time; others are just closed.
const TOLD_AT_ONCE: usize = 16;
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);

/// Accepts connections until told to stop; returns when all have ended.
pub async fn listen(wire: Arc<Wire>, listener: TcpListener, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let telling = Arc::new(Semaphore::new(TOLD_AT_ONCE));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let entered = wire.gate().enter(Instant::now(), peer.ip());
        match entered {
            Ok(()) => {
                prepare(&stream);
                let (wire, stop) = (wire.clone(), stop.clone());
                tasks.spawn(async move {
                    // The place is given back even if the task ends badly.
                    let _place = Place { wire: wire.clone(), peer };
                    serve(wire, stream, peer, stop).await;
                });
            }
            Err(why) => {
                wire.handler.refused(peer, why.refusal(), why.reason());
                if let Ok(permit) = telling.clone().try_acquire_owned() {
                    tasks.spawn(async move {
                        tell(stream, why).await;
                        drop(permit);
                    });
                }
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// A connection's place in the gate.
struct Place {
    wire: Arc<Wire>,
    peer: SocketAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.wire.gate().leave(self.peer.ip());
    }
}

fn status(why: NotAdmitted) -> StatusCode {
    match why {
        NotAdmitted::TooFast | NotAdmitted::Full => StatusCode::BadTcpServerTooBusy,
        NotAdmitted::AddressFull => StatusCode::BadTcpNotEnoughResources,
        NotAdmitted::Banned => StatusCode::BadConnectionRejected,
    }
}

async fn tell(mut stream: TcpStream, why: NotAdmitted) {
    let mut bytes = BytesMut::new();
    write_error(status(why), why.reason(), &mut bytes);
    say_goodbye(&mut stream, &bytes).await;
}

/// Sees to it that a peer that vanishes is noticed.
fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL).with_retries(3);
    let prepared = socket
        .set_tcp_keepalive(&keepalive)
        .and_then(|()| socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX)))
        .and_then(|()| stream.set_nodelay(true));
    if let Err(error) = prepared {
        tracing::debug!(%error, "the socket keeps its default timeouts");
    }
}
