//! All evidence about one machine, as a set of observations in order of source time.

use std::collections::BTreeMap;

use super::{EvidenceBlock, Observation, Remark, Remarks, STATE_CONTEXT};
use crate::domain::id::{LotId, MachineId};
use crate::domain::plant::history::PlantHistory;
use crate::domain::series::{CountSeries, Point, Series};
use crate::domain::signal::{MachineState, Reading, SignalRole, SignalRule};
use crate::domain::time::{Timestamp, Window};

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
    /// Mode, reason, blocked, starved and operator, by role.
    pub circumstances: BTreeMap<SignalRole, Series<Reading>>,
    /// What people said.
    pub remarks: Remarks,
}

impl MachineEvidence {
    /// No evidence yet about a machine, whose counters have the rules of its plant.
    pub fn new(history: &PlantHistory, machine: &MachineId) -> Self {
        let mut evidence = MachineEvidence::default();
        for (from, plant) in history.versions() {
            let signals = plant.machines.get(machine).into_iter().flat_map(|m| &m.signals);
            for signal in signals {
                if let SignalRule::Count(rule) | SignalRule::Cycle(rule, _) = &signal.rule {
                    let series = evidence.counts.entry(signal.role);
                    series.or_insert_with(|| CountSeries::new(*rule)).set_rule(*from, *rule);
                }
            }
        }
        evidence
    }

    /// Takes over the rules of counters from an instant on.
    pub fn define(&mut self, history: &PlantHistory, machine: &MachineId, from: Timestamp) {
        let signals = history.current().machines.get(machine).into_iter().flat_map(|m| &m.signals);
        for signal in signals {
            if let SignalRule::Count(rule) | SignalRule::Cycle(rule, _) = &signal.rule {
                let series = self.counts.entry(signal.role);
                series.or_insert_with(|| CountSeries::new(*rule)).set_rule(from, *rule);
            }
        }
    }

    /// Whether an observation says nothing new.
    pub fn knows(&self, observation: &Observation) -> bool {
        let Observation { at, seq, ref reading, .. } = *observation;
        match observation.role {
            SignalRole::State => self.states.knows(at, seq, &state_of(reading)),
            SignalRole::Lot => self.lots.knows(at, seq, &lot_of(reading)),
            role if role.is_counter() => {
                let count = count_of(reading);
                self.counts.get(&role).is_some_and(|c| c.values().knows(at, seq, &count))
            }
            role => self.circumstances.get(&role).is_some_and(|s| s.knows(at, seq, reading)),
        }
    }

    /// Adds an observation; whether it was new.
    pub fn observe(&mut self, observation: &Observation) -> bool {
        let Observation { at, seq, ref reading, .. } = *observation;
        match observation.role {
            SignalRole::State => {
                self.states.insert(Point { at, seq, value: state_of(reading) }).is_some()
            }
            SignalRole::Lot => {
                self.lots.insert(Point { at, seq, value: lot_of(reading) }).is_some()
            }
            role if role.is_counter() => {
                let series = self.counts.entry(role).or_default();
                series.insert(Point { at, seq, value: count_of(reading) })
            }
            role => {
                let series = self.circumstances.entry(role).or_default();
                series.insert(Point { at, seq, value: reading.clone() }).is_some()
            }
        }
    }

    /// What a circumstance was at an instant.
    pub fn circumstance(&self, role: SignalRole, at: Timestamp) -> Option<&Reading> {
        self.circumstances.get(&role)?.holding_at(at).map(|point| &point.value)
    }

    /// The windows inside `window` in which nothing is known because the link was down and nobody
    /// has said what happened.
    ///
    /// Before the first change of the link it counts as up from the first observation on.
    pub fn link_gaps(&self, window: Window) -> Vec<Window> {
        let mut gaps = self.link_losses(window);
        for resolved in self.remarks.resolved_gaps() {
            let cut = |gap: Window| {
                let before = Window { from: gap.from, to: gap.to.min(resolved.window.from) };
                let after = Window { from: gap.from.max(resolved.window.to), to: gap.to };
                [before, after].into_iter().filter(|part| part.from < part.to)
            };
            gaps = gaps.into_iter().flat_map(cut).collect();
        }
        gaps
    }

    /// The windows inside `window` in which the link was down.
    pub fn link_losses(&self, window: Window) -> Vec<Window> {
        let changes = self.links.points();
        let mut first = changes.partition_point(|p| p.at <= window.from).saturating_sub(1);
        while first > 0 && !changes[first].value && !changes[first - 1].value {
            first -= 1;
        }
        let mut gaps = Vec::new();
        let mut down_since = None;
        if first == 0 {
            let first_change = changes.first().map_or(Timestamp::MAX, |p| p.at);
            match self.first_observation().filter(|first| *first < first_change) {
                Some(first) => gaps.push(Window { from: Timestamp::MIN, to: first }),
                None => down_since = Some(Timestamp::MIN),
            }
        }
        for change in changes[first..].iter().take_while(|change| change.at < window.to) {
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
        let others = self.circumstances.values();
        let others = others.filter_map(|series| series.points().first().map(|p| p.at));
        states.into_iter().chain(lots).chain(counts).chain(others).min()
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
        let others = self.circumstances.values().filter_map(|series| series.last().map(|p| p.at));
        states.into_iter().chain(links).chain(lots).chain(counts).chain(others).max()
    }

    /// The newest instant of which a signal has told something.
    pub fn newest_of(&self, role: SignalRole) -> Option<Timestamp> {
        match role {
            SignalRole::State => self.states.last().map(|p| p.at),
            SignalRole::Lot => self.lots.last().map(|p| p.at),
            role if role.is_counter() => self.counts.get(&role)?.values().last().map(|p| p.at),
            role => self.circumstances.get(&role)?.last().map(|p| p.at),
        }
    }

    /// The newest instants of which signals have told something.
    pub fn told(&self) -> impl Iterator<Item = (SignalRole, Timestamp)> {
        let roles = [SignalRole::State, SignalRole::Lot].into_iter();
        let roles = roles.chain(self.counts.keys().copied());
        let roles = roles.chain(self.circumstances.keys().copied());
        roles.filter_map(|role| Some((role, self.newest_of(role)?)))
    }

    /// How many observations are in memory.
    pub fn size(&self) -> usize {
        let counts: usize = self.counts.values().map(|c| c.values().points().len()).sum();
        let others: usize = self.circumstances.values().map(|s| s.points().len()).sum();
        self.states.points().len()
            + self.links.points().len()
            + self.lots.points().len()
            + counts
            + others
    }

    /// The index of the first state that a window depends on: that of the last running state with
    /// enough before it to know that it held.
    fn states_needed_from(&self, at: Timestamp) -> usize {
        let running = |p: &Point<Option<MachineState>>| p.value == Some(MachineState::Running);
        let states = self.states.points();
        let start = states.partition_point(|p| p.at <= at - STATE_CONTEXT);
        states[..start].iter().rposition(running).unwrap_or(0)
    }

    /// What figures of a window depend on: states from a running state before it to one after it,
    /// counts from the value that holds at its start to the next, and every change of the link.
    pub fn extract(&self, window: Window) -> MachineEvidence {
        let running = |p: &Point<Option<MachineState>>| p.value == Some(MachineState::Running);
        let states = self.states.points();
        let first = self.states_needed_from(window.from);
        let end = self.states.index_at(window.to + STATE_CONTEXT);
        let last = states[end..].iter().position(running).map_or(states.len(), |i| end + i + 1);
        let counted = Window { from: window.from - STATE_CONTEXT, to: window.to + STATE_CONTEXT };
        let counts = self.counts.iter().map(|(role, c)| (*role, c.extract(counted)));
        // The reason that a machine gave counts for the whole of its stop.
        let reach = Window {
            from: states.get(first).map_or(window.from, |p| p.at.min(window.from)),
            to: states[..last].last().map_or(window.to, |p| p.at.max(window.to)),
        };
        let others = self.circumstances.iter();
        let others = others.map(|(role, s)| (*role, Series::of(&s.extract(reach))));
        MachineEvidence {
            states: Series::of(&states[first..last]),
            links: self.links.clone(),
            counts: counts.collect(),
            lots: Series::of(&self.lots.extract(window)),
            circumstances: others.collect(),
            remarks: self.remarks.clone(),
        }
    }

    /// Takes out what is older than `at`, but for what is needed to go on.
    pub fn drain_before(&mut self, at: Timestamp) -> EvidenceBlock {
        let keep_from = self.states_needed_from(at);
        let lots = self.lots.index_at(at).saturating_sub(1);
        let oldest_state = self.states.points().get(keep_from).map_or(at, |p| p.at.min(at));
        self.remarks.retain(|remark| match remark {
            Remark::Parts(adjustment) => adjustment.at >= at,
            other => other.reaches() >= oldest_state,
        });
        let states = self.states.drain_front(keep_from);
        let counts = self.counts.iter_mut().map(|(r, c)| (*r, c.drain_before(at))).collect();
        let lots = self.lots.drain_front(lots);
        let others = self.circumstances.iter_mut().map(|(role, series)| {
            let count = series.index_at(oldest_state).saturating_sub(1);
            (*role, series.drain_front(count))
        });
        let circumstances = others.collect();
        // A gap that a kept value looks back over is still needed to tell what nobody saw.
        let needed_from = self.first_observation().map_or(at, |first| first.min(at));
        let links = self.links.points().partition_point(|p| p.at <= needed_from);
        let links = self.links.drain_front(links.saturating_sub(1));
        EvidenceBlock { states, links, counts, lots, circumstances }
    }

    /// Adds the points of a block.
    pub fn absorb(&mut self, block: EvidenceBlock) {
        self.states.extend(block.states);
        self.links.extend(block.links);
        self.lots.extend(block.lots);
        for (role, points) in block.counts {
            self.counts.entry(role).or_default().extend(points);
        }
        for (role, points) in block.circumstances {
            self.circumstances.entry(role).or_default().extend(points);
        }
    }

    /// All points as a block, for a snapshot.
    pub fn to_block(&self) -> EvidenceBlock {
        let counts = self.counts.iter().map(|(r, c)| (*r, c.values().points().to_vec()));
        let others = self.circumstances.iter().map(|(r, s)| (*r, s.points().to_vec()));
        EvidenceBlock {
            states: self.states.points().to_vec(),
            links: self.links.points().to_vec(),
            counts: counts.collect(),
            lots: self.lots.points().to_vec(),
            circumstances: others.collect(),
        }
    }
}

fn state_of(reading: &Reading) -> Option<MachineState> {
    match reading {
        Reading::State(state) => Some(*state),
        _ => None,
    }
}

fn lot_of(reading: &Reading) -> Option<LotId> {
    match reading {
        Reading::Lot(lot) => lot.clone(),
        _ => None,
    }
}

fn count_of(reading: &Reading) -> Option<u64> {
    match reading {
        Reading::Count(count) => Some(*count),
        _ => None,
    }
}
