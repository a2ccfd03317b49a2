//! What an instance of a type has: the instance declarations of the type and its supertypes
//! (Part 3 §6.3.3), found once and shared by all instances that have the same.

use std::sync::Arc;

use hashbrown::HashMap;
use opcua::nodes::NodeType;
use opcua::types::{
    Argument, AttributeId, LocalizedText, NodeClass, NodeId, QualifiedName, ReferenceTypeId,
    Variant,
};

use super::bind;
use super::methods::MethodId;
use super::node::{Attributes, Node, NodeKind, Reference, SUBSCRIBE_TO_EVENTS, type_attribute};
use super::nodeset::NodeSet;
use super::protection::Protection;
use super::source::Source;
use super::type_tree::TypeTree;

/// Members inside each other at most; a type that contains itself would have no end.
const DEPTH_MAX: usize = 12;

/// A node below an instance.
#[derive(Clone, Debug)]
pub struct Member {
    /// Browse names from the instance to it, with `/` between.
    pub path: String,
    /// What it is.
    pub attributes: Arc<Attributes>,
    /// Where its value comes from; only for variables.
    pub source: Option<Source>,
    /// Which method it is.
    pub method: Option<MethodId>,
    /// The member above it; none where that is the instance itself.
    pub above: Option<usize>,
    /// Type of the reference from what is above.
    pub reference: NodeId,
    /// The members right below it.
    pub below: Vec<usize>,
}

/// All members of an instance.
#[derive(Debug, Default)]
pub struct Members {
    all: Vec<Member>,
    by_path: HashMap<String, usize>,
    /// Those right below the instance.
    top: Vec<usize>,
}

impl Members {
    /// The member at a path.
    pub fn at(&self, path: &str) -> Option<&Member> {
        self.by_path.get(path).map(|index| &self.all[*index])
    }

    /// The paths of all members.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|member| member.path.as_str())
    }

    /// References between an instance, or a member of it, and the members around.
    pub fn references(
        &self,
        member: Option<&Member>,
        id: &dyn Fn(&str) -> NodeId,
    ) -> Vec<Reference> {
        let mut references = Vec::new();
        if let Some(member) = member {
            let above = member.above.map_or("", |above| self.all[above].path.as_str());
            let kind = member.reference.clone();
            references.push(Reference { reference_type: kind, forward: false, target: id(above) });
            let type_definition = member.attributes.type_definition();
            if !type_definition.is_null() {
                let kind = ReferenceTypeId::HasTypeDefinition;
                references.push(Reference::forward(kind, type_definition));
            }
        }
        let below = member.map_or(&self.top, |member| &member.below);
        for child in below.iter().map(|index| &self.all[*index]) {
            let reference_type = child.reference.clone();
            references.push(Reference { reference_type, forward: true, target: id(&child.path) });
        }
        references
    }
}

/// What a member is bound to.
#[derive(Debug)]
pub enum Bound {
    /// A variable whose value comes from there.
    Source(Source),
    /// A method.
    Method(MethodId),
}

/// A variable in the place of a placeholder of the type.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Placed {
    /// The member that has the placeholder.
    pub folder: &'static str,
    /// Name of the variable.
    pub name: String,
    /// What it is, for people.
    pub text: String,
}

/// Finds the members of types.
pub struct Declarations<'a> {
    /// All nodesets.
    pub sets: [&'a NodeSet; 2],
    /// The types in them.
    pub types: &'a TypeTree,
    /// Namespaces in which everything has to be bound.
    pub required: [u16; 2],
}

/// An instance declaration.
#[derive(Clone)]
struct Declared {
    node: Arc<Node>,
    reference: NodeId,
    rule: Rule,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Mandatory,
    Optional,
    Placeholder,
}

/// Members that are being gathered.
struct Gathering<'a> {
    members: Members,
    /// Whether an optional member is wanted.
    wants: &'a dyn Fn(&str) -> bool,
    placed: &'a [Placed],
    /// What a member is bound to.
    binds: &'a dyn Fn(&str) -> Option<Bound>,
    /// Variables without a value.
    unbound: Vec<String>,
}

impl Declarations<'_> {
    /// The members of instances of a type; fails with the paths of variables and methods that are
    /// bound to nothing.
    pub fn members(
        &self,
        of_type: &NodeId,
        wants: &dyn Fn(&str) -> bool,
        placed: &[Placed],
        binds: &dyn Fn(&str) -> Option<Bound>,
    ) -> Result<Members, String> {
        let members = Members::default();
        let mut gathering = Gathering { members, wants, placed, binds, unbound: Vec::new() };
        for declared in self.of_type(of_type) {
            self.gather(&mut gathering, None, &declared, 0);
        }
        let Gathering { members, unbound, .. } = gathering;
        if unbound.is_empty() {
            Ok(members)
        } else {
            Err(format!("nothing is bound to {} of {of_type}", unbound.join(", ")))
        }
    }

    fn node(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.sets.iter().find_map(|set| set.node(id))
    }

    fn references(&self, id: &NodeId) -> impl Iterator<Item = &Reference> {
        self.sets.iter().flat_map(|set| set.references(id))
    }

    /// Declarations of a type and its supertypes; one of the same name takes the place of the one above.
    fn of_type(&self, of_type: &NodeId) -> Vec<Declared> {
        let lineage: Vec<_> = self.types.lineage(of_type).cloned().collect();
        let mut all = Vec::new();
        for id in lineage.iter().rev() {
            for declared in self.below(id) {
                replace(&mut all, declared);
            }
        }
        all
    }

    /// Declarations right below a node.
    fn below(&self, id: &NodeId) -> Vec<Declared> {
        let aggregates: NodeId = ReferenceTypeId::Aggregates.into();
        let parts = self
            .references(id)
            .filter(|r| r.forward && self.types.is_a(&r.reference_type, &aggregates));
        let declared = parts.filter_map(|reference| {
            let node = self.node(&reference.target)?.clone();
            let rule = self.rule(&node.id)?;
            Some(Declared { node, reference: reference.reference_type.clone(), rule })
        });
        declared.collect()
    }

    fn rule(&self, id: &NodeId) -> Option<Rule> {
        let kind: NodeId = ReferenceTypeId::HasModellingRule.into();
        let rule = self.references(id).find(|r| r.forward && r.reference_type == kind)?;
        match rule.target.as_u32()? {
            78 => Some(Rule::Mandatory),
            80 => Some(Rule::Optional),
            11508 | 11510 => Some(Rule::Placeholder),
            _ => None,
        }
    }

    fn gather(
        &self,
        gathering: &mut Gathering<'_>,
        above: Option<usize>,
        declared: &Declared,
        depth: usize,
    ) {
        let name = declared.node.browse_name.name.as_ref();
        let parent = above.map(|above| gathering.members.all[above].path.clone());
        if declared.rule == Rule::Placeholder {
            let folder = parent.unwrap_or_default();
            let placed = gathering.placed.iter().filter(|placed| placed.folder == folder);
            for placed in placed.cloned().collect::<Vec<_>>() {
                let mut attributes = Attributes::clone(&declared.node.attributes);
                let namespace = attributes.browse_name.namespace_index;
                attributes.browse_name = QualifiedName::new(namespace, placed.name.as_str());
                attributes.display_name = LocalizedText::from(placed.name.as_str());
                attributes.description = LocalizedText::from(placed.text.as_str());
                let node = Arc::new(Node::new(declared.node.id.clone(), attributes));
                let declared = Declared { node, rule: Rule::Mandatory, ..declared.clone() };
                self.gather(gathering, above, &declared, depth);
            }
            return;
        }
        let path = parent.map_or_else(|| name.to_owned(), |parent| format!("{parent}/{name}"));
        let is_left_out = declared.rule == Rule::Optional && !(gathering.wants)(&path);
        if is_left_out || depth > DEPTH_MAX {
            return;
        }
        let mut children = self.of_type(&declared.node.type_definition());
        for own in self.below(&declared.node.id) {
            replace(&mut children, own);
        }
        let index = gathering.members.all.len();
        let member = self.member(gathering, path, above, declared, &children);
        gathering.members.by_path.insert(member.path.clone(), index);
        gathering.members.all.push(member);
        match above {
            Some(above) => gathering.members.all[above].below.push(index),
            None => gathering.members.top.push(index),
        }
        for child in &children {
            self.gather(gathering, Some(index), child, depth + 1);
        }
    }

    fn member(
        &self,
        gathering: &mut Gathering<'_>,
        path: String,
        above: Option<usize>,
        declared: &Declared,
        children: &[Declared],
    ) -> Member {
        let bound = (gathering.binds)(&path).or_else(|| bind::standard(&path));
        let class = declared.node.class();
        let (mut source, mut method) = match bound {
            Some(Bound::Source(source)) => (Some(source), None),
            Some(Bound::Method(method)) => (None, Some(method)),
            None => (None, None),
        };
        if source.is_none() && class == NodeClass::Variable {
            source = constant(&declared.node);
        }
        let is_historizing = class == NodeClass::Variable
            && children.iter().any(|child| {
                child.node.browse_name.name.as_ref() == "HA Configuration"
                    && (child.rule == Rule::Mandatory
                        || (gathering.wants)(&format!("{path}/HA Configuration")))
            });
        let is_bound = match class {
            NodeClass::Variable => source.is_some(),
            NodeClass::Method => method.is_some(),
            _ => true,
        };
        if !is_bound {
            // A newer version of a companion specification may want what we do not have.
            if self.required.contains(&declared.node.id.namespace) {
                gathering.unbound.push(path.clone());
            }
            method = None;
            source = (class == NodeClass::Variable).then_some(Source::Unknown);
        }
        let protection = method.map_or(Protection::Open, |m| Protection::Method(m.permission()));
        let kind = self.kind(&declared.node, is_historizing, children);
        let attributes = &declared.node.attributes;
        let attributes = Attributes { protection, kind, ..Attributes::clone(attributes) };
        Member {
            path,
            attributes: Arc::new(attributes),
            source,
            method,
            above,
            reference: declared.reference.clone(),
            below: Vec::new(),
        }
    }

    /// The kind of an instance after that of its declaration.
    fn kind(&self, node: &Node, historizing: bool, children: &[Declared]) -> NodeKind {
        let type_definition = node.type_definition();
        match node.class() {
            NodeClass::Variable => {
                let (data_type, value_rank) = node.value_type().unwrap_or((NodeId::null(), -1));
                NodeKind::Variable { type_definition, data_type, value_rank, historizing }
            }
            NodeClass::Method => {
                let arguments = |name: &str| {
                    let mut children = children.iter();
                    let found = children.find(|c| c.node.browse_name.name.as_ref() == name);
                    found.map_or_else(Vec::new, |child| arguments(&child.node))
                };
                NodeKind::Method {
                    inputs: arguments("InputArguments"),
                    outputs: arguments("OutputArguments"),
                }
            }
            _ => {
                // Whoever is told by the type that events come from here can subscribe to them here.
                let events: NodeId = ReferenceTypeId::GeneratesEvent.into();
                let is_source = |r: &Reference| r.forward && r.reference_type == events;
                let generates = self.references(&type_definition).any(is_source);
                let subscribes = if generates { SUBSCRIBE_TO_EVENTS } else { 0 };
                let notifier = node.event_notifier() | subscribes;
                NodeKind::Object { type_definition, notifier }
            }
        }
    }
}

fn replace(all: &mut Vec<Declared>, declared: Declared) {
    let same = all.iter_mut().find(|one| one.node.browse_name == declared.node.browse_name);
    match same {
        Some(same) => *same = declared,
        None => all.push(declared),
    }
}

/// The value that a declaration gives to all instances.
fn constant(node: &Node) -> Option<Source> {
    let NodeKind::Type { node, .. } = &node.kind else {
        return None;
    };
    let value = type_attribute(node, AttributeId::Value).ok()?;
    (value != Variant::Empty).then_some(Source::Constant(value))
}

/// The arguments that a property lists.
fn arguments(node: &Node) -> Vec<Argument> {
    let value = match &node.kind {
        NodeKind::Type { node, .. } => match &**node {
            NodeType::Variable(_) => type_attribute(node, AttributeId::Value).ok(),
            _ => None,
        },
        _ => None,
    };
    let Some(Variant::Array(array)) = value else {
        return Vec::new();
    };
    let argument = |value: &Variant| match value {
        Variant::ExtensionObject(object) => object.inner_as::<Argument>().cloned(),
        _ => None,
    };
    array.values.iter().filter_map(argument).collect()
}
