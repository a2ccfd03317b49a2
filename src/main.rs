//! The program: parse the command line, call the library, end with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    linewright::cli::main()
}
