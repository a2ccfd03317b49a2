//! The embedded store: redb behind the traits of [`crate::app::ports`].
//!
//! One file, one writer. A commit holds the facts and everything that follows from them, or nothing.
//! Nothing is one row a sample: facts are one row a batch, evidence that left memory is one row for up to a
//! thousand values of a signal, and values of mirrored variables that are kept are in [`telemetry`].

pub mod codec;
mod database;
mod fields;
mod figure_records;
mod lot_begins;
mod notice_records;
mod notices;
mod pages;
mod plant_records;
mod read;
mod records;
mod schema;
pub mod telemetry;
mod write;

pub use database::RedbStore;
