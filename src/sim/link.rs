//! The cable to a simulated machine: a listener that passes bytes on, and can be pulled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A cable from a public port to wherever the machine's server listens at present.
pub struct Cable {
    /// Public address.
    pub address: SocketAddr,
    server_port: Arc<AtomicU16>,
    plugged: watch::Sender<bool>,
}

impl Cable {
    /// Listens on a loopback port; 0 for any free one.
    pub async fn lay(port: u16, stop: CancellationToken) -> Result<Cable, String> {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(|error| format!("port {port} for a simulated machine: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let server_port = Arc::new(AtomicU16::new(0));
        let (plugged, is_plugged) = watch::channel(true);
        tokio::spawn(accept(listener, server_port.clone(), is_plugged, stop));
        Ok(Cable { address, server_port, plugged })
    }

    /// Leads to another port from now on; 0 for nowhere.
    pub fn lead_to(&self, port: u16) {
        self.server_port.store(port, Ordering::Relaxed);
    }

    /// A handle that can set where it leads.
    pub fn lead_handle(&self) -> Arc<AtomicU16> {
        self.server_port.clone()
    }

    /// A handle that pulls the plug with `false` and puts it back with `true`.
    pub fn plug_handle(&self) -> watch::Sender<bool> {
        self.plugged.clone()
    }
}

async fn accept(
    listener: TcpListener,
    server_port: Arc<AtomicU16>,
    plugged: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((client, _)) = accepted else {
            continue;
        };
        let port = server_port.load(Ordering::Relaxed);
        // A machine without cable or without server refuses: the connection closes at once.
        if *plugged.borrow() && port != 0 {
            tokio::spawn(pass(client, port, plugged.clone(), stop.clone()));
        }
    }
}

async fn pass(
    mut client: TcpStream,
    port: u16,
    mut plugged: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    // Small messages must not wait for each other on either leg.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = plugged.wait_for(|plugged| !plugged) => {}
        () = stop.cancelled() => {}
    }
}
