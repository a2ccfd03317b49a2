//! Our client to machines against our server: whoever it must be, whatever the cable does.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use linewright::channel::pki::{OwnIdentity, PeerCertificate, Place, Store, create};
use linewright::domain::time::Span;
use linewright::machine::client::{
    Credentials, Dialer, Failure, FailureKind, Message, Notification, PATIENCE, Protection,
    Session, Target,
};
use linewright::server::{Mode, Offer, Policy};
use linewright::sys::WallClock;
use opcua::crypto::SecurityPolicy;
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowsePath, BrowseResultMask, DataValue,
    DateTime, MessageSecurityMode, NodeId, ObjectId, QualifiedName, ReferenceTypeId, RelativePath,
    RelativePathElement, StatusCode, TimestampsToReturn, VariableId, Variant,
};

use super::chaos::{Cable, Fault};
use super::space::{TestClock, id, test_limits, value_at, variable};
use super::support::{Running, copy_keys, item, read_id, until};

pub const SECURED: Protection = Protection {
    policy: SecurityPolicy::Basic256Sha256,
    mode: MessageSecurityMode::SignAndEncrypt,
};

/// The client's key is made once for all tests.
pub fn keys(directory: &Path) {
    static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        create(directory.path(), "urn:linewright:client", &[]).unwrap();
        directory
    });
    copy_keys(template.path(), directory);
}

struct Ours {
    dialer: Dialer,
    pki: tempfile::TempDir,
}

impl Ours {
    fn new() -> Ours {
        let pki = tempfile::tempdir().unwrap();
        keys(pki.path());
        Ours { dialer: Dialer::new(pki.path(), Arc::new(WallClock)), pki }
    }

    /// The server's certificate, in a file among the trusted ones.
    fn trusting(running: &Running) -> Ours {
        let ours = Ours::new();
        let trusted = ours.pki.path().join("trusted");
        std::fs::create_dir_all(&trusted).unwrap();
        std::fs::copy(running._pki.path().join("own/cert.der"), trusted.join("server.der"))
            .unwrap();
        ours
    }

    async fn log_on(&self, target: &Target) -> Result<Session, Failure> {
        let found = self.dialer.find(target).await?;
        self.dialer.log_on(&found).await
    }
}

pub fn target(url: String, protection: Protection) -> Target {
    let credentials = match protection.is_secured() {
        true => ann("right"),
        false => Credentials::Anonymous,
    };
    Target { url, protection, pinned: None, credentials, name: "test".into() }
}

fn ann(password: &str) -> Credentials {
    Credentials::Password { name: "ann".into(), password: password.into() }
}

fn url(running: &Running) -> String {
    format!("opc.tcp://{}", running.server.address)
}

async fn state(session: &Session) -> Result<Option<Variant>, Failure> {
    let node = read_id(&VariableId::Server_ServerStatus_State.into(), AttributeId::Value);
    let read = session.read(&[node], TimestampsToReturn::Neither).await?;
    Ok(read.into_iter().next().unwrap().value)
}

#[tokio::test]
async fn every_policy_and_mode_that_a_machine_offers_can_be_used() {
    let policies = [
        (Policy::Basic256Sha256, SecurityPolicy::Basic256Sha256),
        (Policy::Aes128Sha256RsaOaep, SecurityPolicy::Aes128Sha256RsaOaep),
        (Policy::Aes256Sha256RsaPss, SecurityPolicy::Aes256Sha256RsaPss),
    ];
    let modes = [
        (Mode::Sign, MessageSecurityMode::Sign),
        (Mode::SignAndEncrypt, MessageSecurityMode::SignAndEncrypt),
    ];
    let pairs = policies.iter().flat_map(|policy| modes.iter().map(move |mode| (policy, mode)));
    let pairs: Vec<_> = pairs.collect();
    let mut offers = vec![Offer::OPEN];
    offers.extend(pairs.iter().map(|(policy, mode)| Offer { policy: policy.0, mode: mode.0 }));
    let running = Running::offering(offers).await;
    let ours = Ours::trusting(&running);
    let secured = pairs.iter().map(|(policy, mode)| Protection { policy: policy.1, mode: mode.1 });
    for protection in secured.chain([Protection::NONE]) {
        let session = ours.log_on(&target(url(&running), protection)).await.unwrap();
        assert_eq!(state(&session).await.unwrap(), Some(Variant::Int32(0)), "{protection:?}");
        session.close().await;
    }
    until(|| running.server.server.services().usage().sessions == 0).await;
}

#[tokio::test]
async fn a_machine_is_believed_when_it_is_trusted_or_pinned_and_not_before() {
    let running = Running::new().await;
    let ours = Ours::new();
    let mut target = target(url(&running), SECURED);
    let refused = ours.log_on(&target).await.err().unwrap();
    assert_eq!(refused.kind, FailureKind::Untrusted);
    assert_eq!(refused.status, StatusCode::BadCertificateUntrusted);
    let der = std::fs::read(running._pki.path().join("own/cert.der")).unwrap();
    let server = PeerCertificate::from_der(&der).unwrap();
    assert!(refused.text.contains("pki trust --side client"), "{refused}");
    assert!(refused.text.contains(server.short_id()), "{refused}");

    target.pinned = Some("00".into());
    let refused = ours.log_on(&target).await.err().unwrap();
    assert!(refused.text.contains("not the pinned 00"), "{refused}");
    target.pinned = Some(server.fingerprint.to_uppercase());
    ours.log_on(&target).await.unwrap().close().await;

    target.pinned = None;
    Store::new(ours.pki.path()).move_to(&server.fingerprint, Place::Trusted).unwrap();
    let trusted = async {
        while ours.log_on(&target).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), trusted).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_a_person_has_trusted_does_not_stop_a_plant_when_it_expires() {
    let running = Running::new().await;
    let trusting = Ours::trusting(&running);
    let clock = Arc::new(TestClock::default());
    clock.set(Span::from_seconds(20 * 366 * 24 * 3600));
    let later = |pki: &tempfile::TempDir| Dialer::new(pki.path(), clock.clone());
    let target = target(url(&running), SECURED);
    assert!(later(&trusting.pki).find(&target).await.is_ok());
    let refused = later(&Ours::new().pki).find(&target).await.err().unwrap();
    assert_eq!(refused.kind, FailureKind::Untrusted, "an expired one that nobody has trusted");
}

#[tokio::test]
async fn users_log_on_as_they_are_configured_and_refusals_say_what_to_change() {
    let running = Running::new().await;
    let ours = Ours::trusting(&running);
    let mut target = target(url(&running), SECURED);
    target.credentials = ann("wrong");
    let refused = ours.log_on(&target).await.err().unwrap();
    assert_eq!(refused.status, StatusCode::BadUserAccessDenied);
    target.credentials = Credentials::Anonymous;
    let refused = ours.log_on(&target).await.err().unwrap();
    assert!(refused.text.contains("change `user`"), "{refused}");
    // A certificate of a user: known to the server by its fingerprint.
    let pki = tempfile::tempdir().unwrap();
    keys(pki.path());
    let own = OwnIdentity::load_or_create(pki.path(), "urn:linewright:client", &[]).unwrap();
    let known = linewright::app::access::User {
        name: "robot".into(),
        role: linewright::domain::role::Role::Operator,
        password_hash: None,
        certificates: vec![own.certificate.fingerprint.clone()],
    };
    target.credentials = Credentials::Certificate {
        certificate: pki.path().join("own/cert.der"),
        key: pki.path().join("private/private.pem"),
    };
    assert!(ours.log_on(&target).await.is_err(), "nobody knows the certificate yet");
    running.server.users.replace(vec![known]);
    ours.log_on(&target).await.unwrap();
}

#[tokio::test]
async fn a_password_is_told_to_no_machine_that_is_not_trusted() {
    let running = Running::new().await;
    let mut target = target(url(&running), Protection::NONE);
    target.credentials = ann("right");
    let refused = Ours::new().log_on(&target).await.err().unwrap();
    assert_eq!(refused.kind, FailureKind::Untrusted, "{refused}");
    // Over the open endpoint of a machine that is known it is encrypted, if the machine takes it.
    let answer = Ours::trusting(&running).log_on(&target).await;
    if let Err(refused) = answer {
        assert!(refused.text.contains("change `user`"), "{refused}");
    }
}

#[tokio::test]
async fn what_a_machine_does_not_offer_is_named_with_what_it_offers() {
    let running = Running::new().await;
    let ours = Ours::trusting(&running);
    let protection = Protection {
        policy: SecurityPolicy::Aes256Sha256RsaPss,
        mode: MessageSecurityMode::SignAndEncrypt,
    };
    let refused = ours.log_on(&target(url(&running), protection)).await.err().unwrap();
    assert!(refused.text.contains("Basic256Sha256 SignAndEncrypt"), "{refused}");
    let nobody = ours.log_on(&target("opc.tcp://127.0.0.1:1".into(), Protection::NONE)).await;
    assert_eq!(nobody.err().unwrap().kind, FailureKind::Lost);
}

fn children(node: &NodeId) -> BrowseDescription {
    BrowseDescription {
        node_id: node.clone(),
        browse_direction: BrowseDirection::Forward,
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        include_subtypes: true,
        node_class_mask: 0,
        result_mask: BrowseResultMask::All as u32,
    }
}

#[tokio::test]
async fn browsing_goes_to_the_end_and_large_answers_come_whole() {
    let running = Running::new().await;
    let session = Ours::trusting(&running).log_on(&target(url(&running), SECURED)).await.unwrap();
    let types = children(&ObjectId::TypesFolder.into());
    let browsed = session.browse(&[types, children(&id("nowhere at all"))]).await.unwrap();
    assert!(browsed[0].references.len() >= 4 && browsed[0].status.is_good());
    assert_eq!(browsed[1].status, StatusCode::BadNodeIdUnknown);
    // More than a chunk in both directions: 1000 nodes, and a text of half a megabyte each.
    let text = "x".repeat(2000);
    running.server.space.set(&id("text"), value_at(text.as_str(), DateTime::now()));
    let ids = vec![read_id(&id("text"), AttributeId::Value); 1000];
    let read = session.read(&ids, TimestampsToReturn::Both).await.unwrap();
    assert_eq!(read.len(), 1000);
    assert!(read.iter().all(|one| one.value == Some(text.as_str().into())));
}

#[tokio::test]
async fn a_machine_that_refuses_so_many_at_once_is_asked_for_fewer_from_then_on() {
    let mut limits = test_limits();
    let operations = &mut limits.operations;
    // What is read of every machine at first must be taken.
    operations.read = 20;
    (operations.browse, operations.translate, operations.monitored_items) = (7, 7, 7);
    let running = Running::refusing(limits).await;
    let session = Ours::new().log_on(&target(url(&running), Protection::NONE)).await.unwrap();
    let ids: Vec<_> = (0..50).map(|number| variable(number % 10)).collect();
    let asked: Vec<_> = ids.iter().map(|id| read_id(id, AttributeId::BrowseName)).collect();
    let read = session.read(&asked, TimestampsToReturn::Neither).await.unwrap();
    assert_eq!(read.iter().filter(|one| one.value.is_some()).count(), 50);
    let browsed = session.browse(&vec![children(&id("root")); 50]).await.unwrap();
    assert!(browsed.iter().all(|one| one.references.len() > 5) && browsed.len() == 50);
    let path = BrowsePath {
        starting_node: ObjectId::ObjectsFolder.into(),
        relative_path: RelativePath { elements: Some(vec![element("root")]) },
    };
    let found = session.translate(&vec![path; 50]).await.unwrap();
    assert!(found.iter().all(|one| *one == Ok(id("root"))) && found.len() == 50);
    let subscription = session.subscribe(Duration::from_millis(20), 10, 1000).await.unwrap();
    let items: Vec<_> = ids.iter().zip(1..).map(|(id, handle)| item(id, handle)).collect();
    let watched = session.watch(subscription.id, &items).await.unwrap();
    let numbers: Vec<_> = watched.iter().map(|one| one.id).collect();
    assert_eq!(running.server.server.services().usage().items, 50, "none was made twice");
    let ended = session.unwatch(subscription.id, &numbers).await.unwrap();
    assert!(ended.iter().all(|status| status.is_good()) && ended.len() == 50);
    let learned = session.limits();
    assert!(learned.items <= 7 && learned.browse <= 7 && learned.translate <= 7, "{learned:?}");
    assert!(learned.read <= 20 && learned.write == 1000, "{learned:?}");
}

fn element(name: &str) -> RelativePathElement {
    RelativePathElement {
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        is_inverse: false,
        include_subtypes: true,
        target_name: QualifiedName::new(id(name).namespace, name),
    }
}

#[tokio::test]
async fn a_machine_that_is_silent_holds_nobody_up() {
    let running = Running::new().await;
    let cable = Cable::to(running.server.address).await;
    let session = Ours::new().log_on(&target(cable.url(), Protection::NONE)).await.unwrap();
    cable.set(Fault::BlackHole);
    let began = std::time::Instant::now();
    let node = read_id(&variable(0), AttributeId::Value);
    let request = opcua::types::ReadRequest {
        request_header: session.header(Duration::from_millis(100)),
        nodes_to_read: Some(vec![node]),
        ..opcua::types::ReadRequest::default()
    };
    let asked = session.ask(request, Duration::from_millis(100)).await;
    assert_eq!(asked.err().unwrap().kind, FailureKind::Silent);
    assert!(began.elapsed() < PATIENCE);
    cable.set(Fault::None);
    assert!(state(&session).await.is_ok(), "a late answer to nobody is no harm");
    cable.set(Fault::Cut);
    let ended = session.connection().ended().await;
    assert_eq!(ended.kind, FailureKind::Lost);
    assert_eq!(state(&session).await.err().unwrap().kind, FailureKind::Lost);
}

fn values(message: &Message) -> Vec<(u32, Option<Variant>)> {
    let changes = message.notifications.iter().flat_map(|one| match one {
        Notification::Changes(changes) => changes.clone(),
        _ => Vec::new(),
    });
    changes.map(|(handle, value)| (handle, value.value)).collect()
}

async fn next(session: &Session) -> Message {
    let news = async {
        loop {
            let published = session.publish(Vec::new(), PATIENCE).await.unwrap();
            if !published.message.notifications.is_empty() {
                return published.message;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), news).await.unwrap()
}

fn number(value: i32) -> DataValue {
    value_at(value, DateTime::now())
}

#[tokio::test]
async fn a_session_goes_on_over_another_connection_and_what_was_told_is_told_again() {
    let running = Running::new().await;
    let cable = Cable::to(running.server.address).await;
    let ours = Ours::trusting(&running);
    for protection in [Protection::NONE, SECURED] {
        let found = ours.dialer.find(&target(cable.url(), protection)).await.unwrap();
        let session = ours.dialer.log_on(&found).await.unwrap();
        let subscription = session.subscribe(Duration::from_millis(20), 10, 1000).await.unwrap();
        let watched = session.watch(subscription.id, &[item(&id("number"), 7)]).await.unwrap();
        assert!(watched[0].status.is_good());
        let first = next(&session).await;
        assert_eq!(values(&first).len(), 1);
        let passport = session.passport().clone();
        cable.cut_once().await;
        session.connection().ended().await;
        for value in 20..30 {
            running.push(&id("number"), number(value));
        }
        let session = ours.dialer.go_on(&found, passport.clone()).await.unwrap();
        let again = session.republish(subscription.id, first.sequence).await.unwrap();
        assert_eq!(values(&again), values(&first));
        let mut seen = Vec::new();
        while seen.len() < 10 {
            seen.extend(values(&next(&session).await));
        }
        let wanted: Vec<_> = (20..30).map(|value| (7, Some(Variant::Int32(value)))).collect();
        assert_eq!(seen, wanted);
        session.close().await;
        let gone = ours.dialer.go_on(&found, passport).await.err().unwrap();
        assert!(gone.is_session_gone(), "{gone:?}");
    }
}

#[tokio::test]
async fn a_subscription_is_taken_over_by_another_session() {
    let running = Running::new().await;
    let ours = Ours::new();
    let found = ours.dialer.find(&target(url(&running), Protection::NONE)).await.unwrap();
    let old = ours.dialer.log_on(&found).await.unwrap();
    let subscription = old.subscribe(Duration::from_millis(20), 10, 1000).await.unwrap();
    old.watch(subscription.id, &[item(&id("number"), 7)]).await.unwrap();
    let first = next(&old).await;
    let new = ours.dialer.log_on(&found).await.unwrap();
    let available = new.transfer(subscription.id).await.unwrap().unwrap();
    assert_eq!(available, [first.sequence]);
    running.push(&id("number"), number(41));
    let mut seen = Vec::new();
    while !seen.contains(&(7, Some(Variant::Int32(41)))) {
        seen.extend(values(&next(&new).await));
    }
    let unknown = new.transfer(subscription.id + 1).await.unwrap();
    assert_eq!(unknown.err(), Some(StatusCode::BadSubscriptionIdInvalid));
}
