//! Stops: what stood when, and why.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Bridge;
use super::auth::{Known, Reading};
use super::extract::{IdempotencyKey, JsonBody, Parameters, instant, key, window};
use super::kpi::find_equipment;
use super::problem::Problem;
use crate::app::engine::Idempotency;
use crate::app::time_text;
use crate::domain::command::{Command, Outcome};
use crate::domain::id::{MachineId, ReasonId};
use crate::domain::oee::stops::Stop;
use crate::domain::plant::Plant;
use crate::domain::role::Permission;
use crate::domain::time::{TICKS_PER_SECOND, Timestamp};

/// A stop as callers see it.
#[derive(Serialize)]
pub struct StopReport {
    machine: String,
    start: String,
    end: Option<String>,
    duration_s: f64,
    state: &'static str,
    micro: bool,
    reason: Option<String>,
    reason_name: Option<String>,
    comment: Option<String>,
    classified_by: Option<String>,
    classified_at: Option<String>,
}

impl StopReport {
    fn new(plant: &Plant, machine: &MachineId, stop: &Stop, now: Timestamp) -> StopReport {
        let threshold = plant.machines.get(machine).map(|m| m.micro_stop_below);
        let said = stop.classification.as_ref();
        let reason = said.and_then(|said| plant.reasons.get(&said.reason));
        let length = stop.end.unwrap_or(now) - stop.start;
        StopReport {
            machine: machine.to_string(),
            start: time_text::print(stop.start),
            end: stop.end.map(time_text::print),
            duration_s: length.ticks() as f64 / TICKS_PER_SECOND as f64,
            state: stop.state.as_str(),
            micro: threshold.is_some_and(|threshold| stop.is_micro(threshold)),
            reason: said.map(|said| said.reason.to_string()),
            reason_name: reason.map(|reason| reason.name.clone()),
            comment: said.map(|said| said.comment.clone()),
            classified_by: said.map(|said| said.actor.clone()),
            classified_at: said.map(|said| time_text::print(said.at)),
        }
    }
}

/// What is asked of the list of stops.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopParameters {
    equipment: String,
    from: String,
    to: Option<String>,
}

/// `GET /v1/stops?equipment=&from=&to=`: stops that touch the window, whole and unclipped.
pub async fn list(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<StopParameters>,
) -> Result<Json<Value>, Problem> {
    let now = bridge.clock.now();
    let window = window(&asked.from, asked.to.as_deref(), now)?;
    let equipment = find_equipment(&bridge, &asked.equipment)?;
    let stops = bridge.queries.stops(&equipment, window).await?;
    let plant = bridge.engine.plant();
    let reports = stops.iter().map(|(machine, stop)| StopReport::new(plant, machine, stop, now));
    Ok(Json(json!({ "stops": reports.collect::<Vec<_>>() })))
}

/// The reason of a stop.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    machine: String,
    start: String,
    reason: String,
    #[serde(default)]
    comment: String,
}

/// `POST /v1/stops/reason`: gives a stop its reason, once for each key.
pub async fn classify(
    State(bridge): State<Bridge>,
    caller: Known,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<ReasonBody>,
) -> Result<Response, Problem> {
    let actor = caller.may(Permission::ClassifyStops)?;
    let machine = key("machine", &body.machine, MachineId::parse)?;
    let command = Command::ClassifyStop {
        machine: machine.clone(),
        stop: instant("start", &body.start)?,
        reason: key("reason", &body.reason, ReasonId::parse)?,
        comment: body.comment,
    };
    let (plant, now) = (bridge.engine.plant().clone(), bridge.clock.now());
    let idempotency = Idempotency {
        key: idempotency_key.for_caller(actor),
        request: request_hash("stops/reason", &hash),
        render: Box::new(move |outcome| match outcome {
            Ok(Outcome::Stop(stop)) => {
                let report = StopReport::new(&plant, &machine, stop, now);
                (StatusCode::OK.as_u16(), json!(report).to_string())
            }
            Ok(_) => (StatusCode::OK.as_u16(), "{}".into()),
            Err(rejection) => Problem::from(rejection).into_parts(),
        }),
    };
    super::orders::answer(&bridge, command, actor, idempotency).await
}

/// Hash of a request: where it was sent and what.
pub fn request_hash(path: &str, body: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(path.as_bytes());
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}
