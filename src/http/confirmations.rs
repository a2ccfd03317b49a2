//! Confirmations: a feed that the ERP pulls, with numbers that show whether anything is missing.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Bridge;
use super::auth::Reading;
use super::extract::Parameters;
use super::problem::Problem;
use crate::app::query::blocking;
use crate::app::time_text;
use crate::domain::event::Confirmation;
use crate::domain::order::Totals;

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 500;

/// Which confirmations are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmationParameters {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// `GET /v1/confirmations?after=&limit=`: what came after a number, oldest first.
pub async fn list(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<ConfirmationParameters>,
) -> Result<Json<Value>, Problem> {
    let limit = asked.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let reader = bridge.engine.reader().clone();
    let found = blocking(move || Ok(reader.confirmations(asked.after, limit)?)).await?;
    let last = found.last().map_or(asked.after, |confirmation| confirmation.seq);
    let reports: Vec<Value> = found.iter().map(report).collect();
    Ok(Json(json!({ "confirmations": reports, "last": last, "more": found.len() == limit })))
}

fn totals(totals: Totals) -> Value {
    let Totals { good, scrap, rework, unattributed } = totals;
    json!({ "good": good, "scrap": scrap, "rework": rework, "unattributed": unattributed })
}

fn report(confirmation: &Confirmation) -> Value {
    let lots = confirmation.lots.iter();
    let lots = lots.map(|(lot, good)| json!({ "lot": lot.as_str(), "good": good }));
    json!({
        "seq": confirmation.seq,
        "order": confirmation.order.as_str(),
        "order_seq": confirmation.order_seq,
        "revision": confirmation.revision,
        "kind": confirmation.kind.as_str(),
        "at": time_text::print(confirmation.at),
        "state": confirmation.state.as_str(),
        "delta": totals(confirmation.delta),
        "total": totals(confirmation.total),
        "lots": lots.collect::<Vec<_>>(),
    })
}
