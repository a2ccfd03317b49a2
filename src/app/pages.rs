//! Making the kept sums of [`super::figures`]: of each quarter of an hour once it is settled, and
//! again after something in it has changed.
//!
//! The writer alone does this, so a sum and the facts that it is made of are durable in the same
//! commit, and so are a late fact and the end of the sums that it makes wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::figures::{Page, PageLength, QUARTER, ceil, compose, floor};
use super::ports::Reader;
use super::query::{QueryError, complete};
use super::recall::extract;
use crate::domain::core::Core;
use crate::domain::evidence::MachineEvidence;
use crate::domain::id::{LineId, MachineId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Kpi;
use crate::domain::oee::track::hundredths;
use crate::domain::plant::{Line, Plant};
use crate::domain::signal::SignalRule;
use crate::domain::time::{Span, Timestamp, Window};

/// Quarters of a line that are made at once when there are many to make, after a long standstill.
const QUARTERS_AT_ONCE: usize = 16;
/// Sums that are made again at once, so that commands need not wait.
const AGAIN_AT_ONCE: usize = 8;
/// It is looked so often what is settled.
const LOOK_EVERY: Span = Span::from_seconds(1);
/// What a value needs from the machine to us at most, where the link works.
const ON_ITS_WAY: Span = Span::from_seconds(30);

/// How far the sums of each line are made.
#[derive(Default)]
pub struct Pages {
    made_to: BTreeMap<LineId, Timestamp>,
    /// Sums that may have changed since the last commit.
    stale: BTreeSet<(Equipment, Window)>,
    /// Whether there are sums to be made again.
    has_stale: bool,
    /// When it was last looked what is settled.
    looked_at: Timestamp,
}

/// How long a quarter waits until nothing that is on time can change it.
pub fn settling_time(plant: &Plant, line: &Line) -> Span {
    let machines = line.machines.iter().filter_map(|id| plant.machines.get(id));
    let of_machines = machines.flat_map(|machine| {
        let rules = machine.signals.iter().filter_map(|signal| match &signal.rule {
            SignalRule::State(rule) => Some(rule.hold),
            SignalRule::Cycle(_, rule) => rule.cycle.map(|c| hundredths(c, rule.stop_from)),
            _ => None,
        });
        let silence = machine.silence_after.into_iter();
        rules.chain(silence).chain([machine.micro_stop_below, machine.explain_from])
    });
    let comments = plant.reasons.values().filter_map(|reason| reason.comment_from);
    let longest = of_machines.chain(comments).max();
    longest.unwrap_or(Span::ZERO) + ON_ITS_WAY
}

impl Pages {
    /// What a store holds of them.
    pub fn recover(core: &Core, reader: &dyn Reader) -> Result<Pages, QueryError> {
        let mut made_to = BTreeMap::new();
        for line in core.plant().lines.keys() {
            if let Some(last) = reader.last_page(&Equipment::Line(line.clone()))? {
                made_to.insert(line.clone(), last + QUARTER);
            }
        }
        let has_stale = !reader.stale(1)?.is_empty();
        Ok(Pages { made_to, has_stale, ..Pages::default() })
    }

    /// Notes that figures of a machine may have changed in a window.
    pub fn touch(&mut self, core: &Core, machine: &MachineId, window: Window) {
        for (_, plant) in core.history().parts(window) {
            let Some(line) = plant.line_of(machine) else {
                continue;
            };
            let made_to = self.made_to.get(&line.id).copied().unwrap_or(Timestamp::MIN);
            let made = Window { from: Timestamp::MIN, to: made_to };
            if let Some(wrong) = window.intersect(made) {
                self.stale.insert((Equipment::Machine(machine.clone()), wrong));
                self.stale.insert((Equipment::Line(line.id.clone()), wrong));
            }
        }
    }

    /// The sums that are wrong with the facts of this commit.
    pub fn take_stale(&mut self) -> Vec<(Equipment, Window)> {
        self.has_stale |= !self.stale.is_empty();
        std::mem::take(&mut self.stale).into_iter().collect()
    }

    /// Whether it is time to look what is settled.
    pub fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = now >= self.looked_at + LOOK_EVERY;
        if is_due {
            self.looked_at = now;
        }
        is_due
    }

    fn from(&self, core: &Core, line: &Line) -> Option<Timestamp> {
        if let Some(made_to) = self.made_to.get(&line.id) {
            return Some(*made_to);
        }
        let machines = line.machines.iter();
        let oldest = machines.filter_map(|id| core.evidence(id)?.oldest()).min()?;
        Some(ceil(oldest, QUARTER))
    }

    /// The sums of the quarters that are settled now.
    pub fn make(
        &mut self,
        core: &Core,
        reader: &dyn Reader,
        now: Timestamp,
    ) -> Result<Vec<Page>, QueryError> {
        let mut pages = Vec::new();
        let lines: Vec<Line> = core.plant().lines.values().cloned().collect();
        for line in lines {
            let settling = settling_time(core.plant(), &line);
            for _ in 0..QUARTERS_AT_ONCE {
                let Some(from) = self.from(core, &line) else {
                    break;
                };
                if from + QUARTER + settling > now {
                    break;
                }
                let window = Window { from, to: from + QUARTER };
                for unit in units_at(core, &line.id, window) {
                    pages.extend(page(core, reader, unit, window, now)?);
                }
                self.made_to.insert(line.id.clone(), window.to);
            }
        }
        Ok(pages)
    }

    /// Some of the sums that were taken away, made again.
    pub fn make_again(
        &mut self,
        core: &Core,
        reader: &dyn Reader,
        now: Timestamp,
    ) -> Result<Vec<Page>, QueryError> {
        if !self.has_stale {
            return Ok(Vec::new());
        }
        let stale = reader.stale(AGAIN_AT_ONCE)?;
        self.has_stale = stale.len() == AGAIN_AT_ONCE || !self.stale.is_empty();
        let mut pages = Vec::new();
        for (unit, from) in stale {
            let window = Window { from, to: from + QUARTER };
            pages.extend(page(core, reader, unit, window, now)?);
        }
        Ok(pages)
    }
}

/// The line and the machines that stood in it during a window.
fn units_at(core: &Core, line: &LineId, window: Window) -> Vec<Equipment> {
    let mut units = vec![Equipment::Line(line.clone())];
    for (_, plant) in core.history().parts(window) {
        let machines = plant.lines.get(line).into_iter().flat_map(|line| &line.machines);
        units.extend(machines.cloned().map(Equipment::Machine));
    }
    units.sort();
    units.dedup();
    units
}

fn page(
    core: &Core,
    reader: &dyn Reader,
    equipment: Equipment,
    window: Window,
    now: Timestamp,
) -> Result<Option<Page>, QueryError> {
    let sum = sum_now(core, reader, &equipment, window, now)?;
    let page = |sum| Page { equipment, length: PageLength::Quarter, start: window.from, sum };
    Ok(sum.map(page))
}

/// The sum of a window as the writer sees it: from memory where all of it is there.
pub fn sum_now(
    core: &Core,
    reader: &dyn Reader,
    equipment: &Equipment,
    window: Window,
    now: Timestamp,
) -> Result<Option<Kpi>, QueryError> {
    let facts = core.facts_at(now);
    let parts = facts.parts(window);
    let mut machines = parts.iter().flat_map(|(_, plant)| equipment.machines(plant));
    if machines.all(|machine| core.in_memory_from(&machine) <= window.from) {
        return Ok(facts.sum(equipment, window));
    }
    let facts = complete(extract(core, equipment, window, now), reader, window)?;
    Ok(facts.facts().sum(equipment, window))
}

/// How much evidence may stay in memory for a machine before it goes to the archive early.
const POINTS_MAX: usize = 20_000;

/// The machines that have too much evidence in memory, each with the instant before which it can go.
///
/// What is not settled stays, and some more, so that late values find their neighbours.
pub fn too_much(core: &Core, now: Timestamp) -> Vec<(MachineId, Timestamp)> {
    let crowded = |machine: &&MachineId| {
        core.evidence(machine).is_some_and(|e: &MachineEvidence| e.size() > POINTS_MAX)
    };
    let machines = core.plant().machines.keys().filter(crowded);
    let before = machines.filter_map(|machine| {
        let line = core.plant().line_of(machine).filter(|_| !core.is_recalled(machine, now))?;
        let kept = settling_time(core.plant(), line) + QUARTER;
        let before = floor(now - kept, QUARTER);
        (before > core.archived_to(machine)).then(|| (machine.clone(), before))
    });
    before.collect()
}

/// The sum of a window that may be long: kept sums where they are, evidence for the rest.
pub fn sum_of_long(
    core: &Core,
    reader: &dyn Reader,
    unit: &Equipment,
    window: Window,
    now: Timestamp,
) -> Result<Option<Kpi>, QueryError> {
    if window.length() < QUARTER {
        return sum_now(core, reader, unit, window, now);
    }
    let composition = compose(reader, unit, window)?;
    let mut sum: Option<Kpi> = None;
    for part in composition.rest {
        sum = Kpi::joined(sum, sum_now(core, reader, unit, part, now)?);
    }
    Ok(composition.kept.into_iter().map(Some).fold(sum, Kpi::joined))
}
