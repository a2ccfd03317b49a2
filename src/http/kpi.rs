//! Figures of any equipment and window, and the intervals behind them.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Bridge;
use super::auth::Reading;
use super::extract::{Parameters, detailed_window, window};
use super::problem::Problem;
use crate::app::explain::Explanation;
use crate::app::kpi_report::{IndicatorReport, KpiReport};
use crate::app::slices::SliceBy;
use crate::app::time_text;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Profile;
use crate::domain::time::TICKS_PER_SECOND;

/// What figures are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KpiParameters {
    equipment: String,
    from: String,
    to: Option<String>,
    profile: Option<String>,
    by: Option<String>,
    iso22400: Option<bool>,
}

/// The equipment with that key.
pub fn find_equipment(bridge: &Bridge, key: &str) -> Result<Equipment, Problem> {
    let found = Equipment::find(&bridge.engine.plant(), key);
    found.ok_or_else(|| Problem::not_found(format!("no equipment {key:?} is configured")))
}

fn profile(text: Option<&str>) -> Result<Profile, Problem> {
    match text {
        None | Some("tpm") => Ok(Profile::Tpm),
        Some("iso22400") => Ok(Profile::Iso22400),
        Some(other) => {
            let text = format!("profile {other:?} is neither tpm nor iso22400");
            Err(Problem::invalid(text))
        }
    }
}

/// `GET /v1/kpi?equipment=&from=&to=&profile=&by=&iso22400=`.
pub async fn kpi(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<KpiParameters>,
) -> Result<Json<Value>, Problem> {
    let profile = profile(asked.profile.as_deref())?;
    let equipment = find_equipment(&bridge, &asked.equipment)?;
    let by = asked.by.as_deref().map(|text| {
        let known = SliceBy::ALL.map(SliceBy::as_str).join(", ");
        let unknown = || Problem::invalid(format!("by {text:?} is none of {known}"));
        SliceBy::parse(text).ok_or_else(unknown)
    });
    let by = by.transpose()?;
    let (from, to, now) = (&asked.from, asked.to.as_deref(), bridge.clock.now());
    let window = match by {
        Some(by) if by.needs_evidence() => detailed_window(from, to, now)?,
        _ => window(from, to, now)?,
    };
    let kpi = bridge.queries.kpi(&equipment, window).await?;
    let mut answer = json!(KpiReport::new(&asked.equipment, &kpi, profile));
    if asked.iso22400 == Some(true) {
        answer["iso22400"] = json!(IndicatorReport::all(&kpi));
    }
    if let Some(by) = by {
        let slices = bridge.queries.slices(&equipment, window, by).await?;
        let slices = slices.iter().map(|slice| {
            let report = KpiReport::new(&asked.equipment, &slice.kpi, profile);
            json!({ "key": slice.key, "figures": report })
        });
        answer["slices"] = slices.collect();
    }
    Ok(Json(answer))
}

/// Which figures are to be explained.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainParameters {
    equipment: String,
    from: String,
    to: Option<String>,
    profile: Option<String>,
    format: Option<String>,
}

/// `GET /v1/explain?equipment=&from=&to=&profile=&format=`: all that is behind a figure, as JSON or
/// CSV.
pub async fn explain(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<ExplainParameters>,
) -> Result<Response, Problem> {
    let profile = profile(asked.profile.as_deref())?;
    let window = detailed_window(&asked.from, asked.to.as_deref(), bridge.clock.now())?;
    let equipment = find_equipment(&bridge, &asked.equipment)?;
    let facts = bridge.queries.facts(&equipment, window).await?;
    let revisions = bridge.queries.revisions(&equipment, window).await?;
    let explanation = Explanation::new(&facts, &equipment, window, profile, &revisions);
    let explanation =
        explanation.ok_or_else(|| Problem::not_found("the equipment has no machines"))?;
    match asked.format.as_deref() {
        None | Some("json") => Ok(Json(explanation).into_response()),
        Some("csv") => {
            let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")];
            Ok((kind, explanation.to_csv()).into_response())
        }
        Some(other) => Err(Problem::invalid(format!("format {other:?} is neither json nor csv"))),
    }
}

/// Which timeline is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineParameters {
    machine: String,
    from: String,
    to: Option<String>,
}

/// `GET /v1/timeline?machine=&from=&to=`: the intervals from which a machine's figures are made.
pub async fn timeline(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<TimelineParameters>,
) -> Result<Json<Value>, Problem> {
    let window = detailed_window(&asked.from, asked.to.as_deref(), bridge.clock.now())?;
    let Equipment::Machine(machine) = find_equipment(&bridge, &asked.machine)? else {
        return Err(Problem::invalid(format!("{:?} is no machine", asked.machine)));
    };
    let timeline = bridge.queries.timeline(&machine, window).await?;
    let intervals = timeline.intervals.iter().map(|interval| {
        json!({
            "from": time_text::print(interval.window.from),
            "to": time_text::print(interval.window.to),
            "duration_s": interval.window.length().ticks() as f64 / TICKS_PER_SECOND as f64,
            "class": interval.class.as_str(),
            "rule": interval.rule.as_str(),
            "reason": interval.reason.as_ref().map(ToString::to_string),
            "operator": interval.operator.as_ref().map(ToString::to_string),
            "state": interval.state.map(|state| state.as_str()),
            "order": interval.order.as_ref().map(ToString::to_string),
        })
    });
    Ok(Json(json!({
        "machine": machine.as_str(),
        "provisional": timeline.provisional,
        "intervals": intervals.collect::<Vec<_>>(),
    })))
}
