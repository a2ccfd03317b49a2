//! Starting the server: certificates, endpoints, space, services, wire, and the tasks around them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opcua::crypto::SecurityPolicy;
use opcua::types::{MessageSecurityMode, NamespaceMap};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::limits::Limits;
use super::push;
use super::services::{Endpoints, Logons, Services, Setup};
use super::space::{
    Model, PlantSpace, ServerState, Space, SpaceInputs, StandardSpace, TYPES_NAMESPACE, WholeSpace,
};
use super::wire::{self, Identities, Wire};
use crate::app::access::Users;
use crate::app::clock::Clock;
use crate::app::engine::{EngineHandle, Health};
use crate::app::refusals::Refusals;
use crate::channel::decode::{decoding, raw_context};
use crate::channel::pki::{OwnIdentity, TrustList};
use crate::domain::time::{Span, TICKS_PER_SECOND};

/// Service level of a server that works (Part 4 §6.6.2).
const SERVICE_LEVEL_GOOD: u8 = 255;
/// Service level of a server whose store cannot be written.
const SERVICE_LEVEL_NO_STORE: u8 = 0;
/// How often sessions that nobody uses are looked for.
const SESSION_TICK: Duration = Duration::from_secs(1);
/// How long clients are told of the end before it comes, when there are any.
const SHUTDOWN_NOTICE: Duration = Duration::from_secs(1);
/// Days before the end of our certificate at which it is warned of.
const EXPIRY_WARNINGS: [i64; 3] = [7, 30, 90];

/// How a channel may be protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Policy.
    pub policy: Policy,
    /// Mode.
    pub mode: Mode,
}

/// Policies that are served; those with broken hashes are not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// No protection.
    None,
    /// Basic256Sha256.
    Basic256Sha256,
    /// Aes128_Sha256_RsaOaep.
    Aes128Sha256RsaOaep,
    /// Aes256_Sha256_RsaPss.
    Aes256Sha256RsaPss,
}

/// Modes that are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// No protection.
    None,
    /// Signed.
    Sign,
    /// Signed and encrypted.
    SignAndEncrypt,
}

impl Offer {
    /// A channel without protection.
    pub const OPEN: Offer = Offer { policy: Policy::None, mode: Mode::None };

    fn pair(self) -> (SecurityPolicy, MessageSecurityMode) {
        let policy = match self.policy {
            Policy::None => SecurityPolicy::None,
            Policy::Basic256Sha256 => SecurityPolicy::Basic256Sha256,
            Policy::Aes128Sha256RsaOaep => SecurityPolicy::Aes128Sha256RsaOaep,
            Policy::Aes256Sha256RsaPss => SecurityPolicy::Aes256Sha256RsaPss,
        };
        let mode = match self.mode {
            Mode::None => MessageSecurityMode::None,
            Mode::Sign => MessageSecurityMode::Sign,
            Mode::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
        };
        (policy, mode)
    }
}

/// How the server is offered.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Host in the endpoint URLs, where clients do not say how they have reached us.
    pub host: String,
    /// Where certificates and keys are.
    pub pki: PathBuf,
    /// Where nodesets may be that take the place of ours or stand beside them.
    pub nodesets: PathBuf,
    /// How channels may be protected.
    pub offers: Vec<Offer>,
    /// Whether anybody may read over a protected channel.
    pub anonymous: bool,
    /// Whether to accept client certificates that nobody has trusted yet.
    pub trust_all_clients: bool,
    /// Business key of the site, part of the application URI.
    pub site: String,
    /// Limits.
    pub limits: Limits,
    /// The command that trusts a certificate, without its id.
    pub trust_command: String,
}

/// URI of the server of a site.
pub fn application_uri(site: &str) -> String {
    format!("urn:linewright:server:{site}")
}

/// A server that runs.
pub struct RunningServer {
    state: Arc<ServerState>,
    services: Arc<Services>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The server of a plant.
pub struct PlantServer {
    server: RunningServer,
    space: Arc<WholeSpace>,
}

impl PlantServer {
    /// Shows the plant as it is described now. Whoever watches a node that is gone is told so; events tell
    /// which nodes have changed.
    pub fn redefine(&self, inputs: SpaceInputs) -> Result<(), String> {
        self.space.redefine(inputs)
    }

    /// Tells clients of the end, ends all sessions and stops.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// What a server shows.
pub struct Content {
    /// The nodes.
    pub space: Arc<dyn Space>,
    /// What the Server object says of itself.
    pub state: Arc<ServerState>,
    /// The namespaces.
    pub namespaces: NamespaceMap,
    /// Where peers that are turned away are counted.
    pub refusals: Refusals,
}

/// Starts the server of a plant on a listener.
pub async fn start(
    listener: TcpListener,
    options: &ServerOptions,
    inputs: SpaceInputs,
    users: Arc<Users>,
) -> Result<PlantServer, String> {
    let (engine, clock) = (inputs.engine.clone(), inputs.clock.clone());
    let mirrors = inputs.mirrors.clone();
    let (content, space) = plant_content(options, inputs)?;
    let mut server = serve(listener, options, content, users, clock).await?;
    let (services, stop) = (server.services.clone(), server.stop.clone());
    let state = server.state.clone();
    let shown: Arc<dyn Space> = space.clone();
    let mirrored =
        push::mirrored::run(space.clone(), mirrors.clone(), services.clone(), stop.clone());
    let happened = push::happened::run(space.clone(), mirrors, services.clone(), stop.clone());
    server.tasks.push(tokio::spawn(happened));
    server.tasks.push(tokio::spawn(mirrored));
    server.tasks.push(tokio::spawn(push::run(shown, services, engine.clone(), stop.clone())));
    server.tasks.push(tokio::spawn(show_health(state, engine, stop)));
    Ok(PlantServer { server, space })
}

/// Serves any content on a listener. Makes our key at the first start, which takes some seconds.
pub async fn serve(
    listener: TcpListener,
    options: &ServerOptions,
    content: Content,
    users: Arc<Users>,
    clock: Arc<dyn Clock>,
) -> Result<RunningServer, String> {
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let own = own_identity(options, &*clock).await?;
    let offered: Vec<_> = options.offers.iter().map(|offer| offer.pair()).collect();
    let services = Services::new(Setup {
        space: content.space,
        endpoints: Endpoints {
            application_uri: application_uri(&options.site),
            offered: offered.clone(),
            host: options.host.clone(),
            port: address.port(),
            anonymous: options.anonymous,
            certificates: true,
        },
        logons: Logons { users },
        own: own.clone(),
        limits: options.limits,
        clock: clock.clone(),
        context: raw_context(content.namespaces, decoding()),
        refusals: content.refusals,
        trust_command: options.trust_command.clone(),
    });
    content.state.set_diagnostics(services.clone());
    let trust = TrustList::new(&options.pki, options.trust_all_clients)?;
    let identities = Identities { own, trust };
    let (limits, context) = (options.limits.wire, raw_context(NamespaceMap::new(), decoding()));
    let wire = Wire::new(limits, offered, identities, context, services.clone(), clock.clone());
    let stop = CancellationToken::new();
    let tasks = vec![
        tokio::spawn(wire::listen(wire, listener, stop.clone())),
        tokio::spawn(end_sessions(services.clone(), stop.clone())),
    ];
    Ok(RunningServer { state: content.state, services, clock, stop, tasks })
}

impl RunningServer {
    /// The services, to hand values and events to.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Tells clients of the end, ends all sessions and stops.
    pub async fn stop(self) {
        let is_used = self.services.usage().sessions > 0;
        let notice = if is_used { SHUTDOWN_NOTICE } else { Duration::ZERO };
        let ticks = i64::try_from(notice.as_nanos() / 100).unwrap_or(0);
        let end = self.clock.now() + Span::from_ticks(ticks);
        self.state.announce_shutdown(end, "Linewright is stopping");
        tokio::time::sleep(notice).await;
        self.stop.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, "the OPC UA server ended badly");
            }
        }
    }
}

async fn own_identity(
    options: &ServerOptions,
    clock: &dyn Clock,
) -> Result<Arc<OwnIdentity>, String> {
    let (pki, uri) = (options.pki.clone(), application_uri(&options.site));
    let hosts = vec![options.host.clone()];
    let loading =
        tokio::task::spawn_blocking(move || OwnIdentity::load_or_create(&pki, &uri, &hosts));
    let own = loading.await.map_err(|error| error.to_string())??;
    let days = own.days_left(clock.now().ticks().div_euclid(TICKS_PER_SECOND));
    if days < 0 {
        tracing::error!("our certificate has expired; linewright pki new-cert makes another");
    } else if EXPIRY_WARNINGS.iter().any(|warning| days <= *warning) {
        tracing::warn!(days, "our certificate expires soon; linewright pki new-cert makes another");
    }
    Ok(Arc::new(own))
}

/// Namespaces: OPC UA's own, this server's (its URI is the application's), types, the plant.
fn plant_content(
    options: &ServerOptions,
    inputs: SpaceInputs,
) -> Result<(Content, Arc<WholeSpace>), String> {
    let (uri, limits) = (&*application_uri(&options.site), options.limits);
    let mut namespaces = NamespaceMap::new();
    namespaces.add_namespace(uri);
    let (clock, refusals) = (inputs.clock.clone(), inputs.refusals.clone());
    // Ours come first, so that their indexes are the same whatever other nodesets there are.
    namespaces.add_namespace(TYPES_NAMESPACE);
    let instances = namespaces.add_namespace(&PlantSpace::uri(&inputs.engine.plant()));
    let model = Model::load(&mut namespaces, Some(&options.nodesets))?;
    let known = inputs.mirrors.namespaces().clone();
    let state = ServerState::new(clock.clone(), uri, known, limits);
    let standard = StandardSpace::new(state.clone(), clock, &mut namespaces);
    // All that are the server's own are known now; those of machines come behind them.
    inputs.mirrors.namespaces().begin(uris(&namespaces))?;
    let context = raw_context(namespaces.clone(), decoding());
    let space = Arc::new(WholeSpace::new(inputs, standard, model, instances, context)?);
    let content = Content { space: space.clone(), state, namespaces, refusals };
    Ok((content, space))
}

/// The URIs of namespaces in the order of their indexes.
pub fn uris(namespaces: &NamespaceMap) -> Vec<String> {
    let known = namespaces.known_namespaces().iter();
    let mut uris: Vec<_> = known.map(|(uri, index)| (*index, uri.clone())).collect();
    uris.sort();
    uris.into_iter().map(|(_, uri)| uri).collect()
}

/// Shows in ServiceLevel whether the store can be written.
async fn show_health(state: Arc<ServerState>, engine: EngineHandle, stop: CancellationToken) {
    let mut health = engine.health_changes();
    loop {
        let level = match *health.borrow_and_update() {
            Health::Ready => SERVICE_LEVEL_GOOD,
            Health::Degraded(_) => SERVICE_LEVEL_NO_STORE,
        };
        state.set_service_level(level);
        tokio::select! {
            changed = health.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

async fn end_sessions(services: Arc<Services>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(SESSION_TICK);
    loop {
        tokio::select! {
            _ = tick.tick() => services.end_outdated_sessions(),
            () = stop.cancelled() => return,
        }
    }
}
