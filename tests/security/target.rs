//! The server under attack with an honest client beside it. No test logic but the last judgement.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use opcua::core::ResponseMessage;
use opcua::types::{AttributeId, NodeId, ReadRequest, ReadValueId, TimestampsToReturn, VariableId};
use tokio::net::TcpSocket;

use super::raw::{Ended, Raw};
use super::support::{BINARY, Instance, configuration};

/// Most memory that the server may take in all its life.
const MEMORY_MAX: u64 = 256 << 20;
/// Time within which 99 of 100 honest requests are answered.
const P99_MAX: Duration = Duration::from_secs(1);
/// How long an attack lasts at least.
const ATTACK: Duration = Duration::from_secs(2);
/// Where attackers come from; the honest client comes from 127.0.0.1.
pub const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

pub struct Target {
    pub instance: Instance,
    pub address: SocketAddr,
    pub directory: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    honest: Option<JoinHandle<Vec<Duration>>>,
    started: Instant,
}

/// Reads the state of the server.
pub fn read_state(client: &mut Raw) -> ReadRequest {
    let node_id: NodeId = VariableId::Server_ServerStatus_State.into();
    let attribute_id = AttributeId::Value as u32;
    ReadRequest {
        request_header: client.header(),
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Neither,
        nodes_to_read: Some(vec![ReadValueId { node_id, attribute_id, ..Default::default() }]),
    }
}

/// Reads again and again until it is told to stop; how long each read has taken.
fn be_honest(address: SocketAddr, stop: &AtomicBool) -> Vec<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut client = Raw::session(address).await;
        let mut taken = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let start = Instant::now();
            let request = read_state(&mut client);
            let answer = client.call(request).await.expect("the honest client is served");
            assert!(matches!(answer, ResponseMessage::Read(_)), "{answer:?}");
            taken.push(start.elapsed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        taken
    })
}

impl Target {
    pub fn start() -> Target {
        Target::start_in(&mut Command::new(BINARY), |text| text)
    }

    /// Starts the server in a way of its own, with another configuration.
    pub fn start_in(command: &mut Command, change: impl Fn(String) -> String) -> Target {
        let directory = tempfile::tempdir().unwrap();
        let config = configuration(directory.path(), None);
        let text = change(std::fs::read_to_string(&config).unwrap());
        std::fs::write(&config, text).unwrap();
        let instance = Instance::start_in(command, &config);
        let address: SocketAddr = instance.opcua.trim_start_matches("opc.tcp://").parse().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let honest = Some(std::thread::spawn(move || be_honest(address, &told)));
        Target { instance, address, directory, stop, honest, started: Instant::now() }
    }

    /// A connection of an attacker.
    pub async fn connect(&self) -> std::io::Result<Raw> {
        connect_from(ATTACKER, self.address).await
    }

    /// An attacker who has opened a channel.
    pub async fn open(&self) -> Result<Raw, Ended> {
        let gone = |_| Ended { status: None };
        let mut raw = self.connect().await.map_err(gone)?;
        raw.say_hello().await?;
        raw.open(opcua::types::SecurityTokenRequestType::Issue, 60_000).await?;
        Ok(raw)
    }

    /// An attacker with a session.
    pub async fn session(&self) -> Raw {
        let mut raw = self.open().await.unwrap();
        raw.log_on().await.unwrap();
        raw
    }

    /// Whether the attack has not lasted long enough to be judged.
    pub fn goes_on(&self) -> bool {
        self.started.elapsed() < ATTACK
    }

    /// What the process has taken at most, in bytes.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.instance.pid());
        let status = std::fs::read_to_string(Path::new(&path)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kilobytes * 1024
    }

    /// Seconds of processor time that the process has used.
    pub fn processor_seconds(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.instance.pid());
        let text = std::fs::read_to_string(path).unwrap();
        let fields: Vec<_> = text.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: u64 = [11, 12].map(|at| fields[at].parse::<u64>().unwrap()).iter().sum();
        ticks as f64 / 100.0
    }

    /// The attack is over: the server has stood it.
    pub fn stands(mut self) {
        while self.goes_on() {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.stop.store(true, Ordering::Relaxed);
        let mut taken = self.honest.take().unwrap().join().expect("the honest client was served");
        assert!(taken.len() > 20, "the attack was too short: {} reads", taken.len());
        taken.sort_unstable();
        let p99 = taken[taken.len() * 99 / 100];
        assert!(p99 < P99_MAX, "an honest request took {p99:?}");
        let memory = self.memory();
        assert!(memory <= MEMORY_MAX, "the server took {} MiB", memory >> 20);
        println!("p99 {p99:?} of {} reads, memory {} MiB", taken.len(), memory >> 20);
    }
}

pub async fn connect_from(source: Ipv4Addr, address: SocketAddr) -> std::io::Result<Raw> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    Ok(Raw::over(socket.connect(address).await?))
}

/// Does something again and again for some time.
pub async fn keep_on<F: Future<Output = ()>>(seconds: f64, mut attack: impl FnMut() -> F) {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        attack().await;
    }
}
