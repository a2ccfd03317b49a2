//! Pushes values to subscriptions when the published picture changes, and each second for those
//! that time itself changes. Nothing is computed for a node that nobody watches.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opcua::server::SubscriptionCache;
use opcua::types::{AttributeId, DataValue, NodeId};
use tokio_util::sync::CancellationToken;

use super::start::SharedSpace;
use crate::app::engine::EngineHandle;

/// Values are pushed at most this often.
const PUSH_INTERVAL: Duration = Duration::from_millis(50);
/// Running durations move at least this often.
const TICK: Duration = Duration::from_secs(1);
/// Values handed to the subscriptions under one lock.
const BATCH_MAX: usize = 2000;

/// How many items watch each node.
#[derive(Clone, Default)]
pub struct Watched {
    counts: Arc<Mutex<HashMap<NodeId, usize>>>,
}

impl Watched {
    /// Another item watches a node.
    pub fn add(&self, node: &NodeId) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(node.clone()).or_default() += 1;
    }

    /// An item watches a node no longer.
    pub fn remove(&self, node: &NodeId) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                counts.remove(node);
            }
        }
    }

    fn nodes(&self) -> HashSet<NodeId> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.keys().cloned().collect()
    }
}

/// Pushes until told to stop.
pub async fn run(
    space: SharedSpace,
    watched: Watched,
    subscriptions: Arc<SubscriptionCache>,
    engine: EngineHandle,
    stop: CancellationToken,
) {
    let mut views = engine.views();
    let mut tick = tokio::time::interval(TICK);
    let mut last: HashMap<NodeId, DataValue> = HashMap::new();
    loop {
        tokio::select! {
            changed = views.changed() => if changed.is_err() { return },
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        views.borrow_and_update();
        let nodes = watched.nodes();
        last.retain(|node, _| nodes.contains(node));
        let mut changes = Vec::new();
        for node in nodes {
            let Some(value) = space.current_value(&node) else {
                continue;
            };
            let is_new = last.get(&node).is_none_or(|known| differs(known, &value));
            if is_new {
                last.insert(node.clone(), value.clone());
                changes.push((value, node));
            }
        }
        for batch in changes.chunks(BATCH_MAX) {
            let items = batch.iter().map(|(value, node)| (value.clone(), node, AttributeId::Value));
            subscriptions.notify_data_change(items);
        }
        tokio::time::sleep(PUSH_INTERVAL).await;
    }
}

/// A change of value or status is a change; time alone is none.
fn differs(known: &DataValue, new: &DataValue) -> bool {
    known.value != new.value || known.status != new.status
}
