//! Parts made in a window, attributed to the products whose ideal cycle makes them time.
//!
//! Parts counted over a gap belong to a time that nobody saw: they are kept apart and never enter a
//! ratio. Of total, good and reject, the third is derived where two are counted.

use std::collections::BTreeSet;

use crate::domain::evidence::MachineEvidence;
use crate::domain::id::ProductId;
use crate::domain::order::OrderRun;
use crate::domain::plant::{Line, Machine, Plant};
use crate::domain::quantity::IdealTime;
use crate::domain::series::CountStep;
use crate::domain::signal::SignalRole;
use crate::domain::time::{Timestamp, Window};

/// Numbers of parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// Good parts.
    pub good: i64,
    /// Rejected parts.
    pub reject: i64,
    /// All parts processed.
    pub total: i64,
}

impl Parts {
    /// Adds another number of parts.
    pub fn merge(&mut self, other: Parts) {
        self.good += other.good;
        self.reject += other.reject;
        self.total += other.total;
    }

    /// The same numbers with the opposite sign.
    pub fn negated(self) -> Parts {
        Parts { good: -self.good, reject: -self.reject, total: -self.total }
    }
}

/// What was made, and what it would have taken ideally.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Production {
    /// Parts whose time is known.
    pub parts: Parts,
    /// Parts counted over a gap.
    pub unattributed: Parts,
    /// Ideal time of all parts (PRI · PQ).
    pub ideal_total: IdealTime,
    /// Ideal time of the good parts.
    pub ideal_good: IdealTime,
    /// Products without an ideal cycle; while there is one, ideal times are incomplete.
    pub without_cycle: BTreeSet<ProductId>,
    /// Whether parts were made while no product was known.
    pub without_product: bool,
    /// Counter steps that were flagged and not counted.
    pub doubtful_steps: u64,
}

impl Production {
    /// Adds another production.
    pub fn merge(&mut self, other: &Production) {
        self.parts.merge(other.parts);
        self.unattributed.merge(other.unattributed);
        self.ideal_total.merge(&other.ideal_total);
        self.ideal_good.merge(&other.ideal_good);
        self.without_cycle.extend(other.without_cycle.iter().cloned());
        self.without_product |= other.without_product;
        self.doubtful_steps += other.doubtful_steps;
    }

    /// Whether every part has an ideal time.
    pub fn is_costed(&self) -> bool {
        self.without_cycle.is_empty() && !self.without_product
    }
}

/// Which counters a machine has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    good: bool,
    reject: bool,
    total: bool,
}

impl Counters {
    /// The counters bound on a machine.
    pub fn of(machine: &Machine) -> Self {
        let has = |role| machine.signals.iter().any(|s| s.role == role);
        Counters {
            good: has(SignalRole::Good),
            reject: has(SignalRole::Reject),
            total: has(SignalRole::Total),
        }
    }

    /// Whether the machine counts good parts, directly or as total less reject.
    pub fn counts_good(self) -> bool {
        self.good || self.total
    }

    /// Whether rejects are counted, directly or as total less good.
    pub fn counts_reject(self) -> bool {
        self.reject || (self.good && self.total)
    }

    /// Completes what was counted with what follows from it.
    pub fn derive(self, good: i64, reject: i64, total: i64) -> Parts {
        match (self.good, self.reject, self.total) {
            (true, true, _) => Parts { good, reject, total: good + reject },
            (true, false, true) => Parts { good, reject: total - good, total },
            (false, _, true) => Parts { good: total - reject, reject, total },
            (_, _, false) => Parts { good, reject, total: good + reject },
        }
    }
}

/// Counts of one machine in one window.
pub struct MachineCounts<'a> {
    evidence: &'a MachineEvidence,
    counters: Counters,
    gaps: Vec<Window>,
}

impl<'a> MachineCounts<'a> {
    /// Prepares counting in parts of `window`.
    pub fn new(machine: &Machine, evidence: &'a MachineEvidence, window: Window) -> Self {
        // A gap before the window still hides the time of a part booked at its start.
        let since = evidence.link_gaps(Window { from: Timestamp::MIN, to: window.to });
        let reaching = |gap: &Window| gap.to >= window.from || Self::is_last(gap, evidence, window);
        let gaps = since.into_iter().filter(reaching).collect();
        MachineCounts { evidence, counters: Counters::of(machine), gaps }
    }

    fn is_last(gap: &Window, evidence: &MachineEvidence, window: Window) -> bool {
        let mut series = evidence.counts.values();
        series.any(|c| c.steps_across(*gap).last().is_some_and(|step| step.at >= window.from))
    }

    /// Parts in a stretch, counted and reported: those whose time is known, and the others.
    pub fn in_window(&self, window: Window) -> (Parts, Parts) {
        let (mut known, unknown) = self.counted_in(window);
        for adjustment in self.evidence.adjustments.iter().filter(|a| window.contains(a.at)) {
            known.good += adjustment.good;
            known.reject += adjustment.reject;
            known.total += adjustment.good + adjustment.reject;
        }
        (known, unknown)
    }

    /// Parts that the counters booked in a stretch: those whose time is known, and the others.
    pub fn counted_in(&self, window: Window) -> (Parts, Parts) {
        let count = |role| self.of_role(role, window);
        let good = count(SignalRole::Good);
        let reject = count(SignalRole::Reject);
        let total = count(SignalRole::Total);
        let known = self.counters.derive(good.0, reject.0, total.0);
        (known, self.counters.derive(good.1, reject.1, total.1))
    }

    fn of_role(&self, role: SignalRole, window: Window) -> (i64, i64) {
        let Some(series) = self.evidence.counts.get(&role) else {
            return (0, 0);
        };
        let all = series.counted_in(window);
        let unseen: u64 = self.steps_unseen(role, window).iter().map(|step| step.delta).sum();
        (as_parts(all - unseen), as_parts(unseen))
    }

    /// The steps booked in a stretch that lead across a gap, each once.
    pub fn steps_unseen(&self, role: SignalRole, window: Window) -> Vec<CountStep> {
        let Some(series) = self.evidence.counts.get(&role) else {
            return Vec::new();
        };
        let across = self.gaps.iter().flat_map(|gap| series.steps_across(*gap));
        let mut steps: Vec<CountStep> = across.filter(|step| window.contains(step.at)).collect();
        steps.sort_by_key(|step| step.at);
        steps.dedup();
        steps
    }

    /// The counters of the machine.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

fn as_parts(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What a machine made in a window.
pub fn production(
    plant: &Plant,
    machine: &Machine,
    evidence: &MachineEvidence,
    runs: &[OrderRun],
    window: Window,
) -> Production {
    let counts = MachineCounts::new(machine, evidence, window);
    let line = plant.lines.get(&machine.line);
    let mut production = Production::default();
    for (part, product) in by_product(line, runs, window) {
        let (known, unknown) = counts.in_window(part);
        production.parts.merge(known);
        production.unattributed.merge(unknown);
        if known == Parts::default() {
            continue;
        }
        match product.map(|product| (product, plant.ideal_cycle(product, &machine.id))) {
            Some((_, Some(cycle))) => {
                let ticks = cycle.cycle.ticks();
                production.ideal_total.add(ticks, cycle.parts, known.total);
                production.ideal_good.add(ticks, cycle.parts, known.good);
            }
            Some((product, None)) => {
                production.without_cycle.insert(product.clone());
            }
            None => production.without_product = true,
        }
    }
    production.doubtful_steps = doubtful_steps(evidence, window);
    production
}

fn doubtful_steps(evidence: &MachineEvidence, window: Window) -> u64 {
    use crate::domain::counter::CountMethod::{Backwards, Jump};
    let limited = evidence.counts.values().filter(|c| c.has_step_limit());
    let steps = limited.flat_map(|c| c.steps_in(window));
    steps.filter(|step| matches!(step.method, Backwards | Jump)).count() as u64
}

/// Cuts a window where the product changes.
pub fn by_product<'a>(
    line: Option<&'a Line>,
    runs: &'a [OrderRun],
    window: Window,
) -> Vec<(Window, Option<&'a ProductId>)> {
    let default = line.and_then(|line| line.default_product.as_ref());
    let mut parts = Vec::new();
    let mut from = window.from;
    for run in runs {
        let Some(part) = run.window().intersect(Window { from, to: window.to }) else {
            continue;
        };
        if from < part.from {
            parts.push((Window { from, to: part.from }, default));
        }
        parts.push((part, Some(&run.product)));
        from = part.to;
    }
    if from < window.to {
        parts.push((Window { from, to: window.to }, default));
    }
    parts
}
