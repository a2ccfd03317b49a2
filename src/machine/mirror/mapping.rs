//! Ids of a machine and of our server, each as the other one, and values with the ids in them.
//!
//! A namespace that is the machine's alone gets one of its own here, with the identifiers kept; types
//! that our server has under their official ids keep these. So every id can be traced back, and two
//! machines with the same program never collide.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hashbrown::HashMap;
use opcua::types::{
    Array, ByteString, Context, DataValue, ExpandedNodeId, ExtensionObject, NodeId, QualifiedName,
    Variant,
};

use crate::channel::decode::raw_body;
use crate::domain::id::MachineId;
use crate::machine::structure::{Layouts, Rewrite};
use crate::mirror::{Ground, Mirrors};

/// Namespaces of one machine that are shown.
const SOURCES_MAX: usize = 200;

/// Ids and values of one machine, here and there.
pub struct Mapping {
    machine: MachineId,
    mirrors: Mirrors,
    ground: Arc<dyn Ground>,
    /// Namespace URIs of the machine by its indexes.
    uris: Vec<String>,
    /// Their indexes here, of those that our server has itself.
    shared: Vec<Option<u16>>,
    /// Their indexes here as namespaces of the machine.
    sources: Vec<OnceLock<Option<u16>>>,
    /// How many of these there are.
    source_count: AtomicUsize,
    /// Indexes here, and which ones they are there.
    back: RwLock<HashMap<u16, u16>>,
    /// Nodes that are the machine's, also where our server has their namespace.
    own: HashSet<NodeId>,
    /// Whether all of the machine is mirrored.
    is_all: bool,
    /// How structures are laid out.
    layouts: Layouts,
}

/// Which way something is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum To {
    /// From the machine to our server.
    Here,
    /// From our server to the machine.
    There,
}

impl Mapping {
    /// The mapping of a machine with these namespaces.
    pub fn new(
        machine: &MachineId,
        mirrors: &Mirrors,
        ground: Arc<dyn Ground>,
        uris: &[String],
    ) -> Mapping {
        let shared: Vec<Option<u16>> =
            uris.iter().map(|uri| mirrors.namespaces().shared(uri)).collect();
        let back = shared.iter().enumerate().filter_map(|(there, here)| {
            // Machines have fewer namespaces than indexes.
            Some(((*here)?, u16::try_from(there).ok()?))
        });
        Mapping {
            machine: machine.clone(),
            mirrors: mirrors.clone(),
            ground,
            uris: uris.to_vec(),
            back: RwLock::new(back.collect()),
            shared,
            source_count: AtomicUsize::new(0),
            sources: uris.iter().map(|_| OnceLock::new()).collect(),
            own: HashSet::new(),
            is_all: false,
            layouts: Layouts::default(),
        }
    }

    /// Says which nodes are the machine's, whether these are all that it has, and how its structures are laid
    /// out.
    pub fn complete(&mut self, own: HashSet<NodeId>, is_all: bool, layouts: Layouts) {
        (self.own, self.is_all, self.layouts) = (own, is_all, layouts);
    }

    /// Whether a node of the machine is mirrored.
    pub fn is_own(&self, id: &NodeId) -> bool {
        self.own.contains(id)
    }

    /// Whether all of the machine is mirrored, so that nothing of it is to be left out.
    pub fn is_all(&self) -> bool {
        self.is_all
    }

    /// The id under which our server would have a node, were it no one of the machine's.
    pub fn shared(&self, id: &NodeId) -> Option<NodeId> {
        let index = (*self.shared.get(usize::from(id.namespace))?)?;
        Some(NodeId { namespace: index, identifier: id.identifier.clone() })
    }

    /// What our server has of its own.
    pub fn ground(&self) -> &dyn Ground {
        &*self.ground
    }

    fn source(&self, namespace: u16) -> Option<u16> {
        let uri = self.uris.get(usize::from(namespace))?;
        let found = self.sources.get(usize::from(namespace))?.get_or_init(|| {
            // Each is kept for ever, so one machine gets only so many.
            if self.source_count.fetch_add(1, Ordering::Relaxed) >= SOURCES_MAX {
                tracing::warn!(machine = %self.machine, %uri, "too many namespaces; it is left out");
                return None;
            }
            match self.mirrors.namespaces().of_machine(&self.machine, uri) {
                Ok(index) => {
                    let mut back = self.back.write().unwrap_or_else(PoisonError::into_inner);
                    back.insert(index, namespace);
                    Some(index)
                }
                Err(error) => {
                    tracing::warn!(machine = %self.machine, %uri, "{error}");
                    None
                }
            }
        });
        *found
    }

    /// A node of the machine as our server has it; null where it cannot be named here.
    pub fn here(&self, id: &NodeId) -> NodeId {
        if !self.own.contains(id)
            && let Some(shared) = self.shared(id)
            && (shared.namespace == 0 || self.ground.has_type_node(&shared))
        {
            return shared;
        }
        match self.source(id.namespace) {
            Some(namespace) => NodeId { namespace, identifier: id.identifier.clone() },
            None => NodeId::null(),
        }
    }

    /// A node of our server as the machine has it; null where the machine has no such namespace.
    pub fn there(&self, id: &NodeId) -> NodeId {
        let back = self.back.read().unwrap_or_else(PoisonError::into_inner);
        match back.get(&id.namespace) {
            Some(namespace) => NodeId { namespace: *namespace, identifier: id.identifier.clone() },
            None => NodeId::null(),
        }
    }

    /// A browse name of the machine as our server has it.
    pub fn name_here(&self, name: &QualifiedName) -> QualifiedName {
        let index = name.namespace_index;
        let shared = self.shared.get(usize::from(index)).copied().flatten();
        let namespace = shared.or_else(|| self.source(index)).unwrap_or(0);
        QualifiedName { namespace_index: namespace, name: name.name.clone() }
    }

    fn name_there(&self, name: &QualifiedName) -> QualifiedName {
        let back = self.back.read().unwrap_or_else(PoisonError::into_inner);
        let namespace = back.get(&name.namespace_index).copied().unwrap_or(0);
        QualifiedName { namespace_index: namespace, name: name.name.clone() }
    }

    /// A value with all ids in it mapped.
    pub fn value(&self, value: Variant, to: To, context: &Context<'_>) -> Variant {
        let ids = Ids { mapping: self, to, context };
        ids.variant(value)
    }

    /// A value with its status and times, with all ids in it mapped.
    pub fn data_value(&self, mut value: DataValue, to: To, context: &Context<'_>) -> DataValue {
        value.value = value.value.map(|value| self.value(value, to, context));
        value
    }
}

/// Maps what may be in a value.
struct Ids<'a> {
    mapping: &'a Mapping,
    to: To,
    context: &'a Context<'a>,
}

impl Ids<'_> {
    fn node(&self, id: &NodeId) -> NodeId {
        match self.to {
            To::Here => self.mapping.here(id),
            To::There => self.mapping.there(id),
        }
    }
}

impl Rewrite for Ids<'_> {
    fn node(&self, id: &NodeId) -> NodeId {
        self.node(id)
    }

    fn expanded(&self, mut id: ExpandedNodeId) -> ExpandedNodeId {
        // What names its namespace or another server says the same everywhere.
        if id.server_index == 0 && id.namespace_uri.is_empty() {
            id.node_id = self.node(&id.node_id);
        }
        id
    }

    fn name(&self, name: &QualifiedName) -> QualifiedName {
        match self.to {
            To::Here => self.mapping.name_here(name),
            To::There => self.mapping.name_there(name),
        }
    }

    fn object(&self, object: ExtensionObject) -> ExtensionObject {
        let Some((encoding, body)) = raw_body(&object) else { return object };
        let there = match self.to {
            To::Here => encoding.clone(),
            To::There => self.node(&encoding),
        };
        let body = match self.mapping.layouts.rewrite(&there, body, self, self.context) {
            Some(rewritten) => ByteString::from(rewritten),
            None => ByteString::from(body.to_vec()),
        };
        let id = self.node(&encoding);
        let raw = opcua::types::type_loader::ByteStringBody::new(body, id);
        ExtensionObject { body: Some(Box::new(raw)) }
    }

    fn variant(&self, value: Variant) -> Variant {
        match value {
            Variant::NodeId(id) => Variant::NodeId(Box::new(self.node(&id))),
            Variant::ExpandedNodeId(id) => Variant::ExpandedNodeId(Box::new(self.expanded(*id))),
            Variant::QualifiedName(name) => Variant::QualifiedName(Box::new(self.name(&name))),
            Variant::ExtensionObject(object) => Variant::ExtensionObject(self.object(object)),
            Variant::Variant(inner) => Variant::Variant(Box::new(self.variant(*inner))),
            Variant::DataValue(inner) => Variant::DataValue(Box::new(self.data_value(*inner))),
            Variant::Array(array) => {
                let Array { value_type, values, dimensions } = *array;
                let values = values.into_iter().map(|value| self.variant(value)).collect();
                // Some machines send a list of dimensions with nothing in it.
                let dimensions = dimensions.filter(|dimensions| !dimensions.is_empty());
                Variant::Array(Box::new(Array { value_type, values, dimensions }))
            }
            plain => plain,
        }
    }

    fn data_value(&self, mut value: DataValue) -> DataValue {
        value.value = value.value.map(|value| self.variant(value));
        value
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{DecodingOptions, NamespaceMap};

    use super::*;
    use crate::app::clock::Clock;
    use crate::channel::decode::raw_context;
    use crate::domain::time::Timestamp;
    use crate::mirror::Namespaces;

    struct Types;

    impl Ground for Types {
        fn has_type_node(&self, id: &NodeId) -> bool {
            *id == NodeId::new(1, 1002)
        }

        fn definition(&self, _: &NodeId) -> Option<Variant> {
            None
        }

        fn is_a(&self, _: &NodeId, _: &NodeId) -> bool {
            false
        }
    }

    struct Standing;

    impl Clock for Standing {
        fn now(&self) -> Timestamp {
            Timestamp::from_ticks(0)
        }
    }

    fn mapping() -> Mapping {
        let own = ["http://opcfoundation.org/UA/", "urn:di"].map(str::to_owned);
        let mirrors = Mirrors::new(Namespaces::of(own.to_vec()), None, Arc::new(Standing), None);
        let machine = MachineId::parse("M1").unwrap();
        let uris = ["http://opcfoundation.org/UA/", "urn:plc", "urn:di"].map(str::to_owned);
        let mut mapping = Mapping::new(&machine, &mirrors, Arc::new(Types), &uris);
        let device_set = HashSet::from([NodeId::new(2, 5001)]);
        mapping.complete(device_set, true, Layouts::default());
        mapping
    }

    #[test]
    fn types_keep_their_ids_and_what_is_the_machines_gets_its_own_namespace() {
        let mapping = mapping();
        assert_eq!(mapping.here(&NodeId::new(2, 1002)), NodeId::new(1, 1002), "a type of ours");
        let speed = mapping.here(&NodeId::new(1, "Speed"));
        assert_eq!(speed, NodeId::new(2, "Speed"));
        let device_set = mapping.here(&NodeId::new(2, 5001));
        assert_eq!(device_set, NodeId::new(3, 5001), "an instance in the namespace of a standard");
        let unknown = mapping.here(&NodeId::new(2, 4711));
        assert_eq!(unknown, NodeId::new(3, 4711), "a type that we do not have");
        assert_eq!(mapping.here(&NodeId::new(0, 58)), NodeId::new(0, 58));
        for (here, there) in
            [(&speed, NodeId::new(1, "Speed")), (&device_set, NodeId::new(2, 5001))]
        {
            assert_eq!(mapping.there(here), there);
        }
        assert!(mapping.here(&NodeId::new(9, 1)).is_null(), "an index that names nothing");
        assert!(mapping.there(&NodeId::new(7, 1)).is_null());
    }

    #[test]
    fn ids_inside_values_are_mapped_and_back_again() {
        let mapping = mapping();
        let owned = raw_context(NamespaceMap::new(), DecodingOptions::default());
        let context = owned.context();
        let raw = opcua::types::type_loader::ByteStringBody::new(
            vec![1, 2, 3].into(),
            NodeId::new(1, 77),
        );
        let structure = ExtensionObject { body: Some(Box::new(raw)) };
        let values: Vec<Variant> = vec![
            NodeId::new(1, "Speed").into(),
            QualifiedName::new(1, "Speed").into(),
            Variant::ExtensionObject(structure),
            Variant::Variant(Box::new(NodeId::new(1, 5).into())),
            Variant::Double(1.5),
        ];
        for value in values {
            let here = mapping.value(value.clone(), To::Here, &context);
            assert_eq!(mapping.value(here.clone(), To::There, &context), value);
            assert_eq!(here == value, value == Variant::Double(1.5), "{value:?}");
        }
    }
}
