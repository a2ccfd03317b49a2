//! A server for each test, and requests that many tests make. No test logic.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use linewright::server::Offer;
use linewright::server::limits::Limits;
use opcua::core::ResponseMessage;
use opcua::types::{
    AttributeId, CreateMonitoredItemsRequest, CreateSubscriptionRequest, DataChangeNotification,
    DataValue, EventNotificationList, ExtensionObject, MonitoredItemCreateRequest,
    MonitoredItemCreateResult, MonitoringMode, MonitoringParameters, NodeId, NotificationMessage,
    PublishRequest, PublishResponse, ReadRequest, ReadValueId, StatusChangeNotification,
    StatusCode, SubscriptionAcknowledgement, TimestampsToReturn, Variant,
};

use super::raw::{Raw, result};
use super::space::{TestServer, start, start_saying, start_with, test_limits};

/// Our key is made once for all tests: that takes seconds.
fn pki_template() -> &'static Path {
    static TEMPLATE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let uri = linewright::server::application_uri("Test");
        let hosts = ["127.0.0.1".to_owned()];
        linewright::channel::pki::create(directory.path(), &uri, &hosts).unwrap();
        directory
    });
    template.path()
}

/// Copies a certificate and its key.
pub fn copy_keys(from: &Path, to: &Path) {
    for folder in ["own", "private"] {
        std::fs::create_dir(to.join(folder)).unwrap();
    }
    for file in ["own/cert.der", "private/private.pem"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

/// A server with its directory.
pub struct Running {
    pub server: TestServer,
    pub _pki: tempfile::TempDir,
}

impl Running {
    pub async fn new() -> Running {
        Running::with(test_limits()).await
    }

    pub async fn with(limits: Limits) -> Running {
        let pki = tempfile::tempdir().unwrap();
        copy_keys(pki_template(), pki.path());
        let server = start(pki.path(), limits, 10).await;
        Running { server, _pki: pki }
    }

    /// A server that refuses more than it says that it takes.
    pub async fn refusing(limits: Limits) -> Running {
        let pki = tempfile::tempdir().unwrap();
        copy_keys(pki_template(), pki.path());
        let limits = (limits, test_limits());
        let server = start_saying(pki.path(), limits, 10, vec![Offer::OPEN], &[]).await;
        Running { server, _pki: pki }
    }

    /// A server with these endpoints.
    pub async fn offering(offers: Vec<Offer>) -> Running {
        let pki = tempfile::tempdir().unwrap();
        copy_keys(pki_template(), pki.path());
        let server = start_with(pki.path(), test_limits(), 10, offers).await;
        Running { server, _pki: pki }
    }

    pub async fn session(&self) -> Raw {
        Raw::session(self.server.address).await
    }

    /// Sets a value and hands it to those who watch it.
    pub fn push(&self, id: &NodeId, value: DataValue) {
        let value = Arc::new(value);
        self.server.space.set_shared(id, value.clone());
        let hub = self.server.server.services().hub();
        hub.push(&[(hub.spot(id), value)]);
    }
}

pub fn read_id(id: &NodeId, attribute: AttributeId) -> ReadValueId {
    ReadValueId { node_id: id.clone(), attribute_id: attribute as u32, ..ReadValueId::default() }
}

pub async fn read(client: &mut Raw, ids: Vec<ReadValueId>) -> Vec<DataValue> {
    let request = ReadRequest {
        request_header: client.header(),
        max_age: 0.0,
        timestamps_to_return: TimestampsToReturn::Both,
        nodes_to_read: Some(ids),
    };
    match client.call(request).await.unwrap() {
        ResponseMessage::Read(response) => response.results.unwrap(),
        other => panic!("{other:?}"),
    }
}

pub async fn read_value(client: &mut Raw, id: impl Into<NodeId>) -> Variant {
    let values = read(client, vec![read_id(&id.into(), AttributeId::Value)]).await;
    values[0].value.clone().unwrap_or_else(|| panic!("{:?}", values[0]))
}

pub fn subscription(client: &mut Raw) -> CreateSubscriptionRequest {
    CreateSubscriptionRequest {
        request_header: client.header(),
        requested_publishing_interval: 20.0,
        requested_lifetime_count: 10_000,
        requested_max_keep_alive_count: 1000,
        max_notifications_per_publish: 0,
        publishing_enabled: true,
        priority: 0,
    }
}

pub async fn subscribe(client: &mut Raw) -> u32 {
    let request = subscription(client);
    subscribe_as(client, request).await
}

pub async fn subscribe_as(client: &mut Raw, request: CreateSubscriptionRequest) -> u32 {
    match client.call(request).await.unwrap() {
        ResponseMessage::CreateSubscription(response) => response.subscription_id,
        other => panic!("{other:?}"),
    }
}

/// An item that reports every change of a value.
pub fn item(id: &NodeId, handle: u32) -> MonitoredItemCreateRequest {
    MonitoredItemCreateRequest {
        item_to_monitor: read_id(id, AttributeId::Value),
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: handle,
            sampling_interval: 0.0,
            filter: ExtensionObject::null(),
            queue_size: 100,
            discard_oldest: true,
        },
    }
}

pub async fn create(
    client: &mut Raw,
    subscription_id: u32,
    items: Vec<MonitoredItemCreateRequest>,
) -> Vec<MonitoredItemCreateResult> {
    let request = CreateMonitoredItemsRequest {
        request_header: client.header(),
        subscription_id,
        timestamps_to_return: TimestampsToReturn::Both,
        items_to_create: Some(items),
    };
    match client.call(request).await.unwrap() {
        ResponseMessage::CreateMonitoredItems(response) => response.results.unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Creates items that must be created.
pub async fn watch(
    client: &mut Raw,
    subscription_id: u32,
    items: Vec<MonitoredItemCreateRequest>,
) -> Vec<u32> {
    let results = create(client, subscription_id, items).await;
    let good = |one: &MonitoredItemCreateResult| {
        assert!(one.status_code.is_good(), "{one:?}");
        one.monitored_item_id
    };
    results.iter().map(good).collect()
}

pub async fn ask(client: &mut Raw, acknowledge: Vec<SubscriptionAcknowledgement>) -> u32 {
    let request = PublishRequest {
        request_header: client.header(),
        subscription_acknowledgements: Some(acknowledge),
    };
    client.send(request).await
}

pub async fn published(client: &mut Raw, request: u32) -> PublishResponse {
    match client.answer(request).await.unwrap() {
        ResponseMessage::Publish(response) => *response,
        other => panic!("{other:?}"),
    }
}

pub async fn publish(client: &mut Raw) -> PublishResponse {
    let request = ask(client, Vec::new()).await;
    published(client, request).await
}

/// Publishes until a message has notifications.
pub async fn next_news(client: &mut Raw) -> PublishResponse {
    let news = async {
        loop {
            let response = publish(client).await;
            let parts = response.notification_message.notification_data.as_deref();
            if parts.is_some_and(|parts| !parts.is_empty()) {
                return response;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), news).await.unwrap()
}

pub fn changes(message: &NotificationMessage) -> Vec<(u32, DataValue)> {
    let parts = message.notification_data.iter().flatten();
    let changes = parts.filter_map(|part| part.inner_as::<DataChangeNotification>());
    let items = changes.flat_map(|change| change.monitored_items.clone().unwrap());
    items.map(|item| (item.client_handle, item.value)).collect()
}

pub fn event_fields(message: &NotificationMessage) -> Vec<(u32, Vec<Variant>)> {
    let parts = message.notification_data.iter().flatten();
    let lists = parts.filter_map(|part| part.inner_as::<EventNotificationList>());
    let events = lists.flat_map(|list| list.events.clone().unwrap());
    events.map(|event| (event.client_handle, event.event_fields.unwrap())).collect()
}

pub fn status_change(message: &NotificationMessage) -> Option<StatusCode> {
    let mut parts = message.notification_data.iter().flatten();
    parts.find_map(|part| part.inner_as::<StatusChangeNotification>()).map(|change| change.status)
}

/// Changes until there are so many.
pub async fn collect(client: &mut Raw, count: usize) -> Vec<(u32, DataValue)> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(changes(&next_news(client).await.notification_message));
    }
    all
}

pub async fn fault(
    client: &mut Raw,
    request: impl Into<opcua::core::RequestMessage>,
) -> StatusCode {
    result(&client.call(request).await.unwrap())
}

/// Waits for a condition of the server.
pub async fn until(condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(std::time::Instant::now() < end, "the condition never became true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
