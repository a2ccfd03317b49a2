#![forbid(unsafe_code)]
pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod machine;
pub mod server;
pub mod sim;
pub mod store;
pub mod sys;
