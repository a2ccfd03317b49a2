//! Discovery: which endpoints there are, under the URL that the client has used (Part 4 §5.5).

use opcua::crypto::SecurityPolicy;
use opcua::types::{
    ApplicationDescription, ApplicationType, EndpointDescription, FindServersRequest,
    FindServersResponse, GetEndpointsRequest, GetEndpointsResponse, LocalizedText,
    MessageSecurityMode, StatusCode, UAString, UserTokenPolicy, UserTokenType,
};

use super::Services;
use super::respond::header;
use crate::server::wire::{ChannelInfo, Reply};

const TRANSPORT: &str = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary";
/// Longest host name that is repeated to a client.
const HOST_MAX: usize = 255;

/// Ids of the ways to log on.
pub mod token_policy {
    /// Without a user.
    pub const ANONYMOUS: &str = "anonymous";
    /// With a password.
    pub const USER_NAME: &str = "username";
    /// With a certificate.
    pub const CERTIFICATE: &str = "certificate";
}

/// What is offered to clients.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// URI of the application.
    pub application_uri: String,
    /// Pairs of policy and mode.
    pub offered: Vec<(SecurityPolicy, MessageSecurityMode)>,
    /// Host and port where clients do not say how they have reached us.
    pub host: String,
    /// See `host`.
    pub port: u16,
    /// Whether anybody may read over a protected channel.
    pub anonymous: bool,
    /// Whether users may prove themselves with certificates.
    pub certificates: bool,
}

impl Endpoints {
    /// Whether sessions are served over such a channel.
    pub fn are_served(&self, policy: SecurityPolicy, mode: MessageSecurityMode) -> bool {
        self.offered.contains(&(policy, mode))
    }

    /// Whether somebody may log on without a user over such a channel.
    pub fn takes_anonymous(&self, policy: SecurityPolicy) -> bool {
        self.anonymous || policy == SecurityPolicy::None
    }

    /// The URL with the host that the client has used, if it is one.
    fn url(&self, used: &str) -> String {
        let host = used.strip_prefix("opc.tcp://").map(|rest| {
            let end = rest.find('/').unwrap_or(rest.len());
            &rest[..end]
        });
        let is_plain = |host: &&str| {
            let fits = (1..=HOST_MAX).contains(&host.len());
            fits && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]%".contains(c))
        };
        match host.filter(is_plain) {
            Some(host) => format!("opc.tcp://{host}/"),
            None => format!("opc.tcp://{}:{}/", self.host, self.port),
        }
    }

    /// This application.
    pub fn application(&self, used: &str) -> ApplicationDescription {
        ApplicationDescription {
            application_uri: self.application_uri.as_str().into(),
            product_uri: "urn:linewright".into(),
            application_name: LocalizedText::new("en", "Linewright"),
            application_type: ApplicationType::Server,
            gateway_server_uri: UAString::null(),
            discovery_profile_uri: UAString::null(),
            discovery_urls: Some(vec![self.url(used).into()]),
        }
    }

    fn token_policies(&self, policy: SecurityPolicy) -> Vec<UserTokenPolicy> {
        let token = |id: &str, token_type| UserTokenPolicy {
            policy_id: id.into(),
            token_type,
            issued_token_type: UAString::null(),
            issuer_endpoint_url: UAString::null(),
            security_policy_uri: UAString::null(),
        };
        let mut tokens = Vec::new();
        if self.takes_anonymous(policy) {
            tokens.push(token(token_policy::ANONYMOUS, UserTokenType::Anonymous));
        }
        // A password is never asked for where it would travel in the clear.
        if policy != SecurityPolicy::None {
            tokens.push(token(token_policy::USER_NAME, UserTokenType::UserName));
            if self.certificates {
                tokens.push(token(token_policy::CERTIFICATE, UserTokenType::Certificate));
            }
        }
        tokens
    }
}

/// How well an endpoint is protected, for clients that choose by themselves.
fn security_level(policy: SecurityPolicy, mode: MessageSecurityMode) -> u8 {
    let policy = match policy {
        SecurityPolicy::Aes256Sha256RsaPss => 30,
        SecurityPolicy::Basic256Sha256 => 20,
        SecurityPolicy::Aes128Sha256RsaOaep => 10,
        _ => return 0,
    };
    policy + if mode == MessageSecurityMode::SignAndEncrypt { 100 } else { 50 }
}

impl Services {
    /// The endpoints as they are offered to a client.
    pub fn endpoint_descriptions(&self, used: &str) -> Vec<EndpointDescription> {
        let server = self.endpoints.application(used);
        let described = self.endpoints.offered.iter().map(|(policy, mode)| EndpointDescription {
            endpoint_url: self.endpoints.url(used).into(),
            server: server.clone(),
            server_certificate: self.own.der.clone(),
            security_mode: *mode,
            security_policy_uri: policy.to_uri().into(),
            user_identity_tokens: Some(self.endpoints.token_policies(*policy)),
            transport_profile_uri: TRANSPORT.into(),
            security_level: security_level(*policy, *mode),
        });
        described.collect()
    }

    /// GetEndpoints.
    pub(super) fn get_endpoints(
        &self,
        channel: &ChannelInfo,
        request: &GetEndpointsRequest,
    ) -> Reply {
        let used = match request.endpoint_url.as_ref() {
            "" => channel.endpoint_url.as_str(),
            url => url,
        };
        let wanted = request.profile_uris.as_deref().unwrap_or_default();
        let is_wanted = wanted.is_empty() || wanted.iter().any(|uri| uri.as_ref() == TRANSPORT);
        let endpoints = if is_wanted { self.endpoint_descriptions(used) } else { Vec::new() };
        GetEndpointsResponse {
            response_header: header(&request.request_header, self.now(), StatusCode::Good),
            endpoints: Some(endpoints),
        }
        .into()
    }

    /// FindServers.
    pub(super) fn find_servers(
        &self,
        channel: &ChannelInfo,
        request: &FindServersRequest,
    ) -> Reply {
        let used = match request.endpoint_url.as_ref() {
            "" => channel.endpoint_url.as_str(),
            url => url,
        };
        let wanted = request.server_uris.as_deref().unwrap_or_default();
        let ours = &self.endpoints.application_uri;
        let is_wanted = wanted.is_empty() || wanted.iter().any(|uri| uri.as_ref() == ours);
        let servers = is_wanted.then(|| self.endpoints.application(used));
        FindServersResponse {
            response_header: header(&request.request_header, self.now(), StatusCode::Good),
            servers: Some(servers.into_iter().collect()),
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Endpoints {
        Endpoints {
            application_uri: "urn:linewright:server:X".into(),
            offered: vec![(SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt)],
            host: "plant".into(),
            port: 4840,
            anonymous: false,
            certificates: false,
        }
    }

    #[test]
    fn the_url_is_the_one_that_the_client_has_used_if_it_can_be_one() {
        let endpoints = endpoints();
        for (used, wanted) in [
            ("opc.tcp://10.0.0.7:4841/path", "opc.tcp://10.0.0.7:4841/"),
            ("opc.tcp://[fe80::1]:4840", "opc.tcp://[fe80::1]:4840/"),
            ("", "opc.tcp://plant:4840/"),
            ("http://x", "opc.tcp://plant:4840/"),
            ("opc.tcp://<script>", "opc.tcp://plant:4840/"),
            ("opc.tcp://", "opc.tcp://plant:4840/"),
        ] {
            assert_eq!(endpoints.url(used), wanted, "{used}");
        }
    }

    #[test]
    fn passwords_are_not_asked_for_in_the_clear_and_anonymous_ones_only_where_configured() {
        let kinds = |endpoints: &Endpoints, policy| -> Vec<_> {
            endpoints.token_policies(policy).into_iter().map(|token| token.token_type).collect()
        };
        let closed = endpoints();
        use UserTokenType::{Anonymous, Certificate, UserName};
        assert_eq!(kinds(&closed, SecurityPolicy::None), [Anonymous]);
        assert_eq!(kinds(&closed, SecurityPolicy::Basic256Sha256), [UserName]);
        let open = Endpoints { anonymous: true, certificates: true, ..endpoints() };
        let all = [Anonymous, UserName, Certificate];
        assert_eq!(kinds(&open, SecurityPolicy::Basic256Sha256), all);
    }
}
