//! What it costs to mirror machines, beside the same mirror written in node-opcua and in asyncua, in one
//! run: each change is durable before it is seen, here in the telemetry store, there in an SQLite log.
//! `cargo bench --bench mirror`; with `-- ours` only ours, with `-- rates` at which ours gives in, and with
//! `-- fleeting` nothing is kept by anybody; `-- faults` is what one machine of fifty that is slow or hangs does to the others, `-- idle` what five
//! hundred machines cost that do nothing.
//!
//! Three processes: fifty machines with two hundred variables each (servers of the stack, whose cost is
//! shown apart), the mirror, and a subscriber who watches every variable at 100 ms. A change is done when
//! the subscriber has it; its delay runs from the machine's own source time to then. CPU is that of the
//! mirror's process for each change that has arrived. The peers (`benches/mirror/`) need
//! `tests/interop/node_modules` and `tests/interop/.venv`, which `.ci/run` makes, and for its log node-opcua
//! needs `npm install --no-save better-sqlite3` in `tests/interop`.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first thing that is wrong")]

#[path = "../tests/shared/chaos.rs"]
mod chaos;
#[path = "mirror/machines.rs"]
mod machines;
#[path = "mirror/watcher.rs"]
mod watcher;
#[path = "mirror/worker.rs"]
mod worker;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use self::machines::machines;
use self::watcher::watch;
use self::worker::Worker;

const MACHINES: usize = 50;
const TAGS: usize = 200;
const SECONDS: u64 = 20;
/// How long is waited for what is still under way.
const REST: Duration = Duration::from_secs(3);
const NAMESPACE: &str = "urn:bench";
/// Offered changes a second of all machines together, at which ours is tried.
const RATES: [u64; 6] = [10_000, 40_000, 80_000, 160_000, 200_000, 240_000];

/// What becomes of changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// They are durable before they are seen.
    Durable,
    /// They are seen only.
    Fleeting,
}

impl Keeping {
    fn mirror(self) -> &'static str {
        match self {
            Keeping::Durable => "[machine.mirror]\nrecord = [\"Machine\"]\n",
            Keeping::Fleeting => "[machine.mirror]\n",
        }
    }
}

fn free_ports(count: usize) -> Vec<u16> {
    let bind = |_| std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let all: Vec<_> = (0..count).map(bind).collect();
    all.iter().map(|one| one.local_addr().unwrap().port()).collect()
}

fn ours(directory: &Path, ports: &[u16], (opcua, http): (u16, u16), mirror: &str) -> Worker {
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
             {mirror}"
        );
    }
    let config = directory.join("plant.toml");
    std::fs::write(&config, text).unwrap();
    let binary = env!("CARGO_BIN_EXE_linewright");
    Worker::silent(Command::new(binary).args(["serve", "--config"]).arg(config))
}

fn peer(name: &str, ports: &[u16], opcua: u16, log: Option<&Path>) -> Worker {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let (program, file) = match name {
        "node-opcua" => (PathBuf::from("node"), "mirror_node_opcua.js"),
        _ => (root.join("tests/interop/.venv/bin/python"), "mirror_asyncua.py"),
    };
    let mut command = Command::new(program);
    command.arg(root.join("benches/mirror").join(file)).arg(opcua.to_string()).arg(ports);
    command.arg(TAGS.to_string()).args(log).current_dir(root.join("tests/interop"));
    Worker::silent(&mut command)
}

/// The processes of a measurement.
struct Measured {
    machines: Worker,
    mirror: Worker,
    watcher: Worker,
    _directory: tempfile::TempDir,
}

fn begin_machines(ports: &[u16]) -> Worker {
    let joined = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let mut machines = Worker::of_this(&["machines", &joined]);
    assert_eq!(machines.next(), "ready");
    machines
}

fn until_it_listens(name: &str, port: u16) {
    let began = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(120), "{name} does not listen");
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Measured {
    fn begin(name: &str, keeping: Keeping) -> Measured {
        let ports = free_ports(MACHINES + 2);
        let (ports, rest) = ports.split_at(MACHINES);
        let machines = begin_machines(ports);
        let directory = tempfile::tempdir().unwrap();
        let mirror = match name {
            "linewright" => ours(directory.path(), ports, (rest[0], rest[1]), keeping.mirror()),
            peer_name => {
                let log = (keeping == Keeping::Durable).then_some(directory.path());
                peer(peer_name, ports, rest[0], log)
            }
        };
        until_it_listens(name, rest[0]);
        let mut watcher = Worker::of_this(&["watch", &format!("opc.tcp://127.0.0.1:{}", rest[0])]);
        assert_eq!(watcher.next(), "ready");
        Measured { machines, mirror, watcher, _directory: directory }
    }

    /// One line: what comes of a rate, and with a word behind it, how the first machine is meanwhile. Gives the
    /// 99th percentile of the delays in ms.
    fn run(&mut self, name: &str, order: &str) -> f64 {
        std::thread::sleep(REST);
        self.watcher.tell("forget");
        self.watcher.next();
        let cost = |all: &Measured| [&all.mirror, &all.machines, &all.watcher].map(|w| w.cost().0);
        let before = cost(self);
        self.machines.tell(order);
        let offered: u64 = self.machines.next().parse().unwrap();
        std::thread::sleep(REST);
        self.watcher.tell("say");
        let said = self.watcher.next();
        let said: Vec<f64> = said.split(' ').map(|part| part.parse().unwrap()).collect();
        let after = cost(self);
        let cpu = |at: usize| (after[at] - before[at]) * 1e6 / said[0].max(1.0);
        println!(
            "{name:>12} {order:>12} {:>9.4} {:>9.0} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>9.1} {:>9.1} {:>7}",
            1.0 - said[0] / offered as f64,
            said[0] / SECONDS as f64,
            said[1],
            said[2],
            said[3],
            cpu(0),
            cpu(1),
            cpu(2),
            self.mirror.cost().1
        );
        said[2]
    }
}

/// Measures a mirror at some rates.
fn measure(name: &str, keeping: Keeping, rates: &[u64]) {
    let mut measured = Measured::begin(name, keeping);
    for rate in rates {
        measured.run(name, &rate.to_string());
    }
}

/// What a machine that is slow or hangs does to the others.
fn faults() {
    let mut measured = Measured::begin("linewright", Keeping::Durable);
    // A first run lets everything find its place.
    measured.run("linewright", "10000 whole");
    for word in ["slow", "hangs"] {
        let whole = measured.run("linewright", "10000 whole");
        let other = measured.run("linewright", &format!("10000 {word}"));
        let growth = (other / whole - 1.0) * 100.0;
        println!("{word}: the p99 of the other machines grows by {growth:.1} %");
    }
}

/// What machines cost that do nothing. Ten of them at a time are one server, to which nothing is the same as
/// ten.
fn idle() {
    for (what, mirror) in [("watched", ""), ("mirrored", "[machine.mirror]\n")] {
        let ports = free_ports(MACHINES + 2);
        let (ports, rest) = ports.split_at(MACHINES);
        let _machines = begin_machines(ports);
        let all: Vec<u16> = ports.iter().copied().cycle().take(MACHINES * 10).collect();
        let directory = tempfile::tempdir().unwrap();
        let ours = ours(directory.path(), &all, (rest[0], rest[1]), mirror);
        until_it_listens("linewright", rest[0]);
        let mut last = 0;
        // All are connected and copied when memory grows no more.
        loop {
            std::thread::sleep(Duration::from_secs(10));
            let now = ours.memory();
            if now == last {
                break;
            }
            last = now;
        }
        let before = ours.cost().0;
        std::thread::sleep(Duration::from_secs(SECONDS));
        let cpu = (ours.cost().0 - before) / SECONDS as f64 * 100.0;
        println!("{} machines {what}: {last} MB, {cpu:.1} % of one core", all.len());
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
    if has("idle") {
        return idle();
    }
    println!("{MACHINES} machines with {TAGS} variables, {SECONDS} s each, publishing at 100 ms");
    println!(
        "{:>12} {:>12} {:>9} {:>9} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9} {:>7}",
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
    if has("faults") {
        return faults();
    }
    let keeping = if has("fleeting") { Keeping::Fleeting } else { Keeping::Durable };
    measure("linewright", keeping, if has("rates") { &RATES } else { &RATES[..1] });
    if !has("ours") {
        measure("node-opcua", keeping, &[10_000, 40_000, 50_000, 60_000, 80_000]);
        measure("asyncua", keeping, &[2_500, 5_000, 10_000]);
    }
}
