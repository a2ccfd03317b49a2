//! Reading requests strictly: unknown fields, wrong types and bad keys are errors that name them.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::app::ports::RequestKey;
use crate::app::time_text;
use crate::domain::id::InvalidKey;
use crate::domain::time::{Span, Timestamp, Window};

/// Largest body of a request.
const BODY_MAX: usize = 1 << 20;
/// Bytes of a body that are read at most, kept or not.
const BODY_READ_MAX: usize = 8 << 20;
/// Longest window of a question.
const WINDOW_MAX: Span = Span::from_seconds(400 * 24 * 3600);
/// Longest window that is answered in detail.
const DETAILED_MAX: Span = Span::from_seconds(62 * 86_400);
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const IDEMPOTENCY_KEY_MAX: usize = 255;

/// A JSON body, with the hash of its bytes.
pub struct JsonBody<T> {
    /// The body.
    pub value: T,
    /// SHA-256 of what was sent.
    pub hash: [u8; 32],
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read_body(request).await?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            let text = format!("the body does not fit: {error}");
            if error.is_data() { Problem::invalid(text) } else { Problem::malformed(text) }
        })?;
        Ok(JsonBody { value, hash: Sha256::digest(&bytes).into() })
    }
}

/// Reads a body. One that is too large is read on for a while without being kept, so that its
/// sender hears why it is refused instead of a broken connection.
async fn read_body(request: Request) -> Result<Vec<u8>, Problem> {
    let mut body = request.into_body().into_data_stream();
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(part) = body.next().await {
        let part = part.map_err(|_| Problem::malformed("the body could not be read"))?;
        length += part.len();
        if length <= BODY_MAX {
            kept.extend_from_slice(&part);
        } else if length > BODY_READ_MAX {
            break;
        }
    }
    if length > BODY_MAX {
        return Err(Problem::of_status(StatusCode::PAYLOAD_TOO_LARGE));
    }
    Ok(kept)
}

/// Query parameters.
pub struct Parameters<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Parameters(value)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())),
        }
    }
}

/// The key in the path.
pub struct PathKey(pub String);

impl<S: Send + Sync> FromRequestParts<S> for PathKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(key)) => Ok(PathKey(key)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())),
        }
    }
}

/// The Idempotency-Key of a request that must have one.
pub struct IdempotencyKey(String);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let header = parts.headers.get(IDEMPOTENCY_KEY).and_then(|value| value.to_str().ok());
        match header.map(str::trim) {
            Some(key) if !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_MAX => {
                Ok(IdempotencyKey(key.to_owned()))
            }
            _ => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "mes.request.key_missing",
                "the request has no usable Idempotency-Key header",
                "send a key of your choice, the same one when you repeat the request",
            )),
        }
    }
}

impl IdempotencyKey {
    /// Under which the answer is kept: keys of different callers are different.
    pub fn for_caller(&self, caller: &str) -> RequestKey {
        let mut hash = Sha256::new();
        hash.update(caller.as_bytes());
        hash.update([0]);
        hash.update(self.0.as_bytes());
        hash.finalize().into()
    }
}

/// A business key out of a request.
pub fn key<T>(
    what: &str,
    text: &str,
    parse: fn(&str) -> Result<T, InvalidKey>,
) -> Result<T, Problem> {
    parse(text).map_err(|why| Problem::invalid(format!("{what} {text:?} {why}")))
}

/// An instant out of a request.
pub fn instant(what: &str, text: &str) -> Result<Timestamp, Problem> {
    time_text::parse(text).map_err(|error| Problem::invalid(format!("{what}: {error}")))
}

/// The window of a question that is answered in detail: shorter, since every interval is an answer.
pub fn detailed_window(from: &str, to: Option<&str>, now: Timestamp) -> Result<Window, Problem> {
    let window = window(from, to, now)?;
    if window.length() > DETAILED_MAX {
        return Err(Problem::invalid("the window is longer than 62 days; ask for parts of it"));
    }
    Ok(window)
}

/// The window of a question; it ends now at the latest, since nobody knows what comes.
pub fn window(from: &str, to: Option<&str>, now: Timestamp) -> Result<Window, Problem> {
    let from = instant("from", from)?;
    let to = to.map_or(Ok(now), |to| instant("to", to))?.min(now);
    match Window::new(from, to) {
        Some(window) if window.length() > WINDOW_MAX => {
            Err(Problem::invalid("the window is longer than 400 days"))
        }
        Some(window) if window.length() > Span::ZERO => Ok(window),
        _ => Err(Problem::invalid("the window is empty: from must lie before to and before now")),
    }
}
