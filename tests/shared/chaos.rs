//! A cable that can fail in every way in which cables fail: a proxy between a client and a server.
//! No test logic.

#![allow(dead_code, reason = "each user of this file needs a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How the cable is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Whole.
    None,
    /// Everything arrives later.
    Delay(Duration),
    /// So many bytes a second in each direction.
    Throttle(u64),
    /// Connections stay open, and nothing passes in either direction.
    BlackHole,
    /// Nothing passes from the server to the client.
    Deaf,
    /// All connections are cut, and new ones too.
    Cut,
    /// After so many bytes from the server, wherever that is in a frame, connections are cut; new ones
    /// are passed on.
    CutAfter(u64),
    /// The server's side says that it sends no more, and still listens.
    HalfClosed,
}

/// The cable.
pub struct Cable {
    /// Where clients connect.
    pub address: SocketAddr,
    server: watch::Sender<SocketAddr>,
    fault: watch::Sender<Fault>,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Cable {
    /// Lays a cable to a server.
    pub async fn to(server: SocketAddr) -> Cable {
        Cable::between(SocketAddr::from(([127, 0, 0, 1], 0)), server).await
    }

    /// Lays a cable from an address where clients connect to a server.
    pub async fn between(address: SocketAddr, server: SocketAddr) -> Cable {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, faults) = watch::channel(Fault::None);
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let (server, leads_to) = watch::channel(server);
        let task = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                if *faults.borrow() == Fault::Cut {
                    continue;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let server = *leads_to.borrow();
                tokio::spawn(pass(client, server, faults.clone()));
            }
        });
        Cable { address, server, fault, connections, _task: AbortOnDropHandle::new(task) }
    }

    /// URL of the server through the cable.
    pub fn url(&self) -> String {
        format!("opc.tcp://{}", self.address)
    }

    /// Lets what connects from now on come to another server.
    pub fn lead_to(&self, server: SocketAddr) {
        self.server.send_replace(server);
    }

    /// Lets it fail, or be whole again.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Cuts what is connected now; what connects afterwards passes.
    pub async fn cut_once(&self) {
        self.set(Fault::Cut);
        // Every connection looks at the fault when it changes.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.set(Fault::None);
    }

    /// Connections that were passed on.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn pass(client: TcpStream, server: SocketAddr, faults: watch::Receiver<Fault>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Both directions end when one is cut; an end of one alone is passed on as that.
    tokio::select! {
        () = pump(from_client, to_server, faults.clone(), false) => {}
        () = pump(from_server, to_client, faults.clone(), true) => {}
    }
}

/// Passes one direction on until it is cut.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut faults: watch::Receiver<Fault>,
    is_answers: bool,
) {
    let mut buffer = vec![0; 16_384];
    let mut passed = 0_u64;
    loop {
        let fault = *faults.borrow_and_update();
        match fault {
            Fault::Cut => return,
            Fault::HalfClosed if is_answers => {
                let _ = to.shutdown().await;
                return changes(&mut faults, |fault| fault != Fault::HalfClosed).await;
            }
            Fault::BlackHole => {
                changes(&mut faults, |fault| fault != Fault::BlackHole).await;
                continue;
            }
            Fault::Deaf if is_answers => {
                changes(&mut faults, |fault| fault != Fault::Deaf).await;
                continue;
            }
            _ => {}
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = faults.changed() => {
                passed = 0;
                continue;
            }
        };
        let Ok(size) = read else { return };
        if size == 0 {
            let _ = to.shutdown().await;
            return std::future::pending().await;
        }
        let mut size = size as u64;
        match fault {
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::Throttle(rate) => {
                tokio::time::sleep(Duration::from_secs_f64(size as f64 / rate as f64)).await;
            }
            Fault::CutAfter(limit) if is_answers => {
                size = size.min(limit - passed);
                passed += size;
            }
            _ => {}
        }
        let part = &buffer[..usize::try_from(size).unwrap()];
        if to.write_all(part).await.is_err() {
            return;
        }
        if matches!(fault, Fault::CutAfter(limit) if is_answers && passed >= limit) {
            return;
        }
    }
}

async fn changes(faults: &mut watch::Receiver<Fault>, until: impl Fn(Fault) -> bool) {
    let _ = faults.wait_for(|fault| until(*fault)).await;
}
