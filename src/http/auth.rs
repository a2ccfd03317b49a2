//! Who calls, and whether he may.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Bridge;
use super::problem::Problem;
use crate::app::access::{Caller, Denied, HTTP};
use crate::app::engine::Actor;
use crate::domain::role::{Permission, Role};

/// A caller that has proved who he is.
pub struct Known(pub Caller);

/// A caller that may read: a known one, or anybody where that is configured.
pub struct Reading;

impl Known {
    /// The caller, if his role has the permission.
    pub fn may(&self, permission: Permission) -> Result<Actor<'_>, Problem> {
        if self.0.role.may(permission) {
            let may_correct = self.0.role.may(Permission::CorrectClosedShifts);
            return Ok(Actor { name: &self.0.name, may_correct });
        }
        let role = self.0.role.as_str();
        Err(Problem::forbidden(format!(
            "user {} has role {role}, which may not do this",
            self.0.name
        )))
    }
}

impl FromRequestParts<Bridge> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, bridge: &Bridge) -> Result<Self, Problem> {
        let (name, password) = credentials(parts)?;
        let users = bridge.users.clone();
        let proved = tokio::task::spawn_blocking(move || users.prove(&name, &password, HTTP)).await;
        match proved {
            Ok(Ok(caller)) => Ok(Known(caller)),
            Ok(Err(Denied::Wrong)) => Err(Problem::unauthenticated("user or password is wrong")),
            Ok(Err(Denied::Locked)) => {
                Err(Problem::unauthenticated("too many wrong passwords; wait a minute"))
            }
            Ok(Err(Denied::Busy)) => {
                Err(Problem::unavailable("too many passwords wait to be checked"))
            }
            Err(_) => Err(Problem::unavailable("the password could not be checked")),
        }
    }
}

impl FromRequestParts<Bridge> for Reading {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, bridge: &Bridge) -> Result<Self, Problem> {
        if bridge.anonymous_read && !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Reading);
        }
        let known = Known::from_request_parts(parts, bridge).await?;
        known.may(Permission::Read)?;
        debug_assert!(Role::ALL.iter().all(|role| role.may(Permission::Read)));
        Ok(Reading)
    }
}

fn credentials(parts: &Parts) -> Result<(String, String), Problem> {
    let header = parts.headers.get(header::AUTHORIZATION);
    let header = header.ok_or_else(|| Problem::unauthenticated("the request names no user"))?;
    let malformed = || Problem::unauthenticated("the Authorization header is not HTTP Basic");
    let encoded = header.to_str().ok().and_then(|text| text.strip_prefix("Basic "));
    let decoded = encoded.and_then(|text| STANDARD.decode(text.trim()).ok());
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(malformed)?;
    let (name, password) = text.split_once(':').ok_or_else(malformed)?;
    Ok((name.to_owned(), password.to_owned()))
}
