//! What a plant of 50 000 nodes costs: time until the program is ready, memory, a walk over every node,
//! a look at a day on which 100 000 lots were used, and following the lot that all of them went into back
//! to them, with a client of another stack.
//! `cargo bench --bench plant_nodes`
//!
//! The real binary, with a configuration of 61 lines with a machine each whose links find nobody. The
//! first start makes keys, which takes seconds and has nothing to do with nodes; the second is measured.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark stops at the first thing that is wrong"
)]
#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use linewright::app::ports::{Batch, Store as _};
use linewright::domain::event::Event;
use linewright::domain::genealogy::{Assignment, LotOperation, LotOperationKind};
use linewright::domain::id::{LotId, OrderId, ProductId};
use linewright::domain::time::Span;
use linewright::store::RedbStore;
use opcua::client::{ClientBuilder, IdentityToken, Session};
use opcua::types::{
    BrowseDescription, BrowseDirection, MessageSecurityMode, NodeClassMask, NodeId, ObjectId,
    ReferenceTypeId, UserTokenPolicy, Variant,
};

const LINES: usize = 61;
/// Limits of what is wanted.
const READY_WITHIN: Duration = Duration::from_secs(2);
const MEMORY_MIB: u64 = 200;
const NODES: usize = 50_000;
/// Lots of a day, those that one commit records, and those of one page of the client.
const LOTS: usize = 100_000;
const LOTS_AT_ONCE: usize = 1000;
const LOTS_OF_ORDER: usize = 10;
/// The lot that all of them went into in the end.
const LAST_LOT: &str = "LAST";
const PAGE: u32 = 1000;

fn configuration(directory: &Path, opcua: u16, http: u16) -> String {
    let directory = directory.display();
    let mut text = format!(
        "[site]\nid = \"Big\"\ntime_zone = \"UTC\"\n[data]\ndirectory = \"{directory}\"\n\
         [opcua]\nlisten = \"127.0.0.1:{opcua}\"\nopen_endpoint = true\n\
         [http]\nlisten = \"127.0.0.1:{http}\"\nanonymous_read = true\n[[area]]\nid = \"A\"\n"
    );
    for number in 0..LINES {
        // Writing to a String cannot fail.
        let _ = write!(text, "[[line]]\nid = \"L{number}\"\narea = \"A\"\n");
    }
    for number in 0..LINES {
        let _ = write!(
            text,
            "[[machine]]\nid = \"M{number}\"\nline = \"L{number}\"\nsecurity = \"none\"\n\
             endpoint = \"opc.tcp://127.0.0.1:9\"\n[[machine.signal]]\nrole = \"state\"\n\
             node = \"nsu=urn:x;s=State\"\nstates = {{ 1 = \"running\", 2 = \"down\" }}\n\
             [[machine.signal]]\nrole = \"good\"\nnode = \"nsu=urn:x;s=Good\"\n"
        );
    }
    text.push_str("[[product]]\nid = \"P\"\n");
    text
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Starts the program; how long it took until it is ready.
fn start(config: &Path, http: u16) -> (Child, Duration) {
    let begun = Instant::now();
    let program = Command::new(env!("CARGO_BIN_EXE_linewright"))
        .args(["serve", "--config"])
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let url = format!("http://127.0.0.1:{http}/readyz");
    while ureq::get(&url).call().is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the program is not ready");
        std::thread::sleep(Duration::from_millis(5));
    }
    (program, begun.elapsed())
}

fn stop(mut program: Child) {
    Command::new("kill").arg(program.id().to_string()).status().unwrap();
    program.wait().unwrap();
}

fn memory_mib(program: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Records lots that were used on the first day of 2026, ten by each order; what ten orders made went into the
/// next one on the day after, and so on to the last lot. Gives the number of operations.
fn record_lots(data: &Path) -> usize {
    use LotOperationKind::{Consumed, Produced};
    let mut store = RedbStore::open(data).unwrap();
    let begin = linewright::app::time_text::parse("2026-01-01T00:00:00Z").unwrap();
    let next_day = begin + Span::from_seconds(86_400);
    let operation = |kind, lot: &str, order: &str, at| {
        Event::LotRecorded(LotOperation {
            kind,
            lot: LotId::parse(lot).unwrap(),
            order: OrderId::parse(order).unwrap(),
            product: ProductId::parse("P").unwrap(),
            machine: None,
            at,
            quantity: None,
            assignment: Assignment::Stated,
            actor: "bench".into(),
        })
    };
    let mut lots = Vec::new();
    for number in 0..LOTS {
        let at = begin + Span::from_millis(number as i64 * 500);
        let order = format!("WO-1-{}", number / LOTS_OF_ORDER);
        lots.push(operation(Consumed, &format!("LOT-{number}"), &order, at));
    }
    let (mut level, mut orders) = (1, LOTS / LOTS_OF_ORDER);
    while orders > 1 {
        for number in 0..orders {
            let made = format!("MADE-{level}-{number}");
            lots.push(operation(Produced, &made, &format!("WO-{level}-{number}"), next_day));
            let into = format!("WO-{}-{}", level + 1, number / LOTS_OF_ORDER);
            lots.push(operation(Consumed, &made, &into, next_day));
        }
        (level, orders) = (level + 1, orders / LOTS_OF_ORDER);
    }
    lots.push(operation(Produced, LAST_LOT, &format!("WO-{level}-0"), next_day));
    for events in lots.chunks(LOTS_AT_ONCE) {
        store.commit(&Batch { events, ..Batch::default() }).unwrap();
    }
    lots.len()
}

/// Pages through the lots of the day: how many there are, after what time the first page was there, and
/// after what time the last.
async fn look_at_day(session: &Session) -> (usize, Duration, Duration) {
    let folder = NodeId::new(3, "lots-of/2026-01-01");
    let begun = Instant::now();
    let mut page = session.browse(&[describe(&folder)], PAGE, None).await.unwrap().remove(0);
    let first = begun.elapsed();
    let mut lots = BTreeSet::new();
    loop {
        let references = page.references.unwrap_or_default();
        assert!(references.len() <= PAGE as usize);
        lots.extend(references.into_iter().map(|r| r.node_id.node_id.to_string()));
        if page.continuation_point.is_null() {
            return (lots.len(), first, begun.elapsed());
        }
        let point = page.continuation_point.clone();
        page = session.browse_next(false, &[point]).await.unwrap().remove(0);
    }
}

/// Follows the last lot back to all that it was made from, page by page: how many operations there are, after
/// what time the first page was there, how long the slowest page took, and after what time the last came.
async fn follow_back(session: &Session) -> (usize, [Duration; 3]) {
    let begun = Instant::now();
    let (mut place, mut found) = (String::new(), 0);
    let (mut first, mut slowest) = (None, Duration::ZERO);
    loop {
        let asked = Instant::now();
        let on = NodeId::new(3, "mes/Lots");
        let method = NodeId::new(3, "mes/Lots/TraceBackward");
        let arguments: Vec<Variant> =
            vec![LAST_LOT.into(), 0_u32.into(), PAGE.into(), place.into()];
        let called = session.call_one((on, method, Some(arguments))).await.unwrap();
        let outputs = called.output_arguments.unwrap();
        let [Variant::Array(operations), Variant::String(next), ..] = outputs.as_slice() else {
            panic!("{outputs:?}");
        };
        found += operations.values.len();
        first = first.or(Some(begun.elapsed()));
        slowest = slowest.max(asked.elapsed());
        place = next.as_ref().to_owned();
        if place.is_empty() {
            return (found, [first.unwrap_or_default(), slowest, begun.elapsed()]);
        }
    }
}

/// Walks over all nodes of the plant below Objects; how many there are.
async fn walk(session: &Session) -> usize {
    let mut seen = BTreeSet::new();
    let mut next: Vec<NodeId> = vec![ObjectId::ObjectsFolder.into()];
    while !next.is_empty() {
        let rest = next.split_off(next.len().min(200));
        let wanted: Vec<_> = next.iter().map(describe).collect();
        let results = session.browse(&wanted, 0, None).await.unwrap();
        next = rest;
        for reference in results.into_iter().flat_map(|r| r.references.unwrap_or_default()) {
            let id = reference.node_id.node_id;
            let is_of_plant = matches!(&id.identifier, opcua::types::Identifier::String(_));
            if is_of_plant && seen.insert(id.to_string()) {
                next.push(id);
            }
        }
    }
    seen.len()
}

fn describe(node: &NodeId) -> BrowseDescription {
    BrowseDescription {
        node_id: node.clone(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        include_subtypes: true,
        node_class_mask: NodeClassMask::empty().bits(),
        result_mask: 0,
    }
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let (opcua, http) = (free_port(), free_port());
    let config = directory.path().join("plant.toml");
    std::fs::write(&config, configuration(&directory.path().join("data"), opcua, http)).unwrap();
    stop(start(&config, http).0);
    let recorded = record_lots(&directory.path().join("data"));
    // The lots are taken over once, as after a crash; what is measured is a start as any other.
    stop(start(&config, http).0);
    let (program, ready) = start(&config, http);
    let at_start = memory_mib(&program);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (nodes, walked, day, (lots, first, last), trail) = runtime.block_on(async {
        let mut client = ClientBuilder::new()
            .application_name("plant nodes")
            .application_uri("urn:linewright:bench:nodes")
            .pki_dir(directory.path().join("client"))
            .trust_server_certs(true)
            .create_sample_keypair(true)
            .client()
            .unwrap();
        let url = format!("opc.tcp://127.0.0.1:{opcua}");
        let endpoint = (
            url.as_str(),
            opcua::crypto::SecurityPolicy::None.to_str(),
            MessageSecurityMode::None,
            UserTokenPolicy::anonymous(),
        );
        let (session, events) =
            client.connect_to_matching_endpoint(endpoint, IdentityToken::Anonymous).await.unwrap();
        let events = events.spawn();
        assert!(session.wait_for_connection().await);
        let begun = Instant::now();
        let nodes = walk(&session).await;
        let walked = begun.elapsed();
        let before = memory_mib(&program);
        let (lots, first, last) = look_at_day(&session).await;
        let day = memory_mib(&program).saturating_sub(before);
        let trail = follow_back(&session).await;
        session.disconnect().await.unwrap();
        events.await.unwrap();
        (nodes, walked, day, (lots, first, last), trail)
    });
    assert_eq!(lots, LOTS, "all lots of the day are there");
    let (operations, [page, slowest, trailed]) = trail;
    assert_eq!(operations, recorded, "the whole trail is there");
    println!(
        "plant: {nodes} nodes (at least {NODES} wanted)\n\
         ready after {} ms (at most {})\n\
         memory {at_start} MiB at the start, {} MiB after the walk (at most {MEMORY_MIB})\n\
         walk over all nodes: {} ms\n\
         a day with {lots} lots: first page of {PAGE} after {} ms, all after {} ms, {day} MiB more\n\
         a trail of {operations} operations: first page of {PAGE} after {} ms, slowest page {} ms, all after \
         {} ms",
        ready.as_millis(),
        READY_WITHIN.as_millis(),
        memory_mib(&program),
        walked.as_millis(),
        first.as_millis(),
        last.as_millis(),
        page.as_millis(),
        slowest.as_millis(),
        trailed.as_millis()
    );
    stop(program);
}
