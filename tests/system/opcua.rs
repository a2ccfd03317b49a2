//! The OPC UA server seen by a client: it starts and offers what is configured, and nothing more.

use std::os::unix::fs::PermissionsExt as _;

use opcua::client::{ClientBuilder, IdentityToken};
use opcua::types::{
    MessageSecurityMode, NodeId, ReadValueId, StatusCode, TimestampsToReturn, UserTokenPolicy,
    VariableId, Variant,
};

use super::support::{Instance, configuration};

fn client(directory: &tempfile::TempDir) -> opcua::client::Client {
    ClientBuilder::new()
        .application_name("test")
        .application_uri("urn:test")
        .pki_dir(directory.path().join("client-pki"))
        .create_sample_keypair(false)
        .session_retry_limit(0)
        .client()
        .unwrap()
}

#[tokio::test]
async fn only_configured_endpoints_are_offered_and_the_key_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let config = configuration(directory.path(), None);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("open_endpoint = true", "open_endpoint = false")).unwrap();
    let instance = Instance::start(&config);
    let offered =
        client(&directory).get_server_endpoints_from_url(instance.opcua.as_str()).await.unwrap();
    let policies: Vec<_> = offered
        .iter()
        .map(|e| (e.security_policy_uri.as_ref().to_owned(), e.security_mode))
        .collect();
    let secured = ["Aes256_Sha256_RsaPss", "Basic256Sha256", "Aes128_Sha256_RsaOaep"].map(|name| {
        let uri = format!("http://opcfoundation.org/UA/SecurityPolicy#{name}");
        (uri, MessageSecurityMode::SignAndEncrypt)
    });
    assert_eq!(policies, secured);
    let key = directory.path().join("data/pki/server/private/private.pem");
    let mode = std::fs::metadata(key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn values_of_a_machine_that_is_not_there_are_bad_and_the_connection_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let instance = Instance::start(&configuration(directory.path(), None));
    let endpoint = (
        instance.opcua.as_str(),
        "http://opcfoundation.org/UA/SecurityPolicy#None",
        MessageSecurityMode::None,
        UserTokenPolicy::anonymous(),
    );
    let connected =
        client(&directory).connect_to_endpoint_directly(endpoint, IdentityToken::Anonymous);
    let (session, events) = connected.unwrap();
    let events = events.spawn();
    assert!(session.wait_for_connection().await);
    let namespaces = session
        .read(
            &[ReadValueId::from(NodeId::from(VariableId::Server_NamespaceArray))],
            TimestampsToReturn::Neither,
            0.0,
        )
        .await
        .unwrap();
    let Some(Variant::Array(names)) = &namespaces[0].value else { panic!("no namespaces") };
    let plant = Variant::from("urn:linewright:ua:plant:Demo");
    let index = names.values.iter().position(|name| *name == plant).unwrap() as u16;
    let node = |path: &str| ReadValueId::from(NodeId::new(index, path));
    let wanted = [
        node("machine/Bench/State"),
        node("machine/Bench/Connection/LastError"),
        node("machine/Bench/Counters/Good"),
    ];
    // Until the first attempt to connect has failed, the state is only waited for.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let read = loop {
        let read = session.read(&wanted, TimestampsToReturn::Both, 0.0).await.unwrap();
        if read[0].status != Some(StatusCode::BadWaitingForInitialData) {
            break read;
        }
        assert!(std::time::Instant::now() < deadline, "the state stays {:?}", read[0]);
        tokio::task::yield_now().await;
    };
    assert_eq!(read[0].status, Some(StatusCode::BadNoCommunication));
    assert_eq!(read[0].value, None);
    assert_eq!(read[2].status, Some(StatusCode::BadNodeIdUnknown), "it has no counter");
    assert!(read[1].status.is_none_or(|status| status.is_good()), "{:?}", read[1]);
    session.disconnect().await.unwrap();
    events.abort();
}
