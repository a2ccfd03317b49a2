//! Messages that nobody honest would send: each is answered by the code that Part 4 and Part 6 name,
//! and others go on as if nothing had happened.

use std::time::Duration;

use opcua::core::ResponseMessage;
use opcua::types::{
    AttributeId, BinaryEncodable as _, ByteString, CallMethodRequest, CallRequest, DataValue,
    ExtensionObject, GetEndpointsRequest, MessageSecurityMode, MethodId, NodeId, ObjectId,
    OpenSecureChannelRequest, ReadRequest, RequestHeader, StatusCode, TimestampsToReturn, Variant,
    WriteRequest, WriteValue,
};

use super::raw::{Ended, Raw, context, frame, hello, result};
use super::space::{id, test_limits};
use super::support::{Running, item, read_id, read_value, subscribe};

/// Stands in an encoded request where something else shall be.
const MARK: &[u8] = b"\x0f\x08\x00\x00\x00MARKMARK";

fn mark() -> Variant {
    Variant::ByteString(ByteString::from(&MARK[5..]))
}

/// Puts something in the place of the mark.
fn splice(mut message: Vec<u8>, instead: &[u8]) -> Vec<u8> {
    let at = message.windows(MARK.len()).position(|window| window == MARK).unwrap();
    message.splice(at..at + MARK.len(), instead.iter().copied());
    message
}

/// Variants in which something lies ever deeper; the last one is null.
fn chains(depth: usize) -> Vec<(&'static str, Vec<u8>)> {
    let repeat = |one: &[u8]| one.repeat(depth);
    let of_values = [&repeat(&[0x17, 0x01])[..], &[0x00]].concat();
    let of_variants = [&repeat(&[0x98, 1, 0, 0, 0])[..], &[0x00]].concat();
    let of_diagnostics = [&[0x19][..], &repeat(&[0x40]), &[0x00]].concat();
    vec![
        ("DataValue in Variant", of_values),
        ("Variant in Variant", of_variants),
        ("inner DiagnosticInfo", of_diagnostics),
    ]
}

fn write(client: &mut Raw) -> Vec<u8> {
    let request = WriteRequest {
        request_header: client.header(),
        nodes_to_write: Some(vec![WriteValue {
            node_id: id("number"),
            attribute_id: AttributeId::Value as u32,
            index_range: Default::default(),
            value: DataValue { value: Some(mark()), ..DataValue::default() },
        }]),
    };
    client.encode(&request.into())
}

fn call(client: &mut Raw) -> Vec<u8> {
    let request = CallRequest {
        request_header: client.header(),
        methods_to_call: Some(vec![CallMethodRequest {
            object_id: ObjectId::Server.into(),
            method_id: MethodId::Server_ResendData.into(),
            input_arguments: Some(vec![mark()]),
        }]),
    };
    client.encode(&request.into())
}

/// An extension object whose body has something at its end; lengths are made to fit.
fn object(type_id: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let context = context();
    NodeId::new(0, type_id).encode(&mut bytes, &context.context()).unwrap();
    bytes.push(1);
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// CreateMonitoredItems with an event filter whose where clause compares with a literal.
fn filter(client: &mut Raw, subscription: u32, literal: &[u8]) -> Vec<u8> {
    let mut request = item(&ObjectId::Server.into(), 1);
    request.item_to_monitor.attribute_id = AttributeId::EventNotifier as u32;
    // The mark stands for the whole extension object, whose type id and kind come before a body.
    request.requested_parameters.filter = ExtensionObject::null();
    let request = opcua::types::CreateMonitoredItemsRequest {
        request_header: client.header(),
        subscription_id: subscription,
        timestamps_to_return: TimestampsToReturn::Both,
        items_to_create: Some(vec![request]),
    };
    let mut bytes = client.encode(&request.into());
    // Behind the filter stand the size of the queue and which end of it is lost.
    let end = bytes.len() - 5;
    let literal = object(597, literal);
    let one = 1_u32.to_le_bytes();
    let equals = 0_u32.to_le_bytes();
    let body = [&[0; 4][..], &one, &equals, &one, &literal].concat();
    bytes.splice(end - 3..end, object(727, &body));
    bytes
}

async fn is_alive(running: &Running) {
    let mut honest = running.session().await;
    assert_eq!(read_value(&mut honest, id("number")).await, 1_i32.into());
}

fn is_refused(answer: &Result<ResponseMessage, Ended>) -> bool {
    let status = match answer {
        Ok(answer) => Some(result(answer)),
        Err(ended) => ended.status,
    };
    let exact = [StatusCode::BadEncodingLimitsExceeded, StatusCode::BadDecodingError];
    status.is_some_and(|status| exact.contains(&status))
}

#[tokio::test]
async fn nothing_nests_deeper_than_agreed_wherever_it_stands() {
    let running = Running::new().await;
    for depth in [400, 2000, 60_000] {
        for (kind, chain) in chains(depth) {
            let mut client = running.session().await;
            let subscription = subscribe(&mut client).await;
            let requests = [
                ("written value", splice(write(&mut client), &chain)),
                ("argument", splice(call(&mut client), &chain)),
                ("literal of a filter", filter(&mut client, subscription, &chain)),
            ];
            for (place, request) in requests {
                let answer = client.call_bytes(&request).await;
                // What is wrong with a filter is wrong with its item alone.
                let of_item = match &answer {
                    Ok(ResponseMessage::CreateMonitoredItems(created)) => {
                        created.results.as_ref().map(|results| results[0].status_code)
                    }
                    _ => None,
                };
                let is_refused = is_refused(&answer)
                    || of_item == Some(StatusCode::BadEncodingLimitsExceeded)
                    || of_item == Some(StatusCode::BadEventFilterInvalid);
                assert!(is_refused, "{depth} of {kind} as {place}: {answer:?}");
            }
        }
    }
    is_alive(&running).await;
}

#[tokio::test]
async fn a_hundred_levels_are_read() {
    let running = Running::new().await;
    let mut client = running.session().await;
    for (kind, chain) in chains(100) {
        let request = splice(write(&mut client), &chain);
        let answer = client.call_bytes(&request).await.unwrap();
        let ResponseMessage::Write(written) = answer else { panic!("{kind}: {answer:?}") };
        assert_eq!(written.results.unwrap(), [StatusCode::BadNotWritable], "{kind}");
    }
}

/// A header with an additional header that holds a chain, and what follows it.
fn with_additional(message: Vec<u8>, header: &RequestHeader, chain: &[u8]) -> Vec<u8> {
    let context = context();
    let mut known = Vec::new();
    header.encode(&mut known, &context.context()).unwrap();
    let at = message.windows(known.len()).position(|window| window == known).unwrap();
    let mut message = message;
    let end = at + known.len();
    // The type is one of parameters by name: a list of pairs of a name and a Variant.
    let one = [1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    message.splice(end - 3..end, object(16537, &[&one, chain].concat()));
    message
}

#[tokio::test]
async fn an_additional_header_cannot_hide_anything() {
    let running = Running::new().await;
    for (kind, chain) in chains(4000) {
        let mut client = Raw::connect(running.server.address).await.unwrap();
        let request = GetEndpointsRequest {
            request_header: client.header(),
            endpoint_url: "opc.tcp://127.0.0.1".into(),
            locale_ids: None,
            profile_uris: None,
        };
        let header = request.request_header.clone();
        let bytes = with_additional(client.encode(&request.into()), &header, &chain);
        // What has no meaning here is ignored (Part 4 §7.33) and so never decoded.
        let answer = client.call_bytes(&bytes).await.unwrap();
        assert!(result(&answer).is_good(), "{kind}");

        let mut client = Raw::greet(running.server.address).await.unwrap();
        let request = OpenSecureChannelRequest {
            request_header: client.header(),
            security_mode: MessageSecurityMode::None,
            ..OpenSecureChannelRequest::default()
        };
        let header = request.request_header.clone();
        let bytes = with_additional(client.encode(&request.into()), &header, &chain);
        client.open_with(&bytes).await;
        assert_eq!(&client.read_frame().await.unwrap().0, b"OPNF", "{kind}");
    }
    is_alive(&running).await;
}

/// What the server says of bytes that are sent in place of a channel's next frame.
async fn said_of(running: &Running, make: impl FnOnce(&Raw) -> Vec<u8>) -> Option<StatusCode> {
    let mut client = running.session().await;
    let bytes = make(&client);
    client.write(&bytes).await;
    let end = tokio::time::timeout(Duration::from_secs(5), client.read_frame()).await;
    end.unwrap().unwrap_err().status
}

fn message(channel: u32, token: u32, sequence: u32, body: &[u8]) -> Vec<u8> {
    let numbers = [channel, token, sequence, 1].map(u32::to_le_bytes).concat();
    frame(b"MSGF", &[&numbers, body].concat())
}

#[tokio::test]
async fn frames_that_are_none_end_the_connection_with_the_reason() {
    use StatusCode as S;
    let running = Running::new().await;
    let unknown = said_of(&running, |_| frame(b"XYZF", &[0; 16])).await;
    assert_eq!(unknown, Some(S::BadTcpMessageTypeInvalid));
    let chunk = said_of(&running, |_| frame(b"MSGX", &[0; 16])).await;
    assert_eq!(chunk, Some(S::BadTcpMessageTypeInvalid));
    let hello_again = said_of(&running, |_| hello("opc.tcp://x")).await;
    assert_eq!(hello_again, Some(S::BadTcpMessageTypeInvalid));
    let large = |_: &Raw| [&b"MSGF"[..], &4_000_000_000_u32.to_le_bytes()].concat();
    assert_eq!(said_of(&running, large).await, Some(S::BadTcpMessageTooLarge));
    let short = said_of(&running, |_| frame(b"MSGF", &[0; 4])).await;
    assert_eq!(short, Some(S::BadDecodingError));
    let channel = said_of(&running, |c| message(c.channel + 1, c.token, 9, &[])).await;
    assert_eq!(channel, Some(S::BadTcpSecureChannelUnknown));
    let token = said_of(&running, |c| message(c.channel, c.token + 1, 9, &[])).await;
    assert_eq!(token, Some(S::BadSecureChannelTokenUnknown));
    let sequence = said_of(&running, |c| message(c.channel, c.token, 9, &[])).await;
    assert_eq!(sequence, Some(S::BadSequenceNumberInvalid));
    is_alive(&running).await;
}

#[tokio::test]
async fn a_peer_that_has_not_said_hello_gets_nowhere() {
    let running = Running::new().await;
    let endings = [
        (frame(b"OPNF", &[0; 60]), StatusCode::BadTcpMessageTypeInvalid),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), StatusCode::BadTcpMessageTypeInvalid),
        (frame(b"HELF", &[0; 5000]), StatusCode::BadTcpMessageTooLarge),
        (frame(b"HELF", &[0; 4]), StatusCode::BadDecodingError),
    ];
    for (bytes, wanted) in endings {
        let mut client = Raw::unknown(running.server.address).await;
        client.write(&bytes).await;
        assert_eq!(client.read_frame().await.unwrap_err().status, Some(wanted));
    }
    is_alive(&running).await;
}

#[tokio::test]
async fn a_message_may_not_grow_beyond_what_was_agreed() {
    let mut limits = test_limits();
    limits.wire.message.size = 200_000;
    limits.wire.message.chunks = 10;
    let running = Running::with(limits).await;
    // Before anybody has logged on, little is enough.
    let mut client = Raw::connect(running.server.address).await.unwrap();
    let early = client.call_bytes(&vec![0; 70_000]).await.unwrap_err();
    assert_eq!(early.status, Some(StatusCode::BadTcpMessageTooLarge));
    let mut client = running.session().await;
    let late = client.call_bytes(&vec![0; 300_000]).await.unwrap_err();
    assert_eq!(late.status, Some(StatusCode::BadTcpMessageTooLarge));
    // Chunks without end.
    let mut client = running.session().await;
    for _ in 0..20 {
        client.send_chunk(b"MSGC", 1, &[0; 10]).await;
    }
    let many = client.receive().await.unwrap_err();
    assert_eq!(many.status, Some(StatusCode::BadTcpMessageTooLarge));
    is_alive(&running).await;
}

#[tokio::test]
async fn an_aborted_message_is_forgotten_and_the_next_one_is_answered() {
    let running = Running::new().await;
    let mut client = running.session().await;
    client.send_chunk(b"MSGC", 77, &[0; 100]).await;
    client.send_chunk(b"MSGA", 77, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).await;
    assert_eq!(read_value(&mut client, id("number")).await, 1_i32.into());
}

#[tokio::test]
async fn requests_that_are_cut_short_or_too_long_are_faults_and_the_channel_goes_on() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let request = ReadRequest {
        request_header: client.header(),
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Both,
        nodes_to_read: Some(vec![read_id(&id("number"), AttributeId::Value); 2]),
    };
    let whole = client.encode(&request.into());
    for length in 0..whole.len() {
        let answer = client.call_bytes(&whole[..length]).await.unwrap();
        assert!(matches!(answer, ResponseMessage::ServiceFault(_)), "{length}: {answer:?}");
        let status = result(&answer);
        let exact = [StatusCode::BadDecodingError, StatusCode::BadEncodingLimitsExceeded];
        assert!(exact.contains(&status), "{length}: {status}");
    }
    let longer = [&whole[..], &[0]].concat();
    let answer = client.call_bytes(&longer).await.unwrap();
    assert_eq!(result(&answer), StatusCode::BadDecodingError);
    let answer = client.call_bytes(&whole).await.unwrap();
    assert!(result(&answer).is_good());
}

#[tokio::test]
async fn lengths_are_not_believed() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let request = ReadRequest {
        request_header: client.header(),
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Both,
        nodes_to_read: None,
    };
    let whole = client.encode(&request.into());
    let end = whole.len() - 4;
    for length in [i32::MAX, 0x7fff_0000, 1 << 20] {
        let bytes = [&whole[..end], &length.to_le_bytes()].concat();
        let answer = client.call_bytes(&bytes).await.unwrap();
        assert!(result(&answer).is_bad());
    }
    // A string, an array and a matrix of billions in a value.
    let values: [&[u8]; 3] = [
        &[0x0c, 0xff, 0xff, 0xff, 0x7f],
        &[0x81, 0xff, 0xff, 0xff, 0x7f],
        &[0xc1, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0],
    ];
    for value in values {
        let request = splice(write(&mut client), value);
        let answer = client.call_bytes(&request).await.unwrap();
        assert!(result(&answer).is_bad(), "{value:?}: {answer:?}");
    }
    is_alive(&running).await;
}

#[tokio::test]
async fn services_that_are_not_served_say_so() {
    let running = Running::new().await;
    let mut client = running.session().await;
    let types = [
        ObjectId::AddNodesRequest_Encoding_DefaultBinary,
        ObjectId::DeleteNodesRequest_Encoding_DefaultBinary,
        ObjectId::AddReferencesRequest_Encoding_DefaultBinary,
        ObjectId::QueryNextRequest_Encoding_DefaultBinary,
        ObjectId::RegisterServerRequest_Encoding_DefaultBinary,
        ObjectId::FindServersOnNetworkRequest_Encoding_DefaultBinary,
        ObjectId::ReadRequest_Encoding_DefaultXml,
    ];
    let context = context();
    for service in types {
        let mut bytes = Vec::new();
        NodeId::from(service).encode(&mut bytes, &context.context()).unwrap();
        client.header().encode(&mut bytes, &context.context()).unwrap();
        let answer = client.call_bytes(&bytes).await.unwrap();
        assert_eq!(result(&answer), StatusCode::BadServiceUnsupported, "{service:?}");
    }
    let mut bytes = Vec::new();
    NodeId::new(5, 1_u32).encode(&mut bytes, &context.context()).unwrap();
    client.header().encode(&mut bytes, &context.context()).unwrap();
    let answer = client.call_bytes(&bytes).await.unwrap();
    assert_eq!(result(&answer), StatusCode::BadServiceUnsupported);
}

#[tokio::test]
async fn noise_brings_nothing_down() {
    let running = Running::new().await;
    let mut random = fastrand::Rng::with_seed(7);
    let requests: Vec<Vec<u8>> = {
        let mut client = running.session().await;
        let request = ReadRequest {
            request_header: client.header(),
            max_age: 0.0,
            timestamps_to_return: TimestampsToReturn::Both,
            nodes_to_read: Some(vec![read_id(&id("number"), AttributeId::Value); 3]),
        };
        vec![
            client.encode(&request.into()),
            write(&mut client),
            call(&mut client),
            filter(&mut client, 1, &[0]),
        ]
    };
    let mut client = running.session().await;
    for _ in 0..2000 {
        let mut bytes = requests[random.usize(0..requests.len())].clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(0..bytes.len());
            bytes[at] = random.u8(..);
        }
        if client.call_bytes(&bytes).await.is_err() {
            client = running.session().await;
        }
    }
    is_alive(&running).await;
}
