//! Shifts: which there are, what was recorded of them, and the reasons that stops can have.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Bridge;
use super::auth::{Known, Reading};
use super::extract::{IdempotencyKey, JsonBody, Parameters, instant, key};
use super::problem::Problem;
use super::stops::request_hash;
use crate::app::engine::Idempotency;
use crate::app::query::blocking;
use crate::app::shift_report::{ShiftRecordReport, ShiftReport};
use crate::app::time_text;
use crate::domain::command::Command;
use crate::domain::id::LineId;
use crate::domain::role::Permission;
use crate::domain::time::{Span, Window};

const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 200;
/// The calendar is shown for so long at most.
const CALENDAR_MAX: Span = Span::from_seconds(400 * 86_400);

/// Which shifts are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftParameters {
    line: String,
    from: String,
    to: String,
}

fn line_of(bridge: &Bridge, text: &str) -> Result<LineId, Problem> {
    let line = key("line", text, LineId::parse)?;
    if !bridge.engine.plant().lines.contains_key(&line) {
        return Err(Problem::not_found(format!("no line {line} is configured")));
    }
    Ok(line)
}

/// `GET /v1/shifts?line=&from=&to=`: the shifts of a line, future ones among them.
pub async fn list(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<ShiftParameters>,
) -> Result<Json<Value>, Problem> {
    let line = line_of(&bridge, &asked.line)?;
    let (from, to) = (instant("from", &asked.from)?, instant("to", &asked.to)?);
    let window = Window::new(from, to).filter(|window| window.length() <= CALENDAR_MAX);
    let window =
        window.ok_or_else(|| Problem::invalid("from must lie before to, by 400 days at most"))?;
    let history = bridge.queries.history().await?;
    let shifts = history.shifts(&line, window);
    let reports: Vec<ShiftReport> = shifts.iter().map(ShiftReport::from).collect();
    Ok(Json(json!({ "line": line.as_str(), "shifts": reports })))
}

/// Which records are asked for: those after a number, or those of one shift.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordParameters {
    after: Option<u64>,
    limit: Option<usize>,
    line: Option<String>,
    start: Option<String>,
}

/// `GET /v1/shifts/records?after=&limit=`: all that was recorded of shifts, numbered without gaps;
/// `?line=&start=`: all revisions of one shift.
pub async fn records(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<RecordParameters>,
) -> Result<Json<Value>, Problem> {
    let plant = bridge.engine.plant();
    let reader = bridge.engine.reader().clone();
    let report = |record: &_| ShiftRecordReport::new(&plant, record);
    match (&asked.line, &asked.start) {
        (Some(line), Some(start)) => {
            let (line, start) = (line_of(&bridge, line)?, instant("start", start)?);
            let found = blocking(move || Ok(reader.shift_records(&line, start)?)).await?;
            let reports: Vec<_> = found.iter().map(report).collect();
            Ok(Json(json!({ "records": reports })))
        }
        (None, None) => {
            let after = asked.after.unwrap_or(0);
            let limit = asked.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
            let found = blocking(move || Ok(reader.shifts_after(after, limit)?)).await?;
            let last = found.last().map_or(after, |record| record.seq);
            let reports: Vec<_> = found.iter().map(report).collect();
            let more = found.len() == limit;
            Ok(Json(json!({ "records": reports, "last": last, "more": more })))
        }
        _ => Err(Problem::invalid("line and start belong together")),
    }
}

/// Which notes are asked for: those of the shift of a line that began at an instant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteParameters {
    line: String,
    start: String,
}

/// `GET /v1/shifts/notes?line=&start=`: what was written down about a shift, in order of time.
pub async fn notes(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<NoteParameters>,
) -> Result<Json<Value>, Problem> {
    let (line, start) = (line_of(&bridge, &asked.line)?, instant("start", &asked.start)?);
    let (reader, of) = (bridge.engine.reader().clone(), line.clone());
    let notes = blocking(move || Ok(reader.shift_notes(&of, start)?)).await?;
    let notes = notes.iter().map(|note| {
        json!({
            "at": time_text::print(note.at),
            "actor": note.actor,
            "text": note.text,
        })
    });
    Ok(Json(json!({ "line": line.as_str(), "notes": notes.collect::<Vec<_>>() })))
}

/// What somebody writes down about a shift.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteBody {
    line: String,
    shift: Option<String>,
    text: String,
}

/// `POST /v1/shifts/notes`: writes something down about a shift, the running one where no instant of it
/// is given. Notes are never changed.
pub async fn note(
    State(bridge): State<Bridge>,
    caller: Known,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<NoteBody>,
) -> Result<Response, Problem> {
    let actor = caller.may(Permission::Report)?;
    let line = key("line", &body.line, LineId::parse)?;
    let shift = body.shift.as_deref().map(|shift| instant("shift", shift)).transpose()?;
    let command = Command::NoteShift { line, shift, text: body.text };
    let idempotency = Idempotency {
        key: idempotency_key.for_caller(actor.name),
        request: request_hash("shifts/notes", &hash),
        render: Box::new(|outcome| match outcome {
            Ok(_) => (StatusCode::OK.as_u16(), "{}".into()),
            Err(rejection) => Problem::from(rejection).into_parts(),
        }),
    };
    super::orders::answer(&bridge, command, actor, idempotency).await
}

/// In which language names are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonParameters {
    language: Option<String>,
}

/// `GET /v1/reasons?language=`: the reason tree.
pub async fn reasons(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<ReasonParameters>,
) -> Json<Value> {
    let now = bridge.clock.now();
    let plant = bridge.engine.plant();
    let reasons = plant.reasons.values().map(|reason| {
        let name = asked.language.as_deref().map_or(&*reason.name, |l| reason.name_in(l));
        json!({
            "id": reason.id.as_str(),
            "name": name,
            "parent": reason.parent.as_ref().map(ToString::to_string),
            "class": reason.class.as_str(),
            "planned": reason.class == crate::domain::plant::ReasonClass::Planned,
            "failure": reason.failure,
            "priority": reason.priority,
            "in_use": reason.valid.contains(now),
        })
    });
    Json(json!({ "reasons": reasons.collect::<Vec<_>>() }))
}
