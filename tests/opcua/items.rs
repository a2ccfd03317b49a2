//! Monitored items: filters, queues, modes, and what triggers what.

use std::time::Duration;

use opcua::core::ResponseMessage;
use opcua::types::{
    AggregateFilter, AttributeId, DataChangeFilter, DataChangeTrigger, DataValue, DateTime,
    DeadbandType, DeleteMonitoredItemsRequest, ExtensionObject, ModifyMonitoredItemsRequest,
    MonitoredItemCreateRequest, MonitoredItemModifyRequest, MonitoringMode, NumericRange,
    SetMonitoringModeRequest, SetTriggeringRequest, StatusCode, Variant,
};

use super::raw::Raw;
use super::space::{id, value_at, variable};
use super::support::{
    Running, ask, changes, collect, create, fault, item, published, read_id, subscribe, watch,
};

fn filter(trigger: DataChangeTrigger, deadband: DeadbandType, value: f64) -> ExtensionObject {
    ExtensionObject::new(DataChangeFilter {
        trigger,
        deadband_type: deadband as u32,
        deadband_value: value,
    })
}

fn filtered(node: &str, filter: ExtensionObject) -> MonitoredItemCreateRequest {
    let mut request = item(&id(node), 1);
    request.requested_parameters.filter = filter;
    request
}

fn good(value: impl Into<Variant>, at: i64) -> DataValue {
    value_at(value.into(), DateTime::from(at))
}

#[tokio::test]
async fn filters_are_only_for_what_they_make_sense_for() {
    use DataChangeTrigger::StatusValue as Value;
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let absolute = || filter(Value, DeadbandType::Absolute, 1.0);
    let percent = || filter(Value, DeadbandType::Percent, 10.0);
    let mut on_name = item(&id("number"), 1);
    on_name.item_to_monitor = read_id(&id("number"), AttributeId::DisplayName);
    on_name.requested_parameters.filter = absolute();
    let requests = vec![
        filtered("number", absolute()),
        filtered("texts", absolute()),
        filtered("text", absolute()),
        filtered("number", percent()),
        filtered("ranged", percent()),
        filtered("ranged", filter(Value, DeadbandType::Percent, 101.0)),
        filtered("number", filter(Value, DeadbandType::Absolute, -1.0)),
        filtered("number", filter(Value, DeadbandType::Absolute, f64::NAN)),
        filtered("number", ExtensionObject::new(AggregateFilter::default())),
        on_name,
        item(&id("nothing"), 1),
    ];
    let created = create(&mut client, subscription, requests).await;
    let statuses: Vec<_> = created.iter().map(|one| one.status_code).collect();
    use StatusCode as S;
    let wanted = [
        S::Good,
        S::BadFilterNotAllowed,
        S::BadFilterNotAllowed,
        S::BadDeadbandFilterInvalid,
        S::Good,
        S::BadDeadbandFilterInvalid,
        S::BadDeadbandFilterInvalid,
        S::BadDeadbandFilterInvalid,
        S::BadMonitoredItemFilterUnsupported,
        S::BadFilterNotAllowed,
        S::BadNodeIdUnknown,
    ];
    assert_eq!(statuses, wanted);
}

#[tokio::test]
async fn deadbands_hold_back_what_is_small_and_compare_with_what_was_told() {
    use DataChangeTrigger::StatusValue as Value;
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    // 10 % of 0 to 200 is 20.
    let requests = vec![filtered("ranged", filter(Value, DeadbandType::Percent, 10.0))];
    watch(&mut client, subscription, requests).await;
    collect(&mut client, 1).await;
    // 1 was told; 21 is 20 away, which is not more than 20; 22 is; 5 is not far enough from it.
    for (number, at) in [(11.0, 1), (21.0, 2), (22.0, 3), (5.0, 4), (1.0, 5)] {
        running.push(&id("ranged"), good(number, at));
    }
    let bad = DataValue { status: Some(StatusCode::Bad), ..good(1.0, 6) };
    running.push(&id("ranged"), bad);
    let seen = collect(&mut client, 3).await;
    let times: Vec<_> = seen.iter().map(|(_, v)| v.source_timestamp.unwrap().ticks()).collect();
    assert_eq!(times, [3, 5, 6], "a status that changes is told in any case");
}

#[tokio::test]
async fn triggers_look_at_status_value_and_time_as_they_say() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let triggers = [
        DataChangeTrigger::Status,
        DataChangeTrigger::StatusValue,
        DataChangeTrigger::StatusValueTimestamp,
    ];
    let requests = triggers.into_iter().zip(1..).map(|(trigger, handle)| {
        let mut request = filtered("number", filter(trigger, DeadbandType::None, 0.0));
        request.requested_parameters.client_handle = handle;
        request
    });
    watch(&mut client, subscription, requests.collect()).await;
    collect(&mut client, 3).await;
    running.push(&id("number"), good(2_i32, 1));
    running.push(&id("number"), good(2_i32, 2));
    running.push(&id("number"), DataValue { status: Some(StatusCode::Bad), ..good(2_i32, 2) });
    let seen = collect(&mut client, 1 + 2 + 3).await;
    let count = |handle| seen.iter().filter(|(known, _)| *known == handle).count();
    assert_eq!((count(1), count(2), count(3)), (1, 2, 3));
}

const OVERFLOW: u32 = 0x480;

#[tokio::test]
async fn a_full_queue_loses_the_end_that_was_chosen_and_says_so() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let sized = |handle, queue_size, discard_oldest| {
        let mut request = item(&id("number"), handle);
        request.requested_parameters.queue_size = queue_size;
        request.requested_parameters.discard_oldest = discard_oldest;
        request
    };
    let requests = vec![sized(1, 3, true), sized(2, 3, false), sized(3, 1, true)];
    watch(&mut client, subscription, requests).await;
    collect(&mut client, 3).await;
    for number in 10..15 {
        running.push(&id("number"), good(number, number.into()));
    }
    let seen = collect(&mut client, 7).await;
    let of = |handle: u32| {
        let own = seen.iter().filter(move |(known, _)| *known == handle);
        own.map(|(_, value)| {
            let Some(Variant::Int32(number)) = value.value else { panic!("no number") };
            (number, value.status.unwrap_or_default().bits() & OVERFLOW == OVERFLOW)
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(of(1), [(12, true), (13, false), (14, false)]);
    assert_eq!(of(2), [(10, false), (11, false), (14, true)]);
    assert_eq!(of(3), [(14, false)], "a queue of one has no overflow");
}

#[tokio::test]
async fn a_value_before_which_others_were_lost_on_their_way_says_so() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    watch(&mut client, subscription, vec![item(&id("number"), 1)]).await;
    collect(&mut client, 1).await;
    let hub = running.server.server.services().hub();
    let spot = hub.spot(&id("number"));
    hub.push_after_loss(&[(spot.clone(), good(7_i32, 7).into())]);
    hub.push_series(&[(spot, good(8_i32, 8).into())]);
    let seen = collect(&mut client, 2).await;
    let lost = |value: &DataValue| value.status.unwrap_or_default().bits() & OVERFLOW == OVERFLOW;
    assert_eq!(seen.iter().map(|(_, v)| lost(v)).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn an_item_of_a_part_of_an_array_sees_that_part_only() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let mut ranged = item(&id("array"), 1);
    ranged.item_to_monitor.index_range = NumericRange::Range(1, 2);
    watch(&mut client, subscription, vec![ranged]).await;
    let first = collect(&mut client, 1).await;
    assert_eq!(first[0].1.value, Some(vec![2_i32, 3].into()));
    running.push(&id("array"), good(vec![9_i32, 2, 3, 9], 1));
    running.push(&id("array"), good(vec![9_i32, 8, 3, 9], 2));
    running.push(&id("array"), good(vec![9_i32], 3));
    let seen = collect(&mut client, 2).await;
    assert_eq!(seen[0].1.value, Some(vec![8_i32, 3].into()));
    assert_eq!(seen[1].1.status, Some(StatusCode::BadIndexRangeNoData));
}

#[tokio::test]
async fn a_slow_sampling_interval_thins_out_and_minus_one_is_the_publishing_interval() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let mut slow = item(&id("number"), 1);
    slow.requested_parameters.sampling_interval = 300.0;
    let mut inherited = item(&id("number"), 2);
    inherited.requested_parameters.sampling_interval = -1.0;
    let created = create(&mut client, subscription, vec![slow, inherited]).await;
    let revised: Vec<_> = created.iter().map(|one| one.revised_sampling_interval).collect();
    assert_eq!(revised, [300.0, 20.0]);
    collect(&mut client, 2).await;
    for number in 100..=103 {
        running.push(&id("number"), good(number, number.into()));
    }
    // Each sees the newest with its own time at its next look, and nothing of what was in between.
    let mut newest = std::collections::BTreeSet::new();
    while newest.len() < 2 {
        for (handle, value) in collect(&mut client, 1).await {
            let Some(Variant::Int32(number)) = value.value else { panic!("no number") };
            assert_eq!(value.source_timestamp, Some(DateTime::from(i64::from(number))));
            assert!(number == 103 || number == 100 && handle == 2, "{handle} saw {number}");
            if number == 103 {
                newest.insert(handle);
            }
        }
    }
}

fn set_mode(
    client: &mut Raw,
    subscription_id: u32,
    items: &[u32],
    monitoring_mode: MonitoringMode,
) -> SetMonitoringModeRequest {
    SetMonitoringModeRequest {
        request_header: client.header(),
        subscription_id,
        monitoring_mode,
        monitored_item_ids: Some(items.to_vec()),
    }
}

#[tokio::test]
async fn modes_decide_what_is_kept_and_what_is_told() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let items = watch(&mut client, subscription, vec![item(&id("number"), 1)]).await;
    collect(&mut client, 1).await;
    let sampling = set_mode(&mut client, subscription, &items, MonitoringMode::Sampling);
    assert!(fault(&mut client, sampling).await.is_good());
    running.push(&id("number"), good(2_i32, 2));
    let request = ask(&mut client, Vec::new()).await;
    let quiet = tokio::time::timeout(Duration::from_millis(150), client.answer(request)).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let reporting = set_mode(&mut client, subscription, &items, MonitoringMode::Reporting);
    assert!(fault(&mut client, reporting).await.is_good());
    let response = published(&mut client, request).await;
    assert_eq!(changes(&response.notification_message)[0].1.value, Some(2_i32.into()));
    // Disabled it forgets; enabled again it begins with the present value.
    let disabled = set_mode(&mut client, subscription, &items, MonitoringMode::Disabled);
    assert!(fault(&mut client, disabled).await.is_good());
    running.push(&id("number"), good(3_i32, 3));
    let reporting = set_mode(&mut client, subscription, &items, MonitoringMode::Reporting);
    assert!(fault(&mut client, reporting).await.is_good());
    let seen = collect(&mut client, 1).await;
    assert_eq!(seen[0].1.value, Some(3_i32.into()));
    let unknown = set_mode(&mut client, subscription, &[999], MonitoringMode::Reporting);
    let ResponseMessage::SetMonitoringMode(answer) = client.call(unknown).await.unwrap() else {
        panic!("not set")
    };
    assert_eq!(answer.results.unwrap(), [StatusCode::BadMonitoredItemIdInvalid]);
}

#[tokio::test]
async fn one_item_triggers_what_another_has_kept() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let mut kept = item(&variable(1), 2);
    kept.monitoring_mode = MonitoringMode::Sampling;
    let items = watch(&mut client, subscription, vec![item(&variable(0), 1), kept]).await;
    let first = collect(&mut client, 1).await;
    assert_eq!(first[0].0, 1);
    let link =
        |client: &mut Raw, add: Option<Vec<u32>>, remove: Option<Vec<u32>>| SetTriggeringRequest {
            request_header: client.header(),
            subscription_id: subscription,
            triggering_item_id: items[0],
            links_to_add: add,
            links_to_remove: remove,
        };
    let request = link(&mut client, Some(vec![items[1], 999]), None);
    let ResponseMessage::SetTriggering(linked) = client.call(request).await.unwrap() else {
        panic!("not linked")
    };
    let wanted = [StatusCode::Good, StatusCode::BadMonitoredItemIdInvalid];
    assert_eq!(linked.add_results.unwrap(), wanted);
    running.push(&variable(1), good(5.0, 5));
    running.push(&variable(0), good(6.0, 6));
    // The present value that was kept from the beginning, the new one, and the one that triggers.
    let seen = collect(&mut client, 3).await;
    let mut handles: Vec<_> = seen.iter().map(|(handle, _)| *handle).collect();
    handles.sort_unstable();
    assert_eq!(handles, [1, 2, 2]);
    let request = link(&mut client, None, Some(vec![items[1], items[1]]));
    let ResponseMessage::SetTriggering(linked) = client.call(request).await.unwrap() else {
        panic!("not linked")
    };
    assert_eq!(linked.remove_results.unwrap(), wanted);
    let nothing = link(&mut client, None, None);
    assert_eq!(fault(&mut client, nothing).await, StatusCode::BadNothingToDo);
}

#[tokio::test]
async fn items_can_be_changed_and_deleted_and_leave_nothing() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let items = watch(&mut client, subscription, vec![item(&id("number"), 1)]).await;
    collect(&mut client, 1).await;
    let mut parameters = item(&id("number"), 77).requested_parameters;
    parameters.queue_size = 2;
    let modify = ModifyMonitoredItemsRequest {
        request_header: client.header(),
        subscription_id: subscription,
        timestamps_to_return: opcua::types::TimestampsToReturn::Server,
        items_to_modify: Some(vec![
            MonitoredItemModifyRequest {
                monitored_item_id: items[0],
                requested_parameters: parameters.clone(),
            },
            MonitoredItemModifyRequest { monitored_item_id: 999, requested_parameters: parameters },
        ]),
    };
    let ResponseMessage::ModifyMonitoredItems(changed) = client.call(modify).await.unwrap() else {
        panic!("not changed")
    };
    let changed = changed.results.unwrap();
    assert_eq!((changed[0].status_code, changed[0].revised_queue_size), (StatusCode::Good, 2));
    assert_eq!(changed[1].status_code, StatusCode::BadMonitoredItemIdInvalid);
    running.push(&id("number"), good(4_i32, 4));
    let seen = collect(&mut client, 1).await;
    assert_eq!(seen[0].0, 77);
    assert_eq!(seen[0].1.source_timestamp, None);
    assert!(seen[0].1.server_timestamp.is_some());
    let delete = DeleteMonitoredItemsRequest {
        request_header: client.header(),
        subscription_id: subscription,
        monitored_item_ids: Some(vec![items[0], items[0]]),
    };
    let ResponseMessage::DeleteMonitoredItems(gone) = client.call(delete).await.unwrap() else {
        panic!("not deleted")
    };
    let wanted = [StatusCode::Good, StatusCode::BadMonitoredItemIdInvalid];
    assert_eq!(gone.results.unwrap(), wanted);
    assert!(running.server.server.services().hub().watched().is_empty());
}

#[tokio::test]
async fn items_are_bounded_in_number() {
    let mut limits = super::space::test_limits();
    limits.subscriptions.items_per_subscription = 3;
    limits.subscriptions.items = 5;
    let running = Running::with(limits).await;
    let mut client = running.session().await;
    for wanted in [3, 2] {
        let subscription = subscribe(&mut client).await;
        let items = (0..4).map(|n| item(&variable(n), 1)).collect();
        let created = create(&mut client, subscription, items).await;
        let good = created.iter().filter(|one| one.status_code.is_good()).count();
        let full = StatusCode::BadTooManyMonitoredItems;
        let refused = created.iter().filter(|one| one.status_code == full).count();
        assert_eq!((good, refused), (wanted, 4 - wanted));
    }
}

#[tokio::test]
async fn all_queues_of_a_subscription_are_bounded_together() {
    let mut limits = super::space::test_limits();
    limits.subscriptions.queued_per_subscription = 6;
    let running = Running::with(limits).await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    watch(&mut client, subscription, (0..3).map(|n| item(&variable(n), n as u32)).collect()).await;
    collect(&mut client, 3).await;
    // Nobody asks while they change ten times each.
    for number in 100..110 {
        for n in 0..3 {
            running.push(&variable(n), good(f64::from(number), i64::from(number)));
        }
    }
    let seen = collect(&mut client, 6).await;
    let lost = |value: &DataValue| value.status.unwrap_or_default().bits() & OVERFLOW == OVERFLOW;
    assert_eq!(seen.iter().filter(|(_, value)| lost(value)).count(), 3);
    for n in 0..3 {
        let newest = seen.iter().rfind(|(handle, _)| *handle == n).unwrap();
        assert_eq!(newest.1.value, Some(109.0_f64.into()), "the newest is never lost");
    }
}
