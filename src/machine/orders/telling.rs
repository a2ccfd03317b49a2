//! Telling a machine over one connection what it is to know, one thing after the other, and again until it
//! knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Transfer;
use super::calling::{Call, Ready};
use super::job::{Step, next};
use super::receiver::Receiver;
use super::writing::{Prepared, prepare};
use crate::app::engine::{Actor, CommandError, EngineHandle};
use crate::domain::command::Command;
use crate::domain::id::MachineId;
use crate::domain::transfer::{MachineTransfer, OrderTransfer, TransferMoment, TransferOutcome};
use crate::machine::client::{Failure, FailureKind, Session};
use crate::machine::duration;
use crate::machine::spot::Finder;

/// After how long a machine that has refused something is told it again.
const AGAIN: Duration = Duration::from_secs(10);
/// After how long something is noted again that could not be noted.
const NOTE_AGAIN: Duration = Duration::from_secs(1);
/// Characters of a reason that are noted; machines say what they like.
const REASON_LONGEST: usize = 500;

/// Telling a machine over one connection.
pub struct Telling {
    /// The machine.
    pub machine: MachineId,
    /// How it is told.
    pub transfer: Transfer,
    /// Whether it certainly knows what it was told; not after a new beginning with it.
    pub is_certain: Arc<AtomicBool>,
    /// The session.
    pub session: Arc<Session>,
    /// Namespace URIs of the machine by its indexes.
    pub namespaces: Vec<String>,
    /// Where the plant is seen, and what was told is noted.
    pub engine: EngineHandle,
}

/// What has come of a step.
enum Taken {
    /// The machine knows it.
    Whole,
    /// The machine does not take it, or cannot be told it.
    Refused(String),
    /// It is not known whether the machine has done what was called last.
    Unanswered,
}

/// Tells until the handle is dropped.
pub fn start(telling: Telling) -> AbortOnDropHandle<()> {
    let task = tokio::spawn(telling.tell());
    AbortOnDropHandle::new(task)
}

impl Telling {
    async fn tell(self) {
        let mut views = self.engine.views();
        // What was refused is not told again before some time has passed.
        let mut refused: Option<(OrderTransfer, Instant)> = None;
        loop {
            let view = views.borrow_and_update().clone();
            let known = view.machines.get(&self.machine).and_then(|shown| shown.transfer.clone());
            let known = known.unwrap_or_default();
            if let Some(calling) = known.calling {
                let unanswered = self.unanswered(calling);
                self.log(&unanswered);
                self.note(unanswered).await;
                continue;
            }
            let step = next(&self.machine, &view, self.is_certain.load(Ordering::Relaxed));
            let told = step.as_ref().map(|step| step.transfer(0, TransferOutcome::Known));
            let waits = refused
                .as_ref()
                .zip(told)
                .filter(|((refused, again), told)| refused.is_of(told) && Instant::now() < *again);
            let waits = waits.map(|((_, again), _)| *again);
            if let Some(step) = step.filter(|_| waits.is_none()) {
                refused = self.take(&step, &known).await.map(|why| (why, Instant::now() + AGAIN));
                continue;
            }
            let wait = async {
                match waits {
                    Some(again) => tokio::time::sleep_until(again).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = views.changed() => if changed.is_err() { return },
                () = wait => {}
            }
        }
    }

    /// A method was about to be called, and what came of it was not noted.
    fn unanswered(&self, calling: OrderTransfer) -> OrderTransfer {
        let mut calls = self.transfer.calls.iter().filter(|call| call.moment == calling.moment);
        let call = calls.nth(calling.calls as usize).map_or("a method", Call::name);
        let behind = match calls.next() {
            Some(_) => ", nor are those behind it",
            None => "",
        };
        let why = format!(
            "{call} was called and the answer was lost: whether the machine has done it is not known, and it is not \
             called again{behind}; look at the machine"
        );
        OrderTransfer { outcome: TransferOutcome::Unanswered { why }, ..calling }
    }

    /// Does a step and notes what comes of it; that, where it has to be done again.
    async fn take(&self, step: &Step, known: &MachineTransfer) -> Option<OrderTransfer> {
        let told = step.transfer(
            known.calls_of(&step.transfer(0, TransferOutcome::Known)),
            TransferOutcome::Known,
        );
        let before = known.told.as_ref().filter(|before| before.is_of(&told));
        let mut calls = told.calls;
        let taken = match self.take_all(step, &mut calls, before.is_some()).await {
            Ok(taken) => taken,
            // Whoever listens notices a broken connection himself, and drops this.
            Err(failure) if failure.kind == FailureKind::Lost => return Some(told),
            Err(failure) => Taken::Refused(failure.to_string()),
        };
        let outcome = match (taken, before) {
            (Taken::Unanswered, _) => return None,
            (Taken::Refused(why), _) => {
                let why: String = why.chars().take(REASON_LONGEST).collect();
                match step.moment == TransferMoment::End && step.is_last_chance {
                    true => TransferOutcome::GivenUp { why },
                    false => TransferOutcome::Refused { why },
                }
            }
            // What may not have been done before was not done again.
            (Taken::Whole, Some(before)) => before.outcome.clone(),
            (Taken::Whole, None) => TransferOutcome::Known,
        };
        let transfer = step.transfer(calls, outcome);
        let is_refused = matches!(transfer.outcome, TransferOutcome::Refused { .. });
        if !known.is_last(&transfer) {
            self.log(&transfer);
        }
        self.note(transfer.clone()).await;
        if !is_refused {
            self.is_certain.store(true, Ordering::Relaxed);
        }
        is_refused.then_some(transfer)
    }

    /// Does all of a step. What is written and ordered is the same when it is done again; of the methods, those
    /// that were called before are not called again, and none where the step was done before.
    async fn take_all(
        &self,
        step: &Step,
        done: &mut u32,
        is_repeated: bool,
    ) -> Result<Taken, Failure> {
        let mut finder = Finder::new(&self.session, &self.namespaces);
        let patience = duration(self.transfer.timeout);
        let writes = match step.moment {
            TransferMoment::Start => self.prepare_writes(step, &mut finder).await?,
            _ => Ok(Vec::new()),
        };
        let calls = match is_repeated {
            true => Ok(Vec::new()),
            false => self.prepare_calls(step, *done, &mut finder).await?,
        };
        let (writes, calls) = match (writes, calls) {
            (Ok(writes), Ok(calls)) => (writes, calls),
            (Err(why), _) | (_, Err(why)) => return Ok(Taken::Refused(why)),
        };
        for prepared in writes {
            if let Err(why) = prepared.write(&self.session, patience).await? {
                return Ok(Taken::Refused(why));
            }
        }
        if let Err(why) = self.tell_receiver(step, patience, &mut finder).await? {
            return Ok(Taken::Refused(why));
        }
        for (call, ready) in calls {
            // Nothing is called before it is durable that it will be.
            self.note(step.transfer(*done, TransferOutcome::Calling)).await;
            match call.call(ready, &self.session, patience).await {
                Ok(Ok(())) => *done += 1,
                Ok(Err(why)) => return Ok(Taken::Refused(why)),
                Err(_) => return Ok(Taken::Unanswered),
            }
        }
        Ok(Taken::Whole)
    }

    /// Tells the receiver of job orders, if there is one.
    async fn tell_receiver(
        &self,
        step: &Step,
        patience: Duration,
        finder: &mut Finder<'_>,
    ) -> Result<Result<(), String>, Failure> {
        let Some(place) = &self.transfer.receiver else {
            return Ok(Ok(()));
        };
        let object = match finder.node(place).await? {
            Ok(object) => object,
            Err((_, why)) => return Ok(Err(why)),
        };
        match Receiver::new(&self.session, object, &self.namespaces, patience) {
            Some(receiver) => receiver.tell(step, &self.transfer, finder).await,
            None => Ok(Err("the machine does not know ISA-95 Job Control".into())),
        }
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

    /// The methods that are still called at this step, if each of them can be called with what the order has.
    async fn prepare_calls<'b>(
        &'b self,
        step: &Step,
        done: u32,
        finder: &mut Finder<'_>,
    ) -> Result<Result<Vec<(&'b Call, Ready)>, String>, Failure> {
        let mut all = Vec::new();
        let calls = self.transfer.calls.iter().filter(|call| call.moment == step.moment);
        for call in calls.skip(done as usize) {
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

    /// Makes a fact of what was told; returns when it is durable.
    async fn note(&self, transfer: OrderTransfer) {
        let actor = Actor { name: "system", may_correct: false };
        loop {
            let (machine, transfer) = (self.machine.clone(), transfer.clone());
            let command = Command::Transfer { machine, transfer };
            match self.engine.command(command, actor, None).await {
                Ok(_) => return,
                // A machine that is not configured any more is told nothing more, and this is dropped.
                Err(CommandError::Rejected(_) | CommandError::KeyReused) => {
                    std::future::pending().await
                }
                Err(CommandError::Unavailable(why)) => {
                    tracing::warn!(machine = %self.machine, "what it was told cannot be noted: {why}");
                    tokio::time::sleep(NOTE_AGAIN).await;
                }
            }
        }
    }

    fn log(&self, transfer: &OrderTransfer) {
        let (machine, order, moment) = (&self.machine, &transfer.order, transfer.moment.as_str());
        match transfer.outcome.why() {
            "" => tracing::info!(%machine, %order, moment, "the machine knows the order"),
            why => tracing::warn!(%machine, %order, moment, "{why}"),
        }
    }
}
