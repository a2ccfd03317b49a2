//! Reading, browsing and writing.

use linewright::server::space::Space as _;
use opcua::core::ResponseMessage;
use opcua::types::{
    AttributeId, BrowseDescription, BrowseNextRequest, BrowsePath, BrowseRequest, BrowseResultMask,
    DataValue, DateTime, DiagnosticBits, NodeClass, NodeId, NumericRange, ObjectId, QualifiedName,
    QueryFirstRequest, ReadRequest, ReferenceTypeId, RelativePath, RelativePathElement,
    RequestHeader, StatusCode, TimestampsToReturn, TranslateBrowsePathsToNodeIdsRequest,
    VariableId, Variant, ViewDescription, WriteRequest, WriteValue,
};

use super::raw::{Raw, result};
use super::space::{id, variable};
use super::support::{Running, fault, read, read_id, read_value};

#[tokio::test]
async fn what_is_wrong_with_one_node_is_said_of_that_node() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut wrong_encoding = read_id(&id("number"), AttributeId::Value);
    wrong_encoding.data_encoding = QualifiedName::new(0, "Default XML");
    let mut no_encoding = read_id(&id("number"), AttributeId::BrowseName);
    no_encoding.data_encoding = QualifiedName::new(0, "Default Binary");
    let mut ranged = read_id(&id("array"), AttributeId::Value);
    ranged.index_range = NumericRange::Range(1, 2);
    let mut beyond = read_id(&id("array"), AttributeId::Value);
    beyond.index_range = NumericRange::Index(9);
    let mut attribute = read_id(&id("number"), AttributeId::Value);
    attribute.attribute_id = 99;
    let values = read(
        &mut client,
        vec![
            read_id(&id("number"), AttributeId::Value),
            read_id(&id("nothing"), AttributeId::Value),
            attribute,
            read_id(&id("number"), AttributeId::EventNotifier),
            wrong_encoding,
            no_encoding,
            ranged,
            beyond,
            read_id(&id("root"), AttributeId::Value),
        ],
    )
    .await;
    assert_eq!(values[0].value, Some(1_i32.into()));
    assert_eq!(values[0].status, None, "good is what is meant when nothing is said");
    assert_eq!(values[6].value, Some(vec![2_i32, 3].into()));
    let statuses: Vec<_> = values.iter().map(|value| value.status.unwrap_or_default()).collect();
    use StatusCode as S;
    let wanted = [
        S::Good,
        S::BadNodeIdUnknown,
        S::BadAttributeIdInvalid,
        S::BadAttributeIdInvalid,
        S::BadDataEncodingUnsupported,
        S::BadDataEncodingInvalid,
        S::Good,
        S::BadIndexRangeNoData,
        S::BadAttributeIdInvalid,
    ];
    assert_eq!(statuses, wanted);
}

/// A read whose second node has an index range that is none; the stack's types cannot say that.
#[tokio::test]
async fn an_index_range_that_is_none_does_not_spoil_the_other_nodes() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let node = read_id(&id("array"), AttributeId::Value);
    let mut second = node.clone();
    second.index_range = NumericRange::Range(1, 2);
    let request = ReadRequest {
        request_header: client.header(),
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Neither,
        nodes_to_read: Some(vec![node, second]),
    };
    let mut bytes = client.encode(&request.into());
    let at = bytes.windows(3).rposition(|window| window == b"1:2").unwrap();
    bytes[at..at + 3].copy_from_slice(b"2:1");
    let ResponseMessage::Read(response) = client.call_bytes(&bytes).await.unwrap() else {
        panic!("no answer")
    };
    let results = response.results.unwrap();
    assert_eq!(results[0].value, Some(vec![1_i32, 2, 3, 4].into()));
    assert_eq!(results[1].status, Some(StatusCode::BadIndexRangeInvalid));
}

#[tokio::test]
async fn only_the_timestamps_that_are_wanted_are_told_also_of_the_server_itself() {
    let running = Running::new().await;
    let mut client = running.session().await;
    for (wanted, source, server) in [
        (TimestampsToReturn::Both, true, true),
        (TimestampsToReturn::Source, true, false),
        (TimestampsToReturn::Server, false, true),
        (TimestampsToReturn::Neither, false, false),
    ] {
        let state = NodeId::from(VariableId::Server_ServerStatus_State);
        let request = ReadRequest {
            request_header: client.header(),
            max_age: 0.0,
            timestamps_to_return: wanted,
            nodes_to_read: Some(vec![
                read_id(&id("number"), AttributeId::Value),
                read_id(&state, AttributeId::Value),
            ]),
        };
        let ResponseMessage::Read(response) = client.call(request).await.unwrap() else {
            panic!("no answer")
        };
        for value in response.results.unwrap() {
            let told = (value.source_timestamp.is_some(), value.server_timestamp.is_some());
            assert_eq!(told, (source, server), "{wanted:?}");
        }
    }
}

#[tokio::test]
async fn a_request_as_a_whole_is_refused_for_what_is_wrong_with_it() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut request = |nodes: usize, max_age: f64, timestamps| ReadRequest {
        request_header: client.header(),
        max_age,
        timestamps_to_return: timestamps,
        nodes_to_read: Some(vec![read_id(&variable(1), AttributeId::Value); nodes]),
    };
    let both = TimestampsToReturn::Both;
    let requests = [
        (request(10_000, 0.0, both), StatusCode::Good),
        (request(10_001, 0.0, both), StatusCode::BadTooManyOperations),
        (request(0, 0.0, both), StatusCode::BadNothingToDo),
        (request(1, -1.0, both), StatusCode::BadMaxAgeInvalid),
        (request(1, f64::NAN, both), StatusCode::BadMaxAgeInvalid),
        (request(1, 0.0, TimestampsToReturn::Invalid), StatusCode::BadTimestampsToReturnInvalid),
    ];
    for (request, wanted) in requests {
        assert_eq!(fault(&mut client, request).await, wanted);
    }
    let query = QueryFirstRequest { request_header: client.header(), ..Default::default() };
    assert_eq!(fault(&mut client, query).await, StatusCode::BadServiceUnsupported);
}

#[tokio::test]
async fn diagnostics_are_given_to_who_asks_for_them() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let header = RequestHeader {
        return_diagnostics: DiagnosticBits::OPERATIONAL_LEVEL_SYMBOLIC_ID,
        ..client.header()
    };
    let request = ReadRequest {
        request_header: header,
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Neither,
        nodes_to_read: Some(vec![read_id(&id("nothing"), AttributeId::Value)]),
    };
    let ResponseMessage::Read(response) = client.call(request).await.unwrap() else {
        panic!("no answer")
    };
    assert_eq!(response.diagnostic_infos.unwrap()[0].symbolic_id, Some(0));
    let table = response.response_header.string_table.unwrap();
    assert_eq!(table[0].as_ref(), "BadNodeIdUnknown");
}

#[tokio::test]
async fn nobody_writes_without_the_right_and_a_protected_channel() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let write = |node_id: NodeId, attribute: AttributeId, value: Variant| WriteValue {
        node_id,
        attribute_id: attribute as u32,
        index_range: NumericRange::None,
        value: DataValue { value: Some(value), ..DataValue::default() },
    };
    let request = WriteRequest {
        request_header: client.header(),
        nodes_to_write: Some(vec![
            write(id("number"), AttributeId::Value, 5_i32.into()),
            write(id("writable"), AttributeId::Value, 5.0_f64.into()),
            write(id("number"), AttributeId::DisplayName, "x".into()),
            write(id("nothing"), AttributeId::Value, 5_i32.into()),
            write(id("root"), AttributeId::Value, 5_i32.into()),
        ]),
    };
    let ResponseMessage::Write(response) = client.call(request).await.unwrap() else {
        panic!("no answer")
    };
    use StatusCode as S;
    let wanted = [
        S::BadNotWritable,
        S::BadSecurityModeInsufficient,
        S::BadNotWritable,
        S::BadNodeIdUnknown,
        S::BadAttributeIdInvalid,
    ];
    assert_eq!(response.results.unwrap(), wanted);
    let held = running.server.space.current_value(&id("writable")).unwrap();
    assert_eq!(held.value, Some(1.0_f64.into()));
}

#[tokio::test]
async fn rights_are_told_as_they_are_kept() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let node = id("writable");
    let values = read(
        &mut client,
        vec![
            read_id(&node, AttributeId::AccessLevel),
            read_id(&node, AttributeId::UserAccessLevel),
            read_id(&node, AttributeId::AccessRestrictions),
            read_id(&node, AttributeId::RolePermissions),
            read_id(&node, AttributeId::UserRolePermissions),
            read_id(&node, AttributeId::Description),
            read_id(&node, AttributeId::AccessLevelEx),
        ],
    )
    .await;
    let value = |index: usize| values[index].value.clone().unwrap();
    // Over a channel without security the node cannot be used at all (Part 3 §5.2.11).
    assert_eq!((value(0), value(1)), (3_u8.into(), 0_u8.into()));
    assert_eq!(value(2), 1_u16.into());
    let length = |index: usize| match value(index) {
        Variant::Array(array) => array.values.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!((length(3), length(4)), (7, 1));
    assert_eq!(value(6), 3_u32.into());
    // Who is logged on is not for everybody.
    let sessions =
        VariableId::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray;
    let values = read(&mut client, vec![read_id(&sessions.into(), AttributeId::Value)]).await;
    assert_eq!(values[0].status, Some(StatusCode::BadSecurityModeInsufficient));
    let count = VariableId::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount;
    assert_eq!(read_value(&mut client, count).await, 1_u32.into());
}

fn browse(client: &mut Raw, node_id: NodeId, max: u32) -> BrowseRequest {
    BrowseRequest {
        request_header: client.header(),
        view: ViewDescription::default(),
        requested_max_references_per_node: max,
        nodes_to_browse: Some(vec![BrowseDescription {
            node_id,
            browse_direction: opcua::types::BrowseDirection::Forward,
            reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
            include_subtypes: true,
            node_class_mask: NodeClass::Variable as u32,
            result_mask: BrowseResultMask::All as u32,
        }]),
    }
}

#[tokio::test]
async fn a_browse_goes_on_where_it_stopped_and_each_point_is_good_for_once() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let request = browse(&mut client, id("root"), 0);
    let ResponseMessage::Browse(whole) = client.call(request).await.unwrap() else {
        panic!("no answer")
    };
    let whole: Vec<_> = whole.results.unwrap().remove(0).references.unwrap();
    assert_eq!(whole.len(), 19, "ten variables, and those with names, but no object");
    let request = browse(&mut client, id("root"), 5);
    let ResponseMessage::Browse(first) = client.call(request).await.unwrap() else {
        panic!("no answer")
    };
    let mut result = first.results.unwrap().remove(0);
    let mut paged = result.references.take().unwrap();
    let mut used = result.continuation_point.clone();
    while !result.continuation_point.is_null_or_empty() {
        used = result.continuation_point.clone();
        let request = BrowseNextRequest {
            request_header: client.header(),
            release_continuation_points: false,
            continuation_points: Some(vec![used.clone()]),
        };
        let ResponseMessage::BrowseNext(next) = client.call(request).await.unwrap() else {
            panic!("no answer")
        };
        result = next.results.unwrap().remove(0);
        paged.extend(result.references.take().unwrap());
    }
    assert_eq!(paged, whole);
    let again = BrowseNextRequest {
        request_header: client.header(),
        release_continuation_points: false,
        continuation_points: Some(vec![used]),
    };
    let ResponseMessage::BrowseNext(again) = client.call(again).await.unwrap() else {
        panic!("no answer")
    };
    let status = again.results.unwrap()[0].status_code;
    assert_eq!(status, StatusCode::BadContinuationPointInvalid);
}

#[tokio::test]
async fn points_are_bounded_and_given_back() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut points = Vec::new();
    for _ in 0..50 {
        let request = browse(&mut client, id("root"), 1);
        let ResponseMessage::Browse(browsed) = client.call(request).await.unwrap() else {
            panic!("no answer")
        };
        points.push(browsed.results.unwrap()[0].continuation_point.clone());
    }
    let request = browse(&mut client, id("root"), 1);
    let ResponseMessage::Browse(full) = client.call(request).await.unwrap() else {
        panic!("no answer")
    };
    assert_eq!(full.results.unwrap()[0].status_code, StatusCode::BadNoContinuationPoints);
    let release = BrowseNextRequest {
        request_header: client.header(),
        release_continuation_points: true,
        continuation_points: Some(points),
    };
    assert_eq!(fault(&mut client, release).await, StatusCode::Good);
    let request = browse(&mut client, id("root"), 1);
    let ResponseMessage::Browse(browsed) = client.call(request).await.unwrap() else {
        panic!("no answer")
    };
    assert!(browsed.results.unwrap()[0].status_code.is_good());
}

#[tokio::test]
async fn wrong_browses_say_what_is_wrong() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let mut unknown_type = browse(&mut client, id("root"), 0);
    unknown_type.nodes_to_browse.as_mut().unwrap()[0].reference_type_id = id("root");
    let mut direction = browse(&mut client, id("root"), 0);
    direction.nodes_to_browse.as_mut().unwrap()[0].browse_direction =
        opcua::types::BrowseDirection::Invalid;
    let missing = browse(&mut client, id("nothing"), 0);
    for (request, wanted) in [
        (unknown_type, StatusCode::BadReferenceTypeIdInvalid),
        (direction, StatusCode::BadBrowseDirectionInvalid),
        (missing, StatusCode::BadNodeIdUnknown),
    ] {
        let ResponseMessage::Browse(response) = client.call(request).await.unwrap() else {
            panic!("no answer")
        };
        assert_eq!(response.results.unwrap()[0].status_code, wanted);
    }
    let mut view = browse(&mut client, id("root"), 0);
    view.view.view_id = id("root");
    assert_eq!(fault(&mut client, view).await, StatusCode::BadViewIdUnknown);
}

#[tokio::test]
async fn a_path_is_followed_step_by_step_and_a_long_one_costs_no_more_than_its_steps() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let element = |name: &str| RelativePathElement {
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        is_inverse: false,
        include_subtypes: true,
        target_name: QualifiedName::new(2, name),
    };
    let path = |elements: Vec<RelativePathElement>| BrowsePath {
        starting_node: ObjectId::ObjectsFolder.into(),
        relative_path: RelativePath { elements: Some(elements) },
    };
    let up_and_down = |depth: usize| {
        let any = |is_inverse| RelativePathElement {
            is_inverse,
            target_name: QualifiedName::null(),
            ..element("")
        };
        let mut elements: Vec<_> = (0..depth).map(|step| any(step % 2 == 1)).collect();
        elements.push(element("root"));
        path(elements)
    };
    let request = TranslateBrowsePathsToNodeIdsRequest {
        request_header: client.header(),
        browse_paths: Some(vec![
            path(vec![element("root"), element("number")]),
            path(vec![element("root"), element("nothing")]),
            path(vec![]),
            path(vec![RelativePathElement { target_name: QualifiedName::null(), ..element("") }]),
            up_and_down(998),
            up_and_down(5000),
        ]),
    };
    let ResponseMessage::TranslateBrowsePathsToNodeIds(response) =
        client.call(request).await.unwrap()
    else {
        panic!("no answer")
    };
    let results = response.results.unwrap();
    let targets = results[0].targets.clone().unwrap();
    assert_eq!(targets[0].target_id.node_id, id("number"));
    use StatusCode as S;
    let statuses: Vec<_> = results.iter().map(|result| result.status_code).collect();
    let wanted = [
        S::Good,
        S::BadNoMatch,
        S::BadNothingToDo,
        S::BadBrowseNameInvalid,
        S::Good,
        S::BadTooManyOperations,
    ];
    assert_eq!(statuses, wanted);
}

#[tokio::test]
async fn the_server_says_of_itself_what_is_so() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let ids = [
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
        VariableId::Server_ServerCapabilities_MaxSubscriptionsPerSession,
        VariableId::Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
        VariableId::HistoryServerCapabilities_AccessHistoryDataCapability,
        VariableId::Server_Auditing,
        VariableId::Server_ServiceLevel,
        VariableId::Server_ServerDiagnostics_EnabledFlag,
        VariableId::Server_ServerRedundancy_RedundancySupport,
    ];
    let mut values = Vec::new();
    for id in ids {
        values.push(read_value(&mut client, id).await);
    }
    let wanted: [Variant; 8] = [
        10_000_u32.into(),
        100_u32.into(),
        20_000_u32.into(),
        true.into(),
        true.into(),
        255_u8.into(),
        true.into(),
        0_i32.into(),
    ];
    assert_eq!(values, wanted);
    let started = read_value(&mut client, VariableId::Server_ServerStatus_StartTime).await;
    let now = DateTime::now().ticks();
    assert!(matches!(started, Variant::DateTime(time) if (now - time.ticks()) < 600_000_000));
    // What is not served is not there.
    let gone = [ObjectId::PublishSubscribe, ObjectId::ServerConfiguration];
    for object in gone {
        let id = NodeId::from(object);
        let values = read(&mut client, vec![read_id(&id, AttributeId::BrowseName)]).await;
        assert_eq!(values[0].status, Some(StatusCode::BadNodeIdUnknown), "{object:?}");
    }
    let answer = client.call(browse_nothing()).await.unwrap();
    assert_eq!(result(&answer), StatusCode::BadSessionIdInvalid);
}

/// A request of a session that does not exist.
fn browse_nothing() -> BrowseRequest {
    BrowseRequest { request_header: RequestHeader::dummy(), ..BrowseRequest::default() }
}
