//! The real binary from outside: command line, bridge, faults, crashes, replay against live.

mod cli;
mod crash;
mod faults;
mod http;
mod live;
mod opcua;
mod support;
