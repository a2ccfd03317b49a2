//! Configuration: one TOML file, checked as a whole before anything starts.
//!
//! [`problem`] collects everything that is wrong, `section` reads values with their place in the
//! file, the other modules turn sections into a plant and the settings of the adapters. Reading
//! never stops at the first problem and never fills in a value that a plant would miss.

mod bound;
mod calendar;
mod equipment;
mod mirror;
mod node;
mod orders;
mod plant;
pub mod problem;
mod products;
mod reach;
mod section;
mod server;
pub mod settings;
mod signals;
mod targets;
mod users;

pub use node::{BrowseName, FieldStep, NodeAddress, PlaceAddress, StartAddress};
pub use plant::load;
pub use users::load as load_users;
