//! Attacks on what there is only so much of: sessions, subscriptions, rejected certificates, the
//! time of the processor.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use opcua::core::ResponseMessage;
use opcua::types::{
    AttributeId, CloseSessionRequest, CreateMonitoredItemsRequest, CreateSubscriptionRequest,
    MonitoredItemCreateRequest, MonitoringMode, MonitoringParameters, NodeId, ReadValueId,
    StatusCode, TimestampsToReturn, VariableId,
};

use super::raw::{Raw, frame, result};
use super::target::{Target, read_state};

#[tokio::test]
async fn sessions_without_users() {
    let target = Target::start();
    let mut attacker = target.open().await.unwrap();
    for _ in 0..1000 {
        let answer = attacker.create_session().await.unwrap();
        assert!(result(&answer).is_good());
    }
    // Others log on all the same.
    let mut other = Raw::session(target.address).await;
    let request = read_state(&mut other);
    assert!(result(&other.call(request).await.unwrap()).is_good());
    target.stands();
}

async fn leave_subscriptions(attacker: &mut Raw) -> (usize, usize) {
    attacker.session = NodeId::null();
    attacker.log_on().await.unwrap();
    let (mut subscriptions, mut items) = (0, 0);
    for _ in 0..20 {
        let request = CreateSubscriptionRequest {
            request_header: attacker.header(),
            requested_publishing_interval: 1e12,
            requested_lifetime_count: u32::MAX,
            requested_max_keep_alive_count: u32::MAX,
            max_notifications_per_publish: 0,
            publishing_enabled: true,
            priority: 255,
        };
        let answer = attacker.call(request).await.unwrap();
        let ResponseMessage::CreateSubscription(created) = answer else {
            assert_eq!(result(&answer), StatusCode::BadTooManySubscriptions);
            break;
        };
        subscriptions += 1;
        let item = MonitoredItemCreateRequest {
            item_to_monitor: ReadValueId {
                node_id: VariableId::Server_ServerStatus_CurrentTime.into(),
                attribute_id: AttributeId::Value as u32,
                ..ReadValueId::default()
            },
            monitoring_mode: MonitoringMode::Reporting,
            requested_parameters: MonitoringParameters {
                client_handle: 1,
                sampling_interval: 0.0,
                filter: Default::default(),
                queue_size: u32::MAX,
                discard_oldest: true,
            },
        };
        let request = CreateMonitoredItemsRequest {
            request_header: attacker.header(),
            subscription_id: created.subscription_id,
            timestamps_to_return: TimestampsToReturn::Both,
            items_to_create: Some(vec![item; 1000]),
        };
        let answer = attacker.call(request).await.unwrap();
        if let ResponseMessage::CreateMonitoredItems(created) = answer {
            let good = created.results.unwrap();
            items += good.iter().filter(|one| one.status_code.is_good()).count();
        }
    }
    let close =
        CloseSessionRequest { request_header: attacker.header(), delete_subscriptions: false };
    assert!(result(&attacker.call(close).await.unwrap()).is_good());
    (subscriptions, items)
}

#[tokio::test]
async fn subscriptions_that_are_left_behind() {
    let target = Target::start();
    let mut attacker = target.open().await.unwrap();
    let (mut subscriptions, mut items) = (0, 0);
    for _ in 0..20 {
        let (more, more_items) = leave_subscriptions(&mut attacker).await;
        subscriptions += more;
        items += more_items;
    }
    assert_eq!((subscriptions, items), (400, 200_000), "items are bounded in all");
    target.stands();
}

/// Opening a channel with a certificate that nobody has seen before.
fn open_with(certificate: &[u8]) -> Vec<u8> {
    let uri = b"http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256";
    let mut body = vec![0; 4];
    for part in [&uri[..], certificate, &[7; 20]] {
        body.extend((part.len() as u32).to_le_bytes());
        body.extend(part);
    }
    body.extend([0; 512]);
    frame(b"OPNF", &body)
}

#[tokio::test]
async fn ever_new_certificates_do_not_fill_the_disk() {
    let target =
        Target::start_in(&mut std::process::Command::new(super::support::BINARY), |text| {
            text.replace("trust_all_clients = true", "trust_all_clients = false")
        });
    let pki = target.directory.path().join("data/pki/server");
    let certificate = std::fs::read(pki.join("own/cert.der")).unwrap();
    // The signature of a certificate is looked at last, so it can be anything.
    for number in 0..120_u32 {
        let mut other = certificate.clone();
        let end = other.len();
        other[end - 4..].copy_from_slice(&number.to_le_bytes());
        let Ok(mut attacker) = target.connect().await else { continue };
        if attacker.say_hello().await.is_err() {
            // Too many at once; that is a defence too.
            tokio::time::sleep(Duration::from_millis(60)).await;
            continue;
        }
        attacker.write(&open_with(&other)).await;
        let ended = attacker.read_frame().await.unwrap_err();
        assert_eq!(ended.status, Some(StatusCode::BadSecurityChecksFailed));
    }
    let rejected = std::fs::read_dir(pki.join("rejected")).unwrap().count();
    assert!((1..=20).contains(&rejected), "{rejected} files");
    target.stands();
}

#[tokio::test]
async fn readers_that_do_not_listen_to_their_answers() {
    let target = Target::start();
    let mut attacks = Vec::new();
    for _ in 0..8 {
        let mut attacker = target.session().await;
        attacks.push(async move {
            loop {
                let mut request = read_state(&mut attacker);
                let node = ReadValueId {
                    node_id: VariableId::Server_ServerStatus_BuildInfo.into(),
                    attribute_id: AttributeId::Value as u32,
                    ..ReadValueId::default()
                };
                request.nodes_to_read = Some(vec![node; 5000]);
                // Waits when the server reads no more, and that is what it should do.
                attacker.send(request).await;
            }
        });
    }
    let all = futures::future::join_all(attacks);
    let over = tokio::time::timeout(Duration::from_secs(3), all).await;
    assert!(over.is_err(), "they end only because time is up");
    target.stands();
}

#[test]
fn passwords_that_many_try_at_once() {
    let target = Target::start();
    // Somebody who has proved himself waits for nobody.
    assert_eq!(target.instance.get("/v1/orders").status, 200);
    let url = format!("{}/v1/orders", target.instance.http);
    std::thread::scope(|scope| {
        for number in 0..60 {
            let (agent, url, target) = (target.instance.agent(), &url, &target);
            scope.spawn(move || {
                while target.goes_on() {
                    let stranger = BASE64.encode(format!("stranger{number}:a wrong password"));
                    let request =
                        agent.get(url).header("Authorization", format!("Basic {stranger}"));
                    let status = request.call().unwrap().status().as_u16();
                    assert!([401, 503].contains(&status), "{status}");
                }
            });
        }
        while target.goes_on() {
            let start = Instant::now();
            // One who is told to come again does so.
            while target.instance.get("/v1/orders").status == 503 {}
            assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        }
    });
    target.stands();
}
