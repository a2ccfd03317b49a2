//! The link to one machine: connect, watch, and when it breaks begin again, for ever.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::MachineConnection;
use super::backoff::Backoff;
use super::session;
use crate::app::clock::Clock;
use crate::app::connection::{ConnectionState, Connections};
use crate::app::engine::{EngineHandle, MachineInput};
use crate::domain::evidence::LinkChange;
use crate::domain::time::Timestamp;

/// What every link works with.
#[derive(Clone)]
pub struct MachineLink {
    /// Where values go.
    pub engine: EngineHandle,
    /// Where people see how the links are.
    pub connections: Connections,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ends all links.
    pub stop: CancellationToken,
}

/// Starts the task of a machine.
pub fn start(link: MachineLink, connection: MachineConnection) -> JoinHandle<()> {
    tokio::spawn(run(link, connection))
}

async fn run(link: MachineLink, connection: MachineConnection) {
    let machine = connection.machine.clone();
    link.connections.update(&machine, |board| {
        board.endpoint = connection.endpoint.clone();
        board.since = link.clock.now();
    });
    // Until the link is up for the first time nothing is known, whatever arrives before.
    tell_down(&link, &connection, link.clock.now() - connection.clock_skew_max).await;
    let seed = machine.as_str().bytes().fold(17_u64, |seed, b| seed * 31 + u64::from(b));
    let mut backoff = Backoff::new(seed);
    let mut last_logged = String::new();
    while !link.stop.is_cancelled() {
        let ended = session::run(&link, &connection).await;
        if let Some(lost_at) = ended.lost_at {
            backoff.reset();
            tell_down(&link, &connection, lost_at).await;
        }
        if link.stop.is_cancelled() {
            return;
        }
        // The same error again and again is one line in the log; the board always shows it.
        if ended.error != last_logged {
            tracing::warn!(%machine, endpoint = connection.endpoint, "{}", ended.error);
            last_logged.clone_from(&ended.error);
        }
        link.connections.update(&machine, |board| {
            if board.state != ConnectionState::Connecting {
                board.since = link.clock.now();
            }
            board.state = ConnectionState::Connecting;
            board.last_error = ended.error;
        });
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            () = link.stop.cancelled() => {}
        }
    }
}

/// Nothing is known about the machine from the last contact on.
async fn tell_down(link: &MachineLink, connection: &MachineConnection, at: Timestamp) {
    let machine = connection.machine.clone();
    let change = LinkChange { machine, at, seq: 0, up: false };
    if let Err(error) = link.engine.deliver(MachineInput::Linked(change)).await {
        tracing::error!(machine = %connection.machine, %error, "the end of the link is not stored");
    }
}
