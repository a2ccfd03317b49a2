//! The application: one writer around the pure core, and what the adapters need of it.
pub mod ports;
