//! Events: where they are seen, what of them is told, what happens when there are too many.

use std::time::Duration;

use linewright::server::space::Event;
use opcua::types::{
    AttributeId, ContentFilter, ContentFilterBuilder, DateTime, EventFilter, EventFilterResult,
    ExtensionObject, LiteralOperand, MonitoredItemCreateRequest, NodeId, ObjectId, ObjectTypeId,
    Operand, QualifiedName, SimpleAttributeOperand, StatusCode, UAString, Variant,
};

use super::raw::Raw;
use super::space::id;
use super::support::{
    Running, changes, create, event_fields, item, next_news, publish, subscribe, watch,
};

fn field(name: &str) -> SimpleAttributeOperand {
    SimpleAttributeOperand {
        type_definition_id: ObjectTypeId::BaseEventType.into(),
        browse_path: Some(vec![QualifiedName::new(0, name)]),
        attribute_id: AttributeId::Value as u32,
        index_range: Default::default(),
    }
}

fn events(
    node: &NodeId,
    handle: u32,
    select: &[SimpleAttributeOperand],
    where_clause: ContentFilter,
) -> MonitoredItemCreateRequest {
    let mut request = item(node, handle);
    request.item_to_monitor.attribute_id = AttributeId::EventNotifier as u32;
    request.requested_parameters.filter =
        ExtensionObject::new(EventFilter { select_clauses: Some(select.to_vec()), where_clause });
    request
}

fn happened(text: &str, severity: u16) -> Event {
    let source = (id("plant/line/machine"), "machine");
    Event::new(ObjectTypeId::SystemEventType, source, DateTime::from(5000), severity, text)
}

impl Running {
    fn emit(&self, event: &Event) {
        self.server.server.services().emit(event);
    }
}

async fn messages(client: &mut Raw, count: usize) -> Vec<(u32, Vec<Variant>)> {
    let mut all = Vec::new();
    while all.len() < count {
        let news = next_news(client).await;
        assert!(changes(&news.notification_message).is_empty(), "no data change of events");
        all.extend(event_fields(&news.notification_message));
    }
    all
}

#[tokio::test]
async fn an_event_is_seen_once_at_its_source_at_all_above_and_at_the_server() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let places: [NodeId; 5] = [
        id("plant/line/machine"),
        id("plant/line"),
        id("plant"),
        ObjectId::Server.into(),
        id("root"),
    ];
    let select = [field("SourceName"), field("Message")];
    let items = places.iter().zip(1..);
    let items = items.map(|(place, n)| events(place, n, &select, ContentFilter::default()));
    watch(&mut client, subscription, items.collect()).await;
    running.emit(&happened("one", 500));
    running.emit(&happened("two", 500));
    let seen = messages(&mut client, 10).await;
    for handle in 1..=5 {
        let texts: Vec<_> = seen.iter().filter(|(h, _)| *h == handle).map(|(_, f)| &f[1]).collect();
        let wanted: Vec<Variant> = ["one", "two"]
            .map(|text| opcua::types::LocalizedText::from(text).into())
            .into_iter()
            .collect();
        assert_eq!(texts, wanted.iter().collect::<Vec<_>>(), "place {handle}");
    }
    // An event elsewhere is seen at the server alone.
    let elsewhere = (id("elsewhere"), "elsewhere");
    let event = Event::new(ObjectTypeId::SystemEventType, elsewhere, DateTime::now(), 1, "three");
    running.emit(&event);
    let seen = messages(&mut client, 1).await;
    assert_eq!(seen[0].0, 4);
}

#[tokio::test]
async fn a_field_that_an_event_has_not_is_null_in_its_place() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let condition = SimpleAttributeOperand {
        type_definition_id: ObjectTypeId::ConditionType.into(),
        browse_path: None,
        attribute_id: AttributeId::NodeId as u32,
        index_range: Default::default(),
    };
    let select = [field("NoSuchField"), field("SourceName"), condition, field("Severity")];
    let request = events(&ObjectId::Server.into(), 1, &select, ContentFilter::default());
    let created = create(&mut client, subscription, vec![request]).await;
    assert!(created[0].status_code.is_good());
    let result = created[0].filter_result.inner_as::<EventFilterResult>().unwrap();
    use StatusCode as S;
    let clauses = result.select_clause_results.clone().unwrap();
    assert_eq!(clauses, [S::BadNodeIdUnknown, S::Good, S::Good, S::Good]);
    running.emit(&happened("x", 700));
    let seen = messages(&mut client, 1).await;
    let name = UAString::from("machine").into();
    assert_eq!(seen[0].1, [Variant::Empty, name, Variant::Empty, 700_u16.into()]);
}

#[tokio::test]
async fn where_clauses_choose_by_type_text_node_and_number() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let system = NodeId::from(ObjectTypeId::SystemEventType);
    let audit = NodeId::from(ObjectTypeId::AuditEventType);
    let literal = |value: Variant| Operand::LiteralOperand(LiteralOperand { value });
    let simple = |name: &str| Operand::SimpleAttributeOperand(field(name));
    let wanting = [
        ContentFilterBuilder::new().of_type(literal(system.clone().into())).build(),
        ContentFilterBuilder::new().eq(simple("SourceName"), literal("machine".into())).build(),
        ContentFilterBuilder::new()
            .eq(simple("SourceNode"), literal(id("plant/line/machine").into()))
            .build(),
        ContentFilterBuilder::new().gt(simple("Severity"), literal(600_u16.into())).build(),
        ContentFilterBuilder::new()
            .in_list(
                simple("EventType"),
                vec![literal(audit.clone().into()), literal(system.into())],
            )
            .build(),
        ContentFilterBuilder::new().like(simple("Message"), literal("it%".into())).build(),
    ];
    let refusing = [
        ContentFilterBuilder::new().of_type(literal(audit.into())).build(),
        ContentFilterBuilder::new().eq(simple("SourceName"), literal("other".into())).build(),
        ContentFilterBuilder::new().lt(simple("Severity"), literal(600_u16.into())).build(),
    ];
    let select = [field("Message")];
    let server = NodeId::from(ObjectId::Server);
    let filters = wanting.iter().zip(1..).chain(refusing.iter().zip(101..));
    let items = filters.map(|(clause, n)| events(&server, n, &select, clause.clone()));
    watch(&mut client, subscription, items.collect()).await;
    running.emit(&happened("it broke", 700));
    let seen = messages(&mut client, wanting.len()).await;
    let mut handles: Vec<_> = seen.iter().map(|(handle, _)| *handle).collect();
    handles.sort_unstable();
    assert_eq!(handles, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn a_queue_left_to_us_takes_many_events_and_a_full_one_says_so() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let select = [field("EventType"), field("Message")];
    let server = NodeId::from(ObjectId::Server);
    let mut left = events(&server, 1, &select, ContentFilter::default());
    left.requested_parameters.queue_size = 0;
    let mut small = events(&server, 2, &select, ContentFilter::default());
    small.requested_parameters.queue_size = 5;
    let created = create(&mut client, subscription, vec![left, small]).await;
    assert_eq!((created[0].revised_queue_size, created[1].revised_queue_size), (1000, 5));
    for number in 0..12 {
        running.emit(&happened(&number.to_string(), 500));
    }
    let seen = messages(&mut client, 12 + 6).await;
    let of = |handle: u32| seen.iter().filter(move |(h, _)| *h == handle).map(|(_, f)| &f[0]);
    assert_eq!(of(1).count(), 12);
    let small: Vec<_> = of(2).collect();
    assert_eq!(small.len(), 6);
    let overflow: Variant = NodeId::from(ObjectTypeId::EventQueueOverflowEventType).into();
    assert_eq!(*small[0], overflow, "the oldest were lost, so it stands before the others");
}

#[tokio::test]
async fn event_items_are_only_for_notifiers_and_event_filters() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let select = [field("Message")];
    let none = ContentFilter::default;
    let server = NodeId::from(ObjectId::Server);
    let mut without = events(&server, 1, &select, none());
    without.requested_parameters.filter = ExtensionObject::null();
    let nothing_selected = events(&server, 1, &[], none());
    let variable = events(&id("number"), 1, &select, none());
    let folder = events(&ObjectId::ObjectsFolder.into(), 1, &select, none());
    let mut on_value = item(&id("number"), 1);
    on_value.requested_parameters.filter =
        events(&server, 1, &select, none()).requested_parameters.filter;
    let bad_clause = ContentFilterBuilder::new().not(Operand::element(0)).build();
    let bad = events(&server, 1, &select, bad_clause);
    let requests = vec![without, nothing_selected, variable, folder, on_value, bad];
    let created = create(&mut client, subscription, requests).await;
    let statuses: Vec<_> = created.iter().map(|one| one.status_code).collect();
    use StatusCode as S;
    let wanted = [
        S::BadEventFilterInvalid,
        S::BadEventFilterInvalid,
        S::BadAttributeIdInvalid,
        S::BadNotSupported,
        S::BadFilterNotAllowed,
        S::BadEventFilterInvalid,
    ];
    assert_eq!(statuses, wanted);
    let result = created[5].filter_result.inner_as::<EventFilterResult>().unwrap();
    let elements = result.where_clause_result.element_results.clone().unwrap();
    assert_eq!(elements[0].status_code, S::BadFilterOperandInvalid);
}

#[tokio::test]
async fn audit_events_are_not_for_everybody() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let subscription = subscribe(&mut client).await;
    let select = [field("EventType"), field("Message")];
    let server = NodeId::from(ObjectId::Server);
    watch(&mut client, subscription, vec![events(&server, 1, &select, ContentFilter::default())])
        .await;
    // Another client comes and goes, which is audited; then something happens.
    let _other = running.session().await;
    running.emit(&happened("visible", 500));
    let seen = messages(&mut client, 1).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].1[0], NodeId::from(ObjectTypeId::SystemEventType).into());
    let quiet = tokio::time::timeout(Duration::from_millis(200), publish(&mut client)).await;
    assert!(quiet.is_err() || event_fields(&quiet.unwrap().notification_message).is_empty());
}
