//! From a core to what a question needs of it, and from a store back to a core: all of it at a start,
//! and the evidence that something late belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::engine::{Extract, MachineExtract};
use super::ports::{Reader, Recovered, StoreError};
use crate::domain::command::Recall;
use crate::domain::core::Core;
use crate::domain::event::Event;
use crate::domain::evidence::{EvidenceBlock, Observation, Remark, STATE_CONTEXT};
use crate::domain::id::{LineId, MachineId, OrderId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::order::Order;
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

/// What a commit that is being made will add to the store.
#[derive(Clone, Copy, Default)]
pub struct Pending<'a> {
    /// Evidence that leaves memory.
    pub archived: &'a [(MachineId, EvidenceBlock)],
    /// Facts.
    pub events: &'a [Event],
}

impl<'a> Pending<'a> {
    /// What people said of a machine.
    pub fn remarks(self, machine: &'a MachineId) -> impl Iterator<Item = &'a Remark> {
        self.events.iter().filter_map(move |event| match event {
            Event::Remarked { machine: of, remark, .. } if of == machine => Some(remark),
            _ => None,
        })
    }
}

/// What is later than this finds its neighbours in the archive only: figures are right, totals of
/// orders stay as they were confirmed.
const RECALL_MAX: Span = Span::from_seconds(35 * 86_400);
/// So much more comes back, since what is late seldom comes alone and not always in order.
const RECALL_MORE: Span = Span::from_seconds(2 * 3600);

/// The evidence that has to come back into memory before a late value is looked at, and the orders that
/// ran then.
///
/// `pending` is in neither of them until the commit that is being made is done.
pub fn recall(
    core: &Core,
    reader: &dyn Reader,
    pending: Pending<'_>,
    observation: &Observation,
    now: Timestamp,
) -> Result<Option<(Recall, Vec<Order>)>, StoreError> {
    let (machine, archived_to) = (&observation.machine, core.archived_to(&observation.machine));
    if observation.at >= archived_to || now - observation.at > RECALL_MAX {
        return Ok(None);
    }
    let from = observation.at - RECALL_MORE;
    let window = Window { from: from - STATE_CONTEXT, to: archived_to };
    let mut block = reader.evidence(machine, window)?;
    for (_, more) in pending.archived.iter().filter(|(of, _)| of == machine) {
        block.append(more.clone());
    }
    let mut remarks = reader.remarks(machine, window)?;
    remarks.extend(pending.remarks(machine).cloned());
    let orders = orders(core, reader, machine, Window { from, to: archived_to })?;
    let machine = machine.clone();
    Ok(Some((Recall { machine, from, block, remarks, at: now }, orders)))
}

/// The orders that ran in a window where a machine stands or stood, and are not in memory.
fn orders(
    core: &Core,
    reader: &dyn Reader,
    machine: &MachineId,
    window: Window,
) -> Result<Vec<Order>, StoreError> {
    let plants = core.history().versions().iter();
    let lines: BTreeSet<&LineId> =
        plants.filter_map(|(_, plant)| Some(&plant.line_of(machine)?.id)).collect();
    let mut orders: BTreeMap<OrderId, Order> = BTreeMap::new();
    for line in lines {
        for run in reader.runs(line, window)? {
            if core.order(&run.order).is_none() && !orders.contains_key(&run.order) {
                orders.extend(reader.order(&run.order)?.map(|order| (run.order, order)));
            }
        }
    }
    Ok(orders.into_values().collect())
}
