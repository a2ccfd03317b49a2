//! The space: what nodes there are and what they say.
//!
//! It is one narrow trait, read from published pictures and the store, never from a lock on the
//! core. The services know nothing of plants; the space knows nothing of sessions, subscriptions or
//! sockets.

mod at_time;
mod bind;
mod build;
mod event;
mod event_history;
mod figures;
mod history;
mod history_source;
mod inquiries;
mod instance;
mod interface;
mod job_control;
mod machinery;
mod members;
mod methods;
mod mirrored;
mod model;
mod model_change;
mod node;
mod nodeset;
mod nodeset_files;
mod plant;
mod protection;
mod server_object;
mod shape;
mod source;
mod spoken;
mod standard;
mod stops;
mod structures;
mod told;
mod type_tree;
mod value;
mod virtual_nodes;
mod whole;

pub use at_time::{AtTimeRequest, INSTANTS_MAX};
pub use event::Event;
pub use event_history::{EventHistoryRequest, EventPage, EventPlace};
pub use history::{HistoryPage, Place, RawHistoryRequest};
pub use interface::{CallOutcome, Space};
pub use mirrored::MirroredSpace;
pub use model::{Model, TYPES_NAMESPACE};
pub use node::{
    Attributes, CURRENT_READ, CURRENT_WRITE, HISTORY_READ, Node, NodeKind, Reference,
    SUBSCRIBE_TO_EVENTS,
};
pub use nodeset_files::SHIPPED as SHIPPED_NODESETS;
pub use plant::{PlantSpace, SpaceInputs};
pub use protection::{Asker, Protection, role_id};
pub use server_object::{Diagnostics, ServerState};
pub use source::Targets;
pub use standard::StandardSpace;
pub use type_tree::TypeTree;
pub use value::data_value;
pub use virtual_nodes::Listed;
pub use whole::WholeSpace;
