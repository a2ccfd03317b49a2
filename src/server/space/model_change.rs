//! What has changed about the nodes: versions of nodes, and the events that tell of changes (Part 3
//! §9.32). A change is told by the topmost node that is new or gone and by the node above it; what is
//! below a new node follows from its type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use opcua::types::{
    DateTime, ExtensionObject, Identifier, ModelChangeStructureDataType, NodeId, ObjectId,
    ObjectTypeId, Variant,
};

use super::event::Event;
use super::instance::{Found, Instance, Instances};
use super::node::Reference;
use crate::domain::id::OrderId;

/// Changes in one event at most; more make several events.
const CHANGES_MAX: usize = 1000;
/// Severity of a change of the model.
const SEVERITY: u16 = 100;

/// What happened to a node (Part 3 §9.32.8, Table 20).
mod verb {
    pub const NODE_ADDED: u8 = 1;
    pub const NODE_DELETED: u8 = 2;
    pub const REFERENCE_ADDED: u8 = 4;
    pub const REFERENCE_DELETED: u8 = 8;
}

/// The version of a node with these references: another one whenever another reference is there or one is
/// missing, and the same after a restart.
pub fn version(references: &[Reference]) -> String {
    let mut texts: Vec<String> = references.iter().map(text).collect();
    texts.sort();
    // FNV-1a: stable, short, and nobody gains anything by making two versions alike.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = texts.iter().flat_map(|text| text.bytes()).fold(0xcbf2_9ce4_8422_2325, fold);
    format!("{hash:016x}")
}

fn text(reference: &Reference) -> String {
    format!("{} {} {};", reference.reference_type, reference.forward, reference.target)
}

/// Verbs and type of each node that has changed, by its place in the address space.
#[derive(Default)]
pub struct Changes(BTreeMap<(u16, String), (NodeId, NodeId, u8)>);

impl Changes {
    fn note(&mut self, node: &NodeId, of_type: &NodeId, verb: u8) {
        let name = match &node.identifier {
            Identifier::String(path) => path.as_ref().to_owned(),
            other => other.to_string(),
        };
        let fresh = || (node.clone(), of_type.clone(), 0);
        self.0.entry((node.namespace, name)).or_insert_with(fresh).2 |= verb;
    }

    /// Adds that a node is new.
    pub fn added(&mut self, node: &NodeId, of_type: &NodeId) {
        self.note(node, of_type, verb::NODE_ADDED);
    }

    /// Adds that a node is gone.
    pub fn deleted(&mut self, node: &NodeId, of_type: &NodeId) {
        self.note(node, of_type, verb::NODE_DELETED);
    }

    /// Adds that a node has references that it had not, or has not some that it had.
    pub fn referred(&mut self, node: &NodeId, of_type: &NodeId, more: bool, less: bool) {
        let added = if more { verb::REFERENCE_ADDED } else { 0 };
        let deleted = if less { verb::REFERENCE_DELETED } else { 0 };
        if added | deleted != 0 {
            self.note(node, of_type, added | deleted);
        }
    }

    /// Adds what is otherwise in a newer tree than in an older one.
    pub fn between(&mut self, (old, new): (&Instances, &Instances), namespace: u16) {
        let id = |path: &str| NodeId::new(namespace, path);
        for instance in new.all() {
            match old.get(&instance.path) {
                None => self.note(&id(&instance.path), &type_of(instance), verb::NODE_ADDED),
                Some(before) => self.within(before, instance, namespace),
            }
        }
        for instance in old.all().filter(|instance| new.get(&instance.path).is_none()) {
            self.note(&id(&instance.path), &type_of(instance), verb::NODE_DELETED);
        }
        for (node, reference) in &new.roots {
            if !old.roots.iter().any(|known| is_same((node, reference), known)) {
                self.note(node, &NodeId::null(), verb::REFERENCE_ADDED);
            }
        }
        for (node, reference) in &old.roots {
            if !new.roots.iter().any(|known| is_same((node, reference), known)) {
                self.note(node, &NodeId::null(), verb::REFERENCE_DELETED);
            }
        }
    }

    /// Adds what is otherwise about one instance: its members, and references of it and of them.
    fn within(&mut self, old: &Instance, new: &Instance, namespace: u16) {
        let paths = |instance: &Instance| -> BTreeSet<String> {
            let members = instance.members.paths().map(str::to_owned);
            members.chain(std::iter::once(String::new())).collect()
        };
        let (before, after) = (paths(old), paths(new));
        let id = |below: &str| match below {
            "" => NodeId::new(namespace, new.path.as_str()),
            below => NodeId::new(namespace, format!("{}/{below}", new.path)),
        };
        let above = |path: &str| path.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
        for path in after.difference(&before).filter(|path| before.contains(&above(path))) {
            self.note(&id(path), &type_at(new, path), verb::NODE_ADDED);
        }
        for path in before.difference(&after).filter(|path| after.contains(&above(path))) {
            self.note(&id(path), &type_at(old, path), verb::NODE_DELETED);
        }
        for path in before.intersection(&after) {
            let references = |instance: &Instance| -> BTreeSet<String> {
                let found = instance.at(path).map(|found| found.references(namespace));
                found.unwrap_or_default().iter().map(text).collect()
            };
            let (was, is) = (references(old), references(new));
            let added = if is.is_subset(&was) { 0 } else { verb::REFERENCE_ADDED };
            let deleted = if was.is_subset(&is) { 0 } else { verb::REFERENCE_DELETED };
            if added | deleted != 0 {
                self.note(&id(path), &type_at(new, path), added | deleted);
            }
        }
    }

    /// Adds that a folder lists other orders than before; one that is listed for the first time is new.
    fn orders(
        &mut self,
        (folder, folder_type): (&NodeId, &NodeId),
        (was, is): (&BTreeSet<OrderId>, &BTreeSet<OrderId>),
        order_type: &NodeId,
    ) {
        for order in is.difference(was) {
            let id = NodeId::new(folder.namespace, format!("order/{order}"));
            self.note(&id, order_type, verb::NODE_ADDED);
            self.note(folder, folder_type, verb::REFERENCE_ADDED);
        }
        if !was.is_subset(is) {
            self.note(folder, folder_type, verb::REFERENCE_DELETED);
        }
    }

    /// The events that tell of them.
    pub fn events(self, now: DateTime) -> Vec<Event> {
        let changes: Vec<_> = self.0.into_values().collect();
        let told = changes.chunks(CHANGES_MAX).map(|changes| {
            let count = changes.len();
            let changes = changes.iter().map(|(affected, affected_type, verb)| {
                let (affected, affected_type) = (affected.clone(), affected_type.clone());
                let change = ModelChangeStructureDataType { affected, affected_type, verb: *verb };
                ExtensionObject::from_message(change)
            });
            let server = (NodeId::from(ObjectId::Server), "Server");
            let noun = if count == 1 { "node has" } else { "nodes have" };
            let message = format!("{count} {noun} changed");
            Event::new(ObjectTypeId::GeneralModelChangeEventType, server, now, SEVERITY, message)
                .with("Changes", Variant::from(changes.collect::<Vec<_>>()))
        });
        told.collect()
    }
}

fn is_same(one: (&NodeId, &Reference), other: &(NodeId, Reference)) -> bool {
    *one.0 == other.0 && text(one.1) == text(&other.1)
}

fn type_of(instance: &Instance) -> NodeId {
    instance.attributes.type_definition()
}

fn type_at(instance: &Instance, path: &str) -> NodeId {
    let of = |found: Found<'_>| match found.member {
        Some(member) => member.attributes.type_definition(),
        None => type_of(found.instance),
    };
    instance.at(path).map(of).unwrap_or_default()
}

/// What has changed and not been told yet.
#[derive(Default)]
pub struct Untold {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    changes: Changes,
    /// The orders that were listed when it was last told; nothing before the first time.
    orders: Option<BTreeSet<OrderId>>,
}

impl Untold {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is otherwise in a newer tree.
    pub fn note(&self, trees: (&Instances, &Instances), namespace: u16) {
        self.lock().changes.between(trees, namespace);
    }

    /// The events of all that has changed since the last time; whoever calls it seldom makes few events of
    /// many changes.
    pub fn take(
        &self,
        folder: (&NodeId, &NodeId),
        orders: BTreeSet<OrderId>,
        order_type: &NodeId,
        now: DateTime,
    ) -> Vec<Event> {
        let mut waiting = self.lock();
        let Waiting { changes, orders: known } = &mut *waiting;
        if let Some(known) = known {
            changes.orders(folder, (known, &orders), order_type);
        }
        *known = Some(orders);
        std::mem::take(changes).events(now)
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::ReferenceTypeId;

    use super::*;

    #[test]
    fn a_version_depends_on_the_references_and_not_on_their_order() {
        let reference = |path: &str| {
            Reference::forward(ReferenceTypeId::Organizes, NodeId::new(3, path.to_owned()))
        };
        let both = version(&[reference("machine/M1"), reference("machine/M2")]);
        assert_eq!(both, version(&[reference("machine/M2"), reference("machine/M1")]));
        assert_ne!(both, version(&[reference("machine/M1")]));
        assert_eq!(version(&[]), "cbf29ce484222325");
    }

    #[test]
    fn orders_that_were_there_at_the_start_are_no_change_and_later_ones_are_told_once() {
        let untold = Untold::default();
        let (folder, kind) = (NodeId::new(3, "mes/Orders"), NodeId::new(2, 1));
        let orders = |ids: &[&str]| ids.iter().map(|id| OrderId::parse(id).unwrap()).collect();
        let take = |ids: &[&str]| {
            untold.take((&folder, &kind), orders(ids), &kind, DateTime::null()).len()
        };
        assert_eq!(take(&["A"]), 0);
        assert_eq!(take(&["A", "B"]), 1);
        assert_eq!(take(&["A", "B"]), 0);
        assert_eq!(take(&["B"]), 1);
    }
}
