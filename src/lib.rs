#![doc = include_str!("ARCHITECTURE.md")]
#![forbid(unsafe_code)]

// In reading order.
pub mod domain;

pub mod app;

pub mod channel;
pub mod config;
pub mod http;
pub mod machine;
pub mod mirror;
pub mod server;
pub mod sim;
pub mod store;

pub mod cli;
pub mod sys;
