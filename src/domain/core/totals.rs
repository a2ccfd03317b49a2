//! Totals of an order: what its line's machines counted in its runs, and what people reported.

use super::Core;
use crate::domain::evidence::MachineEvidence;
use crate::domain::id::{LotId, MachineId};
use crate::domain::oee::counts::MachineCounts;
use crate::domain::oee::parts::{Counters, Parts};
use crate::domain::order::{Order, Totals};
use crate::domain::plant::{Line, Machine};
use crate::domain::time::{Timestamp, Window};

impl Core {
    /// Totals of an order as far as everything that has arrived says.
    pub fn totals(&self, order: &Order) -> Totals {
        let line = self.plant().lines.get(&order.request.line);
        let machines = line.into_iter().flat_map(|line| &line.machines);
        machines.fold(order.archived, |totals, machine| {
            // Older evidence may be in memory as well; the archived totals have its parts.
            let in_memory = Window { from: self.archived_to(machine), to: Timestamp::MAX };
            totals.plus(self.totals_in(order, in_memory, machine))
        })
    }

    /// What an order gained in a window from one machine of its line.
    ///
    /// Good parts are those of the outfeed, scrap is that of every machine.
    pub(super) fn totals_in(&self, order: &Order, window: Window, id: &MachineId) -> Totals {
        let mut totals = Totals::default();
        let line = self.plant().lines.get(&order.request.line);
        let (Some(line), Some(machine), Some(evidence)) = (
            line.filter(|line| line.machines.contains(id)),
            self.plant().machines.get(id),
            self.evidence.get(id),
        ) else {
            return totals;
        };
        let counted = counted_in_runs(order, machine, evidence, window);
        totals.scrap += counted.known.scrap();
        totals.rework += counted.known.rework;
        totals.unattributed += counted.unknown.scrap();
        if line.parallel_to(&line.outfeed).contains(id) {
            totals.good += counted.known.good;
            totals.unattributed += counted.unknown.good;
        }
        let reports = evidence.remarks.adjustments();
        for report in reports.filter(|a| a.order == *order.id() && window.contains(a.at)) {
            totals.good += report.good;
            totals.scrap += report.reject;
            totals.rework += report.rework - report.rework_good;
        }
        totals
    }

    /// Good parts of an order by lot; its own lot has what no report gave to another.
    pub fn lots_of(&self, order: &Order, totals: Totals) -> Vec<(LotId, i64)> {
        let own = order.lot();
        let others = order.produced.iter().filter(|(lot, _)| **lot != own);
        let others: Vec<_> = others.map(|(lot, good)| (lot.clone(), *good)).collect();
        let reported: i64 = others.iter().map(|(_, good)| good).sum();
        let mut lots = vec![(own, totals.good - reported)];
        lots.extend(others);
        lots
    }

    /// Whether good parts of a line are counted by its outfeed machine.
    pub(super) fn counts_good(&self, line: &Line) -> bool {
        let counts = |id: &MachineId| {
            self.plant().machines.get(id).is_some_and(|m| Counters::of(m).counts_good())
        };
        line.parallel_to(&line.outfeed).iter().any(counts)
    }
}

/// Parts counted in an order's runs: surely its own, and those that another may have made.
struct CountedInRuns {
    known: Parts,
    unknown: Parts,
}

fn counted_in_runs(
    order: &Order,
    machine: &Machine,
    evidence: &MachineEvidence,
    window: Window,
) -> CountedInRuns {
    let mut counted = CountedInRuns { known: Parts::default(), unknown: Parts::default() };
    for run in &order.runs {
        let Some(part) = run.window().intersect(window) else {
            continue;
        };
        let counts = MachineCounts::new(machine, evidence, part);
        let (seen, unseen) = counts.counted_in(part);
        counted.known.merge(seen);
        counted.unknown.merge(unseen);
        // A part made while the link was down is the order's if the order ran all that time.
        let own = counts.counters().derive(|role| {
            let steps = counts.steps_unseen(role, part);
            let own_steps = steps.iter().filter(|step| step.previous >= run.start);
            own_steps.map(|step| i64::try_from(step.delta).unwrap_or(i64::MAX)).sum()
        });
        counted.known.merge(own);
        counted.unknown.merge(own.negated());
    }
    counted
}
