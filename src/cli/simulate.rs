//! `simulate`: the simulated plant alone, to be connected to from anywhere on this computer.

use std::sync::Arc;

use clap::Args;

use super::{EXIT_UNAVAILABLE, Failure, Outcome, runtime, start_logging};
use crate::sim::{SimulatedPlant, SimulationOptions};
use crate::sys::WallClock;

/// How to simulate.
#[derive(Args, Clone, Debug)]
pub struct SimulateOptions {
    /// Simulated time passes so many times as fast as real time
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
    /// What happens follows from the seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Port of the first machine; the others follow
    #[arg(long, default_value_t = 48_401)]
    pub machine_port: u16,
    /// Let no server restart and no link break
    #[arg(long)]
    pub calm: bool,
}

impl SimulateOptions {
    /// The options of the simulation.
    pub fn to_simulation(&self) -> Result<SimulationOptions, Failure> {
        if !(self.speed > 0.0 && self.speed <= 1000.0) {
            let text = "--speed must be above 0 and at most 1000";
            return Err(Failure::new(super::EXIT_USAGE, text));
        }
        Ok(SimulationOptions {
            seed: self.seed,
            speed: self.speed,
            first_port: self.machine_port,
            disturb: !self.calm,
        })
    }
}

/// Simulates until told to stop.
pub fn run(options: &SimulateOptions) -> Outcome {
    let simulation = options.to_simulation()?;
    start_logging();
    runtime()?.block_on(async {
        let plant = SimulatedPlant::start(simulation, Arc::new(WallClock)).await;
        let plant = plant.map_err(|error| Failure::new(EXIT_UNAVAILABLE, error))?;
        for (machine, address) in &plant.endpoints {
            println!("{machine} opc.tcp://{address}");
        }
        // Without a signal handler the program can still be killed.
        let _ = tokio::signal::ctrl_c().await;
        plant.stop().await;
        Ok(())
    })
}
