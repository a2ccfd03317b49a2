//! What a machine offers, and which of it is used.

use std::sync::Arc;

use opcua::types::{
    ContextOwned, EndpointDescription, GetEndpointsRequest, GetEndpointsResponse,
    MessageSecurityMode, ObjectId, RequestHeader, StatusCode, UAString,
};

use super::answer::{encode, whole};
use super::connection::Connection;
use super::failure::Failure;
use super::open::Parties;
use super::session::PATIENCE;
use super::target::Protection;
use crate::channel::assemble::Budget;

/// Asks a machine for its endpoints, over a channel that proves nothing: what it says of itself is
/// believed only where a certificate confirms it.
pub async fn offered(
    url: &str,
    budget: Budget,
    context: Arc<ContextOwned>,
) -> Result<Vec<EndpointDescription>, Failure> {
    let parties = Arc::new(Parties::unprotected());
    let connection = Connection::open(url, parties, budget, context.clone()).await?;
    let request = GetEndpointsRequest {
        request_header: RequestHeader::dummy(),
        endpoint_url: url.into(),
        locale_ids: None,
        profile_uris: None::<Vec<UAString>>,
    };
    let request = encode(&request.into(), &context.context())?;
    let answer = connection.ask(request, PATIENCE).await?;
    connection.close(&context).await;
    let expected = ObjectId::GetEndpointsResponse_Encoding_DefaultBinary;
    let response: GetEndpointsResponse = whole(&answer, &context.context(), expected)?;
    Ok(response.endpoints.unwrap_or_default())
}

/// Whether an endpoint is protected so.
pub fn fits(endpoint: &EndpointDescription, protection: Protection) -> bool {
    endpoint.security_policy_uri.as_ref() == protection.policy.to_uri()
        && endpoint.security_mode == protection.mode
        && endpoint.endpoint_url.as_ref().starts_with("opc.tcp:")
}

/// The offered endpoint with this protection.
pub fn choose(
    offered: Vec<EndpointDescription>,
    protection: Protection,
) -> Result<EndpointDescription, Failure> {
    let names: Vec<String> = offered.iter().map(describe).collect();
    offered.into_iter().find(|endpoint| fits(endpoint, protection)).ok_or_else(|| {
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let text = format!(
            "the machine offers {names}, not {} {:?}; change `security` of the machine",
            protection.policy, protection.mode
        );
        Failure::untrusted(StatusCode::BadSecurityPolicyRejected, text)
    })
}

fn describe(endpoint: &EndpointDescription) -> String {
    if endpoint.security_mode == MessageSecurityMode::None {
        return "none".into();
    }
    let uri = endpoint.security_policy_uri.as_ref();
    let policy = uri.rsplit('#').next().unwrap_or(uri);
    let policy: String = policy.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
    format!("{policy} {:?}", endpoint.security_mode)
}
