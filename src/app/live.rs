//! Figures of the present at a cost that does not grow with the length of their window: what is settled
//! is added up once, and only what may still change is made anew each time.

use std::collections::BTreeMap;

use super::pages::{settling_time, sum_now, sum_of_long};
use super::ports::Reader;
use super::query::QueryError;
use crate::domain::core::Core;
use crate::domain::id::MachineId;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Kpi;
use crate::domain::time::{Span, Timestamp, Window};

/// What is settled is added up in steps of at least this length.
const STEP: Span = Span::from_seconds(10);

/// The settled part of a window.
struct Settled {
    from: Timestamp,
    to: Timestamp,
    sum: Kpi,
}

/// Of which of several windows a sum is; an order has a stretch for each of its runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stretch {
    /// The running shift.
    ThisShift,
    /// The shift before.
    LastShift,
    /// The last hour.
    LastHour,
    /// A run of the order that is made, by its number.
    Run(usize),
}

/// The settled parts by machine and line.
#[derive(Default)]
pub struct Live {
    settled: BTreeMap<Equipment, BTreeMap<Stretch, Settled>>,
}

impl Live {
    /// Notes that figures of a machine may have changed in a window.
    pub fn touch(&mut self, core: &Core, machine: &MachineId, window: Window) {
        let of_machine = Equipment::Machine(machine.clone());
        let line = core.plant().line_of(machine);
        let of_line = line.map(|line| Equipment::Line(line.id.clone()));
        for unit in [Some(of_machine), of_line].into_iter().flatten() {
            if let Some(parts) = self.settled.get_mut(&unit) {
                parts.retain(|_, settled| window.from >= settled.to || window.to < settled.from);
            }
        }
    }

    /// Forgets the runs of an order from a number on: another order is made now.
    pub fn forget_runs(&mut self, unit: &Equipment, from: usize) {
        if let Some(parts) = self.settled.get_mut(unit) {
            parts.retain(|stretch, _| !matches!(stretch, Stretch::Run(run) if *run >= from));
        }
    }

    /// The sum of a machine or line in a window that ends now or has ended.
    pub fn sum(
        &mut self,
        core: &Core,
        reader: &dyn Reader,
        (unit, stretch): (&Equipment, Stretch),
        window: Window,
        now: Timestamp,
    ) -> Result<Option<Kpi>, QueryError> {
        let Some(line) = unit.lines(core.plant()).next() else {
            return Ok(None);
        };
        let settled_to = (now - settling_time(core.plant(), line)).min(window.to).max(window.from);
        let to_settle = Window { from: window.from, to: settled_to };
        let step = if settled_to == window.to { Span::ZERO } else { STEP };
        self.advance(core, reader, (unit, stretch), (to_settle, step), now)?;
        let Some(settled) = self.settled.get(unit).and_then(|parts| parts.get(&stretch)) else {
            return sum_now(core, reader, unit, window, now);
        };
        let mut sum = settled.sum.clone();
        if settled.to < window.to {
            let rest = Window { from: settled.to, to: window.to };
            if let Some(rest) = sum_now(core, reader, unit, rest, now)? {
                sum.merge(&rest);
            }
        }
        sum.window = window;
        Ok(Some(sum))
    }

    /// Adds what has settled since the last time, if it is as long as a step, or all of it for another
    /// window.
    fn advance(
        &mut self,
        core: &Core,
        reader: &dyn Reader,
        (unit, stretch): (&Equipment, Stretch),
        (window, step): (Window, Span),
        now: Timestamp,
    ) -> Result<(), QueryError> {
        let known = self.settled.get(unit).and_then(|parts| parts.get(&stretch));
        let begun = known.filter(|known| known.from == window.from && known.to <= window.to);
        let from = match begun {
            Some(begun) if begun.to == window.to => return Ok(()),
            Some(begun) if window.to - begun.to < step => return Ok(()),
            Some(begun) => begun.to,
            None => window.from,
        };
        let Some(next) = sum_of_long(core, reader, unit, Window { from, to: window.to }, now)?
        else {
            return Ok(());
        };
        let parts = self.settled.entry(unit.clone()).or_default();
        match parts.get_mut(&stretch).filter(|known| known.to == from && from > window.from) {
            Some(begun) => {
                begun.sum.merge(&next);
                begun.to = window.to;
            }
            None => {
                let settled = Settled { from: window.from, to: window.to, sum: next };
                parts.insert(stretch, settled);
            }
        }
        Ok(())
    }
}
