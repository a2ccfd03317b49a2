//! The types that our server has itself, for those who mirror machines.

use std::sync::Arc;

use hashbrown::HashSet;
use opcua::types::{AttributeId, NodeId, ObjectId, ReferenceTypeId, Variant};

use super::super::model::Model;
use super::super::node::{NodeKind, type_attribute};
use super::super::standard::StandardSpace;
use super::super::type_tree::TypeTree;
use crate::mirror::Ground;

/// The nodes of the nodesets, but those that are no types: what is below the objects folder.
pub struct TypeGround {
    standard: Arc<StandardSpace>,
    model: Arc<Model>,
    types: Arc<TypeTree>,
    instances: HashSet<NodeId>,
}

impl TypeGround {
    /// What there is.
    pub fn new(
        standard: Arc<StandardSpace>,
        model: Arc<Model>,
        types: Arc<TypeTree>,
    ) -> TypeGround {
        let mut ground = TypeGround { standard, model, types, instances: HashSet::new() };
        ground.instances = ground.below(&ObjectId::ObjectsFolder.into());
        ground
    }

    fn below(&self, root: &NodeId) -> HashSet<NodeId> {
        let hierarchical: NodeId = ReferenceTypeId::HierarchicalReferences.into();
        let mut found = HashSet::from([root.clone()]);
        let mut next = vec![root.clone()];
        while let Some(id) = next.pop() {
            let standard = self.standard.references(&id).iter();
            for reference in standard.chain(self.model.nodes().references(&id)) {
                let is_below =
                    reference.forward && self.types.is_a(&reference.reference_type, &hierarchical);
                if is_below && found.insert(reference.target.clone()) {
                    next.push(reference.target.clone());
                }
            }
        }
        found
    }
}

impl Ground for TypeGround {
    fn has_type_node(&self, id: &NodeId) -> bool {
        let is_known = match id.namespace {
            0 => self.standard.node(id).is_some(),
            _ => self.model.nodes().node(id).is_some(),
        };
        is_known && !self.instances.contains(id)
    }

    fn definition(&self, data_type: &NodeId) -> Option<Variant> {
        let node = match data_type.namespace {
            0 => self.standard.node(data_type),
            _ => self.model.nodes().node(data_type),
        };
        let NodeKind::Type { node, .. } = &node?.kind else { return None };
        type_attribute(node, AttributeId::DataTypeDefinition).ok()
    }

    fn is_a(&self, id: &NodeId, ancestor: &NodeId) -> bool {
        self.types.is_a(id, ancestor)
    }
}
