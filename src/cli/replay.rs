//! `replay`: a recorded log through the same core, without any server.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::explain::{self, Format, WhichFigures};
use super::{EXIT_SOFTWARE, EXIT_USAGE, Failure, Outcome, load};
use crate::app::kpi_report::KpiReport;
use crate::app::query::WindowFacts;
use crate::app::replay::{Problem, replay};

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
    #[command(flatten)]
    which: WhichFigures,
    /// Print all that is behind the figures instead
    #[arg(long, value_enum)]
    explain: Option<Format>,
}

/// Replays a log and prints the figures.
pub fn run(options: &ReplayOptions) -> Outcome {
    let settings = load::from_file(&options.config)?;
    let plant = Arc::new(settings.plant);
    let (equipment, window, profile) = options.which.read(&plant)?;
    let log = read_log(&options.input)?;
    let replayed = replay(plant, &log).map_err(|problems| malformed(&options.input, &problems))?;
    for Problem { line, text } in &replayed.refused {
        eprintln!("{}:{line}: refused as it would have been live: {text}", options.input.display());
    }
    let facts = WindowFacts::of_core(&replayed.core, &equipment, window);
    if let Some(format) = options.explain {
        return explain::print(&facts, (&equipment, window, profile), &[], format);
    }
    let nothing = || Failure::new(EXIT_USAGE, "the equipment has no machines");
    let kpi = facts.facts().kpi(&equipment, window).ok_or_else(nothing)?;
    let report = KpiReport::new(&options.which.equipment, &kpi, profile);
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
