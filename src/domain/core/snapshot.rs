//! The whole state as plain values, so that a start need not replay the journal from its beginning.

use std::sync::Arc;

use super::{Core, LineClosing, Told};
use crate::domain::evidence::{EvidenceBlock, MachineEvidence, Remark};
use crate::domain::id::{LineId, MachineId};
use crate::domain::notice::Condition;
use crate::domain::order::{Order, OrderRun};
use crate::domain::plant::Plant;
use crate::domain::plant::history::PlantHistory;
use crate::domain::time::{Span, Timestamp};
use crate::domain::transfer::MachineTransfer;

/// The state of a core.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Snapshot {
    /// The plant as it was described over time.
    pub plants: Vec<(Timestamp, Arc<Plant>)>,
    /// The latest instant that any input has brought.
    pub now: Timestamp,
    /// Machines and their evidence.
    pub machines: Vec<MachineSnapshot>,
    /// Runs by line.
    pub runs: Vec<(LineId, Vec<OrderRun>)>,
    /// Orders in memory.
    pub orders: Vec<Order>,
    /// Number of the newest confirmation.
    pub confirmations: u64,
    /// How far shifts are closed, by line.
    pub closings: Vec<(LineId, LineClosing)>,
    /// Number of the newest record of a shift.
    pub shift_records: u64,
    /// Number of the newest notice.
    pub notices: u64,
    /// What was told of machines.
    pub told: Vec<(MachineId, Told)>,
    /// Conditions with their branches.
    pub conditions: Vec<Condition>,
    /// What machines were told of orders.
    pub transfers: Vec<(MachineId, MachineTransfer)>,
}

/// The evidence about one machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MachineSnapshot {
    /// The machine.
    pub machine: MachineId,
    /// The instant before which evidence is in the archive.
    pub archived_to: Timestamp,
    /// Until when evidence that came back stays in memory.
    pub recalled: Option<Timestamp>,
    /// Observations.
    pub block: EvidenceBlock,
    /// What people said.
    pub remarks: Vec<Remark>,
}

impl Core {
    /// The state as plain values.
    pub fn snapshot(&self) -> Snapshot {
        let machines = self.evidence.iter().map(|(machine, evidence)| MachineSnapshot {
            machine: machine.clone(),
            archived_to: self.archived_to(machine),
            recalled: self.recalled.get(machine).copied(),
            block: evidence.to_block(),
            remarks: evidence.remarks.iter().cloned().collect(),
        });
        Snapshot {
            plants: self.history.versions().to_vec(),
            now: self.now,
            machines: machines.collect(),
            runs: self.all_runs(),
            orders: self.orders.values().cloned().collect(),
            confirmations: self.confirmations,
            closings: self.closings.iter().map(|(line, c)| (line.clone(), c.clone())).collect(),
            shift_records: self.shift_records,
            notices: self.notices,
            told: self.told.iter().map(|(machine, told)| (machine.clone(), told.clone())).collect(),
            conditions: self.conditions.values().cloned().collect(),
            transfers: self.transfers.iter().map(|(id, told)| (id.clone(), told.clone())).collect(),
        }
    }

    /// The core that had this state.
    pub fn restore(plant: Arc<Plant>, retention: Option<Span>, snapshot: Snapshot) -> Core {
        let mut core = Core::new(plant, retention);
        core.now = snapshot.now;
        if let Some(history) = PlantHistory::of(snapshot.plants) {
            core.history = history;
        }
        for machine in snapshot.machines {
            let history = &core.history;
            let evidence = core.evidence.entry(machine.machine.clone());
            let evidence =
                evidence.or_insert_with(|| MachineEvidence::new(history, &machine.machine));
            *evidence = MachineEvidence::new(history, &machine.machine);
            evidence.absorb(machine.block);
            machine.remarks.into_iter().for_each(|remark| evidence.remarks.add(remark));
            if let Some(until) = machine.recalled {
                core.recalled.insert(machine.machine.clone(), until);
            }
            if machine.archived_to > Timestamp::MIN {
                core.archived_to.insert(machine.machine, machine.archived_to);
            }
        }
        core.runs = snapshot.runs.into_iter().collect();
        core.orders = snapshot.orders.into_iter().map(|o| (o.id().clone(), o)).collect();
        core.confirmations = snapshot.confirmations;
        core.closings = snapshot.closings.into_iter().collect();
        core.shift_records = snapshot.shift_records;
        core.notices = snapshot.notices;
        core.told = snapshot.told.into_iter().collect();
        core.conditions = snapshot.conditions.into_iter().map(|c| (c.id.clone(), c)).collect();
        core.transfers = snapshot.transfers.into_iter().collect();
        core.plan_closings(core.now);
        let changed = core.orders.values().filter(|order| core.totals(order) != order.confirmed);
        core.unconfirmed = changed.map(|order| order.id().clone()).collect();
        core
    }
}
