//! The mirror of a machine, seen from the machine: `scope` says what is mirrored, `walk` finds it,
//! `types` finds what types it needs, with `attributes`, and `copying` makes a copy of it under the ids
//! of our server, which `mapping` knows; `watch` watches what somebody looks at, `remote` asks what nobody
//! watches, `event_types` and `hearing` hear its events, of which `common` keeps once what many machines declare, `filling` reads what was missed of what is recorded,
//! and `tend` does all that over a connection.
//!
//! It never delays what the signals of the machine tell: it works beside them, over the same session.

mod attributes;
mod common;
mod copying;
mod event_types;
mod filling;
mod hearing;
mod mapping;
mod remote;
mod scope;
mod tend;
mod types;
mod walk;
mod watch;

pub use common::Common;
pub use scope::Scope;
pub use tend::{Subscribe, Tending, start};
pub use watch::MirrorWatch;
