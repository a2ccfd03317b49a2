//! Who a session is: the configured users, and on the open endpoint of the demo anybody who reads.

use std::sync::Arc;

use async_trait::async_trait;
use opcua::crypto::SecurityPolicy;
use opcua::server::ServerEndpoint;
use opcua::server::authenticator::{
    AuthManager, CoreServerPermissions, Password, UserToken, user_pass_security_policy_id,
};
use opcua::types::{
    Error, MessageSecurityMode, StatusCode, UAString, UserTokenPolicy, UserTokenType,
};

use crate::app::access::{Denied, Users};
use crate::domain::role::Role;

/// Checks users of sessions.
pub struct Authenticator {
    users: Arc<Users>,
    anonymous: bool,
}

impl Authenticator {
    /// Checks against these users; `anonymous` lets anybody in at the open endpoint.
    pub fn new(users: Arc<Users>, anonymous: bool) -> Self {
        Authenticator { users, anonymous }
    }

    fn is_open(&self, endpoint: &ServerEndpoint) -> bool {
        let mode = endpoint.message_security_mode();
        self.anonymous && mode == MessageSecurityMode::None
    }
}

/// The asker behind a session's token.
pub fn asker(users: &Users, token: &UserToken) -> super::space::Asker {
    if token.is_anonymous() {
        return super::space::Asker { name: String::new(), role: Role::Observer };
    }
    let role = users.role(&token.0).unwrap_or(Role::Observer);
    super::space::Asker { name: token.0.clone(), role }
}

fn rejected(text: &str) -> Error {
    Error::new(StatusCode::BadUserAccessDenied, text)
}

#[async_trait]
impl AuthManager for Authenticator {
    async fn authenticate_anonymous_token(&self, endpoint: &ServerEndpoint) -> Result<(), Error> {
        if self.is_open(endpoint) {
            return Ok(());
        }
        Err(Error::new(StatusCode::BadIdentityTokenRejected, "a user name is needed here"))
    }

    async fn authenticate_username_identity_token(
        &self,
        _endpoint: &ServerEndpoint,
        username: &str,
        password: &Password,
    ) -> Result<UserToken, Error> {
        let (users, name) = (self.users.clone(), username.to_owned());
        let password = password.get().to_owned();
        let proved = tokio::task::spawn_blocking(move || users.prove(&name, &password)).await;
        match proved {
            Ok(Ok(caller)) => Ok(UserToken(caller.name)),
            Ok(Err(Denied::Wrong)) => Err(rejected("user or password is wrong")),
            Ok(Err(Denied::Locked)) => Err(rejected("too many wrong passwords; wait a minute")),
            Err(_) => Err(rejected("the password could not be checked")),
        }
    }

    fn user_token_policies(&self, endpoint: &ServerEndpoint) -> Vec<UserTokenPolicy> {
        let policy = |id: UAString, token_type| UserTokenPolicy {
            policy_id: id,
            token_type,
            issued_token_type: UAString::null(),
            issuer_endpoint_url: UAString::null(),
            security_policy_uri: UAString::null(),
        };
        if self.is_open(endpoint) {
            return vec![policy("anonymous".into(), UserTokenType::Anonymous)];
        }
        // A password is never asked for where it would travel in the clear.
        if endpoint.security_policy() == SecurityPolicy::None {
            return Vec::new();
        }
        vec![policy(user_pass_security_policy_id(endpoint), UserTokenType::UserName)]
    }

    fn core_permissions(&self, token: &UserToken) -> CoreServerPermissions {
        let role = asker(&self.users, token).role;
        CoreServerPermissions { read_diagnostics: matches!(role, Role::Engineer | Role::Admin) }
    }
}
