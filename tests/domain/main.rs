//! The core alone: properties that hold for every input, an independent oracle, and scenarios.

mod archive;
mod ledger;
mod oracle;
mod orders;
mod plant;
mod replay;
