//! The OPC UA server over a space of the tests: each defect that was seen in other servers is a test
//! here that it is not in ours.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod alarms;
mod attributes;
#[path = "../shared/chaos.rs"]
mod chaos;
mod client;
mod corpus;
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
#[path = "../fuzz/drivers.rs"]
mod drivers;
mod events;
mod hostile;
mod items;
mod links;
mod listening;
mod mirrors;
mod pki;
mod raw;
mod recorded;
mod secured;
mod sessions;
mod space;
mod subscriptions;
mod support;
mod unfinished;
