//! The types of all namespaces: what is a kind of what, and what fields events have.

use std::sync::Arc;

use hashbrown::HashMap;
use opcua::types::{NodeClass, NodeId, QualifiedName, ReferenceTypeId};

use super::nodeset::NodeSet;

/// Supertypes above each other at most; a circle would have no end.
const DEPTH_MAX: usize = 64;

struct TypeNode {
    class: NodeClass,
    parent: Option<NodeId>,
}

/// Types by their ids.
#[derive(Default)]
pub struct TypeTree {
    /// Types on which these stand.
    base: Option<Arc<TypeTree>>,
    types: HashMap<NodeId, TypeNode>,
    /// Components and properties of types and of their instance declarations.
    children: HashMap<NodeId, Vec<(QualifiedName, NodeId)>>,
}

impl TypeTree {
    /// The types of some nodesets.
    pub fn new(sets: &[&NodeSet]) -> TypeTree {
        let mut tree = TypeTree::default();
        let subtype: NodeId = ReferenceTypeId::HasSubtype.into();
        let parts: [NodeId; 2] =
            [ReferenceTypeId::HasProperty.into(), ReferenceTypeId::HasComponent.into()];
        let find = |id: &NodeId| sets.iter().find_map(|set| set.node(id));
        for set in sets {
            for node in set.nodes() {
                let class = node.class();
                let references = set.references(&node.id);
                let is_type = matches!(
                    class,
                    NodeClass::ObjectType
                        | NodeClass::VariableType
                        | NodeClass::DataType
                        | NodeClass::ReferenceType
                );
                if is_type {
                    let parent =
                        references.iter().find(|r| !r.forward && r.reference_type == subtype);
                    let parent = parent.map(|reference| reference.target.clone());
                    tree.types.insert(node.id.clone(), TypeNode { class, parent });
                }
                let children = references.iter().filter_map(|reference| {
                    let is_part = reference.forward && parts.contains(&reference.reference_type);
                    let child = is_part.then(|| find(&reference.target)).flatten()?;
                    Some((child.browse_name.clone(), child.id.clone()))
                });
                let children: Vec<_> = children.collect();
                if !children.is_empty() {
                    tree.children.insert(node.id.clone(), children);
                }
            }
        }
        tree
    }

    /// No types yet but those of another tree.
    pub fn above(base: Arc<TypeTree>) -> TypeTree {
        TypeTree { base: Some(base), ..TypeTree::default() }
    }

    fn find(&self, id: &NodeId) -> Option<&TypeNode> {
        self.types.get(id).or_else(|| self.base.as_ref()?.find(id))
    }

    /// Adds a type, for spaces that are not read from nodesets.
    pub fn add(&mut self, id: NodeId, class: NodeClass, parent: Option<NodeId>) {
        self.types.insert(id, TypeNode { class, parent });
    }

    /// Says which components and properties a type, or a declaration of one, has.
    pub fn declare(&mut self, id: NodeId, children: Vec<(QualifiedName, NodeId)>) {
        self.children.insert(id, children);
    }

    /// The class of a type, if there is such a type.
    pub fn class(&self, id: &NodeId) -> Option<NodeClass> {
        self.find(id).map(|node| node.class)
    }

    /// The type and its supertypes.
    pub fn lineage<'a>(&'a self, id: &'a NodeId) -> impl Iterator<Item = &'a NodeId> {
        let up = |id: &&'a NodeId| self.find(id).and_then(|node| node.parent.as_ref());
        std::iter::successors(Some(id), up).take(DEPTH_MAX)
    }

    /// Whether a type is another one or a subtype of it.
    pub fn is_a(&self, id: &NodeId, ancestor: &NodeId) -> bool {
        self.lineage(id).any(|one| one == ancestor)
    }

    /// Whether a type has a component or property at a path, itself or from a supertype.
    pub fn has_path(&self, id: &NodeId, path: &[QualifiedName]) -> bool {
        let Some((first, rest)) = path.split_first() else {
            return true;
        };
        let declared = self.lineage(id).find_map(|one| self.child(one, first));
        let mut at = declared;
        for name in rest {
            at = at.and_then(|id| self.child(id, name));
        }
        at.is_some()
    }

    fn child(&self, id: &NodeId, name: &QualifiedName) -> Option<&NodeId> {
        let Some(children) = self.children.get(id) else {
            return self.base.as_ref()?.child(id, name);
        };
        children.iter().find(|(known, _)| known == name).map(|(_, child)| child)
    }
}
