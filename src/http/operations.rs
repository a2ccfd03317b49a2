//! For whoever runs the program: is it alive, is it ready, how much is going on.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Bridge;
use crate::app::connection::ConnectionState;
use crate::app::engine::Health;
use crate::domain::time::{Span, TICKS_PER_SECOND};

/// `GET /livez`: the process answers.
pub async fn livez() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// `GET /readyz`: 200 when everything that arrives becomes durable, else 503 with the reason.
pub async fn readyz(State(bridge): State<Bridge>) -> Response {
    match bridge.engine.health() {
        Health::Ready => Json(json!({ "status": "ready" })).into_response(),
        Health::Degraded(reason) => super::Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "mes.unavailable",
            reason,
            "values of machines wait and are stored as soon as that is possible again",
        )
        .into_response(),
    }
}

/// `GET /metrics` in the Prometheus text format.
pub async fn metrics(State(bridge): State<Bridge>) -> Response {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, rows: &[(String, f64)]| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in rows {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let plain = |value: f64| vec![(String::new(), value)];
    let ready = f64::from(u8::from(bridge.engine.health() == Health::Ready));
    gauge("mes_ready", "Whether everything that arrives becomes durable", &plain(ready));
    let recording = f64::from(u8::from(bridge.connections.not_recording().is_empty()));
    let help = "Whether values of recorded variables become durable";
    gauge("mes_recording", help, &plain(recording));
    let depth = bridge.engine.queue_depth() as f64;
    gauge("mes_queue_depth", "Machine values that wait for the writer", &plain(depth));
    let reader = bridge.engine.reader().clone();
    gauge("mes_db_bytes", "Size of the database file", &plain(reader.size() as f64));
    let now = bridge.clock.now();
    let machines: Vec<_> = bridge.engine.plant().machines.keys().cloned().collect();
    let rows = |value: &dyn Fn(&crate::app::connection::Connection) -> f64| {
        let of = machines.iter().map(|machine| {
            let board = bridge.connections.of(machine);
            (format!("{{machine=\"{machine}\"}}"), value(&board))
        });
        of.collect::<Vec<_>>()
    };
    let up = rows(&|board| f64::from(u8::from(board.state != ConnectionState::Connecting)));
    gauge("mes_machine_up", "Whether values of a machine arrive", &up);
    let degraded = rows(&|board| f64::from(u8::from(board.state == ConnectionState::Degraded)));
    let help = "Whether some signals of a connected machine cannot be used";
    gauge("mes_machine_degraded", help, &degraded);
    let values = rows(&|board| board.values as f64);
    gauge("mes_machine_values", "Values received since the start", &values);
    let connects = rows(&|board| board.connects as f64);
    gauge("mes_machine_connects", "Connections made since the start", &connects);
    let resumed = rows(&|board| board.resumed as f64);
    let help = "Connections since the start before which nothing was missed";
    gauge("mes_machine_resumed", help, &resumed);
    let recorded = rows(&|board| board.recorded as f64);
    let help = "Variables of a machine whose values are recorded";
    gauge("mes_machine_recorded_variables", help, &recorded);
    let seconds = |span: Span| span.ticks() as f64 / TICKS_PER_SECOND as f64;
    let lag = rows(&|board| seconds(board.lag));
    let help = "How long the slowest of the newest changes of a machine has taken";
    gauge("mes_machine_lag_seconds", help, &lag);
    let skew = rows(&|board| seconds(board.clock_skew));
    gauge("mes_machine_clock_skew_seconds", "The machine's clock less ours", &skew);
    let age = rows(&|board| {
        board
            .last_value
            .map_or(f64::NAN, |last| (now - last).ticks() as f64 / TICKS_PER_SECOND as f64)
    });
    gauge("mes_machine_last_value_age_seconds", "Age of the newest value", &age);
    let refused = crate::app::refusals::Refusal::ALL.map(|refusal| {
        let labels = format!("{{reason=\"{}\"}}", refusal.texts().0);
        (labels, bridge.refusals.of(refusal) as f64)
    });
    let help = "Peers that the OPC UA server has turned away since the start";
    gauge("mes_opcua_refusals", help, &refused);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, text).into_response()
}
