//! Figures of the windows that are there to read at all times: which stretches of time they are, and
//! how sites and areas are made of their lines.

use std::collections::BTreeMap;

use super::figures::{QUARTER, floor};
use super::live::{Live, Stretch};
use super::ports::Reader;
use super::view::{KpiView, KpiWindow};
use crate::domain::core::Core;
use crate::domain::id::LineId;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Kpi;
use crate::domain::time::{Span, Timestamp, Window};

/// Window of figures where no shift runs.
const ROLLING: Span = Span::from_seconds(8 * 3600);
/// The last hour.
const HOUR: Span = Span::from_seconds(3600);
/// The last hour begins on a grid of this length, so that what is settled stays the same for a while.
const MINUTE: Span = Span::from_seconds(60);
/// How far back the shift before is looked for: over a week of holidays.
const LAST_SHIFT_WITHIN: Span = Span::from_seconds(10 * 86_400);

/// The name of a window and the stretches of time that it is made of.
type Stretches = (String, Vec<(Stretch, Window)>);

/// Figures of one instant, made once for each line.
pub struct LiveFigures<'a> {
    core: &'a Core,
    live: &'a mut Live,
    reader: &'a dyn Reader,
    now: Timestamp,
    /// Name of the window and sum by line.
    lines: BTreeMap<(KpiWindow, LineId), Option<(String, Kpi)>>,
}

impl<'a> LiveFigures<'a> {
    /// Figures of now.
    pub fn new(
        core: &'a Core,
        live: &'a mut Live,
        reader: &'a dyn Reader,
        now: Timestamp,
    ) -> LiveFigures<'a> {
        LiveFigures { core, live, reader, now, lines: BTreeMap::new() }
    }

    /// Figures of equipment in a window; none where there is no such window.
    pub fn view(&mut self, window: KpiWindow, equipment: &Equipment) -> Option<KpiView> {
        let core = self.core;
        let (window_name, mut kpi) = match equipment {
            Equipment::Machine(_) => {
                let line = equipment.lines(core.plant()).next()?;
                self.sum(equipment, window, &line.id)?
            }
            Equipment::Line(line) => self.line(window, line)?,
            // An order is made on one line.
            _ if window == KpiWindow::ThisOrder => return None,
            Equipment::Site | Equipment::Area(_) => {
                let lines = equipment.lines(core.plant());
                let mut sums = lines.filter_map(|line| self.line(window, &line.id));
                let (name, mut sum) = sums.next()?;
                for (_, other) in sums {
                    sum.merge_equipment(&other);
                }
                (name, sum)
            }
        };
        kpi.set_flags();
        Some(KpiView { window_name, kpi })
    }

    fn line(&mut self, window: KpiWindow, line: &LineId) -> Option<(String, Kpi)> {
        let key = (window, line.clone());
        if let Some(known) = self.lines.get(&key) {
            return known.clone();
        }
        let sum = self.sum(&Equipment::Line(line.clone()), window, line);
        self.lines.insert(key, sum.clone());
        sum
    }

    fn sum(&mut self, unit: &Equipment, window: KpiWindow, line: &LineId) -> Option<(String, Kpi)> {
        let (name, stretches) = self.stretches(window, line, unit)?;
        let mut whole: Option<Kpi> = None;
        for (stretch, window) in stretches {
            let of = (unit, stretch);
            match self.live.sum(self.core, self.reader, of, window, self.now) {
                Ok(sum) => whole = joined(whole, sum),
                Err(error) => {
                    tracing::error!(%error, "figures of the present cannot be made");
                    return None;
                }
            }
        }
        Some((name, whole?))
    }

    fn stretches(
        &mut self,
        window: KpiWindow,
        line: &LineId,
        unit: &Equipment,
    ) -> Option<Stretches> {
        let one =
            |name: String, stretch, from, to| Some((name, vec![(stretch, Window { from, to })]));
        match window {
            KpiWindow::ThisShift => {
                let (name, from) = self.this_shift(line)?;
                one(name, Stretch::ThisShift, from, self.now)
            }
            KpiWindow::LastShift => {
                let recent = Window { from: self.now - LAST_SHIFT_WITHIN, to: self.now };
                let mut shifts = self.core.history().shifts(line, recent).into_iter().rev();
                let last = shifts.find(|shift| shift.window.to <= self.now)?;
                one(last.name, Stretch::LastShift, last.window.from, last.window.to)
            }
            KpiWindow::LastHour => {
                // Not all begin a new minute at the same time.
                let turn = Span::from_seconds(i64::from(turn(unit)));
                let from = floor(self.now - HOUR - turn, MINUTE) + turn;
                one("hour".to_owned(), Stretch::LastHour, from, self.now)
            }
            KpiWindow::ThisOrder => {
                let order = self.core.running_on(line);
                let runs = order.map_or(&[][..], |order| &order.runs);
                self.live.forget_runs(unit, runs.len());
                let window = |run: &crate::domain::order::OrderRun| Window {
                    from: run.start,
                    to: run.end.unwrap_or(self.now).max(run.start),
                };
                let runs = (0..).map(Stretch::Run).zip(runs.iter().map(window));
                Some((order?.id().to_string(), runs.collect()))
            }
        }
    }

    fn this_shift(&self, line: &LineId) -> Option<(String, Timestamp)> {
        let plant = self.core.plant();
        let place = plant.place_of_line(line)?;
        let shift = self.core.history().shift_at(line, self.now);
        match shift.filter(|_| plant.calendar.has_shifts(&place)) {
            Some(shift) => Some((shift.name, shift.window.from)),
            // On a grid, so that what is settled stays the same for a while.
            None => Some(("rolling".to_owned(), floor(self.now - ROLLING, QUARTER))),
        }
    }
}

/// Both stretches together; the window is from the first instant to the last.
fn joined(sum: Option<Kpi>, next: Option<Kpi>) -> Option<Kpi> {
    let from = sum.as_ref().map(|sum| sum.window.from);
    let mut whole = Kpi::joined(sum, next.clone())?;
    if let (Some(from), Some(next)) = (from, next) {
        whole.window = Window { from, to: next.window.to };
    }
    Some(whole)
}

/// A second of the minute that is always the same for a unit.
fn turn(unit: &Equipment) -> u8 {
    let key = match unit {
        Equipment::Machine(machine) => machine.as_str(),
        Equipment::Line(line) => line.as_str(),
        _ => "",
    };
    let sum = key.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    u8::try_from(sum % 60).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::MachineId;

    #[test]
    fn units_begin_their_minutes_at_different_times_and_each_always_at_the_same() {
        let unit =
            |number: u32| Equipment::Machine(MachineId::parse(&format!("L1-M{number}")).unwrap());
        let turns: std::collections::BTreeSet<_> = (0..60).map(|n| turn(&unit(n))).collect();
        assert!(turns.len() > 30);
        assert!((0..60).all(|n| turn(&unit(n)) < 60 && turn(&unit(n)) == turn(&unit(n))));
    }
}
