//! What is asked of the other side: of a machine, whatever the server does not know itself, and of the
//! server, what it knows already.

use async_trait::async_trait;
use opcua::types::{ByteString, DataValue, DateTime, NodeId, NumericRange, StatusCode, Variant};

/// A machine that can be asked. Every question is answered within the machine's timeout.
#[async_trait]
pub trait Remote: Send + Sync {
    /// The values of variables, in this order, each with a status that says what is wrong.
    async fn read(&self, nodes: &[NodeId]) -> Vec<DataValue>;

    /// Writes the value of a variable.
    async fn write(&self, node: &NodeId, range: &NumericRange, value: &Variant) -> StatusCode;

    /// Calls a method of an object.
    async fn call(&self, object: &NodeId, method: &NodeId, inputs: &[Variant]) -> Called;

    /// A part of the raw history that the machine keeps of a variable.
    async fn history(&self, read: &HistoryRead) -> Result<HistorySlice, StatusCode>;
}

/// What came of a call.
#[derive(Clone, Debug, Default)]
pub struct Called {
    /// How it went.
    pub status: StatusCode,
    /// What is wrong with arguments, one by one; empty if nothing is.
    pub arguments: Vec<StatusCode>,
    /// What it gives.
    pub outputs: Vec<Variant>,
}

/// Which history is wanted (Part 11 §6.5.3).
#[derive(Clone, Debug)]
pub struct HistoryRead {
    /// The variable.
    pub node: NodeId,
    /// Where to begin.
    pub from: DateTime,
    /// Where to end; before the beginning for the newest first.
    pub to: DateTime,
    /// Values at most.
    pub max: u32,
    /// Whether the values before the first and behind the last instant are wanted.
    pub bounds: bool,
    /// Where the last slice ended; none for the first one.
    pub next: Option<ByteString>,
}

/// A part of a history.
#[derive(Clone, Debug, Default)]
pub struct HistorySlice {
    /// The values.
    pub values: Vec<DataValue>,
    /// Where the next slice begins; none if there is none.
    pub next: Option<ByteString>,
}

/// What our server has without any mirror.
pub trait Ground: Send + Sync {
    /// Whether there is a node of this id that belongs to types: a type, a declaration in it, an encoding.
    fn has_type_node(&self, id: &NodeId) -> bool;

    /// The DataTypeDefinition of a data type, where it has one (Part 3 §5.8.3).
    fn definition(&self, data_type: &NodeId) -> Option<Variant>;

    /// Whether a type is another one or a subtype of it.
    fn is_a(&self, id: &NodeId, ancestor: &NodeId) -> bool;
}
