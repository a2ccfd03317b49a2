//! What a machine is to know of the order on its line, and what has happened to the one that it knows.

use std::collections::BTreeMap;

use super::{Transfer, WrittenValue};
use crate::app::view::PlantView;
use crate::domain::id::{MachineId, OrderId};
use crate::domain::order::{JobState, Order};
use crate::domain::transfer::{OrderTransfer, TransferMoment, TransferOutcome};

/// The next thing that a machine is to be told.
#[derive(Clone, Debug)]
pub struct Step {
    /// What has happened.
    pub moment: TransferMoment,
    /// The order to which it has happened.
    pub order: Order,
    /// Whether another order waits for the machine.
    pub is_last_chance: bool,
}

impl Step {
    /// What is noted of it.
    pub fn transfer(&self, calls: u32, outcome: TransferOutcome) -> OrderTransfer {
        let Order { request, state, .. } = &self.order;
        OrderTransfer {
            order: request.id.clone(),
            revision: request.revision,
            state: *state,
            moment: self.moment,
            calls,
            outcome,
        }
    }
}

fn is_over(state: JobState) -> bool {
    matches!(state, JobState::Ended | JobState::Closed | JobState::Aborted)
}

/// What a machine is to be told next; none where it knows all. Whether it still knows what it was told is not
/// certain after a new beginning with it.
///
/// One order is ended before another begins. An order that is only interrupted stays the one that the
/// machine knows until another one runs.
pub fn next(machine: &MachineId, view: &PlantView, is_certain: bool) -> Option<Step> {
    let find = |id: &OrderId| view.orders.get(id).map(|shown| shown.order.clone());
    let shown = view.machines.get(machine)?;
    let running = shown.order.as_ref();
    let told = shown.transfer.as_ref().and_then(|transfer| transfer.told.as_ref());
    let step = |moment, order: Order| {
        let is_last_chance = running.is_some_and(|running| running != order.id());
        Some(Step { moment, order, is_last_chance })
    };
    let Some(told) = told.filter(|told| !is_over(told.state)) else {
        return step(TransferMoment::Start, find(running?)?);
    };
    let Some(known) = find(&told.order) else {
        // It is finished for so long that nobody has it at hand.
        return step(TransferMoment::Start, find(running?)?);
    };
    if is_over(known.state) {
        return step(TransferMoment::End, known);
    }
    match running {
        Some(running) if *running != told.order => {
            // The machine can make one at a time.
            let ended = Order { state: JobState::Ended, ..known };
            step(TransferMoment::End, ended)
        }
        _ if known.request.revision != told.revision => step(TransferMoment::Start, known),
        // It may have forgotten what it knew.
        _ if !is_certain && known.state == JobState::Running => step(TransferMoment::Start, known),
        _ => match (told.state, known.state) {
            (JobState::Running, JobState::Interrupted) => step(TransferMoment::Pause, known),
            (JobState::Interrupted, JobState::Running) => step(TransferMoment::Resume, known),
            _ => None,
        },
    }
}

impl Transfer {
    /// What is written of an order, as a text; none where the order or the recipe does not have it.
    pub fn text(&self, value: &WrittenValue, order: &Order) -> Option<String> {
        let request = &order.request;
        Some(match value {
            WrittenValue::Order => request.id.to_string(),
            WrittenValue::Product => request.product.to_string(),
            WrittenValue::Quantity => request.quantity.to_string(),
            WrittenValue::Lot => order.lot().to_string(),
            WrittenValue::Parameter(name) => self.recipe(order)?.get(name)?.clone(),
        })
    }

    /// The recipe of the product of an order.
    pub fn recipe(&self, order: &Order) -> Option<&BTreeMap<String, String>> {
        self.parameters.get(&order.request.product)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::view::{MachineView, OrderView};
    use crate::domain::id::{LineId, ProductId};
    use crate::domain::order::{OrderRequest, Totals};
    use crate::domain::quantity::Quantity;
    use crate::domain::time::Timestamp;
    use crate::domain::transfer::MachineTransfer;

    fn order(id: &str, state: JobState) -> Order {
        let request = OrderRequest {
            id: OrderId::parse(id).unwrap(),
            revision: 1,
            line: LineId::parse("L").unwrap(),
            product: ProductId::parse("P").unwrap(),
            quantity: "5".parse::<Quantity>().unwrap(),
            lot: None,
            due: None,
            priority: 0,
            released: true,
            ideal_cycle: None,
        };
        Order { state, ..Order::new(request, Timestamp::from_ticks(0)) }
    }

    fn view(orders: &[(&str, JobState)], transfer: &MachineTransfer) -> PlantView {
        let machine = MachineId::parse("M").unwrap();
        let running = orders.iter().find(|(_, state)| *state == JobState::Running);
        let order_of_machine = running.map(|(id, _)| OrderId::parse(id).unwrap());
        let transfer = Some(transfer.clone());
        let shown = MachineView { order: order_of_machine, transfer, ..MachineView::default() };
        let orders = orders.iter().map(|(id, state)| {
            let view = OrderView { order: order(id, *state), totals: Totals::default() };
            (OrderId::parse(id).unwrap(), Arc::new(view))
        });
        PlantView {
            machines: BTreeMap::from([(machine, Arc::new(shown))]),
            orders: orders.collect(),
            ..PlantView::default()
        }
    }

    /// What is told until the machine knows all.
    fn told(
        transfer: &mut MachineTransfer,
        mut is_certain: bool,
        orders: &[(&str, JobState)],
    ) -> Vec<String> {
        let machine = MachineId::parse("M").unwrap();
        let mut steps = Vec::new();
        while let Some(step) = next(&machine, &view(orders, transfer), is_certain) {
            let waits = if step.is_last_chance { ", another waits" } else { "" };
            steps.push(format!("{} {}{waits}", step.moment.as_str(), step.order.request.id));
            let known = step.transfer(0, TransferOutcome::Known);
            transfer.note(&known, Timestamp::from_ticks(1));
            is_certain = true;
            assert!(steps.len() < 10, "{steps:?}");
        }
        steps
    }

    #[test]
    fn a_machine_is_told_each_thing_once_and_one_order_ends_before_the_next() {
        use JobState::{Aborted, AllowedToStart, Ended, Interrupted, Running};
        let mut known = MachineTransfer::default();
        let mut told = |orders: &[(&str, JobState)]| told(&mut known, true, orders);
        let nothing: [&str; 0] = [];
        assert_eq!(told(&[("A", AllowedToStart)]), nothing);
        assert_eq!(told(&[("A", Running)]), ["start A"]);
        assert_eq!(told(&[("A", Running)]), nothing);
        assert_eq!(told(&[("A", Interrupted)]), ["pause A"]);
        let both = told(&[("A", Interrupted), ("B", Running)]);
        assert_eq!(both, ["end A, another waits", "start B"]);
        assert_eq!(told(&[("A", Running), ("B", Ended)]), ["end B, another waits", "start A"]);
        assert_eq!(told(&[("A", Aborted)]), ["end A"]);
        assert_eq!(told(&[("A", Aborted)]), nothing);
    }

    #[test]
    fn after_a_new_beginning_it_is_told_again_what_runs_and_no_more() {
        use JobState::{Ended, Interrupted, Running};
        let mut known = MachineTransfer::default();
        told(&mut known, true, &[("A", Running)]);
        assert_eq!(told(&mut known, false, &[("A", Running)]), ["start A"]);
        assert_eq!(told(&mut known, false, &[("A", Interrupted)]), ["pause A"]);
        let nothing: [&str; 0] = [];
        assert_eq!(told(&mut known, false, &[("A", Interrupted)]), nothing);
        assert_eq!(told(&mut known, false, &[("A", Ended)]), ["end A"]);
    }

    #[test]
    fn an_order_that_may_have_begun_is_ended() {
        use JobState::{Aborted, Running};
        let mut known = MachineTransfer::default();
        let begun = next(&MachineId::parse("M").unwrap(), &view(&[("A", Running)], &known), true);
        let why = "its answer was lost".to_owned();
        let lost = begun.unwrap().transfer(0, TransferOutcome::Unanswered { why });
        known.note(&lost, Timestamp::from_ticks(1));
        let nothing: [&str; 0] = [];
        assert_eq!(told(&mut known, true, &[("A", Running)]), nothing);
        assert_eq!(told(&mut known, true, &[("A", Aborted)]), ["end A"]);
    }
}
