//! Attacks with messages: without end, too large, nested, lying about lengths, cut off in between.

use opcua::core::ResponseMessage;
use opcua::types::{
    AttributeId, BrowsePath, DataValue, NumericRange, QualifiedName, ReferenceTypeId, RelativePath,
    RelativePathElement, StatusCode, TranslateBrowsePathsToNodeIdsRequest, Variant, WriteRequest,
    WriteValue,
};

use super::raw::{Raw, frame};
use super::target::{Target, read_state};

#[tokio::test]
async fn chunks_without_end() {
    let target = Target::start();
    // Eight that send for ever what is just small enough, and one that goes too far.
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut attacker = target.session().await;
        for _ in 0..60 {
            attacker.send_chunk(b"MSGC", 5, &[0; 60_000]).await;
        }
        held.push(attacker);
    }
    let mut attacker = target.session().await;
    for _ in 0..400 {
        attacker.send_chunk(b"MSGC", 5, &[0; 60_000]).await;
    }
    // Nothing more is read of it after what was agreed.
    let ended = attacker.receive().await.unwrap_err();
    let known = [None, Some(StatusCode::BadTcpMessageTooLarge)];
    assert!(known.contains(&ended.status), "{ended:?}");
    while target.goes_on() {
        for attacker in &mut held {
            attacker.send_chunk(b"MSGA", 5, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).await;
            attacker.send_chunk(b"MSGC", 5, &[0; 60_000]).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    target.stands();
}

#[tokio::test]
async fn frames_that_say_that_they_are_huge() {
    let target = Target::start();
    let mut attacker = target.connect().await.unwrap();
    attacker.write(&[&b"HELF"[..], &u32::MAX.to_le_bytes()].concat()).await;
    let garbage = vec![0; 1 << 20];
    for _ in 0..200 {
        attacker.write(&garbage).await;
    }
    let ended = attacker.read_frame().await.unwrap_err();
    let known = [None, Some(StatusCode::BadTcpMessageTooLarge)];
    assert!(known.contains(&ended.status), "{ended:?}");
    while target.goes_on() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    target.stands();
}

fn write_of(client: &mut Raw, variant: &[u8]) -> Vec<u8> {
    const MARK: &str = "MARKMARK";
    let request = WriteRequest {
        request_header: client.header(),
        nodes_to_write: Some(vec![WriteValue {
            node_id: opcua::types::NodeId::new(2, "x"),
            attribute_id: AttributeId::Value as u32,
            index_range: NumericRange::None,
            value: DataValue { value: Some(Variant::from(MARK)), ..DataValue::default() },
        }]),
    };
    let mut bytes = client.encode(&request.into());
    let at = bytes.windows(8).position(|window| window == MARK.as_bytes()).unwrap();
    bytes.splice(at - 5..at + 8, variant.iter().copied());
    bytes
}

#[tokio::test]
async fn values_that_nest_without_end() {
    let target = Target::start();
    let chains = [
        [&[0x17, 0x01].repeat(60_000)[..], &[0]].concat(),
        [&[0x98, 1, 0, 0, 0].repeat(30_000)[..], &[0]].concat(),
        [&[0x19][..], &[0x40].repeat(100_000), &[0]].concat(),
    ];
    let mut attacker = target.session().await;
    while target.goes_on() {
        for chain in &chains {
            let bytes = write_of(&mut attacker, chain);
            let answer = attacker.call_bytes(&bytes).await.unwrap();
            let status = super::raw::result(&answer);
            assert_eq!(status, StatusCode::BadEncodingLimitsExceeded);
        }
    }
    target.stands();
}

#[tokio::test]
async fn lengths_that_would_take_all_memory() {
    let target = Target::start();
    let mut attacker = target.session().await;
    let bytes = |kind: u8, count: i32, bytes: usize| {
        [&[kind][..], &count.to_le_bytes(), &vec![0; bytes]].concat()
    };
    let variants = [
        bytes(0x0c, i32::MAX, 100),
        bytes(0x81, i32::MAX, 100),
        bytes(0x98, 100_000, 1_000_000),
        // Three million empty variants, each of them larger in memory than on the wire.
        [&bytes(0x98, 30, 0)[..], &bytes(0x98, 100_000, 100_000).repeat(30)].concat(),
    ];
    while target.goes_on() {
        for variant in &variants {
            let bytes = write_of(&mut attacker, variant);
            let answer = attacker.call_bytes(&bytes).await.unwrap();
            let status = super::raw::result(&answer);
            assert!(status.is_bad(), "{answer:?}");
        }
    }
    target.stands();
}

#[tokio::test]
async fn paths_of_a_thousand_steps() {
    let target = Target::start();
    let mut attacker = target.session().await;
    let element = RelativePathElement {
        reference_type_id: ReferenceTypeId::References.into(),
        is_inverse: false,
        include_subtypes: true,
        target_name: QualifiedName::new(0, "Objects"),
    };
    let path = BrowsePath {
        starting_node: opcua::types::ObjectId::RootFolder.into(),
        relative_path: RelativePath { elements: Some(vec![element; 1000]) },
    };
    while target.goes_on() {
        let request = TranslateBrowsePathsToNodeIdsRequest {
            request_header: attacker.header(),
            browse_paths: Some(vec![path.clone(); 100]),
        };
        let answer = attacker.call(request).await.unwrap();
        let ResponseMessage::TranslateBrowsePathsToNodeIds(answer) = answer else {
            panic!("{answer:?}")
        };
        let results = answer.results.unwrap();
        assert!(results.iter().all(|one| one.status_code == StatusCode::BadNoMatch));
    }
    target.stands();
}

#[tokio::test]
async fn text_that_is_none_and_connections_cut_in_between() {
    let target = Target::start();
    let mut attacker = target.session().await;
    let bytes = write_of(&mut attacker, &[0x0c, 4, 0, 0, 0, 0xff, 0xfe, 0xc0, 0x80]);
    let answer = attacker.call_bytes(&bytes).await.unwrap();
    assert!(super::raw::result(&answer).is_bad(), "{answer:?}");
    for number in 0..40 {
        let Ok(mut attacker) = target.open().await else { break };
        if attacker.log_on().await.is_err() {
            break;
        }
        for _ in 0..50 {
            let request = read_state(&mut attacker);
            attacker.send(request).await;
        }
        if number % 2 == 0 {
            attacker.write(&frame(b"MSGF", &[0; 40])[..30]).await;
        }
        drop(attacker);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    target.stands();
}
