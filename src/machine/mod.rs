//! Machines: the OPC UA client side.
//!
//! One task a machine, so that a slow or broken one never delays another. `link` keeps coming back for
//! ever, by the way that `arrive` finds; `survey` asks a machine about itself, `spot` finds what is
//! configured, `items` asks for it, `listening` hears what it tells, with `flow`, and `forward` makes facts of it, with
//! `clock`, `value`, `structure` and `problems`; `backfill` reads what was missed. `orders` tells it what its
//! line makes, and `mirror` copies what it shows of itself. For engineers,
//! `explore` looks around, with `text`, `recognise` tells what a machine is (`recognising` does so while it is connected), and `check` tries what is configured. `client` speaks OPC UA.
//! Nothing here decides what a value means for production.

mod arrive;
mod backfill;
mod backoff;
mod check;
pub mod client;
mod clock;
pub mod explore;
mod flow;
mod forward;
mod items;
mod link;
mod listening;
pub mod mirror;
mod node;
pub mod orders;
mod problems;
pub mod recognise;
mod recognising;
mod spot;
mod structure;
mod survey;
pub mod text;
mod value;

pub use check::check;
pub use link::{MachineLink, start};
pub use node::Node;
pub use recognising::Recognisers;
pub use spot::{Name, Place, Start};
pub use structure::Step;
pub use survey::Survey;

use std::fmt;
use std::time::Duration;

use client::Target;

use crate::domain::id::MachineId;
use crate::domain::signal::Signal;
use crate::domain::time::Span;

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
    /// How it is reached; what follows the first stands by. Never empty.
    pub targets: Vec<Target>,
    /// Publishing interval that is asked for.
    pub publishing_interval: Span,
    /// Sampling interval that is asked for; zero for every change.
    pub sampling_interval: Span,
    /// Beyond this difference of clocks our own time is used.
    pub clock_skew_max: Span,
    /// What is watched.
    pub items: Vec<(Watched, Place)>,
    /// Whether it is to be recognised, so that its signals are bound by what it is.
    pub is_recognised: bool,
    /// How it is told of the orders of its line, if at all.
    pub orders: Option<orders::Transfer>,
    /// What of its address space our server shows, if anything.
    pub mirror: Option<mirror::Scope>,
}

/// A span as the network counts it.
fn duration(span: Span) -> Duration {
    Duration::from_nanos(span.ticks().unsigned_abs().saturating_mul(100))
}
