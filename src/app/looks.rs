//! Which machines the core has to look at before a commit, so that what has changed about them is told
//! with it.

use std::collections::{BTreeMap, BTreeSet};

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
    /// What a machine whose clock is ahead says of an instant that has not come here.
    ahead: BTreeSet<(Timestamp, MachineId)>,
    looked_at: Timestamp,
}

impl Looks {
    /// Nothing has to be looked at; the program runs since an instant.
    pub fn new(running_since: Timestamp) -> Looks {
        let (due, ahead) = (BTreeMap::new(), BTreeSet::new());
        Looks { running_since, due, ahead, looked_at: Timestamp::MIN }
    }

    /// Nothing has to be looked at any more.
    pub fn clear(&mut self) {
        self.due.clear();
        self.ahead.clear();
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
            _ => {
                for (machine, window) in touched {
                    self.add(machine, window.from);
                    self.ahead.insert((window.from, machine.clone()));
                }
            }
        }
    }

    /// When something that was said of the future becomes so.
    pub fn next(&self) -> Option<Timestamp> {
        self.ahead.first().map(|(at, _)| *at)
    }

    fn add(&mut self, machine: &MachineId, from: Timestamp) {
        let due = self.due.entry(machine.clone()).or_insert(from);
        *due = (*due).min(from);
    }

    /// What has to be looked at now, if anything has.
    pub fn take(&mut self, core: &Core, now: Timestamp) -> Option<Input> {
        // What has been noted since the last look and is not ahead is due already.
        while let Some((at, _)) = self.ahead.first()
            && *at <= now
            && let Some((at, machine)) = self.ahead.pop_first()
        {
            self.add(&machine, at);
        }
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
