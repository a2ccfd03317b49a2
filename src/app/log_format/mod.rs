//! The recorded log: one JSON object a line, in any order of lines.
//!
//! It is what `replay` reads and `export` writes, what a user brings and a bug report contains. `read`
//! makes inputs of lines, `write` makes lines of facts.

mod line;
mod read;
mod write;

pub use line::{LogLine, OrderLine};
pub use read::whole_float;
