//! Telling a machine over one connection what it is to know, one thing after the other, and again until it
//! knows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::Transfer;
use super::calling::{Call, Ready};
use super::job::{Moment, Step, next};
use super::memory::Memory;
use super::receiver::Receiver;
use super::writing::{Prepared, prepare};
use crate::app::clock::Clock;
use crate::app::connection::{Connections, TransferState};
use crate::app::engine::EngineHandle;
use crate::domain::id::MachineId;
use crate::machine::client::{Failure, Session};
use crate::machine::duration;
use crate::machine::spot::Finder;

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
        let writes = match step.moment {
            Moment::Start => self.prepare_writes(step, &mut finder).await?,
            _ => Ok(Vec::new()),
        };
        let calls = match is_repeated {
            true => Ok(Vec::new()),
            false => self.prepare_calls(step, &mut finder).await?,
        };
        let (writes, calls) = match (writes, calls) {
            (Ok(writes), Ok(calls)) => (writes, calls),
            (Err(why), _) | (_, Err(why)) => return Ok(Err(why)),
        };
        for prepared in writes {
            if let Err(why) = prepared.write(&self.session, patience).await? {
                return Ok(Err(why));
            }
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
        for (call, ready) in calls {
            if let Err(why) = call.call(ready, &self.session, patience).await? {
                return Ok(Err(why));
            }
        }
        Ok(Ok(()))
    }

    /// The values that are written of an order, if each of them fits.
    async fn prepare_writes(
        &self,
        step: &Step,
        finder: &mut Finder<'_>,
    ) -> Result<Result<Vec<Prepared>, String>, Failure> {
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
        Ok(Ok(all))
    }

    /// The methods that are called at this step, if each of them can be called with what the order has.
    async fn prepare_calls<'b>(
        &'b self,
        step: &Step,
        finder: &mut Finder<'_>,
    ) -> Result<Result<Vec<(&'b Call, Ready)>, String>, Failure> {
        let mut all = Vec::new();
        for call in self.transfer.calls.iter().filter(|call| call.moment == step.moment) {
            let mut texts = Vec::with_capacity(call.arguments.len());
            for (_, value) in &call.arguments {
                match self.transfer.text(value, &step.order) {
                    Some(text) => texts.push(text),
                    None => return Ok(Err(format!("the order and its recipe have no {value}"))),
                }
            }
            match call.prepare(&self.session, &texts, finder).await? {
                Ok(ready) => all.push((call, ready)),
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Ok(all))
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
