//! Nodes of a nodeset with their references in both directions, as they stand there.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use opcua::nodes::{HasNodeId, NodeSetImport, NodeSetNamespaceMapper, NodeType};
use opcua::types::{DataTypeDefinition, NodeId, ReferenceTypeId};

use super::node::{Attributes, Node, NodeKind, Reference};
use super::protection::Protection;

/// Nodes with their references.
#[derive(Default)]
pub struct NodeSet {
    nodes: HashMap<NodeId, Arc<Node>>,
    references: HashMap<NodeId, Vec<Reference>>,
}

impl NodeSet {
    /// Reads a nodeset whose namespaces the mapper knows.
    pub fn import(import: &impl NodeSetImport, mapper: &NodeSetNamespaceMapper<'_>) -> NodeSet {
        let mut set = NodeSet::default();
        let mut seen = HashSet::new();
        let mut read = Vec::new();
        for item in import.load(mapper) {
            let id = item.node.node_id().clone();
            for reference in item.references {
                let (kind, target) = (reference.type_id, reference.target_id);
                let forward = reference.is_forward;
                let (from, to) = if forward { (&id, &target) } else { (&target, &id) };
                if seen.insert((from.clone(), kind.clone(), to.clone())) {
                    set.link(&id, &kind, forward, &target);
                }
            }
            read.push(item.node);
        }
        let encodings = set.binary_encodings(&read);
        for mut node in read {
            if let Some(encoding) = encodings.get(node.node_id()) {
                complete_definition(&mut node, encoding);
            }
            let node = set.describe(node);
            set.nodes.insert(node.id.clone(), Arc::new(node));
        }
        set
    }

    /// The binary encodings of data types.
    fn binary_encodings(&self, nodes: &[NodeType]) -> HashMap<NodeId, NodeId> {
        let kind: NodeId = ReferenceTypeId::HasEncoding.into();
        let mut encodings = HashMap::new();
        for node in nodes {
            let base = node.as_node();
            if base.browse_name().name.as_ref() == "Default Binary" {
                let types = self.references(base.node_id()).iter();
                let of = types.filter(|r| !r.forward && r.reference_type == kind);
                encodings.extend(of.map(|r| (r.target.clone(), base.node_id().clone())));
            }
        }
        encodings
    }

    /// Adds the nodes of another set.
    pub fn add(&mut self, other: NodeSet) {
        self.nodes.extend(other.nodes);
        for (id, references) in other.references {
            self.references.entry(id).or_default().extend(references);
        }
    }

    fn link(&mut self, source: &NodeId, kind: &NodeId, forward: bool, target: &NodeId) {
        for (from, forward, to) in [(source, forward, target), (target, !forward, source)] {
            let (reference_type, target) = (kind.clone(), to.clone());
            let reference = Reference { reference_type, forward, target };
            self.references.entry(from.clone()).or_default().push(reference);
        }
    }

    fn describe(&self, node: NodeType) -> Node {
        let base = node.as_node();
        let id = base.node_id().clone();
        let attributes = Attributes {
            browse_name: base.browse_name().clone(),
            display_name: base.display_name().clone(),
            description: base.description().cloned().unwrap_or_default(),
            protection: Protection::Open,
            kind: NodeKind::Type {
                type_definition: self.type_definition(&id),
                node: Arc::new(node),
            },
        };
        Node::new(id, attributes)
    }

    fn type_definition(&self, id: &NodeId) -> Option<NodeId> {
        let kind: NodeId = ReferenceTypeId::HasTypeDefinition.into();
        let found = self.references(id).iter().find(|r| r.forward && r.reference_type == kind);
        found.map(|reference| reference.target.clone())
    }

    /// A node.
    pub fn node(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(id)
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// References from a node of the set, or from a foreign node into it.
    pub fn references(&self, id: &NodeId) -> &[Reference] {
        self.references.get(id).map_or(&[], Vec::as_slice)
    }

    /// Protects a node and all below it.
    pub fn protect(&mut self, root: &NodeId, protection: Protection) {
        for id in self.below(root) {
            if let Some(node) = self.nodes.get_mut(&id) {
                *node = Arc::new(node.protected(protection));
            }
        }
    }

    /// Takes a node and all below it out: what is not served is not shown.
    pub fn prune(&mut self, root: &NodeId) {
        let gone: HashSet<_> = self.below(root).into_iter().collect();
        for id in &gone {
            self.nodes.remove(id);
            for reference in self.references.remove(id).unwrap_or_default() {
                if let Some(others) = self.references.get_mut(&reference.target) {
                    others.retain(|other| !gone.contains(&other.target));
                }
            }
        }
    }

    /// A node and what it has as components, properties and so on.
    fn below(&self, root: &NodeId) -> Vec<NodeId> {
        let kinds: [NodeId; 4] = [
            ReferenceTypeId::HasComponent.into(),
            ReferenceTypeId::HasOrderedComponent.into(),
            ReferenceTypeId::HasProperty.into(),
            ReferenceTypeId::Organizes.into(),
        ];
        let mut found = vec![root.clone()];
        let mut next = 0;
        while let Some(id) = found.get(next).cloned() {
            next += 1;
            for reference in self.references(&id) {
                let is_child = reference.forward && kinds.contains(&reference.reference_type);
                if is_child && !found.contains(&reference.target) {
                    found.push(reference.target.clone());
                }
            }
        }
        found
    }
}

/// Names the encoding in the definition of a structure: the importer finds it only where a file and the
/// server number their namespaces alike, and without it clients cannot write the structure.
fn complete_definition(node: &mut NodeType, encoding: &NodeId) {
    let NodeType::DataType(data_type) = node else {
        return;
    };
    if let Some(DataTypeDefinition::Structure(structure)) = data_type.data_type_definition() {
        let mut structure = structure.clone();
        structure.default_encoding_id = encoding.clone();
        data_type.set_data_type_definition(Some(DataTypeDefinition::Structure(structure)));
    }
}
