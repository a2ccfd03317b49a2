//! Processes that work for the benchmark, and what they cost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

/// A process that is told something on its standard input and answers on its standard output.
pub struct Worker {
    child: Child,
    said: Option<BufReader<std::process::ChildStdout>>,
}

impl Worker {
    pub fn start(command: &mut Command) -> Worker {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Worker { child, said: Some(said) }
    }

    /// A process whose words nobody reads: it must not wait for that.
    pub fn silent(command: &mut Command) -> Worker {
        let log = std::fs::File::create(std::env::temp_dir().join("linewright-bench.log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).spawn().unwrap();
        Worker { child, said: None }
    }

    pub fn of_this(arguments: &[&str]) -> Worker {
        Worker::start(Command::new(std::env::current_exe().unwrap()).args(arguments))
    }

    pub fn next(&mut self) -> String {
        let mut line = String::new();
        let said = self.said.as_mut().unwrap();
        assert!(said.read_line(&mut line).unwrap() > 0, "a process has ended");
        line.trim().to_owned()
    }

    pub fn tell(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{text}").unwrap();
    }

    /// The memory that it has now, in MB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        let memory = line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok());
        memory.unwrap_or(0) / 1024
    }

    /// CPU seconds that it has used, and its largest memory in MB.
    pub fn cost(&self) -> (f64, u64) {
        let of = format!("/proc/{}", self.child.id());
        let stat = std::fs::read_to_string(format!("{of}/stat")).unwrap_or_default();
        let fields: Vec<_> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
        let status = std::fs::read_to_string(format!("{of}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
        let memory = line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok());
        ((ticks(11) + ticks(12)) / 100.0, memory.unwrap_or(0) / 1024)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
