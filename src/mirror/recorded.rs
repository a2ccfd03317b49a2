//! Variables of a machine whose values are kept here: a value is kept first and shown then.
//!
//! What was missed has a mark, so that no value seems to hold on while nobody heard the machine. A value that
//! is still the same afterwards is known again from when it was told, not from when it was set.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use opcua::types::{DataValue, NodeId, StatusCode};

use super::mirrors::{Mirror, Wanted, set, write};
use super::namespaces::Namespaces;
use super::sample::{checksum, data_value, instant, sample};
use crate::app::ports::StoreError;
use crate::app::recorder::{Recorder, Recording, mark};
use crate::app::telemetry::{Sample, Sampled, Samples, SeriesId, TelemetryReader};
use crate::domain::time::{Span, Timestamp, Window};

/// Marks that lie between two values of a variable at most, before it is not asked what was between them.
const MARKS_MAX: usize = 16;
const TICK: Span = Span::from_ticks(1);

/// Values of variables, in order.
pub(super) type Changed = Vec<(NodeId, Arc<DataValue>)>;

/// What of a machine is kept.
pub(super) struct Recorded {
    recorder: Recorder,
    /// How often a machine is to look at what is kept.
    every: Duration,
    variables: Mutex<HashMap<NodeId, Variable>>,
    /// What others look at.
    looked_at: Mutex<Arc<Wanted>>,
    /// Counts on when what was handed over before is not to be shown any more.
    epoch: AtomicU64,
}

/// A variable whose values are kept.
struct Variable {
    series: Series,
    /// What was handed over last.
    heard: Option<Arc<DataValue>>,
    /// An instant before which nothing that is told from now on was so here: since when it is not known, or
    /// when a value came that has said no time of its own.
    floor: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct Series {
    id: SeriesId,
    /// Under which namespaces its values are written.
    namespaces: u32,
    /// Whether it was there before this start.
    is_old: bool,
}

impl Variable {
    fn hear(&mut self, value: &Arc<DataValue>, now: Timestamp, keeps: Span) -> (SeriesId, Sample) {
        self.heard = Some(value.clone());
        let (mut at, is_own) = instant(value, now, keeps);
        if let Some(floor) = self.floor.take()
            && at <= floor
        {
            at = now.max(floor);
        }
        if !is_own {
            self.floor = Some(at);
        }
        (self.series.id, sample(value, at, self.series.namespaces))
    }

    /// Marks it as unknown from an instant on; gives that instant.
    fn lose(&mut self, at: Timestamp, keeps: Span) -> Timestamp {
        // A machine whose clock is ahead has said something of the time after the loss.
        let last = self.heard.as_ref().map(|value| instant(value, at, keeps).0 + TICK);
        let at = last.map_or(at, |last| last.max(at));
        self.floor = Some(at);
        at
    }
}

/// A variable that was not heard for a while.
#[derive(Clone, Debug)]
pub struct Unheard {
    /// The variable.
    pub node: NodeId,
    /// Since when.
    pub since: Timestamp,
}

/// What is recorded of a variable before it was not heard for a while.
#[derive(Clone, Debug)]
pub struct Known {
    /// When it said something last.
    pub at: Timestamp,
    value: Sample,
    /// Since when nothing is known; there are several where nobody heard it several times.
    marks: Vec<Timestamp>,
}

/// The values that are kept of a variable.
#[derive(Clone)]
pub struct Kept {
    reader: Arc<dyn TelemetryReader>,
    series: Series,
    now: Timestamp,
}

type Timed = (Timestamp, DataValue);

impl Kept {
    fn told(&self, sample: &Sample) -> Timed {
        (sample.at, data_value(sample, self.now, self.series.namespaces))
    }

    /// An instant before which there is nothing.
    pub fn oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        self.reader.oldest(self.series.id)
    }

    /// The values of a window in order of time.
    pub fn values(&self, window: Window) -> Result<Vec<Timed>, StoreError> {
        let samples = self.reader.values(self.series.id, window)?;
        Ok(samples.iter().map(|sample| self.told(sample)).collect())
    }

    /// The last value before an instant.
    pub fn last_before(&self, at: Timestamp) -> Result<Option<Timed>, StoreError> {
        Ok(self.reader.last_before(self.series.id, at)?.map(|sample| self.told(&sample)))
    }

    /// The first value at or after an instant.
    pub fn first_since(&self, at: Timestamp) -> Result<Option<Timed>, StoreError> {
        Ok(self.reader.first_since(self.series.id, at)?.map(|sample| self.told(&sample)))
    }
}

impl Recorded {
    pub fn new(recorder: Recorder, every: Duration) -> Recorded {
        let (variables, looked_at) = (Mutex::default(), Mutex::default());
        Recorded { recorder, every, variables, looked_at, epoch: AtomicU64::new(0) }
    }

    fn variables(&self) -> MutexGuard<'_, HashMap<NodeId, Variable>> {
        self.variables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn series(&self, node: &NodeId) -> Option<Series> {
        self.variables().get(node).map(|variable| variable.series)
    }

    /// What was handed over and is not shown yet is not to be shown any more.
    pub fn outdate(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.variables().values_mut().for_each(|variable| variable.heard = None);
    }

    /// Marks variables as unknown from an instant on.
    fn mark<'a>(
        &self,
        of: impl Iterator<Item = (&'a NodeId, &'a mut Variable)>,
        at: Timestamp,
        status: StatusCode,
    ) -> Vec<Unheard> {
        let keeps = self.recorder.reader().keeps();
        let (mut unheard, mut samples) = (Vec::new(), Samples::new());
        for (node, variable) in of {
            let since = variable.lose(at, keeps);
            unheard.push(Unheard { node: node.clone(), since });
            samples.push((variable.series.id, mark(since, status.bits())));
        }
        if !samples.is_empty() {
            self.recorder.record(Recording { samples, then: Box::new(|| {}) });
        }
        unheard
    }
}

impl Mirror {
    /// Keeps the values of these variables from now on, and of no others.
    pub fn record(&self, nodes: &[NodeId], namespaces: &Namespaces) -> Result<(), StoreError> {
        let Some(recorded) = &self.recorded else { return Ok(()) };
        let uris = namespaces.all();
        let own = checksum(&namespaces.own());
        let name = |node: &NodeId| {
            let uri = uris.get(usize::from(node.namespace)).map_or("", String::as_str);
            format!("{uri}|{}", node.identifier)
        };
        let names: Vec<String> = nodes.iter().map(name).collect();
        let numbers = if names.is_empty() {
            Vec::new()
        } else {
            recorded.recorder.reader().series(&names)?
        };
        {
            let mut variables = recorded.variables();
            let mut before = std::mem::take(&mut *variables);
            for (node, (id, is_new)) in nodes.iter().zip(numbers) {
                let series = Series { id, namespaces: own, is_old: !is_new };
                let fresh = || Variable { series, heard: None, floor: None };
                let variable = before.remove(node).unwrap_or_else(fresh);
                variables.insert(node.clone(), Variable { series, ..variable });
            }
            recorded.mark(before.iter_mut(), self.clock.now(), StatusCode::BadDataLost);
        }
        self.want_all();
        Ok(())
    }

    /// Nothing of the machine is heard any more.
    pub(super) fn record_no_more(&self) {
        if let Some(recorded) = &self.recorded {
            let mut gone = std::mem::take(&mut *recorded.variables());
            recorded.mark(gone.iter_mut(), self.clock.now(), StatusCode::BadNoCommunication);
        }
    }

    /// Variables whose values are kept.
    pub fn recorded(&self) -> usize {
        self.recorded.as_ref().map_or(0, |recorded| recorded.variables().len())
    }

    /// What is kept of a variable, if anything is.
    pub fn kept_values(&self, node: &NodeId) -> Option<Kept> {
        let recorded = self.recorded.as_ref()?;
        let series = recorded.series(node)?;
        let reader = recorded.recorder.reader().clone();
        Some(Kept { reader, series, now: self.clock.now() })
    }

    /// Waits until what was heard before is kept, as far as there is too much of it.
    pub async fn room(&self) {
        if let Some(recorded) = &self.recorded {
            recorded.recorder.room().await;
        }
    }

    /// Keeps what is to be kept of some changes, and shows it then; gives those that can be shown at once.
    pub(super) fn keep(self: &Arc<Self>, changes: Changed) -> Changed {
        let Some(recorded) = &self.recorded else { return changes };
        let (now, keeps) = (self.clock.now(), recorded.recorder.reader().keeps());
        let (mut kept, mut rest) = (Changed::new(), Changed::new());
        let mut samples = Samples::new();
        {
            let mut variables = recorded.variables();
            if variables.is_empty() {
                return changes;
            }
            for (node, value) in changes {
                match variables.get_mut(&node) {
                    Some(variable) => {
                        samples.push(variable.hear(&value, now, keeps));
                        kept.push((node, value));
                    }
                    None => rest.push((node, value)),
                }
            }
        }
        if !kept.is_empty() {
            let epoch = recorded.epoch.load(Ordering::SeqCst);
            let mirror = self.clone();
            let then = move || mirror.show_kept(epoch, kept);
            recorded.recorder.record(Recording { samples, then: Box::new(then) });
        }
        rest
    }

    fn show_kept(&self, epoch: u64, changes: Changed) {
        let Some(recorded) = &self.recorded else { return };
        {
            let mut values = write(&self.values);
            if recorded.epoch.load(Ordering::SeqCst) != epoch {
                return;
            }
            set(&mut values, &changes);
        }
        self.tell(changes);
    }

    /// What a variable whose values are kept has said last, shown or not.
    pub(super) fn heard(&self, node: &NodeId) -> Option<Arc<DataValue>> {
        self.recorded.as_ref()?.variables().get(node)?.heard.clone()
    }

    /// The machine was not heard from some instant on; nothing is known from then of these variables.
    pub(super) fn mark_loss(&self, since: Option<Timestamp>) -> Vec<Unheard> {
        let Some(recorded) = &self.recorded else { return Vec::new() };
        let Some(since) = since.or(self.unheard_since) else { return Vec::new() };
        let mut variables = recorded.variables();
        let is_known = |variable: &Variable| variable.series.is_old || variable.heard.is_some();
        let known = variables.iter_mut().filter(|(_, variable)| is_known(variable));
        recorded.mark(known, since, StatusCode::BadNoCommunication)
    }

    /// What is recorded of a variable before it was not heard; none where nothing is.
    pub fn known_before(&self, gap: &Unheard) -> Option<Known> {
        let recorded = self.recorded.as_ref()?;
        let series = recorded.series(&gap.node)?;
        let reader = recorded.recorder.reader();
        let mut marks = vec![gap.since];
        for _ in 0..MARKS_MAX {
            let at = marks.last().copied()?;
            let sample = reader.last_before(series.id, at).ok()??;
            if sample.value != Sampled::None {
                return Some(Known { at: sample.at, value: sample, marks });
            }
            marks.push(sample.at);
        }
        None
    }

    /// Records what a machine's history knows of the time in which a variable was not heard, all of it: since
    /// each mark it is known again what held then.
    pub fn fill(&self, gap: &Unheard, known: &Known, values: Vec<DataValue>) {
        let Some(recorded) = &self.recorded else { return };
        let Some(series) = recorded.series(&gap.node) else { return };
        let (now, keeps) = (self.clock.now(), recorded.recorder.reader().keeps());
        let told = values.iter().map(|value| {
            let (at, _) = instant(value, now, keeps);
            sample(value, at, series.namespaces)
        });
        let told: Vec<Sample> = told.collect();
        let held_at = |at: Timestamp| {
            let until = told.partition_point(|sample| sample.at <= at);
            let held = until.checked_sub(1).and_then(|last| told.get(last)).unwrap_or(&known.value);
            Sample { at, ..held.clone() }
        };
        let held = known.marks.iter().map(|at| held_at(*at));
        let samples = held.chain(told.iter().cloned()).map(|sample| (series.id, sample));
        let samples = samples.collect();
        recorded.recorder.record(Recording { samples, then: Box::new(|| {}) });
    }

    /// Variables are not heard any more for a while, although the machine is.
    pub(super) fn mark_unheard<'a>(&self, nodes: impl Iterator<Item = &'a NodeId>) {
        let Some(recorded) = &self.recorded else { return };
        let nodes: HashSet<&NodeId> = nodes.collect();
        let mut variables = recorded.variables();
        let mut unheard = variables.iter_mut().filter(|(node, _)| nodes.contains(node)).peekable();
        if unheard.peek().is_some() {
            recorded.epoch.fetch_add(1, Ordering::SeqCst);
            recorded.mark(unheard, self.clock.now(), StatusCode::BadDataLost);
            let unheard = variables.iter_mut().filter(|(node, _)| nodes.contains(node));
            unheard.for_each(|(_, variable)| variable.heard = None);
        }
    }

    /// Says which variables somebody looks at.
    pub fn want(&self, looked_at: Arc<Wanted>) {
        match &self.recorded {
            Some(recorded) => {
                *recorded.looked_at.lock().unwrap_or_else(PoisonError::into_inner) = looked_at;
                self.want_all();
            }
            None => self.set_wanted(looked_at),
        }
    }

    /// What is kept is watched, whether somebody looks at it or not.
    fn want_all(&self) {
        let Some(recorded) = &self.recorded else { return };
        let looked_at = recorded.looked_at.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let variables = recorded.variables();
        if variables.is_empty() {
            return self.set_wanted(looked_at);
        }
        let mut wanted = (*looked_at).clone();
        for node in variables.keys() {
            let every = wanted.entry(node.clone()).or_insert(recorded.every);
            *every = (*every).min(recorded.every);
        }
        drop(variables);
        self.set_wanted(Arc::new(wanted));
    }
}
