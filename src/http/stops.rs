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

/// What a person says about a machine's time, as the body of a request.
pub trait Statement: serde::de::DeserializeOwned + Send {
    /// Where it is sent, below `/v1/`.
    const PATH: &'static str;
    /// The machine, what is said, and the comment.
    fn read(self) -> Result<(MachineId, RemarkCommand, String), Problem>;
}

/// Bodies of requests with a machine, a comment and what is their own.
macro_rules! statement {
    ($(#[$doc:meta])* $name:ident { $($field:ident),* } at $path:literal, $body:ident => $remark:expr) => {
        $(#[$doc])*
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            machine: String,
            $($field: String,)*
            #[serde(default)]
            comment: String,
        }

        impl Statement for $name {
            const PATH: &'static str = $path;

            fn read(self) -> Result<(MachineId, RemarkCommand, String), Problem> {
                let $body = &self;
                let remark = $remark;
                Ok((key("machine", &self.machine, MachineId::parse)?, remark, self.comment))
            }
        }
    };
}

statement! {
    /// `POST /v1/stops/reason`: gives a stop its reason.
    ReasonBody { start, reason } at "stops/reason", body => RemarkCommand::Classify {
        stop: instant("start", &body.start)?,
        reason: key("reason", &body.reason, ReasonId::parse)?,
    }
}

statement! {
    /// `POST /v1/stops/split`: makes two of a stop; what follows the instant is a stop of its own.
    SplitBody { start, at } at "stops/split", body => RemarkCommand::Split {
        stop: instant("start", &body.start)?,
        at: instant("at", &body.at)?,
    }
}

statement! {
    /// `POST /v1/stops/merge`: makes one of the stops from one to another; a run in between stays one.
    MergeBody { first, last } at "stops/merge", body => RemarkCommand::Merge {
        first: instant("first", &body.first)?,
        last: instant("last", &body.last)?,
    }
}

statement! {
    /// `POST /v1/stops`: states that a machine stood although no signal told it.
    StateBody { from, to, reason } at "stops", body => RemarkCommand::StateStop {
        window: stated_window(&body.from, &body.to)?,
        reason: key("reason", &body.reason, ReasonId::parse)?,
    }
}

statement! {
    /// `POST /v1/stops/withdraw`: takes a stated stop back.
    WithdrawBody { start } at "stops/withdraw", body => RemarkCommand::WithdrawStop {
        start: instant("start", &body.start)?,
    }
}

statement! {
    /// `POST /v1/gaps/resolve`: says what a machine did while nobody saw it.
    GapBody { from, to, state } at "gaps/resolve", body => RemarkCommand::ResolveGap {
        window: stated_window(&body.from, &body.to)?,
        state: machine_state(&body.state)?,
    }
}

fn machine_state(text: &str) -> Result<MachineState, Problem> {
    MachineState::parse(text).ok_or_else(|| {
        let known = MachineState::ALL.map(MachineState::as_str).join(", ");
        Problem::invalid(format!("state {text:?} is none of {known}"))
    })
}

/// Carries a statement out, once for each key; the answer has the stops as they are then.
pub async fn say<B: Statement>(
    State(bridge): State<Bridge>,
    caller: Known,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<B>,
) -> Result<Response, Problem> {
    let actor = caller.may(Permission::ClassifyStops)?;
    let (machine, remark, comment) = body.read()?;
    let command = Command::Remark { machine: machine.clone(), remark, comment };
    let (plant, now) = (bridge.engine.plant(), bridge.clock.now());
    let idempotency = Idempotency {
        key: idempotency_key.for_caller(actor.name),
        request: request_hash(B::PATH, &hash),
        render: Box::new(move |outcome| match outcome {
            Ok(Outcome::Stops(stops)) => {
                let report = |stop| StopReport::new(&plant, &machine, stop, None, now);
                let reports: Vec<StopReport> = stops.iter().map(report).collect();
                (StatusCode::OK.as_u16(), json!({ "stops": reports }).to_string())
            }
            Ok(_) => (StatusCode::OK.as_u16(), "{}".into()),
            Err(rejection) => Problem::from(rejection).into_parts(),
        }),
    };
    super::orders::answer(&bridge, command, actor, idempotency).await
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

/// Hash of a request: where it was sent and what.
pub fn request_hash(path: &str, body: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(path.as_bytes());
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}
