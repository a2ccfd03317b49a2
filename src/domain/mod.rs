//! The pure core: what an MES means, without clock, network, store or library type.
//!
//! The same inputs give the same events, byte for byte. Read [`command`] (what comes in), [`core`]
//! (what is decided), [`event`] (what is stored), then [`oee`] (what follows from it).

pub mod calendar;
pub mod command;
pub mod core;
pub mod event;
pub mod evidence;
pub mod genealogy;
pub mod id;
pub mod notice;
pub mod oee;
pub mod order;
pub mod plant;
pub mod quantity;
pub mod rejection;
pub mod role;
pub mod series;
pub mod shift;
pub mod signal;
pub mod time;
pub mod transfer;
