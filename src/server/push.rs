//! Hands values to those who watch them: every value of a machine that has become durable, what has
//! changed in the published picture, and each second what time itself changes; and the events between
//! two pictures. Nothing is computed for a node that nobody watches.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use opcua::types::{DataValue, NodeId};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::services::{Hub, Services, Spot};
use super::space::Space;
use crate::app::engine::{EngineHandle, Observed};

/// Values are pushed at most this often.
const PUSH_INTERVAL: Duration = Duration::from_millis(50);
/// Running durations move at least this often.
const TICK: Duration = Duration::from_secs(1);
/// Values that are taken from the store in one round: orders and lots that are not in memory.
const STORED_MAX: usize = 200;

/// What was pushed last, by node.
type Last = HashMap<NodeId, Arc<DataValue>>;

/// Pushes until told to stop.
pub async fn run(
    space: Arc<dyn Space>,
    services: Arc<Services>,
    engine: EngineHandle,
    stop: CancellationToken,
) {
    let mut views = engine.views();
    let mut observations = engine.observations();
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
        push_observed(&*space, services.hub(), &mut last, &mut observations);
        let stored = push_known(&*space, services.hub(), &mut last);
        if is_tick {
            turn = push_stored(&*space, services.hub(), &mut last, &stored, turn).await;
        }
        tokio::time::sleep(PUSH_INTERVAL).await;
    }
}

/// Pushes the values that have become durable, each with its own time. A value that is older than
/// one that was pushed is history only.
fn push_observed(
    space: &dyn Space,
    hub: &Hub,
    last: &mut Last,
    observations: &mut broadcast::Receiver<Observed>,
) {
    loop {
        let batch = match observations.try_recv() {
            Ok(batch) => batch,
            Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                tracing::error!(missed, "values came faster than they could be handed on");
                continue;
            }
            Err(_) => break,
        };
        let mut changes = Vec::new();
        for (node, value) in batch.values.iter().filter_map(|one| space.observed(one)) {
            let spot = hub.spot(&node);
            let known = last.get(&node);
            let is_late =
                known.is_some_and(|known| value.source_timestamp < known.source_timestamp);
            if spot.is_watched() && !is_late {
                let value = Arc::new(value);
                last.insert(node, value.clone());
                changes.push((spot, value));
            }
        }
        hub.push_at(batch.at, &changes);
    }
}

/// Pushes what needs no store; gives the nodes that need it.
fn push_known(space: &dyn Space, hub: &Hub, last: &mut Last) -> Vec<Arc<Spot>> {
    let spots = hub.watched();
    if last.len() > spots.len() {
        let watched: HashSet<_> = spots.iter().map(|spot| &spot.node).collect();
        last.retain(|node, _| watched.contains(node));
    }
    let (mut changes, mut stored) = (Vec::new(), Vec::new());
    for spot in spots.iter() {
        match space.current_value(&spot.node) {
            Some(value) => note(last, &mut changes, spot, value),
            None => stored.push(spot.clone()),
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
    spots: &[Arc<Spot>],
    turn: usize,
) -> usize {
    let start = if turn >= spots.len() { 0 } else { turn };
    let end = (start + STORED_MAX).min(spots.len());
    let mut changes = Vec::new();
    for spot in &spots[start..end] {
        let value = space.value(&spot.node).await;
        note(last, &mut changes, spot, value);
    }
    hub.push(&changes);
    end
}

/// A change of value or status is a change; time alone is none.
fn note(
    last: &mut Last,
    changes: &mut Vec<(Arc<Spot>, Arc<DataValue>)>,
    spot: &Arc<Spot>,
    value: DataValue,
) {
    let is_new =
        |known: &Arc<DataValue>| known.value != value.value || known.status != value.status;
    if last.get(&spot.node).is_none_or(is_new) {
        let value = Arc::new(value);
        last.insert(spot.node.clone(), value.clone());
        changes.push((spot.clone(), value));
    }
}
