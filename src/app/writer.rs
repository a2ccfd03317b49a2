//! The thread behind the engine: the only writer of the core and the store.
//!
//! It takes what has queued up, decides and applies, commits once, and only then answers and
//! publishes. If a commit fails nothing of it was visible: commands are refused, the core is rebuilt
//! from the store, and the values of machines, which nobody can send again, are decided again.

mod commit;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use super::closing::figures;
use super::engine::{
    CommandError, CommandReply, CommandRequest, DefineRequest, ExtractRequest, Health, Idempotency,
    MachineInput, Request,
};
use super::figures::Page;
use super::live::Live;
use super::looks::Looks;
use super::pages::{Pages, too_much};
use super::ports::{Reader, Recovered, RequestKey, Store, StoreError, StoredAnswer};
use super::publish::Publisher;
use super::query::{QueryError, complete};
use super::recall::{Pending, extract, rebuild, recall};
use crate::domain::command::{Command, CommandInput, Input, Outcome};
use crate::domain::core::{Closing, Core, DueClosing};
use crate::domain::event::Event;
use crate::domain::evidence::{
    EvidenceBlock, LinkChange, MachineEvidence, Observation, STATE_CONTEXT,
};
use crate::domain::id::{MachineId, OrderId};
use crate::domain::notice::ConditionId;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::order::Order;
use crate::domain::plant::Plant;
use crate::domain::plant::history::PlantHistory;
use crate::domain::rejection::Rejection;
use crate::domain::time::{Span, Timestamp, Window};

/// Inputs that become durable together.
const BATCH_MAX: usize = 256;
/// Batches after which the state is kept as a whole.
const SNAPSHOT_EVERY: u64 = 20_000;
/// A sign of life is kept at least this often.
const ALIVE_EVERY: Span = Span::from_millis(2000);
/// What machines had done so long before the last sign of life may have been on its way still: publishing
/// intervals are seldom longer. Of a machine that was heard since then more is known.
const UNHEARD: Span = Span::from_seconds(1);
/// Waits between attempts to open the store again after an error.
const REOPEN_EVERY: Duration = Duration::from_millis(500);
/// Orders of equal time given between two batches stay below this.
const SEQ_PER_BATCH: u64 = 1 << 20;

/// What the writer works with.
pub(super) struct Outside {
    pub store: Box<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub publisher: Publisher,
    pub health: watch::Sender<Health>,
    pub plant: watch::Sender<Arc<Plant>>,
    pub history: watch::Sender<Option<PlantHistory>>,
}

/// The single writer.
pub(super) struct Writer {
    core: Core,
    outside: Outside,
    seq: u64,
    batches: u64,
    alive_at: Timestamp,
    /// What has to be noted of this start, until that is durable.
    start: Option<Start>,
    /// The plant as it is configured.
    plant: Arc<Plant>,
    /// Kept sums of figures.
    pages: Pages,
    /// Figures of the present.
    live: Live,
    /// Machines of which something may have to be told.
    looks: Looks,
    /// Inputs of machines whose commit failed.
    unsaved: Vec<MachineInput>,
}

/// What a start has to note.
#[derive(Clone, Copy)]
struct Start {
    /// The last sign of life of the process before this one.
    last_alive: Option<Timestamp>,
    /// Whether nothing was ever stored.
    is_first: bool,
}

/// What one commit will hold, and who waits for it.
#[derive(Default)]
struct Work {
    events: Vec<Event>,
    orders: BTreeSet<OrderId>,
    retired: Vec<Order>,
    archived: Vec<(MachineId, EvidenceBlock)>,
    answers: Vec<(RequestKey, StoredAnswer)>,
    replies: Vec<Waiting>,
    extracts: Vec<ExtractRequest>,
    defined: Vec<DefineRequest>,
    machine_inputs: Vec<MachineInput>,
    pages: Vec<Page>,
    stale: Vec<(Equipment, Window)>,
}

struct Waiting {
    reply: oneshot::Sender<Result<CommandReply, CommandError>>,
    result: Result<CommandReply, CommandError>,
}

/// What woke the engine.
enum Wake {
    Request(Request),
    Machine(MachineInput),
    Deadline,
    Stop,
}

impl Writer {
    /// A writer that goes on from what the store holds.
    pub fn new(plant: &Arc<Plant>, recovered: Recovered, mut outside: Outside) -> Writer {
        let start =
            Some(Start { last_alive: recovered.last_alive, is_first: recovered.written == 0 });
        let seq = (recovered.written + 1).saturating_mul(SEQ_PER_BATCH);
        let core = rebuild(plant, recovered);
        let pages = recovered_pages(&core, &*outside.store.reader());
        outside.publisher.begin(&core);
        Writer {
            looks: Looks::new(outside.clock.now()),
            core,
            pages,
            live: Live::default(),
            outside,
            seq,
            batches: 0,
            alive_at: Timestamp::MIN,
            start,
            plant: plant.clone(),
            unsaved: Vec::new(),
        }
    }

    /// Works until it is asked to stop.
    pub fn run(
        mut self,
        mut machines: mpsc::Receiver<MachineInput>,
        mut requests: mpsc::Receiver<Request>,
    ) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build()
        else {
            tracing::error!("the engine has no runtime and cannot start");
            return;
        };
        let mut stop = false;
        self.outside.publisher.touch_all(&self.core);
        while !stop {
            let wait = self.wait();
            let wake = runtime.block_on(next(&mut machines, &mut requests, wait));
            let now = self.outside.clock.now();
            let mut work = self.begin(now);
            stop = self.gather(wake, &mut machines, &mut requests, now, &mut work);
            let is_due = self.core.next_deadline().is_some_and(|deadline| deadline <= now);
            // Figures are made of memory and store; what leaves memory with this commit is in neither
            // of them until it is done, so it leaves last.
            if is_due {
                self.close_shifts(now, &mut work);
            }
            self.settle(now, &mut work);
            if is_due {
                self.decide_own(&Input::Tick(now), &mut work);
            }
            if let Err(error) = self.finish(work, now) {
                stop |= runtime.block_on(self.heal(error, &mut requests));
            }
        }
        self.keep_snapshot();
    }

    /// Notes how the plant is described now, and the time in which nobody watched the machines.
    fn begin(&mut self, now: Timestamp) -> Work {
        let mut work = Work::default();
        if let Some(Start { last_alive, is_first }) = self.start {
            let from = if is_first { Timestamp::MIN } else { now };
            let plant = self.plant.clone();
            self.decide_own(&Input::Defined { from, plant }, &mut work);
            if let Some(last_alive) = last_alive {
                self.seq += 1;
                let last_alive = last_alive - UNHEARD;
                self.decide_own(&Input::Restarted { last_alive, seq: self.seq }, &mut work);
            }
        }
        work
    }

    /// Makes the sums of what is settled, some of those that were wrong, and room in memory.
    ///
    /// The commit takes wrong sums away before it keeps those that are made with its facts.
    fn settle(&mut self, now: Timestamp, work: &mut Work) {
        if waits_for_store(work) || !self.pages.is_due(now) {
            return;
        }
        let reader = self.outside.store.reader();
        let made = self.pages.make(&self.core, &*reader, now);
        let again = self.pages.make_again(&self.core, &*reader, now);
        for pages in [made, again] {
            match pages {
                Ok(pages) => work.pages.extend(pages),
                Err(error) => tracing::error!(%error, "sums of figures cannot be made now"),
            }
        }
        for (machine, before) in too_much(&self.core, now) {
            self.decide_own(&Input::Archive { machine, before }, work);
        }
    }

    /// Records the shifts that are due. One whose facts cannot be read stays due.
    fn close_shifts(&mut self, now: Timestamp, work: &mut Work) {
        if waits_for_store(work) {
            return;
        }
        for due in self.core.closings_due(now) {
            match self.closing(due, now) {
                Ok(closing) => self.decide_own(&Input::Closed(Box::new(closing)), work),
                Err(error) => tracing::error!(%error, "a shift cannot be closed now"),
            }
        }
        self.core.plan_closings(now);
    }

    fn closing(&self, due: DueClosing, now: Timestamp) -> Result<Closing, QueryError> {
        let (line, window) = (&due.line, due.shift.window);
        let reader = self.outside.store.reader();
        let extract = extract(&self.core, &Equipment::Line(line.clone()), window, now);
        let facts = complete(extract, &*reader, window)?;
        let figures = figures(&facts.facts(), line, window);
        let before = reader.shift_records(line, window.from)?.pop();
        Ok(Closing { at: now, figures, before, due })
    }

    /// How long nothing will happen by itself.
    fn wait(&self) -> Duration {
        let now = self.outside.clock.now();
        let alive = self.alive_at + ALIVE_EVERY;
        let next = self.core.next_deadline().into_iter().chain(self.looks.next());
        let next = next.chain([alive, self.outside.publisher.next()]);
        let wait = next.min().map_or(0, |next| (next - now).ticks()).max(0);
        Duration::from_nanos(wait.unsigned_abs().saturating_mul(100)).max(Duration::from_millis(1))
    }

    /// Takes what woke the writer and what has queued up behind it; whether it is to stop.
    fn gather(
        &mut self,
        wake: Wake,
        machines: &mut mpsc::Receiver<MachineInput>,
        requests: &mut mpsc::Receiver<Request>,
        now: Timestamp,
        work: &mut Work,
    ) -> bool {
        let mut next = Some(wake);
        let mut room = BATCH_MAX;
        while let Some(wake) = next.take() {
            match wake {
                Wake::Machine(input) => self.machine_input(input, work),
                Wake::Request(Request::Command(request)) => self.command(*request, now, work),
                Wake::Request(Request::Extract(request)) => work.extracts.push(request),
                Wake::Request(Request::Define(request)) => {
                    let plant = request.plant.clone();
                    self.decide_own(&Input::Defined { from: now, plant }, work);
                    work.defined.push(request);
                }
                Wake::Request(Request::Stop) | Wake::Stop => return true,
                Wake::Deadline => {}
            }
            room -= 1;
            if room > 0 {
                let request = requests.try_recv().ok().map(Wake::Request);
                next = request.or_else(|| machines.try_recv().ok().map(Wake::Machine));
            }
        }
        false
    }

    /// Decides an input that the core never refuses.
    fn decide_own(&mut self, input: &Input, work: &mut Work) {
        if let Err(rejection) = self.decide(input, work) {
            tracing::error!(code = rejection.code(), "refused by the core: {rejection}");
        }
    }

    fn decide(&mut self, input: &Input, work: &mut Work) -> Result<Outcome, Rejection> {
        let start = work.events.len();
        let outcome = self.core.decide(input, &mut work.events);
        if outcome.is_err() {
            work.events.truncate(start);
        }
        for event in &work.events[start..] {
            self.outside.publisher.touch(&self.core, event);
            let applied = self.core.apply(event);
            self.outside.publisher.touch(&self.core, event);
            self.looks.note(&self.core, event, &applied.touched);
            for (machine, window) in &applied.touched {
                self.pages.touch(&self.core, machine, *window);
                self.live.touch(&self.core, machine, *window);
            }
            work.orders.extend(applied.order);
            work.retired.extend(applied.retired.map(|order| *order));
            work.archived.extend(applied.archived.filter(|(_, block)| !block.is_empty()));
        }
        outcome
    }

    fn machine_input(&mut self, input: MachineInput, work: &mut Work) {
        self.seq += 1;
        let seq = self.seq;
        let decided = match &input {
            MachineInput::Observed(observation) => {
                Input::Observed(Observation { seq, ..observation.clone() })
            }
            MachineInput::Linked(change) => Input::Linked(LinkChange { seq, ..change.clone() }),
        };
        if let Input::Observed(observation) = &decided
            && observation.at < self.core.archived_to(&observation.machine)
        {
            self.recall(observation, work);
        }
        self.decide_own(&decided, work);
        work.machine_inputs.push(input);
    }

    /// Takes back what a late value belongs to: evidence, and the orders that ran then.
    fn recall(&mut self, observation: &Observation, work: &mut Work) {
        let (reader, now) = (self.outside.store.reader(), self.outside.clock.now());
        let pending = Pending { archived: &work.archived, events: &work.events };
        match recall(&self.core, &*reader, pending, observation, now) {
            Ok(Some((recall, orders))) => {
                for order in orders {
                    self.decide_own(&Input::Admit(Box::new(order)), work);
                }
                self.decide_own(&Input::Recall(Box::new(recall)), work);
            }
            Ok(None) => tracing::warn!(
                machine = %observation.machine,
                "a value is too late for the totals of orders; figures take it into account"
            ),
            Err(error) => tracing::error!(%error, "archived evidence cannot be read"),
        }
    }

    fn command(&mut self, request: CommandRequest, now: Timestamp, work: &mut Work) {
        let CommandRequest { command, actor, may_correct, idempotency, reply } = request;
        if let Some(idempotency) = &idempotency {
            match self.repeated(idempotency, work) {
                Ok(None) => {}
                Ok(Some(result)) => return work.replies.push(Waiting { reply, result }),
                Err(error) => {
                    let result = Err(CommandError::Unavailable(error.to_string()));
                    return work.replies.push(Waiting { reply, result });
                }
            }
        }
        self.admit(&command, work);
        self.seq += 1;
        let context = self.context_of(&command, now, work);
        let seq = self.seq;
        let input = CommandInput { command, actor, at: now, seq, may_correct, context };
        let outcome = self.decide(&Input::Command(input), work);
        if let Some(Idempotency { key, request, render }) = idempotency {
            let (status, body) = render(&outcome);
            work.answers.push((key, StoredAnswer { request, status, body, at: now }));
        }
        let result = outcome.map(CommandReply::Done).map_err(CommandError::Rejected);
        work.replies.push(Waiting { reply, result });
    }

    /// The answer to a request that came before, in this batch or an earlier one.
    fn repeated(
        &self,
        idempotency: &Idempotency,
        work: &Work,
    ) -> Result<Option<Result<CommandReply, CommandError>>, StoreError> {
        let in_batch = work.answers.iter().find(|(key, _)| *key == idempotency.key);
        let known = match in_batch {
            Some((_, answer)) => Some(answer.clone()),
            None => self.outside.store.reader().answer(&idempotency.key)?,
        };
        Ok(known.map(|answer| {
            if answer.request == idempotency.request {
                Ok(CommandReply::Repeated(answer))
            } else {
                Err(CommandError::KeyReused)
            }
        }))
    }

    /// Takes a finished order back from the store when a command names it.
    fn admit(&mut self, command: &Command, work: &mut Work) {
        let id = match command {
            Command::StoreOrder(request) => &request.id,
            Command::MoveOrder { order, .. } => order,
            Command::Report(report) => &report.order,
            Command::Consume(consumption) => &consumption.order,
            Command::Remark { .. }
            | Command::LogOn { .. }
            | Command::Condition(_)
            | Command::Transfer { .. }
            | Command::NoteShift { .. } => return,
        };
        if self.core.order(id).is_none()
            && let Ok(Some(order)) = self.outside.store.reader().order(id)
        {
            self.decide_own(&Input::Admit(Box::new(order)), work);
        }
    }

    /// The evidence about time that has left memory, where a command is about it.
    fn context_of(
        &self,
        command: &Command,
        now: Timestamp,
        work: &Work,
    ) -> Option<Box<MachineEvidence>> {
        let (machine, spoken_of) = match command {
            Command::Remark { machine, remark, .. } => (machine, remark.window()),
            Command::Condition(command) => {
                let condition = self.core.branch(&command.source, command.notice).ok()?;
                let ConditionId::Stop(_, start) = condition.id else {
                    return None;
                };
                (command.source.machine(), Window { from: start, to: start })
            }
            _ => return None,
        };
        let window = Window { from: spoken_of.from, to: spoken_of.to + Span::from_ticks(1) };
        if window.from - STATE_CONTEXT >= self.core.archived_to(machine) {
            return None;
        }
        let extract = extract(&self.core, &Equipment::Machine(machine.clone()), window, now);
        match complete(extract, &*self.outside.store.reader(), window) {
            Ok(facts) => {
                let mut evidence = facts.evidence(machine)?.clone();
                let pending = Pending { archived: &work.archived, events: &work.events };
                pending.remarks(machine).for_each(|remark| evidence.remarks.add(remark.clone()));
                Some(Box::new(evidence))
            }
            Err(error) => {
                tracing::error!(%error, "archived evidence cannot be read");
                None
            }
        }
    }
}

async fn next(
    machines: &mut mpsc::Receiver<MachineInput>,
    requests: &mut mpsc::Receiver<Request>,
    wait: Duration,
) -> Wake {
    tokio::select! {
        biased;
        request = requests.recv() => request.map_or(Wake::Stop, Wake::Request),
        Some(input) = machines.recv() => Wake::Machine(input),
        () = tokio::time::sleep(wait) => Wake::Deadline,
    }
}

/// Whether something of this commit may be neither in memory nor in the store yet: values that were too
/// late to come back into memory, and what people said of time that is archived.
fn waits_for_store(work: &Work) -> bool {
    let is_remark = |event: &Event| matches!(event, Event::Remarked { .. });
    !work.archived.is_empty() || work.events.iter().any(is_remark)
}

/// What the store holds of kept sums; when that cannot be read, all are made again.
fn recovered_pages(core: &Core, reader: &dyn Reader) -> Pages {
    Pages::recover(core, reader).unwrap_or_else(|error| {
        tracing::error!(%error, "kept sums cannot be read");
        Pages::default()
    })
}
