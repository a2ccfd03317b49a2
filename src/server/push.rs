//! Hands values to those who watch them when the published picture changes, and each second for those
//! that time itself changes; and the events between two pictures. Nothing is computed for a node
//! that nobody watches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opcua::types::{DataValue, NodeId};
use tokio_util::sync::CancellationToken;

use super::services::{Hub, Services};
use super::space::Space;
use crate::app::engine::EngineHandle;

/// Values are pushed at most this often.
const PUSH_INTERVAL: Duration = Duration::from_millis(50);
/// Running durations move at least this often.
const TICK: Duration = Duration::from_secs(1);
/// Values that are taken from the store in one round: orders and lots that are not in memory.
const STORED_MAX: usize = 200;

/// What was pushed last, by node.
type Last = HashMap<Arc<NodeId>, Arc<DataValue>>;

/// Pushes until told to stop.
pub async fn run(
    space: Arc<dyn Space>,
    services: Arc<Services>,
    engine: EngineHandle,
    stop: CancellationToken,
) {
    let mut views = engine.views();
    let mut shown = engine.view();
    let mut tick = tokio::time::interval(TICK);
    let mut last = Last::new();
    let mut turn = 0;
    loop {
        let is_tick = tokio::select! {
            changed = views.changed() => {
                if changed.is_err() {
                    return;
                }
                false
            }
            _ = tick.tick() => true,
            () = stop.cancelled() => return,
        };
        let view = views.borrow_and_update().clone();
        for event in space.events(&shown, &view) {
            services.emit(&event);
        }
        shown = view;
        let stored = push_known(&*space, services.hub(), &mut last);
        if is_tick {
            turn = push_stored(&*space, services.hub(), &mut last, &stored, turn).await;
        }
        tokio::time::sleep(PUSH_INTERVAL).await;
    }
}

/// Pushes what needs no store; gives the nodes that need it.
fn push_known(space: &dyn Space, hub: &Hub, last: &mut Last) -> Vec<Arc<NodeId>> {
    let nodes = hub.watched();
    if last.len() > nodes.len() {
        let watched: std::collections::HashSet<_> = nodes.iter().collect();
        last.retain(|node, _| watched.contains(node));
    }
    let (mut changes, mut stored) = (Vec::new(), Vec::new());
    for node in nodes.iter() {
        match space.current_value(node) {
            Some(value) => note(last, &mut changes, node, value),
            None => stored.push(node.clone()),
        }
    }
    hub.push(&changes);
    stored
}

/// Looks into the store for some of the nodes that need it, the next ones at each turn.
async fn push_stored(
    space: &dyn Space,
    hub: &Hub,
    last: &mut Last,
    nodes: &[Arc<NodeId>],
    turn: usize,
) -> usize {
    let start = if turn >= nodes.len() { 0 } else { turn };
    let end = (start + STORED_MAX).min(nodes.len());
    let mut changes = Vec::new();
    for node in &nodes[start..end] {
        let value = space.value(node).await;
        note(last, &mut changes, node, value);
    }
    hub.push(&changes);
    end
}

/// A change of value or status is a change; time alone is none.
fn note(
    last: &mut Last,
    changes: &mut Vec<(Arc<NodeId>, Arc<DataValue>)>,
    node: &Arc<NodeId>,
    value: DataValue,
) {
    let is_new =
        |known: &Arc<DataValue>| known.value != value.value || known.status != value.status;
    if last.get(node).is_none_or(is_new) {
        let value = Arc::new(value);
        last.insert(node.clone(), value.clone());
        changes.push((node.clone(), value));
    }
}
