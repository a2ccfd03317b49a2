#![forbid(unsafe_code)]
pub mod app;
pub mod config;
pub mod domain;
pub mod http;
pub mod machine;
pub mod sim;
pub mod store;
pub mod sys;
