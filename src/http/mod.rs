//! The HTTP bridge for the ERP: small, strict, and the same facts as everywhere else.
//!
//! Every answer that is not a success is problem+json, those of the framework included. Nothing is
//! acknowledged before it is durable.

mod auth;
mod confirmations;
mod extract;
mod kpi;
mod lots;
mod operations;
mod orders;
mod problem;
mod shifts;
mod stops;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::app::access::Users;
use crate::app::clock::Clock;
use crate::app::connection::Connections;
use crate::app::engine::EngineHandle;
use crate::app::query::Queries;
use crate::app::refusals::Refusals;
use problem::Problem;

/// Requests that are worked on at the same time; more are told to come again.
const IN_FLIGHT_MAX: usize = 64;
/// Longest time that a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open requests may take to finish when the bridge stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What the handlers work with.
#[derive(Clone)]
pub struct Bridge {
    /// The engine.
    pub engine: EngineHandle,
    /// Answers about windows.
    pub queries: Queries,
    /// Who may call.
    pub users: Arc<Users>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How the links to the machines are.
    pub connections: Connections,
    /// Peers that the OPC UA server has turned away.
    pub refusals: Refusals,
    /// Whether reading needs no user.
    pub anonymous_read: bool,
}

/// All routes.
pub fn router(bridge: Bridge) -> Router {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    Router::new()
        .route("/v1/orders", get(orders::list))
        .route("/v1/orders/{id}", get(orders::show).put(orders::store))
        .route("/v1/orders/{id}/commands", post(orders::command))
        .route("/v1/kpi", get(kpi::kpi))
        .route("/v1/timeline", get(kpi::timeline))
        .route("/v1/explain", get(kpi::explain))
        .route("/v1/shifts", get(shifts::list))
        .route("/v1/shifts/records", get(shifts::records))
        .route("/v1/shifts/notes", get(shifts::notes).post(shifts::note))
        .route("/v1/reasons", get(shifts::reasons))
        .route("/v1/stops", get(stops::list).post(stops::say::<stops::StateBody>))
        .route("/v1/stops/reason", post(stops::say::<stops::ReasonBody>))
        .route("/v1/stops/split", post(stops::say::<stops::SplitBody>))
        .route("/v1/stops/merge", post(stops::say::<stops::MergeBody>))
        .route("/v1/stops/withdraw", post(stops::say::<stops::WithdrawBody>))
        .route("/v1/gaps/resolve", post(stops::say::<stops::GapBody>))
        .route("/v1/operators", post(stops::operator))
        .route("/v1/lots", get(lots::list))
        .route("/v1/lots/{id}", get(lots::show))
        .route("/v1/lots/{id}/genealogy", get(lots::genealogy))
        .route("/v1/confirmations", get(confirmations::list))
        .layer(middleware::from_fn_with_state(permits, bounded))
        .route("/livez", get(operations::livez))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .fallback(|| async { Problem::not_found("there is nothing at this path") })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(secured))
        .with_state(bridge)
}

/// Serves until told to stop, then lets open requests finish for a while.
pub async fn serve(
    listener: TcpListener,
    bridge: Bridge,
    stop: CancellationToken,
) -> Result<(), String> {
    let drained = stop.clone();
    let serving = axum::serve(listener, router(bridge))
        .with_graceful_shutdown(async move { stop.cancelled().await });
    tokio::select! {
        served = serving => served.map_err(|error| format!("the HTTP bridge failed: {error}")),
        () = async {
            drained.cancelled().await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        } => Ok(()),
    }
}

/// Limits how many requests are worked on, and for how long.
async fn bounded(State(permits): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = permits.try_acquire() else {
        return Problem::unavailable("too many requests at the same time").into_response();
    };
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let text = "the request took too long; whether it had effect is not known";
            Problem::unavailable(text).into_response()
        }
    }
}

/// Headers that keep a browser from guessing, and problem+json for what the framework refuses.
async fn secured(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == problem::CONTENT_TYPE);
    let status = response.status();
    if (status.is_client_error() || status.is_server_error()) && !is_problem {
        response = Problem::of_status(status).into_response();
    }
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Basic realm=\"Linewright\", charset=\"UTF-8\"");
        headers.insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}
