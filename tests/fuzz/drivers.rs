//! What is done with the bytes of a fuzzer, and with those of the corpus in plain tests. Each driver
//! ends well or panics.

#![allow(dead_code, reason = "each target needs one of them")]

use std::io::Cursor;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use linewright::app::access::Users;
use linewright::app::clock::Clock;
use linewright::app::refusals::Refusals;
use linewright::channel::decode::{decoding, raw_context};
use linewright::channel::pki::OwnIdentity;
use linewright::mirror::Namespaces;
use linewright::server::limits::Limits;
use linewright::server::services::{Endpoints, Logons, Services, Setup};
use linewright::server::space::{Event, ServerState, StandardSpace};
use linewright::server::uris;
use linewright::server::wire::admission::{Admission, Phase, Verdict};
use linewright::server::wire::{ChannelInfo, Handler, Reply};
use linewright::sys::WallClock;
use opcua::core::{Message, RequestMessage, ResponseMessage};
use opcua::crypto::SecurityPolicy;
use opcua::types::{
    ActivateSessionRequest, AttributeId, BinaryDecodable, BinaryEncodable, CloseSessionRequest,
    Context, ContextOwned, CreateSessionRequest, CreateSubscriptionRequest, DateTime,
    MessageSecurityMode, NamespaceMap, NodeId, ObjectId, ObjectTypeId, RequestHeader,
    TimestampsToReturn,
};
use tokio::sync::mpsc;

use super::space::{TestSpace, id};

/// Bytes of a peer in pieces: whatever comes, no more is kept than one frame, what was refused stays
/// refused, and how the bytes are cut makes no difference.
pub fn admission(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = verdicts(bytes, bytes.len().max(1));
    assert_eq!(whole, verdicts(bytes, usize::from(*cut).max(1)));
}

/// Sizes of the frames that were let in, and how it ended.
fn verdicts(bytes: &[u8], piece: usize) -> (Vec<usize>, Option<u32>) {
    let limits = Limits::default().wire.admission;
    let now = Instant::now();
    let mut admission = Admission::new(now, limits);
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut next = piece;
        loop {
            // What lies between two renewals passes, so that they are seen at all.
            let at = now + Duration::from_secs(1).min(limits.hello_within / 2);
            match admission.on_bytes(at, next) {
                Verdict::More => break,
                Verdict::Refused(refusal) => return (frames, Some(refusal.status.bits())),
                Verdict::Frame(frame) => {
                    frames.push(frame.bytes.len());
                    match admission.phase() {
                        Phase::Hello => admission.greeted(now, limits.frame_max),
                        Phase::Opening => admission.opened(),
                        Phase::Open => {}
                    }
                }
            }
            next = &[];
        }
        assert!(admission.buffered() <= limits.frame_max);
    }
    (frames, None)
}

/// A server without a socket, with one session over a channel without security.
struct Session {
    services: Arc<Services>,
    channel: Arc<ChannelInfo>,
    outgoing: mpsc::Receiver<linewright::server::wire::Outgoing>,
    context: Arc<ContextOwned>,
    token: NodeId,
}

/// What is made once: the space, our key, a context.
struct World {
    space: Arc<TestSpace>,
    own: Arc<OwnIdentity>,
    users: Arc<Users>,
    clock: Arc<dyn Clock>,
    context: Arc<ContextOwned>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let clock: Arc<dyn Clock> = Arc::new(WallClock);
        let directory = tempfile::tempdir().expect("a directory");
        let own = OwnIdentity::load_or_create(directory.path(), "urn:fuzz", &[]).expect("a key");
        let mut namespaces = NamespaceMap::new();
        namespaces.add_namespace("urn:fuzz");
        namespaces.add_namespace("urn:test");
        let known = Namespaces::of(uris(&namespaces));
        let state = ServerState::new(clock.clone(), "urn:fuzz", known, Limits::default());
        let standard = StandardSpace::new(state, clock.clone(), &mut namespaces);
        World {
            space: Arc::new(TestSpace::new(standard, 10)),
            own: Arc::new(own),
            users: Arc::new(Users::new(Vec::new(), clock.clone())),
            clock,
            context: Arc::new(raw_context(NamespaceMap::new(), decoding())),
        }
    })
}

fn encode(message: &RequestMessage, context: &Context<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.type_id().encode(&mut bytes, context).expect("encodable");
    message.encode(&mut bytes, context).expect("encodable");
    bytes
}

impl Session {
    async fn begin() -> Session {
        let world = world();
        let services = Services::new(Setup {
            space: world.space.clone(),
            endpoints: Endpoints {
                application_uri: "urn:fuzz".into(),
                offered: vec![(SecurityPolicy::None, MessageSecurityMode::None)],
                host: "localhost".into(),
                port: 4840,
                anonymous: true,
                certificates: true,
            },
            logons: Logons { users: world.users.clone() },
            own: world.own.clone(),
            limits: Limits::default(),
            clock: world.clock.clone(),
            context: raw_context(NamespaceMap::new(), decoding()),
            refusals: Refusals::default(),
            trust_command: String::new(),
        });
        let (sender, outgoing) = mpsc::channel(64);
        let peer = (([127, 0, 0, 1], 1).into(), "opc.tcp://localhost".into());
        let security = (1, SecurityPolicy::None, MessageSecurityMode::None);
        let channel = Arc::new(ChannelInfo::new(security, None, peer, 0, sender));
        let context = world.context.clone();
        let mut session = Session { services, channel, outgoing, context, token: NodeId::null() };
        let create = CreateSessionRequest {
            request_header: session.header(),
            requested_session_timeout: 60_000.0,
            ..CreateSessionRequest::default()
        };
        let ResponseMessage::CreateSession(created) = session.ask(create).await else {
            panic!("no session")
        };
        session.token = created.authentication_token;
        let activate = ActivateSessionRequest {
            request_header: session.header(),
            ..ActivateSessionRequest::default()
        };
        session.ask(activate).await;
        session
    }

    fn header(&self) -> RequestHeader {
        let authentication_token = self.token.clone();
        RequestHeader { authentication_token, timeout_hint: 200, ..RequestHeader::dummy() }
    }

    async fn handle(&self, body: Vec<u8>) -> Reply {
        self.services.clone().handle(self.channel.clone(), 1, body.into()).await
    }

    /// Ends the session with all that it has.
    async fn end(&self) {
        let request_header = self.header();
        self.ask(CloseSessionRequest { request_header, delete_subscriptions: true }).await;
        assert_eq!(self.services.usage().items, 0, "items are left");
    }

    async fn ask(&self, request: impl Into<RequestMessage>) -> ResponseMessage {
        let body = encode(&request.into(), &self.context.context());
        match self.handle(body).await {
            Reply::Message(message) => *message,
            Reply::Encoded(bytes) => decode(&bytes),
            Reply::Later => panic!("no answer"),
        }
    }
}

/// An answer can be read by others.
fn decode(bytes: &[u8]) -> ResponseMessage {
    let owned = ContextOwned::new_default(NamespaceMap::new(), decoding());
    let context = owned.context();
    let mut cursor = Cursor::new(bytes);
    let id = NodeId::decode(&mut cursor, &context).expect("a type id");
    let id = id.as_object_id().expect("a known type");
    ResponseMessage::decode_by_object_id(&mut cursor, id, &context).expect("decodable")
}

fn check(reply: &Reply) {
    match reply {
        Reply::Encoded(bytes) => drop(decode(bytes)),
        Reply::Message(message) => {
            let mut bytes = Vec::new();
            let context = world().context.context();
            message.encode(&mut bytes, &context).expect("encodable");
        }
        Reply::Later => {}
    }
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(work);
}

/// The services whose requests a fuzzer writes.
const SERVICES: [ObjectId; 27] = {
    use ObjectId as O;
    [
        O::FindServersRequest_Encoding_DefaultBinary,
        O::GetEndpointsRequest_Encoding_DefaultBinary,
        O::CreateSessionRequest_Encoding_DefaultBinary,
        O::ActivateSessionRequest_Encoding_DefaultBinary,
        O::CancelRequest_Encoding_DefaultBinary,
        O::BrowseRequest_Encoding_DefaultBinary,
        O::BrowseNextRequest_Encoding_DefaultBinary,
        O::TranslateBrowsePathsToNodeIdsRequest_Encoding_DefaultBinary,
        O::RegisterNodesRequest_Encoding_DefaultBinary,
        O::UnregisterNodesRequest_Encoding_DefaultBinary,
        O::ReadRequest_Encoding_DefaultBinary,
        O::WriteRequest_Encoding_DefaultBinary,
        O::HistoryReadRequest_Encoding_DefaultBinary,
        O::HistoryUpdateRequest_Encoding_DefaultBinary,
        O::CallRequest_Encoding_DefaultBinary,
        O::CreateSubscriptionRequest_Encoding_DefaultBinary,
        O::ModifySubscriptionRequest_Encoding_DefaultBinary,
        O::SetPublishingModeRequest_Encoding_DefaultBinary,
        O::CreateMonitoredItemsRequest_Encoding_DefaultBinary,
        O::ModifyMonitoredItemsRequest_Encoding_DefaultBinary,
        O::SetMonitoringModeRequest_Encoding_DefaultBinary,
        O::SetTriggeringRequest_Encoding_DefaultBinary,
        O::DeleteMonitoredItemsRequest_Encoding_DefaultBinary,
        O::PublishRequest_Encoding_DefaultBinary,
        O::RepublishRequest_Encoding_DefaultBinary,
        O::TransferSubscriptionsRequest_Encoding_DefaultBinary,
        O::DeleteSubscriptionsRequest_Encoding_DefaultBinary,
    ]
};

fn subscription(session: &Session) -> CreateSubscriptionRequest {
    CreateSubscriptionRequest {
        request_header: session.header(),
        requested_publishing_interval: 1000.0,
        requested_lifetime_count: 100,
        requested_max_keep_alive_count: 10,
        publishing_enabled: true,
        ..CreateSubscriptionRequest::default()
    }
}

/// Requests of a session, one after the other, and one that is bytes from its first one on. The input
/// is a list of a service, two bytes of length, and the body behind the header.
pub fn messages(data: &[u8]) {
    block_on(async {
        let session = Session::begin().await;
        session.ask(subscription(&session)).await;
        check(&session.handle(data.to_vec()).await);
        let mut rest = data;
        for _ in 0..8 {
            let [service, low, high, behind @ ..] = rest else {
                break;
            };
            let length = usize::from(u16::from_le_bytes([*low, *high])).min(behind.len());
            let (body, next) = behind.split_at(length);
            rest = next;
            let service = SERVICES[usize::from(*service) % SERVICES.len()];
            let mut bytes = Vec::new();
            let context = session.context.context();
            NodeId::from(service).encode(&mut bytes, &context).expect("encodable");
            session.header().encode(&mut bytes, &context).expect("encodable");
            bytes.extend_from_slice(body);
            check(&session.handle(bytes).await);
        }
        session.end().await;
    });
}

/// The body of an event filter, then an event for whom it is.
pub fn filters(data: &[u8]) {
    block_on(async {
        let mut session = Session::begin().await;
        let ResponseMessage::CreateSubscription(made) = session.ask(subscription(&session)).await
        else {
            panic!("no subscription")
        };
        let body = item_with_filter(&session, made.subscription_id, data);
        check(&session.handle(body).await);
        let source = (id("plant/line/machine"), "machine");
        let kind = ObjectTypeId::DeviceFailureEventType;
        let event = Event::new(kind, source, DateTime::from(5000), 500, "it broke");
        session.services.emit(&event);
        while let Ok(sent) = session.outgoing.try_recv() {
            check(&sent.reply);
        }
        session.end().await;
    });
}

/// CreateMonitoredItems of the server's events with these bytes as the filter.
fn item_with_filter(session: &Session, subscription: u32, filter: &[u8]) -> Vec<u8> {
    let context = session.context.context();
    let mut bytes = Vec::new();
    let request = ObjectId::CreateMonitoredItemsRequest_Encoding_DefaultBinary;
    NodeId::from(request).encode(&mut bytes, &context).expect("encodable");
    session.header().encode(&mut bytes, &context).expect("encodable");
    bytes.extend(subscription.to_le_bytes());
    bytes.extend((TimestampsToReturn::Both as i32).to_le_bytes());
    bytes.extend(1_i32.to_le_bytes());
    NodeId::from(ObjectId::Server).encode(&mut bytes, &context).expect("encodable");
    bytes.extend((AttributeId::EventNotifier as u32).to_le_bytes());
    // No index range, no encoding, reporting, our handle, every event.
    bytes.extend([0xff; 4]);
    bytes.extend([0, 0, 0xff, 0xff, 0xff, 0xff]);
    bytes.extend(2_i32.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(0_f64.to_le_bytes());
    let kind = ObjectId::EventFilter_Encoding_DefaultBinary;
    NodeId::from(kind).encode(&mut bytes, &context).expect("encodable");
    bytes.push(1);
    bytes.extend((filter.len() as i32).to_le_bytes());
    bytes.extend(filter);
    bytes.extend(10_u32.to_le_bytes());
    bytes.push(1);
    bytes
}
