//! Stops: what stood when, and why; and what people have to say about it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Bridge;
use super::auth::{Known, Reading};
use super::extract::{IdempotencyKey, JsonBody, Parameters, detailed_window, instant, key};
use super::kpi::find_equipment;
use super::problem::Problem;
use crate::app::engine::Idempotency;
use crate::app::stop_report::{LineStopReport, StopReport};
use crate::domain::command::{Command, Outcome, RemarkCommand};
use crate::domain::id::{MachineId, PersonId, ReasonId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::role::Permission;
use crate::domain::signal::MachineState;
use crate::domain::time::Window;

/// What is asked of the list of stops.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopParameters {
    equipment: String,
    from: String,
    to: Option<String>,
    #[serde(default)]
    unexplained: bool,
    language: Option<String>,
}

/// `GET /v1/stops?equipment=&from=&to=&unexplained=&language=`: stops that touch the window, whole
/// and unclipped; of a line also its own, each with the machine that caused it.
pub async fn list(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<StopParameters>,
) -> Result<Json<Value>, Problem> {
    let now = bridge.clock.now();
    let window = detailed_window(&asked.from, asked.to.as_deref(), now)?;
    let equipment = find_equipment(&bridge, &asked.equipment)?;
    let language = asked.language.as_deref();
    let facts = bridge.queries.facts(&equipment, window).await?;
    let mut stops = StopReport::all(&facts, window, language, now);
    if asked.unexplained {
        stops.retain(|stop| stop.needs_explanation);
    }
    let mut answer = json!({ "stops": stops });
    if let Equipment::Line(line) = &equipment {
        answer["line_stops"] = json!(LineStopReport::all(&facts, line, window, language, now));
    }
    Ok(Json(answer))
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
    let remark = RemarkCommand::Classify {
        stop: instant("start", &body.start)?,
        reason: key("reason", &body.reason, ReasonId::parse)?,
    };
    let said = Said { machine: &body.machine, comment: body.comment, remark };
    say(&bridge, caller, said, ("stops/reason", &idempotency_key, hash)).await
}

/// Where to cut a stop.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitBody {
    machine: String,
    start: String,
    at: String,
    #[serde(default)]
    comment: String,
}

/// `POST /v1/stops/split`: makes two of a stop; what follows the instant is a stop of its own.
pub async fn split(
    State(bridge): State<Bridge>,
    caller: Known,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<SplitBody>,
) -> Result<Response, Problem> {
    let (stop, at) = (instant("start", &body.start)?, instant("at", &body.at)?);
    let remark = RemarkCommand::Split { stop, at };
    let said = Said { machine: &body.machine, comment: body.comment, remark };
    say(&bridge, caller, said, ("stops/split", &idempotency_key, hash)).await
}

/// The stops to make one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeBody {
    machine: String,
    first: String,
    last: String,
    #[serde(default)]
    comment: String,
}

/// `POST /v1/stops/merge`: makes one of the stops from one to another; a run in between stays one.
pub async fn merge(
    State(bridge): State<Bridge>,
    caller: Known,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<MergeBody>,
) -> Result<Response, Problem> {
    let (first, last) = (instant("first", &body.first)?, instant("last", &body.last)?);
    let remark = RemarkCommand::Merge { first, last };
    let said = Said { machine: &body.machine, comment: body.comment, remark };
    say(&bridge, caller, said, ("stops/merge", &idempotency_key, hash)).await
}

/// A stop that no signal told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateBody {
    machine: String,
    from: String,
    to: String,
    reason: String,
    #[serde(default)]
    comment: String,
}

/// `POST /v1/stops`: states that a machine stood.
pub async fn state(
    State(bridge): State<Bridge>,
    caller: Known,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<StateBody>,
) -> Result<Response, Problem> {
    let window = stated_window(&body.from, &body.to)?;
    let reason = key("reason", &body.reason, ReasonId::parse)?;
    let remark = RemarkCommand::StateStop { window, reason };
    let said = Said { machine: &body.machine, comment: body.comment, remark };
    say(&bridge, caller, said, ("stops", &idempotency_key, hash)).await
}

/// A stated stop that was none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WithdrawBody {
    machine: String,
    start: String,
    #[serde(default)]
    comment: String,
}

/// `POST /v1/stops/withdraw`: takes a stated stop back.
pub async fn withdraw(
    State(bridge): State<Bridge>,
    caller: Known,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<WithdrawBody>,
) -> Result<Response, Problem> {
    let remark = RemarkCommand::WithdrawStop { start: instant("start", &body.start)? };
    let said = Said { machine: &body.machine, comment: body.comment, remark };
    say(&bridge, caller, said, ("stops/withdraw", &idempotency_key, hash)).await
}

/// What a machine did in a gap.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapBody {
    machine: String,
    from: String,
    to: String,
    state: String,
    #[serde(default)]
    comment: String,
}

/// `POST /v1/gaps/resolve`: says what a machine did while nobody saw it.
pub async fn resolve(
    State(bridge): State<Bridge>,
    caller: Known,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<GapBody>,
) -> Result<Response, Problem> {
    let window = stated_window(&body.from, &body.to)?;
    let unknown = || {
        let known = MachineState::ALL.map(MachineState::as_str).join(", ");
        Problem::invalid(format!("state {:?} is none of {known}", body.state))
    };
    let state = MachineState::parse(&body.state).ok_or_else(unknown)?;
    let remark = RemarkCommand::ResolveGap { window, state };
    let said = Said { machine: &body.machine, comment: body.comment, remark };
    say(&bridge, caller, said, ("gaps/resolve", &idempotency_key, hash)).await
}

/// Who works at a machine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorBody {
    machine: String,
    person: Option<String>,
}

/// `POST /v1/operators`: says who works at a machine from now on; nobody without a person.
pub async fn operator(
    State(bridge): State<Bridge>,
    caller: Known,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<OperatorBody>,
) -> Result<Response, Problem> {
    let actor = caller.may(Permission::Report)?;
    let machine = key("machine", &body.machine, MachineId::parse)?;
    let person = body.person.as_deref().map(|person| key("person", person, PersonId::parse));
    let command = Command::LogOn { machine, person: person.transpose()? };
    let idempotency = Idempotency {
        key: idempotency_key.for_caller(actor.name),
        request: request_hash("operators", &hash),
        render: Box::new(|outcome| match outcome {
            Ok(_) => (StatusCode::OK.as_u16(), "{}".into()),
            Err(rejection) => Problem::from(rejection).into_parts(),
        }),
    };
    super::orders::answer(&bridge, command, actor, idempotency).await
}

fn stated_window(from: &str, to: &str) -> Result<Window, Problem> {
    let (from, to) = (instant("from", from)?, instant("to", to)?);
    let backwards = || Problem::invalid("the window is empty: from must lie before to");
    Window::new(from, to).filter(|window| window.from < window.to).ok_or_else(backwards)
}

struct Said<'a> {
    machine: &'a str,
    comment: String,
    remark: RemarkCommand,
}

/// Carries a remark out, once for each key; the answer has the stops as they are then.
async fn say(
    bridge: &Bridge,
    caller: Known,
    said: Said<'_>,
    (path, idempotency_key, hash): (&str, &IdempotencyKey, [u8; 32]),
) -> Result<Response, Problem> {
    let actor = caller.may(Permission::ClassifyStops)?;
    let machine = key("machine", said.machine, MachineId::parse)?;
    let (remark, comment) = (said.remark, said.comment);
    let command = Command::Remark { machine: machine.clone(), remark, comment };
    let (plant, now) = (bridge.engine.plant().clone(), bridge.clock.now());
    let idempotency = Idempotency {
        key: idempotency_key.for_caller(actor.name),
        request: request_hash(path, &hash),
        render: Box::new(move |outcome| match outcome {
            Ok(Outcome::Stops(stops)) => {
                let reports = stops.iter();
                let reports =
                    reports.map(|stop| StopReport::new(&plant, &machine, stop, None, now));
                let reports: Vec<StopReport> = reports.collect();
                (StatusCode::OK.as_u16(), json!({ "stops": reports }).to_string())
            }
            Ok(_) => (StatusCode::OK.as_u16(), "{}".into()),
            Err(rejection) => Problem::from(rejection).into_parts(),
        }),
    };
    super::orders::answer(bridge, command, actor, idempotency).await
}

/// Hash of a request: where it was sent and what.
pub fn request_hash(path: &str, body: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(path.as_bytes());
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}
