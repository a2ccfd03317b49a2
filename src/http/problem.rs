//! Errors as problem+json (RFC 9457): what is wrong, a code for programs, the next step.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::engine::CommandError;
use crate::app::query::QueryError;
use crate::domain::rejection::{Rejection, RejectionKind};

/// Media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";
const RETRY_AFTER_SECONDS: &str = "2";

/// An error as a caller sees it.
#[derive(Debug)]
pub struct Problem(Box<Members>);

/// The members of problem+json.
#[derive(Debug, Serialize)]
struct Members {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    code: String,
    next_step: String,
}

impl Problem {
    /// A problem with all its parts.
    pub fn new(
        status: StatusCode,
        code: &str,
        detail: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Problem {
        Problem(Box::new(Members {
            kind: format!("urn:linewright:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            next_step: next_step.into(),
        }))
    }

    /// Something in the request makes no sense.
    pub fn invalid(detail: impl Into<String>) -> Problem {
        let next_step = "correct the request and send it again";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "mes.request.invalid", detail, next_step)
    }

    /// The request cannot be read at all.
    pub fn malformed(detail: impl Into<String>) -> Problem {
        let next_step = "correct the request and send it again";
        Problem::new(StatusCode::BAD_REQUEST, "mes.request.malformed", detail, next_step)
    }

    /// What is asked for does not exist.
    pub fn not_found(detail: impl Into<String>) -> Problem {
        let next_step = "check the path and its keys";
        Problem::new(StatusCode::NOT_FOUND, "mes.request.not_found", detail, next_step)
    }

    /// The path knows other methods only.
    pub fn method_not_allowed() -> Problem {
        let (code, detail) = ("mes.request.method", "the path does not know this method");
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, code, detail, "use another method")
    }

    /// Nothing can be done at present.
    pub fn unavailable(detail: impl Into<String>) -> Problem {
        let next_step = "send the same request with the same key again later";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "mes.unavailable", detail, next_step)
    }

    /// Nobody has proved who he is.
    pub fn unauthenticated(detail: impl Into<String>) -> Problem {
        let next_step = "send user name and password of a configured user (HTTP Basic)";
        Problem::new(StatusCode::UNAUTHORIZED, "mes.access.unauthenticated", detail, next_step)
    }

    /// The caller's role does not allow this.
    pub fn forbidden(detail: impl Into<String>) -> Problem {
        let next_step = "use a user whose role allows it";
        Problem::new(StatusCode::FORBIDDEN, "mes.access.forbidden", detail, next_step)
    }

    /// What the framework refused, by its status.
    pub fn of_status(status: StatusCode) -> Problem {
        let detail = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than 1 MiB".to_owned(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "the body is not JSON".to_owned(),
            other => format!("the request was refused ({other})"),
        };
        Problem::new(status, "mes.request.refused", detail, "correct the request")
    }

    /// Status and body, as they are kept for repetition.
    pub fn into_parts(self) -> (u16, String) {
        (self.0.status, serde_json::to_string(&self.0).unwrap_or_default())
    }
}

impl From<&Rejection> for Problem {
    fn from(rejection: &Rejection) -> Self {
        let status = match rejection.kind() {
            RejectionKind::NotFound => StatusCode::NOT_FOUND,
            RejectionKind::Conflict => StatusCode::CONFLICT,
            RejectionKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Problem::new(status, rejection.code(), rejection.to_string(), rejection.next_step())
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected(rejection) => Problem::from(&rejection),
            CommandError::Unavailable(text) => Problem::unavailable(text),
            CommandError::KeyReused => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "mes.request.key_reused",
                "this Idempotency-Key was used before for another request",
                "choose a new key for a new request",
            ),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unavailable(text) => Problem::unavailable(text),
            QueryError::NotFound(text) => Problem::not_found(text),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, body) = self.into_parts();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            headers.insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
