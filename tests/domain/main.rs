//! The core alone: properties that hold for every input, an independent oracle, and scenarios.

#![allow(missing_docs, reason = "tests are documented by their names")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod archive;
mod counts;
mod ledger;
mod lines;
mod oracle;
mod orders;
mod plant;
mod replay;
mod shifts;
mod stops;
