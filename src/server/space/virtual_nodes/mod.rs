//! Nodes that exist only while somebody looks at them, read from picture and store: orders, lots, past
//! stops, shifts, people, and the days by which orders and lots are found.
//!
//! Nothing is kept in memory for them, however many there are. `named` says what a path means, `read` what
//! their variables say, `references` how they hang together, `listing` what folders list, in pages.

mod listing;
mod named;
mod read;
mod references;

pub use listing::Listed;

use std::sync::Arc;

use opcua::types::{NodeId, ObjectTypeId, StatusCode};

use super::build::VirtualMembers;
use super::model::Model;
use super::structures::Encoder;
use crate::app::clock::Clock;
use crate::app::engine::EngineHandle;
use crate::app::query::{Queries, QueryError};
use crate::domain::genealogy::LotOperationKind;
use crate::domain::plant::Plant;

/// Resolves virtual nodes.
pub struct VirtualNodes {
    pub engine: EngineHandle,
    pub queries: Queries,
    pub clock: Arc<dyn Clock>,
    pub plant: Arc<Plant>,
    pub namespace: u16,
    pub types: VirtualTypes,
    pub members: VirtualMembers,
    pub encoder: Encoder,
}

/// Types of virtual nodes, and of the references between them.
pub struct VirtualTypes {
    order: NodeId,
    lot: NodeId,
    stop: NodeId,
    shift: NodeId,
    person: NodeId,
    day: NodeId,
    executes_on: NodeId,
    produces: NodeId,
    consumes: NodeId,
    made_from: NodeId,
}

impl VirtualTypes {
    /// The types of a model.
    pub fn new(model: &Model) -> VirtualTypes {
        VirtualTypes {
            order: model.own("JobOrderType"),
            lot: model.own("LotType"),
            stop: model.own("StopType"),
            shift: model.own("ShiftType"),
            person: model.own("PersonType"),
            day: ObjectTypeId::FolderType.into(),
            executes_on: model.own("ExecutesOn"),
            produces: model.own("Produces"),
            consumes: model.own("Consumes"),
            made_from: model.own("MadeFrom"),
        }
    }

    fn order_to_lot(&self, kind: LotOperationKind) -> &NodeId {
        match kind {
            LotOperationKind::Produced => &self.produces,
            LotOperationKind::Consumed => &self.consumes,
        }
    }
}

fn status(error: QueryError) -> StatusCode {
    match error {
        QueryError::Unavailable(_) => StatusCode::BadResourceUnavailable,
        QueryError::NotFound(_) => StatusCode::BadNodeIdUnknown,
    }
}

impl VirtualNodes {
    fn id(&self, path: String) -> NodeId {
        NodeId::new(self.namespace, path)
    }
}
