//! Over secured channels: who may do what, and what is written down of it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use linewright::app::access::User;
use linewright::app::password::hash_password;
use linewright::domain::role::Role;
use opcua::client::{Client, ClientBuilder, IdentityToken, Password, Session};
use opcua::crypto::SecurityPolicy;
use opcua::types::{
    AttributeId, DataValue, LocalizedText, MessageSecurityMode, NodeId, NumericRange, ReadValueId,
    StatusCode, TimestampsToReturn, UserTokenPolicy, VariableId, Variant, WriteValue,
};

use super::space::id;
use super::support::{Running, copy_keys, read_id};

const URI: &str = "urn:test:client";

fn builder(pki: &Path) -> ClientBuilder {
    ClientBuilder::new()
        .application_name("test")
        .application_uri(URI)
        .pki_dir(pki)
        .create_sample_keypair(true)
        .trust_server_certs(true)
        .verify_server_certs(false)
        .session_retry_limit(0)
}

/// The client's key is made once for all tests.
fn client(directory: &tempfile::TempDir) -> Client {
    static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        builder(directory.path()).client().unwrap();
        directory
    });
    copy_keys(template.path(), directory.path());
    builder(directory.path()).client().unwrap()
}

fn ann(password: &str) -> IdentityToken {
    IdentityToken::UserName("ann".into(), Password::new(password.to_owned()))
}

struct LoggedOn {
    session: Arc<Session>,
    events: tokio::task::JoinHandle<StatusCode>,
    _pki: tempfile::TempDir,
}

impl Drop for LoggedOn {
    fn drop(&mut self) {
        self.events.abort();
    }
}

/// Connects as it is wished; the status with which that ends otherwise.
async fn log_on(
    running: &Running,
    (policy, mode): (SecurityPolicy, MessageSecurityMode),
    token: IdentityToken,
) -> Result<LoggedOn, StatusCode> {
    let pki = tempfile::tempdir().unwrap();
    let mut client = client(&pki);
    let url = format!("opc.tcp://{}", running.server.address);
    let offered = client.get_server_endpoints_from_url(url.as_str()).await.unwrap();
    let mut endpoint = offered
        .into_iter()
        .find(|one| one.security_mode == MessageSecurityMode::SignAndEncrypt)
        .unwrap();
    endpoint.security_policy_uri = policy.to_uri().into();
    endpoint.security_mode = mode;
    endpoint.endpoint_url = url.into();
    let tokens = endpoint.user_identity_tokens.get_or_insert_default();
    if tokens.iter().all(|one| one.policy_id.as_ref() != "anonymous") {
        tokens.push(UserTokenPolicy::anonymous());
    }
    let (session, events) = client.connect_to_endpoint_directly(endpoint, token).unwrap();
    let mut events = events.spawn();
    tokio::select! {
        connected = session.wait_for_connection() => {
            assert!(connected);
            Ok(LoggedOn { session, events, _pki: pki })
        }
        ended = &mut events => Err(ended.unwrap()),
    }
}

const SECURED: (SecurityPolicy, MessageSecurityMode) =
    (SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt);

fn write(node_id: NodeId, value: impl Into<Variant>) -> WriteValue {
    WriteValue {
        node_id,
        attribute_id: AttributeId::Value as u32,
        index_range: NumericRange::None,
        value: DataValue { value: Some(value.into()), ..DataValue::default() },
    }
}

async fn read(session: &Session, ids: &[ReadValueId]) -> Vec<DataValue> {
    session.read(ids, TimestampsToReturn::Neither, 0.0).await.unwrap()
}

#[tokio::test]
async fn only_what_is_configured_opens_a_channel() {
    let running = Running::new().await;
    for (policy, mode) in [
        (SecurityPolicy::Basic128Rsa15, MessageSecurityMode::SignAndEncrypt),
        (SecurityPolicy::Basic256, MessageSecurityMode::SignAndEncrypt),
        (SecurityPolicy::Aes256Sha256RsaPss, MessageSecurityMode::SignAndEncrypt),
        (SecurityPolicy::Basic256Sha256, MessageSecurityMode::Sign),
    ] {
        let refused = log_on(&running, (policy, mode), ann("right")).await;
        assert!(refused.is_err(), "{policy} {mode:?} was accepted");
    }
    log_on(&running, SECURED, ann("right")).await.unwrap();
}

#[tokio::test]
async fn a_user_is_who_he_proves_to_be() {
    let running = Running::new().await;
    let stranger = IdentityToken::UserName("bob".into(), Password::new("right".to_owned()));
    for token in [ann("wrong"), stranger] {
        let refused = log_on(&running, SECURED, token).await.err();
        // Whether the name or the password is wrong is not said.
        assert_eq!(refused, Some(StatusCode::BadUserAccessDenied));
    }
    let refused = log_on(&running, SECURED, IdentityToken::Anonymous).await.err();
    assert_eq!(refused, Some(StatusCode::BadIdentityTokenRejected));
    assert!(log_on(&running, SECURED, ann("right")).await.is_ok());
}

#[tokio::test]
async fn values_are_written_by_type_and_rank() {
    let running = Running::new().await;
    let client = log_on(&running, SECURED, ann("right")).await.unwrap();
    let mut stamped = write(id("writable"), 6.0_f64);
    stamped.value.source_timestamp = Some(opcua::types::DateTime::now());
    let mut ranged = write(id("writable"), vec![6.0_f64]);
    ranged.index_range = NumericRange::Index(0);
    let mut name = write(id("writable"), LocalizedText::from("x"));
    name.attribute_id = AttributeId::DisplayName as u32;
    let writes = [
        write(id("writable"), "text"),
        write(id("writable"), 5_i32),
        write(id("writable"), vec![5.0_f64]),
        write(id("writable"), Variant::Empty),
        stamped,
        ranged,
        name,
        write(id("number"), 5_i32),
        write(id("writable"), 7.5_f64),
    ];
    let results = client.session.write(&writes).await.unwrap();
    use StatusCode as S;
    let wanted = [
        S::BadTypeMismatch,
        S::BadTypeMismatch,
        S::BadTypeMismatch,
        S::BadTypeMismatch,
        S::BadWriteNotSupported,
        S::BadWriteNotSupported,
        S::BadNotWritable,
        S::BadNotWritable,
        S::Good,
    ];
    assert_eq!(results, wanted);
    let read = read(&client.session, &[read_id(&id("writable"), AttributeId::Value)]).await;
    assert_eq!(read[0].value, Some(7.5_f64.into()));
}

#[tokio::test]
async fn rights_depend_on_the_user_and_the_channel() {
    let running = Running::new().await;
    let client = log_on(&running, SECURED, ann("right")).await.unwrap();
    let sessions =
        VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray;
    let values = read(
        &client.session,
        &[
            read_id(&id("writable"), AttributeId::UserAccessLevel),
            read_id(&id("number"), AttributeId::UserAccessLevel),
            read_id(&sessions.into(), AttributeId::Value),
        ],
    )
    .await;
    assert_eq!(values[0].value, Some(3_u8.into()), "an operator may write");
    assert_eq!(values[1].value, Some(1_u8.into()));
    // Who else is logged on is for those who run the server.
    assert_eq!(values[2].status, Some(StatusCode::BadUserAccessDenied));
}

#[tokio::test]
async fn passwords_cannot_be_tried_without_end_and_nobody_else_is_locked_out() {
    let running = Running::new().await;
    for _ in 0..10 {
        assert!(log_on(&running, SECURED, ann("wrong")).await.is_err());
    }
    // From here the right one is of no use for a while either, and others are not concerned.
    let locked = log_on(&running, SECURED, ann("right")).await.err();
    assert_eq!(locked, Some(StatusCode::BadUserAccessDenied));
    running.session().await;
}

#[tokio::test]
async fn a_user_who_is_removed_or_changed_has_no_session_any_more() {
    let running = Running::new().await;
    log_on(&running, SECURED, ann("right")).await.unwrap();
    let changed = User {
        name: "ann".into(),
        role: Role::Operator,
        password_hash: Some(hash_password("another").unwrap()),
        certificates: Vec::new(),
    };
    running.server.users.replace(vec![changed]);
    running.server.server.services().end_outdated_sessions();
    assert_eq!(running.server.server.services().usage().sessions, 0);
    assert!(log_on(&running, SECURED, ann("right")).await.is_err());
    let running = Running::new().await;
    let client = log_on(&running, SECURED, ann("right")).await.unwrap();
    let services = running.server.server.services();
    services.end_outdated_sessions();
    assert_eq!(services.usage().sessions, 1);
    running.server.users.replace(Vec::new());
    services.end_outdated_sessions();
    assert_eq!(services.usage().sessions, 0);
    let read = read_id(&id("number"), AttributeId::Value);
    let status = client.session.read(&[read], TimestampsToReturn::Neither, 0.0).await.unwrap_err();
    assert_eq!(status.status(), StatusCode::BadSessionIdInvalid);
}
