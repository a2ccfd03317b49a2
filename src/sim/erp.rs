//! A small ERP and its operator for the demo: they use the HTTP bridge like anybody else.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// What the demo's ERP orders, and as whom.
#[derive(Clone, Debug)]
pub struct DemoErp {
    /// Where the bridge listens.
    pub bridge: SocketAddr,
    /// User name and password.
    pub user: (String, String),
    /// Lines with the products that they make in turn.
    pub lines: Vec<(String, Vec<String>)>,
    /// Pieces of an order.
    pub quantity: u32,
    /// Sets the order numbers of one run of the demo apart from those of another.
    pub run: String,
}

const LOOK_EVERY: Duration = Duration::from_millis(500);
const ANSWER_MAX: usize = 64 * 1024;

/// What the ERP has on a line.
enum OnLine {
    /// Nothing.
    Nothing,
    /// An order that is stored and not yet started.
    Stored(String),
    /// An order that runs.
    Running(String),
}

/// Keeps one order running on each line: stores it, starts it, completes it, stores the next.
pub async fn run_erp(erp: DemoErp, stop: CancellationToken) {
    let mut lines = Vec::new();
    for (line, _) in &erp.lines {
        // An order of an earlier run of the demo may still be in production.
        lines.push(erp.running_on(line).await.map_or(OnLine::Nothing, OnLine::Running));
    }
    let mut number = 0_u32;
    while !stop.is_cancelled() {
        for (on_line, (line, products)) in lines.iter_mut().zip(&erp.lines) {
            let next = match &*on_line {
                OnLine::Nothing => {
                    number += 1;
                    let product = &products[number as usize / erp.lines.len() % products.len()];
                    let order = format!("WO-{}-{number:03}", erp.run);
                    erp.store(&order, line, product).await.then_some(OnLine::Stored(order))
                }
                OnLine::Stored(order) => {
                    let started = erp.command(order, "start").await;
                    started.then(|| OnLine::Running(order.clone()))
                }
                OnLine::Running(order) => {
                    let is_made = erp.is_made(order).await == Some(true);
                    (is_made && erp.command(order, "complete").await).then_some(OnLine::Nothing)
                }
            };
            if let Some(next) = next {
                *on_line = next;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

impl DemoErp {
    async fn store(&self, order: &str, line: &str, product: &str) -> bool {
        let body = format!(
            r#"{{"revision":1,"line":"{line}","product":"{product}","quantity":"{}"}}"#,
            self.quantity
        );
        self.call("PUT", &format!("/v1/orders/{order}"), &body, "").await.is_some()
    }

    async fn command(&self, order: &str, command: &str) -> bool {
        let body = format!(r#"{{"command":"{command}"}}"#);
        let key = format!("Idempotency-Key: demo-{order}-{command}\r\n");
        self.call("POST", &format!("/v1/orders/{order}/commands"), &body, &key).await.is_some()
    }

    /// The order that runs on a line.
    async fn running_on(&self, line: &str) -> Option<String> {
        let path = format!("/v1/orders?state=Running&line={line}");
        let answer = self.call("GET", &path, "", "").await?;
        let page: serde_json::Value = serde_json::from_str(&answer).ok()?;
        page["orders"][0]["id"].as_str().map(str::to_owned)
    }

    /// Whether the good parts of an order reach its quantity.
    async fn is_made(&self, order: &str) -> Option<bool> {
        let answer = self.call("GET", &format!("/v1/orders/{order}"), "", "").await?;
        let order: serde_json::Value = serde_json::from_str(&answer).ok()?;
        Some(order["totals"]["good"].as_i64()? >= i64::from(self.quantity))
    }

    /// One request on a connection of its own; the body of a 2xx answer.
    async fn call(&self, method: &str, path: &str, body: &str, header: &str) -> Option<String> {
        let credentials = STANDARD.encode(format!("{}:{}", self.user.0, self.user.1));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {credentials}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{header}\
             Connection: close\r\n\r\n{body}",
            self.bridge,
            body.len()
        );
        let mut stream = TcpStream::connect(self.bridge).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX as u64).read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        if !head.starts_with("HTTP/1.1 2") {
            tracing::warn!(method, path, answer = body, "the demo's ERP was refused");
            return None;
        }
        Some(body.to_owned())
    }
}
