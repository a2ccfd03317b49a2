//! The space: what nodes there are and what they say.
//!
//! It is one narrow trait, read from published pictures and the store, never from a lock on the
//! core. The layer that speaks the protocol knows nothing of plants; the space knows nothing of
//! sessions, subscriptions or sockets.

mod equipment;
mod history;
mod methods;
mod node;
mod plant;
mod types;
mod value;
mod virtual_nodes;

pub use history::{HistoryPage, RawHistoryRequest};
pub use node::{Node, NodeKind, Reference};
pub use plant::{PlantSpace, SpaceInputs};
pub use value::timestamp;

use async_trait::async_trait;
use opcua::types::{AttributeId, DataValue, NodeId, StatusCode, Variant};

use crate::domain::role::Role;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    /// User name; empty for an anonymous one.
    pub name: String,
    /// Role.
    pub role: Role,
}

/// What came of a method call.
#[derive(Debug, Default)]
pub struct CallOutcome {
    /// Status of the call.
    pub status: StatusCode,
    /// Statuses of the arguments, where one is wrong.
    pub arguments: Vec<StatusCode>,
    /// What the method returns.
    pub outputs: Vec<Variant>,
}

/// A namespace that the space owns.
#[derive(Clone, Debug)]
pub struct OwnedNamespace {
    /// Index on this server.
    pub index: u16,
    /// URI.
    pub uri: String,
    /// Version of its content, where it has one.
    pub version: Option<String>,
}

/// A type of the space, for the type tree of the protocol layer.
#[derive(Clone, Debug)]
pub struct TypeNode {
    /// The type.
    pub id: NodeId,
    /// Its supertype.
    pub parent: NodeId,
    /// Its node class.
    pub class: opcua::types::NodeClass,
}

/// All content of the OPC UA server.
#[async_trait]
pub trait Space: Send + Sync + 'static {
    /// The namespaces of its nodes.
    fn namespaces(&self) -> &[OwnedNamespace];

    /// The types that it defines.
    fn types(&self) -> Vec<TypeNode>;

    /// A node, if it exists.
    async fn node(&self, id: &NodeId) -> Result<Option<Node>, StatusCode>;

    /// References from a node of the space, or from a foreign node into the space.
    async fn references(&self, id: &NodeId) -> Result<Vec<Reference>, StatusCode>;

    /// An attribute of a node.
    async fn read(&self, id: &NodeId, attribute: AttributeId, asker: &Asker) -> DataValue;

    /// The values of many variables at once, as they are now; for subscriptions.
    fn current_value(&self, id: &NodeId) -> Option<DataValue>;

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
}
