//! Walking over a machine's nodes as far as they are mirrored: what is below what, and how everything
//! refers to everything. Bounded in depth and number, whatever the machine says.

use std::collections::{HashMap, HashSet};

use opcua::types::{
    BrowseDescription, BrowseDirection, BrowseResultMask, LocalizedText, NodeClass, NodeId,
    ObjectId, QualifiedName, ReferenceDescription, ReferenceTypeId,
};

use super::scope::{Candidate, Scope, Standing};
use crate::machine::client::{Failure, Session};

/// Levels below the objects folder.
const DEPTH_MAX: usize = 40;
/// Types that are found below another one.
const SUBTYPES_MAX: usize = 5000;
/// Nodes that are browsed at once.
const AT_ONCE: usize = 200;

/// A node as it was found.
#[derive(Debug)]
pub struct Found {
    /// Its class.
    pub class: NodeClass,
    /// Browse name.
    pub browse_name: QualifiedName,
    /// Display name.
    pub display_name: LocalizedText,
    /// Its type; null where it has none.
    pub type_definition: NodeId,
    /// References that lead forward: their types, and where they lead.
    pub references: Vec<(NodeId, NodeId)>,
    /// How it stands to what is mirrored.
    pub standing: Standing,
    /// Whether it may be written or called, as far as the configuration says.
    pub is_allowed: bool,
    /// Whether its values are kept, as far as the configuration says.
    pub is_recorded: bool,
}

impl Found {
    /// A node that a reference leads to.
    pub fn of(reference: &ReferenceDescription) -> Found {
        Found {
            class: reference.node_class,
            browse_name: reference.browse_name.clone(),
            display_name: reference.display_name.clone(),
            type_definition: reference.type_definition.node_id.clone(),
            references: Vec::new(),
            standing: Standing::In,
            is_allowed: false,
            is_recorded: false,
        }
    }
}

/// What a walk has found.
#[derive(Debug, Default)]
pub struct Walked {
    /// The nodes.
    pub nodes: HashMap<NodeId, Found>,
    /// Those right below the objects folder, with the types of the references to them.
    pub roots: Vec<NodeId>,
    /// Whether there are more than may be.
    pub is_cut: bool,
}

/// Nodes whose neighbours are to be looked at, with their paths.
type Level = Vec<(NodeId, Vec<QualifiedName>, Standing)>;

/// A walk.
struct Walk<'a> {
    scope: &'a Scope,
    namespaces: &'a [String],
    /// Types of references that lead to what is below.
    hierarchical: HashSet<NodeId>,
    /// The types that are mirrored wherever they are.
    wanted: HashSet<NodeId>,
    walked: Walked,
    above: HashMap<NodeId, Vec<NodeId>>,
}

/// Walks over what is mirrored.
pub async fn walk(
    session: &Session,
    scope: &Scope,
    namespaces: &[String],
) -> Result<Walked, Failure> {
    let hierarchical = ReferenceTypeId::HierarchicalReferences.into();
    let mut wanted = HashSet::new();
    for node in &scope.types {
        if let Ok(id) = node.id(namespaces) {
            wanted.extend(subtypes(session, id).await?);
        }
    }
    let mut walk = Walk {
        scope,
        namespaces,
        hierarchical: subtypes(session, hierarchical).await?,
        wanted,
        walked: Walked::default(),
        above: HashMap::new(),
    };
    let objects: NodeId = ObjectId::ObjectsFolder.into();
    let mut level: Level = vec![(objects.clone(), Vec::new(), Standing::OnTheWay)];
    for _ in 0..DEPTH_MAX {
        let mut next = Vec::new();
        for part in level.chunks(AT_ONCE) {
            let ids: Vec<_> = part.iter().map(|(id, ..)| id).collect();
            for (at, references) in part.iter().zip(forward(session, &ids).await?) {
                walk.take(at, references, &mut next);
            }
        }
        level = next;
        if level.is_empty() {
            break;
        }
    }
    walk.walked.is_cut |= !level.is_empty();
    Ok(walk.finish(&objects))
}

impl Walk<'_> {
    fn take(
        &mut self,
        (id, path, standing): &(NodeId, Vec<QualifiedName>, Standing),
        references: Vec<ReferenceDescription>,
        next: &mut Level,
    ) {
        if let Some(known) = self.walked.nodes.get_mut(id) {
            let ends = references.iter().filter(|one| one.node_id.server_index == 0);
            let ends = ends.map(|one| (one.reference_type_id.clone(), one.node_id.node_id.clone()));
            known.references = ends.collect();
        }
        for reference in references {
            let is_here = reference.node_id.server_index == 0;
            let is_node = matches!(
                reference.node_class,
                NodeClass::Object | NodeClass::Variable | NodeClass::Method
            );
            let leads_down = self.hierarchical.contains(&reference.reference_type_id);
            if is_here && is_node && leads_down {
                self.step(id, path, *standing, &reference, next);
            }
        }
    }

    fn step(
        &mut self,
        from: &NodeId,
        path: &[QualifiedName],
        above: Standing,
        reference: &ReferenceDescription,
        next: &mut Level,
    ) {
        let id = &reference.node_id.node_id;
        if *id == ObjectId::ObjectsFolder {
            return;
        }
        let mut path = path.to_vec();
        path.push(reference.browse_name.clone());
        let candidate = Candidate {
            path: &path,
            is_of_type: self.wanted.contains(&reference.type_definition.node_id),
            is_standard: id.namespace == 0,
        };
        let Some(standing) = self.scope.judge(above, &candidate, self.namespaces) else { return };
        if standing == Standing::OnTheWay && reference.node_class != NodeClass::Object {
            return;
        }
        let is_allowed = match reference.node_class {
            NodeClass::Variable => self.scope.may_write(&path, self.namespaces),
            NodeClass::Method => self.scope.may_call(&path, self.namespaces),
            _ => false,
        };
        let is_recorded = reference.node_class == NodeClass::Variable
            && self.scope.is_recorded(&path, self.namespaces);
        self.above.entry(id.clone()).or_default().push(from.clone());
        let (count, max) = (self.walked.nodes.len(), self.scope.nodes_max);
        let known = match self.walked.nodes.get_mut(id) {
            Some(known) => {
                known.is_allowed |= is_allowed;
                known.is_recorded |= is_recorded;
                if known.standing >= standing {
                    return;
                }
                known
            }
            None if count >= max => {
                self.walked.is_cut = true;
                return;
            }
            None => self.walked.nodes.entry(id.clone()).or_insert_with(|| Found {
                is_allowed,
                is_recorded,
                ..Found::of(reference)
            }),
        };
        known.standing = standing;
        next.push((id.clone(), path, standing));
    }

    /// Leaves out what has led to nothing.
    fn finish(mut self, objects: &NodeId) -> Walked {
        let is_in =
            |(id, node): (&NodeId, &Found)| (node.standing == Standing::In).then(|| id.clone());
        let mut kept: HashSet<NodeId> = self.walked.nodes.iter().filter_map(is_in).collect();
        let mut up: Vec<NodeId> = kept.iter().cloned().collect();
        while let Some(id) = up.pop() {
            for above in self.above.get(&id).into_iter().flatten() {
                if kept.insert(above.clone()) {
                    up.push(above.clone());
                }
            }
        }
        self.walked.nodes.retain(|id, _| kept.contains(id));
        let is_root = |id: &&NodeId| self.above.get(*id).is_some_and(|a| a.contains(objects));
        self.walked.roots = self.walked.nodes.keys().filter(is_root).cloned().collect();
        self.walked
    }
}

/// All references that lead forward from some nodes.
pub async fn forward(
    session: &Session,
    ids: &[&NodeId],
) -> Result<Vec<Vec<ReferenceDescription>>, Failure> {
    let asked = |id: &&NodeId| BrowseDescription {
        node_id: (*id).clone(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::References.into(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: BrowseResultMask::All as u32,
    };
    let asked: Vec<_> = ids.iter().map(asked).collect();
    Ok(session.browse(&asked).await?.into_iter().map(|browsed| browsed.references).collect())
}

/// A type and all types below it.
async fn subtypes(session: &Session, id: NodeId) -> Result<HashSet<NodeId>, Failure> {
    let mut all = HashSet::from([id.clone()]);
    let mut level = vec![id];
    while !level.is_empty() && all.len() < SUBTYPES_MAX {
        let asked = |id: &NodeId| BrowseDescription {
            node_id: id.clone(),
            browse_direction: BrowseDirection::Forward,
            reference_type_id: ReferenceTypeId::HasSubtype.into(),
            include_subtypes: false,
            node_class_mask: 0,
            result_mask: BrowseResultMask::None as u32,
        };
        let asked: Vec<_> = level.iter().map(asked).collect();
        let below = session.browse(&asked).await?.into_iter().flat_map(|one| one.references);
        level = below
            .map(|reference| reference.node_id.node_id)
            .filter(|id| all.insert(id.clone()))
            .collect();
    }
    Ok(all)
}
