//! How the description of a plant changed: each version holds from an instant until the next.
//!
//! What is configured today never changes what yesterday was: figures of an instant are made with
//! the version that held then.

use std::sync::Arc;

use super::Plant;
use crate::domain::time::{Timestamp, Window};

/// The versions of a plant's description, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct PlantHistory {
    /// The first holds since ever; the instants rise.
    versions: Vec<(Timestamp, Arc<Plant>)>,
}

impl PlantHistory {
    /// A plant that was never described otherwise.
    pub fn new(plant: Arc<Plant>) -> Self {
        PlantHistory { versions: vec![(Timestamp::MIN, plant)] }
    }

    /// The description that holds now and from now on.
    pub fn current(&self) -> &Arc<Plant> {
        match self.versions.last() {
            Some((_, plant)) => plant,
            None => unreachable!("a history has a first version"),
        }
    }

    /// The description that held at an instant.
    pub fn at(&self, at: Timestamp) -> &Arc<Plant> {
        let index = self.versions.partition_point(|(from, _)| *from <= at);
        match self.versions.get(index.saturating_sub(1)) {
            Some((_, plant)) => plant,
            None => self.current(),
        }
    }

    /// A new description from an instant on; one that is not later than the last replaces it.
    pub fn define(&mut self, from: Timestamp, plant: Arc<Plant>) {
        self.versions.retain(|(known, _)| *known < from);
        self.versions.push((from, plant));
    }

    /// The parts of a window in each of which one description holds.
    pub fn parts(&self, window: Window) -> Vec<(Window, &Arc<Plant>)> {
        let ends = self.versions.iter().skip(1).map(|(from, _)| *from);
        let ends = ends.chain([Timestamp::MAX]);
        let mut parts = Vec::new();
        for ((from, plant), to) in self.versions.iter().zip(ends) {
            let from = (*from).max(window.from);
            let to = to.min(window.to);
            if from < to {
                parts.push((Window { from, to }, plant));
            }
        }
        parts
    }

    /// All versions with the instants from which they hold.
    pub fn versions(&self) -> &[(Timestamp, Arc<Plant>)] {
        &self.versions
    }

    /// The history of these versions, if there are any.
    pub fn of(versions: Vec<(Timestamp, Arc<Plant>)>) -> Option<Self> {
        (!versions.is_empty()).then_some(PlantHistory { versions })
    }
}
