//! Starting the server: endpoints, limits, certificates, and the tasks around it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use opcua::server::{ServerBuilder, ServerEndpoint, ServerHandle};
use opcua::types::{BuildInfo, DateTime};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::space::{PlantSpace, Space, SpaceInputs};
use super::{auth, push, stack};
use crate::app::access::Users;
use crate::app::engine::{EngineHandle, Health};

/// How often subscriptions are looked at, in milliseconds.
const SUBSCRIPTION_TICK_MS: u64 = 50;
/// Longest session, in milliseconds, that a client may ask for.
const SESSION_TIMEOUT_MAX_MS: u64 = 3_600_000;
const SESSIONS_MAX: usize = 200;
const SUBSCRIPTIONS_PER_SESSION_MAX: usize = 100;
const ITEMS_PER_SUBSCRIPTION_MAX: usize = 10_000;
const ITEM_QUEUE_MAX: usize = 10_000;
const ARRAY_MAX: usize = 100_000;
const MESSAGE_MAX: usize = 16 << 20;
const CHUNKS_MAX: usize = 300;
/// Service level of a server that works (Part 4 §6.6.2).
const SERVICE_LEVEL_GOOD: u8 = 255;
/// Service level of a server whose store cannot be written.
const SERVICE_LEVEL_NO_STORE: u8 = 0;

/// How the server is offered.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Host in the endpoint URLs.
    pub host: String,
    /// Where certificates and keys are.
    pub pki: PathBuf,
    /// Whether to offer an endpoint without security, for reading.
    pub open_endpoint: bool,
    /// Whether to accept client certificates that nobody has trusted yet.
    pub trust_all_clients: bool,
    /// Business key of the site, part of the application URI.
    pub site: String,
}

/// A server that runs.
pub struct RunningServer {
    handle: ServerHandle,
    task: tokio::task::JoinHandle<()>,
}

/// Starts the server on a listener.
pub fn start(
    listener: TcpListener,
    options: &ServerOptions,
    inputs: SpaceInputs,
    users: Arc<Users>,
    stop: CancellationToken,
) -> Result<RunningServer, String> {
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let engine = inputs.engine.clone();
    let builder = configure(options, address, users.clone());
    let manager = stack::manager(inputs, users);
    let (server, handle) = builder.with_node_manager(manager).build()?;
    protect_key(&options.pki.join("private/private.pem"))?;
    let space = stack::space_of(&handle)?;
    tokio::spawn(push::run(space.0, space.1, handle.subscriptions().clone(), engine.clone(), stop));
    tokio::spawn(show_health(handle.clone(), engine));
    let task = tokio::spawn(async move {
        if let Err(error) = server.run_with(listener).await {
            tracing::error!(%error, "the OPC UA server failed");
        }
    });
    Ok(RunningServer { handle, task })
}

impl RunningServer {
    /// Ends all sessions and stops.
    pub async fn stop(self) {
        self.handle.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the OPC UA server ended badly");
        }
    }
}

fn configure(options: &ServerOptions, address: SocketAddr, users: Arc<Users>) -> ServerBuilder {
    let anonymous = options.open_endpoint;
    let mut builder = ServerBuilder::new()
        .application_name("Linewright")
        .application_uri(format!("urn:linewright:server:{}", options.site))
        .product_uri("urn:linewright")
        .build_info(BuildInfo {
            product_uri: "urn:linewright".into(),
            manufacturer_name: "Linewright".into(),
            product_name: "Linewright MES".into(),
            software_version: env!("CARGO_PKG_VERSION").into(),
            build_number: env!("CARGO_PKG_VERSION").into(),
            build_date: DateTime::null(),
        })
        .host(&options.host)
        .port(address.port())
        .pki_dir(&options.pki)
        .certificate_path("own/cert.der")
        .private_key_path("private/private.pem")
        .create_sample_keypair(true)
        .trust_client_certs(options.trust_all_clients)
        .with_authenticator(Arc::new(auth::Authenticator::new(users, anonymous)))
        .add_endpoint("secured", ServerEndpoint::new_basic256sha256_sign_encrypt("/", &[]))
        .discovery_urls(vec!["/".to_owned()])
        .subscription_poll_interval_ms(SUBSCRIPTION_TICK_MS)
        .max_session_timeout_ms(SESSION_TIMEOUT_MAX_MS);
    if anonymous {
        builder = builder.add_endpoint("open", ServerEndpoint::new_none("/", &[]));
    }
    let limits = builder.limits_mut();
    limits.max_array_length = ARRAY_MAX;
    limits.max_message_size = MESSAGE_MAX;
    limits.max_chunk_count = CHUNKS_MAX;
    limits.max_sessions = SESSIONS_MAX;
    let subscriptions = &mut limits.subscriptions;
    subscriptions.max_subscriptions_per_session = SUBSCRIPTIONS_PER_SESSION_MAX;
    subscriptions.max_monitored_items_per_sub = ITEMS_PER_SUBSCRIPTION_MAX;
    subscriptions.max_monitored_item_queue_size = ITEM_QUEUE_MAX;
    subscriptions.max_publish_requests_per_subscription = 10;
    subscriptions.min_sampling_interval_ms = 0.0;
    subscriptions.min_publishing_interval_ms = 50.0;
    subscriptions.max_lifetime_count = 3000;
    subscriptions.max_keep_alive_count = 1000;
    builder
}

/// Lets only this user read the private key.
fn protect_key(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let only_mine = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, only_mine)
        .map_err(|error| format!("private key {}: {error}", path.display()))
}

/// Shows in ServiceLevel whether the store can be written.
async fn show_health(handle: ServerHandle, engine: EngineHandle) {
    let mut health = engine.health_changes();
    loop {
        let level = match *health.borrow_and_update() {
            Health::Ready => SERVICE_LEVEL_GOOD,
            Health::Degraded(_) => SERVICE_LEVEL_NO_STORE,
        };
        handle.set_service_level(level);
        if health.changed().await.is_err() {
            return;
        }
    }
}

/// The space behind its trait, with the manager's record of what is watched.
pub(crate) type SharedSpace = Arc<dyn Space>;

/// Makes the space of a plant.
pub(crate) fn plant_space(
    inputs: SpaceInputs,
    namespaces: &mut opcua::types::NamespaceMap,
) -> Result<SharedSpace, String> {
    Ok(Arc::new(PlantSpace::new(inputs, namespaces)?))
}
