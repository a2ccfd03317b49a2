//! ISA-95 Job Control (OPC 10031-4 version 2): the receiver takes job orders and moves them, the
//! provider tells what came of them. One pair stands at each line, one at all orders together.
//!
//! The receiver lists the orders that are not over yet and those that ended and wait to be cleared;
//! an order that was given up is cleared by itself. Its own state is that of the order that is made,
//! else that of the next one.

mod call;
mod control;
mod status;
mod translate;

pub use control::JobControl;

use crate::domain::order::JobCommand;
use crate::domain::role::Permission;

/// Methods of job control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobMethod {
    /// Stores an order that may not start yet.
    Store,
    /// Stores an order that may start.
    StoreAndStart,
    /// Replaces an order that has not begun.
    Update,
    /// Moves an order.
    Move(JobCommand),
    /// Takes an order that is over off the list.
    Clear,
    /// Tells what came of an order.
    ResponseById,
    /// Tells what came of the orders in some states.
    ResponseByState,
}

/// Variables of job control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobValue {
    /// The orders of the receiver.
    Orders,
    /// What came of the orders that have begun.
    Responses,
    /// Work masters; none are published.
    WorkMasters,
    /// Products.
    Products,
    /// Lines.
    Lines,
    /// Texts of which none are published.
    Nothing,
    /// How many orders the receiver takes.
    OrdersMax,
    /// Name of the state.
    State,
    /// Node of the state.
    StateId,
    /// A substate of a state, by the name of its machine.
    Substate(&'static str),
    /// Node of it.
    SubstateId(&'static str),
}

impl JobMethod {
    /// The method of a name.
    pub fn parse(name: &str) -> Option<JobMethod> {
        Some(match name {
            "Store" => JobMethod::Store,
            "StoreAndStart" => JobMethod::StoreAndStart,
            "Update" => JobMethod::Update,
            "Start" => JobMethod::Move(JobCommand::Release),
            "RevokeStart" => JobMethod::Move(JobCommand::Revoke),
            "Pause" => JobMethod::Move(JobCommand::Pause),
            "Resume" => JobMethod::Move(JobCommand::Resume),
            "Stop" => JobMethod::Move(JobCommand::Complete),
            "Abort" => JobMethod::Move(JobCommand::Abort),
            "Cancel" => JobMethod::Move(JobCommand::Cancel),
            "Clear" => JobMethod::Clear,
            "RequestJobResponseByJobOrderID" => JobMethod::ResponseById,
            "RequestJobResponseByJobOrderState" => JobMethod::ResponseByState,
            _ => return None,
        })
    }

    /// What a caller must be allowed.
    pub fn permission(self) -> Permission {
        match self {
            JobMethod::Store | JobMethod::StoreAndStart | JobMethod::Update => {
                Permission::StoreOrders
            }
            JobMethod::Move(_) | JobMethod::Clear => Permission::MoveOrders,
            JobMethod::ResponseById | JobMethod::ResponseByState => Permission::Read,
        }
    }
}
