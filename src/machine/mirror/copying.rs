//! Making a copy of what is mirrored of a machine: its nodes, the types that they need, and how ids and
//! values of both sides are each other's.

use std::collections::{HashMap, HashSet};

use opcua::types::{
    AttributeId, Context, ExtensionObject, LocalizedText, NodeClass, NodeId, ReferenceTypeId,
    StructureDefinition, Variant,
};

use super::attributes::{self, Said};
use super::event_types::{EventTypes, event_types};
use super::mapping::Mapping;
use super::scope::Scope;
use super::types::{Types, structure};
use super::walk::{Found, walk};
use crate::machine::client::{Failure, Session};
use crate::machine::structure::Layouts;
use crate::mirror::{CopiedNode, CopiedReference, Copy};

/// Letters of a browse name.
const NAME_MAX: usize = 512;
/// Letters of a text for people.
const TEXT_MAX: usize = 4096;
/// Bits of AccessLevel that are told on (Part 3 §8.57).
const READ: u8 = 1;
const WRITE: u8 = 1 << 1;
const HISTORY_READ: u8 = 1 << 2;
/// Bit of EventNotifier that is told on (Part 3 §8.59).
const SUBSCRIBE: u8 = 1;

/// What a copy has come to.
pub struct Copied {
    /// The nodes.
    pub copy: Copy,
    /// Ids and values of both sides.
    pub mapping: Mapping,
    /// Which events it tells; none where it tells none, or none is wanted.
    pub events: Option<EventTypes>,
    /// What is not as it is configured, in plain words.
    pub notes: Vec<String>,
}

/// Copies what is mirrored of a machine.
pub async fn copy(
    session: &Session,
    scope: &Scope,
    namespaces: &[String],
    mut mapping: Mapping,
) -> Result<Copied, Failure> {
    let mut notes = Vec::new();
    let walked = walk(session, scope, namespaces).await?;
    if walked.is_cut {
        let max = scope.nodes_max;
        notes.push(format!("there are more than {max} nodes; some are not mirrored"));
    }
    if walked.nodes.is_empty() {
        notes.push("nothing of the machine is where it is to be mirrored".into());
    }
    if !scope.record.is_empty() && !walked.nodes.values().any(|node| node.is_recorded) {
        notes.push("there is no variable where values are to be recorded".into());
    }
    let ids: Vec<NodeId> = walked.nodes.keys().cloned().collect();
    let mut said = Said::default();
    attributes::read(session, &ids, &walked.nodes, &mut said).await?;
    let events = match scope.events {
        true => event_types(session).await?,
        false => None,
    };
    if events.as_ref().is_some_and(|events| events.is_cut) {
        notes.push("the machine has too many types of events; some come with less".into());
    }
    let mut types = Types::new(session, &mapping);
    let mut used = types_of(&walked.nodes);
    used.extend(events.iter().flat_map(|events| events.types.iter().cloned()));
    let data_types = ids.iter().filter_map(|id| said.data_type(id)).collect();
    types.copy(used, data_types).await?;
    if types.is_cut {
        notes.push("the machine has too many types; some are not mirrored".into());
    }
    let Types { nodes: type_nodes, said: types_said, above, data_types, .. } = types;
    let layouts = layouts(session, &data_types, &mut notes).await?;
    let own: HashSet<NodeId> = walked.nodes.keys().chain(type_nodes.keys()).cloned().collect();
    mapping.complete(own, scope.is_all(), layouts);
    let writing = Writing {
        mapping: &mapping,
        context: &session.context().context(),
        has_events: events.is_some(),
    };
    let mut nodes = HashMap::new();
    writing.write(&walked.nodes, said, &mut nodes);
    writing.write(&type_nodes, types_said, &mut nodes);
    writing.refer(walked.nodes.iter().chain(&type_nodes), &above, &mut nodes);
    let roots = walked.roots.iter().map(|id| mapping.here(id)).filter(|id| !id.is_null());
    let copy = Copy { roots: roots.collect(), nodes: nodes.into_values().collect() };
    Ok(Copied { copy, mapping, events, notes })
}

fn types_of(nodes: &HashMap<NodeId, Found>) -> HashSet<NodeId> {
    let kinds = nodes.values().flat_map(|node| &node.references);
    // References to what is not mirrored are not shown.
    let kinds = kinds.filter(|(_, target)| nodes.contains_key(target));
    let kinds = kinds.map(|(kind, _)| kind.clone());
    nodes.values().map(|node| node.type_definition.clone()).chain(kinds).collect()
}

/// How the structures among data types are laid out.
async fn layouts(
    session: &Session,
    data_types: &HashSet<NodeId>,
    notes: &mut Vec<String>,
) -> Result<Layouts, Failure> {
    let mut layouts = Layouts::default();
    layouts.add_argument();
    for data_type in data_types.iter().filter(|id| id.namespace > 0) {
        match layouts.learn(session, data_type).await {
            Ok(()) => {}
            Err(failure) if failure.is_broken() => return Err(failure),
            // Values of it are passed on as they are.
            Err(failure) => notes.push(failure.to_string()),
        }
    }
    Ok(layouts)
}

/// Writes down nodes under the ids of our server.
struct Writing<'a> {
    mapping: &'a Mapping,
    context: &'a Context<'a>,
    /// Whether events of the machine are told on.
    has_events: bool,
}

impl Writing<'_> {
    fn write(
        &self,
        found: &HashMap<NodeId, Found>,
        mut said: Said,
        nodes: &mut HashMap<NodeId, CopiedNode>,
    ) {
        for (there, found) in found {
            let id = self.mapping.here(there);
            // A name that no client could ask for is none (Part 3 §8.3).
            if id.is_null() || found.browse_name.name.as_ref().chars().count() > NAME_MAX {
                continue;
            }
            let mut said = said.take(there);
            let description = said.extract_if(.., |(at, _)| *at == AttributeId::Description);
            let description = match description.map(|(_, value)| value).next() {
                Some(Variant::LocalizedText(text)) => bounded(*text),
                _ => LocalizedText::null(),
            };
            let is_allowed = found.is_allowed && may(found.class, &said);
            let is_recorded = found.is_recorded && access_level(&said) & READ != 0;
            let node = CopiedNode {
                id: id.clone(),
                class: found.class,
                browse_name: self.mapping.name_here(&found.browse_name),
                display_name: bounded(found.display_name.clone()),
                description,
                type_definition: match found.type_definition.is_null() {
                    true => NodeId::null(),
                    false => self.mapping.here(&found.type_definition),
                },
                attributes: self.attributes(found.class, said, (is_allowed, is_recorded)),
                is_allowed,
                is_recorded,
                references: Vec::new(),
            };
            nodes.insert(id, node);
        }
    }

    fn attributes(
        &self,
        class: NodeClass,
        said: Vec<(AttributeId, Variant)>,
        (is_allowed, is_recorded): (bool, bool),
    ) -> Vec<(AttributeId, Variant)> {
        let mut attributes = Vec::with_capacity(said.len());
        let access = access_level(&said);
        for (attribute, value) in said {
            let value = match (attribute, value) {
                (AttributeId::UserAccessLevel | AttributeId::UserExecutable, _) => continue,
                (AttributeId::AccessLevel, _) => {
                    let write = if is_allowed { WRITE } else { 0 };
                    let history = if is_recorded { HISTORY_READ } else { 0 };
                    Variant::Byte(access & (READ | HISTORY_READ) | write | history)
                }
                (AttributeId::Historizing, _) if is_recorded => Variant::Boolean(true),
                (AttributeId::Executable, _) => Variant::Boolean(is_allowed),
                (AttributeId::EventNotifier, Variant::Byte(bits)) => {
                    // History of events is not told on.
                    Variant::Byte(if self.has_events { bits & SUBSCRIBE } else { 0 })
                }
                (AttributeId::DataTypeDefinition, value) => self.definition(value),
                (AttributeId::DataType, Variant::NodeId(id)) => self.mapping.here(&id).into(),
                (_, value) => value,
            };
            attributes.push((attribute, value));
        }
        if class == NodeClass::Variable
            && !attributes.iter().any(|(known, _)| *known == AttributeId::AccessLevel)
        {
            let history = if is_recorded { HISTORY_READ } else { 0 };
            attributes.push((AttributeId::AccessLevel, Variant::Byte(READ | history)));
        }
        attributes
    }

    /// How a data type is made, with the ids of our server.
    fn definition(&self, value: Variant) -> Variant {
        let Some(structure) = structure(&value, self.context) else { return value };
        let fields = structure.fields.unwrap_or_default().into_iter().map(|mut field| {
            field.data_type = self.mapping.here(&field.data_type);
            field
        });
        let structure = StructureDefinition {
            default_encoding_id: self.mapping.here(&structure.default_encoding_id),
            base_data_type: self.mapping.here(&structure.base_data_type),
            structure_type: structure.structure_type,
            fields: Some(fields.collect()),
        };
        Variant::ExtensionObject(ExtensionObject::from_message(structure))
    }

    /// Adds references between what is mirrored, and to types that our server has itself.
    fn refer<'b>(
        &self,
        found: impl Iterator<Item = (&'b NodeId, &'b Found)>,
        above: &HashMap<NodeId, NodeId>,
        nodes: &mut HashMap<NodeId, CopiedNode>,
    ) {
        let definition: NodeId = ReferenceTypeId::HasTypeDefinition.into();
        let mut add = |from: &NodeId, kind: &NodeId, to: &NodeId| {
            let to_mirrored = nodes.contains_key(to);
            if !to_mirrored && !self.mapping.ground().has_type_node(to) {
                return;
            }
            for (at, forward, target) in [(from, true, to), (to, false, from)] {
                // What is shared with others does not lead back to each of its instances.
                if let Some(node) = nodes.get_mut(at)
                    && (forward || *kind != definition)
                {
                    let (kind, target) = (kind.clone(), target.clone());
                    let reference = CopiedReference { kind, forward, target };
                    if !node.references.contains(&reference) {
                        node.references.push(reference);
                    }
                }
            }
        };
        for (there, node) in found {
            let from = self.mapping.here(there);
            for (kind, target) in &node.references {
                add(&from, &self.mapping.here(kind), &self.mapping.here(target));
            }
        }
        let subtype: NodeId = ReferenceTypeId::HasSubtype.into();
        for (below, above) in above {
            let (below, above) = (self.mapping.here(below), self.mapping.here(above));
            add(&above, &subtype, &below);
        }
    }
}

/// A text for people, of a length that people read.
fn bounded(mut text: LocalizedText) -> LocalizedText {
    if text.text.as_ref().len() > TEXT_MAX {
        let short: String = text.text.as_ref().chars().take(TEXT_MAX).collect();
        text.text = short.into();
    }
    text
}

/// Whether the machine lets us write a variable or call a method.
fn may(class: NodeClass, said: &[(AttributeId, Variant)]) -> bool {
    match class {
        NodeClass::Variable => access_level(said) & WRITE != 0,
        NodeClass::Method => !said.iter().any(|(attribute, value)| {
            matches!(attribute, AttributeId::Executable | AttributeId::UserExecutable)
                && *value == Variant::Boolean(false)
        }),
        _ => false,
    }
}

/// What we may do with a variable.
fn access_level(said: &[(AttributeId, Variant)]) -> u8 {
    let level = |attribute: AttributeId| {
        let found = said.iter().find(|(known, _)| *known == attribute);
        match found {
            Some((_, Variant::Byte(level))) => Some(*level),
            _ => None,
        }
    };
    let own = level(AttributeId::UserAccessLevel);
    level(AttributeId::AccessLevel).unwrap_or(READ) & own.unwrap_or(u8::MAX)
}
