//! The figures of a shift that is to be recorded, from whatever facts its maker has.

use std::borrow::Borrow;

use crate::domain::evidence::MachineEvidence;
use crate::domain::id::LineId;
use crate::domain::oee::evaluate::{Equipment, Facts};
use crate::domain::oee::kpi::Kpi;
use crate::domain::time::Window;

/// The figures of a line and of each machine that stood in it during a window.
pub fn figures<E: Borrow<MachineEvidence>>(
    facts: &Facts<'_, E>,
    line: &LineId,
    window: Window,
) -> Vec<(Equipment, Kpi)> {
    let mut equipment = vec![Equipment::Line(line.clone())];
    for (_, plant) in facts.parts(window) {
        for machine in plant.lines.get(line).into_iter().flat_map(|line| &line.machines) {
            let machine = Equipment::Machine(machine.clone());
            if !equipment.contains(&machine) {
                equipment.push(machine);
            }
        }
    }
    let known = equipment.into_iter().map(|equipment| {
        let kpi = facts.kpi(&equipment, window)?;
        Some((equipment, kpi))
    });
    known.flatten().collect()
}
