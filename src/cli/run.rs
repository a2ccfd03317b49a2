//! Everything together: store, engine, interfaces, machines; started in order, stopped in reverse.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::links::Links;
use super::load::Source;
use super::serve::store_failure;
use super::settled::{
    connections_of, mirrored, nameplates, process_units, server_options, space_inputs, targets,
    told,
};
use super::{
    EXIT_SOFTWARE, EXIT_TEMPORARY, EXIT_UNAVAILABLE, Failure, binding, load, reload, users,
};
use crate::app::access::Users;
use crate::app::clock::Clock;
use crate::app::configuration::Reading;
use crate::app::connection::Connections;
use crate::app::engine;
use crate::app::recorder::{self, Keeping, Recorder};
use crate::app::time_text::print;
use crate::config::settings::Settings;
use crate::domain::id::MachineId;
use crate::http::{self, Bridge};
use crate::machine::MachineLink;
use crate::machine::client::Dialer;
use crate::machine::mirror::Common;
use crate::machine::recognise::Recognised;
use crate::server::space::SpaceInputs;
use crate::server::{self, PlantServer};
use crate::store::RedbStore;
use crate::store::telemetry::{Bounds, Telemetry};
use crate::sys::WallClock;

/// Machines whose recognition may wait to be taken over.
const RECOGNISED: usize = 64;

/// The program while it runs.
pub struct Running {
    /// Where the OPC UA server listens.
    pub opcua: SocketAddr,
    /// Where the HTTP bridge listens.
    pub http: SocketAddr,
    /// What it was configured with last, as it was written and as it was read.
    source: Source,
    settings: Settings,
    /// What machines were recognised to be.
    recognised: mpsc::Receiver<(MachineId, Recognised)>,
    inputs: SpaceInputs,
    engine_thread: std::thread::JoinHandle<()>,
    recorder: Recorder,
    recorder_thread: std::thread::JoinHandle<()>,
    server: PlantServer,
    bridge: JoinHandle<Result<(), String>>,
    links: Links,
    configured_users: watch::Sender<Settings>,
    stop: CancellationToken,
}

impl Running {
    /// Starts everything; nothing is left running when it fails.
    pub async fn start(source: Source, settings: Settings) -> Result<Running, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(WallClock);
        // All ports are taken before a machine is touched or a fact is stored.
        let opcua = bind(settings.opcua.listen, "the OPC UA server").await?;
        let bridge = bind(settings.http.listen, "the HTTP bridge").await?;
        let store = RedbStore::open(&settings.data).map_err(store_failure)?;
        make_private(&settings.data.join("pki"))?;
        make_private(&settings.data.join("mirrors"))?;
        let plant = Arc::new(settings.plant.clone());
        let (engine, engine_thread) =
            engine::start(plant.clone(), Box::new(store), clock.clone()).map_err(store_failure)?;
        let (recorder, recorder_thread) = start_recorder(&settings, &clock)?;
        let stop = CancellationToken::new();
        let users = Arc::new(Users::new(users::of(&settings)?, clock.clone()));
        let (configured_users, configured) = watch::channel(settings.clone());
        tokio::spawn(users::follow(users.clone(), configured, stop.clone()));
        let (opcua_address, http_address) = (address(&opcua)?, address(&bridge)?);
        let inputs = space_inputs(&settings, &engine, &recorder, &clock);
        let now = clock.now();
        inputs.configuration.update(|board| (board.since, board.read) = (now, now));
        let server = server::start(
            opcua,
            &server_options(&settings),
            inputs.clone(),
            users.clone(),
        )
        .await
        .map_err(|error| Failure::new(EXIT_SOFTWARE, format!("the OPC UA server: {error}")))?;
        let state = Bridge {
            engine: engine.clone(),
            queries: inputs.queries.clone(),
            users,
            clock: clock.clone(),
            connections: inputs.connections.clone(),
            refusals: inputs.refusals.clone(),
            anonymous_read: settings.http.anonymous_read,
        };
        let bridge = tokio::spawn(http::serve(bridge, state, stop.clone()));
        let connections = inputs.connections.clone();
        let dialer = Arc::new(Dialer::new(&settings.data.join("pki/client"), clock.clone()));
        tokio::spawn(tell_recording(recorder.keeping(), connections.clone()));
        let (recognisers, recognised) = mpsc::channel(RECOGNISED);
        let link = MachineLink {
            engine,
            connections,
            mirrors: inputs.mirrors.clone(),
            common: Common::default(),
            recognisers,
            clock,
            dialer,
            stop: stop.clone(),
        };
        let mut links = Links::new(link);
        links.start(connections_of(&settings));
        Ok(Running {
            opcua: opcua_address,
            http: http_address,
            source,
            settings,
            recognised,
            inputs,
            engine_thread,
            recorder,
            recorder_thread,
            server,
            bridge,
            links,
            configured_users,
            stop,
        })
    }

    /// Waits until the operating system asks to stop, or something that must not end has ended. When it
    /// asks to read the configuration again, that is done if there is a file.
    pub async fn wait(
        &mut self,
        mut signals: Signals,
        config: Option<&Path>,
    ) -> Result<(), Failure> {
        let mut alive = tokio::time::interval(std::time::Duration::from_millis(200));
        let Signals { terminate, reload } = &mut signals;
        loop {
            let asked_to_reload = async {
                match reload {
                    Some(reload) => reload.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = alive.tick() => {
                    let threads =
                        [("engine", &self.engine_thread), ("recorder", &self.recorder_thread)];
                    if let Some((what, _)) = threads.iter().find(|(_, one)| one.is_finished()) {
                        let text =
                            format!("the {what} has failed; start again, nothing stored is lost");
                        return Err(Failure::new(EXIT_SOFTWARE, text));
                    }
                }
                _ = tokio::signal::ctrl_c() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                Some((machine, recognised)) = self.recognised.recv() => {
                    tokio::select! {
                        () = self.bind(&machine, &recognised) => {}
                        _ = tokio::signal::ctrl_c() => return Ok(()),
                        _ = terminate.recv() => return Ok(()),
                    }
                }
                // Whoever asks to stop need not wait for it: a store that is full may hold it up.
                _ = asked_to_reload => if let Some(config) = config {
                    tokio::select! {
                        () = self.reload(config) => {}
                        _ = tokio::signal::ctrl_c() => return Ok(()),
                        _ = terminate.recv() => return Ok(()),
                    }
                }
            }
        }
    }

    /// Takes over the changed configuration. One with problems, or of another plant, changes nothing.
    async fn reload(&mut self, config: &Path) {
        tracing::info!(file = %config.display(), "reading the configuration again");
        let now = self.inputs.clock.now();
        let read = Source::of(config).and_then(|source| {
            let settings = load::from_source(&source)?;
            reload::check_same_plant(&self.settings, &settings)?;
            users::of(&settings)?;
            Ok((source, settings))
        });
        let done = match read {
            Ok((source, settings)) => {
                let followed = self.follow(settings).await;
                if followed.is_ok() {
                    self.source = source;
                }
                followed
            }
            Err(failure) => Err(failure),
        };
        let board = &self.inputs.configuration;
        match done {
            Ok(restart_for) => {
                for what in &restart_for {
                    tracing::warn!("{what} has changed in the configuration and takes a restart");
                }
                tracing::info!("the configuration has been taken over");
                board.update(|board| {
                    *board = Reading { since: now, read: now, problems: Vec::new(), restart_for };
                });
            }
            Err(failure) => {
                tracing::error!(reason = failure.text, "the configuration stays as it was");
                let problems = failure.text.lines().map(str::to_owned).collect();
                board.update(|board| (board.read, board.problems) = (now, problems));
            }
        }
    }

    /// Binds a machine to what it was recognised to be. The rest of the configuration stays as it was taken
    /// over last, whatever stands in the file now.
    async fn bind(&mut self, machine: &MachineId, recognised: &Recognised) {
        self.inputs.connections.update(machine, |board| board.binding = binding::shown(recognised));
        match binding::keep(&self.settings.data, machine, recognised) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::error!(%machine, "what was recognised cannot be kept: {error}");
                return;
            }
        }
        let done = match load::from_source(&self.source) {
            Ok(settings) => self.follow(settings).await.map(|_| ()),
            Err(failure) => Err(failure),
        };
        match done {
            Ok(()) => tracing::info!(%machine, "bound to what it was recognised to be"),
            Err(failure) => {
                tracing::error!(%machine, reason = failure.text, "the machine is not bound");
            }
        }
    }

    /// Goes on with other settings; gives what of them takes a restart.
    ///
    /// Machines that are gone are let go first, so that nothing comes from them that the plant does not
    /// know; new ones are called last, when their nodes are there.
    async fn follow(&mut self, settings: Settings) -> Result<Vec<String>, Failure> {
        let wanted = connections_of(&settings);
        self.links.end_others(&wanted, &self.inputs.connections).await;
        let plant = Arc::new(settings.plant.clone());
        let failed = |text: String| Failure::new(EXIT_TEMPORARY, text);
        let defined = self.inputs.engine.define(plant).await;
        if let Err(error) = defined {
            self.links.start(connections_of(&self.settings));
            return Err(failed(error.to_string()));
        }
        self.inputs.enterprise.clone_from(&settings.enterprise);
        self.inputs.process_units = process_units(&settings);
        self.inputs.nameplates = nameplates(&settings);
        self.inputs.targets = targets(&settings);
        self.inputs.mirrored = mirrored(&settings);
        self.inputs.told = told(&settings);
        let shown = self.server.redefine(self.inputs.clone());
        // Whatever clients see, the machines of the plant as it is described now are listened to.
        self.links.start(wanted);
        shown.map_err(failed)?;
        let restart_for = reload::restart_for(&self.settings, &settings);
        // What takes a restart stays as it runs, so that it is told again the next time.
        let (opcua, http) = (self.settings.opcua.clone(), self.settings.http.clone());
        self.settings = Settings { opcua, http, keep: self.settings.keep, ..settings };
        self.configured_users.send_replace(self.settings.clone());
        Ok(restart_for)
    }

    /// Stops machines, then interfaces, then the engine, which keeps its state.
    pub async fn stop(self) {
        self.stop.cancel();
        self.links.ended().await;
        match self.bridge.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the bridge ended badly"),
            Err(error) => tracing::warn!(%error, "the bridge ended badly"),
        }
        self.server.stop().await;
        self.inputs.engine.stop().await;
        self.recorder.stop().await;
        for (what, thread) in [("engine", self.engine_thread), ("recorder", self.recorder_thread)] {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the {what} ended badly; nothing stored is lost");
            }
        }
    }
}

/// Tells where machines are shown whether their values are recorded.
async fn tell_recording(mut keeping: watch::Receiver<Keeping>, connections: Connections) {
    loop {
        let why = match &*keeping.borrow_and_update() {
            Keeping::Kept => String::new(),
            Keeping::Stopped(since, why) => {
                format!("values are not recorded since {}: {why}", print(*since))
            }
        };
        connections.set_not_recording(why);
        if keeping.changed().await.is_err() {
            return;
        }
    }
}

/// What the operating system asks for. It is listened to before anything is started: whoever asks meanwhile
/// is answered afterwards, and does not end the program instead.
pub struct Signals {
    terminate: Signal,
    /// SIGHUP; only where there is a configuration that can be read again.
    reload: Option<Signal>,
}

impl Signals {
    /// Listens from now on.
    pub fn listen(with_reload: bool) -> Result<Signals, Failure> {
        let reload = with_reload.then(|| signal(SignalKind::hangup())).transpose()?;
        Ok(Signals { terminate: signal(SignalKind::terminate())?, reload })
    }
}

fn signal(kind: SignalKind) -> Result<Signal, Failure> {
    let listening = tokio::signal::unix::signal(kind);
    listening.map_err(|error| Failure::new(EXIT_SOFTWARE, error.to_string()))
}

/// What machines show is recorded beside what the plant does.
fn start_recorder(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<(Recorder, std::thread::JoinHandle<()>), Failure> {
    let telemetry = Telemetry::open(&settings.data, settings.keep, Bounds::default());
    let telemetry = Box::new(telemetry.map_err(store_failure)?);
    let started = recorder::start(telemetry, clock.clone());
    started.map_err(|error| Failure::new(EXIT_SOFTWARE, error.to_string()))
}

/// Makes a directory into which only this user may look: it will hold private keys.
fn make_private(directory: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    let only_mine = std::fs::Permissions::from_mode(0o700);
    let done = created.and_then(|()| std::fs::set_permissions(directory, only_mine));
    done.map_err(|error| Failure::new(EXIT_SOFTWARE, format!("{}: {error}", directory.display())))
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::new(EXIT_SOFTWARE, error.to_string()))
}

async fn bind(address: SocketAddr, what: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let text = format!(
            "{what} cannot listen on {address}: {error}; stop what uses the port or configure another"
        );
        Failure::new(EXIT_UNAVAILABLE, text)
    })
}
