//! The fixed nodes by their paths, and how they are put together.
//!
//! Ids are paths of business keys, so they stay the same over restarts and reinstallations.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use opcua::types::{
    Argument, DataTypeId, EUInformation, ExtensionObject, LocalizedText, NodeId, ObjectId,
    ObjectTypeId, QualifiedName, ReferenceTypeId, VariableTypeId, Variant,
};

use super::methods::{self, MethodId};
use super::node::{Node, NodeKind, Reference};
use super::protection::{Protection, role_id};
use super::types::Types;
use super::value::Source;
use crate::domain::id::MachineId;
use crate::domain::plant::Plant;
use crate::domain::role::Role;

const UNITS: &str = "http://www.opcfoundation.org/UA/units/un/cefact";

/// A node of the tree with what its value is and where it leads.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The node.
    pub node: Arc<Node>,
    /// Where its value comes from; only for variables.
    pub source: Option<Source>,
    /// Its references.
    pub references: Vec<Reference>,
    /// Which method it is.
    pub method: Option<MethodId>,
    /// Where its events are seen too.
    pub notifier: Option<NodeId>,
}

/// The tree by path.
pub struct Tree {
    pub entries: HashMap<String, Entry>,
    /// References from standard nodes into the tree.
    pub roots: Vec<(NodeId, Reference)>,
}

/// Adds nodes under their parents.
pub struct TreeBuilder<'a> {
    pub plant: &'a Plant,
    pub types: &'a Types,
    pub namespace: u16,
    pub process_units: &'a BTreeMap<(MachineId, String), String>,
    pub entries: HashMap<String, Entry>,
}

impl Tree {
    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }
}

impl TreeBuilder<'_> {
    pub fn id(&self, path: &str) -> NodeId {
        NodeId::new(self.namespace, path)
    }

    pub fn add(
        &mut self,
        path: &str,
        name: &str,
        (display, text): (&str, &str),
        kind: NodeKind,
    ) -> NodeId {
        let id = self.id(path);
        let mut references = Vec::new();
        let type_definition = match &kind {
            NodeKind::Object { type_definition, .. }
            | NodeKind::Variable { type_definition, .. } => Some(type_definition.clone()),
            _ => None,
        };
        if let Some(target) = type_definition {
            references.push(Reference::forward(ReferenceTypeId::HasTypeDefinition, target));
        }
        let node = Node {
            id: id.clone(),
            browse_name: QualifiedName::new(self.namespace, name),
            display_name: LocalizedText::from(display),
            description: LocalizedText::from(text),
            protection: Protection::Open,
            kind,
        };
        let node = Arc::new(node);
        let entry = Entry { node, source: None, references, method: None, notifier: None };
        self.entries.insert(path.to_owned(), entry);
        id
    }

    pub fn link(&mut self, parent: &str, kind: ReferenceTypeId, child: &str) {
        let (from, to) = (self.id(parent), self.id(child));
        if let Some(entry) = self.entries.get_mut(parent) {
            entry.references.push(Reference::forward(kind, to));
        }
        if let Some(entry) = self.entries.get_mut(child) {
            entry.references.push(Reference::inverse(kind, from));
        }
    }

    pub fn object(&mut self, path: &str, name: &str, texts: (&str, &str), type_definition: NodeId) {
        self.add(path, name, texts, NodeKind::Object { type_definition, notifier: false });
    }

    /// A component variable of an object.
    pub fn variable(
        &mut self,
        parent: &str,
        (name, text): (&str, &str),
        (data_type, type_definition): (NodeId, NodeId),
        source: Source,
    ) -> String {
        let path = format!("{parent}/{name}");
        let kind =
            NodeKind::Variable { type_definition, data_type, value_rank: -1, historizing: false };
        self.add(&path, name, (name, text), kind);
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.source = Some(source);
        }
        self.link(parent, ReferenceTypeId::HasComponent, &path);
        path
    }

    pub fn plain(
        &mut self,
        parent: &str,
        name: &str,
        text: &str,
        data_type: DataTypeId,
        source: Source,
    ) -> String {
        let types = (data_type.into(), VariableTypeId::BaseDataVariableType.into());
        self.variable(parent, (name, text), types, source)
    }

    /// A property in the namespace of OPC UA itself.
    pub fn property(&mut self, parent: &str, name: &str, data_type: DataTypeId, value: Variant) {
        let path = format!("{parent}/{name}");
        let kind = NodeKind::Variable {
            type_definition: VariableTypeId::PropertyType.into(),
            data_type: data_type.into(),
            value_rank: -1,
            historizing: false,
        };
        self.add(&path, name, (name, property_text(name)), kind);
        if let Some(entry) = self.entries.get_mut(&path) {
            Arc::make_mut(&mut entry.node).browse_name = QualifiedName::new(0, name);
            entry.source = Some(Source::Constant(value));
        }
        self.link(parent, ReferenceTypeId::HasProperty, &path);
    }

    pub fn engineering_units(&mut self, parent: &str, (code, display): (&str, &str)) {
        let unit_id = code.bytes().fold(0_i32, |id, byte| (id << 8) | i32::from(byte));
        let unit = EUInformation {
            namespace_uri: UNITS.into(),
            unit_id,
            display_name: LocalizedText::from(display),
            description: LocalizedText::from(display),
        };
        let value = Variant::from(ExtensionObject::from_message(unit));
        self.property(parent, "EngineeringUnits", DataTypeId::EUInformation, value);
    }

    /// Says that values are stored, and that they hold until the next.
    pub fn historize(&mut self, path: &str) {
        if let Some(entry) = self.entries.get_mut(path)
            && let NodeKind::Variable { historizing, .. } = &mut Arc::make_mut(&mut entry.node).kind
        {
            *historizing = true;
        }
        let configuration = format!("{path}/HA Configuration");
        let texts = ("HA Configuration", "How stored values of the variable are to be read.");
        let kind = ObjectTypeId::HistoricalDataConfigurationType.into();
        self.object(&configuration, "HA Configuration", texts, kind);
        if let Some(entry) = self.entries.get_mut(&configuration) {
            Arc::make_mut(&mut entry.node).browse_name = QualifiedName::new(0, "HA Configuration");
        }
        self.link(path, ReferenceTypeId::HasHistoricalConfiguration, &configuration);
        self.property(&configuration, "Stepped", DataTypeId::Boolean, Variant::Boolean(true));
    }

    /// Lets events of an object be subscribed to, and be seen at the one above it.
    pub fn notifies(&mut self, path: &str, above: Option<&str>) {
        let above_id = above.map(|above| self.id(above));
        if let Some(entry) = self.entries.get_mut(path) {
            if let NodeKind::Object { notifier, .. } = &mut Arc::make_mut(&mut entry.node).kind {
                *notifier = true;
            }
            entry.notifier = above_id;
        }
        match above {
            Some(above) => self.link(above, ReferenceTypeId::HasNotifier, path),
            None => {
                if let Some(entry) = self.entries.get_mut(path) {
                    let server = Reference::inverse(ReferenceTypeId::HasNotifier, ObjectId::Server);
                    entry.references.push(server);
                }
            }
        }
    }

    pub fn method(&mut self, parent: &str, method: MethodId) {
        let definition = methods::definition(method);
        let path = format!("{parent}/{}", definition.name);
        let kind = NodeKind::Method {
            inputs: definition.inputs.clone(),
            outputs: definition.outputs.clone(),
        };
        self.add(&path, definition.name, (definition.name, definition.text), kind);
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.method = Some(method);
            let protection = Protection::Method(method.permission());
            Arc::make_mut(&mut entry.node).protection = protection;
        }
        self.link(parent, ReferenceTypeId::HasComponent, &path);
        for (name, arguments) in
            [("InputArguments", definition.inputs), ("OutputArguments", definition.outputs)]
        {
            self.property(&path, name, DataTypeId::Argument, list_of(arguments));
            let entry = self.entries.get_mut(&format!("{path}/{name}"));
            let kind = entry.map(|entry| &mut Arc::make_mut(&mut entry.node).kind);
            if let Some(NodeKind::Variable { value_rank, .. }) = kind {
                *value_rank = 1;
            }
        }
    }

    /// The role of ERP systems, which OPC UA does not know.
    pub fn erp_role(&mut self) {
        let path = "role/erp";
        let texts = ("Erp", "The role of the ERP system: stores, moves and reports job orders.");
        self.object(path, "Erp", texts, ObjectTypeId::RoleType.into());
        debug_assert_eq!(self.id(path), role_id(Role::Erp, self.namespace));
        let set = Reference::inverse(
            ReferenceTypeId::HasComponent,
            ObjectId::Server_ServerCapabilities_RoleSet,
        );
        if let Some(entry) = self.entries.get_mut(path) {
            entry.references.push(set);
        }
    }

    /// What is to be known about a namespace (Part 5 §6.3.13).
    pub fn namespace_metadata(&mut self, key: &str, uri: &str, version: Option<&str>) -> NodeId {
        let path = format!("namespace/{key}");
        let texts = (uri, "What is to be known about the namespace.");
        self.object(&path, uri, texts, ObjectTypeId::NamespaceMetadataType.into());
        let above = ObjectId::Server_Namespaces;
        if let Some(entry) = self.entries.get_mut(&path) {
            entry.references.push(Reference::inverse(ReferenceTypeId::HasComponent, above));
        }
        let rows = [
            ("NamespaceUri", DataTypeId::String, Variant::from(uri)),
            ("NamespaceVersion", DataTypeId::String, Variant::from(version.unwrap_or_default())),
            ("IsNamespaceSubset", DataTypeId::Boolean, Variant::Boolean(false)),
        ];
        for (name, data_type, value) in rows {
            self.property(&path, name, data_type, value);
        }
        self.id(&path)
    }
}

/// What a property of OPC UA says.
fn property_text(name: &str) -> &'static str {
    match name {
        "EngineeringUnits" => "Unit of the value, as UNECE Recommendation 20 names it.",
        "EURange" => "The values that are to be expected.",
        "Stepped" => "Whether a stored value holds until the next one.",
        "InputArguments" => "What the method is called with.",
        "OutputArguments" => "What the method gives back.",
        "NamespaceUri" => "URI of the namespace.",
        "NamespaceVersion" => "Version of the namespace; empty when it has none.",
        "IsNamespaceSubset" => "Whether nodes of the namespace are missing here.",
        _ => "A property.",
    }
}

/// The values of an arguments property.
fn list_of(arguments: Vec<Argument>) -> Variant {
    let list: Vec<_> = arguments.into_iter().map(ExtensionObject::from_message).collect();
    Variant::from(list)
}
