//! What a machine's address space is, as far as it is mirrored: nodes with their attributes and
//! references, all ids those of our server.

use opcua::types::{AttributeId, LocalizedText, NodeClass, NodeId, QualifiedName, Variant};

/// The copied nodes of one machine.
#[derive(Debug, Default)]
pub struct Copy {
    /// The nodes, in no order.
    pub nodes: Vec<CopiedNode>,
    /// The topmost ones, which stand right below the machine's own objects folder.
    pub roots: Vec<NodeId>,
}

/// A node as it was copied.
#[derive(Debug)]
pub struct CopiedNode {
    /// Its id.
    pub id: NodeId,
    /// Its class.
    pub class: NodeClass,
    /// Browse name.
    pub browse_name: QualifiedName,
    /// Display name.
    pub display_name: LocalizedText,
    /// What it is, for people.
    pub description: LocalizedText,
    /// Its type; null where it has none.
    pub type_definition: NodeId,
    /// What only its class has, without the value of a variable and without what depends on who asks
    /// (Part 3 §5).
    pub attributes: Vec<(AttributeId, Variant)>,
    /// Whether the configuration lets a variable be written, or a method be called.
    pub is_allowed: bool,
    /// Whether the values of a variable are kept here.
    pub is_recorded: bool,
    /// Its references, those that lead backward too.
    pub references: Vec<CopiedReference>,
}

/// A reference of a copied node.
#[derive(Clone, PartialEq, Debug)]
pub struct CopiedReference {
    /// Type of the reference.
    pub kind: NodeId,
    /// Whether it leads forward.
    pub forward: bool,
    /// Where it leads.
    pub target: NodeId,
}

impl Copy {
    /// The variables whose values are kept.
    pub fn recorded(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|node| node.is_recorded).map(|node| node.id.clone()).collect()
    }
}

impl CopiedNode {
    /// One of its attributes.
    pub fn attribute(&self, attribute: AttributeId) -> Option<&Variant> {
        self.attributes.iter().find(|(known, _)| *known == attribute).map(|(_, value)| value)
    }
}
