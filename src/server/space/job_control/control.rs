//! What the variables of receivers and providers show.

use std::sync::Arc;

use opcua::types::{ContextOwned, LocalizedText, NodeId, StatusCode, Variant};

use super::JobValue;
use super::translate;
use crate::app::view::{OrderView, PlantView};
use crate::channel::job_order::{State, WorkMaster};
use crate::channel::structure::{Structure as _, array};
use crate::domain::id::LineId;
use crate::domain::order::JobState;
use crate::domain::plant::Plant;
use crate::server::space::source::Subject;

/// Orders that a receiver takes at once: as many as the field of the specification can say.
const ORDERS_MAX: u16 = u16::MAX;

/// Job control of a plant.
pub struct JobControl {
    /// Index of the namespace of job control.
    pub namespace: u16,
    /// How structures are written and read.
    pub context: Arc<ContextOwned>,
}

/// Of which line; all where there is none.
pub fn line(subject: &Subject) -> Option<&LineId> {
    match subject {
        Subject::Line(line) => Some(line),
        _ => None,
    }
}

pub fn orders_of<'a>(
    view: &'a PlantView,
    subject: &'a Subject,
) -> impl Iterator<Item = &'a OrderView> {
    let line = line(subject);
    let orders = view.orders.values().map(|order| &**order);
    orders.filter(move |view| line.is_none_or(|line| *line == view.order.request.line))
}

/// Whether an order is on the list of its receiver.
fn is_listed(view: &&OrderView) -> bool {
    !matches!(view.order.state, JobState::Closed | JobState::Aborted)
}

impl JobControl {
    /// The value of a variable; what cannot be written as a value is no value.
    pub fn value(
        &self,
        subject: &Subject,
        value: JobValue,
        (plant, view): (&Plant, &PlantView),
    ) -> (Option<Variant>, StatusCode) {
        let context = self.context.context();
        let texts = |texts: Vec<String>| Some(Variant::from(texts));
        let shown = match value {
            JobValue::Orders => {
                let listed = orders_of(view, subject).filter(is_listed);
                let orders: Vec<_> = listed
                    .map(|order| translate::with_state(order, plant, self.namespace))
                    .collect();
                array(&orders, self.namespace, &context).ok()
            }
            JobValue::Responses => {
                let begun = orders_of(view, subject).filter(|view| !view.order.runs.is_empty());
                let responses: Vec<_> = begun
                    .map(|order| translate::response(order, &[], plant, self.namespace))
                    .collect();
                array(&responses, self.namespace, &context).ok()
            }
            JobValue::WorkMasters => array::<WorkMaster>(&[], self.namespace, &context).ok(),
            JobValue::Products => texts(plant.products.keys().map(ToString::to_string).collect()),
            JobValue::Lines => match line(subject) {
                Some(line) => texts(vec![line.to_string()]),
                None => texts(plant.lines.keys().map(ToString::to_string).collect()),
            },
            JobValue::Nothing => texts(Vec::new()),
            JobValue::OrdersMax => Some(Variant::UInt16(ORDERS_MAX)),
            JobValue::State | JobValue::StateId => {
                let state = present_state(view, subject);
                Some(self.state_value(value == JobValue::StateId, translate::number(state)))
            }
            JobValue::Substate(machine) | JobValue::SubstateId(machine) => {
                let states = translate::states(present_state(view, subject), self.namespace);
                let of_machine = |state: &&State| is_of(state, machine);
                let Some(state) = states.iter().find(of_machine) else {
                    return (None, StatusCode::BadStateNotActive);
                };
                let is_id = matches!(value, JobValue::SubstateId(_));
                Some(self.substate_value(is_id, machine, state))
            }
        };
        let status = if shown.is_some() { StatusCode::Good } else { StatusCode::BadEncodingError };
        (shown, status)
    }

    /// An order, its states and what came of it, as events of orders carry them (OPC 10031-4 §6.4);
    /// what cannot be written as a value is empty.
    pub fn status(&self, view: &OrderView, plant: &Plant) -> [Variant; 3] {
        let context = self.context.context();
        let job = translate::job_order(&view.order.request, plant);
        let states = translate::states(view.order.state, self.namespace);
        let response = translate::response(view, &[], plant, self.namespace);
        [
            job.object(self.namespace, &context).map(Variant::from).unwrap_or_default(),
            array(&states, self.namespace, &context).unwrap_or_default(),
            response.object(self.namespace, &context).map(Variant::from).unwrap_or_default(),
        ]
    }

    /// A state of the receiver by its number, as text or as the node of its type.
    fn state_value(&self, is_id: bool, number: u32) -> Variant {
        // Names and nodes of the states of the receiver with substates.
        const STATES: [(&str, u32); 6] = [
            ("NotAllowedToStart", 5063),
            ("AllowedToStart", 5064),
            ("Running", 5065),
            ("Interrupted", 5066),
            ("Ended", 5067),
            ("Aborted", 5068),
        ];
        let index = usize::try_from(number).unwrap_or(1).saturating_sub(1);
        let (name, node) = STATES[index.min(STATES.len() - 1)];
        if is_id {
            NodeId::new(self.namespace, node).into()
        } else {
            LocalizedText::new("en", name).into()
        }
    }

    fn substate_value(&self, is_id: bool, machine: &str, state: &State) -> Variant {
        if !is_id {
            return state.state_text.clone().into();
        }
        let node = match (machine, state.state_number) {
            ("EndedSubstates", 1) => 5056,
            ("EndedSubstates", _) => 5057,
            (_, 1) => 5059,
            _ => 5060,
        };
        NodeId::new(self.namespace, node).into()
    }
}

/// The state of the order that is made, else that of the next one.
fn present_state(view: &PlantView, subject: &Subject) -> JobState {
    let order = [JobState::Running, JobState::Interrupted, JobState::AllowedToStart];
    let mut states: Vec<_> = orders_of(view, subject).map(|view| view.order.state).collect();
    states.retain(|state| order.contains(state));
    let first = order.into_iter().find(|state| states.contains(state));
    first.unwrap_or(JobState::NotAllowedToStart)
}

/// Whether a state is one of a machine of substates.
fn is_of(state: &State, machine: &str) -> bool {
    let mut steps = state.browse_path.elements.iter().flatten();
    steps.next_back().is_some_and(|step| step.target_name.name.as_ref() == machine)
}
