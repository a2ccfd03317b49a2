//! Values a second from machines to durable to published, beside a bare subscription to the same
//! machines on the same stack in the same run. `cargo bench --bench throughput`
//!
//! Ten simulated machines (servers of the stack, in this process) change a counter at an offered
//! rate. Bare: a client of the stack subscribes and only counts what arrives. Linewright: machine
//! links, engine and store on a real directory; a value is done when it is committed and in the
//! published picture. The delay runs from the setting of every single value to then.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first thing that is wrong")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use linewright::app::clock::Clock;
use linewright::app::connection::Connections;
use linewright::app::engine::{self, EngineHandle};
use linewright::app::time_text::IanaZone;
use linewright::domain::calendar::Calendar;
use linewright::domain::event::Event;
use linewright::domain::id::{AreaId, LineId, MachineId, SiteId};
use linewright::domain::plant::{Area, Line, Machine, NoOrderPolicy, Plant, RootCause};
use linewright::domain::signal::counter::CounterRule;
use linewright::domain::signal::{Signal, SignalRole, SignalRule};
use linewright::domain::time::{Span, Timestamp};
use linewright::machine::client::{Credentials, Dialer, Protection, Target};
use linewright::machine::mirror::Common;
use linewright::machine::{self, MachineConnection, MachineLink, Node, Watched};
use linewright::mirror::{Mirrors, Namespaces};
use linewright::sim::{MachineKind, PLAIN_NAMESPACE, SimulatedMachine, Tag, TagValue};
use linewright::store::RedbStore;
use linewright::sys::WallClock;
use opcua::client::{ClientBuilder, DataChangeCallback, IdentityToken, Session};
use opcua::types::{
    MessageSecurityMode, MonitoredItemCreateRequest, NodeId, TimestampsToReturn, UserTokenPolicy,
};
use tokio_util::sync::CancellationToken;

const MACHINES: usize = 10;
const SECONDS: u64 = 5;
/// Offered changes a second, all machines together.
const RATES: [u64; 5] = [1_000, 5_000, 10_000, 20_000, 40_000];
const PUBLISHING: Span = Span::from_millis(100);

/// When each counter value of each machine was set, by machine and value.
type SetTimes = Arc<Mutex<Vec<BTreeMap<u64, Timestamp>>>>;

struct Machines(Vec<SimulatedMachine>);

impl Machines {
    async fn start(stop: &CancellationToken) -> Machines {
        let mut machines = Vec::new();
        for number in 0..MACHINES {
            let name = format!("B{number}");
            let started = SimulatedMachine::start(&name, MachineKind::Plain, 0, stop.clone());
            let machine = started.await.unwrap();
            machine.set(Tag::Count, &TagValue::Count(0), WallClock.now());
            machines.push(machine);
        }
        Machines(machines)
    }

    /// Changes counters at a rate for a while; how many changes there were.
    async fn work(&self, rate: u64, next: &mut u32, times: &SetTimes) -> u64 {
        let began = Instant::now();
        let mut done = 0_u64;
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        while began.elapsed() < Duration::from_secs(SECONDS) {
            tick.tick().await;
            let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
            while done < due {
                let index = done as usize % MACHINES;
                if index == 0 {
                    *next += 1;
                }
                let now = WallClock.now();
                times.lock().unwrap()[index].insert((*next).into(), now);
                self.0[index].set(Tag::Count, &TagValue::Count(*next), now);
                done += 1;
            }
        }
        done
    }
}

/// A bare subscription to one machine that counts what arrives.
async fn bare(machine: &SimulatedMachine, arrived: Arc<AtomicU64>) -> Arc<Session> {
    let mut client = ClientBuilder::new()
        .application_name("bare")
        .application_uri("urn:bare")
        .pki_dir(std::env::temp_dir().join("linewright-bench-pki"))
        .create_sample_keypair(false)
        .session_retry_limit(0)
        .client()
        .unwrap();
    let url = format!("opc.tcp://{}", machine.address());
    let policy = "http://opcfoundation.org/UA/SecurityPolicy#None";
    let endpoint = (url.as_str(), policy, MessageSecurityMode::None, UserTokenPolicy::anonymous());
    let (session, events) =
        client.connect_to_endpoint_directly(endpoint, IdentityToken::Anonymous).unwrap();
    events.spawn();
    session.wait_for_connection().await;
    let count = move |_, _: &_| {
        arrived.fetch_add(1, Ordering::Relaxed);
    };
    let callback = DataChangeCallback::new(count);
    let interval = Duration::from_millis(100);
    let subscription =
        session.create_subscription(interval, 600, 10, 0, 0, true, callback).await.unwrap();
    let namespaces = namespace_index(&session).await;
    let mut item: MonitoredItemCreateRequest = NodeId::new(namespaces, "GoodCount").into();
    item.requested_parameters.client_handle = 1;
    item.requested_parameters.sampling_interval = 0.0;
    item.requested_parameters.queue_size = 1000;
    session
        .create_monitored_items(subscription, TimestampsToReturn::Both, vec![item])
        .await
        .unwrap();
    session
}

async fn namespace_index(session: &Session) -> u16 {
    use opcua::types::{ReadValueId, VariableId, Variant};
    let id = ReadValueId::from(NodeId::from(VariableId::Server_NamespaceArray));
    let read = session.read(&[id], TimestampsToReturn::Neither, 0.0).await.unwrap();
    let Some(Variant::Array(names)) = &read[0].value else { return 0 };
    let wanted = Variant::from(PLAIN_NAMESPACE);
    names.values.iter().position(|name| *name == wanted).unwrap() as u16
}

fn plant() -> Arc<Plant> {
    let line = LineId::parse("L").unwrap();
    let ids: Vec<_> = (0..MACHINES).map(|n| MachineId::parse(&format!("B{n}")).unwrap()).collect();
    let rule = SignalRule::Count(CounterRule::default());
    let signal = Signal { role: SignalRole::Good, rule };
    let machines = ids.iter().map(|id| {
        let machine = Machine {
            id: id.clone(),
            name: id.to_string(),
            line: line.clone(),
            micro_stop_below: Span::from_seconds(5),
            explain_from: Span::from_seconds(5),
            silence_after: None,
            stuck_after: None,
            priority: 0,
            signals: vec![signal.clone()],
        };
        (id.clone(), machine)
    });
    let area = AreaId::parse("A").unwrap();
    let configured = Line {
        bottleneck_by_product: BTreeMap::new(),
        stations: Vec::new(),
        buffers: Vec::new(),
        root_cause: RootCause::Equipment,
        id: line.clone(),
        name: "L".into(),
        area: area.clone(),
        bottleneck: ids[0].clone(),
        outfeed: ids[0].clone(),
        machines: ids.clone(),
        default_product: None,
        no_order: NoOrderPolicy::Loss,
    };
    Arc::new(Plant {
        closing_grace: Span::from_seconds(900),
        site: SiteId::parse("S").unwrap(),
        site_name: "S".into(),
        time_zone: "UTC".into(),
        areas: vec![Area { id: area, name: "A".into() }],
        lines: BTreeMap::from([(line.clone(), configured)]),
        machines: machines.collect(),
        products: BTreeMap::new(),
        reasons: BTreeMap::new(),
        calendar: Calendar::new(vec![], Arc::new(IanaZone::find("UTC").unwrap())),
        confirmation_interval: Span::from_seconds(60),
    })
}

/// Links of all machines to an engine.
fn connect(machines: &Machines, engine: &EngineHandle, stop: &CancellationToken) {
    let clock = Arc::new(WallClock);
    let link = MachineLink {
        common: Common::default(),
        recognisers: tokio::sync::mpsc::channel(1).0,
        mirrors: Mirrors::new(Namespaces::of(Vec::new()), None, Arc::new(WallClock), None),
        engine: engine.clone(),
        connections: Connections::default(),
        dialer: Arc::new(Dialer::new(&std::env::temp_dir(), clock.clone())),
        clock,
        stop: stop.clone(),
    };
    let rule = SignalRule::Count(CounterRule::default());
    let signal = Signal { role: SignalRole::Good, rule };
    for (number, machine) in machines.0.iter().enumerate() {
        let node =
            Node { namespace: Some(PLAIN_NAMESPACE.into()), identifier: "s=GoodCount".into() };
        let connection = MachineConnection {
            mirror: None,
            is_recognised: false,
            orders: None,
            machine: MachineId::parse(&format!("B{number}")).unwrap(),
            targets: vec![Target {
                url: format!("opc.tcp://{}", machine.address()),
                protection: Protection::NONE,
                pinned: None,
                credentials: Credentials::Anonymous,
                name: "bench".into(),
            }],
            publishing_interval: PUBLISHING,
            sampling_interval: Span::ZERO,
            clock_skew_max: Span::from_seconds(10),
            items: vec![(Watched::Signal(signal.clone()), node.into())],
        };
        machine::start(link.clone(), connection);
    }
}

/// Delays of all values until they are in the published picture, until cancelled.
async fn watch(engine: EngineHandle, times: SetTimes, stop: CancellationToken) -> Vec<i64> {
    let mut views = engine.views();
    let mut delays = Vec::new();
    loop {
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return delays },
            () = stop.cancelled() => return delays,
        }
        let now = WallClock.now();
        let view = views.borrow_and_update().clone();
        let mut times = times.lock().unwrap();
        for (index, picture) in view.machines.values().enumerate() {
            let Some((value, _)) = picture.counters.get(&SignalRole::Good) else { continue };
            let later = times[index].split_off(&(value + 1));
            let shown = std::mem::replace(&mut times[index], later);
            delays.extend(shown.values().map(|set| (now - *set).ticks()));
        }
    }
}

fn stored(engine: &EngineHandle) -> u64 {
    let mut count = 0;
    let count_observed =
        &mut |event: &Event| count += u64::from(matches!(event, Event::Observed(_)));
    engine.reader().journal(count_observed).unwrap();
    count
}

fn peak_memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}

async fn measure(rate: u64) {
    let stop = CancellationToken::new();
    let machines = Machines::start(&stop).await;
    let mut next = 1;
    let arrived = Arc::new(AtomicU64::new(0));
    let mut sessions = Vec::new();
    for machine in &machines.0 {
        sessions.push(bare(machine, arrived.clone()).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = arrived.load(Ordering::Relaxed);
    let times: SetTimes = Arc::new(Mutex::new(vec![BTreeMap::new(); MACHINES]));
    let offered_bare = machines.work(rate, &mut next, &times).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let bare = arrived.load(Ordering::Relaxed) - before;
    for session in sessions {
        let _ = session.disconnect().await;
    }

    let directory = tempfile::tempdir().unwrap();
    let store = RedbStore::open(directory.path()).unwrap();
    let (engine, thread) = engine::start(plant(), Box::new(store), Arc::new(WallClock)).unwrap();
    connect(&machines, &engine, &stop);
    let all_up = || engine.view().machines.values().filter(|m| m.linked).count() == MACHINES;
    while !all_up() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = stored(&engine);
    let watching = CancellationToken::new();
    times.lock().unwrap().iter_mut().for_each(BTreeMap::clear);
    let delays = tokio::spawn(watch(engine.clone(), times.clone(), watching.clone()));
    let offered = machines.work(rate, &mut next, &times).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    watching.cancel();
    let mut delays = delays.await.unwrap();
    delays.sort_unstable();
    let durable = stored(&engine) - before;
    stop.cancel();
    engine.stop().await;
    tokio::task::spawn_blocking(move || thread.join()).await.unwrap().unwrap();
    let at = |share: f64| {
        let index = ((delays.len() as f64 - 1.0) * share).max(0.0) as usize;
        delays.get(index).map_or(f64::NAN, |ticks| *ticks as f64 / 10_000.0)
    };
    println!(
        "{:>8} {:>8.3} {:>10} {:>8.3} {:>10} {:>7.2} {:>8.1} {:>8.1} {:>8}",
        rate,
        bare as f64 / offered_bare as f64,
        bare / SECONDS,
        durable as f64 / offered as f64,
        durable / SECONDS,
        durable as f64 / bare.max(1) as f64,
        at(0.5),
        at(0.99),
        peak_memory_mb()
    );
}

fn main() {
    // `cargo test` runs benchmarks with --test to see that they build; then there is nothing to do.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!(
        "{:>8} {:>8} {:>10} {:>8} {:>10} {:>7} {:>8} {:>8} {:>8}",
        "offered", "bare", "bare/s", "durable", "durable/s", "ratio", "p50 ms", "p99 ms", "peak MB"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for rate in RATES {
        runtime.block_on(measure(rate));
    }
    println!(
        "{MACHINES} machines, {SECONDS} s a rate, publishing interval of the machines {} ms",
        PUBLISHING.ticks() / 10_000
    );
}
