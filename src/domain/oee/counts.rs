//! Parts made in a window, attributed to the products whose ideal cycle makes them time.
//!
//! Parts counted over a gap belong to a time that nobody saw: they are kept apart and never enter a
//! ratio until somebody says what happened in it.

use std::collections::BTreeSet;

use super::parts::{Counters, Parts};
use super::track::{Situation, cycle_at, hundredths};
use crate::domain::evidence::MachineEvidence;
use crate::domain::id::ProductId;
use crate::domain::order::OrderRun;
use crate::domain::plant::{Line, Machine, Plant};
use crate::domain::quantity::IdealTime;
use crate::domain::series::{CountSeries, CountStep};
use crate::domain::signal::{SignalRole, SignalRule};
use crate::domain::time::{Span, Timestamp, Window};

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
    /// Ideal time of the parts that were rejected after a start.
    pub ideal_startup_reject: IdealTime,
    /// Products without an ideal cycle; while there is one, ideal times are incomplete.
    pub without_cycle: BTreeSet<ProductId>,
    /// Whether parts were made while no product was known.
    pub without_product: bool,
    /// Counter steps that were flagged and not counted.
    pub doubtful_steps: u64,
    /// Cycles that took too long and were no stops.
    pub slow_cycles: u64,
}

impl Production {
    /// Adds another production.
    pub fn merge(&mut self, other: &Production) {
        self.parts.merge(other.parts);
        self.unattributed.merge(other.unattributed);
        self.ideal_total.merge(&other.ideal_total);
        self.ideal_good.merge(&other.ideal_good);
        self.ideal_startup_reject.merge(&other.ideal_startup_reject);
        self.without_cycle.extend(other.without_cycle.iter().cloned());
        self.without_product |= other.without_product;
        self.doubtful_steps += other.doubtful_steps;
        self.slow_cycles += other.slow_cycles;
    }

    /// Whether every part has an ideal time.
    pub fn is_costed(&self) -> bool {
        self.without_cycle.is_empty() && !self.without_product
    }

    /// Books parts of a product, whose ideal time is that of its cycle.
    pub fn book(&mut self, parts: Parts, product: Option<&ProductId>, cycle: Option<CycleTime>) {
        self.parts.merge(parts);
        let made = (parts.total, parts.good, parts.startup_reject) != (0, 0, 0);
        match (product, cycle) {
            _ if !made => {}
            (_, Some(CycleTime { cycle, parts: divisor })) => {
                self.ideal_total.add(cycle.ticks(), divisor, parts.total);
                self.ideal_good.add(cycle.ticks(), divisor, parts.good);
                self.ideal_startup_reject.add(cycle.ticks(), divisor, parts.startup_reject);
            }
            (Some(product), None) => {
                self.without_cycle.insert(product.clone());
            }
            (None, None) => self.without_product = true,
        }
    }
}

/// A cycle and the parts that it makes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CycleTime {
    /// Its length.
    pub cycle: Span,
    /// Parts that it makes.
    pub parts: u32,
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
        let start = window.from - Span::from_ticks(1);
        let before = evidence.counts.values().filter_map(|c| c.usable_before(start)).min();
        let from = before.map_or(window.from, |before| before.min(window.from));
        let gaps = evidence.link_gaps(Window { from, to: window.to });
        MachineCounts { evidence, counters: Counters::of(machine), gaps }
    }

    /// Parts in a stretch, counted and reported: those whose time is known, and the others.
    pub fn in_window(&self, window: Window) -> (Parts, Parts) {
        let (mut known, unknown) = self.counted_in(window);
        for adjustment in self.evidence.remarks.adjustments() {
            if window.contains(adjustment.at) {
                known.good += adjustment.good;
                known.reject += adjustment.reject;
                known.rework += adjustment.rework;
                known.total += adjustment.good + adjustment.reject + adjustment.rework;
                known.rework_good += adjustment.rework_good;
            }
        }
        (known, unknown)
    }

    /// Parts that the counters booked in a stretch: those whose time is known, and the others.
    pub fn counted_in(&self, window: Window) -> (Parts, Parts) {
        let unseen = |role| as_parts(self.steps_unseen(role, window).iter().map(|s| s.delta).sum());
        let seen = |role| {
            let series: Option<&CountSeries> = self.evidence.counts.get(&role);
            series.map_or(0, |series| as_parts(series.counted_in(window))) - unseen(role)
        };
        (self.counters.derive(seen), self.counters.derive(unseen))
    }

    /// The steps booked in a stretch that lead across a gap, each once.
    pub fn steps_unseen(&self, role: SignalRole, window: Window) -> Vec<CountStep> {
        let Some(series) = self.evidence.counts.get(&role).filter(|_| !self.gaps.is_empty()) else {
            return Vec::new();
        };
        let across = self.gaps.iter().flat_map(|gap| series.steps_across(*gap));
        let mut steps: Vec<CountStep> = across.filter(|step| window.contains(step.at)).collect();
        steps.sort_unstable();
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
pub fn production(situation: &Situation<'_>, window: Window) -> Production {
    let Situation { plant, line, machine, evidence, runs, .. } = *situation;
    let counts = MachineCounts::new(machine, evidence, window);
    let mut production = Production::default();
    for piece in pieces(plant, line, runs, window) {
        let (known, unknown) = counts.in_window(piece.window);
        production.unattributed.merge(unknown);
        production.book(known, piece.product, piece.cycle_of(plant, machine));
    }
    production.doubtful_steps = doubtful_steps(evidence, window);
    production.slow_cycles = slow_cycles(situation, window);
    production
}

/// Counter steps in a window that were flagged and not counted.
pub fn doubtful_steps(evidence: &MachineEvidence, window: Window) -> u64 {
    let steps = evidence.counts.values().flat_map(|counts| counts.steps_in(window));
    steps.filter(|step| step.method.is_doubtful()).count() as u64
}

/// Cycles completed in a window that were slow, yet no stop lay in them.
fn slow_cycles(situation: &Situation<'_>, window: Window) -> u64 {
    let Some(SignalRule::Cycle(_, rule)) = situation.machine.rule(SignalRole::Cycle) else {
        return 0;
    };
    let Some(series) = situation.evidence.counts.get(&SignalRole::Cycle) else {
        return 0;
    };
    let from = window.from - Span::from_ticks(1);
    let mut before = series.active_before(from);
    let mut slow = 0;
    for step in series.steps_in(window).filter(|step| step.delta > 0) {
        if let Some(previous) = before.replace(step.at) {
            let cycle = cycle_at(situation, *rule, previous);
            let took = step.at - previous;
            let is_slow = took >= hundredths(cycle, rule.slow_from);
            slow += u64::from(is_slow && took < hundredths(cycle, rule.stop_from));
        }
    }
    slow
}

/// A stretch in which one product is made at one ideal cycle.
pub struct Piece<'a> {
    /// When.
    pub window: Window,
    /// The product, if one is known.
    pub product: Option<&'a ProductId>,
    /// The cycle that the order brings with it.
    order_cycle: Option<Span>,
}

impl Piece<'_> {
    /// The ideal cycle on a machine, most specific first: order, machine, any.
    pub fn cycle_of(&self, plant: &Plant, machine: &Machine) -> Option<CycleTime> {
        let ideal = self
            .product
            .and_then(|product| plant.ideal_cycle(product, &machine.id, self.window.from));
        let ideal = ideal.map(|ideal| CycleTime { cycle: ideal.cycle, parts: ideal.parts });
        self.order_cycle.map(|cycle| CycleTime { cycle, parts: 1 }).or(ideal)
    }

    /// The ideal cycle of a line, most specific first: order, line, bottleneck.
    pub fn cycle_of_line(&self, plant: &Plant, line: &Line) -> Option<CycleTime> {
        let ideal = self
            .product
            .and_then(|product| plant.ideal_cycle_of_line(product, &line.id, self.window.from));
        let ideal = ideal.map(|ideal| CycleTime { cycle: ideal.cycle, parts: ideal.parts });
        self.order_cycle.map(|cycle| CycleTime { cycle, parts: 1 }).or(ideal)
    }
}

/// Cuts a window where the product or its ideal cycle changes.
pub fn pieces<'a>(
    plant: &'a Plant,
    line: &'a Line,
    runs: &'a [OrderRun],
    window: Window,
) -> Vec<Piece<'a>> {
    let default = line.default_product.as_ref();
    let mut pieces = Vec::new();
    let mut add = |window: Window, product: Option<&'a ProductId>, order_cycle| {
        let product_data = product.and_then(|product| plant.products.get(product));
        let changes = product_data.into_iter().flat_map(|p| p.cycle_changes(window));
        let mut cuts: Vec<Timestamp> = changes.chain([window.to]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut from = window.from;
        for to in cuts {
            pieces.push(Piece { window: Window { from, to }, product, order_cycle });
            from = to;
        }
    };
    let mut from = window.from;
    for run in runs {
        let Some(part) = run.window().intersect(Window { from, to: window.to }) else {
            continue;
        };
        if from < part.from {
            add(Window { from, to: part.from }, default, None);
        }
        add(part, Some(&run.product), run.cycle);
        from = part.to;
    }
    if from < window.to {
        add(Window { from, to: window.to }, default, None);
    }
    pieces
}
