//! The types that mirrored nodes have and our server does not know, or knows otherwise: copied from the
//! machine with what they declare, up to a type that both have.

use std::collections::{HashMap, HashSet};

use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResultMask, Context, EnumDefinition,
    NodeClass, NodeId, ObjectId, QualifiedName, ReferenceTypeId, StructureDefinition, Variant,
};

use super::attributes::{self, Said};
use super::mapping::Mapping;
use super::scope::Standing;
use super::walk::{Found, forward};
use crate::channel::decode::{Reader, raw_body};
use crate::machine::client::{Failure, Session};

/// Types and their declarations that are copied from one machine.
const NODES_MAX: usize = 20_000;
/// Levels of declarations, and of types of types.
const ROUNDS_MAX: usize = 60;
/// Nodes that are browsed at once.
const AT_ONCE: usize = 200;

/// Types that are copied.
pub struct Types<'a> {
    session: &'a Session,
    mapping: &'a Mapping,
    /// The types, and what they declare.
    pub nodes: HashMap<NodeId, Found>,
    /// What they say of themselves.
    pub said: Said,
    /// The types above them.
    pub above: HashMap<NodeId, NodeId>,
    /// Data types in use, those that are not copied too.
    pub data_types: HashSet<NodeId>,
    /// Whether there are more than may be.
    pub is_cut: bool,
    seen: HashSet<NodeId>,
}

impl<'a> Types<'a> {
    /// No types yet.
    pub fn new(session: &'a Session, mapping: &'a Mapping) -> Types<'a> {
        Types {
            session,
            mapping,
            nodes: HashMap::new(),
            said: Said::default(),
            above: HashMap::new(),
            data_types: HashSet::new(),
            is_cut: false,
            seen: HashSet::new(),
        }
    }

    /// Copies types, and all that they are made of.
    pub async fn copy(
        &mut self,
        types: HashSet<NodeId>,
        data_types: HashSet<NodeId>,
    ) -> Result<(), Failure> {
        let (mut types, mut data_types) = (types, data_types);
        for _ in 0..ROUNDS_MAX {
            let wanted = self.unknown(types, data_types).await?;
            if wanted.is_empty() {
                return Ok(());
            }
            let added = self.add(wanted).await?;
            attributes::read(self.session, &added, &self.nodes, &mut self.said).await?;
            (types, data_types) = self.used_by(&added);
        }
        self.is_cut = true;
        Ok(())
    }

    /// Of some types, those that are not known here as they are there.
    async fn unknown(
        &mut self,
        types: HashSet<NodeId>,
        data_types: HashSet<NodeId>,
    ) -> Result<Vec<NodeId>, Failure> {
        let is_known = |id: &NodeId| {
            let shared = self.mapping.shared(id);
            shared.filter(|id| id.namespace == 0 || self.mapping.ground().has_type_node(id))
        };
        let mut wanted: Vec<NodeId> = Vec::new();
        let mut compared = Vec::new();
        for id in types.into_iter().filter(|id| !id.is_null() && !self.seen.contains(id)) {
            if is_known(&id).is_none() {
                wanted.push(id);
            }
        }
        for id in data_types.iter().filter(|id| !id.is_null() && !self.seen.contains(*id)) {
            match is_known(id) {
                None => wanted.push(id.clone()),
                Some(shared) if shared.namespace > 0 => compared.push((id.clone(), shared)),
                Some(_) => {}
            }
        }
        let asked: Vec<_> = compared
            .iter()
            .map(|(id, _)| attributes::question(id, AttributeId::DataTypeDefinition))
            .collect();
        let answers = attributes::ask(self.session, &asked).await?;
        let context = self.session.context().context();
        for ((id, shared), there) in compared.into_iter().zip(answers) {
            let ours = self.mapping.ground().definition(&shared);
            if !is_same_layout(ours.as_ref(), there.as_ref(), &context) {
                wanted.push(id);
            }
        }
        self.data_types.extend(data_types);
        wanted.sort_by_key(ToString::to_string);
        wanted.dedup();
        self.seen.extend(wanted.iter().cloned());
        Ok(wanted)
    }

    /// Adds types with their declarations, level by level.
    async fn add(&mut self, wanted: Vec<NodeId>) -> Result<Vec<NodeId>, Failure> {
        const NAMED: [AttributeId; 3] =
            [AttributeId::NodeClass, AttributeId::BrowseName, AttributeId::DisplayName];
        let asked: Vec<_> = wanted
            .iter()
            .flat_map(|id| NAMED.map(|attribute| attributes::question(id, attribute)))
            .collect();
        let answers = attributes::ask(self.session, &asked).await?;
        let mut added = Vec::new();
        for (id, said) in wanted.iter().zip(answers.chunks(3)) {
            if self.nodes.len() >= NODES_MAX {
                self.is_cut = true;
                break;
            }
            if let Some(found) = named(said) {
                self.nodes.insert(id.clone(), found);
                added.push(id.clone());
            }
        }
        self.find_above(&added).await?;
        let mut level = added.clone();
        for _ in 0..ROUNDS_MAX {
            let mut next = Vec::new();
            for part in level.chunks(AT_ONCE) {
                let ids: Vec<_> = part.iter().collect();
                let found = forward(self.session, &ids).await?;
                for (id, references) in part.iter().zip(found) {
                    self.declare(id, &references, &mut next);
                }
            }
            added.extend(next.iter().cloned());
            level = next;
            if level.is_empty() {
                break;
            }
        }
        Ok(added)
    }

    /// Takes what a type or a declaration declares.
    fn declare(
        &mut self,
        id: &NodeId,
        references: &[opcua::types::ReferenceDescription],
        next: &mut Vec<NodeId>,
    ) {
        let aggregates: NodeId = ReferenceTypeId::Aggregates.into();
        let encoding: NodeId = ReferenceTypeId::HasEncoding.into();
        let mut ends = Vec::new();
        for reference in references.iter().filter(|one| one.node_id.server_index == 0) {
            let (kind, target) = (&reference.reference_type_id, &reference.node_id.node_id);
            ends.push((kind.clone(), target.clone()));
            let here = self.mapping.shared(kind).unwrap_or_default();
            let is_part = here == encoding || self.mapping.ground().is_a(&here, &aggregates);
            if !is_part || self.nodes.contains_key(target) {
                continue;
            }
            if self.nodes.len() >= NODES_MAX {
                self.is_cut = true;
                return;
            }
            self.nodes.insert(target.clone(), Found::of(reference));
            next.push(target.clone());
        }
        if let Some(known) = self.nodes.get_mut(id) {
            known.references = ends;
        }
    }

    async fn find_above(&mut self, types: &[NodeId]) -> Result<(), Failure> {
        let asked = |id: &NodeId| BrowseDescription {
            node_id: id.clone(),
            browse_direction: BrowseDirection::Inverse,
            reference_type_id: ReferenceTypeId::HasSubtype.into(),
            include_subtypes: false,
            node_class_mask: 0,
            result_mask: BrowseResultMask::None as u32,
        };
        let asked: Vec<_> = types.iter().map(asked).collect();
        for (id, browsed) in types.iter().zip(self.session.browse(&asked).await?) {
            if let Some(above) = browsed.references.into_iter().next() {
                self.above.insert(id.clone(), above.node_id.node_id);
            }
        }
        Ok(())
    }

    /// The types that some nodes are made of.
    fn used_by(&self, added: &[NodeId]) -> (HashSet<NodeId>, HashSet<NodeId>) {
        let (mut types, mut data_types) = (HashSet::new(), HashSet::new());
        let context = self.session.context().context();
        for id in added {
            let Some(found) = self.nodes.get(id) else { continue };
            types.insert(found.type_definition.clone());
            types.extend(found.references.iter().map(|(kind, _)| kind.clone()));
            let above = self.above.get(id).cloned();
            match found.class {
                NodeClass::DataType => data_types.extend(above),
                _ => types.extend(above),
            }
            data_types.extend(self.said.data_type(id));
            if let Some(definition) = self.said.get(id, AttributeId::DataTypeDefinition)
                && let Some(structure) = structure(definition, &context)
            {
                let fields = structure.fields.unwrap_or_default();
                data_types.extend(fields.into_iter().map(|field| field.data_type));
            }
        }
        (types, data_types)
    }
}

fn named(said: &[Option<Variant>]) -> Option<Found> {
    let class = match said.first()?.as_ref()? {
        Variant::Int32(class) => NodeClass::try_from(*class).ok()?,
        _ => return None,
    };
    let browse_name = match said.get(1)?.as_ref()? {
        Variant::QualifiedName(name) => QualifiedName::clone(name),
        _ => return None,
    };
    let display_name = match said.get(2)?.as_ref() {
        Some(Variant::LocalizedText(text)) => (**text).clone(),
        _ => browse_name.name.as_ref().into(),
    };
    Some(Found {
        class,
        browse_name,
        display_name,
        type_definition: NodeId::null(),
        references: Vec::new(),
        standing: Standing::In,
        is_allowed: false,
        is_recorded: false,
    })
}

/// How a structure is made, if it is the description of one.
pub fn structure(value: &Variant, context: &Context<'_>) -> Option<StructureDefinition> {
    let Variant::ExtensionObject(object) = value else { return None };
    if let Some(known) = object.inner_as::<StructureDefinition>() {
        return Some(known.clone());
    }
    let (id, body) = raw_body(object)?;
    let is_structure = id == ObjectId::StructureDefinition_Encoding_DefaultBinary;
    is_structure.then(|| Reader::new(body, context).plain().ok())?
}

fn enumeration(value: &Variant, context: &Context<'_>) -> Option<EnumDefinition> {
    let Variant::ExtensionObject(object) = value else { return None };
    if let Some(known) = object.inner_as::<EnumDefinition>() {
        return Some(known.clone());
    }
    let (id, body) = raw_body(object)?;
    let is_enumeration = id == ObjectId::EnumDefinition_Encoding_DefaultBinary;
    is_enumeration.then(|| Reader::new(body, context).plain().ok())?
}

/// Whether values of both are read alike: the same fields in the same order, or the same names of numbers.
/// A machine that does not describe a type is believed to mean that of the standard.
fn is_same_layout(ours: Option<&Variant>, there: Option<&Variant>, context: &Context<'_>) -> bool {
    let Some(there) = there else { return true };
    let Some(ours) = ours else { return false };
    if let (Some(ours), Some(there)) = (structure(ours, context), structure(there, context)) {
        let fields = |structure: &StructureDefinition| -> Vec<(String, i32, bool)> {
            let fields = structure.fields.iter().flatten();
            let field = |field: &opcua::types::StructureField| {
                (field.name.as_ref().to_owned(), field.value_rank, field.is_optional)
            };
            fields.map(field).collect()
        };
        return ours.structure_type == there.structure_type && fields(&ours) == fields(&there);
    }
    if let (Some(ours), Some(there)) = (enumeration(ours, context), enumeration(there, context)) {
        let values = |one: EnumDefinition| -> Vec<(i64, String)> {
            let fields = one.fields.unwrap_or_default().into_iter();
            fields.map(|field| (field.value, field.name.as_ref().to_owned())).collect()
        };
        return values(ours) == values(there);
    }
    false
}
