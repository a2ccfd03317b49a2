//! Sessions: whose they are, how many there may be, what they leave.

use std::time::Duration;

use linewright::server::services::Usage;
use opcua::core::ResponseMessage;
use opcua::types::{
    ActivateSessionRequest, AttributeId, CancelRequest, CloseSessionRequest, NodeId, ReadRequest,
    SecurityTokenRequestType, StatusCode, TimestampsToReturn, TransferSubscriptionsRequest,
    VariableId, Variant,
};

use super::raw::{Raw, result};
use super::space::{id, test_limits, variable};
use super::support::{
    Running, ask, collect, fault, item, read_id, read_value, subscribe, subscribe_as, subscription,
    until, watch,
};

fn read_number(client: &mut Raw) -> ReadRequest {
    ReadRequest {
        request_header: client.header(),
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Neither,
        nodes_to_read: Some(vec![read_id(&id("number"), AttributeId::Value)]),
    }
}

fn close(client: &mut Raw, delete_subscriptions: bool) -> CloseSessionRequest {
    CloseSessionRequest { request_header: client.header(), delete_subscriptions }
}

#[tokio::test]
async fn a_stolen_token_is_of_no_use_on_another_channel() {
    let running = Running::new().await;
    let mut owner = running.session().await;
    let mut thief = Raw::connect(running.server.address).await.unwrap();
    thief.session = owner.session.clone();
    let request = read_number(&mut thief);
    assert_eq!(fault(&mut thief, request).await, StatusCode::BadSecureChannelIdInvalid);
    let request = close(&mut thief, true);
    assert_eq!(fault(&mut thief, request).await, StatusCode::BadSecureChannelIdInvalid);
    let request = read_number(&mut owner);
    assert_eq!(fault(&mut owner, request).await, StatusCode::Good);
}

#[tokio::test]
async fn a_token_that_is_none_is_refused() {
    let running = Running::new().await;
    let mut client = running.session().await;
    for token in [NodeId::null(), NodeId::new(0, 1_u32), NodeId::new(9, "guess")] {
        client.session = token;
        let request = read_number(&mut client);
        assert_eq!(fault(&mut client, request).await, StatusCode::BadSessionIdInvalid);
    }
}

#[tokio::test]
async fn a_session_without_a_user_is_of_no_use_and_using_it_ends_it() {
    let running = Running::new().await;
    let mut client = Raw::connect(running.server.address).await.unwrap();
    let ResponseMessage::CreateSession(created) = client.create_session().await.unwrap() else {
        panic!("no session")
    };
    client.session = created.authentication_token.clone();
    let request = read_number(&mut client);
    assert_eq!(fault(&mut client, request).await, StatusCode::BadSessionNotActivated);
    let request = read_number(&mut client);
    assert_eq!(fault(&mut client, request).await, StatusCode::BadSessionIdInvalid);
}

#[tokio::test]
async fn sessions_that_nobody_logs_on_to_keep_nobody_out() {
    let running = Running::new().await;
    let mut honest = running.session().await;
    let mut hostile = Raw::connect(running.server.address).await.unwrap();
    for _ in 0..99 {
        let answer = hostile.create_session().await.unwrap();
        assert!(result(&answer).is_good());
    }
    let limit = test_limits().sessions.pending;
    assert_eq!(running.server.server.services().usage().sessions, limit + 1);
    let mut other = running.session().await;
    for client in [&mut honest, &mut other] {
        let request = read_number(client);
        assert_eq!(fault(client, request).await, StatusCode::Good);
    }
}

#[tokio::test]
async fn sessions_without_a_user_end_after_a_while() {
    let mut limits = test_limits();
    limits.sessions.activate_within = Duration::from_millis(50);
    let running = Running::with(limits).await;
    let mut client = Raw::connect(running.server.address).await.unwrap();
    client.create_session().await.unwrap();
    until(|| running.server.server.services().usage().sessions == 0).await;
}

#[tokio::test]
async fn a_session_that_is_not_used_ends_and_its_subscriptions_can_still_be_fetched() {
    let mut limits = test_limits();
    limits.sessions.timeout_min = Duration::from_millis(100);
    limits.sessions.timeout_max = Duration::from_millis(100);
    let running = Running::with(limits).await;
    let mut lost = running.session().await;
    let known = subscribe(&mut lost).await;
    watch(&mut lost, known, vec![item(&id("number"), 1)]).await;
    let services = running.server.server.services();
    until(|| services.usage().sessions == 0).await;
    let request = read_number(&mut lost);
    assert_eq!(fault(&mut lost, request).await, StatusCode::BadSessionIdInvalid);
    assert_eq!(services.usage().subscriptions, 1);
    let mut back = running.session().await;
    let transfer = TransferSubscriptionsRequest {
        request_header: back.header(),
        subscription_ids: Some(vec![known]),
        send_initial_values: false,
    };
    assert!(fault(&mut back, transfer).await.is_good());
    // What it had seen before was not fetched by anybody and is there still.
    assert_eq!(collect(&mut back, 1).await[0].1.value, Some(1_i32.into()));
}

#[tokio::test]
async fn sessions_are_bounded_in_all_and_by_user() {
    let mut limits = test_limits();
    limits.sessions.per_user = 2;
    let running = Running::with(limits).await;
    let (_one, _two) = (running.session().await, running.session().await);
    let mut third = Raw::connect(running.server.address).await.unwrap();
    let ResponseMessage::CreateSession(created) = third.create_session().await.unwrap() else {
        panic!("no session")
    };
    third.session = created.authentication_token.clone();
    let activate = ActivateSessionRequest { request_header: third.header(), ..Default::default() };
    assert_eq!(fault(&mut third, activate).await, StatusCode::BadTooManySessions);
}

#[tokio::test]
async fn requests_that_wait_can_be_cancelled() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut slow = subscription(&mut client);
    slow.requested_publishing_interval = 3_600_000.0;
    subscribe_as(&mut client, slow).await;
    let waiting = ask(&mut client, Vec::new()).await;
    let request_handle = client.header().request_handle - 1;
    let cancel = CancelRequest { request_header: client.header(), request_handle };
    let ResponseMessage::Cancel(cancelled) = client.call(cancel).await.unwrap() else {
        panic!("not cancelled")
    };
    assert_eq!(cancelled.cancel_count, 1);
    let answer = client.answer(waiting).await.unwrap();
    assert_eq!(result(&answer), StatusCode::BadRequestCancelledByClient);
}

#[tokio::test]
async fn a_request_waits_no_longer_than_its_client() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut slow = subscription(&mut client);
    slow.requested_publishing_interval = 20.0;
    subscribe_as(&mut client, slow).await;
    super::support::publish(&mut client).await;
    let request = opcua::types::PublishRequest {
        request_header: opcua::types::RequestHeader { timeout_hint: 50, ..client.header() },
        subscription_acknowledgements: None,
    };
    assert_eq!(fault(&mut client, request).await, StatusCode::BadTimeout);
}

#[tokio::test]
async fn closing_a_session_takes_everything_with_it_or_leaves_what_shall_be_left() {
    let running = Running::new().await;
    let services = running.server.server.services().clone();
    for (delete, left) in [(true, 0), (false, 1)] {
        let mut client = running.session().await;
        let mut request = subscription(&mut client);
        (request.requested_lifetime_count, request.requested_max_keep_alive_count) = (30, 10);
        let known = subscribe_as(&mut client, request).await;
        watch(&mut client, known, (0..10).map(|n| item(&variable(n), 1)).collect()).await;
        let request = close(&mut client, delete);
        assert!(fault(&mut client, request).await.is_good());
        let wanted = Usage { sessions: 0, subscriptions: left, items: 10 * left };
        assert_eq!(services.usage(), wanted);
    }
    // What was left lives for its lifetime of 30 times 20 ms and no longer.
    until(|| services.usage() == Usage::default()).await;
    assert!(services.hub().watched().is_empty());
}

#[tokio::test]
async fn a_thousand_sessions_leave_nothing() {
    let running = Running::new().await;
    let services = running.server.server.services().clone();
    let mut client = Raw::connect(running.server.address).await.unwrap();
    for _ in 0..1000 {
        client.session = NodeId::null();
        client.log_on().await.unwrap();
        let known = subscribe(&mut client).await;
        watch(&mut client, known, vec![item(&id("number"), 1)]).await;
        let request = close(&mut client, true);
        assert!(fault(&mut client, request).await.is_good());
    }
    assert_eq!(services.usage(), Usage::default());
    assert!(services.hub().watched().is_empty());
    client.session = NodeId::null();
    client.log_on().await.unwrap();
    let summary =
        VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSessionCount;
    assert_eq!(read_value(&mut client, summary).await, 1001_u32.into());
}

#[tokio::test]
async fn a_channel_is_renewed_under_load_without_losing_anything() {
    let mut limits = test_limits();
    limits.wire.admission.open_interval = Duration::from_millis(1);
    let running = Running::with(limits).await;
    let mut client = running.session().await;
    let known = subscribe(&mut client).await;
    watch(&mut client, known, vec![item(&id("number"), 1)]).await;
    let first = client.token;
    let mut wanted = Vec::new();
    for _ in 0..20 {
        for _ in 0..5 {
            let request = read_number(&mut client);
            wanted.push(client.send(request).await);
        }
        // A channel is not opened more often than it may be, the first time after the session neither.
        tokio::time::sleep(Duration::from_millis(2)).await;
        // Requests under the old token are under way when the new one is made.
        client.open(SecurityTokenRequestType::Renew, 60_000).await.unwrap();
    }
    assert!(client.token > first);
    for request in wanted {
        let answer = client.answer(request).await.unwrap();
        assert!(result(&answer).is_good(), "{answer:?}");
    }
    assert_eq!(collect(&mut client, 1).await.len(), 1);
}

#[tokio::test]
async fn lifetimes_of_channels_are_bounded_and_a_channel_is_issued_once() {
    let running = Running::new().await;
    for (wanted, given) in [(1, 30_000), (60_000, 60_000), (0, 3_600_000), (u32::MAX, 3_600_000)] {
        let mut client = Raw::greet(running.server.address).await.unwrap();
        client.open(SecurityTokenRequestType::Issue, wanted).await.unwrap();
        assert_eq!(client.lifetime, given);
    }
    let mut client = Raw::connect(running.server.address).await.unwrap();
    let again = client.open(SecurityTokenRequestType::Issue, 0).await.unwrap_err();
    assert!(again.status.is_some_and(|status| status.is_bad()), "{again:?}");
}

#[tokio::test]
async fn a_stop_is_announced_to_those_who_are_there() {
    let Running { server, _pki } = Running::new().await;
    let mut client = Raw::session(server.address).await;
    let stopping = tokio::spawn(server.server.stop());
    loop {
        let state = read_value(&mut client, VariableId::Server_ServerStatus_State).await;
        if state == 4_i32.into() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let reason = read_value(&mut client, VariableId::Server_ServerStatus_ShutdownReason).await;
    let text = opcua::types::LocalizedText::from("Linewright is stopping");
    assert_eq!(reason, text.into());
    let left = VariableId::Server_ServerStatus_SecondsTillShutdown;
    let Variant::UInt32(left) = read_value(&mut client, left).await else { panic!("no time") };
    assert!(left <= 5, "{left} s");
    stopping.await.unwrap();
    let ended = loop {
        if let Err(ended) = client.receive().await {
            break ended;
        }
    };
    assert_eq!(ended.status, Some(StatusCode::BadShutdown));
}
