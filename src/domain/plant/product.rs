//! Products and their ideal cycles.

use super::Plant;
use crate::domain::id::{LineId, MachineId, ProductId};
use crate::domain::time::{Span, Timestamp, Window};

/// A product or material definition with its ideal cycles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Product {
    /// Business key.
    pub id: ProductId,
    /// Name shown to people.
    pub name: String,
    /// UNECE Recommendation 20 code of the unit in which it is counted.
    pub unit: String,
    /// Ideal cycles; at most one of a scope begins to hold at an instant.
    pub cycles: Vec<IdealCycle>,
}

/// The equipment for which an ideal cycle holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CycleScope {
    /// Every machine without one of its own.
    Any,
    /// The line as a whole, whatever its bottleneck.
    Line(LineId),
    /// A machine.
    Machine(MachineId),
}

/// The shortest time in which a part of a product can be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdealCycle {
    /// What it holds for.
    pub scope: CycleScope,
    /// From when on it holds, until the next of its scope.
    pub valid_from: Timestamp,
    /// Length of one cycle.
    pub cycle: Span,
    /// Parts that one cycle makes.
    pub parts: u32,
}

impl Product {
    /// The cycle of a scope that holds at an instant.
    fn cycle_at(&self, scope: &CycleScope, at: Timestamp) -> Option<&IdealCycle> {
        let cycles = self.cycles.iter().filter(|c| c.scope == *scope && c.valid_from <= at);
        cycles.max_by_key(|cycle| cycle.valid_from)
    }

    /// The instants inside a window at which some cycle begins to hold.
    pub fn cycle_changes(&self, window: Window) -> impl Iterator<Item = Timestamp> {
        let changes = self.cycles.iter().map(|cycle| cycle.valid_from);
        changes.filter(move |at| window.from < *at && *at < window.to)
    }
}

impl Plant {
    /// The ideal cycle of a product on a machine at an instant, most specific first: machine, any.
    pub fn ideal_cycle(
        &self,
        product: &ProductId,
        machine: &MachineId,
        at: Timestamp,
    ) -> Option<&IdealCycle> {
        let product = self.products.get(product)?;
        let own = product.cycle_at(&CycleScope::Machine(machine.clone()), at);
        own.or_else(|| product.cycle_at(&CycleScope::Any, at))
    }

    /// The ideal cycle of a line for a product at an instant: its own, else its bottleneck's,
    /// which parallel machines share.
    pub fn ideal_cycle_of_line(
        &self,
        product: &ProductId,
        line: &LineId,
        at: Timestamp,
    ) -> Option<IdealCycle> {
        let own = self.products.get(product)?.cycle_at(&CycleScope::Line(line.clone()), at);
        if let Some(own) = own {
            return Some(own.clone());
        }
        let line = self.lines.get(line)?;
        let bottleneck = line.bottleneck_for(Some(product));
        let cycle = self.ideal_cycle(product, bottleneck, at)?;
        let parallel = u32::try_from(line.parallel_to(bottleneck).len()).unwrap_or(u32::MAX);
        Some(IdealCycle { parts: cycle.parts.saturating_mul(parallel), ..cycle.clone() })
    }
}
