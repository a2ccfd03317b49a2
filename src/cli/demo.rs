//! `demo`: a small plant, an ERP and Linewright against them, and a few lines that say where to look.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::load::Source;
use super::run::{Running, Signals};
use super::simulate::SimulateOptions;
use super::{EXIT_UNAVAILABLE, Failure, Outcome, load, runtime, start_logging};
use crate::app::clock::Clock as _;
use crate::config::settings::Settings;
use crate::domain::plant::CycleScope;
use crate::domain::time::TICKS_PER_SECOND;
use crate::sim::{DemoErp, SimulatedPlant, run_erp};
use crate::sys::WallClock;

const DEMO: &str = include_str!("../../config/demo.toml");
/// The demo's users and their passwords are no secret.
const ERP: (&str, &str) = ("erp", "erp-demo-password");
const OPERATOR: (&str, &str) = ("operator", "operator-demo-password");
const ORDER_QUANTITY: u32 = 120;

/// How to run the demo.
#[derive(Args)]
pub struct DemoOptions {
    #[command(flatten)]
    simulate: SimulateOptions,
    /// Port of the OPC UA server
    #[arg(long, default_value_t = 4840)]
    opcua_port: u16,
    /// Port of the HTTP bridge
    #[arg(long, default_value_t = 8080)]
    http_port: u16,
    /// Where data are kept
    #[arg(long, default_value = "data/demo")]
    data: PathBuf,
}

/// Runs the demo until told to stop.
pub fn run(options: &DemoOptions) -> Outcome {
    let source = Source { file: "demo.toml".into(), text: DEMO.into() };
    let mut settings = load::from_source(&source)?;
    let simulation = options.simulate.to_simulation()?;
    settings.data.clone_from(&options.data);
    settings.opcua.listen.set_port(options.opcua_port);
    settings.http.listen.set_port(options.http_port);
    start_logging();
    runtime()?.block_on(async {
        let signals = Signals::listen(false)?;
        let plant = SimulatedPlant::start(simulation, Arc::new(WallClock)).await;
        let plant = plant.map_err(|error| Failure::new(EXIT_UNAVAILABLE, error))?;
        for machine in &mut settings.machines {
            let simulated =
                plant.endpoints.iter().find(|(key, _)| *key == machine.machine.as_str());
            if let Some((_, address)) = simulated {
                machine.reach.endpoints = vec![format!("opc.tcp://{address}")];
            }
        }
        let erp_lines = lines(&settings);
        let mut running = Running::start(source, settings).await?;
        let stop = CancellationToken::new();
        let erp = DemoErp {
            bridge: running.http,
            user: (ERP.0.into(), ERP.1.into()),
            lines: erp_lines,
            quantity: ORDER_QUANTITY,
            run: (WallClock.now().ticks() / TICKS_PER_SECOND).to_string(),
        };
        let erp = tokio::spawn(run_erp(erp, stop.clone()));
        print_where_to_look(&running);
        let ended = running.wait(signals, None).await;
        stop.cancel();
        if let Err(error) = erp.await {
            tracing::warn!(%error, "the demo's ERP ended badly");
        }
        running.stop().await;
        plant.stop().await;
        ended
    })
}

/// The lines with the products that have an ideal cycle on their bottleneck.
fn lines(settings: &Settings) -> Vec<(String, Vec<String>)> {
    let plant = &settings.plant;
    let lines = plant.lines.values().map(|line| {
        let fits = plant.products.values().filter(|product| {
            let cycles = product.cycles.iter();
            let own = CycleScope::Machine(line.bottleneck.clone());
            cycles.clone().any(|cycle| cycle.scope == own)
        });
        (line.id.to_string(), fits.map(|product| product.id.to_string()).collect())
    });
    lines.collect()
}

fn print_where_to_look(running: &Running) {
    let (opcua, http) = (running.opcua, running.http);
    println!(
        "Linewright runs against a simulated plant: 2 lines, 5 machines.\n\
         \n\
         OPC UA    opc.tcp://{opcua}   (open for reading on this computer)\n\
         HTTP      http://{http}/v1/orders\n\
         curl      curl -s 'http://{http}/v1/kpi?equipment=L1&from='$(date -u -d '-10 minutes' +%FT%TZ)\n\
         UaExpert  add opc.tcp://{opcua}, browse Objects > Demo; to call methods choose\n\
         \u{20}         Basic256Sha256 - Sign & Encrypt as {} / {}\n\
         ERP user  {} / {}\n\
         \n\
         Ctrl-C stops it.",
        OPERATOR.0, OPERATOR.1, ERP.0, ERP.1
    );
}
