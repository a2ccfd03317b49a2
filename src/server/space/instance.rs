//! Instances of types, and finding the node that a path names.
//!
//! Only the instances themselves are kept; all that is below them follows from their types, so a
//! plant with many machines takes little memory. Ids are paths of business keys, so they stay the
//! same over restarts and reinstallations.

use std::sync::Arc;

use hashbrown::HashMap;
use opcua::types::{NodeId, ReferenceTypeId};

use super::members::{Member, Members};
use super::node::{Attributes, HISTORY_READ, Node, NodeKind, Reference, SUBSCRIBE_TO_EVENTS};
use super::source::{Source, Subject};

/// Something that exists in the plant.
#[derive(Clone)]
pub struct Instance {
    /// Its path, the first part of the ids of all that is below it.
    pub path: String,
    /// What it is about.
    pub subject: Subject,
    /// Its own attributes.
    pub attributes: Arc<Attributes>,
    /// Its value; only for variables.
    pub source: Option<Source>,
    /// What it has by its type.
    pub members: Arc<Members>,
    /// References to other instances and to standard nodes.
    pub references: Vec<Reference>,
    /// References from members to other instances, by the path of the member.
    pub member_references: HashMap<String, Vec<Reference>>,
    /// Where its events are seen too.
    pub notifier: Option<NodeId>,
}

/// A node of an instance: the instance itself, or a member.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// The instance.
    pub instance: &'a Instance,
    /// The member, unless it is the instance itself.
    pub member: Option<&'a Member>,
}

/// All instances that configuration makes.
#[derive(Default)]
pub struct Instances {
    by_path: HashMap<String, Instance>,
    /// References from standard nodes into the tree.
    pub roots: Vec<(NodeId, Reference)>,
}

impl Instance {
    /// The node that a path below the instance names; empty for itself.
    pub fn at(&self, below: &str) -> Option<Found<'_>> {
        if below.is_empty() {
            return Some(Found { instance: self, member: None });
        }
        let member = self.members.at(below)?;
        Some(Found { instance: self, member: Some(member) })
    }
}

impl<'a> Found<'a> {
    /// The node with its id.
    pub fn node(&self, id: &NodeId) -> Node {
        let own = &self.instance.attributes;
        let attributes = self.member.map_or(own, |member| &member.attributes);
        Node { id: id.clone(), attributes: attributes.clone() }
    }

    /// Where its value comes from, if it is a variable.
    pub fn source(&self) -> Option<&'a Source> {
        match self.member {
            Some(member) => member.source.as_ref(),
            None => self.instance.source.as_ref(),
        }
    }

    /// Whether its values are stored.
    pub fn is_historizing(&self) -> bool {
        let own = &self.instance.attributes;
        let attributes = self.member.map_or(own, |member| &member.attributes);
        matches!(attributes.kind, NodeKind::Variable { historizing: true, .. })
    }

    /// Its references.
    pub fn references(&self, namespace: u16) -> Vec<Reference> {
        let path = &self.instance.path;
        let id = |below: &str| {
            let separator = if below.is_empty() { "" } else { "/" };
            NodeId::new(namespace, format!("{path}{separator}{below}"))
        };
        let mut references = self.instance.members.references(self.member, &id);
        match self.member {
            None => references.extend(self.instance.references.iter().cloned()),
            Some(member) => {
                let more = self.instance.member_references.get(&member.path);
                references.extend(more.into_iter().flatten().cloned());
            }
        }
        references
    }
}

impl Instances {
    /// All instances, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Instance> {
        self.by_path.values()
    }

    /// The instance of a path.
    pub fn get(&self, path: &str) -> Option<&Instance> {
        self.by_path.get(path)
    }

    /// Adds an instance.
    pub fn add(&mut self, instance: Instance) {
        self.by_path.insert(instance.path.clone(), instance);
    }

    /// Gives an instance that is a variable its value.
    pub fn value(&mut self, path: &str, source: Source) {
        if let Some(instance) = self.by_path.get_mut(path) {
            instance.source = Some(source);
        }
    }

    /// Adds a reference to an instance.
    pub fn refer(&mut self, path: &str, reference: Reference) {
        if let Some(instance) = self.by_path.get_mut(path) {
            instance.references.push(reference);
        }
    }

    /// The node of a path: `mes/Orders`, `machine/M1`, `machine/M1/State`.
    pub fn find(&self, path: &str) -> Option<Found<'_>> {
        let mut ends = path.match_indices('/').map(|(index, _)| index);
        let (first, second) = (ends.next(), ends.next());
        for end in [second.or(first.map(|_| path.len())), first.or(Some(path.len()))] {
            let end = end.unwrap_or(path.len());
            if let Some(instance) = self.by_path.get(&path[..end]) {
                return instance.at(path.get(end + 1..).unwrap_or_default());
            }
        }
        None
    }

    /// A reference between two instances, or from a member of one.
    pub fn link(
        &mut self,
        (from, member): (&str, &str),
        kind: impl Into<NodeId>,
        to: &str,
        namespace: u16,
    ) {
        let (kind, from_path) = (kind.into(), join(from, member));
        let (start, end) = (NodeId::new(namespace, from_path), NodeId::new(namespace, to));
        if let Some(instance) = self.by_path.get_mut(from) {
            let forward = Reference { reference_type: kind.clone(), forward: true, target: end };
            if member.is_empty() {
                instance.references.push(forward);
            } else {
                instance.member_references.entry(member.to_owned()).or_default().push(forward);
            }
        }
        let inverse = Reference { reference_type: kind, forward: false, target: start };
        let (instance, below) = match self.find(to) {
            Some(found) => {
                let below = found.member.map_or_else(String::new, |member| member.path.clone());
                (found.instance.path.clone(), below)
            }
            None => return,
        };
        if let Some(instance) = self.by_path.get_mut(&instance) {
            if below.is_empty() {
                instance.references.push(inverse);
            } else {
                instance.member_references.entry(below).or_default().push(inverse);
            }
        }
    }

    /// Lets events of an instance be seen at the one above it, or at the server.
    pub fn notifies(&mut self, path: &str, above: Option<&str>, namespace: u16) {
        if let Some(instance) = self.by_path.get_mut(path) {
            let attributes = Arc::make_mut(&mut instance.attributes);
            if let NodeKind::Object { notifier, .. } = &mut attributes.kind {
                *notifier = SUBSCRIBE_TO_EVENTS | HISTORY_READ;
            }
            instance.notifier = above.map(|above| NodeId::new(namespace, above));
        }
        match above {
            Some(above) => {
                self.link((above, ""), ReferenceTypeId::HasNotifier, path, namespace);
            }
            None => {
                let server = opcua::types::ObjectId::Server;
                let inverse = Reference::inverse(ReferenceTypeId::HasNotifier, server);
                if let Some(instance) = self.by_path.get_mut(path) {
                    instance.references.push(inverse);
                }
            }
        }
    }
}

fn join(path: &str, below: &str) -> String {
    if below.is_empty() { path.to_owned() } else { format!("{path}/{below}") }
}
