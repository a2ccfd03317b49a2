//! What the services need of a space, as one narrow trait.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use opcua::types::{DataValue, NodeId, NumericRange, ObjectTypeId, StatusCode, Variant};

use super::{
    Asker, AtTimeRequest, Event, EventHistoryRequest, EventPage, HistoryPage, Listed, Node,
    RawHistoryRequest, Reference, TypeTree,
};
use crate::domain::evidence::Observation;
use crate::domain::notice::Notice;

/// What came of a method call.
#[derive(Debug, Default)]
pub struct CallOutcome {
    /// Status of the call.
    pub status: StatusCode,
    /// Statuses of the arguments, where one is wrong.
    pub arguments: Vec<StatusCode>,
    /// What the method returns.
    pub outputs: Vec<Variant>,
    /// Why it was refused, in words, where its outputs have no place for them; told to clients that ask
    /// for diagnostics.
    pub why: Option<String>,
    /// As what it is audited, where that is more than an update by a method.
    pub audit: Option<ObjectTypeId>,
}

/// All content of the OPC UA server.
#[async_trait]
pub trait Space: Send + Sync + 'static {
    /// The types of all namespaces, as they are now.
    fn types(&self) -> Arc<TypeTree>;

    /// Index of the namespace of instances, in which roles of our own are.
    fn instances(&self) -> u16;

    /// A node that needs no store to be found.
    fn known(&self, id: &NodeId) -> Option<Arc<Node>>;

    /// The node to which a reference of ours leads; it exists, so nothing is asked for it.
    fn referenced(&self, id: &NodeId) -> Option<Arc<Node>>;

    /// A node, if it exists.
    async fn node(&self, id: &NodeId) -> Result<Option<Arc<Node>>, StatusCode>;

    /// References from a node.
    async fn references(&self, id: &NodeId) -> Result<Vec<Reference>, StatusCode>;

    /// Whether a node has so many references to what it lists that they come in pages, besides those that
    /// it has as a node.
    fn has_pages(&self, _: &NodeId) -> bool {
        false
    }

    /// A page of references to what a node lists, after the pages before.
    async fn page(&self, _: &NodeId, _: Option<&str>) -> Result<Listed, StatusCode> {
        Ok(Listed::default())
    }

    /// The value of a variable, if it needs no store.
    fn current_value(&self, id: &NodeId) -> Option<DataValue>;

    /// A node with the value of its variable, where neither needs the store; found at once.
    fn sight(&self, id: &NodeId) -> Option<(Arc<Node>, Option<DataValue>)> {
        Some((self.known(id)?, self.current_value(id)))
    }

    /// Whether a variable is one that a machine shows of itself: what changes about it is told when it is
    /// heard, and its value may have to be asked of the machine.
    fn is_remote(&self, _: &NodeId) -> bool {
        false
    }

    /// The values of variables that machines show of themselves, asked for together.
    async fn fetch(&self, _: &[NodeId]) -> HashMap<NodeId, DataValue> {
        HashMap::new()
    }

    /// The value of a variable that exists.
    async fn value(&self, id: &NodeId) -> DataValue;

    /// Writes the value of a variable that can be written, of the right type.
    async fn write(
        &self,
        id: &NodeId,
        range: &NumericRange,
        value: &DataValue,
        asker: &Asker,
    ) -> StatusCode;

    /// The method of the standard that is meant where a client responds to a condition of a machine, which
    /// may be no node; none for everything else.
    fn response(&self, _object: &NodeId, _method: &NodeId) -> Option<NodeId> {
        None
    }

    /// Calls a method of an object.
    async fn call(
        &self,
        object: &NodeId,
        method: &NodeId,
        arguments: &[Variant],
        asker: &Asker,
    ) -> CallOutcome;

    /// Stored values of a variable.
    async fn history(
        &self,
        id: &NodeId,
        request: &RawHistoryRequest,
    ) -> Result<HistoryPage, StatusCode>;

    /// Values of a variable at given instants.
    async fn history_at(
        &self,
        _: &NodeId,
        _: &AtTimeRequest,
    ) -> Result<Vec<DataValue>, StatusCode> {
        Err(StatusCode::BadHistoryOperationUnsupported)
    }

    /// The objects at which events of a source are seen besides the source itself and the server.
    fn notifiers(&self, source: &NodeId) -> Vec<NodeId>;

    /// The variable that shows a value of a machine, and how it shows it; none for a value that
    /// cannot be used.
    fn observed(&self, observation: &Observation) -> Option<(NodeId, DataValue)>;

    /// Whether every value of a variable is told by [`Space::observed`].
    fn is_observed(&self, id: &NodeId) -> bool;

    /// The event of a notice.
    fn event(&self, notice: &Notice) -> Event;

    /// The conditions that anybody has still to do something about, as events (Part 9 §5.5.7).
    fn retained(&self) -> Vec<Event> {
        Vec::new()
    }

    /// The events that tell which nodes are new, gone or otherwise than at the last time.
    fn model_changes(&self) -> Vec<Event> {
        Vec::new()
    }

    /// Stored events of an object and what is below it.
    async fn event_history(
        &self,
        _: &NodeId,
        _: &EventHistoryRequest,
    ) -> Result<EventPage, StatusCode> {
        Err(StatusCode::BadHistoryOperationUnsupported)
    }
}
