//! Hands values to those who watch them: every value of a machine that has become durable, what has
//! changed in the published picture, and each second what time itself changes; and the events of
//! notices. Nothing is computed for a node that nobody watches. What machines show of themselves is
//! handed over by [`mirrored`], what happens at them by [`happened`].

pub mod happened;
pub mod mirrored;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use opcua::types::{DataValue, NodeId};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::services::{Hub, Services, Spot};
use super::space::Space;
use crate::app::engine::EngineHandle;
use crate::app::query::blocking;
use crate::domain::evidence::Observation;

/// Values are pushed at most this often.
const PUSH_INTERVAL: Duration = Duration::from_millis(50);
/// Running durations move at least this often.
const TICK: Duration = Duration::from_secs(1);
/// Values that are taken from the store in one round: orders and lots that are not in memory.
const STORED_MAX: usize = 200;

/// Notices that are read at once.
const NOTICES_MAX: usize = 256;

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
    let mut told = engine.view().notices;
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
        told = push_notices(&*space, &services, &engine, (told, view.notices)).await;
        push_observed(&*space, services.hub(), &mut last, &mut observations);
        let stored = push_known(&*space, services.hub(), &mut last);
        if is_tick {
            space.model_changes().iter().for_each(|event| services.emit(event));
            turn = push_stored(&*space, services.hub(), &mut last, &stored, turn).await;
        }
        tokio::time::sleep(PUSH_INTERVAL).await;
    }
}

/// Tells the notices after a number, up to another one; how far it came. They are read from the store, so
/// none is lost however many there are at once.
async fn push_notices(
    space: &dyn Space,
    services: &Services,
    engine: &EngineHandle,
    (mut told, newest): (u64, u64),
) -> u64 {
    while told < newest {
        let reader = engine.reader().clone();
        let read = blocking(move || Ok(reader.notices_after(told, NOTICES_MAX)?)).await;
        let notices = match read {
            Ok(notices) if notices.is_empty() => return newest,
            Ok(notices) => notices,
            Err(error) => {
                tracing::error!(%error, "notices cannot be read; they are told later");
                return told;
            }
        };
        for notice in &notices {
            services.emit(&space.event(notice));
            told = notice.number;
        }
    }
    told
}

/// Pushes the values that have become durable, each with its own time.
fn push_observed(
    space: &dyn Space,
    hub: &Hub,
    last: &mut Last,
    observations: &mut broadcast::Receiver<Arc<[Observation]>>,
) {
    let mut changes = Vec::new();
    loop {
        let batch = match observations.try_recv() {
            Ok(batch) => batch,
            Err(broadcast::error::TryRecvError::Lagged(missed)) => {
                tracing::error!(missed, "values came faster than they could be handed on");
                hub.push_series(&std::mem::take(&mut changes));
                push_after_loss(space, hub, last);
                continue;
            }
            Err(_) => break,
        };
        for (node, value) in batch.iter().filter_map(|one| space.observed(one)) {
            let spot = hub.spot(&node);
            if spot.is_watched() {
                let value = Arc::new(value);
                last.insert(node, value.clone());
                changes.push((spot, value));
            }
        }
    }
    hub.push_series(&changes);
}

/// Values were lost on their way: the present ones take their place and say so. What is still on its
/// way comes after them and ends with what is newest.
fn push_after_loss(space: &dyn Space, hub: &Hub, last: &mut Last) {
    let mut changes = Vec::new();
    for spot in hub.watched().iter().filter(|spot| space.is_observed(&spot.node)) {
        if let Some(value) = space.current_value(&spot.node).map(Arc::new) {
            last.insert(spot.node.clone(), value.clone());
            changes.push((spot.clone(), value));
        }
    }
    hub.push_after_loss(&changes);
}

/// Pushes what needs no store; gives the nodes that need it.
fn push_known(space: &dyn Space, hub: &Hub, last: &mut Last) -> Vec<Arc<Spot>> {
    let spots = hub.watched();
    if last.len() > spots.len() {
        let watched: HashSet<_> = spots.iter().map(|spot| &spot.node).collect();
        last.retain(|node, _| watched.contains(node));
    }
    let (mut changes, mut stored) = (Vec::new(), Vec::new());
    for spot in spots.iter().filter(|spot| !space.is_remote(&spot.node)) {
        match space.current_value(&spot.node) {
            Some(value) if is_told_otherwise(space, last, spot, &value) => {}
            Some(value) => note(last, &mut changes, spot, value),
            None => stored.push(spot.clone()),
        }
    }
    hub.push(&changes);
    stored
}

/// A good value of a machine is told when it becomes durable, with all those before it; the picture
/// could only overtake them.
fn is_told_otherwise(space: &dyn Space, last: &Last, spot: &Spot, value: &DataValue) -> bool {
    let is_good = |value: &DataValue| value.status.is_none_or(|status| status.is_good());
    is_good(value)
        && last.get(&spot.node).is_none_or(|last| is_good(last))
        && space.is_observed(&spot.node)
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
