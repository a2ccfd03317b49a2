//! Figures by order, product, shift, day, operator, reason or equipment: windows of one kind, added up.
//!
//! Slices are windows, and figures of windows add up; so the slices of a window are together the
//! window, each instant in exactly one of them.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::domain::evidence::MachineEvidence;
use crate::domain::id::{LineId, MachineId};
use crate::domain::oee::evaluate::{Equipment, Facts};
use crate::domain::oee::kpi::Kpi;
use crate::domain::oee::timeline::Interval;
use crate::domain::plant::Line;
use crate::domain::time::{Timestamp, Window};

/// By what figures are sliced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SliceBy {
    /// Job orders.
    Order,
    /// Products.
    Product,
    /// Shifts that took place.
    Shift,
    /// Shifts of the same name.
    ShiftName,
    /// Production dates.
    Day,
    /// Who worked at the machine, or at the bottleneck of the line.
    Operator,
    /// Why the machine stood, or the bottleneck of the line.
    Reason,
    /// Machines.
    Machine,
    /// Lines.
    Line,
    /// Areas.
    Area,
}

impl SliceBy {
    /// All of them.
    pub const ALL: [SliceBy; 10] = [
        SliceBy::Order,
        SliceBy::Product,
        SliceBy::Shift,
        SliceBy::ShiftName,
        SliceBy::Day,
        SliceBy::Operator,
        SliceBy::Reason,
        SliceBy::Machine,
        SliceBy::Line,
        SliceBy::Area,
    ];

    /// The word used in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            SliceBy::Order => "order",
            SliceBy::Product => "product",
            SliceBy::Shift => "shift",
            SliceBy::ShiftName => "shift_name",
            SliceBy::Day => "day",
            SliceBy::Operator => "operator",
            SliceBy::Reason => "reason",
            SliceBy::Machine => "machine",
            SliceBy::Line => "line",
            SliceBy::Area => "area",
        }
    }

    /// The slice of that name.
    pub fn parse(text: &str) -> Option<SliceBy> {
        SliceBy::ALL.into_iter().find(|by| by.as_str() == text)
    }

    /// Whether its windows are told by evidence; those of all others by runs and the calendar alone.
    pub fn needs_evidence(self) -> bool {
        matches!(self, SliceBy::Operator | SliceBy::Reason)
    }
}

/// The figures of a slice; without a key those of the rest.
#[derive(Clone, PartialEq, Debug)]
pub struct Slice {
    /// Key of the order, product or equipment; name and date of the shift; the date; the person; the reason.
    pub key: Option<String>,
    /// The figures.
    pub kpi: Kpi,
}

/// The windows of a key for a piece of equipment whose figures are added up.
pub struct KeyedWindows {
    /// The key.
    pub key: Option<String>,
    /// The equipment.
    pub unit: Equipment,
    /// The windows.
    pub windows: Vec<Window>,
}

/// The windows of all keys, by line where the equipment has several.
pub fn keyed_windows<E: Borrow<MachineEvidence>>(
    facts: &Facts<'_, E>,
    equipment: &Equipment,
    window: Window,
    by: SliceBy,
) -> Vec<KeyedWindows> {
    let plant = facts.history.at(window.to);
    let whole = |part: Equipment, key: &str| KeyedWindows {
        key: Some(key.to_owned()),
        unit: part,
        windows: vec![window],
    };
    let line_of = |line: &Line| Equipment::Line(line.id.clone());
    match by {
        SliceBy::Machine => {
            let machines = equipment.machines(plant).into_iter();
            machines.map(|id| whole(Equipment::Machine(id.clone()), id.as_str())).collect()
        }
        SliceBy::Line => {
            equipment.lines(plant).map(|line| whole(line_of(line), line.id.as_str())).collect()
        }
        SliceBy::Area => {
            equipment.lines(plant).map(|line| whole(line_of(line), line.area.as_str())).collect()
        }
        _ => {
            let lines = equipment.lines(plant);
            lines.flat_map(|line| keyed_of_line(facts, equipment, line, window, by)).collect()
        }
    }
}

fn keyed_of_line<E: Borrow<MachineEvidence>>(
    facts: &Facts<'_, E>,
    equipment: &Equipment,
    line: &Line,
    window: Window,
    by: SliceBy,
) -> Vec<KeyedWindows> {
    let (unit, machine) = match equipment {
        Equipment::Machine(machine) => (equipment.clone(), machine),
        _ => (Equipment::Line(line.id.clone()), &line.bottleneck),
    };
    let keyed = keyed(facts, &line.id, machine, window, by).into_iter();
    keyed.map(|(key, windows)| KeyedWindows { key, unit: unit.clone(), windows }).collect()
}

/// Adds the sum of one piece of equipment to those of its key.
pub fn add_unit(sums: &mut BTreeMap<Option<String>, Kpi>, key: Option<String>, sum: Option<Kpi>) {
    let Some(sum) = sum else {
        return;
    };
    match sums.entry(key) {
        Entry::Vacant(entry) => {
            entry.insert(sum);
        }
        Entry::Occupied(mut entry) => entry.get_mut().merge_equipment(&sum),
    }
}

/// The slices of a window of which all evidence is there.
pub fn slices_of<E: Borrow<MachineEvidence>>(
    facts: &Facts<'_, E>,
    equipment: &Equipment,
    window: Window,
    by: SliceBy,
) -> Vec<Slice> {
    let mut sums = BTreeMap::new();
    for KeyedWindows { key, unit, windows } in keyed_windows(facts, equipment, window, by) {
        let parts = windows.into_iter().map(|part| facts.sum(&unit, part));
        add_unit(&mut sums, key, parts.fold(None, Kpi::joined));
    }
    finished(sums)
}

/// The slices of sums.
pub fn finished(sums: BTreeMap<Option<String>, Kpi>) -> Vec<Slice> {
    let slices = sums.into_iter().map(|(key, mut kpi)| {
        kpi.set_flags();
        Slice { key, kpi }
    });
    slices.collect()
}

type Keyed = BTreeMap<Option<String>, Vec<Window>>;

/// The windows of each key; together they are the whole window.
fn keyed<E: Borrow<MachineEvidence>>(
    facts: &Facts<'_, E>,
    line: &LineId,
    machine: &MachineId,
    window: Window,
    by: SliceBy,
) -> Keyed {
    let mut found: Vec<(Window, Option<String>)> = match by {
        SliceBy::Order | SliceBy::Product => {
            let runs = facts.runs_of(line).iter();
            let key = |run: &crate::domain::order::OrderRun| match by {
                SliceBy::Order => run.order.to_string(),
                _ => run.product.to_string(),
            };
            runs.map(|run| (run.window(), Some(key(run)))).collect()
        }
        SliceBy::Operator | SliceBy::Reason => {
            let timeline = facts.timeline(machine, window).unwrap_or_default();
            let key = |interval: &Interval| match by {
                SliceBy::Operator => interval.operator.as_ref().map(ToString::to_string),
                _ => interval.reason.as_ref().map(ToString::to_string),
            };
            timeline.intervals.iter().map(|i| (i.window, key(i))).collect()
        }
        _ => {
            let shifts = facts.history.shifts(line, window).into_iter();
            let key = |shift: &crate::domain::calendar::ShiftInstance| match by {
                SliceBy::Shift => format!("{} {}", shift.production_date, shift.name),
                SliceBy::ShiftName => shift.name.clone(),
                _ => shift.production_date.to_string(),
            };
            shifts.map(|shift| (shift.window, Some(key(&shift)))).collect()
        }
    };
    found.sort_by_key(|(part, _)| part.from);
    let mut keyed = Keyed::new();
    let mut from = window.from;
    let mut add = |key: Option<String>, part: Window| {
        let windows = keyed.entry(key).or_default();
        match windows.last_mut() {
            Some(last) if last.to == part.from => last.to = part.to,
            _ => windows.push(part),
        }
    };
    for (part, key) in found {
        let Some(part) = part.intersect(Window { from, to: window.to }) else {
            continue;
        };
        rest(from, part.from, &mut add);
        add(key, part);
        from = part.to;
    }
    rest(from, window.to, &mut add);
    keyed
}

fn rest(from: Timestamp, to: Timestamp, add: &mut impl FnMut(Option<String>, Window)) {
    if from < to {
        add(None, Window { from, to });
    }
}
