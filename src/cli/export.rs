//! `export`: everything that came from outside, as a log that `replay` reads.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use super::serve::store_failure;
use super::{EXIT_SOFTWARE, Failure, Outcome, load};
use crate::app::log_format::LogLine;
use crate::app::ports::Store as _;
use crate::store::RedbStore;

/// Writes the log of a data directory; the program that uses the directory must be stopped.
pub fn run(config: &Path) -> Outcome {
    let settings = load::from_file(config)?;
    let store = RedbStore::open(&settings.data).map_err(store_failure)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut failed = None;
    store
        .reader()
        .journal(&mut |event| {
            let line = LogLine::of_event(event);
            let text = line.map(|line| serde_json::to_string(&line).unwrap_or_default());
            if let Some(text) = text.filter(|_| failed.is_none())
                && let Err(error) = writeln!(out, "{text}")
            {
                failed = Some(error);
            }
        })
        .map_err(store_failure)?;
    let flushed = failed.map_or_else(|| out.flush(), Err);
    flushed.map_err(|error| Failure::new(EXIT_SOFTWARE, format!("standard output: {error}")))
}
