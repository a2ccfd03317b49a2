//! Looking around at a machine, for people: its nodes as a tree, with types and values, bounded in
//! every direction. Nothing is subscribed and nothing changed.

use std::collections::{HashMap, HashSet};

use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResultMask, DataValue, NodeClass,
    NodeId, ObjectId, ReadValueId, ReferenceDescription, ReferenceTypeId, StatusCode,
    TimestampsToReturn, Variant,
};

use super::Node;
use super::client::{Failure, Session};
use super::text::{self, Shown};
use super::value::{source_time, status};
use crate::domain::time::Timestamp;

/// Nodes whose children or attributes are asked for at once.
const AT_ONCE: usize = 200;
/// Steps from a type up that are taken.
const SUPERTYPES_MAX: usize = 10;
const WRITE: u8 = 1 << 1;
const HISTORY_READ: u8 = 1 << 2;

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Levels below the first node.
    pub depth: usize,
    /// Nodes in all.
    pub nodes: usize,
    /// Whether the Server object, which all machines have, is looked into.
    pub with_server: bool,
}

/// A node of a machine.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Levels below the first node.
    pub depth: usize,
    /// Browse names from the first node on, with `/` between them.
    pub path: String,
    /// Its id.
    pub node: Node,
    /// Name for people.
    pub name: String,
    /// Object, Variable or Method.
    pub class: &'static str,
    /// Browse name of its type; empty where it has none.
    pub type_name: String,
    /// Id of its type.
    pub type_node: Option<Node>,
    /// Types above that, the nearest first.
    pub supertypes: Vec<Node>,
    /// Namespace of its browse name.
    pub name_namespace: Option<String>,
    /// What it holds, if it is a variable.
    pub variable: Option<SeenValue>,
    /// Whether it is another way to a node that was seen before.
    pub is_again: bool,
}

/// A variable's value.
#[derive(Clone, Debug)]
pub struct SeenValue {
    /// Name of its data type.
    pub data_type: String,
    /// The value.
    pub value: Shown,
    /// Status code.
    pub status: u32,
    /// Its source time.
    pub at: Option<Timestamp>,
    /// Whether we may write it.
    pub is_writable: bool,
    /// Whether we may read its history.
    pub has_history: bool,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// Nodes, each behind the one it is below.
    pub nodes: Vec<Seen>,
    /// Whether there is more than was looked at.
    pub is_cut: bool,
}

struct Found {
    parent: Option<usize>,
    depth: usize,
    path: String,
    id: NodeId,
    reference: ReferenceDescription,
    is_again: bool,
}

/// Looks around below a node; the objects of the machine if none is given.
pub async fn explore(
    session: &Session,
    namespaces: &[String],
    from: Option<NodeId>,
    bounds: Bounds,
) -> Result<Sight, Failure> {
    let from = from.unwrap_or_else(|| ObjectId::ObjectsFolder.into());
    let (found, is_cut) = walk(session, from, bounds).await?;
    let types = names_of_types(session, &found).await?;
    let above = supertypes(session, types.keys().cloned().collect()).await?;
    let values = values(session, &found).await?;
    let mut seen: Vec<Option<Seen>> = Vec::with_capacity(found.len());
    for (index, one) in found.iter().enumerate() {
        let mut described = describe(one, namespaces, &types, values.get(&index));
        let types = above.get(&one.reference.type_definition.node_id).into_iter().flatten();
        described.supertypes = types.map(|id| Node::of(id, namespaces)).collect();
        seen.push(Some(described));
    }
    let mut children: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
    for (index, one) in found.iter().enumerate() {
        children.entry(one.parent).or_default().push(index);
    }
    let mut nodes = Vec::with_capacity(found.len());
    let mut stack: Vec<usize> = children.remove(&None).unwrap_or_default();
    stack.reverse();
    while let Some(index) = stack.pop() {
        nodes.extend(seen[index].take());
        let below = children.remove(&Some(index)).unwrap_or_default();
        stack.extend(below.into_iter().rev());
    }
    Ok(Sight { nodes, is_cut })
}

/// All nodes below one, level by level; a node is entered once.
async fn walk(
    session: &Session,
    from: NodeId,
    bounds: Bounds,
) -> Result<(Vec<Found>, bool), Failure> {
    let mut entered: HashSet<NodeId> = HashSet::from([from.clone()]);
    let mut level: Vec<(Option<usize>, NodeId, String)> = vec![(None, from, String::new())];
    let (mut found, mut is_cut): (Vec<Found>, bool) = (Vec::new(), false);
    for depth in 0..bounds.depth {
        let mut next = Vec::new();
        for part in level.chunks(AT_ONCE) {
            let asked: Vec<_> = part.iter().map(|(_, id, _)| children_of(id)).collect();
            for ((parent, _, path), browsed) in part.iter().zip(session.browse(&asked).await?) {
                is_cut |= browsed.is_cut;
                for reference in browsed.references {
                    if found.len() >= bounds.nodes {
                        return Ok((found, true));
                    }
                    let id = reference.node_id.node_id.clone();
                    let is_elsewhere = reference.node_id.server_index != 0;
                    let is_server = id == ObjectId::Server && !bounds.with_server;
                    let name = text::plain(reference.browse_name.name.as_ref());
                    let path = match path.is_empty() {
                        true => name,
                        false => format!("{path}/{name}"),
                    };
                    let is_new = !is_elsewhere && entered.insert(id.clone());
                    if is_new && !is_server && reference.node_class != NodeClass::Method {
                        next.push((Some(found.len()), id.clone(), path.clone()));
                    }
                    let is_again = !is_new;
                    found.push(Found { parent: *parent, depth, path, id, reference, is_again });
                }
            }
        }
        level = next;
    }
    is_cut |= !level.is_empty();
    Ok((found, is_cut))
}

fn children_of(id: &NodeId) -> BrowseDescription {
    BrowseDescription {
        node_id: id.clone(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        include_subtypes: true,
        node_class_mask: (NodeClass::Object as u32)
            | (NodeClass::Variable as u32)
            | (NodeClass::Method as u32),
        result_mask: BrowseResultMask::All as u32,
    }
}

fn attribute(id: &NodeId, attribute: AttributeId) -> ReadValueId {
    ReadValueId { node_id: id.clone(), attribute_id: attribute as u32, ..ReadValueId::default() }
}

async fn names_of_types(
    session: &Session,
    found: &[Found],
) -> Result<HashMap<NodeId, String>, Failure> {
    let types: HashSet<NodeId> = found
        .iter()
        .map(|one| one.reference.type_definition.node_id.clone())
        .filter(|id| !id.is_null())
        .collect();
    names(session, types.into_iter().collect()).await
}

/// The types above each of these, the nearest first.
async fn supertypes(
    session: &Session,
    types: Vec<NodeId>,
) -> Result<HashMap<NodeId, Vec<NodeId>>, Failure> {
    let mut chains: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    // Those of OPC UA itself say nothing about what a machine is.
    let mut ends: Vec<(NodeId, NodeId)> =
        types.into_iter().filter(|id| id.namespace > 0).map(|id| (id.clone(), id)).collect();
    for _ in 0..SUPERTYPES_MAX {
        let asked: Vec<_> = ends
            .iter()
            .map(|(_, end)| BrowseDescription {
                node_id: end.clone(),
                browse_direction: BrowseDirection::Inverse,
                reference_type_id: ReferenceTypeId::HasSubtype.into(),
                include_subtypes: false,
                node_class_mask: 0,
                result_mask: BrowseResultMask::None as u32,
            })
            .collect();
        let mut next = Vec::new();
        for ((of, _), browsed) in ends.into_iter().zip(session.browse(&asked).await?) {
            let Some(above) = browsed.references.into_iter().next() else { continue };
            let above = above.node_id.node_id;
            chains.entry(of.clone()).or_default().push(above.clone());
            if above.namespace > 0 {
                next.push((of, above));
            }
        }
        ends = next;
        if ends.is_empty() {
            break;
        }
    }
    Ok(chains)
}

/// Browse names of nodes.
pub async fn names(
    session: &Session,
    ids: Vec<NodeId>,
) -> Result<HashMap<NodeId, String>, Failure> {
    let asked: Vec<_> = ids.iter().map(|id| attribute(id, AttributeId::BrowseName)).collect();
    let named = session.read(&asked, TimestampsToReturn::Neither).await?;
    let name = |value: &DataValue| match &value.value {
        Some(Variant::QualifiedName(name)) => text::plain(name.name.as_ref()),
        _ => String::new(),
    };
    Ok(ids.into_iter().zip(named.iter().map(name)).collect())
}

async fn values(session: &Session, found: &[Found]) -> Result<HashMap<usize, SeenValue>, Failure> {
    const ATTRIBUTES: [AttributeId; 3] =
        [AttributeId::Value, AttributeId::DataType, AttributeId::UserAccessLevel];
    let variables = found.iter().enumerate();
    let variables: Vec<_> =
        variables.filter(|(_, one)| one.reference.node_class == NodeClass::Variable).collect();
    let mut answers = Vec::new();
    for part in variables.chunks(AT_ONCE) {
        let asked = part.iter().flat_map(|(_, one)| ATTRIBUTES.map(|a| attribute(&one.id, a)));
        let asked: Vec<_> = asked.collect();
        answers.extend(session.read(&asked, TimestampsToReturn::Both).await?);
    }
    let type_of = |answer: &DataValue| match &answer.value {
        Some(Variant::NodeId(id)) => Some((**id).clone()),
        _ => None,
    };
    let types: HashSet<NodeId> = answers.chunks(3).filter_map(|a| type_of(&a[1])).collect();
    let types = names(session, types.into_iter().collect()).await?;
    let seen = variables.iter().zip(answers.chunks(3)).map(|((index, _), answers)| {
        let level = match &answers[2].value {
            Some(Variant::Byte(level)) => *level,
            _ => 0,
        };
        let data_type = type_of(&answers[1]).and_then(|id| types.get(&id).cloned());
        let seen = SeenValue {
            data_type: data_type.unwrap_or_default(),
            value: text::shown(answers[0].value.as_ref()),
            status: status(&answers[0]),
            at: source_time(&answers[0]),
            is_writable: level & WRITE != 0,
            has_history: level & HISTORY_READ != 0,
        };
        (*index, seen)
    });
    Ok(seen.collect())
}

fn describe(
    one: &Found,
    namespaces: &[String],
    types: &HashMap<NodeId, String>,
    value: Option<&SeenValue>,
) -> Seen {
    let reference = &one.reference;
    let type_id = &reference.type_definition.node_id;
    let namespace = usize::from(reference.browse_name.namespace_index);
    Seen {
        depth: one.depth,
        path: one.path.clone(),
        node: Node::of(&one.id, namespaces),
        name: text::plain(reference.display_name.text.as_ref()),
        class: match reference.node_class {
            NodeClass::Object => "Object",
            NodeClass::Variable => "Variable",
            NodeClass::Method => "Method",
            _ => "other",
        },
        type_name: types.get(type_id).cloned().unwrap_or_default(),
        type_node: (!type_id.is_null()).then(|| Node::of(type_id, namespaces)),
        supertypes: Vec::new(),
        name_namespace: namespaces.get(namespace).filter(|_| namespace > 0).cloned(),
        variable: value.cloned(),
        is_again: one.is_again,
    }
}

/// What a status code is called.
pub fn status_name(status: u32) -> String {
    StatusCode::from(status).to_string()
}
