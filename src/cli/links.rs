//! The links to all machines of a running program, and how they follow the configuration: a link whose
//! machine is configured as before is not touched.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::connection::Connections;
use crate::domain::id::MachineId;
use crate::machine::{self, MachineConnection, MachineLink};

/// The links that run.
pub struct Links {
    link: MachineLink,
    running: BTreeMap<MachineId, RunningLink>,
}

struct RunningLink {
    connection: MachineConnection,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Links {
    /// No links; all that are started work with this.
    pub fn new(link: MachineLink) -> Links {
        Links { link, running: BTreeMap::new() }
    }

    /// Ends the links that are not wanted so any more.
    pub async fn end_others(&mut self, wanted: &[MachineConnection], connections: &Connections) {
        let ends = |running: &RunningLink| !wanted.contains(&running.connection);
        let ended = self.running.extract_if(.., |_, running| ends(running));
        let ended: Vec<_> = ended.collect();
        ended.iter().for_each(|(_, link)| link.stop.cancel());
        for (machine, link) in ended {
            end(link).await;
            connections.forget(&machine);
        }
    }

    /// Starts the links that do not run yet.
    pub fn start(&mut self, wanted: Vec<MachineConnection>) {
        for connection in wanted {
            if self.running.contains_key(&connection.machine) {
                continue;
            }
            let stop = self.link.stop.child_token();
            let link = MachineLink { stop: stop.clone(), ..self.link.clone() };
            let task = machine::start(link, connection.clone());
            let machine = connection.machine.clone();
            self.running.insert(machine, RunningLink { connection, stop, task });
        }
    }

    /// Waits for the end of all links, which have been told to end.
    pub async fn ended(self) {
        for link in self.running.into_values() {
            end(link).await;
        }
    }
}

async fn end(link: RunningLink) {
    if let Err(error) = link.task.await {
        tracing::warn!(%error, machine = %link.connection.machine, "a machine link ended badly");
    }
}
