//! Nodes and references as the space hands them out.

use std::sync::Arc;

use opcua::nodes::NodeType;
use opcua::types::{
    Argument, AttributeId, DataValue, LocalizedText, NodeClass, NodeId, QualifiedName,
    ReferenceTypeId, StatusCode, Variant,
};

/// Bit of AccessLevel: the current value can be read (Part 3 §8.57).
const CURRENT_READ: u8 = 1;
/// Bit of AccessLevel: stored values can be read.
const HISTORY_READ: u8 = 4;

/// A node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Browse name.
    pub browse_name: QualifiedName,
    /// Display name.
    pub display_name: LocalizedText,
    /// What it is, for people.
    pub description: LocalizedText,
    /// What kind of node it is.
    pub kind: NodeKind,
}

/// Node classes with their own attributes.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// An object.
    Object {
        /// Its type.
        type_definition: NodeId,
    },
    /// A variable.
    Variable {
        /// Its type.
        type_definition: NodeId,
        /// Data type of its value.
        data_type: NodeId,
        /// -1 for a scalar, 1 for an array.
        value_rank: i32,
        /// Whether values are stored and can be read back.
        historizing: bool,
    },
    /// A method.
    Method {
        /// What goes in.
        inputs: Vec<Argument>,
        /// What comes out.
        outputs: Vec<Argument>,
    },
    /// A node of a nodeset, with all its attributes as they stand there.
    Type {
        /// The node.
        node: Arc<NodeType>,
        /// Its type, where it is an instance declaration.
        type_definition: Option<NodeId>,
    },
}

/// A reference from a node.
#[derive(Clone, Debug)]
pub struct Reference {
    /// Type of the reference.
    pub reference_type: NodeId,
    /// Whether it leads forward.
    pub forward: bool,
    /// Where it leads.
    pub target: NodeId,
}

impl Reference {
    /// A forward reference of a standard type.
    pub fn forward(reference_type: ReferenceTypeId, target: impl Into<NodeId>) -> Reference {
        Reference { reference_type: reference_type.into(), forward: true, target: target.into() }
    }

    /// An inverse reference of a standard type.
    pub fn inverse(reference_type: ReferenceTypeId, target: impl Into<NodeId>) -> Reference {
        Reference { reference_type: reference_type.into(), forward: false, target: target.into() }
    }
}

impl Node {
    /// Its node class.
    pub fn class(&self) -> NodeClass {
        match &self.kind {
            NodeKind::Object { .. } => NodeClass::Object,
            NodeKind::Variable { .. } => NodeClass::Variable,
            NodeKind::Method { .. } => NodeClass::Method,
            NodeKind::Type { node, .. } => node.node_class(),
        }
    }

    /// Its type definition, where it has one.
    pub fn type_definition(&self) -> NodeId {
        match &self.kind {
            NodeKind::Object { type_definition } | NodeKind::Variable { type_definition, .. } => {
                type_definition.clone()
            }
            NodeKind::Method { .. } => NodeId::null(),
            NodeKind::Type { type_definition, .. } => type_definition.clone().unwrap_or_default(),
        }
    }

    /// An attribute other than a variable's value; `executable` is what the asker may do.
    pub fn attribute(
        &self,
        attribute: AttributeId,
        executable: bool,
    ) -> Result<Variant, StatusCode> {
        if let NodeKind::Type { node, .. } = &self.kind {
            return type_attribute(node, attribute);
        }
        let value = match attribute {
            AttributeId::NodeId => Variant::from(self.id.clone()),
            AttributeId::NodeClass => Variant::from(self.class() as i32),
            AttributeId::BrowseName => Variant::from(self.browse_name.clone()),
            AttributeId::DisplayName => Variant::from(self.display_name.clone()),
            AttributeId::Description => Variant::from(self.description.clone()),
            AttributeId::WriteMask | AttributeId::UserWriteMask => Variant::from(0_u32),
            _ => return self.own_attribute(attribute, executable),
        };
        Ok(value)
    }

    fn own_attribute(
        &self,
        attribute: AttributeId,
        executable: bool,
    ) -> Result<Variant, StatusCode> {
        match (&self.kind, attribute) {
            (NodeKind::Object { .. }, AttributeId::EventNotifier) => Ok(Variant::from(0_u8)),
            (NodeKind::Method { .. }, AttributeId::Executable) => Ok(Variant::from(true)),
            (NodeKind::Method { .. }, AttributeId::UserExecutable) => Ok(Variant::from(executable)),
            (NodeKind::Variable { data_type, value_rank, historizing, .. }, attribute) => {
                let access = CURRENT_READ | if *historizing { HISTORY_READ } else { 0 };
                match attribute {
                    AttributeId::DataType => Ok(Variant::from(data_type.clone())),
                    AttributeId::ValueRank => Ok(Variant::from(*value_rank)),
                    AttributeId::ArrayDimensions if *value_rank == 1 => {
                        Ok(Variant::from(vec![0_u32]))
                    }
                    AttributeId::AccessLevel | AttributeId::UserAccessLevel => {
                        Ok(Variant::from(access))
                    }
                    AttributeId::AccessLevelEx => Ok(Variant::from(u32::from(access))),
                    AttributeId::MinimumSamplingInterval => Ok(Variant::from(0.0_f64)),
                    AttributeId::Historizing => Ok(Variant::from(*historizing)),
                    _ => Err(StatusCode::BadAttributeIdInvalid),
                }
            }
            _ => Err(StatusCode::BadAttributeIdInvalid),
        }
    }
}

fn type_attribute(node: &NodeType, attribute: AttributeId) -> Result<Variant, StatusCode> {
    let read: Option<DataValue> = node.as_node().get_attribute(
        opcua::types::TimestampsToReturn::Neither,
        attribute,
        &opcua::types::NumericRange::None,
        &opcua::types::DataEncoding::Binary,
    );
    read.and_then(|value| value.value).ok_or(StatusCode::BadAttributeIdInvalid)
}
