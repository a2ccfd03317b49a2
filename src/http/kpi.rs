//! Figures of any equipment and window, and the intervals behind them.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Bridge;
use super::auth::Reading;
use super::extract::{Parameters, window};
use super::problem::Problem;
use crate::app::kpi_report::KpiReport;
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
}

/// The equipment with that key.
pub fn find_equipment(bridge: &Bridge, key: &str) -> Result<Equipment, Problem> {
    let found = Equipment::find(bridge.engine.plant(), key);
    found.ok_or_else(|| Problem::not_found(format!("no equipment {key:?} is configured")))
}

/// `GET /v1/kpi?equipment=&from=&to=&profile=`.
pub async fn kpi(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<KpiParameters>,
) -> Result<Json<KpiReport>, Problem> {
    let profile = match asked.profile.as_deref() {
        None | Some("tpm") => Profile::Tpm,
        Some("iso22400") => Profile::Iso22400,
        Some(other) => {
            let text = format!("profile {other:?} is neither tpm nor iso22400");
            return Err(Problem::invalid(text));
        }
    };
    let window = window(&asked.from, asked.to.as_deref(), bridge.clock.now())?;
    let equipment = find_equipment(&bridge, &asked.equipment)?;
    let kpi = bridge.queries.kpi(&equipment, window).await?;
    Ok(Json(KpiReport::new(&asked.equipment, &kpi, profile)))
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
    let window = window(&asked.from, asked.to.as_deref(), bridge.clock.now())?;
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
