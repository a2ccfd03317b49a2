//! Which machines the core has to look at before a commit, so that what has changed about them is told
//! with it.

use std::collections::BTreeMap;

use crate::domain::command::{Input, Look};
use crate::domain::core::Core;
use crate::domain::event::Event;
use crate::domain::id::MachineId;
use crate::domain::time::{Span, Timestamp, Window};

/// What time itself changes is looked for at least this often.
const LOOK_EVERY: Span = Span::from_millis(1000);

/// The machines that have to be looked at.
pub struct Looks {
    running_since: Timestamp,
    due: BTreeMap<MachineId, Timestamp>,
    looked_at: Timestamp,
}

impl Looks {
    /// Nothing has to be looked at; the program runs since an instant.
    pub fn new(running_since: Timestamp) -> Looks {
        Looks { running_since, due: BTreeMap::new(), looked_at: Timestamp::MIN }
    }

    /// Nothing has to be looked at any more.
    pub fn clear(&mut self) {
        self.due.clear();
        self.looked_at = Timestamp::MIN;
    }

    /// Notes what a fact has changed, once it is applied.
    pub fn note(&mut self, core: &Core, fact: &Event, touched: &[(MachineId, Window)]) {
        match fact {
            Event::PlantDefined { .. } => {
                for machine in core.plant().machines.keys() {
                    self.add(machine, core.now());
                }
            }
            // Nearly all values are counts, and nearly no machine stops because of one.
            Event::Observed(observation)
                if !core.can_tell(&observation.machine, observation.role) => {}
            _ => touched.iter().for_each(|(machine, window)| self.add(machine, window.from)),
        }
    }

    fn add(&mut self, machine: &MachineId, from: Timestamp) {
        let due = self.due.entry(machine.clone()).or_insert(from);
        *due = (*due).min(from);
    }

    /// What has to be looked at now, if anything has.
    pub fn take(&mut self, core: &Core, now: Timestamp) -> Option<Input> {
        if now - self.looked_at >= LOOK_EVERY {
            self.looked_at = now;
            core.looks_due(now).iter().for_each(|machine| self.add(machine, now));
        }
        if self.due.is_empty() {
            return None;
        }
        let machines = std::mem::take(&mut self.due).into_iter().collect();
        Some(Input::Look(Look { now, running_since: self.running_since, machines }))
    }
}
