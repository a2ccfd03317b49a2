//! Confirmations: when the ERP is told about an order, and what.

use super::Core;
use crate::domain::event::{Confirmation, ConfirmationKind, Event};
use crate::domain::id::MachineId;
use crate::domain::order::{JobState, Order, Totals};
use crate::domain::time::Timestamp;

impl Core {
    /// Orders whose totals may differ from those confirmed.
    pub fn unconfirmed(&self) -> impl Iterator<Item = &Order> {
        self.unconfirmed.iter().filter_map(|id| self.orders.get(id))
    }

    /// Notes that totals of orders on a machine's line may have changed from an instant on.
    pub(super) fn totals_may_change(&mut self, machine: &MachineId, at: Timestamp) {
        let Some(line) = self.plant().machines.get(machine).map(|machine| &machine.line) else {
            return;
        };
        let runs = self.runs.get(line).map_or(&[][..], Vec::as_slice);
        // Runs are in order of time and do not overlap: the newest are at the end.
        let affected = runs.iter().rev().take_while(|run| run.window().to > at);
        self.unconfirmed.extend(affected.map(|run| run.order.clone()));
    }

    /// When the totals of an order are confirmed, if they changed and nothing else happens.
    pub(super) fn confirmation_due(&self, order: &Order) -> Option<Timestamp> {
        if order.state == JobState::Closed || order.runs.is_empty() {
            return None;
        }
        let due = order.confirm_next?;
        (self.totals(order) != order.confirmed).then_some(due)
    }

    /// The confirmations that are due; `earlier` counts those of the same decision.
    pub(super) fn confirm_due(&self, now: Timestamp, out: &mut Vec<Event>) {
        let due = |order: &&Order| self.confirmation_due(order).is_some_and(|due| due <= now);
        for (earlier, order) in self.unconfirmed().filter(due).enumerate() {
            let kind = if order.state.is_final() {
                ConfirmationKind::Correction
            } else {
                ConfirmationKind::Progress
            };
            let totals = self.totals(order);
            let confirmation = self.confirmation(order, kind, now, totals);
            let seq = confirmation.seq + earlier as u64;
            out.push(Event::Confirmed(Confirmation { seq, ..confirmation }));
        }
    }

    /// The confirmation of an order as it stands, with these totals.
    pub(super) fn confirmation(
        &self,
        order: &Order,
        kind: ConfirmationKind,
        at: Timestamp,
        total: Totals,
    ) -> Confirmation {
        Confirmation {
            seq: self.confirmations + 1,
            order: order.id().clone(),
            order_seq: order.confirmations + 1,
            revision: order.request.revision,
            kind,
            at,
            state: order.state,
            delta: total.since(order.confirmed),
            total,
            lots: self.lots_of(order, total),
        }
    }
}
