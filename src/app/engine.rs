//! The single writer: inputs come in, facts become durable, then callers and viewers learn of them.
//!
//! This is the side that others see: a handle with bounded queues. The thread behind it is in
//! `writer`.

use std::sync::Arc;
use std::thread::JoinHandle;

use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::clock::Clock;
use super::ports::{Reader, RequestKey, Store, StoreError, StoredAnswer};
use super::publish::Publisher;
use super::view::PlantView;
use super::writer::{Outside, Writer};
use crate::domain::command::{Command, Outcome};
use crate::domain::evidence::{LinkChange, MachineEvidence, Observation};
use crate::domain::id::{LineId, MachineId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::order::OrderRun;
use crate::domain::plant::Plant;
use crate::domain::plant::history::PlantHistory;
use crate::domain::rejection::Rejection;
use crate::domain::time::{Timestamp, Window};

/// Values of machines that may wait for the writer; when they do, their senders wait too.
const MACHINE_QUEUE: usize = 8192;
/// Commands and questions that may wait for the writer; more are refused.
const REQUEST_QUEUE: usize = 1024;

/// What a machine adapter delivers.
#[derive(Clone, Debug)]
pub enum MachineInput {
    /// A value; its order among equals is set by the engine.
    Observed(Observation),
    /// A change of the link; likewise.
    Linked(LinkChange),
}

/// Why a command had no effect that the caller may rely on.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The core refused it; nothing has changed.
    #[error("{0}")]
    Rejected(#[from] Rejection),
    /// The store cannot write; send it again later with the same key.
    #[error("{0}")]
    Unavailable(String),
    /// The same key was used for something else.
    #[error("this idempotency key was used before for another request")]
    KeyReused,
}

/// The result of a command; a repeated one has the answer that was given before.
#[derive(Debug)]
pub enum CommandReply {
    /// It took effect now.
    Done(Outcome),
    /// It had taken effect before; this was the answer.
    Repeated(StoredAnswer),
}

/// Who gives a command.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// User name.
    pub name: &'a str,
    /// Whether the user may change what belongs to a closed shift.
    pub may_correct: bool,
}

/// Makes an answer of an outcome: status and body.
pub type Render = Box<dyn FnOnce(&Result<Outcome, Rejection>) -> (u16, String) + Send>;

/// How a request is recognised when it comes again.
pub struct Idempotency {
    /// Caller and key.
    pub key: RequestKey,
    /// What is asked.
    pub request: [u8; 32],
    /// Makes the answer that is kept.
    pub render: Render,
}

/// Evidence and runs that are in memory, for a window.
#[derive(Clone, Debug)]
pub struct Extract {
    /// The plant as it was described over time.
    pub history: PlantHistory,
    /// The present.
    pub now: Timestamp,
    /// Evidence by machine.
    pub machines: Vec<MachineExtract>,
    /// Runs by line.
    pub runs: Vec<(LineId, Vec<OrderRun>)>,
}

/// Evidence about one machine that is in memory.
#[derive(Clone, Debug)]
pub struct MachineExtract {
    /// The machine.
    pub machine: MachineId,
    /// The instant before which evidence is in the archive.
    pub archived_to: Timestamp,
    /// The oldest instant of which there is evidence in memory.
    pub oldest: Option<Timestamp>,
    /// The evidence, without what the store has rows for.
    pub evidence: MachineEvidence,
}

/// What the writer is asked for.
pub(super) enum Request {
    /// To carry out a command.
    Command(Box<CommandRequest>),
    /// For evidence in memory.
    Extract(ExtractRequest),
    /// To go on with another description of the plant.
    Define(DefineRequest),
    /// To finish.
    Stop,
}

/// A command and who waits for it.
pub(super) struct CommandRequest {
    pub command: Command,
    pub actor: String,
    pub may_correct: bool,
    pub idempotency: Option<Idempotency>,
    pub reply: oneshot::Sender<Result<CommandReply, CommandError>>,
}

/// A description of the plant and who waits until it holds.
pub(super) struct DefineRequest {
    pub plant: Arc<Plant>,
    pub reply: oneshot::Sender<Result<(), CommandError>>,
}

/// A question for evidence and who waits for it.
pub(super) struct ExtractRequest {
    pub equipment: Equipment,
    pub window: Window,
    pub reply: oneshot::Sender<Extract>,
}

/// Whether the writer works.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// Everything that arrives becomes durable.
    Ready,
    /// Nothing becomes durable at present, for this reason.
    Degraded(String),
}

/// Access to the engine; clones are cheap.
#[derive(Clone)]
pub struct EngineHandle {
    machines: mpsc::Sender<MachineInput>,
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<Arc<PlantView>>,
    observed: broadcast::Sender<Arc<[Observation]>>,
    health: watch::Receiver<Health>,
    reader: Arc<dyn Reader>,
    plant: watch::Receiver<Arc<Plant>>,
    history: watch::Receiver<Option<PlantHistory>>,
}

impl EngineHandle {
    /// Delivers an input of a machine; waits while the writer is busy.
    pub async fn deliver(&self, input: MachineInput) -> Result<(), CommandError> {
        self.machines.send(input).await.map_err(|_| stopped())
    }

    /// Carries out a command; returns when it is durable.
    pub async fn command(
        &self,
        command: Command,
        actor: Actor<'_>,
        idempotency: Option<Idempotency>,
    ) -> Result<CommandReply, CommandError> {
        let (reply, answer) = oneshot::channel();
        let (name, may_correct) = (actor.name.to_owned(), actor.may_correct);
        let request = CommandRequest { command, actor: name, may_correct, idempotency, reply };
        let sent = self.requests.try_send(Request::Command(Box::new(request)));
        sent.map_err(|_| CommandError::Unavailable("too many requests wait; try again".into()))?;
        answer.await.map_err(|_| stopped())?
    }

    /// Evidence about some equipment that is in memory, for a window.
    pub async fn extract(
        &self,
        equipment: Equipment,
        window: Window,
    ) -> Result<Extract, CommandError> {
        let (reply, answer) = oneshot::channel();
        let request = ExtractRequest { equipment, window, reply };
        let sent = self.requests.try_send(Request::Extract(request));
        sent.map_err(|_| CommandError::Unavailable("too many requests wait; try again".into()))?;
        answer.await.map_err(|_| stopped())
    }

    /// Goes on with another description of the plant, which holds from now on; returns when that is
    /// durable. What was before stays as it was described then.
    pub async fn define(&self, plant: Arc<Plant>) -> Result<(), CommandError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.try_send(Request::Define(DefineRequest { plant, reply }));
        sent.map_err(|_| CommandError::Unavailable("too many requests wait; try again".into()))?;
        answer.await.map_err(|_| stopped())?
    }

    /// The plant as last published.
    pub fn view(&self) -> Arc<PlantView> {
        self.view.borrow().clone()
    }

    /// Tells when a new picture is published.
    pub fn views(&self) -> watch::Receiver<Arc<PlantView>> {
        self.view.clone()
    }

    /// Every value of a machine, in order, once it is durable. Who listens too slowly is told how
    /// many commits he has missed.
    pub fn observations(&self) -> broadcast::Receiver<Arc<[Observation]>> {
        self.observed.subscribe()
    }

    /// Whether the writer works.
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Tells when that changes.
    pub fn health_changes(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// The reading side of the store.
    pub fn reader(&self) -> &Arc<dyn Reader> {
        &self.reader
    }

    /// The plant as it is described now.
    pub fn plant(&self) -> Arc<Plant> {
        self.plant.borrow().clone()
    }

    /// The plant as it was described over time; not known until the description that was started with is
    /// durable.
    pub fn history(&self) -> Option<PlantHistory> {
        self.history.borrow().clone()
    }

    /// Inputs of machines that wait.
    pub fn queue_depth(&self) -> usize {
        MACHINE_QUEUE - self.machines.capacity()
    }

    /// Asks the engine to finish what has arrived and stop.
    pub async fn stop(&self) {
        // When the engine is gone already there is nothing to stop.
        let _ = self.requests.send(Request::Stop).await;
    }
}

fn stopped() -> CommandError {
    CommandError::Unavailable("the engine does not answer".into())
}

/// Recovers the core and starts the writer; the handle and the thread to wait for.
pub fn start(
    plant: Arc<Plant>,
    store: Box<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<(EngineHandle, JoinHandle<()>), StoreError> {
    let (machines, machine_queue) = mpsc::channel(MACHINE_QUEUE);
    let (requests, request_queue) = mpsc::channel(REQUEST_QUEUE);
    let (publisher, view) = Publisher::new();
    let observed = publisher.observed();
    let (health_sender, health) = watch::channel(Health::Ready);
    let reader = store.reader();
    let recovered = store.recover()?;
    let (history_sender, history) = watch::channel(None);
    let (plant_sender, described) = watch::channel(plant.clone());
    let outside = Outside {
        store,
        clock,
        publisher,
        health: health_sender,
        plant: plant_sender,
        history: history_sender,
    };
    let writer = Writer::new(&plant, recovered, outside);
    let plant = described;
    let handle =
        EngineHandle { machines, requests, view, observed, health, reader, plant, history };
    let thread = std::thread::Builder::new()
        .name("engine".into())
        .spawn(move || writer.run(machine_queue, request_queue))
        .map_err(|error| StoreError::Io(format!("no thread for the engine: {error}")))?;
    Ok((handle, thread))
}
