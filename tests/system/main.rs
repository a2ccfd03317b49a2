//! The real binary from outside: command line, bridge, faults, crashes, replay against live.

#![allow(missing_docs, reason = "tests are documented by their names")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
mod crash;
mod faults;
mod figures;
mod http;
mod live;
mod machines;
mod opcua;
mod reload;
mod support;
