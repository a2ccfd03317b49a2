//! A plant that listens to a machine of the tests, for tests of links and mirrors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use linewright::app::clock::Clock as _;
use linewright::app::connection::Connections;
use linewright::app::engine::{self, EngineHandle};
use linewright::app::query::Queries;
use linewright::app::recorder::{self, Recorder};
use linewright::app::time_text::IanaZone;
use linewright::app::view::MachineView;
use linewright::domain::calendar::Calendar;
use linewright::domain::id::{AreaId, LineId, MachineId, SiteId};
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::Kpi;
use linewright::domain::oee::loss::LossClass;
use linewright::domain::oee::timeline::Timeline;
use linewright::domain::plant::{Area, Line, Machine, NoOrderPolicy, Plant, RootCause};
use linewright::domain::signal::counter::CounterRule;
use linewright::domain::signal::{
    MachineState, Signal, SignalRole, SignalRule, StateMap, StateRule,
};
use linewright::domain::time::{Span, Timestamp, Window};
use linewright::machine::client::{Credentials, Dialer, Protection, Target};
use linewright::machine::mirror::{Common, Scope};
use linewright::machine::{self, MachineConnection, MachineLink, Node, Watched};
use linewright::mirror::{Ground, Mirrors, Namespaces};
use linewright::store::RedbStore;
use linewright::store::telemetry::{Bounds, Telemetry};
use linewright::sys::WallClock;
use opcua::types::{NodeId, ReferenceTypeId, Variant};
use tokio_util::sync::CancellationToken;

use super::space::id;

/// A server that knows the types of OPC UA itself and no others.
struct StandardTypes;

impl Ground for StandardTypes {
    fn has_type_node(&self, id: &NodeId) -> bool {
        id.namespace == 0
    }

    fn definition(&self, _: &NodeId) -> Option<Variant> {
        None
    }

    fn is_a(&self, id: &NodeId, ancestor: &NodeId) -> bool {
        let parts = [ReferenceTypeId::HasComponent, ReferenceTypeId::HasProperty];
        *ancestor == ReferenceTypeId::Aggregates && parts.iter().any(|part| *id == *part)
    }
}

/// How long recorded values are kept.
const KEEPS: Span = Span::from_seconds(30 * 86_400);

pub fn machine_id() -> MachineId {
    MachineId::parse("M1").unwrap()
}

fn signals() -> Vec<Signal> {
    let words = [("run", MachineState::Running), ("stop", MachineState::Down)];
    let map = StateMap::Values(BTreeMap::from(words.map(|(word, state)| (word.to_owned(), state))));
    let state = SignalRule::State(StateRule { map, hold: Span::ZERO });
    let good = SignalRule::Count(CounterRule::default());
    vec![
        Signal { role: SignalRole::State, rule: state },
        Signal { role: SignalRole::Good, rule: good },
    ]
}

pub fn plant() -> Arc<Plant> {
    let (line, area) = (LineId::parse("L").unwrap(), AreaId::parse("A").unwrap());
    let machine = Machine {
        id: machine_id(),
        name: "M1".into(),
        line: line.clone(),
        micro_stop_below: Span::from_seconds(5),
        explain_from: Span::from_seconds(5),
        silence_after: None,
        stuck_after: None,
        priority: 0,
        signals: signals(),
    };
    let configured = Line {
        bottleneck_by_product: BTreeMap::new(),
        stations: Vec::new(),
        buffers: Vec::new(),
        root_cause: RootCause::Equipment,
        id: line.clone(),
        name: "L".into(),
        area: area.clone(),
        bottleneck: machine_id(),
        outfeed: machine_id(),
        machines: vec![machine_id()],
        default_product: None,
        no_order: NoOrderPolicy::Loss,
    };
    Arc::new(Plant {
        closing_grace: Span::from_seconds(900),
        site: SiteId::parse("S").unwrap(),
        site_name: "S".into(),
        time_zone: "UTC".into(),
        areas: vec![Area { id: area, name: "A".into() }],
        lines: BTreeMap::from([(line, configured)]),
        machines: BTreeMap::from([(machine_id(), machine)]),
        products: BTreeMap::new(),
        reasons: BTreeMap::new(),
        calendar: Calendar::new(vec![], Arc::new(IanaZone::find("UTC").unwrap())),
        confirmation_interval: Span::from_seconds(60),
    })
}

/// A plant that listens to one machine.
pub struct Listening {
    pub engine: EngineHandle,
    pub connections: Connections,
    /// What is mirrored of the machine.
    pub mirrors: Mirrors,
    recorder: Recorder,
    recording: Option<std::thread::JoinHandle<()>>,
    stop: CancellationToken,
    link: Option<tokio::task::JoinHandle<()>>,
    began: Timestamp,
    pub directory: tempfile::TempDir,
}

/// Where the signals of the machine are.
#[derive(Clone, Copy)]
pub enum Nodes {
    Plain,
    Recorded,
}

impl Nodes {
    pub fn ids(self) -> [NodeId; 2] {
        match self {
            Nodes::Plain => [id("text"), id("number")],
            Nodes::Recorded => [id("recorded state"), id("recorded count")],
        }
    }
}

fn target(url: &str) -> Target {
    Target {
        url: url.to_owned(),
        protection: Protection::NONE,
        pinned: None,
        credentials: Credentials::Anonymous,
        name: "test".into(),
    }
}

impl Listening {
    pub async fn to(urls: &[String], nodes: Nodes) -> Listening {
        Listening::at(
            tempfile::tempdir().unwrap(),
            urls.iter().map(|url| target(url)).collect(),
            nodes,
        )
        .await
    }

    /// With the certificates that are in a directory.
    pub async fn at(directory: tempfile::TempDir, targets: Vec<Target>, nodes: Nodes) -> Listening {
        Listening::mirroring(directory, targets, nodes, None).await
    }

    /// With a part of the machine's own nodes mirrored.
    pub async fn mirroring(
        directory: tempfile::TempDir,
        targets: Vec<Target>,
        nodes: Nodes,
        mirror: Option<Scope>,
    ) -> Listening {
        let clock = Arc::new(WallClock);
        let uris = ["http://opcfoundation.org/UA/", "urn:linewright:server:S"];
        let namespaces = Namespaces::of(uris.map(str::to_owned).to_vec());
        let telemetry = Telemetry::open(directory.path(), KEEPS, Bounds::default()).unwrap();
        let (recorder, recording) = recorder::start(Box::new(telemetry), clock.clone()).unwrap();
        let kept = Some(directory.path().to_owned());
        let mirrors = Mirrors::new(namespaces, kept, clock.clone(), Some(recorder.clone()));
        mirrors.set_ground(Arc::new(StandardTypes));
        let store = Box::new(RedbStore::open(directory.path()).unwrap());
        let (engine, _) = engine::start(plant(), store, clock.clone()).unwrap();
        let connections = Connections::default();
        let stop = CancellationToken::new();
        let link = MachineLink {
            engine: engine.clone(),
            connections: connections.clone(),
            mirrors: mirrors.clone(),
            common: Common::default(),
            recognisers: tokio::sync::mpsc::channel(1).0,
            dialer: Arc::new(Dialer::new(directory.path(), clock.clone())),
            clock,
            stop: stop.clone(),
        };
        let items = signals().into_iter().zip(nodes.ids()).map(|(signal, node)| {
            let identifier = node.identifier.to_string();
            let node = Node { namespace: Some("urn:test".into()), identifier };
            (Watched::Signal(signal), node.into())
        });
        let connection = MachineConnection {
            machine: machine_id(),
            targets,
            publishing_interval: Span::from_millis(50),
            sampling_interval: Span::ZERO,
            clock_skew_max: Span::from_seconds(10),
            items: items.collect(),
            is_recognised: false,
            orders: None,
            mirror,
        };
        let link = machine::start(link, connection);
        let listening = Listening {
            engine,
            connections,
            mirrors,
            recorder,
            recording: Some(recording),
            stop,
            link: Some(link),
            began: WallClock.now(),
            directory,
        };
        listening.until(|machine| machine.linked && machine.state.is_some()).await;
        Listening { began: WallClock.now(), ..listening }
    }

    pub async fn until(&self, is_so: impl Fn(&MachineView) -> bool) {
        let mut views = self.engine.views();
        let waiting = views.wait_for(|view| {
            view.machines.get(&machine_id()).is_some_and(|machine| is_so(machine))
        });
        let seen = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        let board = self.connections.of(&machine_id());
        assert!(seen.is_ok(), "{:?} {board:?}", self.engine.view().machines.get(&machine_id()));
    }

    pub async fn until_counted(&self, count: u64) {
        let counted = |machine: &MachineView| {
            machine.linked && machine.counters.get(&SignalRole::Good).map(|c| c.0) == Some(count)
        };
        self.until(counted).await;
    }

    pub async fn until_lost(&self) {
        self.until(|machine| !machine.linked).await;
    }

    /// Figures since the begin.
    pub async fn kpi(&self) -> Kpi {
        let window = Window { from: self.began, to: WallClock.now() };
        let equipment = Equipment::Machine(machine_id());
        Queries::new(self.engine.clone()).kpi(&equipment, window).await.unwrap()
    }

    /// What the machine did since the begin.
    pub async fn timeline(&self) -> Timeline {
        let window = Window { from: self.began, to: WallClock.now() };
        Queries::new(self.engine.clone()).timeline(&machine_id(), window).await.unwrap()
    }

    /// Nothing was missed since the begin, in which the machine has made so many parts.
    pub async fn has_all(&self, parts: i64) {
        let kpi = self.kpi().await;
        assert_eq!(kpi.time.of(LossClass::NoData), Span::ZERO);
        assert_eq!((kpi.production.parts.good, kpi.production.unattributed.good), (parts, 0));
    }

    pub fn resumed(&self) -> (u64, u64) {
        let board = self.connections.of(&machine_id());
        (board.connects, board.resumed)
    }

    /// What is said of its mirror.
    pub fn note(&self) -> String {
        self.connections.of(&machine_id()).mirror_notes()
    }

    /// The plant ends, and after something has happened it begins again with what it has stored.
    pub async fn again(
        self,
        meanwhile: impl AsyncFnOnce(),
        urls: &[String],
        nodes: Nodes,
    ) -> Listening {
        self.mirroring_again(meanwhile, urls, nodes, None).await
    }

    /// The same with a part of the machine's own nodes mirrored.
    pub async fn mirroring_again(
        mut self,
        meanwhile: impl AsyncFnOnce(),
        urls: &[String],
        nodes: Nodes,
        mirror: Option<Scope>,
    ) -> Listening {
        self.finish().await;
        let Listening { engine, directory, began, mirrors, recorder, .. } = self;
        drop((engine, mirrors, recorder));
        meanwhile().await;
        // Whoever still reads in the stores keeps them open for a moment.
        let opens = || Telemetry::open(directory.path(), KEEPS, Bounds::default()).is_ok();
        super::support::until(|| RedbStore::open(directory.path()).is_ok() && opens()).await;
        let targets = urls.iter().map(|url| target(url)).collect();
        let again = Listening::mirroring(directory, targets, nodes, mirror).await;
        Listening { began, ..again }
    }

    async fn finish(&mut self) {
        self.stop.cancel();
        self.link.take().unwrap().await.unwrap();
        self.engine.stop().await;
        self.recorder.stop().await;
        let recording = self.recording.take().unwrap();
        tokio::task::spawn_blocking(move || recording.join().unwrap()).await.unwrap();
    }

    pub async fn end(mut self) {
        self.finish().await;
    }
}
