//! Orders: stored by the ERP, moved by anybody whose role allows it.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Bridge;
use super::auth::{Known, Reading};
use super::extract::{IdempotencyKey, JsonBody, Parameters, PathKey, instant, key};
use super::problem::Problem;
use crate::app::engine::{Actor, CommandReply, Idempotency};
use crate::app::query::blocking;
use crate::app::time_text;
use crate::domain::command::{Change, Command, Consumption, Outcome, Report};
use crate::domain::id::{LineId, LotId, MachineId, OrderId, ProductId, ReasonId};
use crate::domain::order::{JobCommand, JobState, Order, OrderRequest, Totals, allowed_commands};
use crate::domain::quantity::Quantity;
use crate::domain::role::Permission;
use crate::domain::time::Span;

const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 500;
static REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An order as the ERP sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderBody {
    revision: u64,
    line: String,
    product: String,
    quantity: String,
    #[serde(default)]
    lot: Option<String>,
    #[serde(default)]
    due: Option<String>,
    #[serde(default)]
    priority: i16,
    #[serde(default = "released_by_default")]
    released: bool,
    #[serde(default)]
    ideal_cycle: Option<String>,
}

fn released_by_default() -> bool {
    true
}

impl OrderBody {
    fn to_request(&self, id: &str) -> Result<OrderRequest, Problem> {
        let quantity: Result<Quantity, _> = self.quantity.parse();
        let not_decimal = |_| {
            let text = &self.quantity;
            Problem::invalid(format!("quantity {text:?} is not a decimal such as \"1200\""))
        };
        Ok(OrderRequest {
            id: key("order", id, OrderId::parse)?,
            revision: self.revision,
            line: key("line", &self.line, LineId::parse)?,
            product: key("product", &self.product, ProductId::parse)?,
            quantity: quantity.map_err(not_decimal)?,
            lot: self.lot.as_deref().map(|lot| key("lot", lot, LotId::parse)).transpose()?,
            due: self.due.as_deref().map(|due| instant("due", due)).transpose()?,
            priority: self.priority,
            released: self.released,
            ideal_cycle: self.ideal_cycle.as_deref().map(ideal_cycle).transpose()?,
        })
    }
}

fn ideal_cycle(text: &str) -> Result<Span, Problem> {
    let no_duration = || {
        Problem::invalid(format!("ideal_cycle {text:?} is no positive duration such as \"10s\""))
    };
    Span::parse(text).ok_or_else(no_duration)
}

/// An order as callers see it.
#[derive(Serialize)]
pub struct OrderReport {
    id: String,
    revision: u64,
    line: String,
    product: String,
    quantity: String,
    lot: String,
    due: Option<String>,
    priority: i16,
    state: &'static str,
    allowed_commands: Vec<&'static str>,
    created: String,
    changed: String,
    started: Option<String>,
    ended: Option<String>,
    totals: TotalsReport,
}

/// Parts of an order.
#[derive(Serialize)]
pub struct TotalsReport {
    good: i64,
    scrap: i64,
    rework: i64,
    unattributed: i64,
}

impl From<Totals> for TotalsReport {
    fn from(totals: Totals) -> Self {
        let Totals { good, scrap, rework, unattributed } = totals;
        TotalsReport { good, scrap, rework, unattributed }
    }
}

impl OrderReport {
    /// The report of an order with its totals.
    pub fn new(order: &Order, totals: Totals) -> OrderReport {
        let request = &order.request;
        let allowed = allowed_commands(order.state);
        let last = order.runs.last().and_then(|run| run.end);
        OrderReport {
            id: request.id.to_string(),
            revision: request.revision,
            line: request.line.to_string(),
            product: request.product.to_string(),
            quantity: request.quantity.to_string(),
            lot: order.lot().to_string(),
            due: request.due.map(time_text::print),
            priority: request.priority,
            state: order.state.as_str(),
            allowed_commands: allowed.into_iter().map(JobCommand::as_str).collect(),
            created: time_text::print(order.created),
            changed: time_text::print(order.changed),
            started: order.started().map(time_text::print),
            ended: last.filter(|_| order.state.is_final()).map(time_text::print),
            totals: totals.into(),
        }
    }
}

/// `PUT /v1/orders/{id}`: stores an order or a new revision; a stale revision changes nothing.
pub async fn store(
    State(bridge): State<Bridge>,
    caller: Known,
    PathKey(id): PathKey,
    JsonBody { value: body, .. }: JsonBody<OrderBody>,
) -> Result<Response, Problem> {
    let actor = caller.may(Permission::StoreOrders)?;
    let request = body.to_request(&id)?;
    let (sent, id) = (request.revision, request.id.clone());
    let reply = bridge.engine.command(Command::StoreOrder(request), actor, None).await?;
    let CommandReply::Done(Outcome::Order { order, change }) = reply else {
        return Err(Problem::unavailable("the engine gave no order"));
    };
    let totals = bridge.engine.view().orders.get(&id).map(|view| view.totals);
    let applied = change != Change::Unchanged;
    let current = order.request.revision;
    let mut answer = json!(OrderReport::new(&order, totals.unwrap_or(order.confirmed)));
    answer["applied"] = Value::Bool(applied);
    if !applied {
        let why = if sent < current { "stale_revision" } else { "same_revision" };
        answer["not_applied_because"] = Value::String(why.into());
    }
    let status = if change == Change::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(answer)).into_response())
}

/// `GET /v1/orders/{id}`.
pub async fn show(
    State(bridge): State<Bridge>,
    _: Reading,
    PathKey(id): PathKey,
) -> Result<Json<OrderReport>, Problem> {
    let id = key("order", &id, OrderId::parse)?;
    let (order, totals) = bridge.queries.order(&id).await?;
    Ok(Json(OrderReport::new(&order, totals)))
}

/// What is asked of the list of orders.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParameters {
    state: Option<String>,
    line: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /v1/orders`: a page of orders in the order of their numbers.
pub async fn list(
    State(bridge): State<Bridge>,
    _: Reading,
    Parameters(asked): Parameters<ListParameters>,
) -> Result<Json<Value>, Problem> {
    let state = asked.state.as_deref().map(|text| {
        JobState::parse(text).ok_or_else(|| {
            let known: Vec<_> = JobState::ALL.iter().map(|state| state.as_str()).collect();
            Problem::invalid(format!("state {text:?} is none of {}", known.join(", ")))
        })
    });
    let state = state.transpose()?;
    let line = asked.line.as_deref().map(|line| key("line", line, LineId::parse)).transpose()?;
    let mut after =
        asked.after.as_deref().map(|after| key("after", after, OrderId::parse)).transpose()?;
    let limit = asked.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let mut found = Vec::new();
    let mut next = None;
    while let Some(page) = next_page(&bridge, state, after.as_ref()).await? {
        for (order, totals) in page {
            after = Some(order.id().clone());
            let fits = state.is_none_or(|state| order.state == state)
                && line.as_ref().is_none_or(|line| order.request.line == *line);
            if !fits {
                continue;
            }
            found.push(OrderReport::new(&order, totals));
            if found.len() == limit {
                next = after.as_ref().map(ToString::to_string);
                break;
            }
        }
        if next.is_some() {
            break;
        }
    }
    Ok(Json(json!({ "orders": found, "next_after": next })))
}

/// The next orders after a key, `None` when there are no more. Unfinished orders are all in memory,
/// so a question for them never reads through the finished ones.
async fn next_page(
    bridge: &Bridge,
    state: Option<JobState>,
    after: Option<&OrderId>,
) -> Result<Option<Vec<(Order, Totals)>>, Problem> {
    let view = bridge.engine.view();
    if state.is_some_and(|state| !state.is_final()) {
        let later = view.orders.iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        let page: Vec<_> = later.take(PAGE_MAX).map(|(_, v)| (v.order.clone(), v.totals)).collect();
        return Ok((!page.is_empty()).then_some(page));
    }
    let (reader, after) = (bridge.engine.reader().clone(), after.cloned());
    let page = blocking(move || Ok(reader.orders(after.as_ref(), PAGE_MAX)?)).await?;
    let totals = |order: &Order| view.orders.get(order.id()).map_or(order.confirmed, |v| v.totals);
    let page: Vec<_> = page
        .into_iter()
        .map(|order| {
            let totals = totals(&order);
            (order, totals)
        })
        .collect();
    Ok((!page.is_empty()).then_some(page))
}

/// What can be asked of an order.
#[derive(Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum CommandBody {
    /// Allow it to start.
    Release {},
    /// Take the release back.
    Revoke {},
    /// Begin production.
    Start {},
    /// Interrupt production.
    Pause {},
    /// Continue production.
    Resume {},
    /// End production.
    Complete {},
    /// Give up an order that has not begun.
    Cancel {},
    /// Give up an order.
    Abort {},
    /// Reconcile an ended order.
    Close {},
    /// Report good and scrapped parts.
    Report {
        /// Good parts.
        #[serde(default)]
        good: u32,
        /// Scrapped parts.
        #[serde(default)]
        scrap: u32,
        #[serde(default)]
        rework: u32,
        #[serde(default)]
        rework_good: u32,
        /// Lot of the good parts.
        #[serde(default)]
        lot: Option<String>,
        /// Why parts were scrapped.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Record material that went in.
    Consume {
        /// Lot of the material.
        lot: String,
        /// How much.
        #[serde(default)]
        quantity: Option<String>,
        /// On which machine.
        #[serde(default)]
        machine: Option<String>,
    },
}

impl CommandBody {
    fn to_command(&self, order: OrderId) -> Result<(Permission, Command), Problem> {
        let moved = |command| {
            let order = order.clone();
            Ok((Permission::MoveOrders, Command::MoveOrder { order, command }))
        };
        match self {
            CommandBody::Release {} => moved(JobCommand::Release),
            CommandBody::Revoke {} => moved(JobCommand::Revoke),
            CommandBody::Start {} => moved(JobCommand::Start),
            CommandBody::Pause {} => moved(JobCommand::Pause),
            CommandBody::Resume {} => moved(JobCommand::Resume),
            CommandBody::Complete {} => moved(JobCommand::Complete),
            CommandBody::Cancel {} => moved(JobCommand::Cancel),
            CommandBody::Abort {} => moved(JobCommand::Abort),
            CommandBody::Close {} => moved(JobCommand::Close),
            CommandBody::Report { good, scrap, rework, rework_good, lot, reason } => {
                let lot = lot.as_deref().map(|lot| key("lot", lot, LotId::parse)).transpose()?;
                let reason = reason.as_deref().map(|r| key("reason", r, ReasonId::parse));
                let reason = reason.transpose()?;
                let (good, scrap) = (*good, *scrap);
                let (rework, rework_good) = (*rework, *rework_good);
                let report = Report { order, good, scrap, rework, rework_good, lot, reason };
                Ok((Permission::Report, Command::Report(report)))
            }
            CommandBody::Consume { lot, quantity, machine } => {
                let quantity = quantity.as_deref().map(|text| {
                    text.parse().map_err(|_| {
                        Problem::invalid(format!("quantity {text:?} is not a decimal"))
                    })
                });
                let machine = machine.as_deref().map(|m| key("machine", m, MachineId::parse));
                let consumption = Consumption {
                    order,
                    lot: key("lot", lot, LotId::parse)?,
                    quantity: quantity.transpose()?,
                    machine: machine.transpose()?,
                };
                Ok((Permission::Report, Command::Consume(consumption)))
            }
        }
    }
}

/// `POST /v1/orders/{id}/commands`: moves an order or reports on it, once for each key.
pub async fn command(
    State(bridge): State<Bridge>,
    caller: Known,
    PathKey(id): PathKey,
    idempotency_key: IdempotencyKey,
    JsonBody { value: body, hash }: JsonBody<CommandBody>,
) -> Result<Response, Problem> {
    let order = key("order", &id, OrderId::parse)?;
    let (permission, command) = body.to_command(order.clone())?;
    let actor = caller.may(permission)?;
    let request = super::stops::request_hash(&format!("orders/{id}/commands"), &hash);
    let idempotency = Idempotency {
        key: idempotency_key.for_caller(actor.name),
        request,
        render: Box::new(|outcome| match outcome {
            Ok(Outcome::Order { order, .. }) => {
                let body = json!({
                    "id": order.id().as_str(),
                    "state": order.state.as_str(),
                    "changed": time_text::print(order.changed),
                    "allowed_commands":
                        allowed_commands(order.state).iter().map(|c| c.as_str()).collect::<Vec<_>>(),
                });
                (StatusCode::OK.as_u16(), body.to_string())
            }
            Ok(_) => (StatusCode::OK.as_u16(), "{}".into()),
            Err(rejection) => Problem::from(rejection).into_parts(),
        }),
    };
    answer(&bridge, command, actor, idempotency).await
}

/// Carries out a command and gives the answer that was kept for it.
pub async fn answer(
    bridge: &Bridge,
    command: Command,
    actor: Actor<'_>,
    idempotency: Idempotency,
) -> Result<Response, Problem> {
    let key = idempotency.key;
    let reply = bridge.engine.command(command, actor, Some(idempotency)).await;
    let repeated = matches!(reply, Ok(CommandReply::Repeated(_)));
    let stored = match reply {
        Ok(CommandReply::Repeated(stored)) => stored,
        Ok(CommandReply::Done(_)) => {
            let reader = bridge.engine.reader().clone();
            let stored = blocking(move || Ok(reader.answer(&key)?)).await?;
            stored.ok_or_else(|| Problem::unavailable("the answer was not kept"))?
        }
        Err(error) => return Err(error.into()),
    };
    let status = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    let kind = if status.is_success() { "application/json" } else { super::problem::CONTENT_TYPE };
    let mut response = (status, stored.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if repeated {
        headers.insert(REPLAYED.clone(), HeaderValue::from_static("true"));
    }
    Ok(response)
}
