//! Where the mirrors of machines meet our server: the machine side writes what a machine shows, the
//! server side shows it and asks for more.
//!
//! Everything here is in the words of our server: ids are those under which its clients see a node, so
//! that neither side knows the other. Nothing here speaks to anybody, and no lock is held while
//! somebody waits.

mod copy;
mod events;
mod kept;
mod mirrors;
mod namespaces;
mod recorded;
mod remote;
mod sample;

pub use copy::{CopiedNode, CopiedReference, Copy};
pub use events::{Fields, Happened, Path, event_id, event_id_there};
pub use kept::write;
pub use mirrors::{Batch, Changes, Events, Mirror, Mirrors, Wanted, without_value};
pub use namespaces::{NAMESPACES_MAX, Namespaces};
pub use recorded::{Kept, Known, Unheard};
pub use remote::{Called, Ground, HistoryRead, HistorySlice, Remote};
