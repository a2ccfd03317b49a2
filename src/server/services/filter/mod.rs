//! Filters of monitored items: which data changes count, which events are wanted and what of them.

mod compare;
pub mod content;
pub mod data_change;
pub mod event;
mod like;
