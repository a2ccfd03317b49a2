//! Lots and what they are made of.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Bridge;
use super::auth::Reading;
use super::extract::{Parameters, PathKey, key};
use super::problem::Problem;
use crate::app::query::blocking;
use crate::app::time_text;
use crate::domain::genealogy::LotOperation;
use crate::domain::id::{LotId, OrderId};
use crate::domain::quantity::Quantity;

const LOTS_DEFAULT: usize = 1_000;
const LOTS_MAX: usize = 10_000;
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 500;

/// A lot that went into or came out of an order.
#[derive(Serialize)]
struct OperationReport {
    operation: &'static str,
    lot: String,
    order: String,
    product: String,
    machine: Option<String>,
    at: String,
    quantity: Option<String>,
    assignment: &'static str,
    operator: String,
}

impl OperationReport {
    fn new(operation: &LotOperation) -> OperationReport {
        OperationReport {
            operation: operation.kind.as_str(),
            lot: operation.lot.to_string(),
            order: operation.order.to_string(),
            product: operation.product.to_string(),
            machine: operation.machine.as_ref().map(ToString::to_string),
            at: time_text::print(operation.at),
            quantity: operation.quantity.map(|quantity| quantity.to_string()),
            assignment: operation.assignment.as_str(),
            operator: operation.actor.clone(),
        }
    }
}

fn reports(operations: &[LotOperation]) -> Vec<OperationReport> {
    operations.iter().map(OperationReport::new).collect()
}

/// Which lots are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LotsParameters {
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/lots`: a page of lot numbers in their order.
pub async fn list(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<LotsParameters>,
) -> Result<Json<Value>, Problem> {
    let after =
        asked.after.as_deref().map(|after| key("after", after, LotId::parse)).transpose()?;
    let limit = asked.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let reader = bridge.engine.reader().clone();
    let lots = blocking(move || Ok(reader.lots(after.as_ref(), limit)?)).await?;
    let next = lots.last().filter(|_| lots.len() == limit).map(ToString::to_string);
    let lots: Vec<_> = lots.iter().map(ToString::to_string).collect();
    Ok(Json(json!({ "lots": lots, "next_after": next })))
}

/// `GET /v1/lots/{id}`: a lot and the orders in which it stands.
pub async fn show(
    State(bridge): State<Bridge>,
    _: Reading,
    PathKey(lot): PathKey,
) -> Result<Json<Value>, Problem> {
    let lot = key("lot", &lot, LotId::parse)?;
    let operations = bridge.queries.lot(&lot).await?;
    let quantity = produced_quantity(&bridge, &lot, &operations).await?;
    Ok(Json(json!({
        "lot": lot.as_str(),
        "produced_quantity": quantity.map(|quantity| quantity.to_string()),
        "operations": reports(&operations),
    })))
}

/// Which genealogy is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenealogyParameters {
    limit: Option<usize>,
}

/// `GET /v1/lots/{id}/genealogy`: everything that a lot was made of and went into.
pub async fn genealogy(
    State(bridge): State<Bridge>,
    _: Reading,
    PathKey(lot): PathKey,
    Parameters(asked): Parameters<GenealogyParameters>,
) -> Result<Json<Value>, Problem> {
    let lot = key("lot", &lot, LotId::parse)?;
    let limit = asked.limit.unwrap_or(LOTS_DEFAULT).clamp(1, LOTS_MAX);
    let genealogy = bridge.queries.genealogy(&lot, limit).await?;
    let own: Vec<LotOperation> =
        genealogy.operations.iter().filter(|o| o.lot == lot).cloned().collect();
    let quantity = produced_quantity(&bridge, &lot, &own).await?;
    let texts = |lots: &BTreeSet<LotId>| lots.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(Json(json!({
        "lot": lot.as_str(),
        "produced_quantity": quantity.map(|quantity| quantity.to_string()),
        "made_from": texts(&genealogy.made_from),
        "used_in": texts(&genealogy.used_in),
        "operations": reports(&genealogy.operations),
        "truncated": genealogy.truncated,
    })))
}

/// Good parts of a lot that came out of orders: what was stated, and what an order counted.
async fn produced_quantity(
    bridge: &Bridge,
    lot: &LotId,
    operations: &[LotOperation],
) -> Result<Option<Quantity>, Problem> {
    use crate::domain::genealogy::LotOperationKind::Produced;
    let produced = operations.iter().filter(|o| o.kind == Produced);
    let orders: BTreeSet<&OrderId> = produced.map(|operation| &operation.order).collect();
    let mut sum = Quantity::ZERO;
    for order in &orders {
        let (order, totals) = bridge.queries.order(order).await?;
        let others: i64 = order.produced.iter().filter(|(l, _)| *l != lot).map(|(_, g)| g).sum();
        let good = match order.produced.get(lot) {
            Some(good) if order.lot() != *lot => *good,
            _ => totals.good - others,
        };
        sum = sum.checked_add(Quantity::from_whole(good)).unwrap_or(sum);
    }
    Ok((!orders.is_empty()).then_some(sum))
}
