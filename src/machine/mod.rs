//! Machines: the OPC UA client side.
//!
//! One task a machine, so that a slow or broken one never delays another. `link` keeps trying for
//! ever, `connect` opens a session, `session` carries it to its end, `collector` takes values off the
//! stack, `node` finds what is watched, `value` reduces OPC UA values to what a signal can be. Nothing
//! here decides what a value means for production.

mod backoff;
pub mod client;
mod collector;
mod connect;
mod link;
mod node;
mod session;
mod value;

pub use link::{MachineLink, start};
pub use node::Node;

use std::fmt;
use std::path::PathBuf;

use crate::domain::id::MachineId;
use crate::domain::signal::Signal;
use crate::domain::time::Span;

/// How a connection is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Not at all.
    None,
    /// Basic256Sha256, signed and encrypted.
    Basic256Sha256,
    /// Aes128_Sha256_RsaOaep, signed and encrypted.
    Aes128Sha256RsaOaep,
    /// Aes256_Sha256_RsaPss, signed and encrypted.
    Aes256Sha256RsaPss,
}

/// What is watched at a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Watched {
    /// A signal.
    Signal(Signal),
    /// A value that is shown and not kept, by name.
    ProcessValue(String),
}

impl fmt::Display for Watched {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Watched::Signal(signal) => write!(out, "signal {}", signal.role.as_str()),
            Watched::ProcessValue(name) => write!(out, "process value {name}"),
        }
    }
}

/// How to reach and read one machine.
#[derive(Clone, PartialEq, Debug)]
pub struct MachineConnection {
    /// The machine.
    pub machine: MachineId,
    /// URL of its endpoint.
    pub endpoint: String,
    /// How the connection is protected.
    pub protection: Protection,
    /// User name and password.
    pub user: Option<(String, String)>,
    /// Publishing interval that is asked for.
    pub publishing_interval: Span,
    /// Sampling interval that is asked for; zero for every change.
    pub sampling_interval: Span,
    /// Beyond this difference of clocks our own time is used.
    pub clock_skew_max: Span,
    /// What is watched.
    pub items: Vec<(Watched, Node)>,
    /// Where our certificate and the trusted ones are.
    pub pki: PathBuf,
}
