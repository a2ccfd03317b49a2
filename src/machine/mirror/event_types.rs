//! Which types of events a machine has, and which fields they declare, so that nothing of an event is left
//! behind (Part 5 §6.4, Part 9 §5).

use std::collections::{HashMap, HashSet};

use opcua::types::{
    AttributeId, NodeClass, NodeId, ObjectId, ObjectTypeId, QualifiedName, ReferenceDescription,
    ReferenceTypeId, Variant,
};

use super::attributes;
use super::walk::forward;
use crate::machine::client::{Failure, Session};

/// Types of events of one machine.
const TYPES_MAX: usize = 2000;
/// Fields of all of them together.
const FIELDS_MAX: usize = 1000;
/// Names from an event to a field.
const DEPTH_MAX: usize = 4;
/// Nodes that are browsed at once.
const AT_ONCE: usize = 200;
/// Letters of a name.
const NAME_MAX: usize = 256;
/// Bit of EventNotifier (Part 3 §8.59).
const SUBSCRIBE: u8 = 1;

/// A field that a type of events declares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// The type, as the machine has it.
    pub of_type: NodeId,
    /// Browse names from the event to it.
    pub path: Vec<QualifiedName>,
}

/// The types of events of a machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventTypes {
    /// All that are told on.
    pub types: HashSet<NodeId>,
    /// Those that have a meaning for who listens only, or are about who does what at the machine.
    pub left_out: HashSet<NodeId>,
    /// Their fields, each once: of types above first.
    pub fields: Vec<Field>,
    /// Whether there are more than may be.
    pub is_cut: bool,
}

/// What is not told on, nor is what is below it.
fn is_left_out(id: &NodeId) -> bool {
    [
        ObjectTypeId::AuditEventType,
        ObjectTypeId::BaseModelChangeEventType,
        ObjectTypeId::SemanticChangeEventType,
        ObjectTypeId::RefreshStartEventType,
        ObjectTypeId::RefreshEndEventType,
        ObjectTypeId::RefreshRequiredEventType,
    ]
    .into_iter()
    .any(|one| *id == one)
}

/// The types of events of a machine; none where it tells no events.
pub async fn event_types(session: &Session) -> Result<Option<EventTypes>, Failure> {
    let server: NodeId = ObjectId::Server.into();
    let asked = [attributes::question(&server, AttributeId::EventNotifier)];
    let said = attributes::ask(session, &asked).await?;
    let is_notifier = matches!(&said[..], [Some(Variant::Byte(bits))] if bits & SUBSCRIBE != 0);
    if !is_notifier {
        return Ok(None);
    }
    let mut looking = Looking { session, found: EventTypes::default(), known: HashMap::new() };
    let base: NodeId = ObjectTypeId::BaseEventType.into();
    looking.found.types.insert(base.clone());
    let mut level = vec![(base, HashSet::new())];
    while !level.is_empty() {
        level = looking.look(level).await?;
    }
    Ok(Some(looking.found))
}

/// A type, and the paths that types above it declare.
type Below = (NodeId, HashSet<Vec<QualifiedName>>);

struct Looking<'a> {
    session: &'a Session,
    found: EventTypes,
    /// What nodes refer to.
    known: HashMap<NodeId, Vec<ReferenceDescription>>,
}

impl Looking<'_> {
    /// Takes the fields of some types; gives the types below them.
    async fn look(&mut self, level: Vec<Below>) -> Result<Vec<Below>, Failure> {
        let types: Vec<_> = level.iter().map(|(id, _)| id.clone()).collect();
        self.browse(&types).await?;
        let mut next = Vec::new();
        for (of_type, mut above) in level {
            let is_told = self.found.types.contains(&of_type);
            let paths = if is_told { self.paths(&of_type).await? } else { Vec::new() };
            for path in paths {
                if !above.insert(path.clone()) {
                    continue;
                }
                if self.found.fields.len() >= FIELDS_MAX {
                    self.found.is_cut = true;
                    break;
                }
                self.found.fields.push(Field { of_type: of_type.clone(), path });
            }
            for reference in self.known.get(&of_type).into_iter().flatten() {
                let id = &reference.node_id.node_id;
                if reference.reference_type_id != ReferenceTypeId::HasSubtype {
                    continue;
                }
                let EventTypes { types, left_out, is_cut, .. } = &mut self.found;
                if types.len() + left_out.len() >= TYPES_MAX {
                    *is_cut = true;
                    break;
                }
                let set = if is_told && !is_left_out(id) { types } else { left_out };
                if set.insert(id.clone()) {
                    next.push((id.clone(), above.clone()));
                }
            }
        }
        Ok(next)
    }

    async fn browse(&mut self, ids: &[NodeId]) -> Result<(), Failure> {
        let unknown: Vec<_> = ids.iter().filter(|id| !self.known.contains_key(*id)).collect();
        for part in unknown.chunks(AT_ONCE) {
            for (id, references) in part.iter().zip(forward(self.session, part).await?) {
                self.known.insert((*id).clone(), references);
            }
        }
        Ok(())
    }

    /// The paths of the variables that a type declares.
    async fn paths(&mut self, of_type: &NodeId) -> Result<Vec<Vec<QualifiedName>>, Failure> {
        let mut paths = Vec::new();
        let mut level = vec![(of_type.clone(), Vec::new())];
        for _ in 0..DEPTH_MAX {
            let ids: Vec<_> = level.iter().map(|(id, _)| id.clone()).collect();
            self.browse(&ids).await?;
            let mut next = Vec::new();
            for (id, path) in &level {
                for part in self.known.get(id).into_iter().flatten().filter(|one| is_part(one)) {
                    let mut path: Vec<QualifiedName> = path.clone();
                    path.push(part.browse_name.clone());
                    if part.node_class == NodeClass::Variable {
                        paths.push(path.clone());
                    }
                    if paths.len() + next.len() > FIELDS_MAX {
                        self.found.is_cut = true;
                        return Ok(paths);
                    }
                    next.push((part.node_id.node_id.clone(), path));
                }
            }
            level = next;
        }
        Ok(paths)
    }
}

/// Whether a reference leads to a part of an event.
fn is_part(reference: &ReferenceDescription) -> bool {
    let kind = &reference.reference_type_id;
    let name = reference.browse_name.name.as_ref();
    (*kind == ReferenceTypeId::HasProperty || *kind == ReferenceTypeId::HasComponent)
        && matches!(reference.node_class, NodeClass::Variable | NodeClass::Object)
        && reference.node_id.server_index == 0
        // Names in brackets stand for any number of parts (Part 3 §6.4.4.4.5).
        && !name.starts_with('<')
        && (1..=NAME_MAX).contains(&name.chars().count())
}
