//! The OPC UA server of one simulated machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opcua::server::ServerBuilder;
use opcua::server::address_space::{ObjectBuilder, VariableBuilder};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::types::{
    DataTypeId, DataValue, DateTime, NodeId, ObjectId, ObjectTypeId, QualifiedName, StatusCode,
    VariableTypeId, Variant,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::link::Cable;
use super::model::{MachineKind, Tag, TagValue};
use crate::domain::time::Timestamp;

/// Namespace of machines with plain tags.
pub const PLAIN_NAMESPACE: &str = "urn:linewright:sim:plain";
/// Namespace of machines with PackML tags.
pub const PACKML_NAMESPACE: &str = "urn:linewright:sim:packml";

const EPOCH_DIFFERENCE: i64 = 116_444_736_000_000_000;
const RESTART_TAKES: Duration = Duration::from_millis(1500);
const LINK_DOWN_TAKES: Duration = Duration::from_secs(3);
/// How often subscriptions are looked at, in milliseconds.
const SUBSCRIPTION_TICK_MS: u64 = 50;

type Values = Arc<Mutex<BTreeMap<Tag, DataValue>>>;

/// A machine with its server and its cable.
pub struct SimulatedMachine {
    cable: Cable,
    kind: MachineKind,
    values: Values,
    current: Arc<Mutex<Option<Current>>>,
    restart: tokio::sync::mpsc::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

/// The server that runs at present.
struct Current {
    handle: opcua::server::ServerHandle,
    manager: Arc<SimpleNodeManager>,
    namespace: u16,
}

impl SimulatedMachine {
    /// Starts a machine's server behind a loopback port; 0 for any free one.
    pub async fn start(
        name: &str,
        kind: MachineKind,
        port: u16,
        stop: CancellationToken,
    ) -> Result<SimulatedMachine, String> {
        let cable = Cable::lay(port, stop.clone()).await?;
        let values = Values::default();
        let current = Arc::new(Mutex::new(None));
        let (restart, restarts) = tokio::sync::mpsc::channel(1);
        let (first, port) = serve(name, kind, &values).await?;
        cable.lead_to(port);
        let keeper = Keeper {
            name: name.to_owned(),
            kind,
            values: values.clone(),
            current: current.clone(),
            stop,
        };
        *lock(&current) = Some(first);
        let lead = cable.plug_handle();
        let task = tokio::spawn(keeper.run(restarts, lead, cable.lead_handle()));
        Ok(SimulatedMachine { cable, kind, values, current, restart, task })
    }

    /// Where its server can be reached.
    pub fn address(&self) -> SocketAddr {
        self.cable.address
    }

    /// Sets a tag, with the source time of the change.
    pub fn set(&self, tag: Tag, value: &TagValue, at: Timestamp) {
        let time = DateTime::from(at.ticks() + EPOCH_DIFFERENCE);
        let value = DataValue {
            value: Some(variant(self.kind, value)),
            status: Some(StatusCode::Good),
            source_timestamp: Some(time),
            server_timestamp: Some(time),
            source_picoseconds: None,
            server_picoseconds: None,
        };
        lock(&self.values).insert(tag, value.clone());
        if let Some(current) = &*lock(&self.current) {
            let node = NodeId::new(current.namespace, tag_name(self.kind, tag));
            let changes = [(&node, None, value)];
            // A server that is going down takes no more values; the next one shows them.
            let _ = current.manager.set_values(current.handle.subscriptions(), changes.into_iter());
        }
    }

    /// Lets its server go down and come up again.
    pub fn restart(&self) {
        // A restart that is under way already is enough.
        let _ = self.restart.try_send(());
    }

    /// Pulls its cable for a while.
    pub fn drop_link(&self) {
        let plug = self.cable.plug_handle();
        plug.send_replace(false);
        tokio::spawn(async move {
            tokio::time::sleep(LINK_DOWN_TAKES).await;
            plug.send_replace(true);
        });
    }

    /// Stops its server.
    pub async fn stop(self) {
        if let Some(current) = lock(&self.current).take() {
            current.handle.cancel();
        }
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a machine's server running.
struct Keeper {
    name: String,
    kind: MachineKind,
    values: Values,
    current: Arc<Mutex<Option<Current>>>,
    stop: CancellationToken,
}

impl Keeper {
    async fn run(
        self,
        mut restarts: tokio::sync::mpsc::Receiver<()>,
        plug: tokio::sync::watch::Sender<bool>,
        lead: Arc<std::sync::atomic::AtomicU16>,
    ) {
        while restarts.recv().await.is_some() && !self.stop.is_cancelled() {
            let old = lock(&self.current).take();
            if let Some(old) = old {
                old.handle.cancel();
            }
            plug.send_replace(false);
            tokio::time::sleep(RESTART_TAKES).await;
            match serve(&self.name, self.kind, &self.values).await {
                Ok((current, port)) => {
                    lead.store(port, std::sync::atomic::Ordering::Relaxed);
                    *lock(&self.current) = Some(current);
                }
                Err(error) => tracing::error!(machine = self.name, %error, "no restart"),
            }
            plug.send_replace(true);
        }
    }
}

/// Starts a server on a free port that shows the values.
async fn serve(name: &str, kind: MachineKind, values: &Values) -> Result<(Current, u16), String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let uri = namespace_uri(kind);
    let metadata = NamespaceMetadata { namespace_uri: uri.to_owned(), ..Default::default() };
    let pki = std::env::temp_dir().join(format!("linewright-sim-{}", std::process::id()));
    let mut builder = ServerBuilder::new_anonymous(format!("Simulated machine {name}"))
        .application_uri(format!("urn:linewright:sim:{name}"))
        .product_uri("urn:linewright:sim")
        .host("127.0.0.1")
        .port(port)
        .pki_dir(pki)
        .create_sample_keypair(false)
        .subscription_poll_interval_ms(SUBSCRIPTION_TICK_MS)
        .max_array_length(100_000)
        .with_node_manager(simple_node_manager(metadata, "machine"));
    let limits = builder.limits_mut();
    limits.max_sessions = 50;
    limits.subscriptions.min_sampling_interval_ms = 0.0;
    limits.subscriptions.min_publishing_interval_ms = 50.0;
    limits.subscriptions.max_monitored_item_queue_size = 10_000;
    limits.subscriptions.max_queued_notifications = 1000;
    let (server, handle) = builder.build()?;
    let manager = handle
        .node_managers()
        .get_of_type::<SimpleNodeManager>()
        .ok_or("the simulated server has no node manager")?;
    let namespace = handle.get_namespace_index(uri).ok_or("the namespace is missing")?;
    add_nodes(&manager, name, kind, namespace, &lock(values));
    tokio::spawn(server.run_with(listener));
    Ok((Current { handle, manager, namespace }, port))
}

fn namespace_uri(kind: MachineKind) -> &'static str {
    match kind {
        MachineKind::Plain => PLAIN_NAMESPACE,
        MachineKind::PackMl => PACKML_NAMESPACE,
    }
}

/// The string identifier of a tag's node.
fn tag_name(kind: MachineKind, tag: Tag) -> &'static str {
    match (kind, tag) {
        (MachineKind::Plain, Tag::State) => "State",
        (MachineKind::Plain, Tag::Count) => "GoodCount",
        (MachineKind::Plain, Tag::Reject) => "RejectCount",
        (MachineKind::Plain, Tag::Process) => "Temperature",
        (MachineKind::PackMl, Tag::State) => "Status.StateCurrent",
        (MachineKind::PackMl, Tag::Count) => "Admin.ProdProcessedCount",
        (MachineKind::PackMl, Tag::Reject) => "Admin.ProdDefectiveCount",
        (MachineKind::PackMl, Tag::Process) => "Status.CurMachSpeed",
        (_, Tag::Lot) => "LotNumber",
    }
}

fn variant(kind: MachineKind, value: &TagValue) -> Variant {
    match (kind, value) {
        (_, TagValue::Code(code)) => Variant::Int32(*code),
        (MachineKind::Plain, TagValue::Count(count)) => Variant::UInt32(*count),
        (MachineKind::PackMl, TagValue::Count(count)) => {
            Variant::Int32(i32::try_from(*count).unwrap_or(i32::MAX))
        }
        (_, TagValue::Lot(lot)) => Variant::from(lot.as_str()),
        (_, TagValue::Number(number)) => Variant::Double(*number),
    }
}

fn data_type(kind: MachineKind, tag: Tag) -> DataTypeId {
    match (kind, tag) {
        (_, Tag::State) => DataTypeId::Int32,
        (MachineKind::Plain, Tag::Count | Tag::Reject) => DataTypeId::UInt32,
        (MachineKind::PackMl, Tag::Count | Tag::Reject) => DataTypeId::Int32,
        (_, Tag::Lot) => DataTypeId::String,
        (_, Tag::Process) => DataTypeId::Double,
    }
}

fn add_nodes(
    manager: &SimpleNodeManager,
    name: &str,
    kind: MachineKind,
    namespace: u16,
    values: &BTreeMap<Tag, DataValue>,
) {
    let mut space = manager.address_space().write();
    let folder = NodeId::new(namespace, name);
    ObjectBuilder::new(&folder, QualifiedName::new(namespace, name), name)
        .organized_by(ObjectId::ObjectsFolder)
        .has_type_definition(ObjectTypeId::FolderType)
        .insert(&mut *space);
    for tag in [Tag::State, Tag::Count, Tag::Reject, Tag::Lot, Tag::Process] {
        let tag_name = tag_name(kind, tag);
        let id = NodeId::new(namespace, tag_name);
        let value = values.get(&tag).cloned().unwrap_or_else(|| DataValue {
            status: Some(StatusCode::BadWaitingForInitialData),
            ..Default::default()
        });
        VariableBuilder::new(&id, QualifiedName::new(namespace, tag_name), tag_name)
            .data_type(data_type(kind, tag))
            .component_of(folder.clone())
            .has_type_definition(VariableTypeId::BaseDataVariableType)
            .insert(&mut *space);
        if let Some(node) = space.find_mut(&id)
            && let opcua::nodes::NodeType::Variable(variable) = node
        {
            variable.set_data_value(value);
        }
    }
}
