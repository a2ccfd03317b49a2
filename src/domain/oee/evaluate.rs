//! Figures of a machine, a line, an area or the site, for any window.
//!
//! A line has the time of its bottleneck and the good parts of its outfeed; an area and the site add
//! up the time and the parts of their lines.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use super::counts::{Counters, MachineCounts, Production, by_product, production};
use super::kpi::{Flag, Kpi};
use super::loss::TimeElements;
use super::timeline::{self, Timeline, TimelineInputs};
use crate::domain::evidence::MachineEvidence;
use crate::domain::id::{AreaId, LineId, MachineId};
use crate::domain::order::OrderRun;
use crate::domain::plant::{Line, Machine, Plant};
use crate::domain::quantity::IdealTime;
use crate::domain::time::Window;

/// Anything that has figures.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Equipment {
    /// The whole site.
    Site,
    /// An area.
    Area(AreaId),
    /// A line.
    Line(LineId),
    /// A machine.
    Machine(MachineId),
}

impl Equipment {
    /// The equipment with that key; keys of equipment are unique in a plant.
    pub fn find(plant: &Plant, key: &str) -> Option<Equipment> {
        if plant.site.as_str() == key {
            return Some(Equipment::Site);
        }
        if let Some(area) = plant.areas.iter().find(|area| area.id.as_str() == key) {
            return Some(Equipment::Area(area.id.clone()));
        }
        if let Some(line) = plant.lines.keys().find(|id| id.as_str() == key) {
            return Some(Equipment::Line(line.clone()));
        }
        let machine = plant.machines.keys().find(|id| id.as_str() == key)?;
        Some(Equipment::Machine(machine.clone()))
    }

    /// Its key.
    pub fn key<'a>(&'a self, plant: &'a Plant) -> &'a str {
        match self {
            Equipment::Site => plant.site.as_str(),
            Equipment::Area(area) => area.as_str(),
            Equipment::Line(line) => line.as_str(),
            Equipment::Machine(machine) => machine.as_str(),
        }
    }

    /// The machines whose evidence its figures need.
    pub fn machines(&self, plant: &Plant) -> Vec<MachineId> {
        match self {
            Equipment::Machine(machine) => vec![machine.clone()],
            _ => self.lines(plant).flat_map(|line| line.machines.clone()).collect(),
        }
    }

    /// The lines that it stands for.
    pub fn lines<'a>(&'a self, plant: &'a Plant) -> impl Iterator<Item = &'a Line> {
        plant.lines.values().filter(move |line| match self {
            Equipment::Site => true,
            Equipment::Area(area) => line.area == *area,
            Equipment::Line(id) => line.id == *id,
            Equipment::Machine(machine) => line.machines.contains(machine),
        })
    }
}

/// The facts from which figures are made.
pub struct Facts<'a, E> {
    /// The plant.
    pub plant: &'a Plant,
    /// Evidence by machine.
    pub evidence: &'a BTreeMap<MachineId, E>,
    /// Runs by line, in order of time.
    pub runs: &'a BTreeMap<LineId, Vec<OrderRun>>,
}

impl<E: Borrow<MachineEvidence>> Facts<'_, E> {
    /// The figures of a piece of equipment; `None` when it or its evidence is not known.
    pub fn kpi(&self, equipment: &Equipment, window: Window) -> Option<Kpi> {
        match equipment {
            Equipment::Machine(machine) => self.machine_kpi(machine, window),
            Equipment::Line(line) => self.line_kpi(self.plant.lines.get(line)?, window),
            Equipment::Site | Equipment::Area(_) => self.sum_of_lines(equipment, window),
        }
    }

    /// The timeline of a machine.
    pub fn timeline(&self, machine: &MachineId, window: Window) -> Option<Timeline> {
        let machine = self.plant.machines.get(machine)?;
        let inputs = TimelineInputs {
            plant: self.plant,
            line: self.plant.lines.get(&machine.line)?,
            machine,
            evidence: self.evidence.get(&machine.id)?.borrow(),
            runs: self.runs_of(&machine.line),
        };
        Some(timeline::build(&inputs, window))
    }

    fn runs_of(&self, line: &LineId) -> &[OrderRun] {
        self.runs.get(line).map_or(&[], Vec::as_slice)
    }

    fn machine(&self, id: &MachineId) -> Option<(&Machine, &MachineEvidence)> {
        Some((self.plant.machines.get(id)?, self.evidence.get(id)?.borrow()))
    }

    fn machine_kpi(&self, id: &MachineId, window: Window) -> Option<Kpi> {
        let (machine, evidence) = self.machine(id)?;
        let timeline = self.timeline(id, window)?;
        let mut time = TimeElements::default();
        for interval in &timeline.intervals {
            time.add(interval.class, interval.window.length());
        }
        let runs = self.runs_of(&machine.line);
        let counters = Counters::of(machine);
        let mut flags = BTreeSet::new();
        if !counters.counts_reject() {
            flags.insert(Flag::RejectNotCounted);
        }
        let reported = evidence.adjustments.iter().any(|a| window.contains(a.at));
        let mut kpi = Kpi {
            window,
            time,
            production: production(self.plant, machine, evidence, runs, window),
            counted: counters.counts_good() || reported,
            provisional: timeline.provisional,
            flags,
        };
        kpi.set_flags();
        Some(kpi)
    }

    fn line_kpi(&self, line: &Line, window: Window) -> Option<Kpi> {
        let mut kpi = self.machine_kpi(&line.bottleneck, window)?;
        kpi.flags.clear();
        let outfeed = if line.outfeed == line.bottleneck {
            kpi.clone()
        } else {
            self.machine_kpi(&line.outfeed, window)?
        };
        kpi.production.parts.good = outfeed.production.parts.good;
        kpi.production.unattributed.good = outfeed.production.unattributed.good;
        kpi.production.without_product |= outfeed.production.without_product;
        self.cost_output(line, window, &mut kpi.production)?;
        kpi.counted = kpi.counted && outfeed.counted;
        kpi.provisional |= outfeed.provisional;
        let mut reject = 0;
        let mut rejects_counted = false;
        for id in &line.machines {
            let (machine, evidence) = self.machine(id)?;
            let (known, _) = MachineCounts::new(machine, evidence, window).in_window(window);
            reject += known.reject;
            rejects_counted |= Counters::of(machine).counts_reject();
        }
        kpi.production.parts.reject = reject;
        if !rejects_counted {
            kpi.flags.insert(Flag::RejectNotCounted);
        }
        kpi.set_flags();
        Some(kpi)
    }

    /// Values the outfeed's good parts at the ideal cycle of the bottleneck.
    fn cost_output(&self, line: &Line, window: Window, production: &mut Production) -> Option<()> {
        let (machine, evidence) = self.machine(&line.outfeed)?;
        let counts = MachineCounts::new(machine, evidence, window);
        production.ideal_good = IdealTime::default();
        for (part, product) in by_product(Some(line), self.runs_of(&line.id), window) {
            let good = counts.in_window(part).0.good;
            let Some(product) = product.filter(|_| good != 0) else {
                continue;
            };
            match self.plant.ideal_cycle(product, &line.bottleneck) {
                Some(cycle) => production.ideal_good.add(cycle.cycle.ticks(), cycle.parts, good),
                None => {
                    production.without_cycle.insert(product.clone());
                }
            }
        }
        Some(())
    }

    fn sum_of_lines(&self, equipment: &Equipment, window: Window) -> Option<Kpi> {
        let mut sum: Option<Kpi> = None;
        for line in equipment.lines(self.plant) {
            let kpi = self.line_kpi(line, window)?;
            match &mut sum {
                None => sum = Some(kpi),
                Some(sum) => {
                    sum.time.merge(&kpi.time);
                    sum.production.merge(&kpi.production);
                    sum.counted &= kpi.counted;
                    sum.provisional |= kpi.provisional;
                    sum.flags.extend(kpi.flags);
                }
            }
        }
        sum
    }
}
