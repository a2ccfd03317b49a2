//! Lines: machines that make one product together, and how their stops hang together.

use std::collections::BTreeMap;

use crate::domain::id::{AreaId, LineId, MachineId, ProductId};
use crate::domain::time::Span;

/// An ISA-95 work center: machines that make one product together, one job order at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
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
    /// The bottleneck of products that have another one.
    pub bottleneck_by_product: BTreeMap<ProductId, MachineId>,
    /// The machine whose good count is the line's output, with those parallel to it.
    pub outfeed: MachineId,
    /// Machines that do the same work beside each other.
    pub stations: Vec<Station>,
    /// What lies between machines.
    pub buffers: Vec<Buffer>,
    /// How the machine is found that caused a stop of the line.
    pub root_cause: RootCause,
    /// The product assumed while no order runs, where a plant works without orders.
    pub default_product: Option<ProductId>,
    /// What standing still without an order means.
    pub no_order: NoOrderPolicy,
}

/// Machines in parallel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Station {
    /// The machines.
    pub machines: Vec<MachineId>,
    /// The station runs while at least so many of them run.
    pub min_running: usize,
}

/// What a machine leaves for the next one to go on with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Buffer {
    /// The machine before it.
    pub after: MachineId,
    /// How long what follows can go on while that machine stands, and how long that machine can
    /// while what follows stands.
    pub time: Span,
}

/// How the machine is found that caused a stop of the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootCause {
    /// The bottleneck itself: its own state says it.
    Equipment,
    /// Of all machines that stand by themselves, the one with the highest priority.
    Priority,
    /// From the bottleneck in the direction of blocked or starved to the machine that stands by
    /// itself.
    Neighbour,
    /// Of the stops that hang together, the machine whose stop began first.
    First,
    /// The bottleneck's station stands when fewer than the needed machines run; the one that
    /// stopped last tipped it over.
    Parallel,
}

impl RootCause {
    /// All modes.
    pub const ALL: [RootCause; 5] = [
        RootCause::Equipment,
        RootCause::Priority,
        RootCause::Neighbour,
        RootCause::First,
        RootCause::Parallel,
    ];

    /// The word used in configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RootCause::Equipment => "equipment",
            RootCause::Priority => "priority",
            RootCause::Neighbour => "neighbour",
            RootCause::First => "first",
            RootCause::Parallel => "parallel",
        }
    }

    /// The mode of that name.
    pub fn parse(text: &str) -> Option<RootCause> {
        RootCause::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Whether time without an order belongs to planned busy time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoOrderPolicy {
    /// It is a loss inside planned busy time (ISO 22400: ADOT).
    Loss,
    /// It is outside planned busy time, like a planned stop.
    Planned,
}

impl Line {
    /// The machine whose time model is the line's while it makes a product.
    pub fn bottleneck_for(&self, product: Option<&ProductId>) -> &MachineId {
        let own = product.and_then(|product| self.bottleneck_by_product.get(product));
        own.unwrap_or(&self.bottleneck)
    }

    /// The station of a machine, where it has others beside it.
    pub fn station_of(&self, machine: &MachineId) -> Option<&Station> {
        self.stations.iter().find(|station| station.machines.contains(machine))
    }

    /// The machine and those parallel to it.
    pub fn parallel_to<'a>(&'a self, machine: &'a MachineId) -> &'a [MachineId] {
        self.station_of(machine).map_or(std::slice::from_ref(machine), |s| &s.machines)
    }

    /// How long what follows a machine can go on without it.
    pub fn buffer_after(&self, machine: &MachineId) -> Span {
        let buffer = self.buffers.iter().find(|buffer| buffer.after == *machine);
        buffer.map_or(Span::ZERO, |buffer| buffer.time)
    }
}
