//! Products, their ideal cycles, and the reason tree.

use std::collections::{BTreeMap, BTreeSet};

use super::calendar::{start_of, validity_window};
use super::section::{Placed, Section};
use crate::domain::calendar::{CivilDate, CivilZone};
use crate::domain::id::{LineId, MachineId, ProductId, ReasonId};
use crate::domain::plant::{CycleScope, IdealCycle, MaximumDuration, Product, Reason, ReasonClass};
use crate::domain::time::Timestamp;

const PARTS_MAX: u64 = 100_000;
const PRIORITY_MAX: u64 = 1_000_000;

/// The equipment that ideal cycles may name, and the zone in which dates are read.
pub struct Surrounding<'a> {
    /// Lines.
    pub lines: BTreeSet<LineId>,
    /// Machines.
    pub machines: BTreeSet<MachineId>,
    /// The zone of the site.
    pub zone: Option<&'a dyn CivilZone>,
}

/// Parameters of a recipe, by name.
pub type Recipe = BTreeMap<String, String>;

/// Reads `[[product]]` sections with the parameters of their recipes; the equipment of ideal cycles is checked
/// against the known.
pub fn products(root: &Section<'_>, known: &Surrounding<'_>) -> Vec<(Placed<Product>, Recipe)> {
    let mut products = Vec::new();
    for section in root.tables("product") {
        let id = section.required_key("id", ProductId::parse);
        let name = section.text("name");
        let unit = section.text("unit");
        let cycles = read_cycles(&section, known);
        let recipe = section.table("parameters").map_or_else(Recipe::new, |parameters| {
            let texts = parameters.all_texts().into_iter();
            texts.map(|(name, text)| (name, text.value)).collect()
        });
        section.finish();
        if let Some(Placed { value: id, span }) = id {
            let name = name.map_or_else(|| id.to_string(), |name| name.value);
            let unit = unit.map_or_else(|| "C62".to_owned(), |unit| unit.value);
            let product = Placed { value: Product { id, name, unit, cycles }, span };
            products.push((product, recipe));
        }
    }
    products
}

fn read_cycles(section: &Section<'_>, known: &Surrounding<'_>) -> Vec<IdealCycle> {
    let mut cycles: Vec<IdealCycle> = Vec::new();
    for section in section.tables("ideal_cycle") {
        let scope = read_cycle_scope(&section, known);
        let cycle = section.duration("cycle");
        if cycle.is_none() {
            section.required_text("cycle");
        }
        let parts = section.number("parts", 1);
        let wanted = "a date such as \"2026-12-01\"";
        let valid_from = section.parsed("valid_from", wanted, CivilDate::parse);
        let valid_from = valid_from.map_or(Timestamp::MIN, |date| start_of(date.value, known.zone));
        let problems = section.problems();
        let span = section.span();
        section.finish();
        if let Some(parts) = parts.as_ref().filter(|parts| parts.value > PARTS_MAX) {
            let message = "a cycle makes too many parts";
            problems.add(parts.span.clone(), message, format!("write {PARTS_MAX} at most"));
            continue;
        }
        let (Some(cycle), Some(scope)) = (cycle, scope) else {
            continue;
        };
        if cycles.iter().any(|known| known.scope == scope && known.valid_from == valid_from) {
            let message = "a second ideal cycle for the same equipment from the same date";
            problems.add(span, message, "keep one of them, or give another `valid_from`");
            continue;
        }
        let parts = parts.map_or(1, |parts| u32::try_from(parts.value).unwrap_or(u32::MAX));
        cycles.push(IdealCycle { scope, valid_from, cycle: cycle.value, parts });
    }
    cycles
}

fn read_cycle_scope(section: &Section<'_>, known: &Surrounding<'_>) -> Option<CycleScope> {
    let machine = section.key("machine", MachineId::parse);
    let line = section.key("line", LineId::parse);
    let problems = section.problems();
    match (machine, line) {
        (None, None) if section.has("machine") || section.has("line") => None,
        (None, None) => Some(CycleScope::Any),
        (Some(machine), None) => {
            if !known.machines.contains(&machine.value) {
                let message = format!("no machine {} is configured", machine.value);
                problems.add(machine.span, message, "use the id of a [[machine]]");
            }
            Some(CycleScope::Machine(machine.value))
        }
        (None, Some(line)) => {
            if !known.lines.contains(&line.value) {
                let message = format!("no line {} is configured", line.value);
                problems.add(line.span, message, "use the id of a [[line]]");
            }
            Some(CycleScope::Line(line.value))
        }
        (Some(machine), Some(_)) => {
            let message = "an ideal cycle names both a machine and a line";
            problems.add(machine.span, message, "make two of it");
            None
        }
    }
}

/// A reason with the keys that other reasons must have.
pub struct ReasonDraft {
    /// The reason.
    pub reason: Placed<Reason>,
    /// The entry above it and the one that follows it.
    pub names: Vec<Placed<ReasonId>>,
}

/// Reads `[[reason]]` sections.
pub fn reasons(root: &Section<'_>, zone: Option<&dyn CivilZone>) -> Vec<ReasonDraft> {
    let mut reasons = Vec::new();
    for section in root.tables("reason") {
        let draft = read_reason(&section, zone);
        section.finish();
        reasons.extend(draft);
    }
    reasons
}

fn read_reason(section: &Section<'_>, zone: Option<&dyn CivilZone>) -> Option<ReasonDraft> {
    let id = section.required_key("id", ReasonId::parse);
    let name = section.text("name");
    let names = read_names(section);
    let parent = section.key("parent", ReasonId::parse);
    let words: Vec<_> = ReasonClass::ALL.iter().map(|class| class.as_str()).collect();
    let class = section.required("class", &words.join(", "), ReasonClass::parse);
    let failure = section.truth("failure");
    let stops_line = section.truth("stops_line");
    let priority = section.number("priority", 0);
    let comment_from = section.duration("comment_from");
    let (maximum, then) = read_maximum(section);
    let valid = validity_window(section, zone);
    let (Placed { value: id, span }, class) = (id?, class?.value);
    if let Some(large) = priority.as_ref().filter(|priority| priority.value > PRIORITY_MAX) {
        let advice = format!("write {PRIORITY_MAX} at most");
        section.problems().add(large.span.clone(), "`priority` is too large", advice);
    }
    let reason = Reason {
        name: name.map_or_else(|| id.to_string(), |name| name.value),
        names,
        class,
        parent: parent.as_ref().map(|parent| parent.value.clone()),
        failure: failure.map_or(class == ReasonClass::Down, |failure| failure.value),
        stops_line: stops_line.is_none_or(|stops_line| stops_line.value),
        priority: priority.map_or(0, |p| u32::try_from(p.value).unwrap_or(u32::MAX)),
        comment_from: comment_from.map(|from| from.value),
        maximum,
        valid,
        id,
    };
    let names = parent.into_iter().chain(then).collect();
    Some(ReasonDraft { reason: Placed { value: reason, span }, names })
}

fn read_names(section: &Section<'_>) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let Some(table) = section.table("names") else {
        return names;
    };
    for (language, name) in table.all_texts() {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if language.is_empty() || !language.chars().all(fits) {
            let message = format!("{language:?} is no language");
            section.problems().add(name.span, message, "write a tag such as de or pt-BR");
        } else {
            names.insert(language, name.value);
        }
    }
    names
}

fn read_maximum(section: &Section<'_>) -> (Option<MaximumDuration>, Option<Placed<ReasonId>>) {
    let span = section.duration("max_duration");
    let then = section.key("then", ReasonId::parse);
    match (span, then) {
        (Some(span), Some(then)) => {
            let maximum = MaximumDuration { span: span.value, then: then.value.clone() };
            (Some(maximum), Some(then))
        }
        (None, None) => (None, None),
        (span, then) => {
            let place = span.map(|s| s.span).or(then.map(|t| t.span));
            let message = "`max_duration` and `then` belong together";
            let place = place.unwrap_or(section.span());
            section.problems().add(place, message, "give both, or neither");
            (None, None)
        }
    }
}
