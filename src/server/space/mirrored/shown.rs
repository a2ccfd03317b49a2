//! The nodes of one machine as our clients see them, made of what was copied.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use opcua::types::{NodeClass, NodeId, ReferenceTypeId};

use super::super::model_change::Changes;
use super::super::node::{Attributes, Node, NodeKind, Reference};
use super::super::protection::Protection;
use super::super::type_tree::TypeTree;
use crate::domain::role::Permission;
use crate::mirror::{CopiedNode, Copy, Mirror};

/// The nodes of one machine.
pub struct ShownMachine {
    /// Its mirror.
    pub mirror: Arc<Mirror>,
    nodes: HashMap<NodeId, (Arc<Node>, Vec<Reference>)>,
    /// From nodes of ours to its own.
    from_ours: HashMap<NodeId, Vec<Reference>>,
    roots: Vec<NodeId>,
}

impl ShownMachine {
    /// Nothing of a machine.
    pub fn empty(mirror: Arc<Mirror>) -> ShownMachine {
        let (nodes, from_ours) = (HashMap::new(), HashMap::new());
        ShownMachine { mirror, nodes, from_ours, roots: Vec::new() }
    }

    /// What was copied of a machine, below a folder of ours.
    pub fn new(mirror: Arc<Mirror>, copy: Copy, folder: &NodeId) -> ShownMachine {
        let mut shown = ShownMachine::empty(mirror);
        for copied in copy.nodes {
            shown.add(copied);
        }
        shown.lead_back();
        for root in copy.roots {
            shown.link(folder, ReferenceTypeId::Organizes, &root);
            shown.roots.push(root);
        }
        // There may be a hundred thousand, and they stay.
        shown.nodes.values_mut().for_each(|(_, references)| references.shrink_to_fit());
        shown.nodes.shrink_to_fit();
        shown
    }

    fn add(&mut self, mut copied: CopiedNode) {
        copied.attributes.shrink_to_fit();
        let references = copied.references.into_iter().map(|reference| Reference {
            reference_type: reference.kind,
            forward: reference.forward,
            target: reference.target,
        });
        let references = references.collect();
        let attributes = Attributes {
            browse_name: copied.browse_name,
            display_name: copied.display_name,
            description: copied.description,
            protection: match (copied.class, copied.is_allowed) {
                (NodeClass::Variable, true) => Protection::Setpoint(Permission::CommandMachines),
                (NodeClass::Method, _) => Protection::Method(Permission::CommandMachines),
                _ => Protection::Open,
            },
            kind: NodeKind::Copied {
                class: copied.class,
                type_definition: copied.type_definition,
                attributes: copied.attributes,
            },
        };
        let node = Arc::new(Node::new(copied.id.clone(), attributes));
        self.nodes.insert(copied.id, (node, references));
    }

    /// Lets types of ours lead to the types of the machine below them.
    fn lead_back(&mut self) {
        let subtype: NodeId = ReferenceTypeId::HasSubtype.into();
        let is_up =
            |reference: &&Reference| !reference.forward && reference.reference_type == subtype;
        let up = self.nodes.iter().flat_map(|(id, (_, references))| {
            references.iter().filter(is_up).map(|up| (id.clone(), up.target.clone()))
        });
        let up: Vec<_> = up.filter(|(_, above)| !self.nodes.contains_key(above)).collect();
        for (below, above) in up {
            let down = Reference::forward(ReferenceTypeId::HasSubtype, below);
            self.from(above).push(down);
        }
    }

    fn link(&mut self, from: &NodeId, kind: ReferenceTypeId, to: &NodeId) {
        let forward = Reference::forward(kind, to.clone());
        self.from(from.clone()).push(forward);
        let inverse = Reference::inverse(kind, from.clone());
        self.from(to.clone()).push(inverse);
    }

    fn from(&mut self, id: NodeId) -> &mut Vec<Reference> {
        match self.nodes.get_mut(&id) {
            Some((_, references)) => references,
            None => self.from_ours.entry(id).or_default(),
        }
    }

    /// A node.
    pub fn node(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(id).map(|(node, _)| node)
    }

    /// References from a node, one of ours too.
    pub fn references(&self, id: &NodeId) -> &[Reference] {
        let own = self.nodes.get(id).map(|(_, references)| references);
        own.or_else(|| self.from_ours.get(id)).map_or(&[], Vec::as_slice)
    }

    /// The namespaces that are the machine's.
    pub fn namespaces(&self) -> impl Iterator<Item = u16> {
        let all: HashSet<u16> = self.nodes.keys().map(|id| id.namespace).collect();
        all.into_iter()
    }

    /// Adds its types to a tree.
    pub fn add_types(&self, tree: &mut TypeTree) {
        let subtype: NodeId = ReferenceTypeId::HasSubtype.into();
        for (id, (node, _)) in &self.nodes {
            let class = node.class();
            if matches!(class, NodeClass::Object | NodeClass::Variable | NodeClass::Method) {
                continue;
            }
            let mut above = self.references(id).iter();
            let above = above.find(|r| !r.forward && r.reference_type == subtype);
            tree.add(id.clone(), class, above.map(|reference| reference.target.clone()));
        }
        for (id, below) in self.declarations() {
            let names = below
                .into_iter()
                .filter_map(|below| Some((self.node(&below)?.browse_name.clone(), below)));
            tree.declare(id, names.collect());
        }
    }

    /// The nodes of a class.
    pub fn ids_of(&self, class: NodeClass) -> impl Iterator<Item = &NodeId> {
        self.nodes.iter().filter(move |(_, (node, _))| node.class() == class).map(|(id, _)| id)
    }

    /// Notes what is otherwise in a newer copy.
    pub fn tell_difference(&self, newer: &ShownMachine, folder: &NodeId, changes: &mut Changes) {
        let folder_type = NodeId::from(opcua::types::ObjectTypeId::FolderType);
        let missing = |from: &ShownMachine, to: &ShownMachine| -> Vec<(NodeId, NodeId)> {
            // What is below a node that is new follows from it.
            let is_top = |id: &NodeId| {
                let mut above = to.references(id).iter().filter(|r| !r.forward);
                !to.roots.contains(id) && above.any(|r| from.nodes.contains_key(&r.target))
                    || to.roots.contains(id)
            };
            let new = to.nodes.iter().filter(|(id, _)| !from.nodes.contains_key(*id));
            let new = new.filter(|(id, _)| is_top(id));
            new.map(|(id, (node, _))| (id.clone(), node.type_definition())).collect()
        };
        for (id, of_type) in missing(self, newer) {
            changes.added(&id, &of_type);
        }
        for (id, of_type) in missing(newer, self) {
            changes.deleted(&id, &of_type);
        }
        let differs = |one: &ShownMachine, other: &ShownMachine| {
            one.roots.iter().any(|root| !other.roots.contains(root))
        };
        changes.referred(folder, &folder_type, differs(newer, self), differs(self, newer));
    }
}
