//! The OPC UA server.
//!
//! Two layers that know each other only through one trait: [`space`] says what nodes there are,
//! `stack` speaks the protocol with the server of the OPC UA stack. The second will be replaced by
//! a service layer of our own; the first stays as it is.

mod auth;
mod push;
pub mod space;
mod stack;
mod start;

pub use start::{RunningServer, ServerOptions, start};
