//! Telling a machine over one connection what it is to know, one thing after the other, and again until it
//! knows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opcua::types::NodeId;
use tokio_util::task::AbortOnDropHandle;

use super::Transfer;
use super::job::{Moment, Step, next};
use super::memory::Memory;
use super::receiver::Receiver;
use super::writing::prepare;
use crate::app::clock::Clock;
use crate::app::connection::{Connections, TransferState};
use crate::app::engine::EngineHandle;
use crate::domain::id::MachineId;
use crate::machine::client::{Failure, Session};
use crate::machine::duration;
use crate::machine::spot::{Finder, Name, Place, Start};

/// After how long a machine that has refused something is told it again.
const AGAIN: Duration = Duration::from_secs(10);

/// Telling a machine over one connection.
pub struct Telling {
    /// The machine.
    pub machine: MachineId,
    /// How it is told.
    pub transfer: Transfer,
    /// What it knows, as long as it has not begun anew.
    pub memory: Arc<Mutex<Memory>>,
    /// The session.
    pub session: Arc<Session>,
    /// Namespace URIs of the machine by its indexes.
    pub namespaces: Vec<String>,
    /// Where the plant is seen.
    pub engine: EngineHandle,
    /// Where people see what the machine knows.
    pub connections: Connections,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Tells until the handle is dropped.
pub fn start(telling: Telling) -> AbortOnDropHandle<()> {
    let task = tokio::spawn(telling.tell());
    AbortOnDropHandle::new(task)
}

impl Telling {
    async fn tell(self) {
        let mut views = self.engine.views();
        loop {
            let view = views.borrow_and_update().clone();
            let mut waits = None;
            let (step, is_repeated) = {
                let memory = self.memory();
                let step = next(&self.machine, &view, &memory);
                let is_repeated = step.as_ref().is_some_and(|step| memory.has(&step.told()));
                (step, is_repeated)
            };
            if let Some(step) = step {
                // Whoever listens notices a broken connection himself, and drops this.
                let taken = self.take(&step, is_repeated).await;
                match taken.unwrap_or_else(|failure| Err(failure.to_string())) {
                    Ok(()) => {
                        if let Err(error) = self.memory().note(step.told()) {
                            let machine = &self.machine;
                            tracing::error!(%machine, "what it was told cannot be kept: {error}");
                        }
                        self.show(&step, String::new());
                        continue;
                    }
                    Err(why) => {
                        self.show(&step, why);
                        waits = Some(AGAIN);
                    }
                }
            }
            let wait = async {
                match waits {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = views.changed(), if waits.is_none() => if changed.is_err() { return },
                () = wait => {}
            }
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does all of a step; why the machine does not take it. What is written and ordered is the same when it is
    /// done again; methods are not called again for what was told before.
    async fn take(&self, step: &Step, is_repeated: bool) -> Result<Result<(), String>, Failure> {
        let mut finder = Finder::new(&self.session, &self.namespaces);
        let patience = duration(self.transfer.timeout);
        if step.moment == Moment::Start
            && let Err(why) = self.write(step, &mut finder, patience).await?
        {
            return Ok(Err(why));
        }
        if let Some(place) = &self.transfer.receiver {
            let object = match finder.node(place).await? {
                Ok(object) => object,
                Err((_, why)) => return Ok(Err(why)),
            };
            let receiver = Receiver::new(&self.session, object, &self.namespaces, patience);
            let Some(receiver) = receiver else {
                return Ok(Err("the machine does not know ISA-95 Job Control".into()));
            };
            if let Err(why) = receiver.tell(step, &self.transfer, &mut finder).await? {
                return Ok(Err(why));
            }
        }
        let calls = self.transfer.calls.iter().filter(|(at, _)| *at == step.moment && !is_repeated);
        for (_, place) in calls {
            if let Err(why) = self.call(place, &mut finder, patience).await? {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }

    /// Writes the values of an order: all of them if each of them fits, else none.
    async fn write(
        &self,
        step: &Step,
        finder: &mut Finder<'_>,
        patience: Duration,
    ) -> Result<Result<(), String>, Failure> {
        let mut all = Vec::with_capacity(self.transfer.writes.len());
        for (value, place) in &self.transfer.writes {
            let Some(text) = self.transfer.text(value, &step.order) else {
                return Ok(Err(format!("the order and its recipe have no {value}")));
            };
            let node = match finder.node(place).await? {
                Ok(node) => node,
                Err((_, why)) => return Ok(Err(why)),
            };
            match prepare(&self.session, node, &text).await? {
                Ok(prepared) => all.push(prepared),
                Err(why) => return Ok(Err(format!("{value}: {why}"))),
            }
        }
        for prepared in all {
            if let Err(why) = prepared.write(&self.session, patience).await? {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }

    async fn call(
        &self,
        place: &Place,
        finder: &mut Finder<'_>,
        patience: Duration,
    ) -> Result<Result<(), String>, Failure> {
        let found = match object_of(place) {
            Some(object) => (finder.node(&object).await?, finder.node(place).await?),
            None => return Ok(Err("a method is named by the path to it".into())),
        };
        let (object, method): (NodeId, NodeId) = match found {
            (Ok(object), Ok(method)) => (object, method),
            (Err((_, why)), _) | (_, Err((_, why))) => return Ok(Err(why)),
        };
        let called = self.session.call(object, method, Vec::new(), patience).await?;
        Ok(match called.status {
            status if status.is_bad() => {
                let why = status.sub_code().description();
                Err(format!("the machine refuses {}: {why}", last_name(place)))
            }
            _ => Ok(()),
        })
    }

    /// Shows what the machine knows, or why not.
    fn show(&self, step: &Step, why: String) {
        let (machine, order) = (&self.machine, &step.order.request.id);
        match why.is_empty() {
            true => {
                tracing::info!(%machine, %order, moment = ?step.moment, "the machine knows the order")
            }
            false => tracing::warn!(%machine, %order, moment = ?step.moment, "{why}"),
        }
        let transfer = TransferState {
            order: step.order.request.id.to_string(),
            moment: step.moment.as_str(),
            is_known: why.is_empty(),
            why,
            at: Some(self.clock.now()),
        };
        self.connections.update(&self.machine, |board| board.transfer = transfer);
    }
}

/// The object that has a method.
pub fn object_of(method: &Place) -> Option<Place> {
    match &method.start {
        Start::Path(names) if names.len() > 1 => {
            let start = Start::Path(names[..names.len() - 1].to_vec());
            Some(Place { start, field: Vec::new() })
        }
        _ => None,
    }
}

fn last_name(method: &Place) -> &str {
    match &method.start {
        Start::Path(names) => names.last().map_or("", |Name { name, .. }| name),
        Start::Node(node) => &node.identifier,
    }
}
