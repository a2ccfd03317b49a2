//! The two state machines that every machine has by OPC 40001-1: what it does, and what it is used for.

use crate::app::view::MachineView;
use crate::domain::signal::{MachineState, OperationMode};

/// State machines of OPC 40001-1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateMachine {
    ItemState,
    OperationMode,
}

/// A variable of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StatePart {
    Text,
    Node,
    Number,
}

/// What a machine does, seen from outside, with the node and the number of the state (OPC 40001-1).
pub fn item_state(view: &MachineView) -> (&'static str, u32, u32) {
    match view.state.filter(|_| view.linked) {
        None => ("NotAvailable", 5005, 0),
        Some(MachineState::Running) => ("Executing", 5006, 3),
        Some(_) => ("NotExecuting", 5007, 2),
    }
}

/// What a machine is used for: as it says itself, else as its state says.
pub fn operation_mode(view: &MachineView) -> (&'static str, u32, u32) {
    let by_state = view.state.map(|state| match state {
        MachineState::Setup => OperationMode::Setup,
        _ => OperationMode::Processing,
    });
    let mode = view.mode.or(by_state).filter(|_| view.linked);
    match mode.unwrap_or(OperationMode::None) {
        OperationMode::None => ("None", 5024, 0),
        OperationMode::Maintenance => ("Maintenance", 5025, 1),
        OperationMode::Setup => ("Setup", 5027, 2),
        OperationMode::Processing => ("Processing", 5026, 3),
    }
}
