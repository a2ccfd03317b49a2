//! The OPC UA server, in three layers that do not know each other's insides.
//!
//! [`wire`] turns bytes of a socket into requests of a secure channel, [`services`] answers requests
//! of sessions, [`space`] says what nodes there are and what they say. Beside them stand [`limits`].

pub mod limits;
mod push;
pub mod services;
pub mod space;
mod start;
pub mod wire;

pub use start::{
    Content, Mode, Offer, PlantServer, Policy, RunningServer, ServerOptions, application_uri,
    serve, start, uris,
};
