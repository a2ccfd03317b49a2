//! What a machine is to know of the order on its line, and what has happened to the one that it knows.

use std::collections::BTreeMap;

use super::memory::Memory;
use super::{Transfer, WrittenValue};
use crate::app::view::PlantView;
use crate::domain::id::{MachineId, OrderId};
use crate::domain::order::{JobState, Order};

/// What a machine was told, and as what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The order.
    pub order: OrderId,
    /// Its revision.
    pub revision: u64,
    /// How it stood.
    pub state: JobState,
}

/// When a machine is told something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// An order begins.
    Start,
    /// It is interrupted.
    Pause,
    /// It goes on.
    Resume,
    /// It has ended, or is taken away.
    End,
}

impl Moment {
    /// All moments.
    pub const ALL: [Moment; 4] = [Moment::Start, Moment::Pause, Moment::Resume, Moment::End];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Moment::Start => "start",
            Moment::Pause => "pause",
            Moment::Resume => "resume",
            Moment::End => "end",
        }
    }
}

/// The next thing that a machine is to be told.
#[derive(Clone, Debug)]
pub struct Step {
    /// What has happened.
    pub moment: Moment,
    /// The order to which it has happened.
    pub order: Order,
}

impl Step {
    /// What is so when the machine knows it.
    pub fn told(&self) -> Told {
        let Order { request, state, .. } = &self.order;
        Told { order: request.id.clone(), revision: request.revision, state: *state }
    }
}

fn is_over(state: JobState) -> bool {
    matches!(state, JobState::Ended | JobState::Closed | JobState::Aborted)
}

/// What a machine is to be told next; none where it knows all.
///
/// One order is ended before another begins. An order that is only interrupted stays the one that the
/// machine knows until another one runs.
pub fn next(machine: &MachineId, view: &PlantView, memory: &Memory) -> Option<Step> {
    let find = |id: &OrderId| view.orders.get(id).map(|shown| shown.order.clone());
    let running = view.machines.get(machine).and_then(|machine| machine.order.as_ref());
    let step = |moment, order| Some(Step { moment, order });
    let Some(told) = memory.told.as_ref().filter(|told| !is_over(told.state)) else {
        return step(Moment::Start, find(running?)?);
    };
    let Some(known) = find(&told.order) else {
        // It is finished for so long that nobody has it at hand.
        return step(Moment::Start, find(running?)?);
    };
    if is_over(known.state) {
        return step(Moment::End, known);
    }
    match running {
        Some(running) if *running != told.order => {
            // The machine can make one at a time.
            let ended = Order { state: JobState::Ended, ..known };
            step(Moment::End, ended)
        }
        _ if known.request.revision != told.revision => step(Moment::Start, known),
        // It may have forgotten what it knew.
        _ if !memory.is_certain && known.state == JobState::Running => step(Moment::Start, known),
        _ => match (told.state, known.state) {
            (JobState::Running, JobState::Interrupted) => step(Moment::Pause, known),
            (JobState::Interrupted, JobState::Running) => step(Moment::Resume, known),
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
        Order { state, ..Order::new(request, crate::domain::time::Timestamp::from_ticks(0)) }
    }

    fn view(orders: &[(&str, JobState)]) -> PlantView {
        let machine = MachineId::parse("M").unwrap();
        let running = orders.iter().find(|(_, state)| *state == JobState::Running);
        let order_of_machine = running.map(|(id, _)| OrderId::parse(id).unwrap());
        let shown = MachineView { order: order_of_machine, ..MachineView::default() };
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
    fn told(memory: &mut Memory, orders: &[(&str, JobState)]) -> Vec<String> {
        let machine = MachineId::parse("M").unwrap();
        let mut steps = Vec::new();
        while let Some(step) = next(&machine, &view(orders), memory) {
            steps.push(format!("{} {}", step.moment.as_str(), step.order.request.id));
            memory.note(step.told()).unwrap();
            assert!(steps.len() < 10, "{steps:?}");
        }
        steps
    }

    #[test]
    fn a_machine_is_told_each_thing_once_and_one_order_ends_before_the_next() {
        use JobState::{Aborted, AllowedToStart, Ended, Interrupted, Running};
        let mut memory = Memory::of(None);
        let nothing: [&str; 0] = [];
        assert_eq!(told(&mut memory, &[("A", AllowedToStart)]), nothing);
        assert_eq!(told(&mut memory, &[("A", Running)]), ["start A"]);
        assert_eq!(told(&mut memory, &[("A", Running)]), nothing);
        assert_eq!(told(&mut memory, &[("A", Interrupted)]), ["pause A"]);
        assert_eq!(told(&mut memory, &[("A", Interrupted), ("B", Running)]), ["end A", "start B"]);
        assert_eq!(told(&mut memory, &[("A", Running), ("B", Ended)]), ["end B", "start A"]);
        assert_eq!(told(&mut memory, &[("A", Aborted)]), ["end A"]);
        assert_eq!(told(&mut memory, &[("A", Aborted)]), nothing);
    }

    #[test]
    fn after_a_new_beginning_it_is_told_again_what_runs_and_no_more() {
        use JobState::{Ended, Interrupted, Running};
        let mut memory = Memory::of(None);
        told(&mut memory, &[("A", Running)]);
        memory.is_certain = false;
        assert_eq!(told(&mut memory, &[("A", Running)]), ["start A"]);
        memory.is_certain = false;
        assert_eq!(told(&mut memory, &[("A", Interrupted)]), ["pause A"]);
        memory.is_certain = false;
        let nothing: [&str; 0] = [];
        assert_eq!(told(&mut memory, &[("A", Interrupted)]), nothing);
        assert_eq!(told(&mut memory, &[("A", Ended)]), ["end A"]);
    }
}
