//! What both sides of an OPC UA connection share, ours to machines and that of clients to us: frames,
//! chunks, their security, certificates, and reading what a peer sends.
//!
//! It knows no socket, session or service, never waits, and never trusts a length, a nesting or a
//! certificate that it has not checked.

pub mod assemble;
pub mod asymmetric;
pub mod decode;
pub mod frame;
pub mod pki;
pub mod signature;
pub mod symmetric;
pub mod time;
