//! A space for tests and benchmarks: variables that can be set, written and watched, notifiers above
//! each other, a method. No test logic.

#![allow(dead_code, reason = "each user of this file needs a part of it")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use linewright::app::access::{User, Users};
use linewright::app::clock::Clock;
use linewright::app::refusals::Refusals;
use linewright::domain::evidence::Observation;
use linewright::domain::notice::Notice;
use linewright::domain::role::{Permission, Role};
use linewright::domain::time::{Span, Timestamp};
use linewright::mirror::Namespaces;
use linewright::server::limits::Limits;
use linewright::server::space::{
    Asker, Attributes, CallOutcome, Event, HistoryPage, Node, NodeKind, Protection,
    RawHistoryRequest, Reference, SUBSCRIBE_TO_EVENTS, ServerState, Space, StandardSpace, TypeTree,
};
use linewright::server::{
    Content, Mode, Offer, Policy, RunningServer, ServerOptions, application_uri, serve, uris,
};
use linewright::sys::WallClock;
use opcua::types::{
    DataTypeId, DataValue, DateTime, ExtensionObject, LocalizedText, NamespaceMap, NodeId,
    NumericRange, ObjectId, ObjectTypeId, QualifiedName, Range, ReferenceTypeId, StatusCode,
    VariableTypeId, Variant,
};
use tokio::net::TcpListener;

/// Index of the namespace of test nodes.
pub const NS: u16 = 2;

pub fn id(path: &str) -> NodeId {
    NodeId::new(NS, path)
}

/// A variable of the test.
pub fn variable(number: usize) -> NodeId {
    id(&format!("variable/{number}"))
}

pub struct TestSpace {
    standard: StandardSpace,
    types: Arc<TypeTree>,
    nodes: hashbrown::HashMap<NodeId, Held>,
    references: HashMap<NodeId, Vec<Reference>>,
    above: HashMap<NodeId, NodeId>,
    /// How often a value was asked for.
    pub reads: AtomicUsize,
    /// What `recorded` variables were, in the order of their times.
    pub history: RwLock<HashMap<NodeId, Vec<DataValue>>>,
    /// Whether the store answers; what is asked of it meanwhile waits. Only `stored` is in it.
    pub store: tokio::sync::watch::Sender<bool>,
    /// The conditions that a refresh tells.
    pub conditions: RwLock<Vec<Event>>,
}

/// A node with its value.
struct Held {
    node: Arc<Node>,
    value: RwLock<Option<Arc<DataValue>>>,
}

struct Builder<'a>(&'a mut TestSpace);

impl Builder<'_> {
    fn node(&mut self, path: &str, parent: &NodeId, kind: NodeKind, protection: Protection) {
        let name = path.rsplit('/').next().unwrap();
        let attributes = Attributes {
            browse_name: QualifiedName::new(NS, name),
            display_name: LocalizedText::from(name),
            description: LocalizedText::from("a node of a test"),
            protection,
            kind,
        };
        let node = Node::new(id(path), attributes);
        let type_definition = node.type_definition();
        let held = Held { node: Arc::new(node), value: RwLock::default() };
        self.0.nodes.insert(id(path), held);
        self.link(&id(path), ReferenceTypeId::HasTypeDefinition, &type_definition);
        self.link(parent, ReferenceTypeId::HasComponent, &id(path));
    }

    fn link(&mut self, from: &NodeId, kind: ReferenceTypeId, to: &NodeId) {
        if to.is_null() {
            return;
        }
        let forward = Reference::forward(kind, to.clone());
        self.0.references.entry(from.clone()).or_default().push(forward);
        let inverse = Reference::inverse(kind, from.clone());
        self.0.references.entry(to.clone()).or_default().push(inverse);
    }

    fn object(&mut self, path: &str, parent: &NodeId) {
        let type_definition = ObjectTypeId::BaseObjectType.into();
        let kind = NodeKind::Object { type_definition, notifier: SUBSCRIBE_TO_EVENTS };
        self.node(path, parent, kind, Protection::Open);
    }

    fn variable(
        &mut self,
        path: &str,
        (data_type, value): (DataTypeId, Variant),
        protection: Protection,
    ) {
        let value_rank = if value.is_array() { 1 } else { -1 };
        let kind = NodeKind::Variable {
            type_definition: VariableTypeId::BaseDataVariableType.into(),
            data_type: data_type.into(),
            value_rank,
            historizing: path.starts_with("recorded"),
        };
        self.node(path, &id("root"), kind, protection);
        self.0.set(&id(path), value_at(value, DateTime::from(1000)));
    }
}

/// A good value with a source time.
pub fn value_at(value: impl Into<Variant>, at: DateTime) -> DataValue {
    DataValue {
        value: Some(value.into()),
        status: Some(StatusCode::Good),
        source_timestamp: Some(at),
        server_timestamp: Some(DateTime::now()),
        ..DataValue::default()
    }
}

impl TestSpace {
    pub fn new(standard: StandardSpace, count: usize) -> TestSpace {
        let types = Arc::new(TypeTree::new(&[standard.nodes()]));
        let mut space = TestSpace {
            standard,
            types,
            nodes: hashbrown::HashMap::new(),
            references: HashMap::new(),
            above: HashMap::new(),
            reads: AtomicUsize::new(0),
            history: RwLock::default(),
            store: tokio::sync::watch::Sender::new(true),
            conditions: RwLock::default(),
        };
        let mut builder = Builder(&mut space);
        builder.object("root", &ObjectId::ObjectsFolder.into());
        for number in 0..count {
            let path = format!("variable/{number}");
            builder.variable(&path, (DataTypeId::Double, (number as f64).into()), Protection::Open);
        }
        builder.variable("recorded state", (DataTypeId::String, "run".into()), Protection::Open);
        builder.variable("recorded count", (DataTypeId::Int32, 1_i32.into()), Protection::Open);
        let writable = Protection::Writable(Permission::Report);
        builder.variable("number", (DataTypeId::Int32, 1_i32.into()), Protection::Open);
        builder.variable("stored", (DataTypeId::Int32, 1_i32.into()), Protection::Open);
        builder.variable("text", (DataTypeId::String, "text".into()), Protection::Open);
        let array = Variant::from(vec![1_i32, 2, 3, 4]);
        builder.variable("array", (DataTypeId::Int32, array), Protection::Open);
        let texts = Variant::from(vec!["a".to_owned(), "b".to_owned()]);
        builder.variable("texts", (DataTypeId::String, texts), Protection::Open);
        builder.variable("writable", (DataTypeId::Double, 1.0_f64.into()), writable);
        builder.variable("ranged", (DataTypeId::Double, 1.0_f64.into()), Protection::Open);
        let range = Variant::from(ExtensionObject::new(Range { low: 0.0, high: 200.0 }));
        let kind = NodeKind::Variable {
            type_definition: VariableTypeId::PropertyType.into(),
            data_type: DataTypeId::Range.into(),
            value_rank: -1,
            historizing: false,
        };
        builder.node("ranged/EURange", &id("nowhere"), kind, Protection::Open);
        builder.link(&id("ranged"), ReferenceTypeId::HasProperty, &id("ranged/EURange"));
        let node = space.nodes.get_mut(&id("ranged/EURange")).unwrap();
        let browse_name = QualifiedName::new(0, "EURange");
        let attributes = Attributes { browse_name, ..Attributes::clone(&node.node.attributes) };
        node.node = Arc::new(Node::new(id("ranged/EURange"), attributes));
        space.set(&id("ranged/EURange"), value_at(range, DateTime::from(1)));
        let mut builder = Builder(&mut space);
        let mut above = id("root");
        for path in ["plant", "plant/line", "plant/line/machine"] {
            builder.object(path, &above);
            builder.0.above.insert(id(path), above.clone());
            above = id(path);
        }
        space
    }

    /// Waits for the store, if it is needed.
    async fn ask_store(&self, node: &NodeId) {
        if *node == id("stored") {
            self.store.subscribe().wait_for(|answers| *answers).await.unwrap();
        }
    }

    fn held(&self, node: &NodeId) -> Option<&Held> {
        self.nodes.get(node).filter(|_| *node != id("stored"))
    }

    pub fn set(&self, id: &NodeId, value: DataValue) {
        self.set_shared(id, Arc::new(value));
    }

    /// Writes a value down in the history.
    pub fn record(&self, id: &NodeId, value: DataValue) {
        self.history.write().unwrap().entry(id.clone()).or_default().push(value);
    }

    pub fn set_shared(&self, id: &NodeId, value: Arc<DataValue>) {
        *self.nodes[id].value.write().unwrap() = Some(value);
    }
}

#[async_trait]
impl Space for TestSpace {
    fn types(&self) -> Arc<TypeTree> {
        self.types.clone()
    }

    fn instances(&self) -> u16 {
        NS
    }

    fn known(&self, id: &NodeId) -> Option<Arc<Node>> {
        match id.namespace {
            0 => self.standard.node(id).cloned(),
            _ => self.held(id).map(|held| held.node.clone()),
        }
    }

    fn referenced(&self, id: &NodeId) -> Option<Arc<Node>> {
        self.known(id).or_else(|| self.nodes.get(id).map(|held| held.node.clone()))
    }

    async fn node(&self, id: &NodeId) -> Result<Option<Arc<Node>>, StatusCode> {
        self.ask_store(id).await;
        Ok(self.referenced(id))
    }

    async fn references(&self, id: &NodeId) -> Result<Vec<Reference>, StatusCode> {
        let mut references = self.standard.references(id).to_vec();
        references.extend(self.references.get(id).into_iter().flatten().cloned());
        Ok(references)
    }

    fn current_value(&self, id: &NodeId) -> Option<DataValue> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        match id.namespace {
            0 => self.standard.value(id),
            _ => Some((**self.held(id)?.value.read().unwrap().as_ref()?).clone()),
        }
    }

    fn sight(&self, id: &NodeId) -> Option<(Arc<Node>, Option<DataValue>)> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if id.namespace == 0 {
            return Some((self.standard.node(id)?.clone(), self.standard.value(id)));
        }
        let held = self.held(id)?;
        let value = held.value.read().unwrap();
        Some((held.node.clone(), value.as_ref().map(|value| (**value).clone())))
    }

    async fn value(&self, id: &NodeId) -> DataValue {
        self.ask_store(id).await;
        let stored = || (**self.nodes.get(id)?.value.read().unwrap().as_ref()?).clone().into();
        self.current_value(id).or_else(stored).unwrap_or_default()
    }

    async fn write(
        &self,
        id: &NodeId,
        range: &NumericRange,
        value: &DataValue,
        _: &Asker,
    ) -> StatusCode {
        if !range.is_none() {
            return StatusCode::BadWriteNotSupported;
        }
        self.set(id, value_at(value.value.clone().unwrap(), DateTime::now()));
        StatusCode::Good
    }

    async fn call(&self, _: &NodeId, _: &NodeId, _: &[Variant], _: &Asker) -> CallOutcome {
        CallOutcome { status: StatusCode::BadMethodInvalid, ..CallOutcome::default() }
    }

    async fn history(
        &self,
        id: &NodeId,
        request: &RawHistoryRequest,
    ) -> Result<HistoryPage, StatusCode> {
        let history = self.history.read().unwrap();
        let all = history.get(id).ok_or(StatusCode::BadHistoryOperationUnsupported)?;
        let at = |value: &DataValue| {
            linewright::channel::time::timestamp(&value.source_timestamp.unwrap()).unwrap()
        };
        let from = all.partition_point(|value| Some(at(value)) < request.start);
        let to = all.partition_point(|value| Some(at(value)) <= request.end);
        let has_start = all.get(from).is_some_and(|value| Some(at(value)) == request.start);
        // What held at the start.
        let before = usize::from(request.bounds && !has_start).min(from);
        let values = all[from - before..to.max(from)].to_vec();
        Ok(HistoryPage { values, next: None })
    }

    fn notifiers(&self, source: &NodeId) -> Vec<NodeId> {
        std::iter::successors(self.above.get(source), |id| self.above.get(*id)).cloned().collect()
    }

    fn retained(&self) -> Vec<Event> {
        self.conditions.read().unwrap().clone()
    }

    fn observed(&self, _: &Observation) -> Option<(NodeId, DataValue)> {
        None
    }

    fn is_observed(&self, _: &NodeId) -> bool {
        false
    }

    fn event(&self, _: &Notice) -> Event {
        unreachable!("nothing is told of a plant here")
    }
}

/// The clock of a server, which can be set wrong.
#[derive(Default)]
pub struct TestClock(std::sync::atomic::AtomicI64);

impl TestClock {
    /// Is off by this from now on.
    pub fn set(&self, off: Span) {
        self.0.store(off.ticks(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        WallClock.now() + Span::from_ticks(self.0.load(Ordering::SeqCst))
    }
}

/// A server over a test space.
pub struct TestServer {
    pub clock: Arc<TestClock>,
    pub server: RunningServer,
    pub space: Arc<TestSpace>,
    pub users: Arc<Users>,
    pub address: std::net::SocketAddr,
}

/// Limits under which tests can do what they do.
pub fn test_limits() -> Limits {
    let mut limits = Limits::default();
    limits.wire.gate.connections_per_address = 100;
    limits.wire.gate.rate = 1e6;
    limits.wire.gate.burst = 1e6;
    limits.wire.gate.errors = u32::MAX;
    limits
}

pub async fn start(pki: &Path, limits: Limits, count: usize) -> TestServer {
    let secured = Offer { policy: Policy::Basic256Sha256, mode: Mode::SignAndEncrypt };
    start_with(pki, limits, count, vec![Offer::OPEN, secured]).await
}

/// A server with these endpoints.
pub async fn start_with(
    pki: &Path,
    limits: Limits,
    count: usize,
    offers: Vec<Offer>,
) -> TestServer {
    start_as(pki, limits, count, offers, &[]).await
}

/// A server that has further namespaces before that of its nodes.
pub async fn start_as(
    pki: &Path,
    limits: Limits,
    count: usize,
    offers: Vec<Offer>,
    further: &[&str],
) -> TestServer {
    start_saying(pki, (limits, limits), count, offers, further).await
}

/// A server that says that it has other limits than it has.
pub async fn start_saying(
    pki: &Path,
    (limits, said): (Limits, Limits),
    count: usize,
    offers: Vec<Offer>,
    further: &[&str],
) -> TestServer {
    let settable = Arc::new(TestClock::default());
    let clock: Arc<dyn Clock> = settable.clone();
    let uri = application_uri("Test");
    let mut namespaces = NamespaceMap::new();
    namespaces.add_namespace(&uri);
    namespaces.add_namespace("urn:test");
    for uri in further {
        namespaces.add_namespace(uri);
    }
    let state = ServerState::new(clock.clone(), &uri, Namespaces::of(uris(&namespaces)), said);
    let standard = StandardSpace::new(state.clone(), clock.clone(), &mut namespaces);
    let space = Arc::new(TestSpace::new(standard, count));
    let refusals = Refusals::default();
    let content = Content { space: space.clone(), state, namespaces, refusals };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = ServerOptions {
        host: "127.0.0.1".into(),
        pki: pki.to_owned(),
        nodesets: std::path::PathBuf::new(),
        offers,
        anonymous: false,
        trust_all_clients: true,
        site: "Test".into(),
        limits,
        trust_command: "linewright pki trust --data here".into(),
    };
    let user = User {
        name: "ann".into(),
        role: Role::Operator,
        password_hash: Some(linewright::app::password::hash_password("right").unwrap()),
        certificates: Vec::new(),
    };
    let users = Arc::new(Users::new(vec![user], clock.clone()));
    let server = serve(listener, &options, content, users.clone(), clock).await.unwrap();
    TestServer { clock: settable, server, space, users, address }
}
