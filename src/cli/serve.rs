//! `serve`: run against the machines of a configuration until told to stop.

use std::path::Path;

use super::load::Source;
use super::run::{Running, Signals};
use super::{EXIT_SOFTWARE, EXIT_TEMPORARY, Failure, Outcome, load, runtime, start_logging};
use crate::app::ports::StoreError;

/// Runs until told to stop.
pub fn run(config: &Path) -> Outcome {
    let source = Source::of(config)?;
    let settings = load::from_source(&source)?;
    start_logging();
    runtime()?.block_on(async {
        let signals = Signals::listen(true)?;
        let mut running = Running::start(source, settings).await?;
        tracing::info!(opcua = %running.opcua, http = %running.http, "ready");
        let ended = running.wait(signals, Some(config)).await;
        tracing::info!("stopping");
        running.stop().await;
        ended
    })
}

/// An error of the store with its exit code.
pub fn store_failure(error: StoreError) -> Failure {
    let code = match error {
        StoreError::InUse { .. } | StoreError::Full => EXIT_TEMPORARY,
        StoreError::NewerFormat { .. }
        | StoreError::OlderFormat { .. }
        | StoreError::Damaged { .. }
        | StoreError::Io(_) => EXIT_SOFTWARE,
    };
    Failure::new(code, error.to_string())
}
