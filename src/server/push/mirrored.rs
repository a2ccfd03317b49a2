//! Hands over what machines show of themselves, as it is heard, to those who watch it, and tells the
//! machines' side what is watched. While a machine is lost, its values say so.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use opcua::types::{DataValue, NodeId, StatusCode};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use crate::domain::id::MachineId;
use crate::mirror::{Batch, Changes, Mirror, Mirrors, Wanted, without_value};
use crate::server::services::{Hub, Services, Spot};
use crate::server::space::{MirroredSpace, WholeSpace};

/// How often it is looked what is watched, and what is to be said of lost machines.
const TICK: Duration = Duration::from_millis(50);
/// Batches that are handed over at once.
const AT_ONCE: usize = 256;

type Handed = Vec<(Arc<Spot>, Arc<DataValue>)>;

/// Pushes until told to stop.
pub async fn run(
    space: Arc<WholeSpace>,
    mirrors: Mirrors,
    services: Arc<Services>,
    stop: CancellationToken,
) {
    let mut changes = mirrors.changes();
    let mut copied = mirrors.copied();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut pushing = Pushing {
        space,
        mirrors,
        watched: Arc::default(),
        spots: Vec::new(),
        told: HashMap::new(),
    };
    loop {
        tokio::select! {
            batch = changes.recv() => match batch {
                Ok(batch) => pushing.hand_over(batch, &mut changes, services.hub()),
                Err(RecvError::Lagged(missed)) => pushing.lost(missed, services.hub()),
                Err(RecvError::Closed) => return,
            },
            changed = copied.changed() => {
                if changed.is_err() {
                    return;
                }
                let events = pushing.space.mirrored().follow();
                events.iter().for_each(|event| services.emit(event));
                pushing.look(services.hub(), true);
            }
            _ = tick.tick() => {
                pushing.look(services.hub(), false);
                pushing.tell_losses(services.hub());
            }
            () = stop.cancelled() => return,
        }
    }
}

struct Pushing {
    space: Arc<WholeSpace>,
    mirrors: Mirrors,
    /// What is watched, as it was last looked at.
    watched: Arc<Vec<Arc<Spot>>>,
    /// What of it is mirrored.
    spots: Vec<(Arc<Mirror>, Arc<Spot>)>,
    /// What was told of variables whose machines are lost.
    told: HashMap<NodeId, StatusCode>,
}

impl Pushing {
    fn mirrored(&self) -> &MirroredSpace {
        self.space.mirrored()
    }

    fn hand_over(&mut self, first: Batch, changes: &mut Changes, hub: &Hub) {
        let mut handed = Handed::new();
        let mut batch = Some(first);
        for _ in 0..AT_ONCE {
            let Some(values) = batch.take() else { break };
            for (node, value) in values.iter() {
                let spot = hub.spot(node);
                if spot.is_watched() {
                    if !self.told.is_empty() {
                        self.told.remove(node);
                    }
                    handed.push((spot, value.clone()));
                }
            }
            match changes.try_recv() {
                Ok(next) => batch = Some(next),
                Err(TryRecvError::Lagged(missed)) => {
                    hub.push_series(&std::mem::take(&mut handed));
                    self.lost(missed, hub);
                }
                Err(_) => {}
            }
        }
        // The last one that was taken must not be left.
        if let Some(values) = batch {
            let spots = values.iter().map(|(node, value)| (hub.spot(node), value.clone()));
            handed.extend(spots.filter(|(spot, _)| spot.is_watched()));
        }
        hub.push_series(&handed);
    }

    /// Values were lost on their way: the present ones take their place and say so.
    fn lost(&mut self, missed: u64, hub: &Hub) {
        tracing::error!(missed, "values of mirrors came faster than they could be handed on");
        let present = self
            .spots
            .iter()
            .filter_map(|(mirror, spot)| Some((spot.clone(), mirror.last(&spot.node)?)));
        hub.push_after_loss(&present.collect::<Vec<_>>());
    }

    /// Looks what is watched, and tells the machines' side.
    fn look(&mut self, hub: &Hub, anew: bool) {
        let watched = hub.watched();
        if Arc::ptr_eq(&watched, &self.watched) && !anew {
            return;
        }
        let mirrors = self.mirrors.all();
        let mut wanted: BTreeMap<MachineId, Wanted> = BTreeMap::new();
        self.spots.clear();
        let mut gone = Handed::new();
        for spot in watched.iter() {
            match self.space.mirrored().mirror(&spot.node) {
                Some(mirror) => {
                    let of_machine = wanted.entry(mirror.machine.clone()).or_default();
                    of_machine.insert(spot.node.clone(), spot.fastest());
                    self.spots.push((mirror, spot.clone()));
                }
                None if anew && self.is_gone(&spot.node) => {
                    let value = without_value(StatusCode::BadNodeIdUnknown, self.mirrors.now());
                    gone.push((spot.clone(), Arc::new(value)));
                }
                None => {}
            }
        }
        for mirror in mirrors {
            mirror.want(Arc::new(wanted.remove(&mirror.machine).unwrap_or_default()));
        }
        hub.push(&gone);
        let spots: std::collections::HashSet<_> =
            self.spots.iter().map(|(_, spot)| &spot.node).collect();
        self.told.retain(|node, _| spots.contains(node));
        self.watched = watched;
    }

    /// Whether a node was one of a machine's and is not there any more.
    fn is_gone(&self, node: &NodeId) -> bool {
        self.mirrors.namespaces().is_of_machine(node.namespace)
            && self.mirrored().node(node).is_none()
    }

    /// Says of what machines show that cannot be reached, that it is not known any more.
    fn tell_losses(&mut self, hub: &Hub) {
        let now = self.mirrors.now();
        let mut handed = Handed::new();
        for (mirror, spot) in self.spots.iter().filter(|(mirror, _)| !mirror.is_up()) {
            let Some(value) = mirror.value(&spot.node, now) else { continue };
            let status = value.status.unwrap_or_default();
            if self.told.insert(spot.node.clone(), status) != Some(status) {
                handed.push((spot.clone(), value));
            }
        }
        hub.push(&handed);
    }
}
