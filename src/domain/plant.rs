//! The static description of a plant (ISA-95 equipment, products, reasons), as configuration gives it.
//!
//! It holds no state and never changes while the core runs.

use std::collections::BTreeMap;

use super::calendar::Calendar;
use super::id::{AreaId, LineId, MachineId, ProductId, ReasonId, SiteId};
use super::signal::Signal;
use super::time::Span;

/// Everything that is configured about one site.
#[derive(Clone, Debug)]
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
    /// Shift patterns and the zone in which they are read.
    pub calendar: Calendar,
    /// How often the totals of a running order are confirmed to the ERP when they changed.
    pub confirmation_interval: Span,
}

/// An ISA-95 area.
#[derive(Clone, Debug)]
pub struct Area {
    /// Business key.
    pub id: AreaId,
    /// Name shown to people.
    pub name: String,
}

/// An ISA-95 work center: machines that make one product together, one job order at a time.
#[derive(Clone, Debug)]
pub struct Line {
    /// Business key.
    pub id: LineId,
    /// Name shown to people.
    pub name: String,
    /// The area it stands in.
    pub area: AreaId,
    /// Its machines in the direction of flow.
    pub machines: Vec<MachineId>,
    /// The machine whose time model is the line's.
    pub bottleneck: MachineId,
    /// The machine whose good count is the line's output.
    pub outfeed: MachineId,
    /// The product assumed while no order runs, where a plant works without orders.
    pub default_product: Option<ProductId>,
    /// What standing still without an order means.
    pub no_order: NoOrderPolicy,
}

/// Whether time without an order belongs to planned busy time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoOrderPolicy {
    /// It is a loss inside planned busy time (ISO 22400: ADOT).
    Loss,
    /// It is outside planned busy time, like a planned stop.
    Planned,
}

/// An ISA-95 work unit.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Business key.
    pub id: MachineId,
    /// Name shown to people.
    pub name: String,
    /// The line it belongs to.
    pub line: LineId,
    /// A physical stop strictly shorter than this is a micro-stop.
    pub micro_stop_below: Span,
    /// What its signals mean.
    pub signals: Vec<Signal>,
}

/// A product or material definition with its ideal cycles.
#[derive(Clone, Debug)]
pub struct Product {
    /// Business key.
    pub id: ProductId,
    /// Name shown to people.
    pub name: String,
    /// UNECE Recommendation 20 code of the unit in which it is counted.
    pub unit: String,
    /// Ideal cycles, at most one for each machine and one for all others.
    pub cycles: Vec<IdealCycle>,
}

/// The shortest time in which a machine makes a part of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdealCycle {
    /// The machine it holds for; `None` for every machine without one of its own.
    pub machine: Option<MachineId>,
    /// Length of one cycle.
    pub cycle: Span,
    /// Parts that one cycle makes.
    pub parts: u32,
}

/// One entry of the reason tree.
#[derive(Clone, Debug)]
pub struct Reason {
    /// Business key; never reused.
    pub id: ReasonId,
    /// Name shown to people.
    pub name: String,
    /// The loss to which a stop with this reason belongs.
    pub class: ReasonClass,
    /// The entry above it.
    pub parent: Option<ReasonId>,
}

/// What a stop with a given reason counts as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReasonClass {
    /// Unplanned down time.
    Down,
    /// Setup or changeover.
    Setup,
    /// Planned down time, outside planned busy time.
    Planned,
    /// Blocked by what follows.
    Blocked,
    /// Starved by what precedes.
    Starved,
}

impl Plant {
    /// The ideal cycle of a product on a machine, most specific first.
    pub fn ideal_cycle(&self, product: &ProductId, machine: &MachineId) -> Option<&IdealCycle> {
        let cycles = &self.products.get(product)?.cycles;
        let own = cycles.iter().find(|c| c.machine.as_ref() == Some(machine));
        own.or_else(|| cycles.iter().find(|c| c.machine.is_none()))
    }

    /// The line of a machine.
    pub fn line_of(&self, machine: &MachineId) -> Option<&Line> {
        self.lines.get(&self.machines.get(machine)?.line)
    }

    /// The lines of an area, in key order.
    pub fn lines_in<'a>(&'a self, area: &'a AreaId) -> impl Iterator<Item = &'a Line> {
        self.lines.values().filter(move |line| &line.area == area)
    }
}
