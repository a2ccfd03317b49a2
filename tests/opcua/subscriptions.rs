//! Subscriptions: when they speak, when they end, who gets what they say.

use std::time::Duration;

use opcua::core::ResponseMessage;
use opcua::types::{
    CallMethodRequest, CallRequest, DataValue, DateTime, DeleteSubscriptionsRequest, MethodId,
    ModifySubscriptionRequest, ObjectId, RepublishRequest, SetPublishingModeRequest, StatusCode,
    SubscriptionAcknowledgement, TransferSubscriptionsRequest, Variant,
};

use super::raw::{Raw, result};
use super::space::{NS, id, test_limits, value_at, variable};
use super::support::{
    Running, ask, changes, collect, fault, item, next_news, publish, published, status_change,
    subscribe, subscribe_as, subscription, until, watch,
};

fn good(value: impl Into<Variant>, at: i64) -> DataValue {
    value_at(value.into(), DateTime::from(at))
}

async fn watching(client: &mut Raw, node: &str) -> u32 {
    let subscription = subscribe(client).await;
    watch(client, subscription, vec![item(&id(node), 1)]).await;
    subscription
}

#[tokio::test]
async fn a_subscription_begins_with_the_present_value_and_its_own_time() {
    let running = Running::new().await;
    running.push(&id("number"), good(7_i32, 1234));
    let mut client = running.session().await;
    watching(&mut client, "number").await;
    let first = collect(&mut client, 1).await;
    assert_eq!(first[0].1.value, Some(7_i32.into()));
    assert_eq!(first[0].1.source_timestamp, Some(DateTime::from(1234)));
}

#[tokio::test]
async fn source_times_are_the_machines_own_whether_late_early_or_the_same() {
    let running = Running::new().await;
    let mut client = running.session().await;
    watching(&mut client, "number").await;
    collect(&mut client, 1).await;
    let hour = 36_000_000_000;
    let now = DateTime::now().ticks();
    let times = [now, now - hour, now + hour, now + hour, now];
    for (number, at) in (10..).zip(times) {
        running.push(&id("number"), good(number, at));
    }
    let seen = collect(&mut client, 5).await;
    let seen: Vec<_> = seen.iter().map(|(_, v)| v.source_timestamp.unwrap().ticks()).collect();
    assert_eq!(seen, times);
}

#[tokio::test]
async fn a_change_of_status_alone_is_a_change() {
    let running = Running::new().await;
    let mut client = running.session().await;
    watching(&mut client, "number").await;
    collect(&mut client, 1).await;
    let statuses =
        [StatusCode::BadNoCommunication, StatusCode::Good, StatusCode::UncertainInitialValue];
    for status in statuses {
        running.push(&id("number"), DataValue { status: Some(status), ..good(1_i32, 5) });
    }
    // Nothing has changed here but a time.
    let later = DataValue { status: Some(statuses[2]), ..good(1_i32, 900) };
    running.push(&id("number"), later);
    running.push(&id("number"), good(2_i32, 901));
    let seen = collect(&mut client, 4).await;
    let seen: Vec<_> = seen.iter().map(|(_, v)| v.status.unwrap_or_default()).collect();
    assert_eq!(seen, [statuses[0], statuses[1], statuses[2], StatusCode::Good]);
}

#[tokio::test]
async fn without_news_a_subscription_says_that_it_is_alive() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut request = subscription(&mut client);
    request.requested_max_keep_alive_count = 3;
    subscribe_as(&mut client, request).await;
    // The first word comes after one interval, the next ones after three (Part 4 §5.14.1.1).
    for _ in 0..3 {
        let alive = publish(&mut client).await;
        let message = alive.notification_message;
        assert!(message.notification_data.is_none_or(|parts| parts.is_empty()));
        // A keep-alive tells the number of the next message and uses none up.
        assert_eq!(message.sequence_number, 1);
    }
}

#[tokio::test]
async fn a_subscription_that_nobody_asks_ends_and_says_so_when_it_is_asked_again() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut request = subscription(&mut client);
    request.requested_max_keep_alive_count = 1;
    request.requested_lifetime_count = 3;
    let ended = subscribe_as(&mut client, request).await;
    watch(&mut client, ended, vec![item(&id("number"), 1)]).await;
    let services = running.server.server.services();
    until(|| services.hub().watched().is_empty()).await;
    let word = publish(&mut client).await;
    assert_eq!(word.subscription_id, ended);
    assert_eq!(status_change(&word.notification_message), Some(StatusCode::BadTimeout));
    let request = ask(&mut client, Vec::new()).await;
    let answer = client.answer(request).await.unwrap();
    assert_eq!(result(&answer), StatusCode::BadNoSubscription);
}

#[tokio::test]
async fn publish_requests_are_bounded_and_the_oldest_gives_way() {
    let mut limits = test_limits();
    limits.subscriptions.publish_requests = 3;
    let running = Running::with(limits).await;
    let mut client = running.session().await;
    let request = ask(&mut client, Vec::new()).await;
    let answer = client.answer(request).await.unwrap();
    assert_eq!(result(&answer), StatusCode::BadNoSubscription);
    let mut slow = subscription(&mut client);
    slow.requested_publishing_interval = 3_600_000.0;
    let known = subscribe_as(&mut client, slow).await;
    let mut requests = Vec::new();
    for _ in 0..4 {
        requests.push(ask(&mut client, Vec::new()).await);
    }
    let answer = client.answer(requests[0]).await.unwrap();
    assert_eq!(result(&answer), StatusCode::BadTooManyPublishRequests);
    let delete = DeleteSubscriptionsRequest {
        request_header: client.header(),
        subscription_ids: Some(vec![known]),
    };
    assert!(fault(&mut client, delete).await.is_good());
    for request in &requests[1..] {
        let answer = client.answer(*request).await.unwrap();
        assert_eq!(result(&answer), StatusCode::BadNoSubscription);
    }
}

#[tokio::test]
async fn the_higher_priority_speaks_first() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut subscriptions = Vec::new();
    for priority in [10, 200, 100] {
        let request = opcua::types::CreateSubscriptionRequest {
            priority,
            publishing_enabled: false,
            ..subscription(&mut client)
        };
        let known = subscribe_as(&mut client, request).await;
        watch(&mut client, known, vec![item(&id("number"), 1)]).await;
        subscriptions.push(known);
    }
    // All of them have news before the first request comes.
    for _ in 0..3 {
        publish(&mut client).await;
    }
    let enable = SetPublishingModeRequest {
        request_header: client.header(),
        publishing_enabled: true,
        subscription_ids: Some(subscriptions.clone()),
    };
    assert!(fault(&mut client, enable).await.is_good());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(next_news(&mut client).await.subscription_id);
    }
    assert_eq!(order, [subscriptions[1], subscriptions[2], subscriptions[0]]);
}

fn republish(client: &mut Raw, subscription_id: u32, sequence: u32) -> RepublishRequest {
    RepublishRequest {
        request_header: client.header(),
        subscription_id,
        retransmit_sequence_number: sequence,
    }
}

#[tokio::test]
async fn a_message_can_be_had_again_until_it_is_acknowledged() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let known = watching(&mut client, "number").await;
    let first = next_news(&mut client).await;
    assert_eq!(first.notification_message.sequence_number, 1);
    assert_eq!(first.available_sequence_numbers, Some(vec![1]));
    let request = republish(&mut client, known, 1);
    let ResponseMessage::Republish(again) = client.call(request).await.unwrap() else {
        panic!("no message")
    };
    assert_eq!(again.notification_message, first.notification_message);
    let request = republish(&mut client, known, 2);
    assert_eq!(fault(&mut client, request).await, StatusCode::BadMessageNotAvailable);
    let request = republish(&mut client, known + 1, 1);
    assert_eq!(fault(&mut client, request).await, StatusCode::BadSubscriptionIdInvalid);
    let acknowledge = |subscription_id, sequence_number| SubscriptionAcknowledgement {
        subscription_id,
        sequence_number,
    };
    running.push(&id("number"), good(2_i32, 2));
    let acknowledgements =
        vec![acknowledge(known, 1), acknowledge(known, 9), acknowledge(known + 1, 1)];
    let request = ask(&mut client, acknowledgements).await;
    let response = published(&mut client, request).await;
    use StatusCode as S;
    let wanted = [S::Good, S::BadSequenceNumberUnknown, S::BadSubscriptionIdInvalid];
    assert_eq!(response.results.unwrap(), wanted);
    assert_eq!(response.available_sequence_numbers, Some(vec![2]));
    let request = republish(&mut client, known, 1);
    assert_eq!(fault(&mut client, request).await, StatusCode::BadMessageNotAvailable);
}

fn transfer(client: &mut Raw, ids: Vec<u32>, initial: bool) -> TransferSubscriptionsRequest {
    TransferSubscriptionsRequest {
        request_header: client.header(),
        subscription_ids: Some(ids),
        send_initial_values: initial,
    }
}

#[tokio::test]
async fn a_subscription_moves_with_its_messages_and_the_old_session_is_told() {
    let running = Running::new().await;
    let (mut old, mut new) = (running.session().await, running.session().await);
    let known = watching(&mut old, "number").await;
    let first = next_news(&mut old).await.notification_message;
    let waiting = ask(&mut old, Vec::new()).await;
    let request = transfer(&mut new, vec![known, known + 1], true);
    let ResponseMessage::TransferSubscriptions(moved) = new.call(request).await.unwrap() else {
        panic!("not moved")
    };
    let results = moved.results.unwrap();
    assert_eq!(results[0].status_code, StatusCode::Good);
    assert_eq!(results[0].available_sequence_numbers, Some(vec![1]));
    assert_eq!(results[1].status_code, StatusCode::BadSubscriptionIdInvalid);
    let word = published(&mut old, waiting).await;
    let told = status_change(&word.notification_message);
    assert_eq!(told, Some(StatusCode::GoodSubscriptionTransferred));
    let request = republish(&mut old, known, 1);
    assert_eq!(fault(&mut old, request).await, StatusCode::BadSubscriptionIdInvalid);
    let request = republish(&mut new, known, 1);
    let ResponseMessage::Republish(again) = new.call(request).await.unwrap() else {
        panic!("no message")
    };
    assert_eq!(again.notification_message, first);
    // The present value comes again, since that was wanted.
    let seen = collect(&mut new, 1).await;
    assert_eq!(seen[0].1.value, Some(1_i32.into()));
    let request = transfer(&mut new, vec![known], false);
    let ResponseMessage::TransferSubscriptions(again) = new.call(request).await.unwrap() else {
        panic!("not moved")
    };
    assert_eq!(again.results.unwrap()[0].status_code, StatusCode::BadNothingToDo);
}

#[tokio::test]
async fn what_does_not_fit_into_one_message_comes_in_the_next_ones() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut request = subscription(&mut client);
    request.max_notifications_per_publish = 4;
    let known = subscribe_as(&mut client, request).await;
    let items = (0..10).map(|n| item(&variable(n), n as u32)).collect();
    watch(&mut client, known, items).await;
    let mut seen = Vec::new();
    for (count, more) in [(4, true), (4, true), (2, false)] {
        let response = next_news(&mut client).await;
        let part = changes(&response.notification_message);
        assert_eq!((part.len(), response.more_notifications), (count, more));
        seen.extend(part.into_iter().map(|(handle, _)| handle));
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_that_takes_small_messages_gets_everything_in_several() {
    let running = Running::new().await;
    let mut client = Raw::session_taking(running.server.address, 16_384).await;
    let known = subscribe(&mut client).await;
    let mut request = item(&id("text"), 1);
    request.requested_parameters.queue_size = 100;
    watch(&mut client, known, vec![request]).await;
    collect(&mut client, 1).await;
    let texts: Vec<_> = (0..50).map(|number| format!("{number} {}", "x".repeat(2000))).collect();
    for text in &texts {
        running.push(&id("text"), value_at(text.as_str(), DateTime::now()));
    }
    let seen = collect(&mut client, texts.len()).await;
    let seen: Vec<_> = seen.into_iter().map(|(_, value)| value.value.unwrap()).collect();
    let sent: Vec<_> = texts.iter().map(|text| Variant::from(text.as_str())).collect();
    assert_eq!(seen, sent);
}

#[tokio::test]
async fn silence_can_be_asked_for_and_ended() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let known = watching(&mut client, "number").await;
    collect(&mut client, 1).await;
    let mode = |client: &mut Raw, publishing_enabled| SetPublishingModeRequest {
        request_header: client.header(),
        publishing_enabled,
        subscription_ids: Some(vec![known, known + 1]),
    };
    let request = mode(&mut client, false);
    let ResponseMessage::SetPublishingMode(set) = client.call(request).await.unwrap() else {
        panic!("not set")
    };
    let wanted = [StatusCode::Good, StatusCode::BadSubscriptionIdInvalid];
    assert_eq!(set.results.unwrap(), wanted);
    for number in [2_i32, 3] {
        running.push(&id("number"), good(number, number.into()));
    }
    let request = ask(&mut client, Vec::new()).await;
    let quiet = tokio::time::timeout(Duration::from_millis(200), client.answer(request)).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let on = mode(&mut client, true);
    assert!(fault(&mut client, on).await.is_good());
    // What changed meanwhile was kept.
    let response = published(&mut client, request).await;
    assert_eq!(changes(&response.notification_message).len(), 2);
}

#[tokio::test]
async fn revised_values_keep_to_the_rules() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut request = subscription(&mut client);
    request.requested_publishing_interval = 0.0;
    request.requested_max_keep_alive_count = 10;
    request.requested_lifetime_count = 5;
    let ResponseMessage::CreateSubscription(made) = client.call(request).await.unwrap() else {
        panic!("not made")
    };
    assert_eq!(made.revised_publishing_interval, 10.0);
    assert_eq!((made.revised_max_keep_alive_count, made.revised_lifetime_count), (10, 30));
    let modify = ModifySubscriptionRequest {
        request_header: client.header(),
        subscription_id: made.subscription_id,
        requested_publishing_interval: 1e12,
        requested_lifetime_count: u32::MAX,
        requested_max_keep_alive_count: u32::MAX,
        max_notifications_per_publish: 0,
        priority: 0,
    };
    let ResponseMessage::ModifySubscription(made) = client.call(modify).await.unwrap() else {
        panic!("not changed")
    };
    // Nothing lives on for longer than four hours without anybody asking.
    assert_eq!(made.revised_publishing_interval, 3_600_000.0);
    assert_eq!((made.revised_max_keep_alive_count, made.revised_lifetime_count), (1, 4));
}

fn call(client: &mut Raw, method: MethodId, arguments: Vec<Variant>) -> CallRequest {
    CallRequest {
        request_header: client.header(),
        methods_to_call: Some(vec![CallMethodRequest {
            object_id: ObjectId::Server.into(),
            method_id: method.into(),
            input_arguments: Some(arguments),
        }]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_subscription_that_many_take_at_once_is_in_one_session_in_the_end() {
    let running = Running::new().await;
    let mut first = running.session().await;
    let known = subscribe(&mut first).await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(running.session().await);
    }
    for _ in 0..50 {
        let taking = clients.into_iter().map(|mut client| {
            tokio::spawn(async move {
                let request = transfer(&mut client, vec![known], false);
                client.call(request).await.unwrap();
                client
            })
        });
        clients = Vec::new();
        for taking in taking.collect::<Vec<_>>() {
            clients.push(taking.await.unwrap());
        }
        let mut owners = 0;
        for client in &mut clients {
            let request = SetPublishingModeRequest {
                request_header: client.header(),
                publishing_enabled: true,
                subscription_ids: Some(vec![known]),
            };
            let ResponseMessage::SetPublishingMode(set) = client.call(request).await.unwrap()
            else {
                panic!("no answer")
            };
            owners += usize::from(set.results.unwrap()[0].is_good());
        }
        assert_eq!(owners, 1);
    }
}

#[tokio::test]
async fn the_items_of_a_subscription_can_be_asked_for_and_their_values_sent_again() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut other = running.session().await;
    let known = watching(&mut client, "number").await;
    collect(&mut client, 1).await;
    let request = call(&mut client, MethodId::Server_GetMonitoredItems, vec![known.into()]);
    let ResponseMessage::Call(called) = client.call(request).await.unwrap() else {
        panic!("not called")
    };
    let result = called.results.unwrap().remove(0);
    assert_eq!(result.status_code, StatusCode::Good);
    let outputs = result.output_arguments.unwrap();
    assert_eq!(outputs[1], vec![1_u32].into(), "the client's own numbers");
    let request = call(&mut client, MethodId::Server_ResendData, vec![known.into()]);
    assert!(fault(&mut client, request).await.is_good());
    let again = collect(&mut client, 1).await;
    assert_eq!(again[0].1.value, Some(1_i32.into()));
    // What waits to be told is news enough.
    running.push(&id("number"), value_at(2_i32, DateTime::from(2)));
    let request = call(&mut client, MethodId::Server_ResendData, vec![known.into()]);
    assert!(fault(&mut client, request).await.is_good());
    let once: Vec<_> = collect(&mut client, 1).await.into_iter().map(|(_, v)| v.value).collect();
    assert_eq!(once, [Some(2_i32.into())]);
    // Another session has no business with it.
    for method in [MethodId::Server_GetMonitoredItems, MethodId::Server_ResendData] {
        let request = call(&mut other, method, vec![known.into()]);
        let ResponseMessage::Call(called) = other.call(request).await.unwrap() else {
            panic!("not called")
        };
        let status = called.results.unwrap()[0].status_code;
        assert_eq!(status, StatusCode::BadUserAccessDenied);
    }
}

#[tokio::test]
async fn subscriptions_are_bounded_in_number() {
    let mut limits = test_limits();
    limits.subscriptions.per_session = 2;
    limits.subscriptions.total = 3;
    let running = Running::with(limits).await;
    let (mut one, mut two) = (running.session().await, running.session().await);
    for _ in 0..2 {
        subscribe(&mut one).await;
    }
    let request = subscription(&mut one);
    assert_eq!(fault(&mut one, request).await, StatusCode::BadTooManySubscriptions);
    subscribe(&mut two).await;
    let request = subscription(&mut two);
    assert_eq!(fault(&mut two, request).await, StatusCode::BadTooManySubscriptions);
}

#[tokio::test]
async fn a_node_that_is_gone_is_told_to_those_who_watch_it() {
    let running = Running::new().await;
    let mut client = running.session().await;
    watching(&mut client, "number").await;
    collect(&mut client, 1).await;
    let gone = DataValue { status: Some(StatusCode::BadNodeIdUnknown), ..DataValue::default() };
    running.push(&opcua::types::NodeId::new(NS, "number"), gone);
    let seen = collect(&mut client, 1).await;
    assert_eq!(seen[0].1.status, Some(StatusCode::BadNodeIdUnknown));
}
