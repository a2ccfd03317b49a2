//! The core alone: properties that hold for every input, an independent oracle, and scenarios; and the
//! engine around it, with its store, under a clock that the test sets.
//!
//! `CASES=100 cargo test --release --test domain` looks at a hundred times as many cases.

#![allow(missing_docs, reason = "tests are documented by their names")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod archive;
mod causes;
mod counts;
mod indicators;
mod ledger;
mod lines;
mod live_windows;
mod notices;
mod oracle;
mod orders;
mod pitfalls;
mod plant;
mod replay;
#[path = "../shared/running.rs"]
mod running;
mod shifts;
mod sites;
mod stops;
mod timelines;
mod trails;
mod words;
mod writer;
