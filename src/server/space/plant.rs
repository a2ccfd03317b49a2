//! The space of a plant: types, the fixed tree, and virtual nodes, behind the one trait.

use std::collections::BTreeMap;
use std::sync::Arc;

use opcua::types::{AttributeId, DataValue, Identifier, NamespaceMap, NodeId, StatusCode, Variant};

use super::equipment;
use super::event::Event;
use super::history::{self, HistoryPage, RawHistoryRequest};
use super::history_source::{Figure, PlantSource, Stored};
use super::node::{Node, NodeKind, Reference, type_attribute};
use super::nodeset::NodeSet;
use super::protection::Asker;
use super::tree::{Entry, Tree};
use super::types::Types;
use super::value::{KpiValue, MachineValue, Sight, Source, data_value, order_value};
use super::virtual_nodes::{VirtualNodes, VirtualPath};
use super::{CallOutcome, changes, methods};
use crate::app::clock::Clock;
use crate::app::connection::Connections;
use crate::app::engine::EngineHandle;
use crate::app::query::Queries;
use crate::app::refusals::Refusals;
use crate::app::view::PlantView;
use crate::domain::evidence::Observation;
use crate::domain::id::MachineId;
use crate::domain::plant::Plant;
use crate::domain::signal::{Reading, SignalRole, SignalRule};
use crate::domain::time::Span;

/// What the space is read from.
#[derive(Clone)]
pub struct SpaceInputs {
    /// The engine.
    pub engine: EngineHandle,
    /// Answers about windows.
    pub queries: Queries,
    /// How the links to the machines are.
    pub connections: Connections,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Peers that were turned away.
    pub refusals: Refusals,
    /// Units of process values, by machine and name.
    pub process_units: BTreeMap<(MachineId, String), String>,
}

/// The nodes of a plant.
pub struct PlantSpace {
    inputs: SpaceInputs,
    types: Types,
    tree: Tree,
    nodes: VirtualNodes,
    namespace: u16,
}

impl PlantSpace {
    /// The space; its namespaces are added to those of the server.
    pub fn new(inputs: SpaceInputs, namespaces: &mut NamespaceMap) -> Result<PlantSpace, String> {
        let types = Types::load(namespaces)?;
        let plant = inputs.engine.plant().clone();
        let uri = format!("urn:linewright:ua:plant:{}", plant.site);
        let namespace = namespaces.add_namespace(&uri);
        let tree = equipment::build(&plant, &types, (namespace, &uri), &inputs.process_units);
        let nodes = VirtualNodes {
            engine: inputs.engine.clone(),
            queries: inputs.queries.clone(),
            namespace,
        };
        Ok(PlantSpace { inputs, types, tree, nodes, namespace })
    }

    /// Index of the namespace of instances.
    pub fn namespace(&self) -> u16 {
        self.namespace
    }

    /// The nodes of our types.
    pub fn type_nodes(&self) -> &NodeSet {
        self.types.nodes()
    }

    /// The object of the site.
    pub fn site(&self) -> NodeId {
        NodeId::new(self.namespace, format!("site/{}", self.inputs.engine.plant().site))
    }

    /// The path of an instance.
    fn path<'a>(&self, id: &'a NodeId) -> Option<&'a str> {
        match &id.identifier {
            Identifier::String(path) if id.namespace == self.namespace => Some(path.as_ref()),
            _ => None,
        }
    }

    fn entry(&self, id: &NodeId) -> Option<&Entry> {
        self.tree.get(self.path(id)?)
    }

    fn virtual_path(&self, id: &NodeId) -> Option<VirtualPath> {
        VirtualPath::parse(self.path(id)?)
    }

    fn sighted(&self, source: &Source) -> DataValue {
        let view = self.inputs.engine.view();
        let sight = Sight {
            plant: self.inputs.engine.plant(),
            view: &view,
            connections: &self.inputs.connections,
            refusals: &self.inputs.refusals,
            now: self.inputs.clock.now(),
        };
        sight.value(source)
    }

    /// What is stored about a variable.
    fn stored(&self, id: &NodeId) -> Option<Stored> {
        match self.entry(id)?.source.as_ref()? {
            Source::Machine(machine, MachineValue::State) => Some(Stored::States(machine.clone())),
            Source::Counter(machine, role) => Some(Stored::Counts(machine.clone(), *role)),
            Source::Kpi(equipment, value) => {
                let figure = match value {
                    KpiValue::Oee => Figure::Oee,
                    KpiValue::Availability => Figure::Availability,
                    KpiValue::Performance => Figure::Performance,
                    KpiValue::Quality => Figure::Quality,
                    _ => return None,
                };
                Some(Stored::Figure(equipment.clone(), figure))
            }
            _ => None,
        }
    }
}

impl PlantSpace {
    /// A node that needs no store to be found.
    pub fn known(&self, id: &NodeId) -> Option<Arc<Node>> {
        if id.namespace == self.types.index() {
            return self.types.nodes().node(id).cloned();
        }
        self.entry(id).map(|entry| entry.node.clone())
    }

    /// A node, if it exists.
    pub async fn node(&self, id: &NodeId) -> Result<Option<Arc<Node>>, StatusCode> {
        if let Some(known) = self.known(id) {
            return Ok(Some(known));
        }
        match self.virtual_path(id) {
            Some(path) => Ok(self.nodes.node(&path, &self.types).await?.map(Arc::new)),
            None => Ok(None),
        }
    }

    /// References from a node of the plant, or from a standard one into it.
    pub async fn references(&self, id: &NodeId) -> Result<Vec<Reference>, StatusCode> {
        let mut references = self.types.nodes().references(id).to_vec();
        if id.namespace == 0 {
            let roots = self.tree.roots.iter().filter(|(from, _)| from == id);
            references.extend(roots.map(|(_, reference)| reference.clone()));
        }
        if let Some(entry) = self.entry(id) {
            references.extend(entry.references.iter().cloned());
            if let Some(folder @ ("orders" | "lots")) = self.path(id) {
                references.extend(self.nodes.listed(folder).await?);
            }
        } else if let Some(path) = self.virtual_path(id) {
            references.extend(self.nodes.references(&path, &self.types).await?);
        }
        Ok(references)
    }

    /// A node with the value of its variable, where neither needs the store.
    pub fn sight(&self, id: &NodeId) -> Option<(Arc<Node>, Option<DataValue>)> {
        if let Some(entry) = self.entry(id) {
            let value = entry.source.as_ref().map(|source| self.sighted(source));
            return Some((entry.node.clone(), value));
        }
        Some((self.known(id)?, self.current_value(id)))
    }

    /// The value of a variable, if it needs no store.
    pub fn current_value(&self, id: &NodeId) -> Option<DataValue> {
        if let Some(entry) = self.entry(id) {
            return Some(self.sighted(entry.source.as_ref()?));
        }
        let now = self.inputs.clock.now();
        if let Some(node) = self.types.nodes().node(id)
            && let NodeKind::Type { node, .. } = &node.kind
        {
            let value = type_attribute(node, AttributeId::Value);
            let status = if value.is_ok() { StatusCode::Good } else { StatusCode::BadNotSupported };
            return Some(data_value(value.ok(), status, now, now));
        }
        let VirtualPath::OrderVariable(order, name) = self.virtual_path(id)? else {
            return None;
        };
        let view = self.inputs.engine.view();
        let shown = view.orders.get(&order)?;
        let value = order_value(self.inputs.engine.plant(), shown, name)?;
        Some(data_value(Some(value), StatusCode::Good, view.at, now))
    }

    /// The value of a variable.
    pub async fn value(&self, id: &NodeId) -> DataValue {
        let now = self.inputs.clock.now();
        let Some(path) = self.virtual_path(id) else {
            return data_value(None, StatusCode::BadAttributeIdInvalid, now, now);
        };
        match self.nodes.value(&path).await {
            Ok(value) => data_value(Some(value), StatusCode::Good, now, now),
            Err(status) => data_value(None, status, now, now),
        }
    }

    /// Calls a method of an object.
    pub async fn call(
        &self,
        object: &NodeId,
        method: &NodeId,
        arguments: &[Variant],
        asker: &Asker,
    ) -> CallOutcome {
        let bad = |status| CallOutcome { status, ..Default::default() };
        let Some(on) = self.entry(object) else {
            return bad(StatusCode::BadNodeIdUnknown);
        };
        let is_component = on.references.iter().any(|r| r.forward && r.target == *method);
        let Some(called) = self.entry(method).and_then(|e| e.method).filter(|_| is_component)
        else {
            return bad(StatusCode::BadMethodInvalid);
        };
        let path = self.path(object).and_then(|path| path.strip_prefix("machine/"));
        let machine = path.and_then(|key| MachineId::parse(key).ok());
        methods::call(&self.inputs.engine, called, machine, arguments, asker).await
    }

    /// Stored values of a variable.
    pub async fn history(
        &self,
        id: &NodeId,
        request: &RawHistoryRequest,
    ) -> Result<HistoryPage, StatusCode> {
        let stored = self.stored(id).ok_or(StatusCode::BadHistoryOperationUnsupported)?;
        let (queries, plant) = (&self.inputs.queries, self.inputs.engine.plant());
        let source = PlantSource { queries, plant, stored: &stored, now: request.now };
        history::read(&source, request).await
    }

    /// The objects at which events of a source are seen besides the source and the server.
    pub fn notifiers(&self, source: &NodeId) -> Vec<NodeId> {
        let above = |id: &NodeId| self.entry(id).and_then(|entry| entry.notifier.clone());
        std::iter::successors(above(source), above).collect()
    }

    /// The variable that shows a value of a machine, and how: with the machine's own time.
    pub fn observed(&self, observation: &Observation) -> Option<(NodeId, DataValue)> {
        let machine = &observation.machine;
        let (name, value) = match observation.reading {
            Reading::State(state) if shows_state_as_told(self.inputs.engine.plant(), machine) => {
                ("State", Variant::Int32(state as i32))
            }
            Reading::Count(count) => {
                (equipment::counter_text(observation.role)?.0, Variant::UInt64(count))
            }
            _ => return None,
        };
        let path = match observation.reading {
            Reading::Count(_) => format!("machine/{machine}/Counters/{name}"),
            _ => format!("machine/{machine}/{name}"),
        };
        let value = data_value(Some(value), StatusCode::Good, observation.at, observation.received);
        Some((NodeId::new(self.namespace, path), value))
    }

    /// Whether a variable shows values of a machine as they come.
    pub fn is_observed(&self, id: &NodeId) -> bool {
        let source = self.entry(id).and_then(|entry| entry.source.as_ref());
        let is_value = |source: &Source| match source {
            Source::Counter(..) => true,
            Source::Machine(machine, MachineValue::State) => {
                shows_state_as_told(self.inputs.engine.plant(), machine)
            }
            _ => false,
        };
        source.is_some_and(is_value)
    }

    /// The events between two pictures of the plant.
    pub fn events(&self, before: &PlantView, after: &PlantView) -> Vec<Event> {
        changes::between(before, after, &changes::Nodes { namespace: self.namespace })
    }
}

/// Whether a machine's state is what its signal says, when it says so: not where a state must hold,
/// or follows from counts.
fn shows_state_as_told(plant: &Plant, machine: &MachineId) -> bool {
    let machine = plant.machines.get(machine);
    machine.is_some_and(|machine| {
        let rule = machine.rule(SignalRole::State);
        let at_once =
            |rule: &SignalRule| matches!(rule, SignalRule::State(rule) if rule.hold == Span::ZERO);
        rule.is_some_and(at_once) && machine.silence_after.is_none()
    })
}
