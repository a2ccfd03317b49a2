//! Connecting to a machine: endpoint, certificates, user, and refusals in plain words.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use opcua::client::{Client, ClientBuilder, IdentityToken, Password, Session, SessionPollResult};
use opcua::crypto::SecurityPolicy;
use opcua::types::{EndpointDescription, MessageSecurityMode, StatusCode, UserTokenPolicy};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{MachineConnection, Protection};

/// Longest time that an answer may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest array that is read, of strings and everything else.
const ARRAY_MAX: usize = 100_000;
/// Largest message of a machine.
const MESSAGE_MAX: usize = 4 << 20;

/// A session with the task that drives it.
pub struct Open {
    /// The session.
    pub session: Arc<Session>,
    /// The task that drives it.
    pub events: JoinHandle<()>,
    /// Tells that the connection is gone.
    pub lost: tokio::sync::oneshot::Receiver<()>,
}

/// A client with the machine's certificates and limits.
pub fn client(connection: &MachineConnection) -> Result<Client, String> {
    let secured = connection.protection != Protection::None;
    ClientBuilder::new()
        .application_name("Linewright")
        .application_uri("urn:linewright:client")
        .product_uri("urn:linewright")
        .pki_dir(&connection.pki)
        .create_sample_keypair(secured)
        // Only a certificate that a person has put among the trusted ones is accepted, byte for
        // byte; its host name says nothing more, and machines often name themselves wrongly.
        .trust_server_certs(false)
        .verify_server_certs(false)
        .session_retry_limit(0)
        .request_timeout(REQUEST_TIMEOUT)
        .max_array_length(ARRAY_MAX)
        .max_message_size(MESSAGE_MAX)
        .session_name(format!("Linewright {}", connection.machine))
        .client()
        .map_err(|problems| problems.join("; "))
}

/// Connects; returns when the session can be used.
pub async fn open(mut client: Client, connection: &MachineConnection) -> Result<Open, String> {
    let url = connection.endpoint.as_str();
    let (policy, mode) = protection(connection.protection);
    let endpoint = if connection.protection == Protection::None {
        (url, policy.to_str(), mode, UserTokenPolicy::anonymous()).into()
    } else {
        let offered = client.get_server_endpoints_from_url(url).await;
        let offered = offered.map_err(|error| format!("the machine does not answer: {error}"))?;
        secured_endpoint(offered, url, policy, mode)?
    };
    let token = match &connection.user {
        Some((name, password)) => {
            IdentityToken::UserName(name.clone(), Password::new(password.clone()))
        }
        None => IdentityToken::Anonymous,
    };
    let (session, event_loop) = client
        .connect_to_endpoint_directly(endpoint, token)
        .map_err(|error| format!("the endpoint cannot be used: {error}"))?;
    let (tell, lost) = tokio::sync::oneshot::channel();
    let (failed, mut failure) = mpsc::channel(1);
    let events = tokio::spawn(async move {
        let stream = event_loop.enter();
        tokio::pin!(stream);
        while let Some(event) = stream.next().await {
            match event {
                Ok(SessionPollResult::ConnectionLost(_)) => break,
                Ok(SessionPollResult::ReconnectFailed(status)) | Err(status) => {
                    let _ = failed.try_send(status);
                    break;
                }
                Ok(_) => {}
            }
        }
        let _ = tell.send(());
    });
    let connected = tokio::select! {
        connected = session.wait_for_connection() => connected,
        status = failure.recv() => {
            let status = status.unwrap_or(StatusCode::BadConnectionClosed);
            return Err(refused(status, connection));
        }
    };
    if connected {
        Ok(Open { session, events, lost })
    } else {
        events.abort();
        Err(refused(StatusCode::BadConnectionClosed, connection))
    }
}

/// A refusal in plain words with the next step.
fn refused(status: StatusCode, connection: &MachineConnection) -> String {
    let advice = match status {
        StatusCode::BadIdentityTokenRejected | StatusCode::BadUserAccessDenied => {
            "check `user` and its password".to_owned()
        }
        StatusCode::BadCertificateUntrusted | StatusCode::BadSecurityChecksFailed => format!(
            "let the machine trust {}/own/cert.der, and move its certificate from {0}/rejected to \
             {0}/trusted",
            connection.pki.display()
        ),
        _ => "is it switched on and reachable at this endpoint?".to_owned(),
    };
    format!("the machine refused the connection ({status}); {advice}")
}

fn protection(protection: Protection) -> (SecurityPolicy, MessageSecurityMode) {
    let secured = MessageSecurityMode::SignAndEncrypt;
    match protection {
        Protection::None => (SecurityPolicy::None, MessageSecurityMode::None),
        Protection::Basic256Sha256 => (SecurityPolicy::Basic256Sha256, secured),
        Protection::Aes128Sha256RsaOaep => (SecurityPolicy::Aes128Sha256RsaOaep, secured),
        Protection::Aes256Sha256RsaPss => (SecurityPolicy::Aes256Sha256RsaPss, secured),
    }
}

/// The offered endpoint of that protection, under the URL that was configured: machines often name
/// themselves by a host that nobody can resolve.
fn secured_endpoint(
    offered: Vec<EndpointDescription>,
    url: &str,
    policy: SecurityPolicy,
    mode: MessageSecurityMode,
) -> Result<EndpointDescription, String> {
    let fits = |endpoint: &EndpointDescription| {
        endpoint.security_policy_uri.as_ref() == policy.to_uri() && endpoint.security_mode == mode
    };
    let found = offered.into_iter().find(fits);
    let mut endpoint = found.ok_or_else(|| {
        format!("the machine offers no endpoint with {policy}; choose another `security`")
    })?;
    endpoint.endpoint_url = url.into();
    Ok(endpoint)
}
