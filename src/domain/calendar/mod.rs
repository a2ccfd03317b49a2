//! Calendars: wall-clock rules that become exact intervals of UTC.
//!
//! [`pattern`] holds the rules, [`civil`] dates and zones, [`schedule`] what follows for a machine.
//! The tables of the time zone are injected, so nights of seven and nine hours come out right and
//! nothing here reads them. Rules add up: a machine has the shifts of its site, its area, its line
//! and its own. One without any is scheduled always.

pub mod civil;
pub mod pattern;
pub mod schedule;

pub use civil::{CivilDate, CivilZone, FixedZone, LocalTime, MINUTES_PER_DAY};
pub use pattern::{
    DateException, Days, Hours, Place, PlannedDowntime, PlannedTime, ProductionDate, Scope,
    ShiftPattern, Validity,
};
pub use schedule::{PlannedWindow, Schedule, ShiftInstance};

use std::fmt;
use std::sync::Arc;

/// All rules of a site.
#[derive(Clone)]
pub struct Calendar {
    /// Recurring shifts.
    pub patterns: Vec<ShiftPattern>,
    /// Changes of single dates.
    pub exceptions: Vec<DateException>,
    /// Planned downtime inside and outside shifts.
    pub planned: Vec<PlannedDowntime>,
    zone: Arc<dyn CivilZone>,
}

impl Calendar {
    /// Makes a calendar of patterns read in a zone.
    pub fn new(patterns: Vec<ShiftPattern>, zone: Arc<dyn CivilZone>) -> Self {
        Calendar { patterns, exceptions: Vec::new(), planned: Vec::new(), zone }
    }

    /// The zone in which the rules are read.
    pub fn zone(&self) -> &Arc<dyn CivilZone> {
        &self.zone
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Calendar")
            .field("zone", &self.zone.name())
            .field("patterns", &self.patterns)
            .field("exceptions", &self.exceptions)
            .field("planned", &self.planned)
            .finish()
    }
}

impl PartialEq for Calendar {
    /// Whether both have the same rules in the zone of the same name.
    fn eq(&self, other: &Self) -> bool {
        self.zone.name() == other.zone.name()
            && self.patterns == other.patterns
            && self.exceptions == other.exceptions
            && self.planned == other.planned
    }
}
