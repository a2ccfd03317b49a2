//! The whole state as plain values, so that a start need not replay the journal from its beginning.

use std::sync::Arc;

use super::Core;
use crate::domain::evidence::{Adjustment, Classification, EvidenceBlock};
use crate::domain::id::{LineId, MachineId};
use crate::domain::order::{Order, OrderRun};
use crate::domain::plant::Plant;
use crate::domain::time::{Span, Timestamp};

/// The state of a core.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// Machines and their evidence.
    pub machines: Vec<MachineSnapshot>,
    /// Runs by line.
    pub runs: Vec<(LineId, Vec<OrderRun>)>,
    /// Orders in memory.
    pub orders: Vec<Order>,
    /// Number of the newest confirmation.
    pub confirmations: u64,
}

/// The evidence about one machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineSnapshot {
    /// The machine.
    pub machine: MachineId,
    /// The instant before which evidence is in the archive.
    pub archived_to: Timestamp,
    /// Observations.
    pub block: EvidenceBlock,
    /// Reported parts.
    pub adjustments: Vec<Adjustment>,
    /// Classified stops.
    pub classifications: Vec<Classification>,
}

impl Core {
    /// The state as plain values.
    pub fn snapshot(&self) -> Snapshot {
        let machines = self.evidence.iter().map(|(machine, evidence)| MachineSnapshot {
            machine: machine.clone(),
            archived_to: self.archived_to(machine),
            block: evidence.to_block(),
            adjustments: evidence.adjustments.clone(),
            classifications: evidence.classifications.values().cloned().collect(),
        });
        Snapshot {
            machines: machines.collect(),
            runs: self.all_runs(),
            orders: self.orders.values().cloned().collect(),
            confirmations: self.confirmations,
        }
    }

    /// The core that had this state.
    pub fn restore(plant: Arc<Plant>, retention: Option<Span>, snapshot: Snapshot) -> Core {
        let mut core = Core::new(plant, retention);
        for machine in snapshot.machines {
            let evidence = core.evidence.entry(machine.machine.clone()).or_default();
            evidence.absorb(machine.block);
            evidence.adjustments = machine.adjustments;
            machine.classifications.into_iter().for_each(|c| evidence.classify(c));
            if machine.archived_to > Timestamp::MIN {
                core.archived_to.insert(machine.machine, machine.archived_to);
            }
        }
        core.runs = snapshot.runs.into_iter().collect();
        core.orders = snapshot.orders.into_iter().map(|o| (o.id().clone(), o)).collect();
        core.confirmations = snapshot.confirmations;
        let changed = core.orders.values().filter(|order| core.totals(order) != order.confirmed);
        core.unconfirmed = changed.map(|order| order.id().clone()).collect();
        core
    }
}
