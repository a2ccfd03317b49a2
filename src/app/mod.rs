//! The application: one writer around the pure core, and what the adapters need of it.
//!
//! [`engine`] decides, commits, then lets others see; [`query`] answers about any window;
//! [`replay`] feeds a recorded log through the same core. Adapters meet in [`ports`].

pub mod access;
mod attempts;
pub mod clock;
pub mod closing;
pub mod configuration;
pub mod connection;
pub mod engine;
pub mod explain;
pub mod figures;
pub mod kpi_report;
pub mod live;
pub mod live_figures;
pub mod log_format;
mod looks;
pub mod pages;
pub mod password;
pub mod ports;
mod publish;
pub mod query;
pub mod recall;
pub mod recorder;
pub mod refusals;
pub mod replay;
pub mod shift_report;
pub mod slices;
pub mod stop_report;
pub mod telemetry;
pub mod time_text;
pub mod trace;
pub mod view;
pub mod why;
mod writer;
