//! Requests that end before they are done: their time is over, or nobody is there any more.

use opcua::core::ResponseMessage;
use opcua::types::{
    CreateMonitoredItemsRequest, DeleteMonitoredItemsRequest, DeleteSubscriptionsRequest,
    MonitoredItemCreateRequest, MonitoringMode, SetMonitoringModeRequest, StatusCode,
    TimestampsToReturn, Variant,
};

use super::raw::Raw;
use super::space::id;
use super::support::{Running, collect, fault, item, subscribe, until, watch};

fn creation(
    client: &mut Raw,
    subscription_id: u32,
    items: Vec<MonitoredItemCreateRequest>,
) -> CreateMonitoredItemsRequest {
    CreateMonitoredItemsRequest {
        request_header: client.header(),
        subscription_id,
        timestamps_to_return: TimestampsToReturn::Both,
        items_to_create: Some(items),
    }
}

/// Two items, of which the second needs a store.
fn two() -> Vec<MonitoredItemCreateRequest> {
    vec![item(&id("number"), 1), item(&id("stored"), 2)]
}

#[tokio::test]
async fn a_creation_that_ends_early_leaves_no_item_and_takes_no_room() {
    let running = Running::new().await;
    let hub = running.server.server.services().hub();
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    running.server.space.store.send_replace(false);
    let mut late = creation(&mut client, subscription, two());
    late.request_header.timeout_hint = 50;
    assert_eq!(fault(&mut client, late).await, StatusCode::BadTimeout);
    assert_eq!((hub.items(), hub.watched().len()), (0, 0));
    let cut = creation(&mut client, subscription, two());
    client.send(cut).await;
    until(|| hub.items() == 2).await;
    drop(client);
    until(|| hub.items() == 0).await;
    assert!(hub.watched().is_empty());
}

#[tokio::test]
async fn an_item_that_is_deleted_while_others_are_made_watches_nothing() {
    let running = Running::new().await;
    let hub = running.server.server.services().hub();
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    running.server.space.store.send_replace(false);
    let request = creation(&mut client, subscription, two());
    let creating = client.send(request).await;
    // The first item of a subscription has the number 1.
    loop {
        let delete = DeleteMonitoredItemsRequest {
            request_header: client.header(),
            subscription_id: subscription,
            monitored_item_ids: Some(vec![1]),
        };
        let ResponseMessage::DeleteMonitoredItems(gone) = client.call(delete).await.unwrap() else {
            panic!("not deleted")
        };
        if gone.results.unwrap()[0].is_good() {
            break;
        }
    }
    running.server.space.store.send_replace(true);
    let ResponseMessage::CreateMonitoredItems(made) = client.answer(creating).await.unwrap() else {
        panic!("not made")
    };
    assert!(made.results.unwrap().iter().all(|one| one.status_code.is_good()));
    let watched: Vec<_> = hub.watched().iter().map(|spot| spot.node.clone()).collect();
    assert_eq!((watched, hub.items()), (vec![id("stored")], 1));
    let delete = DeleteSubscriptionsRequest {
        request_header: client.header(),
        subscription_ids: Some(vec![subscription]),
    };
    assert!(fault(&mut client, delete).await.is_good());
    assert_eq!((hub.watched().len(), hub.items()), (0, 0));
}

#[tokio::test]
async fn a_subscription_that_ends_while_items_are_made_leaves_none_of_them() {
    let running = Running::new().await;
    let hub = running.server.server.services().hub();
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    running.server.space.store.send_replace(false);
    let request = creation(&mut client, subscription, two());
    let creating = client.send(request).await;
    until(|| hub.items() == 2).await;
    let delete = DeleteSubscriptionsRequest {
        request_header: client.header(),
        subscription_ids: Some(vec![subscription]),
    };
    assert!(fault(&mut client, delete).await.is_good());
    running.server.space.store.send_replace(true);
    let answer = client.answer(creating).await.unwrap();
    assert_eq!(super::raw::result(&answer), StatusCode::BadSubscriptionIdInvalid);
    assert_eq!((hub.watched().len(), hub.items()), (0, 0));
}

#[tokio::test]
async fn an_item_gets_its_first_value_although_its_request_has_ended() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let mut disabled = item(&id("stored"), 1);
    disabled.monitoring_mode = MonitoringMode::Disabled;
    let items = watch(&mut client, subscription, vec![disabled]).await;
    running.server.space.store.send_replace(false);
    let mut enable = SetMonitoringModeRequest {
        request_header: client.header(),
        subscription_id: subscription,
        monitoring_mode: MonitoringMode::Reporting,
        monitored_item_ids: Some(items),
    };
    enable.request_header.timeout_hint = 50;
    assert_eq!(fault(&mut client, enable).await, StatusCode::BadTimeout);
    running.server.space.store.send_replace(true);
    let seen = collect(&mut client, 1).await;
    assert_eq!(seen[0].1.value, Some(Variant::Int32(1)));
}
