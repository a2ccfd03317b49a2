//! Everything together: store, engine, interfaces, machines; started in order, stopped in reverse.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::serve::store_failure;
use super::{EXIT_SOFTWARE, EXIT_UNAVAILABLE, Failure, users};
use crate::app::access::Users;
use crate::app::clock::Clock;
use crate::app::connection::Connections;
use crate::app::engine::{self, EngineHandle};
use crate::app::query::Queries;
use crate::app::refusals::Refusals;
use crate::config::NodeAddress;
use crate::config::settings::{ChannelMode, MachineSettings, Security, Settings};
use crate::domain::id::MachineId;
use crate::domain::plant::Plant;
use crate::http::{self, Bridge};
use crate::machine::{self, MachineConnection, MachineLink, Node, Protection, Watched};
use crate::server::limits::Limits;
use crate::server::space::SpaceInputs;
use crate::server::{self, Mode, Offer, Policy, RunningServer, ServerOptions};
use crate::store::RedbStore;
use crate::sys::WallClock;

/// The program while it runs.
pub struct Running {
    /// Where the OPC UA server listens.
    pub opcua: SocketAddr,
    /// Where the HTTP bridge listens.
    pub http: SocketAddr,
    engine: EngineHandle,
    engine_thread: std::thread::JoinHandle<()>,
    server: RunningServer,
    bridge: JoinHandle<Result<(), String>>,
    links: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Running {
    /// Starts everything; nothing is left running when it fails.
    pub async fn start(settings: Settings) -> Result<Running, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(WallClock);
        // All ports are taken before a machine is touched or a fact is stored.
        let opcua = bind(settings.opcua.listen, "the OPC UA server").await?;
        let bridge = bind(settings.http.listen, "the HTTP bridge").await?;
        let store = RedbStore::open(&settings.data).map_err(store_failure)?;
        make_private(&settings.data.join("pki"))?;
        let plant = Arc::new(settings.plant.clone());
        let (engine, engine_thread) =
            engine::start(plant.clone(), Box::new(store), clock.clone()).map_err(store_failure)?;
        let queries = Queries::new(engine.clone());
        let (connections, refusals) = (Connections::default(), Refusals::default());
        let stop = CancellationToken::new();
        let users = Arc::new(Users::new(users::of(&settings)?, clock.clone()));
        tokio::spawn(users::follow(users.clone(), settings.clone(), stop.clone()));
        let address = |listener: &TcpListener| {
            listener.local_addr().map_err(|error| Failure::new(EXIT_SOFTWARE, error.to_string()))
        };
        let (opcua_address, http_address) = (address(&opcua)?, address(&bridge)?);
        let inputs = SpaceInputs {
            engine: engine.clone(),
            queries: queries.clone(),
            connections: connections.clone(),
            clock: clock.clone(),
            refusals: refusals.clone(),
            process_units: process_units(&settings),
            nameplates: nameplates(&settings),
        };
        let server = server::start(opcua, &server_options(&settings), inputs, users.clone())
            .await
            .map_err(|error| Failure::new(EXIT_SOFTWARE, format!("the OPC UA server: {error}")))?;
        let state = Bridge {
            engine: engine.clone(),
            queries,
            users,
            clock: clock.clone(),
            connections: connections.clone(),
            refusals,
            anonymous_read: settings.http.anonymous_read,
        };
        let bridge = tokio::spawn(http::serve(bridge, state, stop.clone()));
        let link = MachineLink { engine: engine.clone(), connections, clock, stop: stop.clone() };
        let connections = settings.machines.iter().map(|machine| connection(&settings, machine));
        let links = connections.map(|c| machine::start(link.clone(), c)).collect();
        Ok(Running {
            opcua: opcua_address,
            http: http_address,
            engine,
            engine_thread,
            server,
            bridge,
            links,
            stop,
        })
    }

    /// Waits until the operating system asks to stop, or something that must not end has ended.
    pub async fn wait(&self) -> Result<(), Failure> {
        let mut alive = tokio::time::interval(std::time::Duration::from_millis(200));
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .map_err(|error| Failure::new(EXIT_SOFTWARE, error.to_string()))?;
        loop {
            tokio::select! {
                _ = alive.tick() => {
                    if self.engine_thread.is_finished() {
                        let text = "the engine has failed; start again, nothing stored is lost";
                        return Err(Failure::new(EXIT_SOFTWARE, text));
                    }
                }
                _ = tokio::signal::ctrl_c() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            }
        }
    }

    /// Stops machines, then interfaces, then the engine, which keeps its state.
    pub async fn stop(self) {
        self.stop.cancel();
        for link in self.links {
            if let Err(error) = link.await {
                tracing::warn!(%error, "a machine link ended badly");
            }
        }
        match self.bridge.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the bridge ended badly"),
            Err(error) => tracing::warn!(%error, "the bridge ended badly"),
        }
        self.server.stop().await;
        self.engine.stop().await;
        let joined = tokio::task::spawn_blocking(move || self.engine_thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the engine ended badly; nothing stored is lost");
        }
    }
}

/// Makes a directory into which only this user may look: it will hold private keys.
fn make_private(directory: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    let only_mine = std::fs::Permissions::from_mode(0o700);
    let done = created.and_then(|()| std::fs::set_permissions(directory, only_mine));
    done.map_err(|error| Failure::new(EXIT_SOFTWARE, format!("{}: {error}", directory.display())))
}

async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let text = format!(
            "{what} cannot listen on {address}: {error}; stop what uses the port or configure another"
        );
        Failure::new(EXIT_UNAVAILABLE, text)
    })
}

/// How the OPC UA server is offered.
fn server_options(settings: &Settings) -> ServerOptions {
    let opcua = &settings.opcua;
    let mut offers = Vec::new();
    for policy in &opcua.policies {
        for mode in &opcua.modes {
            offers.push(Offer { policy: policy_of(*policy), mode: mode_of(*mode) });
        }
    }
    if opcua.open_endpoint {
        offers.push(Offer::OPEN);
    }
    let mut limits = Limits::default();
    limits.wire.gate.connections = opcua.connections;
    limits.wire.gate.connections_per_address = opcua.connections_per_address;
    // A channel more than sessions, so that discovery always works (Part 4 §5.7.2.1).
    limits.sessions.active = opcua.connections.saturating_sub(1).max(1);
    ServerOptions {
        host: opcua.host.clone(),
        pki: settings.data.join("pki/server"),
        nodesets: settings.data.join("nodesets"),
        offers,
        anonymous: opcua.anonymous_read,
        trust_all_clients: opcua.trust_all_clients,
        site: settings.plant.site.to_string(),
        limits,
        trust_command: trust_command(&settings.data),
    }
}

/// The command that trusts a certificate, without its id.
fn trust_command(data: &Path) -> String {
    let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    format!("linewright pki trust --data {}", data.display())
}

fn policy_of(security: Security) -> Policy {
    match security {
        Security::None => Policy::None,
        Security::Basic256Sha256 => Policy::Basic256Sha256,
        Security::Aes128Sha256RsaOaep => Policy::Aes128Sha256RsaOaep,
        Security::Aes256Sha256RsaPss => Policy::Aes256Sha256RsaPss,
    }
}

fn mode_of(mode: ChannelMode) -> Mode {
    match mode {
        ChannelMode::Sign => Mode::Sign,
        ChannelMode::SignAndEncrypt => Mode::SignAndEncrypt,
    }
}

fn process_units(settings: &Settings) -> BTreeMap<(MachineId, String), String> {
    let machines = settings.machines.iter();
    let values = machines.flat_map(|m| m.process_values.iter().map(move |v| (m, v)));
    values.map(|(m, v)| ((m.machine.clone(), v.name.clone()), v.unit.clone())).collect()
}

fn nameplates(settings: &Settings) -> BTreeMap<MachineId, BTreeMap<&'static str, String>> {
    let machines = settings.machines.iter().filter(|machine| !machine.nameplate.is_empty());
    machines.map(|machine| (machine.machine.clone(), machine.nameplate.clone())).collect()
}

fn connection(settings: &Settings, machine: &MachineSettings) -> MachineConnection {
    MachineConnection {
        machine: machine.machine.clone(),
        endpoint: machine.endpoint.clone(),
        protection: match machine.security {
            Security::None => Protection::None,
            Security::Basic256Sha256 => Protection::Basic256Sha256,
            Security::Aes128Sha256RsaOaep => Protection::Aes128Sha256RsaOaep,
            Security::Aes256Sha256RsaPss => Protection::Aes256Sha256RsaPss,
        },
        user: machine.user.clone(),
        publishing_interval: machine.publishing_interval,
        sampling_interval: machine.sampling_interval,
        clock_skew_max: machine.clock_skew_max,
        items: items(&settings.plant, machine),
        pki: settings.data.join("pki/client"),
    }
}

fn items(plant: &Plant, machine: &MachineSettings) -> Vec<(Watched, Node)> {
    let known = plant.machines.get(&machine.machine);
    let signals = known.map_or(&[][..], |machine| &machine.signals);
    let node = |address: &NodeAddress| Node {
        namespace: address.namespace.clone(),
        identifier: address.identifier.clone(),
    };
    let mut items = Vec::new();
    for (role, address) in &machine.signals {
        if let Some(signal) = signals.iter().find(|signal| signal.role == *role) {
            items.push((Watched::Signal(signal.clone()), node(address)));
        }
    }
    for value in &machine.process_values {
        items.push((Watched::ProcessValue(value.name.clone()), node(&value.node)));
    }
    items
}
