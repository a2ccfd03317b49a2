//! The process of the machines: servers of the stack.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::server::ServerBuilder;
use opcua::server::address_space::{ObjectBuilder, VariableBuilder};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::types::{
    DataTypeId, DataValue, DateTime, NodeId, ObjectId, ObjectTypeId, QualifiedName, StatusCode,
    VariableTypeId, Variant,
};
use tokio::net::TcpListener;

use super::chaos::{Cable, Fault};
use super::{MACHINES, NAMESPACE, SECONDS, TAGS};

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
    limits.max_sessions = 1000;
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

/// What is done to the first machine, which then makes no changes itself.
fn fault(word: &str) -> Fault {
    match word {
        "hangs" => Fault::BlackHole,
        "slow" => Fault::Delay(Duration::from_millis(500)),
        _ => Fault::None,
    }
}

/// The process of the machines: works at a rate for so many seconds whenever it is told to, and says how many
/// changes there were. A word behind the rate says how the first machine is meanwhile; then only the others
/// make changes.
pub async fn machines(ports: Vec<u16>) {
    let mut all = Vec::new();
    let behind = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (number, port) in ports.iter().enumerate() {
        all.push(machine(number, if number == 0 { behind.port() } else { *port }).await);
    }
    let cable = Cable::between(([127, 0, 0, 1], ports[0]).into(), behind).await;
    println!("ready");
    let mut next = 0_u64;
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (rate, how) = line.split_once(' ').map_or((&*line, None), |(r, how)| (r, Some(how)));
        let rate: u64 = rate.parse().unwrap();
        cable.set(how.map_or(Fault::None, fault));
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
                next += 1;
                if how.is_some() && place.is_multiple_of(MACHINES) {
                    continue;
                }
                changes[place % MACHINES].push((place / MACHINES, value));
                done += 1;
            }
            for (machine, changes) in all.iter().zip(changes) {
                let changes = changes.into_iter().map(|(tag, v)| (&machine.nodes[tag], None, v));
                let subscriptions = machine.handle.subscriptions();
                machine.manager.set_values(subscriptions, changes).unwrap();
            }
        }
        cable.set(Fault::None);
        println!("{done}");
    }
}
