//! Signals that were bound without a person: a text that the program has written itself, after a machine
//! was recognised by its types. The configuration goes before it, role by role.

use std::collections::{BTreeMap, BTreeSet};

use toml::de::DeTable;

use super::equipment::read_nameplate;
use super::node::PlaceAddress;
use super::problem::Problems;
use super::section::Section;
use super::signals;
use crate::domain::id::ReasonId;
use crate::domain::signal::{Signal, SignalRole};

/// Reads the signals and the nameplate of a machine, completed by what was bound, if it is to be bound by
/// itself; and whether it is.
pub fn complete(
    section: &Section<'_>,
    reasons: &BTreeSet<ReasonId>,
    what_was_bound: impl FnOnce() -> Option<String>,
) -> (Bound, bool) {
    let mut all =
        Bound { signals: signals::read(section, reasons), nameplate: read_nameplate(section) };
    let binding = section.parsed("binding", "\"auto\" or \"configured\"", |text| match text {
        "auto" => Some(true),
        "configured" => Some(false),
        _ => None,
    });
    let is_bound_by_itself = binding.is_some_and(|binding| binding.value);
    if !is_bound_by_itself {
        signals::check_state(section, &all.signals);
    } else if let Some(bound) = what_was_bound().and_then(|text| read(&text, reasons)) {
        bound.complete(&mut all);
    }
    (all, is_bound_by_itself)
}

/// What was bound.
#[derive(Default)]
pub struct Bound {
    /// Signals, and where they are.
    pub signals: Vec<(Signal, PlaceAddress)>,
    /// What the nameplate says, by the names of OPC 40001-1.
    pub nameplate: BTreeMap<&'static str, String>,
}

/// Reads what was bound; none where the text is not as the program writes it, since the machine will be
/// recognised again.
fn read(text: &str, reasons: &BTreeSet<ReasonId>) -> Option<Bound> {
    let problems = Problems::new("what was bound", text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return None;
    }
    let root = Section::new("what was bound", 0..0, table.get_ref(), &problems);
    let bound = Bound { signals: signals::read(&root, reasons), nameplate: read_nameplate(&root) };
    root.finish();
    problems.is_empty().then_some(bound)
}

impl Bound {
    /// Adds what the configuration does not say.
    fn complete(self, all: &mut Bound) {
        let tells_state = |role| matches!(role, SignalRole::State | SignalRole::Cycle);
        let has_state = all.signals.iter().any(|(signal, _)| tells_state(signal.role));
        let known: Vec<SignalRole> = all.signals.iter().map(|(signal, _)| signal.role).collect();
        let is_free = |role: SignalRole| !(known.contains(&role) || has_state && tells_state(role));
        all.signals.extend(self.signals.into_iter().filter(|(signal, _)| is_free(signal.role)));
        if all.nameplate.is_empty() {
            all.nameplate = self.nameplate;
        }
    }
}
