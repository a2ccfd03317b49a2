//! What both sides of an OPC UA connection share, ours to machines and that of clients to us: frames,
//! chunks, their security, certificates, reading what a peer sends, and the structures of job orders that
//! both receive.
//!
//! It knows no socket, session or service, never waits, and never trusts a length, a nesting or a
//! certificate that it has not checked.

pub mod assemble;
pub mod asymmetric;
pub mod decode;
pub mod frame;
pub mod job_order;
pub mod pki;
pub mod signature;
pub mod structure;
pub mod symmetric;
pub mod time;
