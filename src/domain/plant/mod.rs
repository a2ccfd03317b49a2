//! The static description of a plant (ISA-95 equipment, products, reasons), as configuration gives it.
//!
//! It holds no state and never changes while the core runs. How it changed over the years is in
//! [`history`].

pub mod history;
pub mod line;
pub mod product;
pub mod reason;

pub use line::{Buffer, Line, NoOrderPolicy, RootCause, Station};
pub use product::{CycleScope, IdealCycle, Product};
pub use reason::{MaximumDuration, Reason, ReasonClass};

use std::collections::BTreeMap;

use super::calendar::{Calendar, Place};
use super::id::{AreaId, LineId, MachineId, ProductId, ReasonId, SiteId};
use super::signal::{Signal, SignalRole, SignalRule};
use super::time::{Span, Timestamp};

/// Everything that is configured about one site.
#[derive(Clone, PartialEq, Debug)]
pub struct Plant {
    /// Business key of the site; part of the instance namespace URI.
    pub site: SiteId,
    /// Name shown to people.
    pub site_name: String,
    /// IANA name of the site's time zone, for showing local time.
    pub time_zone: String,
    /// Areas in configured order.
    pub areas: Vec<Area>,
    /// Lines by key.
    pub lines: BTreeMap<LineId, Line>,
    /// Machines by key.
    pub machines: BTreeMap<MachineId, Machine>,
    /// Products by key.
    pub products: BTreeMap<ProductId, Product>,
    /// Stop reasons by key.
    pub reasons: BTreeMap<ReasonId, Reason>,
    /// Shifts, exceptions and planned downtime, and the zone in which they are read.
    pub calendar: Calendar,
    /// How often the totals of a running order are confirmed to the ERP when they changed.
    pub confirmation_interval: Span,
    /// How long after its end a shift waits for late data before it is closed.
    pub closing_grace: Span,
}

/// An ISA-95 area.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Area {
    /// Business key.
    pub id: AreaId,
    /// Name shown to people.
    pub name: String,
}

/// An ISA-95 work unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Business key.
    pub id: MachineId,
    /// Name shown to people.
    pub name: String,
    /// The line it belongs to.
    pub line: LineId,
    /// A physical stop strictly shorter than this is a micro-stop.
    pub micro_stop_below: Span,
    /// A stop without a reason that lasts this long is on the list of the unexplained.
    pub explain_from: Span,
    /// A running machine that counts nothing for this long has stopped without saying so.
    pub silence_after: Option<Span>,
    /// A counter that does not move for this long while the machine runs is flagged.
    pub stuck_after: Option<Span>,
    /// Of several machines that stand, the one with the highest is the cause of the line's stop.
    pub priority: u32,
    /// What its signals mean.
    pub signals: Vec<Signal>,
}

impl Machine {
    /// The rule of a signal, where it is bound.
    pub fn rule(&self, role: SignalRole) -> Option<&SignalRule> {
        self.signals.iter().find(|signal| signal.role == role).map(|signal| &signal.rule)
    }
}

impl Plant {
    /// The line of a machine.
    pub fn line_of(&self, machine: &MachineId) -> Option<&Line> {
        self.lines.get(&self.machines.get(machine)?.line)
    }

    /// The lines of an area, in key order.
    pub fn lines_in<'a>(&'a self, area: &'a AreaId) -> impl Iterator<Item = &'a Line> {
        self.lines.values().filter(move |line| &line.area == area)
    }

    /// Where a machine stands, for the rules of the calendar.
    pub fn place_of(&self, machine: &MachineId) -> Option<Place> {
        let line = self.line_of(machine)?;
        let (area, line, machine) = (line.area.clone(), line.id.clone(), machine.clone());
        Some(Place { area, line, machine })
    }

    /// The machine whose calendar is that of a line: its bottleneck.
    pub fn place_of_line(&self, line: &LineId) -> Option<Place> {
        self.place_of(&self.lines.get(line)?.bottleneck)
    }

    /// The reason a machine's stop may be given at an instant.
    pub fn reason_in_use(&self, reason: &ReasonId, at: Timestamp) -> Option<&Reason> {
        self.reasons.get(reason).filter(|reason| reason.valid.contains(at))
    }
}
