//! A simulated plant: real OPC UA servers with machines behind them that behave like machines.
//!
//! They stop and micro-stop, wait for each other, make rejects, change over, roll counters over,
//! restart, and lose their link. Linewright reaches them over `opc.tcp` alone, like any other. What
//! they do follows from the seed; `model` holds it, `server` shows it, `link` is the cable.

mod erp;
mod link;
mod model;
mod server;

pub use erp::{DemoErp, run_erp};
pub use model::{Change, LineModel, MachineKind, Tag, TagValue};
pub use server::{PACKML_NAMESPACE, PLAIN_NAMESPACE, SimulatedMachine};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::clock::Clock;
use crate::domain::time::{Span, TICKS_PER_MILLISECOND};

/// How the plant is simulated.
#[derive(Clone, Debug)]
pub struct SimulationOptions {
    /// What happens follows from this.
    pub seed: u64,
    /// Simulated time passes so many times as fast as real time.
    pub speed: f64,
    /// Port of the first machine on loopback; the others follow.
    pub first_port: u16,
    /// Whether servers restart and links break.
    pub disturb: bool,
}

/// One simulated line.
#[derive(Clone, Copy, Debug)]
struct LineSpec {
    /// Machines in the direction of flow: key, kind and cycle in simulated milliseconds.
    machines: &'static [(&'static str, MachineKind, u64)],
}

/// The demo plant: a filling line of plain tags and a packing line that speaks PackML.
const LINES: [LineSpec; 2] = [
    LineSpec {
        machines: &[
            ("L1-Filler", MachineKind::Plain, 500),
            ("L1-Capper", MachineKind::Plain, 420),
            ("L1-Labeler", MachineKind::Plain, 450),
        ],
    },
    LineSpec {
        machines: &[
            ("L2-Former", MachineKind::PackMl, 800),
            ("L2-Packer", MachineKind::PackMl, 900),
        ],
    },
];

/// How often the machines are looked at, in real time.
const TICK: Duration = Duration::from_millis(50);
/// Simulated time of one step of a model.
pub const STEP_MS: u64 = 50;

/// The plant while it runs.
pub struct SimulatedPlant {
    /// Machine keys with the addresses of their servers.
    pub endpoints: Vec<(String, SocketAddr)>,
    task: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

impl SimulatedPlant {
    /// Starts all servers; fails when a port is taken.
    pub async fn start(
        options: SimulationOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<SimulatedPlant, String> {
        let stop = CancellationToken::new();
        let mut lines = Vec::new();
        let mut endpoints = Vec::new();
        let mut port = options.first_port;
        for (number, spec) in LINES.iter().enumerate() {
            let seed = options.seed.wrapping_add(number as u64);
            let mut machines = Vec::new();
            for (name, kind, _) in spec.machines {
                let machine = SimulatedMachine::start(name, *kind, port, stop.clone()).await?;
                endpoints.push(((*name).to_owned(), machine.address()));
                machines.push(machine);
                port = if port == 0 { 0 } else { port + 1 };
            }
            let cycles: Vec<_> = spec.machines.iter().map(|(_, kind, ms)| (*kind, *ms)).collect();
            lines.push((LineModel::new(seed, &cycles), machines));
        }
        let task = tokio::spawn(run(lines, options, clock, stop.clone()));
        Ok(SimulatedPlant { endpoints, task, stop })
    }

    /// Stops all servers.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the simulation ended badly");
        }
    }
}

async fn run(
    mut lines: Vec<(LineModel, Vec<SimulatedMachine>)>,
    options: SimulationOptions,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(TICK);
    let began = clock.now();
    let mut steps_done = 0_u64;
    let step = Span::from_ticks(
        ((STEP_MS as f64 * TICKS_PER_MILLISECOND as f64) / options.speed).round() as i64,
    );
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => break,
        }
        let due = (clock.now() - began).ticks().max(0) / step.ticks().max(1);
        while steps_done < due.unsigned_abs() {
            steps_done += 1;
            let at = began + Span::from_ticks(step.ticks() * steps_done as i64);
            for (model, machines) in &mut lines {
                for (index, change) in model.step() {
                    match change {
                        Change::Tag(tag, value) => machines[index].set(tag, &value, at),
                        Change::Restart if options.disturb => machines[index].restart(),
                        Change::LinkDrop if options.disturb => machines[index].drop_link(),
                        Change::Restart | Change::LinkDrop => {}
                    }
                }
            }
        }
    }
    for (_, machines) in lines {
        for machine in machines {
            machine.stop().await;
        }
    }
}
