//! Recognising a machine while it is connected, beside all else: once after every new beginning with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::client::{Failure, Session};
use super::explore::{Bounds, explore};
use super::recognise::{Recognised, recognise};
use crate::domain::id::MachineId;

/// How far it is looked.
const BOUNDS: Bounds = Bounds { depth: 12, nodes: 20_000, with_server: false };

/// After how long a machine that could not be looked at is looked at again.
const AGAIN: Duration = Duration::from_secs(30);

/// Where it is told what machines are.
pub type Recognisers = mpsc::Sender<(MachineId, Recognised)>;

/// Looks at a machine and tells what it is.
pub fn start(
    machine: MachineId,
    session: Arc<Session>,
    namespaces: Vec<String>,
    tell: Recognisers,
) -> AbortOnDropHandle<()> {
    let task = tokio::spawn(async move {
        loop {
            match look(&session, &namespaces).await {
                // Whoever binds may be gone at the end of the program.
                Ok(recognised) => return drop(tell.send((machine, recognised)).await),
                // Whoever listens notices a broken connection himself, and drops this.
                Err(failure) => tracing::warn!(%machine, "it was not recognised yet: {failure}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    });
    AbortOnDropHandle::new(task)
}

async fn look(session: &Session, namespaces: &[String]) -> Result<Recognised, Failure> {
    let sight = explore(session, namespaces, None, BOUNDS).await?;
    let mut recognised = recognise(&sight);
    if sight.is_cut {
        let nodes = BOUNDS.nodes;
        recognised
            .notes
            .push(format!("it has more than {nodes} nodes, not all of which were seen"));
    }
    Ok(recognised)
}
