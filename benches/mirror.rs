//! What it costs to mirror machines, beside the same mirror written in node-opcua and in asyncua, in one
//! run. `cargo bench --bench mirror`; with `-- ours` only ours, and with `-- rates` at which ours gives in.
//!
//! Three processes: fifty machines with two hundred variables each (servers of the stack, whose cost is
//! shown apart), the mirror, and a subscriber who watches every variable at 100 ms. A change is done when
//! the subscriber has it; its delay runs from the machine's own source time to then. CPU is that of the
//! mirror's process for each change that has arrived. The peers (`benches/mirror/`) need
//! `tests/interop/node_modules` and `tests/interop/.venv`, which `.ci/run` makes.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first thing that is wrong")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opcua::client::{ClientBuilder, DataChangeCallback, IdentityToken, Session};
use opcua::server::ServerBuilder;
use opcua::server::address_space::{ObjectBuilder, VariableBuilder};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::types::{
    DataTypeId, DataValue, DateTime, MessageSecurityMode, MonitoredItemCreateRequest, NodeId,
    ObjectId, ObjectTypeId, QualifiedName, ReadValueId, StatusCode, TimestampsToReturn,
    UserTokenPolicy, VariableId, VariableTypeId, Variant,
};
use tokio::net::TcpListener;

const MACHINES: usize = 50;
const TAGS: usize = 200;
const SECONDS: u64 = 20;
/// How long is waited for what is still under way.
const REST: Duration = Duration::from_secs(3);
const NAMESPACE: &str = "urn:bench";
/// Offered changes a second of all machines together, at which ours is tried.
const RATES: [u64; 5] = [10_000, 40_000, 80_000, 120_000, 160_000];

/// One server of a machine.
struct Machine {
    handle: opcua::server::ServerHandle,
    manager: Arc<SimpleNodeManager>,
    nodes: Vec<NodeId>,
}

async fn machine(number: usize, port: u16) -> Machine {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let metadata = NamespaceMetadata { namespace_uri: NAMESPACE.into(), ..Default::default() };
    let mut builder = ServerBuilder::new_anonymous(format!("machine {number}"))
        .application_uri(format!("urn:bench:machine:{number}"))
        .product_uri("urn:bench")
        .host("127.0.0.1")
        .port(port)
        .pki_dir(std::env::temp_dir().join("linewright-bench-machines"))
        .create_sample_keypair(false)
        .subscription_poll_interval_ms(50)
        .max_array_length(100_000)
        .with_node_manager(simple_node_manager(metadata, "machine"));
    let limits = builder.limits_mut();
    limits.subscriptions.min_sampling_interval_ms = 0.0;
    limits.subscriptions.min_publishing_interval_ms = 50.0;
    limits.subscriptions.max_monitored_item_queue_size = 1000;
    limits.subscriptions.max_queued_notifications = 1000;
    let (server, handle) = builder.build().unwrap();
    let manager = handle.node_managers().get_of_type::<SimpleNodeManager>().unwrap();
    let namespace = handle.get_namespace_index(NAMESPACE).unwrap();
    let nodes: Vec<_> = (0..TAGS).map(|tag| NodeId::new(namespace, format!("T{tag}"))).collect();
    {
        let mut space = manager.address_space().write();
        let folder = NodeId::new(namespace, "Machine");
        ObjectBuilder::new(&folder, QualifiedName::new(namespace, "Machine"), "Machine")
            .organized_by(ObjectId::ObjectsFolder)
            .has_type_definition(ObjectTypeId::FolderType)
            .insert(&mut *space);
        for (tag, id) in nodes.iter().enumerate() {
            let name = format!("T{tag}");
            VariableBuilder::new(id, QualifiedName::new(namespace, name.as_str()), name.as_str())
                .data_type(DataTypeId::Double)
                .value(0.0)
                .component_of(folder.clone())
                .has_type_definition(VariableTypeId::BaseDataVariableType)
                .insert(&mut *space);
        }
    }
    tokio::spawn(server.run_with(listener));
    Machine { handle, manager, nodes }
}

/// The process of the machines: works at a rate for so many seconds whenever it is told to, and says how many
/// changes there were. With a slow machine, the first one does nothing for seconds again and again.
async fn machines(ports: Vec<u16>) {
    let mut all = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        all.push(machine(number, *port).await);
    }
    println!("ready");
    let mut next = 0_u64;
    for line in std::io::stdin().lines() {
        let rate: u64 = line.unwrap().parse().unwrap();
        let (began, mut done) = (Instant::now(), 0);
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while began.elapsed() < Duration::from_secs(SECONDS) {
            tick.tick().await;
            let due = (began.elapsed().as_secs_f64() * rate as f64) as u64;
            let mut changes: Vec<Vec<(usize, DataValue)>> = vec![Vec::new(); MACHINES];
            let at = Some(DateTime::now());
            while done < due {
                let place = next as usize % (MACHINES * TAGS);
                let value = Some(Variant::Double((next / (MACHINES * TAGS) as u64 + 1) as f64));
                let value = DataValue {
                    value,
                    status: Some(StatusCode::Good),
                    source_timestamp: at,
                    server_timestamp: at,
                    source_picoseconds: None,
                    server_picoseconds: None,
                };
                changes[place % MACHINES].push((place / MACHINES, value));
                (next, done) = (next + 1, done + 1);
            }
            for (machine, changes) in all.iter().zip(changes) {
                let changes = changes.into_iter().map(|(tag, v)| (&machine.nodes[tag], None, v));
                let subscriptions = machine.handle.subscriptions();
                machine.manager.set_values(subscriptions, changes).unwrap();
            }
        }
        println!("{done}");
    }
}

async fn connect(url: &str) -> Arc<Session> {
    let mut client = ClientBuilder::new()
        .application_name("watch")
        .application_uri("urn:bench:watch")
        .pki_dir(std::env::temp_dir().join("linewright-bench-watch"))
        .create_sample_keypair(false)
        .session_retry_limit(0)
        // By default it gives up at the first message with more than a thousand values.
        .max_array_length(100_000)
        .max_message_size(64 << 20)
        .max_chunk_count(10_000)
        .client()
        .unwrap();
    let policy = "http://opcfoundation.org/UA/SecurityPolicy#None";
    let endpoint = (url, policy, MessageSecurityMode::None, UserTokenPolicy::anonymous());
    let connected = client.connect_to_endpoint_directly(endpoint, IdentityToken::Anonymous);
    let (session, events) = connected.unwrap();
    events.spawn();
    session.wait_for_connection().await;
    session
}

/// Indexes of the namespaces of all machines, as soon as they are all there.
async fn namespaces(session: &Session) -> Vec<u16> {
    loop {
        let id = ReadValueId::from(NodeId::from(VariableId::Server_NamespaceArray));
        let read = session.read(&[id], TimestampsToReturn::Neither, 0.0).await.unwrap();
        let Some(Variant::Array(names)) = &read[0].value else { continue };
        let index = |machine: usize| {
            let wanted = [
                format!("urn:linewright:ua:source:M{machine}:{NAMESPACE}"),
                format!("{NAMESPACE}:M{machine}"),
            ];
            let is_wanted =
                |name: &Variant| wanted.iter().any(|w| *name == Variant::from(w.as_str()));
            names.values.iter().position(is_wanted).map(|index| index as u16)
        };
        if let Some(all) = (0..MACHINES).map(index).collect::<Option<Vec<_>>>() {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The process of the subscriber: says when it watches everything; then, whenever it is told to, how many
/// changes there were since the last time, and their delays in ms.
async fn watch(url: &str) {
    let session = connect(url).await;
    let indexes = namespaces(&session).await;
    let count = Arc::new(AtomicU64::new(0));
    let delays = Arc::new(Mutex::new(Vec::<u32>::new()));
    for indexes in indexes.chunks(5) {
        let (count, delays) = (count.clone(), delays.clone());
        let arrived = move |value: DataValue, _: &_| {
            count.fetch_add(1, Ordering::Relaxed);
            if let Some(at) = value.source_timestamp {
                let delay = (DateTime::now().ticks() - at.ticks()) / 1000;
                delays.lock().unwrap().push(u32::try_from(delay).unwrap_or(0));
            }
        };
        let callback = DataChangeCallback::new(arrived);
        let interval = Duration::from_millis(100);
        let id =
            session.create_subscription(interval, 600, 10, 0, 0, true, callback).await.unwrap();
        let items = indexes.iter().flat_map(|index| (0..TAGS).map(move |tag| (*index, tag)));
        let items: Vec<_> = items
            .enumerate()
            .map(|(handle, (index, tag))| {
                let mut item: MonitoredItemCreateRequest =
                    NodeId::new(index, format!("T{tag}")).into();
                item.requested_parameters.client_handle = handle as u32 + 1;
                item.requested_parameters.sampling_interval = 0.0;
                item.requested_parameters.queue_size = 100;
                item
            })
            .collect();
        let mut rest = items;
        // The nodes of a machine may come a moment after its namespace.
        while !rest.is_empty() {
            let both = TimestampsToReturn::Both;
            let created = session.create_monitored_items(id, both, rest.clone()).await.unwrap();
            let with_results = rest.into_iter().zip(&created);
            let failed = with_results.filter(|(_, made)| made.result.status_code.is_bad());
            rest = failed.map(|(item, _)| item).collect();
            if !rest.is_empty() {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
    // Every variable has told its first value.
    while count.load(Ordering::Relaxed) < (MACHINES * TAGS) as u64 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("ready");
    for line in std::io::stdin().lines() {
        line.unwrap();
        let mut delays = std::mem::take(&mut *delays.lock().unwrap());
        delays.sort_unstable();
        let at = |share: f64| {
            let place = ((delays.len() as f64 - 1.0) * share).max(0.0) as usize;
            f64::from(delays.get(place).copied().unwrap_or(0)) / 10.0
        };
        println!("{} {:.1} {:.1} {:.1}", delays.len(), at(0.5), at(0.99), at(1.0));
    }
}

/// A process that is told something on its standard input and answers on its standard output.
struct Worker {
    child: Child,
    said: Option<BufReader<std::process::ChildStdout>>,
}

impl Worker {
    fn start(command: &mut Command) -> Worker {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Worker { child, said: Some(said) }
    }

    /// A process whose words nobody reads: it must not wait for that.
    fn silent(command: &mut Command) -> Worker {
        let log = std::fs::File::create(std::env::temp_dir().join("linewright-bench.log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).spawn().unwrap();
        Worker { child, said: None }
    }

    fn of_this(arguments: &[&str]) -> Worker {
        Worker::start(Command::new(std::env::current_exe().unwrap()).args(arguments))
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        let said = self.said.as_mut().unwrap();
        assert!(said.read_line(&mut line).unwrap() > 0, "a process has ended");
        line.trim().to_owned()
    }

    fn tell(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{text}").unwrap();
    }

    /// CPU seconds that it has used, and its largest memory in MB.
    fn cost(&self) -> (f64, u64) {
        let of = format!("/proc/{}", self.child.id());
        let stat = std::fs::read_to_string(format!("{of}/stat")).unwrap_or_default();
        let fields: Vec<_> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        let status = std::fs::read_to_string(format!("{of}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
        let memory = line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok());
        ((ticks(11) + ticks(12)) / 100.0, memory.unwrap_or(0) / 1024)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_ports(count: usize) -> Vec<u16> {
    let bind = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let all: Vec<_> = (0..count).map(bind).collect();
    all.iter().map(|one| one.local_addr().unwrap().port()).collect()
}

fn ours(directory: &Path, ports: &[u16], opcua: u16, http: u16) -> Worker {
    let mut text = format!(
        "[site]\nid = \"B\"\ntime_zone = \"UTC\"\n[data]\ndirectory = {:?}\n\
         [opcua]\nlisten = \"127.0.0.1:{opcua}\"\nopen_endpoint = true\nanonymous_read = true\n\
         [http]\nlisten = \"127.0.0.1:{http}\"\n[[area]]\nid = \"A\"\n\
         [[line]]\nid = \"L\"\narea = \"A\"\nbottleneck = \"M0\"\n",
        directory.join("data")
    );
    for (number, port) in ports.iter().enumerate() {
        text += &format!(
            "[[machine]]\nid = \"M{number}\"\nline = \"L\"\nendpoint = \"opc.tcp://127.0.0.1:{port}\"\n\
             security = \"none\"\npublishing_interval = \"100ms\"\n\
             [[machine.signal]]\nrole = \"cycle\"\nnode = \"nsu={NAMESPACE};s=T0\"\ncycle = \"1s\"\n\
             [machine.mirror]\n"
        );
    }
    let config = directory.join("plant.toml");
    std::fs::write(&config, text).unwrap();
    let binary = env!("CARGO_BIN_EXE_linewright");
    Worker::silent(Command::new(binary).args(["serve", "--config"]).arg(config))
}

fn peer(name: &str, ports: &[u16], opcua: u16) -> Worker {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let (program, file) = match name {
        "node-opcua" => (PathBuf::from("node"), "mirror_node_opcua.js"),
        _ => (root.join("tests/interop/.venv/bin/python"), "mirror_asyncua.py"),
    };
    let mut command = Command::new(program);
    command.arg(root.join("benches/mirror").join(file)).arg(opcua.to_string()).arg(ports);
    Worker::silent(command.arg(TAGS.to_string()).current_dir(root.join("tests/interop")))
}

/// Measures a mirror at some rates.
fn measure(name: &str, rates: &[u64]) {
    let ports = free_ports(MACHINES + 2);
    let (ports, rest) = ports.split_at(MACHINES);
    let joined = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let mut machines = Worker::of_this(&["machines", &joined]);
    assert_eq!(machines.next(), "ready");
    let directory = tempfile::tempdir().unwrap();
    let mirror = match name {
        "linewright" => ours(directory.path(), ports, rest[0], rest[1]),
        peer_name => peer(peer_name, ports, rest[0]),
    };
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", rest[0])).is_err() {
        assert!(began.elapsed() < Duration::from_secs(120), "{name} does not listen");
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut watcher = Worker::of_this(&["watch", &format!("opc.tcp://127.0.0.1:{}", rest[0])]);
    assert_eq!(watcher.next(), "ready");
    for rate in rates {
        std::thread::sleep(REST);
        watcher.tell("forget");
        watcher.next();
        let before = [&mirror, &machines, &watcher].map(|one| one.cost().0);
        machines.tell(&rate.to_string());
        let offered: u64 = machines.next().parse().unwrap();
        std::thread::sleep(REST);
        watcher.tell("say");
        let said = watcher.next();
        let said: Vec<f64> = said.split(' ').map(|part| part.parse().unwrap()).collect();
        let after = [&mirror, &machines, &watcher].map(|one| one.cost().0);
        let cpu = |at: usize| (after[at] - before[at]) * 1e6 / said[0].max(1.0);
        println!(
            "{name:>12} {rate:>8} {:>9.4} {:>9.0} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>9.1} {:>9.1} {:>7}",
            1.0 - said[0] / offered as f64,
            said[0] / SECONDS as f64,
            said[1],
            said[2],
            said[3],
            cpu(0),
            cpu(1),
            cpu(2),
            mirror.cost().1
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    // `cargo test` runs benchmarks with --test to see that they build; then there is nothing to do.
    if has("--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match arguments.get(1).map(String::as_str) {
        Some("machines") => {
            let ports = arguments[2].split(',').map(|port| port.parse().unwrap()).collect();
            return runtime.block_on(machines(ports));
        }
        Some("watch") => return runtime.block_on(watch(&arguments[2])),
        _ => {}
    }
    println!("{MACHINES} machines with {TAGS} variables, {SECONDS} s each, publishing at 100 ms");
    println!(
        "{:>12} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>7}",
        "mirror",
        "offered",
        "lost",
        "arrived/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "CPU us",
        "machines",
        "watcher",
        "MB"
    );
    measure("linewright", if has("rates") { &RATES } else { &RATES[..1] });
    if !has("ours") {
        measure("node-opcua", &[10_000, 20_000, 30_000, 40_000]);
        measure("asyncua", &[2_500, 5_000, 10_000]);
    }
}
