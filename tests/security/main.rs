//! Attacks on the real binary. During each of them the server's memory stays below 256 MiB, and an
//! honest client from another address gets its answers: the 99th percentile is below a second.

#![allow(missing_docs, reason = "tests are documented by their names")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod connections;
mod messages;
#[path = "../opcua/raw.rs"]
mod raw;
mod resources;
#[expect(dead_code, reason = "shared with other tests")]
#[path = "../system/support.rs"]
mod support;
mod target;
