//! From a core to what a question needs of it, and from a store back to a core.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::engine::{Extract, MachineExtract};
use super::ports::Recovered;
use crate::domain::core::Core;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::plant::Plant;
use crate::domain::time::{Span, Timestamp, Window};

/// Evidence stays in memory for this long.
const RETENTION: Span = Span::from_seconds(26 * 3600);

/// The core that goes on from what a store holds.
pub fn rebuild(plant: &Arc<Plant>, recovered: Recovered) -> Core {
    let mut core = match recovered.snapshot {
        Some(snapshot) => Core::restore(plant.clone(), Some(RETENTION), snapshot),
        None => Core::new(plant.clone(), Some(RETENTION)),
    };
    for event in &recovered.events {
        core.apply(event);
    }
    core
}

/// What is in memory about some equipment, for a window.
pub fn extract(core: &Core, equipment: &Equipment, window: Window, now: Timestamp) -> Extract {
    let history = core.history();
    let mut machines = BTreeSet::new();
    let mut lines = BTreeSet::new();
    for (_, plant) in core.facts().parts(window) {
        machines.extend(equipment.machines(plant));
        lines.extend(equipment.lines(plant).map(|line| line.id.clone()));
    }
    let known = machines.into_iter().filter_map(|machine| {
        let evidence = core.evidence(&machine)?;
        Some(MachineExtract {
            archived_to: core.archived_to(&machine),
            oldest: evidence.oldest(),
            evidence: evidence.extract(window),
            machine,
        })
    });
    let runs = lines.into_iter().map(|line| {
        let runs = core.runs(&line).to_vec();
        (line, runs)
    });
    Extract { now, history: history.clone(), machines: known.collect(), runs: runs.collect() }
}
