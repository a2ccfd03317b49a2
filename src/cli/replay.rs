//! `replay`: a recorded log through the same core, without any server.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::{EXIT_SOFTWARE, EXIT_USAGE, Failure, Outcome, load};
use crate::app::kpi_report::KpiReport;
use crate::app::replay::{Problem, replay};
use crate::app::time_text;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Profile;
use crate::domain::time::{Timestamp, Window};

/// Malformed lines that are shown; a log of another kind has a million.
const PROBLEMS_SHOWN: usize = 20;

/// What to replay, and which figures to print.
#[derive(Args)]
pub struct ReplayOptions {
    /// Configuration file
    #[arg(long)]
    config: PathBuf,
    /// Log as JSON Lines; - for standard input
    #[arg(long)]
    input: PathBuf,
    /// Key of a machine, line, area or the site
    #[arg(long)]
    equipment: String,
    /// First instant, RFC 3339
    #[arg(long)]
    from: String,
    /// First instant after, RFC 3339
    #[arg(long)]
    to: String,
    /// Profile of availability and performance: tpm or iso22400
    #[arg(long, default_value = "tpm")]
    profile: String,
}

/// Replays a log and prints the figures.
pub fn run(options: &ReplayOptions) -> Outcome {
    let usage = |text: String| Failure::new(EXIT_USAGE, text);
    let settings = load::from_file(&options.config)?;
    let plant = Arc::new(settings.plant);
    let profile = match options.profile.as_str() {
        "tpm" => Profile::Tpm,
        "iso22400" => Profile::Iso22400,
        other => return Err(usage(format!("profile {other:?} is neither tpm nor iso22400"))),
    };
    let equipment = Equipment::find(&plant, &options.equipment)
        .ok_or_else(|| usage(format!("no equipment {:?} is configured", options.equipment)))?;
    let instant = |name: &str, text: &str| -> Result<Timestamp, Failure> {
        time_text::parse(text).map_err(|error| usage(format!("--{name}: {error}")))
    };
    let (from, to) = (instant("from", &options.from)?, instant("to", &options.to)?);
    let window = Window::new(from, to).filter(|window| window.from < window.to);
    let window = window.ok_or_else(|| usage("--from must lie before --to".into()))?;
    let log = read_log(&options.input)?;
    let replayed = replay(plant, &log).map_err(|problems| malformed(&options.input, &problems))?;
    for Problem { line, text } in &replayed.refused {
        eprintln!("{}:{line}: refused as it would have been live: {text}", options.input.display());
    }
    let kpi = replayed.core.facts_at(replayed.core.now().max(window.to)).kpi(&equipment, window);
    let kpi = kpi.ok_or_else(|| usage("the equipment has no machines".into()))?;
    let report = KpiReport::new(&options.equipment, &kpi, profile);
    let text = serde_json::to_string_pretty(&report)
        .map_err(|error| Failure::new(EXIT_SOFTWARE, error.to_string()))?;
    println!("{text}");
    Ok(())
}

fn read_log(path: &Path) -> Result<String, Failure> {
    if path.as_os_str() != "-" {
        return load::read(path);
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::new(EXIT_USAGE, format!("standard input: {error}")))?;
    Ok(text)
}

fn malformed(path: &Path, problems: &[Problem]) -> Failure {
    let shown = problems.iter().take(PROBLEMS_SHOWN);
    let mut lines: Vec<String> =
        shown.map(|p| format!("{}:{}: {}", path.display(), p.line, p.text)).collect();
    if problems.len() > PROBLEMS_SHOWN {
        lines.push(format!("and {} more", problems.len() - PROBLEMS_SHOWN));
    }
    Failure::new(EXIT_USAGE, format!("the log cannot be read\n{}", lines.join("\n")))
}
