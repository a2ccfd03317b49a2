//! The process of the subscriber.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opcua::client::{ClientBuilder, DataChangeCallback, IdentityToken, Session};
use opcua::types::{
    DataValue, DateTime, MessageSecurityMode, MonitoredItemCreateRequest, NodeId, ReadValueId,
    TimestampsToReturn, UserTokenPolicy, VariableId, Variant,
};

use super::{MACHINES, NAMESPACE, TAGS};

async fn connect(url: &str) -> Arc<Session> {
    let mut client = ClientBuilder::new()
        .application_name("watch")
        .application_uri("urn:bench:watch")
        .pki_dir(std::env::temp_dir().join("linewright-bench-watch"))
        .create_sample_keypair(false)
        .session_retry_limit(0)
        // By default it gives up at the first message with more than a thousand values.
        .max_array_length(100_000)
        .max_message_size(64 << 20)
        .max_chunk_count(10_000)
        .client()
        .unwrap();
    let policy = "http://opcfoundation.org/UA/SecurityPolicy#None";
    let endpoint = (url, policy, MessageSecurityMode::None, UserTokenPolicy::anonymous());
    let connected = client.connect_to_endpoint_directly(endpoint, IdentityToken::Anonymous);
    let (session, events) = connected.unwrap();
    events.spawn();
    session.wait_for_connection().await;
    session
}

/// Indexes of the namespaces of all machines, as soon as they are all there.
async fn namespaces(session: &Session) -> Vec<u16> {
    loop {
        let id = ReadValueId::from(NodeId::from(VariableId::Server_NamespaceArray));
        let read = session.read(&[id], TimestampsToReturn::Neither, 0.0).await.unwrap();
        let Some(Variant::Array(names)) = &read[0].value else { continue };
        let index = |machine: usize| {
            let wanted = [
                format!("urn:linewright:ua:source:M{machine}:{NAMESPACE}"),
                format!("{NAMESPACE}:M{machine}"),
            ];
            let is_wanted =
                |name: &Variant| wanted.iter().any(|w| *name == Variant::from(w.as_str()));
            names.values.iter().position(is_wanted).map(|index| index as u16)
        };
        if let Some(all) = (0..MACHINES).map(index).collect::<Option<Vec<_>>>() {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The process of the subscriber: says when it watches everything; then, whenever it is told to, how many
/// changes there were since the last time, and their delays in ms.
pub async fn watch(url: &str) {
    let session = connect(url).await;
    let indexes = namespaces(&session).await;
    let count = Arc::new(AtomicU64::new(0));
    let delays = Arc::new(Mutex::new(Vec::<u32>::new()));
    for indexes in indexes.chunks(5) {
        let (count, delays) = (count.clone(), delays.clone());
        let arrived = move |value: DataValue, _: &_| {
            // What is said of a lost machine is no change of a variable.
            if value.status.is_some_and(|status| !status.is_good()) {
                return;
            }
            count.fetch_add(1, Ordering::Relaxed);
            if let Some(at) = value.source_timestamp {
                let delay = (DateTime::now().ticks() - at.ticks()) / 1000;
                delays.lock().unwrap().push(u32::try_from(delay).unwrap_or(0));
            }
        };
        let callback = DataChangeCallback::new(arrived);
        let interval = Duration::from_millis(100);
        let id =
            session.create_subscription(interval, 600, 10, 0, 0, true, callback).await.unwrap();
        let items = indexes.iter().flat_map(|index| (0..TAGS).map(move |tag| (*index, tag)));
        let items: Vec<_> = items
            .enumerate()
            .map(|(handle, (index, tag))| {
                let mut item: MonitoredItemCreateRequest =
                    NodeId::new(index, format!("T{tag}")).into();
                item.requested_parameters.client_handle = handle as u32 + 1;
                item.requested_parameters.sampling_interval = 0.0;
                item.requested_parameters.queue_size = 100;
                item
            })
            .collect();
        let mut rest = items;
        // The nodes of a machine may come a moment after its namespace.
        while !rest.is_empty() {
            let both = TimestampsToReturn::Both;
            let created = session.create_monitored_items(id, both, rest.clone()).await.unwrap();
            let with_results = rest.into_iter().zip(&created);
            let failed = with_results.filter(|(_, made)| made.result.status_code.is_bad());
            rest = failed.map(|(item, _)| item).collect();
            if !rest.is_empty() {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
    }
    // Every variable has told its first value.
    while count.load(Ordering::Relaxed) < (MACHINES * TAGS) as u64 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("ready");
    for line in std::io::stdin().lines() {
        line.unwrap();
        let mut delays = std::mem::take(&mut *delays.lock().unwrap());
        delays.sort_unstable();
        let at = |share: f64| {
            let place = ((delays.len() as f64 - 1.0) * share).max(0.0) as usize;
            f64::from(delays.get(place).copied().unwrap_or(0)) / 10.0
        };
        println!("{} {:.1} {:.1} {:.1}", delays.len(), at(0.5), at(0.99), at(1.0));
    }
}
