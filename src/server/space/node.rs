//! Nodes and references as the space hands them out.

use std::sync::Arc;

use opcua::nodes::NodeType;
use opcua::types::{
    Argument, AttributeId, DataValue, LocalizedText, NodeClass, NodeId, PermissionType,
    QualifiedName, ReferenceTypeId, StatusCode, Variant,
};

use super::protection::{Asker, Protection};

/// Bit of AccessLevel: the current value can be read (Part 3 §8.57).
pub const CURRENT_READ: u8 = 1;
/// Bit of AccessLevel: the current value can be written.
pub const CURRENT_WRITE: u8 = 2;
/// Bit of AccessLevel and of EventNotifier: stored values or events can be read.
pub const HISTORY_READ: u8 = 4;
/// Bit of EventNotifier: events can be subscribed to (Part 3 §8.59).
pub const SUBSCRIBE_TO_EVENTS: u8 = 1;

/// A node: its id, and what it may share with the same node of other instances.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// All else that is to be known of it.
    pub attributes: Arc<Attributes>,
}

impl std::ops::Deref for Node {
    type Target = Attributes;

    fn deref(&self) -> &Attributes {
        &self.attributes
    }
}

/// What nodes of the same declaration have in common.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// Browse name.
    pub browse_name: QualifiedName,
    /// Display name.
    pub display_name: LocalizedText,
    /// What it is, for people.
    pub description: LocalizedText,
    /// Who may do what with it.
    pub protection: Protection,
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
        /// Bits of EventNotifier: whether events of it and of what is below it can be subscribed to, and
        /// read back.
        notifier: u8,
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
    /// A node of a machine, as it was copied.
    Copied {
        /// Its class.
        class: NodeClass,
        /// Its type; null where it has none.
        type_definition: NodeId,
        /// What only its class has, but for a variable's value.
        attributes: Vec<(AttributeId, Variant)>,
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

impl Attributes {
    /// Its node class.
    pub fn class(&self) -> NodeClass {
        match &self.kind {
            NodeKind::Object { .. } => NodeClass::Object,
            NodeKind::Variable { .. } => NodeClass::Variable,
            NodeKind::Method { .. } => NodeClass::Method,
            NodeKind::Type { node, .. } => node.node_class(),
            NodeKind::Copied { class, .. } => *class,
        }
    }

    /// Its type definition, where it has one.
    pub fn type_definition(&self) -> NodeId {
        match &self.kind {
            NodeKind::Object { type_definition, .. }
            | NodeKind::Variable { type_definition, .. }
            | NodeKind::Copied { type_definition, .. } => type_definition.clone(),
            NodeKind::Method { .. } => NodeId::null(),
            NodeKind::Type { type_definition, .. } => type_definition.clone().unwrap_or_default(),
        }
    }

    /// Bits of AccessLevel that nobody's rights have been taken from; 0 where it is no variable.
    pub fn access_level(&self) -> u8 {
        match &self.kind {
            NodeKind::Variable { historizing, .. } => {
                let history = if *historizing { HISTORY_READ } else { 0 };
                let write = match self.protection {
                    Protection::Writable(_) => CURRENT_WRITE,
                    _ => 0,
                };
                CURRENT_READ | history | write
            }
            // Values of nodesets never change, whatever is written there.
            NodeKind::Type { node, .. } if node.node_class() == NodeClass::Variable => CURRENT_READ,
            NodeKind::Copied { .. } => match self.copied(AttributeId::AccessLevel) {
                Some(Variant::Byte(level)) => *level,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Bits of AccessLevel for an asker.
    pub fn user_access_level(&self, asker: &Asker) -> u8 {
        let bits = [
            (PermissionType::Read, CURRENT_READ),
            (PermissionType::Write, CURRENT_WRITE),
            (PermissionType::ReadHistory, HISTORY_READ),
        ];
        let allowed = bits.into_iter().filter(|(p, _)| self.protection.allows(asker, *p));
        self.access_level() & allowed.fold(0, |level, (_, bit)| level | bit)
    }

    /// Whether events can be subscribed to at it.
    pub fn is_notifier(&self) -> bool {
        self.event_notifier() & SUBSCRIBE_TO_EVENTS != 0
    }

    /// Bits of EventNotifier: whether events can be subscribed to, and whether they are kept.
    pub fn event_notifier(&self) -> u8 {
        match &self.kind {
            NodeKind::Object { notifier, .. } => *notifier,
            NodeKind::Type { node, .. } => match &**node {
                NodeType::Object(object) => {
                    let bits = object.event_notifier().bits() & SUBSCRIBE_TO_EVENTS;
                    // All that happens in the plant is kept at the Server.
                    let is_server = *node.as_node().node_id() == opcua::types::ObjectId::Server;
                    if is_server { bits | HISTORY_READ } else { bits }
                }
                _ => 0,
            },
            NodeKind::Copied { .. } => match self.copied(AttributeId::EventNotifier) {
                Some(Variant::Byte(bits)) => *bits,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Data type and value rank of a variable.
    pub fn value_type(&self) -> Option<(NodeId, i32)> {
        match &self.kind {
            NodeKind::Variable { data_type, value_rank, .. } => {
                Some((data_type.clone(), *value_rank))
            }
            NodeKind::Type { node, .. } => match &**node {
                NodeType::Variable(variable) => Some((variable.data_type(), variable.value_rank())),
                _ => None,
            },
            NodeKind::Copied { .. } => {
                let Some(Variant::NodeId(data_type)) = self.copied(AttributeId::DataType) else {
                    return None;
                };
                let rank = match self.copied(AttributeId::ValueRank) {
                    Some(Variant::Int32(rank)) => *rank,
                    // It may be anything (Part 3 §5.6.2).
                    _ => -2,
                };
                Some(((**data_type).clone(), rank))
            }
            _ => None,
        }
    }

    /// Whether it can be called, whoever asks.
    pub fn is_executable(&self) -> bool {
        match &self.kind {
            NodeKind::Copied { .. } => {
                self.copied(AttributeId::Executable) == Some(&Variant::Boolean(true))
            }
            _ => true,
        }
    }

    /// What was copied of it.
    fn copied(&self, attribute: AttributeId) -> Option<&Variant> {
        let NodeKind::Copied { attributes, .. } = &self.kind else { return None };
        attributes.iter().find(|(known, _)| *known == attribute).map(|(_, value)| value)
    }
}

impl Node {
    /// A node of its own.
    pub fn new(id: NodeId, attributes: Attributes) -> Node {
        Node { id, attributes: Arc::new(attributes) }
    }

    /// The same node otherwise protected.
    #[must_use]
    pub fn protected(&self, protection: Protection) -> Node {
        let attributes = Attributes { protection, ..Attributes::clone(&self.attributes) };
        Node::new(self.id.clone(), attributes)
    }

    /// An attribute other than a variable's value, as an asker sees it.
    pub fn attribute(&self, attribute: AttributeId, asker: &Asker) -> Result<Variant, StatusCode> {
        let value = match attribute {
            AttributeId::NodeId => Variant::from(self.id.clone()),
            AttributeId::NodeClass => Variant::from(self.class() as i32),
            AttributeId::BrowseName => Variant::from(self.browse_name.clone()),
            AttributeId::DisplayName => Variant::from(self.display_name.clone()),
            AttributeId::Description => Variant::from(self.description.clone()),
            AttributeId::WriteMask | AttributeId::UserWriteMask => Variant::from(0_u32),
            AttributeId::AccessRestrictions => Variant::from(self.protection.restrictions()),
            _ => return self.own_attribute(attribute, asker),
        };
        Ok(value)
    }

    /// Attributes that only some classes have.
    fn own_attribute(&self, attribute: AttributeId, asker: &Asker) -> Result<Variant, StatusCode> {
        const MISSING: StatusCode = StatusCode::BadAttributeIdInvalid;
        const NONE: Result<Variant, StatusCode> = Err(MISSING);
        let class = self.class();
        match (class, attribute) {
            (NodeClass::Method, AttributeId::Executable) => {
                return Ok(Variant::from(self.is_executable()));
            }
            (NodeClass::Method, AttributeId::UserExecutable) => {
                let may =
                    self.is_executable() && self.protection.allows(asker, PermissionType::Call);
                return Ok(Variant::from(may));
            }
            (NodeClass::Variable, AttributeId::AccessLevel) => {
                return Ok(Variant::from(self.access_level()));
            }
            (NodeClass::Variable, AttributeId::UserAccessLevel) => {
                return Ok(Variant::from(self.user_access_level(asker)));
            }
            (NodeClass::Variable, AttributeId::AccessLevelEx) => {
                return Ok(Variant::from(u32::from(self.access_level())));
            }
            (NodeClass::Object, AttributeId::EventNotifier) => {
                return Ok(Variant::from(self.event_notifier()));
            }
            _ => {}
        }
        match (&self.kind, attribute) {
            (NodeKind::Type { node, .. }, _) => type_attribute(node, attribute),
            (NodeKind::Copied { .. }, _) => self.copied(attribute).cloned().ok_or(MISSING),
            (NodeKind::Variable { data_type, value_rank, historizing, .. }, attribute) => {
                match attribute {
                    AttributeId::DataType => Ok(Variant::from(data_type.clone())),
                    AttributeId::ValueRank => Ok(Variant::from(*value_rank)),
                    AttributeId::ArrayDimensions if *value_rank == 1 => {
                        Ok(Variant::from(vec![0_u32]))
                    }
                    AttributeId::MinimumSamplingInterval => Ok(Variant::from(0.0_f64)),
                    AttributeId::Historizing => Ok(Variant::from(*historizing)),
                    _ => NONE,
                }
            }
            _ => NONE,
        }
    }
}

/// An attribute of a node of a nodeset.
pub fn type_attribute(node: &NodeType, attribute: AttributeId) -> Result<Variant, StatusCode> {
    let read: Option<DataValue> = node.as_node().get_attribute(
        opcua::types::TimestampsToReturn::Neither,
        attribute,
        &opcua::types::NumericRange::None,
        &opcua::types::DataEncoding::Binary,
    );
    let missing = StatusCode::BadAttributeIdInvalid;
    match read {
        Some(value) => value.value.ok_or(missing),
        None => Err(missing),
    }
}
