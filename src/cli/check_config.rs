//! `check-config`: all problems at once, or a short account of what is configured; online it asks every
//! machine too.

use std::path::Path;

use futures::StreamExt as _;

use super::{EXIT_UNAVAILABLE, Failure, Outcome, load, reach, runtime, settled};
use crate::config::settings::Settings;
use crate::machine::{MachineConnection, check};
use crate::sys::WallClock;

/// Machines that are asked at once.
const AT_ONCE: usize = 32;

/// Checks a file, and the machines that are in it.
pub fn run(path: &Path, online: bool) -> Outcome {
    let settings = load::from_file(path)?;
    let plant = &settings.plant;
    println!(
        "{} is correct: {} lines, {} machines, {} products, {} reasons, {} users",
        path.display(),
        plant.lines.len(),
        plant.machines.len(),
        plant.products.len(),
        plant.reasons.len(),
        settings.users.len()
    );
    if online { runtime()?.block_on(ask_machines(path, &settings)) } else { Ok(()) }
}

async fn ask_machines(path: &Path, settings: &Settings) -> Outcome {
    let dialer = reach::dialer(&settings.data);
    let ask = async |connection: MachineConnection| {
        let (product, problems) = check(&dialer, &connection, &WallClock).await;
        (connection.machine, product, problems)
    };
    let connections = settled::connections_of(settings);
    let mut answers: Vec<_> =
        futures::stream::iter(connections).map(ask).buffer_unordered(AT_ONCE).collect().await;
    answers.sort_by(|one, other| one.0.cmp(&other.0));
    let mut count = 0;
    for (machine, product, problems) in &answers {
        let place = settings.machines.iter().find(|one| one.machine == *machine);
        let line = place.map_or(0, |one| one.line);
        for problem in problems {
            println!("{}:{line}: machine {machine}: {problem}", path.display());
        }
        if problems.is_empty() {
            let product = if product.is_empty() { "a machine" } else { product };
            println!("machine {machine} is as it is configured: {product}");
        }
        count += problems.len();
    }
    let text = match count {
        0 => return Ok(()),
        1 => "1 problem with a machine".to_owned(),
        _ => format!("{count} problems with the machines"),
    };
    Err(Failure::new(EXIT_UNAVAILABLE, text))
}
