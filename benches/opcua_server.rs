//! Our OPC UA server beside that of the stack: same content, same client, same machine, same run.
//! `cargo bench --bench opcua_server`
//!
//! The client writes requests that were encoded before and reads answers without decoding them, so
//! what is measured is the server. Each server runs in a process of its own, whose memory is read
//! from the operating system.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first thing that is wrong")]
#![expect(clippy::expect_used, reason = "a benchmark stops at the first thing that is wrong")]
#![expect(clippy::panic, reason = "a benchmark stops at the first thing that is wrong")]

#[path = "../tests/opcua/raw.rs"]
mod raw;
#[path = "../tests/opcua/space.rs"]
mod space;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::core::ResponseMessage;
use opcua::server::ServerBuilder;
use opcua::server::address_space::{ObjectBuilder, VariableBuilder};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::types::{
    AttributeId, CloseSessionRequest, CreateMonitoredItemsRequest, CreateSubscriptionRequest,
    DataTypeId, DataValue, DateTime, MonitoredItemCreateRequest, MonitoringMode,
    MonitoringParameters, NodeId, ObjectId, ObjectTypeId, PublishRequest, QualifiedName,
    ReadRequest, ReadValueId, TimestampsToReturn, VariableTypeId, Variant,
};

use self::raw::Raw;

const VARIABLES: usize = 100_000;
const SESSIONS: usize = 10;
const SUBSCRIPTIONS: usize = 10;
const ITEMS: usize = VARIABLES / SESSIONS / SUBSCRIPTIONS;
const NS: u16 = space::NS;

/// A server process that takes commands on its standard input.
struct Served {
    child: Child,
    input: ChildStdin,
    output: std::io::Lines<BufReader<std::process::ChildStdout>>,
    address: SocketAddr,
}

impl Served {
    fn start(kind: &str) -> Served {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--serve", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = output.find_map(|line| {
            let line = line.ok()?;
            line.strip_prefix("at ").map(str::to_owned)
        });
        let address = line.expect("the server starts").parse().unwrap();
        Served { child, input, output, address }
    }

    /// Lets the server set a range of variables to new values; how long that took, in ms.
    fn push(&mut self, count: usize) -> f64 {
        writeln!(self.input, "push {count}").unwrap();
        let line = self.output.next().expect("an answer").unwrap();
        line.strip_prefix("pushed ").expect("a time").parse().unwrap()
    }

    fn memory_mb(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn new_value(round: u64, number: usize, now: DateTime) -> DataValue {
    DataValue {
        value: Some(Variant::Double(round as f64 + number as f64)),
        status: Some(opcua::types::StatusCode::Good),
        source_timestamp: Some(now),
        server_timestamp: Some(now),
        source_picoseconds: None,
        server_picoseconds: None,
    }
}

/// Reads commands and carries them out with `push`.
fn obey(mut push: impl FnMut(u64, usize)) {
    let mut round = 0;
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let count: usize = line.strip_prefix("push ").unwrap().parse().unwrap();
        round += 1;
        let began = Instant::now();
        push(round, count);
        println!("pushed {}", began.elapsed().as_secs_f64() * 1000.0);
    }
}

async fn serve_ours() {
    let directory = tempfile::tempdir().unwrap();
    let mut limits = space::test_limits();
    limits.operations.monitored_items = VARIABLES;
    let served = space::start(directory.path(), limits, VARIABLES).await;
    println!("at {}", served.address);
    let ids: Vec<NodeId> = (0..VARIABLES).map(space::variable).collect();
    tokio::task::spawn_blocking(move || {
        let hub = served.server.services().hub();
        // As whoever hands over values does it: he keeps the places until the watched nodes change.
        let (mut watched, mut spots) = (hub.watched(), Vec::new());
        obey(|round, count| {
            let now = DateTime::now();
            if !Arc::ptr_eq(&watched, &hub.watched()) || spots.is_empty() {
                watched = hub.watched();
                spots = ids.iter().map(|id| hub.spot(id)).collect::<Vec<_>>();
            }
            for start in (0..count).step_by(2000) {
                let change = |number: usize| {
                    let value = Arc::new(new_value(round, number, now));
                    served.space.set_shared(&ids[number], value.clone());
                    (spots[number].clone(), value)
                };
                let changes: Vec<_> = (start..count.min(start + 2000)).map(change).collect();
                hub.push(&changes);
            }
        });
    })
    .await
    .unwrap();
}

async fn serve_stack() {
    let uri = "urn:test";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let metadata = NamespaceMetadata { namespace_uri: uri.to_owned(), ..Default::default() };
    let directory = tempfile::tempdir().unwrap();
    let mut builder = ServerBuilder::new_anonymous("stack")
        .application_uri("urn:stack")
        .product_uri("urn:stack")
        .host("127.0.0.1")
        .port(address.port())
        .pki_dir(directory.path())
        .create_sample_keypair(false)
        .subscription_poll_interval_ms(10)
        .max_array_length(200_000)
        .max_session_timeout_ms(3_600_000)
        .with_node_manager(simple_node_manager(metadata, "test"));
    let limits = builder.limits_mut();
    limits.max_message_size = 64 << 20;
    limits.max_chunk_count = 2000;
    limits.max_sessions = 2000;
    limits.subscriptions.max_subscriptions_per_session = 100;
    limits.subscriptions.max_monitored_items_per_sub = 0;
    limits.subscriptions.min_sampling_interval_ms = 0.0;
    limits.subscriptions.min_publishing_interval_ms = 10.0;
    limits.subscriptions.max_publish_requests_per_subscription = 10;
    limits.subscriptions.max_monitored_item_queue_size = 10_000;
    limits.operational.max_monitored_items_per_call = 200_000;
    limits.operational.max_nodes_per_read = 200_000;
    let (server, handle) = builder.build().unwrap();
    let manager: Arc<SimpleNodeManager> =
        handle.node_managers().get_of_type::<SimpleNodeManager>().unwrap();
    let namespace = handle.get_namespace_index(uri).unwrap();
    assert_eq!(namespace, NS, "both servers have the same ids");
    {
        let mut nodes = manager.address_space().write();
        let root = NodeId::new(namespace, "root");
        ObjectBuilder::new(&root, QualifiedName::new(namespace, "root"), "root")
            .organized_by(ObjectId::ObjectsFolder)
            .has_type_definition(ObjectTypeId::FolderType)
            .insert(&mut *nodes);
        for number in 0..VARIABLES {
            let (id, name) = (space::variable(number), number.to_string());
            VariableBuilder::new(&id, QualifiedName::new(namespace, name.as_str()), name.as_str())
                .data_type(DataTypeId::Double)
                .value(number as f64)
                .component_of(root.clone())
                .has_type_definition(VariableTypeId::BaseDataVariableType)
                .insert(&mut *nodes);
        }
    }
    tokio::spawn(server.run_with(listener));
    println!("at {address}");
    let ids: Vec<NodeId> = (0..VARIABLES).map(space::variable).collect();
    tokio::task::spawn_blocking(move || {
        obey(|round, count| {
            let now = DateTime::now();
            for batch in ids[..count].chunks(2000) {
                let changes: Vec<_> = batch
                    .iter()
                    .enumerate()
                    .map(|(number, id)| (id, None, new_value(round, number, now)))
                    .collect();
                manager.set_values(handle.subscriptions(), changes.into_iter()).unwrap();
            }
        });
    })
    .await
    .unwrap();
}

/// Values read a second, in requests of 1000 nodes.
async fn reads(address: SocketAddr) -> f64 {
    let mut client = Raw::session(address).await;
    let ids = (0..1000).map(|number| ReadValueId {
        node_id: space::variable(number * 97 % VARIABLES),
        attribute_id: AttributeId::Value as u32,
        ..ReadValueId::default()
    });
    let request = ReadRequest {
        request_header: client.header(),
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Both,
        nodes_to_read: Some(ids.collect()),
    };
    let bytes = client.encode(&request.into());
    for _ in 0..50 {
        client.send_bytes(&bytes).await;
        client.receive_bytes().await.unwrap();
    }
    let (began, mut rounds) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(3) {
        client.send_bytes(&bytes).await;
        let (_, answer) = client.receive_bytes().await.unwrap();
        assert!(answer.len() > 20_000, "the answer has {} bytes", answer.len());
        rounds += 1;
    }
    f64::from(rounds) * 1000.0 / began.elapsed().as_secs_f64()
}

fn items(first: usize, count: usize) -> Vec<MonitoredItemCreateRequest> {
    let item = |number: usize| MonitoredItemCreateRequest {
        item_to_monitor: ReadValueId {
            node_id: space::variable(number),
            attribute_id: AttributeId::Value as u32,
            ..ReadValueId::default()
        },
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: number as u32 + 1,
            sampling_interval: 0.0,
            queue_size: 1,
            discard_oldest: true,
            ..MonitoringParameters::default()
        },
    };
    (first..first + count).map(item).collect()
}

async fn subscribe(client: &mut Raw, interval: f64, first: usize, count: usize) {
    let request = CreateSubscriptionRequest {
        request_header: client.header(),
        requested_publishing_interval: interval,
        requested_lifetime_count: 1000,
        requested_max_keep_alive_count: 100,
        max_notifications_per_publish: 0,
        publishing_enabled: true,
        priority: 0,
    };
    let ResponseMessage::CreateSubscription(created) = client.call(request).await.unwrap() else {
        panic!("no subscription")
    };
    let request = CreateMonitoredItemsRequest {
        request_header: client.header(),
        subscription_id: created.subscription_id,
        timestamps_to_return: TimestampsToReturn::Both,
        items_to_create: Some(items(first, count)),
    };
    let ResponseMessage::CreateMonitoredItems(created) = client.call(request).await.unwrap() else {
        panic!("no items")
    };
    let results = created.results.unwrap();
    assert!(results.len() == count && results.iter().all(|one| one.status_code.is_good()));
}

async fn publish(client: &mut Raw) {
    let request =
        PublishRequest { request_header: client.header(), subscription_acknowledgements: None };
    client.send(request).await;
}

/// Notifications in a publish answer, counted without decoding it: the number stands behind header,
/// subscription, available numbers, message head and the head of the data change.
fn notifications(bytes: &[u8]) -> usize {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    // Type id 4; header: time 8, handle 4, result 4, diagnostics 1, strings 4, additional 3.
    let header = 4 + 8 + 4 + 4 + 1 + 4 + 3;
    if u32_at(4 + 8 + 4) != 0 {
        return 0;
    }
    let available = u32_at(header + 4);
    let available = if available == u32::MAX as usize { 0 } else { available };
    let message = header + 4 + 4 + available * 4 + 1;
    let parts = u32_at(message + 4 + 8);
    if parts == 0 || parts == u32::MAX as usize {
        return 0;
    }
    // Encoding id 4, encoding byte 1, length 4.
    u32_at(message + 4 + 8 + 4 + 4 + 1 + 4)
}

/// Receives until so many notifications have come from all sessions; asks for more meanwhile.
async fn collect(clients: &mut Vec<Raw>, wanted: usize) {
    let each = wanted / clients.len();
    let mut tasks = Vec::new();
    for mut client in clients.drain(..) {
        tasks.push(tokio::spawn(async move {
            let mut got = 0;
            while got < each {
                let (_, bytes) = client.receive_bytes().await.unwrap();
                got += notifications(&bytes);
                publish(&mut client).await;
            }
            client
        }));
    }
    for task in tasks {
        clients.push(task.await.unwrap());
    }
}

struct Monitored {
    creation_ms: f64,
    memory_mb: f64,
    push_ms: f64,
    delivered_ms: f64,
}

async fn monitor(served: &mut Served, interval: f64) -> Monitored {
    let before = served.memory_mb();
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(Raw::session(served.address).await);
    }
    let began = Instant::now();
    let mut tasks = Vec::new();
    for (index, mut client) in clients.drain(..).enumerate() {
        tasks.push(tokio::spawn(async move {
            for number in 0..SUBSCRIPTIONS {
                let first = (index * SUBSCRIPTIONS + number) * ITEMS;
                subscribe(&mut client, interval, first, ITEMS).await;
            }
            client
        }));
    }
    for task in tasks {
        clients.push(task.await.unwrap());
    }
    let creation_ms = began.elapsed().as_secs_f64() * 1000.0;
    for client in &mut clients {
        for _ in 0..2 * SUBSCRIPTIONS {
            publish(client).await;
        }
    }
    collect(&mut clients, VARIABLES).await;
    let memory_mb = served.memory_mb() - before;
    let (mut push_ms, mut delivered_ms) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let began = Instant::now();
        push_ms.push(served.push(VARIABLES));
        collect(&mut clients, VARIABLES).await;
        delivered_ms.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    Monitored {
        creation_ms,
        memory_mb,
        push_ms: median(push_ms),
        delivered_ms: median(delivered_ms),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Push time in ms and memory in MB before and after rounds of subscribing and closing.
async fn churn(served: &mut Served) -> [(f64, f64); 2] {
    const MANY: usize = 5000;
    let mut told = Vec::new();
    for round in 0..=60 {
        if round == 1 || round == 60 {
            let times = (0..5).map(|_| served.push(MANY)).collect();
            told.push((median(times), served.memory_mb()));
        }
        let mut client = Raw::session(served.address).await;
        subscribe(&mut client, 1000.0, 0, MANY).await;
        let close =
            CloseSessionRequest { request_header: client.header(), delete_subscriptions: true };
        client.call(close).await.unwrap();
    }
    [told[0], told[1]]
}

fn line(name: &str, ours: f64, stack: f64, wanted: &str) {
    println!("{name:<44} {ours:>12.1} {stack:>12.1} {:>8.2}   {wanted}", ours / stack);
}

async fn compare() {
    let mut rates = Vec::new();
    let mut results = Vec::new();
    let mut churned = Vec::new();
    for kind in ["ours", "stack"] {
        let served = Served::start(kind);
        rates.push(reads(served.address).await);
        drop(served);
        let mut told = Vec::new();
        for interval in [1000.0, 10.0] {
            let mut served = Served::start(kind);
            told.push(monitor(&mut served, interval).await);
        }
        results.push(told);
        churned.push(churn(&mut Served::start(kind)).await);
    }
    println!("{:<44} {:>12} {:>12} {:>8}", "", "ours", "stack", "ratio");
    line("values read/s, 1000 nodes a request", rates[0], rates[1], "at least 1.5");
    for (index, interval) in ["1 s", "10 ms"].iter().enumerate() {
        let (ours, stack) = (&results[0][index], &results[1][index]);
        println!(
            "-- 100 000 items, 10 sessions of 10 subscriptions, publishing interval {interval}"
        );
        line("creation, ms", ours.creation_ms, stack.creation_ms, "at most 1");
        line("memory, MB", ours.memory_mb, stack.memory_mb, "at most 0.5");
        line("handing over 100 000 changes, ms", ours.push_ms, stack.push_ms, "at most 0.5");
        // A publishing interval of a second takes a second, whoever keeps it.
        let wanted = if *interval == "10 ms" { "at most 0.5" } else { "the interval itself" };
        line("until all are delivered, ms", ours.delivered_ms, stack.delivered_ms, wanted);
    }
    println!("-- 60 rounds of 5000 items and CloseSession: before, after");
    for (kind, [before, after]) in ["ours", "stack"].iter().zip(churned) {
        println!(
            "{kind:<8} push {:.2} ms -> {:.2} ms, memory {:.1} MB -> {:.1} MB",
            before.0, after.0, before.1, after.1
        );
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    // `cargo test` runs benchmarks with --test to see that they build; then there is nothing to do.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let kind =
        arguments.iter().position(|one| one == "--serve").map(|at| arguments[at + 1].as_str());
    match kind {
        Some("ours") => runtime.block_on(serve_ours()),
        Some(_) => runtime.block_on(serve_stack()),
        None => runtime.block_on(compare()),
    }
}
