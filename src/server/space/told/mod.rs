//! What was told, as clients see it: notices as events, conditions with their nodes and methods.
//!
//! Nothing is decided here; what happened and what can be done is decided in [`crate::domain`].

mod condition;
mod event;

pub use condition::{ConditionKind, ConditionMethod, act, has, value};
pub use event::Teller;
