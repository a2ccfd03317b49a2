//! Figures of the present at a cost that does not grow with the length of the shift: what is settled
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

/// The settled part of a window that is still open.
struct Settled {
    from: Timestamp,
    to: Timestamp,
    sum: Kpi,
}

/// The settled parts by machine and line.
#[derive(Default)]
pub struct Live {
    settled: BTreeMap<Equipment, Settled>,
}

impl Live {
    /// Notes that figures of a machine may have changed in a window.
    pub fn touch(&mut self, core: &Core, machine: &MachineId, window: Window) {
        let of_machine = Equipment::Machine(machine.clone());
        let line = core.plant().line_of(machine);
        let of_line = line.map(|line| Equipment::Line(line.id.clone()));
        for unit in [Some(of_machine), of_line].into_iter().flatten() {
            if self.settled.get(&unit).is_some_and(|settled| window.from < settled.to) {
                self.settled.remove(&unit);
            }
        }
    }

    /// The sum of a machine or line from an instant until now.
    pub fn sum(
        &mut self,
        core: &Core,
        reader: &dyn Reader,
        unit: &Equipment,
        window: Window,
    ) -> Result<Option<Kpi>, QueryError> {
        let now = window.to;
        let Some(line) = unit.lines(core.plant()).next() else {
            return Ok(None);
        };
        let settled_to = (now - settling_time(core.plant(), line)).max(window.from);
        self.advance(core, reader, unit, Window { from: window.from, to: settled_to }, now)?;
        let Some(settled) = self.settled.get(unit) else {
            return sum_now(core, reader, unit, window, now);
        };
        let rest = Window { from: settled.to, to: now };
        let mut sum = settled.sum.clone();
        if let Some(rest) = sum_now(core, reader, unit, rest, now)? {
            sum.merge(&rest);
        }
        sum.window = window;
        Ok(Some(sum))
    }

    /// Adds what has settled since the last time, or all of it for another window.
    fn advance(
        &mut self,
        core: &Core,
        reader: &dyn Reader,
        unit: &Equipment,
        window: Window,
        now: Timestamp,
    ) -> Result<(), QueryError> {
        let known = self.settled.get(unit);
        let begun = known.filter(|known| known.from == window.from && known.to <= window.to);
        let from = match begun {
            Some(begun) if window.to - begun.to < STEP => return Ok(()),
            Some(begun) => begun.to,
            None => window.from,
        };
        let Some(next) = sum_of_long(core, reader, unit, Window { from, to: window.to }, now)?
        else {
            return Ok(());
        };
        match self.settled.get_mut(unit).filter(|known| known.to == from && from > window.from) {
            Some(begun) => {
                begun.sum.merge(&next);
                begun.to = window.to;
            }
            None => {
                let settled = Settled { from: window.from, to: window.to, sum: next };
                self.settled.insert(unit.clone(), settled);
            }
        }
        Ok(())
    }
}
