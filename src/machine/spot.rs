//! Where at a machine something is: at a node, at the end of a browse path, in a field of a structure, or
//! in a state machine, whose state several variables say together.

use std::collections::HashMap;

use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResultMask, DataValue, NodeClass,
    NodeId, ObjectId, ReadValueId, ReferenceTypeId, StatusCode, TimestampsToReturn, Variant,
};

use super::Node;
use super::client::{Failure, Session};
use super::structure::{Layouts, Step};

/// Levels of state machines inside each other, from the outermost on, as PackML has them.
const LEVELS: [&str; 3] = ["BaseStateMachine", "MachineState", "ExecuteState"];
/// States in which an inner state machine says more: cleared and running (OPC 30050).
const OPEN: [i64; 2] = [19, 18];
/// Names of states, for machines that do not say their numbers.
const NAMES: [(&str, i32); 23] = [
    ("clearing", 1),
    ("stopped", 2),
    ("starting", 3),
    ("idle", 4),
    ("suspended", 5),
    ("execute", 6),
    ("stopping", 7),
    ("aborting", 8),
    ("aborted", 9),
    ("holding", 10),
    ("held", 11),
    ("unholding", 12),
    ("suspending", 13),
    ("unsuspending", 14),
    ("resetting", 15),
    ("completing", 16),
    ("complete", 17),
    ("running", 18),
    ("cleared", 19),
    ("notavailable", 0),
    ("outofservice", 1),
    ("notexecuting", 2),
    ("executing", 3),
];
/// Names of operation modes (OPC 40001-1).
const MODES: [(&str, i32); 4] = [("none", 0), ("maintenance", 1), ("setup", 2), ("processing", 3)];

/// Where something is, as it is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Where it begins.
    pub start: Start,
    /// Steps into the value; none for the value itself.
    pub field: Vec<Step>,
}

/// Where something begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Start {
    /// At a node.
    Node(Node),
    /// At the end of browse names, from the objects of the machine on.
    Path(Vec<Name>),
}

/// A browse name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// Namespace URI; any when absent.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl From<Node> for Place {
    fn from(node: Node) -> Place {
        Place { start: Start::Node(node), field: Vec::new() }
    }
}

/// Where something is at a machine.
#[derive(Clone, Debug)]
pub enum Spot {
    /// A variable, or something in its value.
    Value {
        /// The variable.
        node: NodeId,
        /// Steps into its value.
        field: Vec<Step>,
        /// Its type.
        data_type: NodeId,
    },
    /// A state machine: what says the state of each of its levels.
    States(Vec<Level>),
}

/// What says the state of a level.
#[derive(Clone, Debug)]
pub struct Level {
    node: NodeId,
    /// Whether it says the state by name.
    is_named: bool,
}

impl Spot {
    /// The variables that say it.
    pub fn nodes(&self) -> Vec<&NodeId> {
        match self {
            Spot::Value { node, .. } => vec![node],
            Spot::States(levels) => levels.iter().map(|level| &level.node).collect(),
        }
    }

    /// The one variable whose history says it.
    pub fn history_node(&self) -> Option<&NodeId> {
        match self {
            Spot::Value { node, .. } => Some(node),
            Spot::States(_) => None,
        }
    }

    /// What its variables say together, when all were read; none while it is between two states.
    pub fn read(
        &self,
        said: Vec<DataValue>,
        layouts: &Layouts,
        session: &Session,
    ) -> Option<DataValue> {
        match self {
            Spot::Value { .. } => {
                said.into_iter().next().map(|value| self.read_one(value, layouts, session))
            }
            Spot::States(levels) => {
                let said: Vec<_> = said.into_iter().map(Some).collect();
                joined(levels, &said, 0)
            }
        }
    }

    /// What its one variable says; that of a state machine as it is.
    pub fn read_one(&self, value: DataValue, layouts: &Layouts, session: &Session) -> DataValue {
        match self {
            Spot::Value { field, data_type, .. } => {
                inside(value, field, data_type, layouts, session)
            }
            Spot::States(_) => value,
        }
    }
}

fn inside(
    mut value: DataValue,
    field: &[Step],
    data_type: &NodeId,
    layouts: &Layouts,
    session: &Session,
) -> DataValue {
    if field.is_empty() || value.value.is_none() {
        return value;
    }
    let whole = value.value.take().unwrap_or(Variant::Empty);
    match layouts.follow(&whole, data_type, field, &session.context().context()) {
        Ok(found) => value.value = Some(found),
        Err(status) => value.status = Some(status),
    }
    value
}

/// The innermost state that counts, with the time of what has changed; none while a level that counts has
/// not said anything yet, or is between two states.
pub fn joined(levels: &[Level], latest: &[Option<DataValue>], changed: usize) -> Option<DataValue> {
    let source = latest.get(changed)?.as_ref()?.source_timestamp;
    for (index, level) in levels.iter().enumerate() {
        let said = latest.get(index)?.as_ref()?;
        let mut state = said.clone();
        state.source_timestamp = source;
        if said.status.is_some_and(|status| status.is_bad()) {
            // The outer one still says that it is to be looked at, and will say something else.
            let is_between = index > 0 && said.status == Some(StatusCode::BadStateNotActive);
            return (!is_between).then_some(state);
        }
        let number = number(said.value.as_ref(), level.is_named);
        let is_open = index + 1 < levels.len() && number.is_some_and(|n| OPEN.contains(&n.into()));
        if is_open {
            continue;
        }
        state.value = Some(number.map_or_else(|| state.value.unwrap_or_default(), Variant::Int32));
        return Some(state);
    }
    None
}

fn number(value: Option<&Variant>, is_named: bool) -> Option<i32> {
    match value? {
        Variant::UInt32(number) => i32::try_from(*number).ok(),
        Variant::Int32(number) => Some(*number),
        Variant::UInt16(number) => Some((*number).into()),
        Variant::Byte(number) => Some((*number).into()),
        Variant::LocalizedText(text) if is_named => named(text.text.as_ref()),
        Variant::String(text) if is_named => named(text.as_ref()),
        _ => None,
    }
}

fn named(text: &str) -> Option<i32> {
    let plain: String = text.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let plain = plain.to_lowercase();
    let all = NAMES.iter().chain(&MODES);
    all.clone().find(|(name, _)| *name == plain).map(|(_, number)| *number)
}

/// Finds places at a machine.
pub struct Finder<'a> {
    session: &'a Session,
    namespaces: &'a [String],
    children: HashMap<NodeId, Vec<(Option<String>, String, NodeId)>>,
    /// How the structures are laid out into which places lead.
    pub layouts: Layouts,
}

impl<'a> Finder<'a> {
    /// At a machine with these namespaces.
    pub fn new(session: &'a Session, namespaces: &'a [String]) -> Finder<'a> {
        Finder { session, namespaces, children: HashMap::new(), layouts: Layouts::default() }
    }

    /// The node at which a place begins; why it is not there, with the code that fits best.
    pub async fn node(
        &mut self,
        place: &Place,
    ) -> Result<Result<NodeId, (StatusCode, String)>, Failure> {
        Ok(match &place.start {
            Start::Node(node) => {
                node.id(self.namespaces).map_err(|why| (StatusCode::BadNodeIdUnknown, why))
            }
            Start::Path(names) => {
                self.follow(names).await?.map_err(|why| (StatusCode::BadNoMatch, why))
            }
        })
    }

    /// Finds a place; why it is not there, with the code that fits best.
    pub async fn find(
        &mut self,
        place: &Place,
    ) -> Result<Result<Spot, (StatusCode, String)>, Failure> {
        let node = match self.node(place).await? {
            Ok(node) => node,
            Err(why) => return Ok(Err(why)),
        };
        let question = |attribute: AttributeId| ReadValueId {
            node_id: node.clone(),
            attribute_id: attribute as u32,
            ..ReadValueId::default()
        };
        let questions = [question(AttributeId::NodeClass), question(AttributeId::DataType)];
        let said = self.session.read(&questions, TimestampsToReturn::Neither).await?;
        let class = said.first().and_then(|value| value.value.clone());
        if class == Some(Variant::Int32(NodeClass::Object as i32)) {
            return self.states(&node).await;
        }
        let data_type = match said.get(1).and_then(|value| value.value.as_ref()) {
            Some(Variant::NodeId(id)) => (**id).clone(),
            _ => NodeId::null(),
        };
        let field = place.field.clone();
        if field.iter().any(|step| matches!(step, Step::Field(_)))
            && let Err(failure) = self.layouts.learn(self.session, &data_type).await
        {
            return match failure.kind {
                super::client::FailureKind::Malformed => Ok(Err((failure.status, failure.text))),
                _ => Err(failure),
            };
        }
        Ok(Ok(Spot::Value { node, field, data_type }))
    }

    /// The state machine in an object.
    async fn states(
        &mut self,
        object: &NodeId,
    ) -> Result<Result<Spot, (StatusCode, String)>, Failure> {
        let mut levels = Vec::new();
        let mut at = self.child(object, None, LEVELS[0]).await?.unwrap_or_else(|| object.clone());
        loop {
            let Some(state) = self.child(&at, None, "CurrentState").await? else { break };
            let number = self.child(&state, None, "Number").await?;
            let is_named = number.is_none();
            levels.push(Level { node: number.unwrap_or(state), is_named });
            let mut inner = None;
            for name in &LEVELS[1..] {
                if inner.is_none() {
                    inner = self.child(&at, None, name).await?;
                }
            }
            match inner {
                Some(next) if levels.len() < LEVELS.len() => at = next,
                _ => break,
            }
        }
        if levels.is_empty() {
            let why = format!("{object} is an object and no state machine; name a variable");
            return Ok(Err((StatusCode::BadNodeClassInvalid, why)));
        }
        Ok(Ok(Spot::States(levels)))
    }

    async fn follow(&mut self, names: &[Name]) -> Result<Result<NodeId, String>, Failure> {
        let mut at: NodeId = ObjectId::ObjectsFolder.into();
        let mut walked = String::new();
        for Name { namespace, name } in names {
            walked += &format!("/{name}");
            match self.child(&at, namespace.as_deref(), name).await? {
                Some(next) => at = next,
                None => return Ok(Err(format!("the machine has no single {walked}"))),
            }
        }
        Ok(Ok(at))
    }

    /// The one node of this name below another; none also if there are several.
    pub async fn child(
        &mut self,
        parent: &NodeId,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<NodeId>, Failure> {
        if !self.children.contains_key(parent) {
            let children = self.browse(parent).await?;
            self.children.insert(parent.clone(), children);
        }
        let known = self.children.get(parent).map(Vec::as_slice).unwrap_or_default();
        let mut found = known.iter().filter(|(uri, known, _)| {
            known == name && namespace.is_none_or(|wanted| uri.as_deref() == Some(wanted))
        });
        let first = found.next().map(|(_, _, id)| id.clone());
        Ok(first.filter(|first| found.all(|(_, _, id)| id == first)))
    }

    async fn browse(
        &self,
        parent: &NodeId,
    ) -> Result<Vec<(Option<String>, String, NodeId)>, Failure> {
        let children = BrowseDescription {
            node_id: parent.clone(),
            browse_direction: BrowseDirection::Forward,
            reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
            include_subtypes: true,
            node_class_mask: 0,
            result_mask: BrowseResultMask::All as u32,
        };
        let browsed = self.session.browse(&[children]).await?;
        let references = browsed.into_iter().flat_map(|one| one.references);
        let known = references.map(|reference| {
            let index = usize::from(reference.browse_name.namespace_index);
            let name = reference.browse_name.name.as_ref().to_owned();
            (self.namespaces.get(index).cloned(), name, reference.node_id.node_id)
        });
        Ok(known.collect())
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::DateTime;

    use super::*;

    fn level(is_named: bool) -> Level {
        Level { node: NodeId::new(1, 1), is_named }
    }

    fn said(value: impl Into<Variant>, at: i64) -> Option<DataValue> {
        Some(DataValue {
            value: Some(value.into()),
            source_timestamp: Some(DateTime::from(at)),
            ..DataValue::default()
        })
    }

    fn text(name: &str) -> Variant {
        Variant::from(opcua::types::LocalizedText::from(name))
    }

    #[test]
    fn the_innermost_state_machine_that_counts_says_the_state() {
        let levels = [level(false), level(false), level(true)];
        let of = |base: u32, machine: u32, execute: &str| {
            let latest = [said(base, 1), said(machine, 2), said(text(execute), 3)];
            let state = joined(&levels, &latest, 1).unwrap();
            (state.value.unwrap(), state.source_timestamp.unwrap().ticks())
        };
        assert_eq!(of(19, 18, "Execute"), (Variant::Int32(6), 2));
        assert_eq!(of(19, 2, "Execute"), (Variant::Int32(2), 2), "it is stopped");
        assert_eq!(of(9, 18, "Execute"), (Variant::Int32(9), 2), "it is aborted");
        assert_eq!(named("Not Executing"), Some(2));
        assert_eq!(named("Nonsense"), None);
    }

    #[test]
    fn between_two_states_nothing_is_said_and_what_is_missing_is_waited_for() {
        let levels = [level(false), level(false)];
        assert!(joined(&levels, &[said(19_u32, 1), None], 0).is_none());
        let inactive = |status| {
            let inner = DataValue { status: Some(status), ..DataValue::default() };
            joined(&levels, &[said(18_u32, 1), Some(inner)], 0)
        };
        assert!(inactive(StatusCode::BadStateNotActive).is_none());
        let failed = inactive(StatusCode::BadDeviceFailure).unwrap();
        assert_eq!(failed.status, Some(StatusCode::BadDeviceFailure));
    }
}
