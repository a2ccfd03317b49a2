//! The mirrors of all machines: what they show, whether their machines can be reached, and which of
//! their variables somebody looks at.
//!
//! A value is never shown as good when the machine could have changed it unheard.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::Duration;

use hashbrown::HashMap;
use opcua::types::{DataValue, DateTime, NamespaceMap, NodeId, StatusCode};
use tokio::sync::{broadcast, watch};

use super::copy::Copy;
use super::events::{Belief, Conditions, Happened, missed};
use super::kept::{self, Made};
use super::namespaces::Namespaces;
use super::recorded::{Recorded, Unheard};
use super::remote::{Ground, Remote};
use crate::app::clock::Clock;
use crate::app::recorder::Recorder;
use crate::channel::decode::{decoding, raw_context};
use crate::channel::time::date_time;
use crate::domain::id::MachineId;
use crate::domain::time::{Span, Timestamp};

/// Batches of changes that may wait for the server; more are told as a loss.
const BATCHES: usize = 4096;
/// Messages with events that may wait for the server; more are told as a loss.
const EVENTS: usize = 1024;

/// Changes of variables, in order.
pub type Batch = Arc<[(NodeId, Arc<DataValue>)]>;
/// What is told of all machines.
pub type Changes = broadcast::Receiver<Batch>;
/// Events of machines, in order.
pub type Events = broadcast::Receiver<Arc<[Arc<Happened>]>>;
/// Variables that somebody looks at, and how often a value is wanted at least.
pub type Wanted = HashMap<NodeId, Duration>;

/// Sets values; most variables have one already, and their ids need not be made anew.
pub(super) fn set(
    values: &mut HashMap<NodeId, Arc<DataValue>>,
    changes: &[(NodeId, Arc<DataValue>)],
) {
    for (id, value) in changes {
        match values.get_mut(id) {
            Some(known) => *known = value.clone(),
            None => drop(values.insert(id.clone(), value.clone())),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a machine can be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    /// It was never reached.
    Never,
    /// Values arrive.
    Up,
    /// Not any more.
    Down {
        /// Since when that is known.
        since: Timestamp,
        /// Since when nothing was heard: what had happened then is known, and nothing later.
        unheard: Timestamp,
    },
}

/// The mirror of one machine.
pub struct Mirror {
    /// The machine.
    pub machine: MachineId,
    /// How long values are shown as uncertain after the machine was lost, before they are bad.
    linger: Span,
    /// What of it is copied.
    scope: String,
    /// Where its copy outlasts the program, if anywhere.
    file: Option<PathBuf>,
    /// What was copied, until it is shown.
    copy: Mutex<Option<Copy>>,
    pub(super) clock: Arc<dyn Clock>,
    /// Since when the machine was not heard before it is reached first.
    pub(super) unheard_since: Option<Timestamp>,
    /// What is kept, where anything can be.
    pub(super) recorded: Option<Recorded>,
    pub(super) values: RwLock<HashMap<NodeId, Arc<DataValue>>>,
    conditions: Mutex<Conditions>,
    link: RwLock<Link>,
    remote: RwLock<Option<Arc<dyn Remote>>>,
    wanted: watch::Sender<Arc<Wanted>>,
    changes: broadcast::Sender<Batch>,
    events: broadcast::Sender<Arc<[Arc<Happened>]>>,
    copied: watch::Sender<u64>,
}

impl std::fmt::Debug for Mirror {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "mirror of {}", self.machine)
    }
}

impl Mirror {
    /// What the machine's nodes are, if they were copied since it was last asked.
    pub fn take_copy(&self) -> Option<Copy> {
        self.copy.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What is to be written so that a copy outlasts the program, and where; none where nothing does.
    pub fn kept(
        &self,
        copy: &Copy,
        namespaces: &Namespaces,
    ) -> Result<Option<(PathBuf, Vec<u8>)>, StatusCode> {
        let Some(file) = self.file.clone() else { return Ok(None) };
        let namespaces = namespaces.all();
        let made = Made { namespaces: &namespaces, scope: &self.scope };
        let context = raw_context(NamespaceMap::new(), decoding());
        Ok(Some((file, kept::encode(copy, &made, &context.context())?)))
    }

    /// Shows other nodes from now on.
    pub fn show(&self, copy: Copy) {
        *self.copy.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        self.copied.send_modify(|count| *count += 1);
    }

    /// The machine can be reached. What was heard of it holds again if nothing was missed meanwhile, and is
    /// told anew; else it says nothing any more. Gives the recorded variables of which something was missed.
    pub fn up(&self, remote: Arc<dyn Remote>, nothing_was_missed: bool) -> Vec<Unheard> {
        let mut unheard = Vec::new();
        if !nothing_was_missed {
            let link = *read(&self.link);
            unheard = self.mark_loss(match link {
                Link::Down { unheard, .. } => Some(unheard),
                _ => None,
            });
        }
        let mut values = write(&self.values);
        if !nothing_was_missed {
            values.clear();
            self.recorded.iter().for_each(Recorded::outdate);
        }
        *write(&self.remote) = Some(remote);
        *write(&self.link) = Link::Up;
        let known: Vec<_> = values.iter().map(|(id, value)| (id.clone(), value.clone())).collect();
        drop(values);
        self.tell(known);
        unheard
    }

    /// The machine cannot be reached any more; everything was heard that had happened until an instant.
    pub fn down(&self, at: Timestamp, heard_to: Timestamp) {
        *write(&self.remote) = None;
        self.conditions().unheard();
        let mut link = write(&self.link);
        if *link == Link::Up {
            *link = Link::Down { since: at, unheard: heard_to.min(at) };
        }
    }

    /// Whether values arrive.
    pub fn is_up(&self) -> bool {
        *read(&self.link) == Link::Up
    }

    /// The machine, while it can be reached.
    pub fn remote(&self) -> Option<Arc<dyn Remote>> {
        read(&self.remote).clone()
    }

    /// Values that variables have taken, in order, of those that are watched. Those that are kept are shown
    /// when they are durable.
    pub fn changed(self: &Arc<Self>, changes: Vec<(NodeId, Arc<DataValue>)>) {
        let changes = self.keep(changes);
        if !changes.is_empty() {
            set(&mut write(&self.values), &changes);
        }
        self.tell(changes);
    }

    pub(super) fn tell(&self, changes: Vec<(NodeId, Arc<DataValue>)>) {
        if !changes.is_empty() {
            // Without a server nobody listens.
            let _ = self.changes.send(changes.into());
        }
    }

    fn conditions(&self) -> MutexGuard<'_, Conditions> {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has happened at the machine, in this order.
    pub fn happened(&self, happened: Vec<Happened>) {
        let all: Arc<[Arc<Happened>]> = happened.into_iter().map(Arc::new).collect();
        let mut conditions = self.conditions();
        all.iter().for_each(|one| conditions.note(one));
        // While nothing else can be told of the conditions, so that the order is theirs.
        let _ = self.events.send(all);
    }

    fn tell_events(&self, happened: Vec<Happened>) {
        if !happened.is_empty() {
            // Without a server nobody listens.
            let _ = self.events.send(happened.into_iter().map(Arc::new).collect());
        }
    }

    /// Events are heard from now on; if they were before, some may be missing.
    pub fn events_begin(&self, now: Timestamp) {
        let was_heard = self.conditions().begin();
        if was_heard {
            let why = "events of the machine may be missing: it was not heard for a while";
            self.events_missed(now, why.into());
        }
    }

    /// Whether events of the machine are told.
    pub fn has_events(&self) -> bool {
        self.conditions().was_heard()
    }

    /// No events are heard for now.
    pub fn events_unheard(&self) {
        self.conditions().unheard();
    }

    /// No event was missed: the conditions are as the machine has told them.
    pub fn events_heard_on(&self) {
        let again = self.conditions().believe();
        self.tell_events(again);
    }

    /// Events may have happened that were not heard, and why.
    pub fn events_missed(&self, now: Timestamp, why: String) {
        self.tell_events(vec![missed(&self.machine, date_time(now), why)]);
    }

    /// The machine begins to tell all of its conditions.
    pub fn refresh_begins(&self) {
        self.conditions().refresh_begins();
    }

    /// The machine has told all of its conditions; those that it has not told of are over.
    pub fn refresh_ends(&self, now: Timestamp) {
        let over = self.conditions().refresh_ends(date_time(now));
        self.tell_events(over);
    }

    /// The machine does not tell which conditions it has; those from before are not known any more.
    pub fn no_refresh(&self, now: Timestamp) {
        let over = self.conditions().forget(date_time(now));
        self.tell_events(over);
    }

    /// The conditions that somebody has still to do something about, with what can be said of them.
    pub fn retained(&self, now: Timestamp) -> Vec<Happened> {
        let link = *read(&self.link);
        let conditions = self.conditions();
        let belief = match link {
            Link::Up if !conditions.is_unheard() => Belief::Told,
            Link::Down { since, .. } if now - since >= self.linger => {
                Belief::Doubtful(StatusCode::BadNoCommunication)
            }
            _ => Belief::Doubtful(StatusCode::UncertainNoCommunicationLastUsableValue),
        };
        conditions.retained(belief)
    }

    /// Tells of the conditions of a machine that is lost for a while, that nobody knows them any more; once.
    pub fn tell_doubt(&self, now: Timestamp) {
        let Link::Down { since, .. } = *read(&self.link) else { return };
        if now - since >= self.linger {
            let doubted = self.conditions().doubt(StatusCode::BadNoCommunication, date_time(now));
            self.tell_events(doubted);
        }
    }

    /// Variables that are not watched any more: what they said last says nothing of them now.
    pub fn forget<'a>(&self, ids: impl Iterator<Item = &'a NodeId> + Clone) {
        self.mark_unheard(ids.clone());
        let mut values = write(&self.values);
        ids.for_each(|id| drop(values.remove(id)));
    }

    /// What the machine has told last of a variable, whether it is shown yet or not.
    pub fn last_heard(&self, id: &NodeId) -> Option<Arc<DataValue>> {
        self.heard(id).or_else(|| self.last(id))
    }

    /// What a variable said last, whatever holds now.
    pub fn last(&self, id: &NodeId) -> Option<Arc<DataValue>> {
        read(&self.values).get(id).cloned()
    }

    /// The value of a watched variable, and what can be said of it while the machine is lost. None where only
    /// the machine knows.
    pub fn value(&self, id: &NodeId, now: Timestamp) -> Option<Arc<DataValue>> {
        // The link first: when it comes up, what does not hold any more is forgotten before.
        let link = *read(&self.link);
        let known = read(&self.values).get(id).cloned();
        let since = match link {
            Link::Up => return known,
            Link::Down { since, .. } => since,
            Link::Never => {
                return Some(Arc::new(without_value(StatusCode::BadWaitingForInitialData, now)));
            }
        };
        let is_usable = |value: &DataValue| !value.status.is_some_and(|status| status.is_bad());
        let status = match &known {
            Some(value) if is_usable(value) && now - since < self.linger => {
                StatusCode::UncertainNoCommunicationLastUsableValue
            }
            _ => StatusCode::BadNoCommunication,
        };
        let last = known.filter(|_| status.is_uncertain());
        let told = match last {
            Some(last) => DataValue {
                status: Some(status),
                server_timestamp: Some(date_time(now)),
                ..(*last).clone()
            },
            None => without_value(status, now),
        };
        Some(Arc::new(told))
    }

    pub(super) fn set_wanted(&self, wanted: Arc<Wanted>) {
        self.wanted.send_if_modified(|known| {
            let is_new = **known != *wanted;
            *known = wanted;
            is_new
        });
    }

    /// Which variables somebody looks at, now and whenever that changes.
    pub fn wanted(&self) -> watch::Receiver<Arc<Wanted>> {
        self.wanted.subscribe()
    }
}

/// What is told of a variable that has no value.
pub fn without_value(status: StatusCode, now: Timestamp) -> DataValue {
    let now: DateTime = date_time(now);
    DataValue {
        value: None,
        status: Some(status),
        source_timestamp: Some(now),
        server_timestamp: Some(now),
        ..DataValue::default()
    }
}

/// The mirrors of all machines.
#[derive(Clone)]
pub struct Mirrors {
    shared: Arc<Shared>,
}

struct Shared {
    namespaces: Arc<Namespaces>,
    directory: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    recorder: Option<Recorder>,
    /// When mirrors of machines have ended.
    ended: Mutex<BTreeMap<MachineId, Timestamp>>,
    ground: OnceLock<Arc<dyn Ground>>,
    mirrors: RwLock<BTreeMap<MachineId, Arc<Mirror>>>,
    changes: broadcast::Sender<Batch>,
    events: broadcast::Sender<Arc<[Arc<Happened>]>>,
    copied: watch::Sender<u64>,
}

impl Mirrors {
    /// No mirrors yet. Copies outlast the program in a directory, and values in a recorder, if there are such.
    pub fn new(
        namespaces: Arc<Namespaces>,
        directory: Option<PathBuf>,
        clock: Arc<dyn Clock>,
        recorder: Option<Recorder>,
    ) -> Mirrors {
        let (changes, _) = broadcast::channel(BATCHES);
        let (events, _) = broadcast::channel(EVENTS);
        let (copied, _) = watch::channel(0);
        let (ground, mirrors) = (OnceLock::new(), RwLock::default());
        Mirrors {
            shared: Arc::new(Shared {
                namespaces,
                directory,
                clock,
                recorder,
                ended: Mutex::default(),
                ground,
                mirrors,
                changes,
                events,
                copied,
            }),
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The namespaces of the server.
    pub fn namespaces(&self) -> &Arc<Namespaces> {
        &self.shared.namespaces
    }

    /// What the server has without mirrors; none before it has said so.
    pub fn ground(&self) -> Option<Arc<dyn Ground>> {
        self.shared.ground.get().cloned()
    }

    /// Says what the server has without mirrors; once.
    pub fn set_ground(&self, ground: Arc<dyn Ground>) {
        // The types of a server stay as they are for its whole life.
        let _ = self.shared.ground.set(ground);
    }

    /// Begins the mirror of a machine, with the nodes that it had when it was last copied so.
    /// What is recorded of it is looked at so often.
    pub fn begin(
        &self,
        machine: &MachineId,
        linger: Span,
        scope: String,
        every: Duration,
    ) -> Arc<Mirror> {
        let name = format!("{machine}.copy");
        let file = self.shared.directory.as_ref().map(|directory| directory.join(name));
        let namespaces = self.shared.namespaces.all();
        let made = Made { namespaces: &namespaces, scope: &scope };
        let context = raw_context(NamespaceMap::new(), decoding());
        let kept = file.as_ref().and_then(|file| kept::bytes(file));
        let copy = kept.and_then(|kept| kept::decode(&kept, &made, &context.context()));
        let recorded = copy.as_ref().map(Copy::recorded).unwrap_or_default();
        let recorder = self.shared.recorder.clone();
        let ended = lock(&self.shared.ended).get(machine).copied();
        let unheard_since = ended.or_else(|| recorder.as_ref()?.reader().last_alive());
        let mirror = Arc::new(Mirror {
            machine: machine.clone(),
            linger,
            scope,
            file,
            copy: Mutex::new(copy),
            clock: self.shared.clock.clone(),
            unheard_since,
            recorded: recorder.map(|recorder| Recorded::new(recorder, every)),
            values: RwLock::default(),
            conditions: Mutex::default(),
            link: RwLock::new(Link::Never),
            remote: RwLock::default(),
            wanted: watch::channel(Arc::default()).0,
            changes: self.shared.changes.clone(),
            events: self.shared.events.clone(),
            copied: self.shared.copied.clone(),
        });
        // They are known already; when they are not, they are asked for again with the machine's next copy.
        let _ = mirror.record(&recorded, &self.shared.namespaces);
        write(&self.shared.mirrors).insert(machine.clone(), mirror.clone());
        self.shared.copied.send_modify(|count| *count += 1);
        mirror
    }

    /// Ends a mirror, unless another one has taken its place.
    pub fn end(&self, mirror: &Arc<Mirror>) {
        mirror.record_no_more();
        lock(&self.shared.ended).insert(mirror.machine.clone(), self.now());
        let mut mirrors = write(&self.shared.mirrors);
        if mirrors.get(&mirror.machine).is_some_and(|known| Arc::ptr_eq(known, mirror)) {
            mirrors.remove(&mirror.machine);
        }
        drop(mirrors);
        self.shared.copied.send_modify(|count| *count += 1);
    }

    /// All mirrors.
    pub fn all(&self) -> Vec<Arc<Mirror>> {
        read(&self.shared.mirrors).values().cloned().collect()
    }

    /// What changes from now on.
    pub fn changes(&self) -> Changes {
        self.shared.changes.subscribe()
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        self.shared.events.subscribe()
    }

    /// Counts on whenever a mirror shows other nodes, or there is another mirror.
    pub fn copied(&self) -> watch::Receiver<u64> {
        self.shared.copied.subscribe()
    }
}
