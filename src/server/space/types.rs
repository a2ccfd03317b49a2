//! The types of our own namespace, read from the nodeset that ships with the program.

use std::collections::HashMap;
use std::sync::Arc;

use opcua::nodes::NodeSet2Import;
use opcua::nodes::{HasNodeId, NodeSetImport, NodeSetNamespaceMapper, NodeType};
use opcua::types::{NamespaceMap, NodeClass, NodeId, ReferenceTypeId};

use super::TypeNode;
use super::node::{Node, NodeKind, Reference};

/// URI of the type namespace.
pub const TYPES_NAMESPACE: &str = "urn:linewright:ua:mes";
const NODESET: &str = include_str!("../../../nodesets/mes.types.xml");

/// Ids of types, as in the nodeset.
pub mod id {
    /// A site.
    pub const SITE_TYPE: u32 = 1001;
    /// An area.
    pub const AREA_TYPE: u32 = 1002;
    /// A line.
    pub const LINE_TYPE: u32 = 1003;
    /// A machine.
    pub const MACHINE_TYPE: u32 = 1004;
    /// OEE of a piece of equipment.
    pub const OEE_TYPE: u32 = 1006;
    /// The stop in which a machine is.
    pub const STOP_TYPE: u32 = 1007;
    /// The link to a machine.
    pub const CONNECTION_TYPE: u32 = 1008;
    /// A job order.
    pub const JOB_ORDER_TYPE: u32 = 1009;
    /// A lot.
    pub const LOT_TYPE: u32 = 1010;
    /// The orders.
    pub const ORDERS_TYPE: u32 = 1011;
    /// The lots.
    pub const LOTS_TYPE: u32 = 1012;
    /// The reasons.
    pub const REASONS_TYPE: u32 = 1013;
    /// A ratio figure.
    pub const KPI_TYPE: u32 = 2001;
    /// A counter.
    pub const COUNTER_TYPE: u32 = 2002;
    /// What a machine does.
    pub const MACHINE_STATE: u32 = 3001;
    /// Where an order stands.
    pub const JOB_STATE: u32 = 3002;
    /// From a lot to one that it was made from.
    pub const MADE_FROM: u32 = 4001;
    /// From an order to a lot that it makes.
    pub const PRODUCES: u32 = 4002;
    /// From an order to a lot that it uses up.
    pub const CONSUMES: u32 = 4003;
    /// From an order to its line.
    pub const EXECUTES_ON: u32 = 4004;
    /// From a machine to the next.
    pub const FLOWS_TO: u32 = 4005;
}

/// The type nodes with their references in both directions.
pub struct Types {
    nodes: HashMap<NodeId, Arc<NodeType>>,
    references: HashMap<NodeId, Vec<Reference>>,
    index: u16,
}

impl Types {
    /// Reads the nodeset; fails only if the file in the program is broken.
    pub fn load(namespaces: &mut NamespaceMap) -> Result<Types, String> {
        let import = NodeSet2Import::new_str("en", NODESET, Vec::new())
            .map_err(|error| format!("the type nodeset is broken: {error}"))?;
        let mut mapper = NodeSetNamespaceMapper::new(namespaces);
        // Registered here, because the importer would print a line on standard output.
        mapper.add_namespace(TYPES_NAMESPACE, 1);
        let mut types = Types { nodes: HashMap::new(), references: HashMap::new(), index: 0 };
        for item in import.load(&mapper) {
            let id = item.node.node_id().clone();
            for reference in item.references {
                let (source, target) = (id.clone(), reference.target_id.clone());
                let (kind, forward) = (reference.type_id.clone(), reference.is_forward);
                types.link(source.clone(), kind.clone(), forward, target.clone());
                types.link(target, kind, !forward, source);
            }
            types.nodes.insert(id, Arc::new(item.node));
        }
        types.index = namespaces.get_index(TYPES_NAMESPACE).unwrap_or(0);
        Ok(types)
    }

    fn link(&mut self, source: NodeId, reference_type: NodeId, forward: bool, target: NodeId) {
        let references = self.references.entry(source).or_default();
        let known = references.iter().any(|reference| {
            reference.target == target
                && reference.forward == forward
                && reference.reference_type == reference_type
        });
        if !known {
            references.push(Reference { reference_type, forward, target });
        }
    }

    /// Index of the type namespace.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// A node of the namespace by its number.
    pub fn id(&self, number: u32) -> NodeId {
        NodeId::new(self.index, number)
    }

    /// A type node.
    pub fn node(&self, id: &NodeId) -> Option<Node> {
        let node = self.nodes.get(id)?;
        let base = node.as_node();
        Some(Node {
            id: id.clone(),
            browse_name: base.browse_name().clone(),
            display_name: base.display_name().clone(),
            description: base.description().cloned().unwrap_or_default(),
            kind: NodeKind::Type { node: node.clone(), type_definition: self.type_definition(id) },
        })
    }

    /// References of a type node, or from a standard node to ours.
    pub fn references(&self, id: &NodeId) -> &[Reference] {
        self.references.get(id).map_or(&[], Vec::as_slice)
    }

    /// The type definition of an instance declaration.
    fn type_definition(&self, id: &NodeId) -> Option<NodeId> {
        let kind: NodeId = ReferenceTypeId::HasTypeDefinition.into();
        let found = self.references(id).iter().find(|r| r.forward && r.reference_type == kind);
        found.map(|reference| reference.target.clone())
    }

    /// All types with their supertypes.
    pub fn types(&self) -> Vec<TypeNode> {
        let subtype: NodeId = ReferenceTypeId::HasSubtype.into();
        let mut types = Vec::new();
        for (id, node) in &self.nodes {
            let class = node.node_class();
            let is_type = matches!(
                class,
                NodeClass::ObjectType
                    | NodeClass::VariableType
                    | NodeClass::DataType
                    | NodeClass::ReferenceType
            );
            let parent = self.references(id).iter();
            let parent = parent.clone().find(|r| !r.forward && r.reference_type == subtype);
            if let Some(parent) = parent.filter(|_| is_type) {
                types.push(TypeNode { id: id.clone(), parent: parent.target.clone(), class });
            }
        }
        types
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_supertype_a_description_and_resolvable_references() {
        let mut namespaces = NamespaceMap::new();
        let types = Types::load(&mut namespaces).unwrap();
        let own = types.index();
        assert!(own > 0 && types.types().len() >= 20);
        for (id, node) in &types.nodes {
            let description = node.as_node().description();
            assert!(description.is_some_and(|d| !d.text.is_empty()), "{id} has no description");
            for reference in types.references(id) {
                let target = &reference.target;
                assert!(
                    target.namespace != own || types.nodes.contains_key(target),
                    "{id} refers to {target}, which does not exist"
                );
            }
        }
        let oee = types.id(id::OEE_TYPE);
        let base: NodeId = opcua::types::ObjectTypeId::BaseObjectType.into();
        assert!(types.references(&base).iter().any(|r| r.forward && r.target == oee));
    }
}
