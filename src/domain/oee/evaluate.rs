//! Figures of a machine, a line, an area or the site, for any window.
//!
//! A line has the time of its bottleneck and the good parts of its outfeed; an area and the site add
//! up the time and the parts of their lines. A window in which the plant was described differently
//! is cut there, and each part is made with what held then.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use super::counts::{MachineCounts, doubtful_steps, pieces, production};
use super::kpi::{Flag, Kpi};
use super::parts::{Counters, Parts};
use super::station;
use super::stops::{Stop, stops_in};
use super::tally::tally;
use super::timeline::{self, Timeline};
use super::track::{Situation, TrackPoint, track};
use crate::domain::evidence::{MachineEvidence, STATE_CONTEXT};
use crate::domain::id::{AreaId, LineId, MachineId};
use crate::domain::order::OrderRun;
use crate::domain::plant::history::PlantHistory;
use crate::domain::plant::{Line, Plant, RootCause};
use crate::domain::time::{Span, Timestamp, Window};

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
    /// The plant as it was described over time.
    pub history: &'a PlantHistory,
    /// Evidence by machine.
    pub evidence: &'a BTreeMap<MachineId, E>,
    /// Runs by line, in order of time.
    pub runs: &'a BTreeMap<LineId, Vec<OrderRun>>,
    /// The present; nothing after it is known.
    pub now: Timestamp,
}

impl<E: Borrow<MachineEvidence>> Facts<'_, E> {
    /// The figures of a piece of equipment; `None` when it or its evidence is not known.
    pub fn kpi(&self, equipment: &Equipment, window: Window) -> Option<Kpi> {
        let mut kpi = self.sum(equipment, window)?;
        kpi.set_flags();
        Some(kpi)
    }

    /// Time and parts without the flags that follow from the figures, so that it can be added up.
    pub fn sum(&self, equipment: &Equipment, window: Window) -> Option<Kpi> {
        let mut sum: Option<Kpi> = None;
        for (part, plant) in self.parts(window) {
            let kpi = match equipment {
                Equipment::Machine(machine) => self.machine_kpi(plant, machine, part),
                Equipment::Line(line) => {
                    plant.lines.get(line).and_then(|line| self.line_kpi(plant, line, part))
                }
                Equipment::Site | Equipment::Area(_) => self.sum_of_lines(plant, equipment, part),
            };
            sum = Kpi::joined(sum, kpi);
        }
        let mut kpi = sum?;
        kpi.window = window;
        Some(kpi)
    }

    /// The figures of several windows together, such as those of a shift's name or of an order.
    pub fn kpi_of_all(&self, equipment: &Equipment, windows: &[Window]) -> Option<Kpi> {
        let kpis = windows.iter().map(|window| self.sum(equipment, *window));
        let mut sum = kpis.fold(None, Kpi::joined)?;
        sum.set_flags();
        Some(sum)
    }

    /// The timeline of a machine, or of a line as it stands for its bottleneck.
    pub fn timeline(&self, machine: &MachineId, window: Window) -> Option<Timeline> {
        let mut whole = Timeline::default();
        for (part, plant) in self.parts(window) {
            let Some(situation) = self.situation(plant, machine, part) else {
                continue;
            };
            let next = timeline::build(&situation, part);
            whole.intervals.extend(next.intervals);
            whole.provisional |= next.provisional;
            for stop in next.stops {
                if !whole.stops.contains(&stop) {
                    whole.stops.push(stop);
                }
            }
        }
        (!whole.intervals.is_empty() || window.from == window.to).then_some(whole)
    }

    /// The stops of a machine that touch a window, in order of time, whole.
    pub fn stops(&self, machine: &MachineId, window: Window) -> Vec<Stop> {
        let mut stops: Vec<Stop> = Vec::new();
        for (part, plant) in self.parts(window) {
            if let Some(situation) = self.situation(plant, machine, part) {
                stops.extend(stops_in(&situation, part));
            }
        }
        // A stop over a change of the description is found on both sides of it.
        stops.sort_by_key(|stop| stop.start);
        stops.dedup_by_key(|stop| stop.start);
        stops
    }

    /// The state in which a machine is at an instant, and since when.
    pub fn state_at(&self, machine: &MachineId, at: Timestamp) -> Option<TrackPoint> {
        let window = Window { from: at, to: at + Span::from_ticks(1) };
        let situation = self.situation(self.history.at(at), machine, window)?;
        let points = track(&situation, window);
        points[..points.partition_point(|point| point.at <= at)].last().copied()
    }

    /// The states of a machine from a running one before a window to one after it, as far as they are
    /// known.
    pub fn track(&self, machine: &MachineId, window: Window) -> Vec<TrackPoint> {
        let mut points: Vec<TrackPoint> = Vec::new();
        for (part, plant) in self.parts(window) {
            if let Some(situation) = self.situation(plant, machine, part) {
                points.retain(|point| point.at < part.from);
                let is_first = points.is_empty();
                let next = track(&situation, part).into_iter();
                points.extend(next.filter(|point| is_first || point.at >= part.from));
            }
        }
        points
    }

    /// The stops of a machine that people stated, as far as they touch a window.
    pub fn stated_stops(&self, machine: &MachineId, window: Window) -> Vec<Stop> {
        let Some(evidence) = self.evidence.get(machine).map(Borrow::borrow) else {
            return Vec::new();
        };
        let stated = evidence.remarks.stated_stops();
        let inside = stated.into_iter().filter(|stop| stop.window.intersect(window).is_some());
        inside.map(Stop::stated).collect()
    }

    /// The parts of a window with the description that held in each; an empty window has one.
    pub fn parts(&self, window: Window) -> Vec<(Window, &Plant)> {
        let parts = self.history.parts(window).into_iter();
        let mut parts: Vec<(Window, &Plant)> = parts.map(|(part, p)| (part, &**p)).collect();
        if parts.is_empty() {
            parts.push((window, self.history.at(window.from)));
        }
        parts
    }

    /// All that a machine's time in a window depends on.
    pub fn situation<'b>(
        &'b self,
        plant: &'b Plant,
        machine: &MachineId,
        window: Window,
    ) -> Option<Situation<'b>> {
        let machine = plant.machines.get(machine)?;
        let line = plant.lines.get(&machine.line)?;
        let evidence = self.evidence.get(&machine.id)?.borrow();
        let runs = runs_near(self.runs_of(&line.id), window);
        Some(Situation { plant, line, machine, evidence, runs, now: self.now })
    }

    /// Runs of a line, in order of time.
    pub fn runs_of(&self, line: &LineId) -> &[OrderRun] {
        self.runs.get(line).map_or(&[], Vec::as_slice)
    }

    fn machine_kpi(&self, plant: &Plant, id: &MachineId, window: Window) -> Option<Kpi> {
        let situation = self.situation(plant, id, window)?;
        let timeline = timeline::build(&situation, window);
        let mut kpi = tally(&situation, &timeline, window);
        kpi.production = production(&situation, window);
        let counters = Counters::of(situation.machine);
        if !counters.counts_reject() {
            kpi.flags.insert(Flag::RejectNotCounted);
        }
        let mut reported = situation.evidence.remarks.adjustments();
        kpi.counted = counters.counts_good() || reported.any(|a| window.contains(a.at));
        Some(kpi)
    }

    fn line_kpi(&self, plant: &Plant, line: &Line, window: Window) -> Option<Kpi> {
        let mut kpi = Kpi::nothing(window);
        let runs = runs_near(self.runs_of(&line.id), window);
        for piece in pieces(plant, line, runs, window) {
            let bottleneck = line.bottleneck_for(piece.product);
            let mut part = self.line_time(plant, line, bottleneck, piece.window)?;
            let parts = self.line_parts(plant, line, bottleneck, piece.window)?;
            part.production.unattributed = parts.unattributed;
            part.production.doubtful_steps = parts.doubtful_steps;
            let cycle = piece.cycle_of_line(plant, line);
            part.production.book(parts.known, piece.product, cycle);
            kpi.merge(&part);
        }
        kpi.window = window;
        kpi.counted = self.counts_output(plant, line, window);
        let counts_reject = |id: &MachineId| {
            plant.machines.get(id).is_some_and(|m| Counters::of(m).counts_reject())
        };
        if !line.machines.iter().any(counts_reject) {
            kpi.flags.insert(Flag::RejectNotCounted);
        }
        Some(kpi)
    }

    /// The time of a line: that of its bottleneck, or of the bottleneck's station.
    fn line_time(
        &self,
        plant: &Plant,
        line: &Line,
        bottleneck: &MachineId,
        window: Window,
    ) -> Option<Kpi> {
        let situation = self.situation(plant, bottleneck, window)?;
        let timeline = match line.station_of(bottleneck) {
            Some(station) if line.root_cause == RootCause::Parallel => {
                let members = station.machines.iter();
                let members = members.map(|id| self.situation(plant, id, window));
                let members: Vec<Situation<'_>> = members.collect::<Option<_>>()?;
                let track = station::track(&members, station.min_running, window);
                timeline::build_on(&situation, &track, Vec::new(), window)
            }
            _ => timeline::build(&situation, window),
        };
        Some(tally(&situation, &timeline, window))
    }

    fn line_parts(
        &self,
        plant: &Plant,
        line: &Line,
        bottleneck: &MachineId,
        window: Window,
    ) -> Option<LineParts> {
        let mut parts = LineParts::default();
        let processing = line.parallel_to(bottleneck);
        let leaving = line.parallel_to(&line.outfeed);
        let entering = line.machines.first().map(|first| line.parallel_to(first)).unwrap_or(&[]);
        for id in &line.machines {
            let (machine, evidence) = (plant.machines.get(id)?, self.evidence.get(id)?.borrow());
            let counts = MachineCounts::new(machine, evidence, window);
            let (known, unknown) = counts.in_window(window);
            for (sum, of) in [(&mut parts.known, known), (&mut parts.unattributed, unknown)] {
                sum.reject += of.reject;
                sum.startup_reject += of.startup_reject;
                sum.rework += of.rework;
                sum.rework_good += of.rework_good;
                sum.total += if processing.contains(id) { of.total } else { 0 };
                sum.good += if leaving.contains(id) { of.good } else { 0 };
                sum.infeed += if entering.contains(id) { of.infeed } else { 0 };
            }
            parts.doubtful_steps += doubtful_steps(evidence, window);
        }
        Some(parts)
    }

    /// Whether the parts that leave a line, and those that its bottleneck makes, are counted.
    fn counts_output(&self, plant: &Plant, line: &Line, window: Window) -> bool {
        let counted = |id: &MachineId| {
            let machine = plant.machines.get(id);
            let evidence = self.evidence.get(id).map(Borrow::borrow);
            let reported = |e: &MachineEvidence| {
                e.remarks.adjustments().any(|adjustment| window.contains(adjustment.at))
            };
            machine.is_some_and(|m| Counters::of(m).counts_good()) || evidence.is_some_and(reported)
        };
        let needed: BTreeSet<&MachineId> = [&line.bottleneck, &line.outfeed].into();
        needed.into_iter().all(counted)
    }

    fn sum_of_lines(&self, plant: &Plant, equipment: &Equipment, window: Window) -> Option<Kpi> {
        let lines = equipment.lines(plant).map(|line| self.line_kpi(plant, line, window));
        let lines: Option<Vec<Kpi>> = lines.collect();
        let mut lines = lines?.into_iter();
        let mut sum = lines.next()?;
        lines.for_each(|line| sum.merge_equipment(&line));
        Some(sum)
    }
}

/// Parts of a line.
#[derive(Default)]
struct LineParts {
    known: Parts,
    unattributed: Parts,
    doubtful_steps: u64,
}

/// The runs that a window can depend on.
fn runs_near(runs: &[OrderRun], window: Window) -> &[OrderRun] {
    let first = runs.partition_point(|run| run.window().to <= window.from - STATE_CONTEXT);
    let end = runs.partition_point(|run| run.start < window.to + STATE_CONTEXT);
    &runs[first..end.max(first)]
}
