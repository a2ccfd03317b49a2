//! Closing shifts: after a grace time for late data each is recorded; what changes its figures
//! afterwards makes a new revision.
//!
//! The core says which shifts are due. Their figures are made by whoever can also read evidence that
//! has left memory, and come back as an input.

use std::collections::BTreeMap;

use super::Core;
use crate::domain::calendar::ShiftInstance;
use crate::domain::event::Event;
use crate::domain::id::{LineId, MachineId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Kpi;
use crate::domain::shift::ShiftRecord;
use crate::domain::time::{Span, Timestamp, Window};

/// How long after a change a closed shift is looked at again, so that a burst is one revision.
const SETTLE: Span = Span::from_seconds(30);
/// Shifts of a line that are closed at once; the others follow.
const CLOSINGS_MAX: usize = 16;
/// How far ahead the calendar is asked.
const AHEAD: Span = Span::from_seconds(2 * 86_400);

/// How far the shifts of a line are closed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LineClosing {
    /// Every shift that ends until then is closed.
    pub closed_to: Timestamp,
    /// Closed shifts whose figures may have changed, by their start.
    pub changed: BTreeMap<Timestamp, ShiftChange>,
}

/// Why the figures of a closed shift may have changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShiftChange {
    /// When it became known, the last time.
    pub at: Timestamp,
    /// Whose doing it was.
    pub actor: String,
    /// What it was.
    pub cause: String,
}

/// A shift that is to be recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DueClosing {
    /// The line.
    pub line: LineId,
    /// The shift.
    pub shift: ShiftInstance,
    /// Why its figures may have changed; `None` when it is recorded for the first time.
    pub change: Option<ShiftChange>,
}

/// The figures of a shift that is due, and what was recorded of it before.
#[derive(Clone, PartialEq, Debug)]
pub struct Closing {
    /// What was due.
    pub due: DueClosing,
    /// When.
    pub at: Timestamp,
    /// The figures of the line and its machines, as they are known now.
    pub figures: Vec<(Equipment, Kpi)>,
    /// The newest record.
    pub before: Option<ShiftRecord>,
}

impl Core {
    /// Every shift of a line that ends until then is closed.
    pub fn closed_to(&self, line: &LineId) -> Timestamp {
        self.closings.get(line).map_or(Timestamp::MIN, |closing| closing.closed_to)
    }

    /// The shifts that are due, at most some of each line.
    pub fn closings_due(&self, now: Timestamp) -> Vec<DueClosing> {
        let mut due = Vec::new();
        for line in self.plant().lines.keys() {
            if self.next_closing.is_some_and(|next| next <= now) {
                due.extend(self.first_closings(line, now));
            }
            let changed = self.closings.get(line).into_iter().flat_map(|c| &c.changed);
            for (start, change) in changed.filter(|(_, change)| change.at + SETTLE <= now) {
                let shift = self.history.shift_at(line, *start);
                due.extend(shift.map(|shift| DueClosing {
                    line: line.clone(),
                    shift,
                    change: Some(change.clone()),
                }));
            }
        }
        due
    }

    fn first_closings(&self, line: &LineId, now: Timestamp) -> Vec<DueClosing> {
        let grace = self.plant().closing_grace;
        let Some(open_from) = self.open_from(line).filter(|from| *from < now - grace) else {
            return Vec::new();
        };
        let shifts = self.history.shifts(line, Window { from: open_from, to: now - grace });
        let ended = shifts.into_iter().filter(|shift| {
            shift.window.to > self.closed_to(line) && shift.window.to + grace <= now
        });
        let due = ended.take(CLOSINGS_MAX);
        due.map(|shift| DueClosing { line: line.clone(), shift, change: None }).collect()
    }

    /// From when on shifts of a line are open: what was never watched is never closed.
    fn open_from(&self, line: &LineId) -> Option<Timestamp> {
        if let Some(closing) = self.closings.get(line) {
            return Some(closing.closed_to);
        }
        let machines = self.plant().lines.get(line)?.machines.iter();
        machines.filter_map(|id| self.evidence.get(id)?.oldest()).min()
    }

    /// When the next shift is due.
    pub(super) fn closing_deadline(&self) -> Option<Timestamp> {
        let changed = self.closings.values().flat_map(|c| c.changed.values());
        let settled = changed.map(|change| change.at + SETTLE).min();
        settled.into_iter().chain(self.next_closing).min()
    }

    /// Finds out when the next shift is due for the first time; the calendar is not asked again until
    /// then.
    pub fn plan_closings(&mut self, now: Timestamp) {
        let grace = self.plant().closing_grace;
        let ends = self.plant().lines.keys().filter_map(|line| {
            let from = self.open_from(line)?;
            let to = from.max(now) + AHEAD;
            let ahead = Window { from, to };
            let mut shifts = self.history.shifts(line, ahead).into_iter();
            let next = shifts.find(|shift| shift.window.to > self.closed_to(line));
            // Where no shift ends for days, it is looked at again then.
            Some(next.map_or(ahead.to, |shift| shift.window.to) + grace)
        });
        self.next_closing = ends.min();
    }

    /// Records a shift, unless nothing has changed since it was recorded last.
    pub(super) fn close(&self, closing: &Closing, out: &mut Vec<Event>) {
        let Closing { due, at, figures, before } = closing;
        let unchanged = before.as_ref().is_some_and(|before| before.figures == *figures);
        if unchanged {
            let (line, start) = (due.line.clone(), due.shift.window.from);
            out.push(Event::ShiftUnchanged { line, start });
            return;
        }
        let (actor, cause) = match &due.change {
            Some(change) => (change.actor.clone(), change.cause.clone()),
            None => ("system".to_owned(), "the grace time is over".to_owned()),
        };
        out.push(Event::ShiftRecorded(Box::new(ShiftRecord {
            seq: self.shift_records + 1,
            line: due.line.clone(),
            shift: due.shift.clone(),
            revision: before.as_ref().map_or(1, |before| before.revision + 1),
            at: *at,
            actor,
            cause,
            figures: figures.clone(),
        })));
    }

    /// A record takes effect.
    pub(super) fn recorded(&mut self, record: &ShiftRecord) {
        self.shift_records = self.shift_records.max(record.seq);
        let closing = self.closings.entry(record.line.clone()).or_default();
        closing.closed_to = closing.closed_to.max(record.shift.window.to);
        closing.changed.remove(&record.shift.window.from);
        self.plan_closings(self.now);
    }

    /// A look at a closed shift found nothing new.
    pub(super) fn unchanged(&mut self, line: &LineId, start: Timestamp) {
        if let Some(closing) = self.closings.get_mut(line) {
            closing.changed.remove(&start);
        }
    }

    /// Notes that figures of a machine may have changed in a window: of closed shifts only.
    pub(super) fn may_have_changed(
        &mut self,
        machine: &MachineId,
        window: Window,
        change: &ShiftChange,
    ) {
        let Some(line) = self.plant().line_of(machine).map(|line| line.id.clone()) else {
            return;
        };
        let closed_to = self.closed_to(&line);
        let Some(closed) = window.intersect(Window { from: Timestamp::MIN, to: closed_to }) else {
            return;
        };
        let shifts = self.history.shifts(&line, closed);
        if let Some(closing) = self.closings.get_mut(&line) {
            let ended = shifts.into_iter().filter(|shift| shift.window.to <= closed_to);
            closing.changed.extend(ended.map(|shift| (shift.window.from, change.clone())));
        }
    }
}
