//! The space of a plant: types, the fixed tree, and virtual nodes, behind the one trait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use opcua::types::{
    AttributeId, ContextOwned, DataValue, Identifier, NodeId, ObjectId, StatusCode, Variant,
};

use super::at_time::{self, AtTimeRequest};
use super::bind;
use super::build::Builder;
use super::event::Event;
use super::event_history::{self, EventHistoryRequest, EventPage};
use super::history::{self, HistoryPage, RawHistoryRequest};
use super::history_source::{PlantSource, Stored};
use super::inquiries::Inquiry;
use super::instance::{Found, Instance, Instances};
use super::job_control::JobControl;
use super::members::Declarations;
use super::methods::MethodId;
use super::model::{JOB_CONTROL, MACHINERY, Model, PACKML, TYPES_NAMESPACE, WEIHENSTEPHAN};
use super::model_change;
use super::node::{Node, NodeKind, Reference, type_attribute};
use super::nodeset::NodeSet;
use super::protection::Asker;
use super::source::{FigurePart, KpiValue, MachineValue, Source, Subject, Targets};
use super::spoken::SpokenIndexes;
use super::structures::Encoder;
use super::told::{self, Teller};
use super::type_tree::TypeTree;
use super::value::{Sight, data_value};
use super::virtual_nodes::{Listed, VirtualNodes, VirtualTypes};
use super::{CallOutcome, methods};
use crate::app::clock::Clock;
use crate::app::configuration::ConfigurationBoard;
use crate::app::connection::Connections;
use crate::app::engine::EngineHandle;
use crate::app::ports::NoticePlace;
use crate::app::query::Queries;
use crate::app::refusals::Refusals;
use crate::app::view::KpiWindow;
use crate::domain::evidence::Observation;
use crate::domain::id::{MachineId, OrderId};
use crate::domain::notice::Notice;
use crate::domain::plant::Plant;
use crate::domain::signal::{Reading, SignalRole, SignalRule};
use crate::domain::time::Span;
use crate::mirror::Mirrors;

/// What the space is read from.
#[derive(Clone)]
pub struct SpaceInputs {
    /// The engine.
    pub engine: EngineHandle,
    /// Answers about windows.
    pub queries: Queries,
    /// How the links to the machines are.
    pub connections: Connections,
    /// What is mirrored of machines.
    pub mirrors: Mirrors,
    /// The machines that are mirrored.
    pub mirrored: BTreeSet<MachineId>,
    /// The machines that are told of the orders of their lines.
    pub told: BTreeSet<MachineId>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Peers that were turned away.
    pub refusals: Refusals,
    /// What is said about the configuration.
    pub configuration: ConfigurationBoard,
    /// The company, where it has a name.
    pub enterprise: Option<String>,
    /// Units of process values, by machine and name.
    pub process_units: BTreeMap<(MachineId, String), String>,
    /// What nameplates say, by machine and by the names of OPC 40001-1.
    pub nameplates: BTreeMap<MachineId, BTreeMap<&'static str, String>>,
    /// What is aimed at, by equipment and figure.
    pub targets: Targets,
}

/// The nodes of a plant.
pub struct PlantSpace {
    inputs: SpaceInputs,
    /// The plant of which the nodes are.
    plant: Arc<Plant>,
    model: Arc<Model>,
    instances: Instances,
    virtual_nodes: VirtualNodes,
    jobs: JobControl,
    /// Index of the namespace of OPC 40001-1.
    machinery: u16,
    spoken: SpokenIndexes,
    namespace: u16,
}

impl PlantSpace {
    /// The URI of the namespace of instances of a site.
    pub fn uri(plant: &Plant) -> String {
        format!("urn:linewright:ua:plant:{}", plant.site)
    }

    /// The space of a plant in a namespace, of types in a model and in namespace 0.
    pub fn new(
        inputs: SpaceInputs,
        model: Arc<Model>,
        namespace: u16,
        (standard, types): (&NodeSet, &TypeTree),
        context: Arc<ContextOwned>,
    ) -> Result<PlantSpace, String> {
        let plant = inputs.engine.plant();
        let sets = [standard, model.nodes()];
        let builder = Builder {
            plant: &plant,
            enterprise: inputs.enterprise.as_deref(),
            model: &model,
            declarations: Declarations { sets, types, required: [0, model.index(TYPES_NAMESPACE)] },
            namespace,
            uri: &PlantSpace::uri(&plant),
            process_units: &inputs.process_units,
            nameplates: &inputs.nameplates,
            mirrored: &inputs.mirrored,
            told: &inputs.told,
            targets: &inputs.targets,
            instances: Instances::default(),
            shared: HashMap::new(),
        };
        let (instances, members) = builder.build()?;
        let virtual_nodes = VirtualNodes {
            engine: inputs.engine.clone(),
            queries: inputs.queries.clone(),
            clock: inputs.clock.clone(),
            plant: plant.clone(),
            namespace,
            types: VirtualTypes::new(&model),
            members,
            encoder: Encoder { namespace: model.index(TYPES_NAMESPACE), context: context.clone() },
        };
        let jobs = JobControl { namespace: model.index(JOB_CONTROL), context };
        let machinery = model.index(MACHINERY);
        let spoken = SpokenIndexes {
            packml: model.index(PACKML),
            weihenstephan: model.index(WEIHENSTEPHAN),
        };
        Ok(PlantSpace {
            inputs,
            plant,
            model,
            instances,
            virtual_nodes,
            jobs,
            machinery,
            spoken,
            namespace,
        })
    }

    /// Index of the namespace of instances.
    pub fn namespace(&self) -> u16 {
        self.namespace
    }

    /// The equipment above all other: the company, or the site where that has no name.
    pub fn top(&self) -> NodeId {
        let path = match &self.inputs.enterprise {
            Some(enterprise) => format!("enterprise/{enterprise}"),
            None => format!("site/{}", self.plant.site),
        };
        NodeId::new(self.namespace, path)
    }

    /// Whether what an object lists comes in pages.
    pub fn has_pages(&self, id: &NodeId) -> bool {
        self.path(id).is_some_and(|path| self.virtual_nodes.has_pages(path))
    }

    /// A page of what an object lists.
    pub async fn page(&self, id: &NodeId, after: Option<&str>) -> Result<Listed, StatusCode> {
        self.virtual_nodes.page(self.path(id).unwrap_or_default(), after).await
    }

    /// The path of an instance.
    fn path<'a>(&self, id: &'a NodeId) -> Option<&'a str> {
        match &id.identifier {
            Identifier::String(path) if id.namespace == self.namespace => Some(path.as_ref()),
            _ => None,
        }
    }

    /// The node of something that configuration makes.
    fn found(&self, id: &NodeId) -> Option<Found<'_>> {
        self.instances.find(self.path(id)?)
    }

    /// The order or lot that an id is about, and the path below it.
    fn virtual_instance<'a>(&self, id: &'a NodeId) -> Option<(Instance, &'a str)> {
        self.virtual_nodes.named(self.path(id)?)
    }

    fn sighted(&self, subject: &Subject, source: &Source) -> Option<DataValue> {
        let view = self.inputs.engine.view();
        let sight = Sight {
            plant: &self.plant,
            view: &view,
            connections: &self.inputs.connections,
            refusals: &self.inputs.refusals,
            configuration: &self.inputs.configuration,
            jobs: &self.jobs,
            machinery: self.machinery,
            spoken: self.spoken,
            namespace: self.namespace,
            own: &|name| self.model.own(name),
            nameplates: &self.inputs.nameplates,
            targets: &self.inputs.targets,
            encoder: &self.virtual_nodes.encoder,
            now: self.inputs.clock.now(),
        };
        sight.value(subject, source)
    }

    /// The version of the node that has a variable.
    fn version_of(&self, variable: &NodeId) -> Option<DataValue> {
        let (path, _) = self.path(variable)?.rsplit_once('/')?;
        let mut references = self.instances.find(path)?.references(self.namespace);
        let view = self.inputs.engine.view();
        if path == "mes/Orders" {
            references.extend(self.virtual_nodes.orders_listed(&view));
        }
        let version = Variant::from(model_change::version(&references));
        let now = self.inputs.clock.now();
        Some(data_value(Some(version), StatusCode::Good, view.at, now))
    }

    /// The value of a variable of something that configuration makes, if it needs no store.
    fn value_of(&self, found: &Found<'_>, id: &NodeId) -> Option<DataValue> {
        match found.source()? {
            Source::NodeVersion => self.version_of(id),
            source => self.sighted(&found.instance.subject, source),
        }
    }

    /// The nodes that configuration makes.
    pub fn instances(&self) -> &Instances {
        &self.instances
    }

    /// The orders that are listed, with their folder and its type, and the type of an order.
    pub fn orders_listed(&self) -> (BTreeSet<OrderId>, [NodeId; 3]) {
        let view = self.inputs.engine.view();
        let folder = NodeId::new(self.namespace, "mes/Orders");
        let types = ["OrdersType", "JobOrderType"].map(|name| self.model.own(name));
        let [of_folder, of_order] = types;
        (view.orders.keys().cloned().collect(), [folder, of_folder, of_order])
    }

    /// What is stored about a variable.
    fn stored(&self, id: &NodeId) -> Option<Stored> {
        let found = self.found(id)?;
        let (subject, source) = (&found.instance.subject, found.source()?);
        match (subject, source) {
            (Subject::Machine(machine), Source::Machine(MachineValue::State)) => {
                Some(Stored::States(machine.clone()))
            }
            (Subject::Machine(machine), Source::Counter(role)) => {
                Some(Stored::Counts(machine.clone(), *role))
            }
            (subject, Source::Kpi(KpiWindow::ThisShift, KpiValue::Figure(figure, part))) => {
                let is_kept = *part == FigurePart::Value && found.is_historizing();
                is_kept.then(|| Some(Stored::Figure(subject.equipment()?, *figure)))?
            }
            _ => None,
        }
    }
}

impl PlantSpace {
    /// A node that needs no store to be found.
    pub fn known(&self, id: &NodeId) -> Option<Arc<Node>> {
        if id.namespace != self.namespace {
            return self.model.nodes().node(id).cloned();
        }
        Some(Arc::new(self.found(id)?.node(id)))
    }

    /// The node to which a reference of ours leads; whether it exists is not asked.
    pub fn referenced(&self, id: &NodeId) -> Option<Arc<Node>> {
        self.known(id).or_else(|| {
            let (instance, below) = self.virtual_instance(id)?;
            Some(Arc::new(instance.at(below)?.node(id)))
        })
    }

    /// A node, if it exists.
    pub async fn node(&self, id: &NodeId) -> Result<Option<Arc<Node>>, StatusCode> {
        if let Some(known) = self.known(id) {
            return Ok(Some(known));
        }
        let Some((instance, below)) = self.virtual_instance(id) else {
            return Ok(None);
        };
        let node = instance.at(below).map(|found| Arc::new(found.node(id)));
        let exists = node.is_some() && self.virtual_nodes.exists(&instance.subject).await?;
        Ok(node.filter(|_| exists))
    }

    /// References from a node of the plant, or from a standard one into it.
    pub async fn references(&self, id: &NodeId) -> Result<Vec<Reference>, StatusCode> {
        let mut references = self.model.nodes().references(id).to_vec();
        if id.namespace != self.namespace {
            let roots = self.instances.roots.iter().filter(|(from, _)| from == id);
            references.extend(roots.map(|(_, reference)| reference.clone()));
        }
        if let Some(found) = self.found(id) {
            references.extend(found.references(self.namespace));
            references.extend(self.virtual_nodes.listed(self.path(id).unwrap_or_default()).await?);
        } else if let Some((instance, below)) = self.virtual_instance(id)
            && let Some(found) = instance.at(below)
        {
            references.extend(found.references(self.namespace));
            if below.is_empty() {
                references.extend(self.virtual_nodes.references(&instance.subject).await?);
            }
        }
        Ok(references)
    }

    /// A node with the value of its variable, where neither needs the store.
    pub fn sight(&self, id: &NodeId) -> Option<(Arc<Node>, Option<DataValue>)> {
        if let Some(found) = self.found(id) {
            let value = self.value_of(&found, id);
            return Some((Arc::new(found.node(id)), value));
        }
        Some((self.known(id)?, self.current_value(id)))
    }

    /// The value of a variable, if it needs no store.
    pub fn current_value(&self, id: &NodeId) -> Option<DataValue> {
        if let Some(found) = self.found(id) {
            return self.value_of(&found, id);
        }
        let now = self.inputs.clock.now();
        if let Some(node) = self.model.nodes().node(id)
            && let NodeKind::Type { node, .. } = &node.kind
        {
            let value = type_attribute(node, AttributeId::Value);
            let status = if value.is_ok() { StatusCode::Good } else { StatusCode::BadNotSupported };
            return Some(data_value(value.ok(), status, now, now));
        }
        let (instance, below) = self.virtual_instance(id)?;
        self.sighted(&instance.subject, instance.at(below)?.source()?)
    }

    /// The value of a variable.
    pub async fn value(&self, id: &NodeId) -> DataValue {
        let now = self.inputs.clock.now();
        let instance = self.virtual_instance(id);
        let found = instance.as_ref().and_then(|(instance, below)| instance.at(below));
        let Some((found, source)) = found.and_then(|found| Some((found, found.source()?))) else {
            // What was watched may be gone.
            let status = match self.known(id) {
                Some(_) => StatusCode::BadAttributeIdInvalid,
                None => StatusCode::BadNodeIdUnknown,
            };
            return data_value(None, status, now, now);
        };
        match self.virtual_nodes.value(&found.instance.subject, source).await {
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
        let Some(on) = self.found(object) else {
            return bad(StatusCode::BadNodeIdUnknown);
        };
        let path = self.path(object).unwrap_or_default();
        let is_component = self.path(method).and_then(|method| method.rsplit_once('/'));
        let called = self.found(method).filter(|_| is_component.is_some_and(|(o, _)| o == path));
        let Some(member) = called.and_then(|called| called.member) else {
            return bad(StatusCode::BadMethodInvalid);
        };
        let (Some(method), NodeKind::Method { inputs, .. }) =
            (member.method, &member.attributes.kind)
        else {
            return bad(StatusCode::BadMethodInvalid);
        };
        let subject = &on.instance.subject;
        if let MethodId::Job(method) = method {
            let inputs_of = (&self.inputs.engine, &self.inputs.queries);
            return self.jobs.call(inputs_of, (method, inputs), subject, arguments, asker).await;
        }
        if let MethodId::Why(_) | MethodId::Trace(_) = method {
            let inquiry =
                Inquiry { queries: &self.inputs.queries, encoder: &self.virtual_nodes.encoder };
            return inquiry.call((method, inputs), subject, arguments).await;
        }
        if let (MethodId::Condition(kind, method), Subject::Machine(machine)) = (method, subject) {
            let source = kind.of(machine);
            return told::act(&self.inputs.engine, method, source, arguments, asker).await;
        }
        methods::call(&self.inputs.engine, (method, inputs), subject, arguments, asker).await
    }

    /// Stored values of a variable.
    pub async fn history(
        &self,
        id: &NodeId,
        request: &RawHistoryRequest,
    ) -> Result<HistoryPage, StatusCode> {
        let stored = self.stored(id).ok_or(StatusCode::BadHistoryOperationUnsupported)?;
        let (queries, plant) = (&self.inputs.queries, &self.plant);
        let source = PlantSource { queries, plant, stored: &stored, now: request.now };
        history::read(&source, request).await
    }

    /// Values of a variable at given instants.
    pub async fn history_at(
        &self,
        id: &NodeId,
        request: &AtTimeRequest,
    ) -> Result<Vec<DataValue>, StatusCode> {
        let stored = self.stored(id).ok_or(StatusCode::BadHistoryOperationUnsupported)?;
        let (queries, plant) = (&self.inputs.queries, &self.plant);
        let source = PlantSource { queries, plant, stored: &stored, now: request.now };
        at_time::read(&source, request).await
    }

    /// The objects at which events of a source are seen besides the source and the server.
    pub fn notifiers(&self, source: &NodeId) -> Vec<NodeId> {
        let above = |id: &NodeId| self.found(id).and_then(|found| found.instance.notifier.clone());
        // What happens at a part of equipment is seen at the equipment.
        let whole = |found: Found<'_>| NodeId::new(self.namespace, found.instance.path.as_str());
        let part_of = self.found(source).filter(|found| found.member.is_some()).map(whole);
        std::iter::successors(part_of.or_else(|| above(source)), above).collect()
    }

    /// The variable that shows a value of a machine, and how: with the machine's own time.
    pub fn observed(&self, observation: &Observation) -> Option<(NodeId, DataValue)> {
        let machine = &observation.machine;
        let (name, value) = match observation.reading {
            Reading::State(state) if shows_state_as_told(&self.plant, machine) => {
                ("State", Variant::Int32(state as i32))
            }
            Reading::Count(count) => {
                (bind::counter_name(observation.role)?, Variant::UInt64(count))
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
        let Some(found) = self.found(id) else {
            return false;
        };
        match (found.source(), &found.instance.subject) {
            (Some(Source::Counter(_)), _) => true,
            (Some(Source::Machine(MachineValue::State)), Subject::Machine(machine)) => {
                shows_state_as_told(&self.plant, machine)
            }
            _ => false,
        }
    }

    /// The event of a notice.
    pub fn event(&self, notice: &Notice) -> Event {
        self.with_teller(|teller| teller.event(notice))
    }

    /// The conditions that anybody has still to do something about, as events.
    pub fn retained(&self) -> Vec<Event> {
        let (view, now) = (self.inputs.engine.view(), self.inputs.clock.now());
        let retained = view.conditions.iter().filter(|condition| condition.retain);
        self.with_teller(|teller| retained.filter_map(|one| teller.refreshed(one, now)).collect())
    }

    fn with_teller<T>(&self, tell: impl FnOnce(&Teller<'_>) -> T) -> T {
        tell(&Teller {
            plant: &self.plant,
            own: &|name| self.model.own(name),
            types: self.model.index(TYPES_NAMESPACE),
            namespace: self.namespace,
            jobs: &self.jobs,
        })
    }

    /// Events that happened at an object and below it.
    pub async fn event_history(
        &self,
        id: &NodeId,
        request: &EventHistoryRequest,
    ) -> Result<EventPage, StatusCode> {
        let (place, lines) = if *id == ObjectId::Server {
            (NoticePlace::Plant, None)
        } else {
            let found = self.found(id).filter(|found| found.member.is_none());
            let subject = found.map(|found| &found.instance.subject);
            match subject {
                Some(Subject::Enterprise | Subject::Site) => (NoticePlace::Plant, None),
                Some(Subject::Area(area)) => {
                    let lines = self.plant.lines_in(area);
                    let lines = lines.map(|line| line.id.clone()).collect();
                    (NoticePlace::Plant, Some(lines))
                }
                Some(Subject::Line(line)) => (NoticePlace::Line(line.clone()), None),
                Some(Subject::Machine(machine)) => (NoticePlace::Machine(machine.clone()), None),
                _ => return Err(StatusCode::BadHistoryOperationUnsupported),
            }
        };
        let page = event_history::read(self.inputs.engine.reader(), place, lines, request).await?;
        let place = |notice: &Notice| (notice.at, notice.number);
        let events =
            page.notices.iter().map(|notice| (place(notice), self.event(notice))).collect();
        Ok(EventPage { events, next: page.next })
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
