//! Starts the real binary and the simulated plant, and talks to the bridge. No test logic.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub const BINARY: &str = env!("CARGO_BIN_EXE_linewright");
const DEMO: &str = include_str!("../../config/demo.toml");
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A line without counters whose machine is not there: parts are reported by people.
const MANUAL: &str = r#"
[[area]]
id = "Manual"

[[line]]
id = "LM"
area = "Manual"

[[machine]]
id = "Bench"
line = "LM"
endpoint = "opc.tcp://127.0.0.1:1"
security = "none"

[[machine.signal]]
role = "state"
node = "nsu=urn:nowhere;s=State"
states = { 1 = "running" }
"#;

/// A process that is killed when it is dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines that a process writes, as they come.
pub fn lines(stream: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // The test may have ended; the process still wants to write.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Asks again until the answer is there; panics after `seconds`.
pub fn wait_for<T>(what: &str, seconds: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} did not happen within {seconds} s");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// An instant as a query parameter.
pub fn a_day_ago() -> String {
    let now = jiff::Timestamp::now();
    (now - jiff::SignedDuration::from_hours(24)).to_string()
}

/// The simulated plant in a process of its own.
pub struct Plant {
    _process: Process,
    /// Machines with their endpoints.
    pub endpoints: Vec<(String, String)>,
}

impl Plant {
    pub fn start(arguments: &[&str]) -> Plant {
        let mut child = Command::new(BINARY)
            .args(["simulate", "--machine-port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = lines(child.stdout.take().unwrap());
        let process = Process(child);
        let mut endpoints = Vec::new();
        while endpoints.len() < 5 {
            let line = output.recv_timeout(START_TIMEOUT).unwrap();
            let (machine, url) = line.split_once(' ').unwrap();
            endpoints.push((machine.to_owned(), url.to_owned()));
        }
        Plant { _process: process, endpoints }
    }

    /// Where a machine is.
    pub fn url(&self, machine: &str) -> String {
        self.endpoints.iter().find(|(known, _)| known == machine).unwrap().1.clone()
    }
}

/// Writes a configuration: the demo's with these endpoints, a directory of its own, free ports, and
/// a manual line.
pub fn configuration(directory: &Path, plant: Option<&Plant>) -> PathBuf {
    let mut text = DEMO
        .replace("\"data/demo\"", &format!("{:?}", directory.join("data")))
        .replace("\"127.0.0.1:4840\"", "\"127.0.0.1:0\"")
        .replace("\"127.0.0.1:8080\"", "\"127.0.0.1:0\"");
    for number in 0..5 {
        let url = match plant {
            Some(plant) => plant.endpoints[number].1.clone(),
            None => "opc.tcp://127.0.0.1:1".to_owned(),
        };
        text = text.replace(&format!("opc.tcp://127.0.0.1:{}", 48_401 + number), &url);
    }
    let path = directory.join("config.toml");
    std::fs::write(&path, text + MANUAL).unwrap();
    path
}

/// The program while it runs.
pub struct Instance {
    process: Process,
    pub http: String,
    pub opcua: String,
    agent: ureq::Agent,
}

/// Status and body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    pub content_type: String,
    pub replayed: bool,
}

impl Instance {
    /// Starts the program and waits until it is ready; panics with its output when it is not.
    pub fn start(config: &Path) -> Instance {
        Self::start_in(&mut Command::new(BINARY), config)
    }

    pub fn start_in(command: &mut Command, config: &Path) -> Instance {
        let mut child = command
            .args(["serve", "--config"])
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = lines(child.stderr.take().unwrap());
        let process = Process(child);
        let mut seen = String::new();
        loop {
            let line = output.recv_timeout(START_TIMEOUT);
            let line = line.unwrap_or_else(|_| panic!("the program is not ready:\n{seen}"));
            if let Ok(entry) = serde_json::from_str::<Value>(&line)
                && entry["fields"]["message"] == "ready"
            {
                let field = |name: &str| entry["fields"][name].as_str().unwrap().to_owned();
                let agent = ureq::Agent::config_builder()
                    .http_status_as_error(false)
                    .timeout_global(Some(Duration::from_secs(20)))
                    .build();
                return Instance {
                    process,
                    http: format!("http://{}", field("http")),
                    opcua: format!("opc.tcp://{}", field("opcua")),
                    agent: agent.into(),
                };
            }
            seen += &line;
            seen.push('\n');
        }
    }

    /// SIGKILL, as when the plug is pulled.
    pub fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    /// SIGTERM; returns whether it ended in time and well.
    pub fn terminate(mut self) -> bool {
        let pid = self.pid().to_string();
        Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]).status().unwrap();
        let status = wait_for("the end", 30, || self.process.0.try_wait().unwrap());
        status.success()
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub fn agent(&self) -> ureq::Agent {
        self.agent.clone()
    }

    pub fn get(&self, path: &str) -> Answer {
        request(&self.agent, &self.http, "GET", path, None, None).unwrap()
    }

    pub fn put_order(&self, order: &str, line: &str, product: &str) -> Answer {
        let body = json!({"revision": 1, "line": line, "product": product, "quantity": "1000"});
        request(&self.agent, &self.http, "PUT", &format!("/v1/orders/{order}"), Some(&body), None)
            .unwrap()
    }

    pub fn put(&self, path: &str, body: &Value) -> Answer {
        request(&self.agent, &self.http, "PUT", path, Some(body), None).unwrap()
    }

    pub fn post(&self, path: &str, body: &Value, key: &str) -> Answer {
        request(&self.agent, &self.http, "POST", path, Some(body), Some(key)).unwrap()
    }

    pub fn command(&self, order: &str, body: &Value, key: &str) -> Answer {
        self.post(&format!("/v1/orders/{order}/commands"), body, key)
    }
}

/// One request as the demo's supervisor, who may do everything that these tests do.
pub fn request(
    agent: &ureq::Agent,
    base: &str,
    method: &str,
    path: &str,
    body: Option<&Value>,
    key: Option<&str>,
) -> Result<Answer, ureq::Error> {
    let mut request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{base}{path}"))
        // supervisor:supervisor-demo-password
        .header("authorization", "Basic c3VwZXJ2aXNvcjpzdXBlcnZpc29yLWRlbW8tcGFzc3dvcmQ=");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let text = body.map(ToString::to_string).unwrap_or_default();
    let answer = agent.run(request.body(text).unwrap())?;
    into_answer(answer)
}

pub fn into_answer(mut answer: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let header = |name: &str| {
        answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (content_type, replayed) =
        (header("content-type"), header("idempotency-replayed") == "true");
    let status = answer.status().as_u16();
    let text = answer.body_mut().read_to_string()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, body, content_type, replayed })
}
