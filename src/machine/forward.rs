//! What a machine tells, as facts for the engine: when it was so, what it means, and what cannot be
//! used and why. It outlives connections, so that what is told twice is known.
//!
//! A time that cannot be is not believed, and nothing is dropped without a word.

use std::collections::BTreeSet;
use std::sync::Arc;

use opcua::types::{DataValue, StatusCode};

use super::clock::{MachineClock, Reading as ClockReading};
use super::link::MachineLink;
use super::problems::{Noted, Problems};
use super::value;
use super::{MachineConnection, Watched};
use crate::app::connection::{Connection, ConnectionState, ProcessValue};
use crate::app::engine::MachineInput;
use crate::domain::evidence::{LinkChange, Observation};
use crate::domain::signal::counter::CounterKind;
use crate::domain::signal::{RawValue, Reading, Signal, SignalRole, SignalRule, Unusable, is_bad};
use crate::domain::time::{Span, Timestamp};

/// Times before this are not believed, whatever they are about.
const OLDEST_BELIEVED: Span = Span::from_seconds(366 * 24 * 3600);
/// How soon a machine is asked for its time again.
const ASKED_AGAIN: Span = Span::from_seconds(1);
/// How long it is shown that a time was not believed.
const DISBELIEF_SHOWN: Span = Span::from_seconds(60);
/// How long a message may have been on its way at most; who says that it was sent before that says nothing.
const LONGEST_WAY: Span = Span::from_seconds(60);
const TICK: Span = Span::from_ticks(1);
/// How far the clock of a machine may have moved between two runs of ours without being noticed.
const INEXACT: Span = Span::from_seconds(2);
/// How long the first picture of a plant may take.
const FIRST_PICTURE: std::time::Duration = std::time::Duration::from_secs(5);

/// How a value came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The first one of an item: it holds now, whenever it changed.
    First,
    /// A change.
    Change,
    /// From the machine's own history.
    History,
}

/// What an item has told.
#[derive(Clone, Debug)]
struct Memory {
    name: String,
    /// What its times are called.
    times: String,
    last: Option<DataValue>,
    /// Time of its newest value, on the machine's clock.
    newest: Option<Timestamp>,
    /// Newest of its source times that were believed.
    believed: Option<Timestamp>,
    /// When one of them was not, by our clock; absent when that is long ago.
    disbelieved: Option<Timestamp>,
    /// Source time of what it told last before the link was lost.
    before: Option<Timestamp>,
}

/// Everything that is known of what a machine has told.
pub struct Forward {
    link: MachineLink,
    connection: Arc<MachineConnection>,
    clock: MachineClock,
    /// When the machine was last asked for its time, by our clock.
    measured: Timestamp,
    items: Vec<Memory>,
    problems: Problems,
    /// When this begin was, on the machine's clock.
    began: Timestamp,
    /// From when on all first values hold that were read since, on the machine's clock.
    holds_from: Timestamp,
    /// Until when everything that has happened was heard, on the machine's clock.
    heard_to: Timestamp,
    /// When the link was last told to have changed, on the machine's clock.
    changed: Timestamp,
    is_up: bool,
    /// Since when nothing is known, if something was known before.
    lost: Option<Timestamp>,
    /// Whether what was told before is known from what is stored: it was told to another program, or under
    /// another configuration, and times are those of facts.
    is_taken_over: bool,
}

impl Forward {
    /// Nothing is known: until the link is up for the first time, whatever arrives before.
    pub async fn new(
        link: MachineLink,
        connection: Arc<MachineConnection>,
    ) -> Result<Forward, String> {
        let now = link.clock.now();
        let items = connection.items.iter();
        let items = items.map(|(watched, _)| Memory {
            name: watched.to_string(),
            times: format!("the clock of {watched}"),
            last: None,
            newest: None,
            believed: None,
            disbelieved: None,
            before: None,
        });
        let clock = MachineClock::new(connection.clock_skew_max);
        let changed = now - connection.clock_skew_max;
        let forward = Forward {
            items: items.collect(),
            problems: Problems::default(),
            clock,
            measured: changed,
            began: now,
            holds_from: now,
            heard_to: now,
            changed,
            is_up: false,
            lost: None,
            is_taken_over: false,
            link,
            connection,
        };
        forward.link_changed(changed, false).await?;
        Ok(forward.taking_over().await)
    }

    /// With what is known of the machine from before, so that its history can tell what was missed since.
    async fn taking_over(mut self) -> Forward {
        let mut views = self.link.engine.views();
        let machine = &self.connection.machine;
        // The first picture comes a moment after the start.
        let is_known = views.wait_for(|view| view.machines.contains_key(machine));
        let known = match tokio::time::timeout(FIRST_PICTURE, is_known).await {
            Ok(Ok(view)) => view.machines.get(machine).cloned(),
            _ => None,
        };
        let Some(known) = known else { return self };
        let Some(lost) = known.linked_since.filter(|_| !known.linked && !known.told.is_empty())
        else {
            return self;
        };
        for (memory, (watched, _)) in self.items.iter_mut().zip(&self.connection.items) {
            if let Watched::Signal(signal) = watched {
                memory.before = known.told.get(&signal.role).copied();
            }
        }
        (self.changed, self.lost, self.is_taken_over) = (lost, Some(lost), true);
        self
    }

    /// Our time on the machine's clock.
    fn machine_now(&self) -> Timestamp {
        self.clock.at_machine(self.link.clock.now())
    }

    /// Something was heard of the machine, which has told everything until an instant of its clock, if it says so.
    /// What has happened since may be on its way: were the link lost now, nobody would know it.
    pub fn heard(&mut self, told_to: Option<Timestamp>) {
        let now = self.machine_now();
        let said = told_to.filter(|said| self.believes_times() && *said > now - LONGEST_WAY);
        self.heard_to = said.map_or(now, |said| said.min(now));
    }

    /// Takes a reading of the machine's clock.
    pub fn measure(&mut self, reading: Option<&ClockReading>) {
        let Some(reading) = reading else { return };
        self.measured = reading.answered;
        let was_believed = !self.clock.is_not_believed();
        if let Some(jump) = self.clock.measure(reading) {
            let machine = &self.connection.machine;
            tracing::warn!(%machine, "the clock of the machine has jumped by {jump}");
        }
        let (skew, is_believed) = (self.clock.skew(), !self.clock.is_not_believed());
        if is_believed != was_believed || !is_believed {
            let limit = self.connection.clock_skew_max;
            let why = "is off by more than";
            let text = format!("{why} {limit}; the times at which values arrive are used instead");
            self.note_about("the clock of the machine", (!is_believed).then_some(&*text));
        }
        self.show(|board| board.clock_skew = skew);
    }

    /// A connection on which everything is read anew begins.
    pub fn begin(&mut self, reading: Option<&ClockReading>) {
        self.problems.clear();
        self.measure(reading);
        self.began = self.machine_now();
        (self.heard_to, self.holds_from) = (self.began, self.began);
    }

    /// Whether the link is up.
    pub fn is_up(&self) -> bool {
        self.is_up
    }

    /// Since when something is missed, by the clock of the machine, if anything was known before.
    pub fn lost(&self) -> Option<Timestamp> {
        match self.is_taken_over {
            // Then it was written down by our clock, and how far that of the machine was off is known now only.
            true => self.lost.map(|lost| self.clock.at_machine(lost) - INEXACT),
            false => self.lost,
        }
    }

    /// Whether what was told before is known from what is stored, with the times of facts.
    pub fn is_taken_over(&self) -> bool {
        self.is_taken_over
    }

    /// Whether times of the machine can be used.
    pub fn believes_times(&self) -> bool {
        !self.clock.is_not_believed()
    }

    /// The times of what an item told last before the link was lost, and first after it.
    pub fn missed(&self, item: usize) -> Option<(Timestamp, Timestamp)> {
        let memory = self.items.get(item)?;
        Some((memory.before?, memory.believed?))
    }

    /// The link is up, and something was missed before or nothing is known to have been.
    pub async fn up(&mut self) -> Result<(), String> {
        // What has changed while all was read anew was not seen before; what held until then nobody knows.
        let at = self.holds_from.max(self.changed + TICK);
        self.count_from(at).await?;
        self.come_up(at).await
    }

    /// Counters that were read before everything was known stand there still: what they count from then on is no
    /// step out of the gap.
    async fn count_from(&mut self, at: Timestamp) -> Result<(), String> {
        let connection = self.connection.clone();
        for (item, (watched, _)) in connection.items.iter().enumerate() {
            let Watched::Signal(signal) = watched else { continue };
            let (last, newest) = (self.items[item].last.clone(), self.items[item].newest);
            if let Some(last) = last.filter(|_| is_rising(signal) && newest < Some(at)) {
                self.signal(item, signal, at, &last).await?;
                self.items[item].newest = Some(at);
            }
        }
        Ok(())
    }

    /// The link is up, and nothing was missed.
    pub async fn up_without_gap(&mut self) -> Result<(), String> {
        let at = self.lost.unwrap_or(self.began);
        self.come_up(at).await
    }

    async fn come_up(&mut self, at: Timestamp) -> Result<(), String> {
        let without_gap = self.lost == Some(at);
        self.link_changed(at, true).await?;
        (self.changed, self.is_up, self.lost) = (at, true, None);
        self.is_taken_over = false;
        let (now, machine) = (self.link.clock.now(), &self.connection.machine);
        let text = self.problems.text();
        match (text.is_empty(), without_gap) {
            (true, false) => tracing::info!(%machine, "connected"),
            (true, true) => tracing::info!(%machine, "connected again, nothing was missed"),
            (false, _) => tracing::warn!(%machine, "connected, but {text}"),
        }
        let items = self.items.len() as u64;
        self.show(|board| {
            board.since = now;
            board.connects += 1;
            board.resumed += u64::from(without_gap);
            board.items = items;
        });
        self.show_problems();
        Ok(())
    }

    /// The link is down; nothing is known since everything was heard that had happened.
    pub async fn down(&mut self) -> Result<(), String> {
        if !self.is_up {
            return Ok(());
        }
        let at = self.heard_to.max(self.changed + TICK);
        (self.changed, self.is_up, self.lost) = (at, false, Some(at));
        for memory in &mut self.items {
            memory.before = memory.believed;
        }
        self.link_changed(at, false).await
    }

    async fn link_changed(&self, at: Timestamp, up: bool) -> Result<(), String> {
        let machine = self.connection.machine.clone();
        self.deliver(MachineInput::Linked(LinkChange { machine, at, seq: 0, up })).await
    }

    fn show(&self, change: impl FnOnce(&mut Connection)) {
        self.link.connections.update(&self.connection.machine, change);
    }

    fn show_problems(&self) {
        let text = self.problems.text();
        self.show(|board| {
            board.state = match text.is_empty() {
                true => ConnectionState::Connected,
                false => ConnectionState::Degraded,
            };
            board.last_error = text;
        });
    }

    fn note(&mut self, item: usize, problem: Option<&str>) {
        let noted = self.problems.note(&self.items[item].name, problem, self.link.clock.now());
        let name = &self.items[item].name;
        self.noted(noted, name, problem);
    }

    fn note_about(&mut self, what: &str, problem: Option<&str>) {
        let noted = self.problems.note(what, problem, self.link.clock.now());
        self.noted(noted, what, problem);
    }

    fn noted(&self, noted: Noted, what: &str, problem: Option<&str>) {
        if let (Noted::Logged, Some(why)) = (noted, problem) {
            tracing::warn!(machine = %self.connection.machine, "{what}: {why}");
        }
        if noted != Noted::Same && self.is_up {
            self.show_problems();
        }
    }

    /// Forwards changes of items. Items of `missing` tell their first value, and are taken out.
    pub async fn changes(
        &mut self,
        changes: Vec<(usize, DataValue)>,
        missing: &mut BTreeSet<usize>,
    ) -> Result<(), String> {
        let now = self.link.clock.now();
        let (values, mut slowest) = (changes.len() as u64, Span::ZERO);
        for (item, arrived) in changes {
            let origin = match missing.remove(&item) {
                true => Origin::First,
                false => Origin::Change,
            };
            let at = self.value(item, arrived, origin).await?;
            if let (Some(at), Origin::Change) = (at, origin) {
                slowest = slowest.max(self.clock.at_machine(now) - at);
            }
        }
        if values > 0 {
            self.show(|board| {
                board.values += values;
                board.last_value = Some(now);
                board.lag = slowest;
            });
        }
        Ok(())
    }

    /// Forwards a value; gives the time that it has, if it was not known.
    pub async fn value(
        &mut self,
        item: usize,
        arrived: DataValue,
        origin: Origin,
    ) -> Result<Option<Timestamp>, String> {
        if origin == Origin::Change && self.is_known(item, &arrived) {
            return Ok(None);
        }
        let connection = self.connection.clone();
        let watched = &connection.items[item].0;
        let at = self.time(item, watched, &arrived, origin);
        match watched {
            Watched::Signal(signal) => self.signal(item, signal, at, &arrived).await?,
            Watched::ProcessValue(name) => self.process_value(item, name, at, &arrived),
        }
        if origin == Origin::First {
            self.holds_from = self.holds_from.max(at);
        }
        let memory = &mut self.items[item];
        memory.newest = memory.newest.max(Some(at));
        if origin != Origin::History {
            memory.last = Some(arrived);
        }
        Ok(Some(at))
    }

    /// Whether an item told just this before: the same value of the same time.
    fn is_known(&self, item: usize, arrived: &DataValue) -> bool {
        let Some(last) = &self.items[item].last else { return false };
        arrived.source_timestamp.is_some()
            && last.source_timestamp == arrived.source_timestamp
            && value::status(last) == value::status(arrived)
            && last.value == arrived.value
    }

    /// When a value was so. A source time that cannot be is not believed, and that is shown.
    fn time(
        &mut self,
        item: usize,
        watched: &Watched,
        arrived: &DataValue,
        origin: Origin,
    ) -> Timestamp {
        let now = self.machine_now();
        let source = value::source_time(arrived).filter(|_| self.believes_times());
        // A batch was told when it was told: the same report read again is known.
        let is_batch = matches!(
            watched,
            Watched::Signal(Signal { rule: SignalRule::Count(rule), .. })
                if rule.kind == CounterKind::Batch
        );
        // What is read first holds now, whenever it has changed; that is what ends a gap.
        let holds_now = origin == Origin::First && !is_batch;
        let why = source.and_then(|source| self.disbelief(source, now, holds_now));
        self.note_times(item, why);
        let at = match (why, source) {
            (None, Some(source)) => {
                let believed = &mut self.items[item].believed;
                *believed = (*believed).max(Some(source));
                source
            }
            _ => now,
        };
        if holds_now { at.max(self.began) } else { at }
    }

    /// Shows that times of an item cannot be; for a while also when they are right again, so that
    /// somebody can see it.
    fn note_times(&mut self, item: usize, why: Option<&'static str>) {
        let now = self.link.clock.now();
        let memory = &mut self.items[item];
        match (why, memory.disbelieved) {
            (Some(_), _) => memory.disbelieved = Some(now),
            (None, Some(last)) if now - last > DISBELIEF_SHOWN => memory.disbelieved = None,
            (None, _) => return,
        }
        let noted = self.problems.note(&self.items[item].times, why, now);
        self.noted(noted, &self.items[item].times, why);
    }

    /// Why a time of a machine cannot be.
    fn disbelief(
        &self,
        source: Timestamp,
        now: Timestamp,
        holds_now: bool,
    ) -> Option<&'static str> {
        if source > now + self.connection.clock_skew_max {
            return Some("has told times that have not come yet; ours are used instead");
        }
        // A value that has not changed for years is read first with the time of its change.
        if !holds_now && source < now - OLDEST_BELIEVED {
            return Some("has told times more than a year ago; ours are used instead");
        }
        None
    }

    /// Whether changes tell of times long before those that were told already, or of such as have
    /// not come yet: either it comes late, or the clock of the machine has been set. Whoever asks the
    /// machine for its time knows which.
    pub fn is_doubtful(&self, changes: &[(usize, DataValue)]) -> bool {
        let limit = self.connection.clock_skew_max;
        let latest = self.machine_now() + limit;
        // What has not come yet is not believed anyway; a machine that tells such times again and again
        // is not asked each time.
        let was_asked = self.link.clock.now() - self.measured < ASKED_AGAIN;
        let is_doubtful = |(item, arrived): &(usize, DataValue)| {
            let newest = self.items.get(*item).and_then(|memory| memory.believed);
            value::source_time(arrived).is_some_and(|source| {
                newest.is_some_and(|newest| source < newest - limit)
                    || source > latest && !was_asked
            })
        };
        self.believes_times() && changes.iter().any(is_doubtful)
    }

    fn process_value(&mut self, item: usize, name: &str, at: Timestamp, arrived: &DataValue) {
        let number = value::number(arrived);
        let status = match value::status(arrived) {
            status if number.is_none() && !is_bad(status) => StatusCode::BadTypeMismatch.bits(),
            status => status,
        };
        let problem = is_bad(status).then(|| StatusCode::from(status).to_string());
        self.note(item, problem.as_deref());
        let shown = ProcessValue { value: number, status, at };
        self.link.connections.show(&self.connection.machine, name, shown);
    }

    async fn signal(
        &mut self,
        item: usize,
        signal: &Signal,
        at: Timestamp,
        arrived: &DataValue,
    ) -> Result<(), String> {
        if value::has_overflowed(arrived) {
            self.mark_lost(item, signal).await?;
        }
        let status = value::status(arrived);
        let raw = value::raw_value(arrived);
        let reading = signal.read(&raw, status);
        let problem = match &reading {
            Reading::Unusable(Unusable::BadStatus) => Some(StatusCode::from(status).to_string()),
            Reading::Unusable(why) => Some(format!("{}, {raw}", why.as_str())),
            _ => None,
        };
        self.note(item, problem.as_deref());
        self.observe(signal.role, at, status, (raw, reading)).await
    }

    /// Values were lost in the machine's queue: what held after the last one is not known. Counters that
    /// rise go on where they are; of pulses and batches nobody knows how many there were.
    async fn mark_lost(&mut self, item: usize, signal: &Signal) -> Result<(), String> {
        if is_rising(signal) {
            return Ok(());
        }
        let machine = &self.connection.machine;
        tracing::warn!(%machine, "{}: values were lost in the machine's queue", self.items[item].name);
        let Some(last) = self.items[item].newest else { return Ok(()) };
        let raw = RawValue::Other("values lost in the queue".into());
        let reading = Reading::Unusable(Unusable::BadStatus);
        let status = StatusCode::BadDataLost.bits();
        self.observe(signal.role, last + TICK, status, (raw, reading)).await
    }

    /// An item that cannot be watched; from now on nothing is known about it.
    pub async fn cannot_watch(
        &mut self,
        item: usize,
        status: StatusCode,
        why: &str,
    ) -> Result<(), String> {
        self.note(item, Some(why));
        let at = self.began;
        let connection = self.connection.clone();
        match &connection.items[item].0 {
            Watched::Signal(signal) => {
                let raw = RawValue::Other(why.to_owned());
                let reading = Reading::Unusable(Unusable::BadStatus);
                self.observe(signal.role, at, status.bits(), (raw, reading)).await
            }
            Watched::ProcessValue(name) => {
                let shown = ProcessValue { value: None, status: status.bits(), at };
                self.link.connections.show(&self.connection.machine, name, shown);
                Ok(())
            }
        }
    }

    async fn observe(
        &self,
        role: SignalRole,
        at: Timestamp,
        status: u32,
        (raw, reading): (RawValue, Reading),
    ) -> Result<(), String> {
        let machine = self.connection.machine.clone();
        let received = self.link.clock.now();
        let observation = Observation { machine, role, at, received, seq: 0, status, raw, reading };
        self.deliver(MachineInput::Observed(observation)).await
    }

    async fn deliver(&self, input: MachineInput) -> Result<(), String> {
        self.link.engine.deliver(input).await.map_err(|error| error.to_string())
    }
}

/// Whether a signal is a counter that goes on from where it is.
fn is_rising(signal: &Signal) -> bool {
    matches!(
        &signal.rule,
        SignalRule::Count(rule) | SignalRule::Cycle(rule, _) if rule.kind == CounterKind::Rising
    )
}
