//! Tending the mirror of a machine over one connection: the machine is copied where it was not, and then
//! what somebody looks at is watched, and its events are heard. A machine that says that its nodes have
//! changed is copied anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::types::{NodeId, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::copying::{Copied, copy};
use super::filling::Filling;
use super::mapping::Mapping;
use super::remote::ReachedMachine;
use super::scope::Scope;
use super::watch::MirrorWatch;
use crate::app::clock::Clock;
use crate::app::connection::Connections;
use crate::app::ports::StoreError;
use crate::domain::time::Timestamp;
use crate::machine::client::{Failure, Session};
use crate::machine::duration;
use crate::machine::survey::Survey;
use crate::mirror::{Copy, Mirror, Mirrors, Unheard, write};

/// How often it is looked after what nobody looks at any more.
const TICK: Duration = Duration::from_secs(1);
/// After how long a machine that could not be copied is looked at again.
const AGAIN: Duration = Duration::from_secs(30);
/// How often a machine that says that its nodes have changed is copied at most.
const COPIED_AGAIN: Duration = Duration::from_secs(10);

/// Asks for a new subscription, whose number is answered, or why the machine makes none.
pub type Subscribe = oneshot::Sender<Result<u32, StatusCode>>;

/// Tending the mirror over one connection.
pub struct Tending {
    /// All mirrors.
    pub mirrors: Mirrors,
    /// That of the machine.
    pub mirror: Arc<Mirror>,
    /// What is watched.
    pub watch: Arc<MirrorWatch>,
    /// What is mirrored.
    pub scope: Scope,
    /// The session.
    pub session: Arc<Session>,
    /// Since when the machine's server runs.
    pub started: Option<Timestamp>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where people see how the mirror is.
    pub connections: Connections,
}

/// Tends the mirror until the handle is dropped. Whoever listens to the machine makes the subscriptions
/// that are asked for, so that none of their messages is missed.
pub fn start(tending: Tending) -> (mpsc::Receiver<Subscribe>, AbortOnDropHandle<()>) {
    let (ask, asked) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        // Whoever listens notices a broken connection himself and drops this; a machine that only was slow is
        // asked again.
        while let Err(failure) = tending.tend(&ask).await {
            tracing::warn!(machine = %tending.mirror.machine, "the mirror is behind: {failure}");
            tokio::time::sleep(AGAIN).await;
        }
    });
    (asked, AbortOnDropHandle::new(task))
}

impl Tending {
    async fn tend(&self, ask: &mpsc::Sender<Subscribe>) -> Result<(), Failure> {
        let known = self.watch.mapping();
        let is_known = known.is_some();
        let mapping = match known {
            Some(mapping) => mapping,
            None => self.copy().await?,
        };
        let unheard = self.up(mapping.clone(), is_known);
        let _filling = (!unheard.is_empty()).then(|| self.fill(mapping, unheard));
        if self.watch.hearing.is_heard() {
            self.mirror.events_heard_on();
        }
        let mut copied = Instant::now();
        let mut is_otherwise = false;
        let mut wanted = self.mirror.wanted();
        loop {
            if !self.hear(ask).await? {
                return Ok(());
            }
            is_otherwise |= self.watch.hearing.take_otherwise();
            if is_otherwise && copied.elapsed() >= COPIED_AGAIN {
                let mapping = self.copy().await?;
                self.up(mapping, true);
                (is_otherwise, copied) = (false, Instant::now());
            }
            let now = wanted.borrow_and_update().clone();
            let mut plan = self.watch.plan(&now, duration(self.scope.linger));
            while plan.needs_items() {
                let at = self.clock.now();
                let subscription = match self.subscription(ask).await {
                    Some(Ok(subscription)) => subscription,
                    Some(Err(status)) => {
                        self.watch.refuse(&mut plan, status, at);
                        break;
                    }
                    None => return Ok(()),
                };
                self.watch.add(&mut plan, subscription, &self.session, at).await?;
            }
            self.watch.remove(&mut plan, &self.session).await?;
            let hearing = &self.watch.hearing;
            let lingers = self.watch.lingers() || hearing.wants_refresh() || is_otherwise;
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return Ok(()) },
                () = self.watch.again() => {}
                () = tokio::time::sleep(TICK), if lingers => {}
            }
        }
    }

    /// Reads the machine's history for what was missed, beside all else and as long as the connection works.
    fn fill(&self, mapping: Arc<Mapping>, unheard: Vec<Unheard>) -> AbortOnDropHandle<()> {
        let (mirror, session, started) = (self.mirror.clone(), self.session.clone(), self.started);
        let filling = Filling { mirror, session, mapping, started };
        AbortOnDropHandle::new(tokio::spawn(filling.fill(unheard)))
    }

    fn up(&self, mapping: Arc<Mapping>, nothing_was_missed: bool) -> Vec<Unheard> {
        self.mirror.up(
            Arc::new(ReachedMachine {
                machine: self.mirror.machine.clone(),
                session: self.session.clone(),
                mapping,
                clock: self.clock.clone(),
                timeout: duration(self.scope.timeout),
            }),
            nothing_was_missed,
        )
    }

    /// Hears the machine's events, and asks for its conditions; whether anybody still listens.
    async fn hear(&self, ask: &mpsc::Sender<Subscribe>) -> Result<bool, Failure> {
        let hearing = &self.watch.hearing;
        if hearing.is_wanted() {
            let note = match self.subscription(ask).await {
                Some(Ok(subscription)) => self.watch.hear(subscription, &self.session).await?,
                Some(Err(status)) => {
                    hearing.refuse();
                    Some(format!("the machine does not tell its events ({status})"))
                }
                None => return Ok(false),
            };
            if hearing.is_heard() {
                self.mirror.events_begin(self.clock.now());
            }
            if let Some(note) = &note {
                tracing::warn!(machine = %self.mirror.machine, "mirror: {note}");
            }
            self.connections.update(&self.mirror.machine, |board| {
                board.events_note = note.unwrap_or_default();
            });
        }
        hearing.refresh(&self.session, &self.mirror, self.clock.now()).await?;
        Ok(true)
    }

    /// Copies the machine, again and again while it refuses something that is needed.
    async fn copy(&self) -> Result<Arc<Mapping>, Failure> {
        loop {
            match self.try_to_copy().await {
                Ok(mapping) => return Ok(mapping),
                Err(failure) if failure.is_broken() => return Err(failure),
                Err(failure) => {
                    let text = format!("the machine cannot be mirrored: {failure}");
                    tracing::warn!(machine = %self.mirror.machine, "{text}");
                    self.note(0, text);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn try_to_copy(&self) -> Result<Arc<Mapping>, Failure> {
        let unready = || Failure::refused(StatusCode::BadServerHalted);
        let ground = self.mirrors.ground().ok_or_else(unready)?;
        let machine = &self.mirror.machine;
        // There may be more of them than when we have come.
        let namespaces = Survey::of(&self.session, &*self.clock).await?.namespaces;
        let _turn = self.watch.hearing.common().turn().await;
        let mapping = Mapping::new(machine, &self.mirrors, ground, &namespaces);
        let copied = copy(&self.session, &self.scope, &namespaces, mapping).await?;
        let Copied { copy, mapping, events, mut notes } = copied;
        let count = copy.nodes.len();
        let mapping = Arc::new(mapping);
        self.keep(&copy).await;
        if let Err(error) = self.record(copy.recorded()).await {
            notes.push(format!("values cannot be recorded: {error}"));
        }
        notes.iter().for_each(|note| tracing::warn!(%machine, "mirror: {note}"));
        self.watch.set_mapping(mapping.clone());
        if let Some(events) = events {
            self.watch.hearing.want(events);
        }
        self.mirror.show(copy);
        self.note(count, notes.join("; "));
        Ok(mapping)
    }

    /// Keeps the values of variables from now on.
    async fn record(&self, variables: Vec<NodeId>) -> Result<(), StoreError> {
        let (mirror, mirrors) = (self.mirror.clone(), self.mirrors.clone());
        let work = move || mirror.record(&variables, mirrors.namespaces());
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))
    }

    /// Lets a copy outlast the program; without it, the nodes are there when the machine is reached.
    async fn keep(&self, copy: &Copy) {
        let kept = match self.mirror.kept(copy, self.mirrors.namespaces()) {
            Ok(Some((file, bytes))) => tokio::task::spawn_blocking(move || {
                write(&file, &bytes).map_err(|error| format!("{}: {error}", file.display()))
            })
            .await
            .unwrap_or(Ok(())),
            Ok(None) => Ok(()),
            Err(status) => Err(status.to_string()),
        };
        if let Err(error) = kept {
            tracing::warn!(machine = %self.mirror.machine, "the copy cannot be kept: {error}");
        }
    }

    /// A subscription with room, or why the machine makes none; none where nobody listens any more.
    async fn subscription(&self, ask: &mpsc::Sender<Subscribe>) -> Option<Result<u32, StatusCode>> {
        if let Some(known) = self.watch.subscription(&self.session) {
            return Some(Ok(known));
        }
        let (answer, answered) = oneshot::channel();
        ask.send(answer).await.ok()?;
        let answer = answered.await.ok()?;
        if let Ok(subscription) = answer {
            self.watch.begin(subscription);
        }
        Some(answer)
    }

    fn note(&self, nodes: usize, text: String) {
        self.connections.update(&self.mirror.machine, |board| {
            board.mirrored = nodes as u64;
            board.recorded = self.mirror.recorded() as u64;
            board.mirror_note = text;
        });
    }
}
