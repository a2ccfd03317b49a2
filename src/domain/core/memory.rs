//! What is in memory, and for how long: evidence leaves for the archive, finished orders leave after
//! the evidence of their machines, and what something late belongs to stays for a while.

use super::{ARCHIVE_STEP, Core};
use crate::domain::id::{LineId, MachineId};
use crate::domain::order::Order;
use crate::domain::time::{Span, Timestamp};

impl Core {
    /// When the oldest evidence of a machine leaves memory.
    pub(super) fn archive_due(&self, machine: &MachineId) -> Option<Timestamp> {
        let evidence = self.evidence.get(machine)?;
        // Orders wait for the archive of machines that said nothing as well.
        let oldest = evidence.oldest().or_else(|| self.first_run(machine))?;
        let oldest = oldest.max(self.archived_to(machine));
        let due = oldest + self.retention? + Span::from_ticks(ARCHIVE_STEP);
        Some(self.recalled.get(machine).map_or(due, |until| due.max(*until)))
    }

    /// Whether evidence about a machine came back and has to stay for a while.
    pub fn is_recalled(&self, machine: &MachineId, now: Timestamp) -> bool {
        self.recalled.get(machine).is_some_and(|until| now < *until)
    }

    fn first_run(&self, machine: &MachineId) -> Option<Timestamp> {
        let line = self.plant().line_of(machine)?;
        self.runs(&line.id).first().map(|run| run.start)
    }

    /// When a finished order leaves memory at the earliest.
    pub(super) fn retirement_due(&self, order: &Order) -> Option<Timestamp> {
        let wait = self.retention? + Span::from_ticks(2 * ARCHIVE_STEP);
        order.state.is_final().then(|| order.changed + wait)
    }

    /// Whether a finished order may leave memory: its totals are confirmed, and what is in memory of its
    /// machines is of later times, so figures made of memory find every run that they need.
    pub(super) fn may_retire(
        &self,
        order: &Order,
        now: Timestamp,
        archived_to: &dyn Fn(&MachineId) -> Timestamp,
    ) -> bool {
        let waits = self.retirement_due(order).is_none_or(|due| due > now);
        if waits || self.confirmation_due(order).is_some() {
            return false;
        }
        let end = order.runs.iter().map(|run| run.window().to).max().unwrap_or(Timestamp::MIN);
        self.machines_ever_in(&order.request.line).all(|m| archived_to(m) >= end)
    }

    /// The machines that stand in a line, and those that stood there of which anything is in memory.
    fn machines_ever_in<'a>(&'a self, line: &'a LineId) -> impl Iterator<Item = &'a MachineId> {
        let plants = self.history.versions().iter();
        let lines = plants.filter_map(move |(_, plant)| plant.lines.get(line));
        let machines = lines.flat_map(|line| &line.machines);
        let stands =
            |machine: &MachineId| self.plant().line_of(machine).is_some_and(|l| l.id == *line);
        machines.filter(move |machine| {
            let evidence = self.evidence.get(*machine);
            stands(machine) || evidence.is_some_and(|evidence| evidence.oldest().is_some())
        })
    }
}
