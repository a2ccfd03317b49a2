//! `explain`: what is behind a figure, from the data directory of a stopped plant.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::serve::store_failure;
use super::{EXIT_SOFTWARE, EXIT_USAGE, Failure, Outcome, load};
use crate::app::explain::Explanation;
use crate::app::ports::Store as _;
use crate::app::query::{WindowFacts, complete};
use crate::app::recall::{extract, rebuild};
use crate::app::time_text;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Profile;
use crate::domain::plant::Plant;
use crate::domain::shift::ShiftRecord;
use crate::domain::time::{Timestamp, Window};
use crate::store::RedbStore;

/// Which figures: of what, when, and in which profile.
#[derive(Args)]
pub struct WhichFigures {
    /// Key of a machine, line, area or the site
    #[arg(long)]
    pub equipment: String,
    /// First instant, RFC 3339
    #[arg(long)]
    pub from: String,
    /// First instant after, RFC 3339
    #[arg(long)]
    pub to: String,
    /// Profile of availability and performance: tpm or iso22400
    #[arg(long, default_value = "tpm")]
    pub profile: String,
}

/// How an explanation is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For programs and people.
    Json,
    /// For spreadsheets.
    Csv,
}

/// What to explain.
#[derive(Args)]
pub struct ExplainOptions {
    /// Configuration file
    #[arg(long)]
    config: PathBuf,
    #[command(flatten)]
    which: WhichFigures,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

impl WhichFigures {
    /// The equipment, window and profile, or what is wrong with them.
    pub fn read(&self, plant: &Plant) -> Result<(Equipment, Window, Profile), Failure> {
        let usage = |text: String| Failure::new(EXIT_USAGE, text);
        let profile = match self.profile.as_str() {
            "tpm" => Profile::Tpm,
            "iso22400" => Profile::Iso22400,
            other => {
                return Err(usage(format!("profile {other:?} is neither tpm nor iso22400")));
            }
        };
        let equipment = Equipment::find(plant, &self.equipment)
            .ok_or_else(|| usage(format!("no equipment {:?} is configured", self.equipment)))?;
        let instant = |name: &str, text: &str| -> Result<Timestamp, Failure> {
            time_text::parse(text).map_err(|error| usage(format!("--{name}: {error}")))
        };
        let (from, to) = (instant("from", &self.from)?, instant("to", &self.to)?);
        let window = Window::new(from, to).filter(|window| window.from < window.to);
        let window = window.ok_or_else(|| usage("--from must lie before --to".into()))?;
        Ok((equipment, window, profile))
    }
}

/// Prints what is behind a figure.
pub fn run(options: &ExplainOptions) -> Outcome {
    let settings = load::from_file(&options.config)?;
    let plant = Arc::new(settings.plant);
    let (equipment, window, profile) = options.which.read(&plant)?;
    let store = RedbStore::open(&settings.data).map_err(store_failure)?;
    let reader = store.reader();
    let core = rebuild(&plant, store.recover().map_err(store_failure)?);
    let known = extract(&core, &equipment, window, core.now().max(window.to));
    let failed = |error: &dyn std::fmt::Display| Failure::new(EXIT_SOFTWARE, error.to_string());
    let facts = complete(known, &*reader, window).map_err(|error| failed(&error))?;
    let mut revisions = Vec::new();
    for line in equipment.lines(&plant) {
        for shift in core.history().shifts(&line.id, window) {
            let records = reader.shift_records(&line.id, shift.window.from);
            revisions.extend(records.map_err(store_failure)?);
        }
    }
    print(&facts, (&equipment, window, profile), &revisions, options.format)
}

/// Prints an explanation.
pub fn print(
    facts: &WindowFacts,
    (equipment, window, profile): (&Equipment, Window, Profile),
    revisions: &[ShiftRecord],
    format: Format,
) -> Outcome {
    let explanation = Explanation::new(facts, equipment, window, profile, revisions);
    let nothing = || Failure::new(EXIT_USAGE, "the equipment has no machines");
    let explanation = explanation.ok_or_else(nothing)?;
    match format {
        Format::Csv => print!("{}", explanation.to_csv()),
        Format::Json => {
            let text = serde_json::to_string_pretty(&explanation);
            let text = text.map_err(|error| Failure::new(EXIT_SOFTWARE, error.to_string()))?;
            println!("{text}");
        }
    }
    Ok(())
}
