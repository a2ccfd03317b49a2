//! What is known about one machine: its observations, the state of its link, and what people said.
//!
//! Evidence is only ever added. Every figure is derived from it, so the order in which it arrived
//! can not matter, and every figure can be traced back to it.

use std::collections::BTreeMap;

use super::id::{LotId, MachineId, OrderId, ReasonId};
use super::plant::Machine;
use super::series::{CountSeries, Point, Series};
use super::signal::{MachineState, RawValue, Reading, SignalRole};
use super::time::{Timestamp, Window};

/// One value of one signal, with its meaning at the time it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The machine.
    pub machine: MachineId,
    /// Which of its signals.
    pub role: SignalRole,
    /// Source timestamp, the machine's.
    pub at: Timestamp,
    /// When we received it.
    pub received: Timestamp,
    /// Order among values of the same source time.
    pub seq: u64,
    /// OPC UA status code.
    pub status: u32,
    /// The value as sent.
    pub raw: RawValue,
    /// What it means.
    pub reading: Reading,
}

/// A change of the link to a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkChange {
    /// The machine.
    pub machine: MachineId,
    /// From when on it holds, on the machine's clock.
    pub at: Timestamp,
    /// Order among changes of the same time.
    pub seq: u64,
    /// Whether values arrive.
    pub up: bool,
}

/// Parts that a person reported at a machine, added to what the counters say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Adjustment {
    /// When.
    pub at: Timestamp,
    /// Order among adjustments of the same time.
    pub seq: u64,
    /// The order they belong to.
    pub order: OrderId,
    /// Good parts; negative when counted good parts turned out to be scrap.
    pub good: i64,
    /// Scrapped parts.
    pub reject: i64,
}

/// What a person said about a stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Classification {
    /// An instant inside the stop; the stop that contains it is meant.
    pub anchor: Timestamp,
    /// The reason given.
    pub reason: ReasonId,
    /// Free text.
    pub comment: String,
    /// Who said so.
    pub actor: String,
    /// When it was said.
    pub at: Timestamp,
}

/// All evidence about one machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MachineEvidence {
    /// States; `None` where the value was unusable.
    pub states: Series<Option<MachineState>>,
    /// Link up or down.
    pub links: Series<bool>,
    /// Counters by role.
    pub counts: BTreeMap<SignalRole, CountSeries>,
    /// Lots in use.
    pub lots: Series<Option<LotId>>,
    /// Reported parts, in order of time.
    pub adjustments: Vec<Adjustment>,
    /// Classifications by anchor; the newest of one anchor holds.
    pub classifications: BTreeMap<Timestamp, Classification>,
}

/// Observations of one machine as they are archived and read back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EvidenceBlock {
    /// See [`MachineEvidence::states`].
    pub states: Vec<Point<Option<MachineState>>>,
    /// See [`MachineEvidence::links`].
    pub links: Vec<Point<bool>>,
    /// See [`MachineEvidence::counts`].
    pub counts: BTreeMap<SignalRole, Vec<Point<Option<u64>>>>,
    /// See [`MachineEvidence::lots`].
    pub lots: Vec<Point<Option<LotId>>>,
}

impl MachineEvidence {
    /// No evidence yet about a machine with these signals.
    pub fn new(machine: &Machine) -> Self {
        let counters = machine.signals.iter().filter(|s| is_counter(s.role));
        let counts = counters.map(|s| (s.role, CountSeries::new(s.counter))).collect();
        MachineEvidence { counts, ..MachineEvidence::default() }
    }

    /// Whether an observation says nothing new.
    pub fn knows(&self, observation: &Observation) -> bool {
        let Observation { at, seq, .. } = *observation;
        match (observation.role, &observation.reading) {
            (SignalRole::State, Reading::State(state)) => self.states.knows(at, seq, &Some(*state)),
            (SignalRole::State, _) => self.states.knows(at, seq, &None),
            (SignalRole::Lot, Reading::Lot(lot)) => self.lots.knows(at, seq, lot),
            (SignalRole::Lot, _) => self.lots.knows(at, seq, &None),
            (role, reading) => {
                let value = match reading {
                    Reading::Count(count) => Some(*count),
                    _ => None,
                };
                self.counts.get(&role).is_some_and(|c| c.values().knows(at, seq, &value))
            }
        }
    }

    /// Adds an observation; whether it was new.
    pub fn observe(&mut self, observation: &Observation) -> bool {
        let Observation { at, seq, .. } = *observation;
        match (observation.role, &observation.reading) {
            (SignalRole::State, reading) => {
                let value = match reading {
                    Reading::State(state) => Some(*state),
                    _ => None,
                };
                self.states.insert(Point { at, seq, value }).is_some()
            }
            (SignalRole::Lot, reading) => {
                let value = match reading {
                    Reading::Lot(lot) => lot.clone(),
                    _ => None,
                };
                self.lots.insert(Point { at, seq, value }).is_some()
            }
            (role, reading) => {
                let value = match reading {
                    Reading::Count(count) => Some(*count),
                    _ => None,
                };
                let series = self.counts.entry(role).or_default();
                series.insert(Point { at, seq, value })
            }
        }
    }

    /// Adds reported parts.
    pub fn adjust(&mut self, adjustment: Adjustment) {
        let index = self.adjustments.partition_point(|a| *a < adjustment);
        self.adjustments.insert(index, adjustment);
    }

    /// Adds a classification; an earlier one of the same anchor is superseded.
    pub fn classify(&mut self, classification: Classification) {
        self.classifications.insert(classification.anchor, classification);
    }

    /// The windows inside `window` in which nothing is known because the link was down.
    ///
    /// Before the first change of the link it counts as up from the first observation on.
    pub fn link_gaps(&self, window: Window) -> Vec<Window> {
        let mut gaps = Vec::new();
        let mut down_since = Some(Timestamp::MIN);
        let first_observation = self.first_observation();
        let first_change = self.links.points().first().map_or(Timestamp::MAX, |p| p.at);
        if let Some(first) = first_observation.filter(|first| *first < first_change) {
            gaps.push(Window { from: Timestamp::MIN, to: first });
            down_since = None;
        }
        for change in self.links.points() {
            match (change.value, down_since) {
                (true, Some(from)) => {
                    gaps.push(Window { from, to: change.at });
                    down_since = None;
                }
                (false, None) => down_since = Some(change.at),
                _ => {}
            }
        }
        gaps.extend(down_since.map(|from| Window { from, to: Timestamp::MAX }));
        gaps.into_iter().filter_map(|gap| gap.intersect(window)).collect()
    }

    fn first_observation(&self) -> Option<Timestamp> {
        let states = self.states.points().first().map(|p| p.at);
        let lots = self.lots.points().first().map(|p| p.at);
        let counts = self.counts.values().filter_map(|c| c.values().points().first().map(|p| p.at));
        states.into_iter().chain(lots).chain(counts).min()
    }

    /// Whether the link is up after everything that is known.
    pub fn is_linked(&self) -> bool {
        self.links.last().map_or(self.first_observation().is_some(), |p| p.value)
    }

    /// The oldest instant about which anything is in memory.
    pub fn oldest(&self) -> Option<Timestamp> {
        let links = self.links.points().first().map(|p| p.at);
        self.first_observation().into_iter().chain(links).min()
    }

    /// The newest instant about which anything is known.
    pub fn newest(&self) -> Option<Timestamp> {
        let states = self.states.last().map(|p| p.at);
        let links = self.links.last().map(|p| p.at);
        let lots = self.lots.last().map(|p| p.at);
        let counts = self.counts.values().filter_map(|c| c.values().last().map(|p| p.at));
        states.into_iter().chain(links).chain(lots).chain(counts).max()
    }

    /// What figures of a window depend on: states from the running state before it to the one after
    /// it, counts from the value that holds at its start, and every change of the link.
    pub fn extract(&self, window: Window) -> MachineEvidence {
        let running = |p: &Point<Option<MachineState>>| p.value == Some(MachineState::Running);
        let states = self.states.points();
        let start = states.partition_point(|p| p.at <= window.from);
        let first = states[..start].iter().rposition(running).unwrap_or(0);
        let end = self.states.index_at(window.to);
        let last = states[end..].iter().position(running).map_or(states.len(), |i| end + i + 1);
        let counts = self.counts.iter().map(|(role, c)| (*role, c.extract(window)));
        let inside = |a: &&Adjustment| window.contains(a.at);
        MachineEvidence {
            states: Series::of(&states[first..last]),
            links: self.links.clone(),
            counts: counts.collect(),
            lots: Series::of(&self.lots.extract(window)),
            adjustments: self.adjustments.iter().filter(inside).cloned().collect(),
            classifications: self.classifications.clone(),
        }
    }

    /// Takes out what is older than `at`, but for what is needed to go on.
    pub fn drain_before(&mut self, at: Timestamp) -> EvidenceBlock {
        let states = &self.states.points()[..self.states.index_at(at)];
        let running = states.iter().rposition(|p| p.value == Some(MachineState::Running));
        let keep_from = running.unwrap_or(0);
        let lots = self.lots.index_at(at).saturating_sub(1);
        self.adjustments.retain(|adjustment| adjustment.at >= at);
        let oldest_state = self.states.points().get(keep_from).map_or(at, |p| p.at.min(at));
        self.classifications.retain(|anchor, _| *anchor >= oldest_state);
        let states = self.states.drain_front(keep_from);
        let counts = self.counts.iter_mut().map(|(r, c)| (*r, c.drain_before(at))).collect();
        let lots = self.lots.drain_front(lots);
        // A gap that a kept value looks back over is still needed to tell what nobody saw.
        let needed_from = self.first_observation().map_or(at, |first| first.min(at));
        let links = self.links.points().partition_point(|p| p.at <= needed_from);
        let links = self.links.drain_front(links.saturating_sub(1));
        EvidenceBlock { states, links, counts, lots }
    }

    /// Adds the points of a block.
    pub fn absorb(&mut self, block: EvidenceBlock) {
        for point in block.states {
            self.states.insert(point);
        }
        for point in block.links {
            self.links.insert(point);
        }
        for point in block.lots {
            self.lots.insert(point);
        }
        for (role, points) in block.counts {
            let series = self.counts.entry(role).or_default();
            for point in points {
                series.insert(point);
            }
        }
    }

    /// All points as a block, for a snapshot.
    pub fn to_block(&self) -> EvidenceBlock {
        let counts = self.counts.iter().map(|(r, c)| (*r, c.values().points().to_vec()));
        EvidenceBlock {
            states: self.states.points().to_vec(),
            links: self.links.points().to_vec(),
            counts: counts.collect(),
            lots: self.lots.points().to_vec(),
        }
    }
}

impl EvidenceBlock {
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
            && self.links.is_empty()
            && self.lots.is_empty()
            && self.counts.values().all(Vec::is_empty)
    }
}

/// Whether a role is a rising counter.
pub fn is_counter(role: SignalRole) -> bool {
    matches!(role, SignalRole::Good | SignalRole::Reject | SignalRole::Total)
}
