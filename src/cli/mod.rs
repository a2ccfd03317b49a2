//! The command line: one file a subcommand. Data go to stdout, talk to stderr.

mod binding;
mod browse;
mod check_config;
mod demo;
mod explain;
mod export;
mod hash_password;
mod links;
mod load;
mod nodesets;
mod pki;
mod reach;
mod reload;
mod replay;
mod run;
mod serve;
mod settled;
mod simulate;
mod suggest;
mod user;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code of a wrong configuration or wrong input.
pub const EXIT_USAGE: u8 = 64;
/// Exit code of a missing file.
pub const EXIT_NO_INPUT: u8 = 66;
/// Exit code of a port that is taken.
pub const EXIT_UNAVAILABLE: u8 = 69;
/// Exit code of an internal failure.
pub const EXIT_SOFTWARE: u8 = 70;
/// Exit code of something that may work later.
pub const EXIT_TEMPORARY: u8 = 75;

/// Why a subcommand failed: an exit code and a sentence.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn new(code: u8, text: impl Into<String>) -> Failure {
        Failure { code, text: text.into() }
    }
}

type Outcome = Result<(), Failure>;

/// An OPC UA-native manufacturing execution system.
#[derive(Parser)]
#[command(name = "linewright", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run against the machines of a configuration
    Serve {
        /// Configuration file
        #[arg(long)]
        config: PathBuf,
    },
    /// Start a small simulated plant and run against it
    Demo(demo::DemoOptions),
    /// Start the simulated plant alone
    Simulate(simulate::SimulateOptions),
    /// Check a configuration and report all problems at once
    CheckConfig {
        /// Configuration file
        file: PathBuf,
        /// Ask every machine whether it is as it is configured, too
        #[arg(long)]
        online: bool,
    },
    /// Show what a machine has: nodes, types and values
    Browse(browse::BrowseOptions),
    /// Propose a section of the configuration for a machine, from what it shows
    Suggest(suggest::SuggestOptions),
    /// Feed a recorded log through the core and print the figures as JSON
    Replay(replay::ReplayOptions),
    /// Print all that is behind a figure, from the data directory of a stopped plant
    Explain(explain::ExplainOptions),
    /// Write the recorded log of a data directory as JSON Lines
    Export {
        /// Configuration file; its data directory is read
        #[arg(long)]
        config: PathBuf,
    },
    /// Write the types of the OPC UA server as NodeSet2 files, to be loaded into other tools
    Nodesets {
        /// Folder for the files
        folder: PathBuf,
    },
    /// Read a password from standard input and print its hash for the configuration
    HashPassword,
    /// Look after certificates: our own and those that are trusted
    #[command(subcommand)]
    Pki(pki::PkiCommand),
    /// Look after users; a running server notices within seconds
    #[command(subcommand)]
    User(user::UserCommand),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve { config } => serve::run(&config),
        Command::Demo(options) => demo::run(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::CheckConfig { file, online } => check_config::run(&file, online),
        Command::Browse(options) => browse::run(&options),
        Command::Suggest(options) => suggest::run(&options),
        Command::Replay(options) => replay::run(&options),
        Command::Explain(options) => explain::run(&options),
        Command::Export { config } => export::run(&config),
        Command::Nodesets { folder } => nodesets::run(&folder),
        Command::HashPassword => hash_password::run(),
        Command::Pki(command) => pki::run(&command),
        Command::User(command) => user::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("linewright: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

/// Writes to standard output; who reads it may stop at any time.
fn say(text: &str) -> Outcome {
    use std::io::{ErrorKind, Write as _};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(EXIT_SOFTWARE, format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Starts logging: for people on a terminal, as JSON lines otherwise.
fn start_logging() {
    use std::io::IsTerminal as _;
    use tracing_subscriber::EnvFilter;
    // What goes wrong in the OPC UA stack is told by our own lines, with machine and next step.
    let default = "info,opcua_client=off,opcua_core=off,opcua_crypto=off,opcua_types=off,\
                   opcua_nodes=off,opcua_server=off";
    let filter =
        EnvFilter::try_from_env("LINEWRIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let logging = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        logging.init();
    } else {
        logging.json().init();
    }
}

/// The runtime of everything that waits.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(EXIT_SOFTWARE, format!("no runtime: {error}")))
}
