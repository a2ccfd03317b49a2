//! Shifts as they took place: which there were, and what was recorded of each when it was closed.
//!
//! A record is never changed. What becomes known later makes a new revision; the old ones stay.

use super::calendar::{Calendar, CivilDate, Place, ShiftInstance};
use super::id::LineId;
use super::oee::evaluate::Equipment;
use super::oee::kpi::Kpi;
use super::plant::history::PlantHistory;
use super::time::{Span, Timestamp, Window};

/// Shifts reach at most so far beyond a window that they touch.
const LONGEST: Span = Span::from_seconds(2 * 86_400);
/// The name of the days of a line that has no shifts.
pub const DAY: &str = "day";

/// What was recorded of a shift.
#[derive(Clone, PartialEq, Debug)]
pub struct ShiftRecord {
    /// Number of the record in the plant, from 1 without gaps.
    pub seq: u64,
    /// The line.
    pub line: LineId,
    /// The shift.
    pub shift: ShiftInstance,
    /// 1 when it was closed, one more with each change afterwards.
    pub revision: u32,
    /// When it was recorded.
    pub at: Timestamp,
    /// Whose doing it was.
    pub actor: String,
    /// Why.
    pub cause: String,
    /// The figures of the line and its machines.
    pub figures: Vec<(Equipment, Kpi)>,
}

/// What somebody wrote down about a shift; it is never changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShiftNote {
    /// Name of the shift.
    pub shift: String,
    /// First instant of the shift.
    pub start: Timestamp,
    /// The date to which its production belongs.
    pub production_date: CivilDate,
    /// What was written.
    pub text: String,
    /// When.
    pub at: Timestamp,
    /// Order among notes of the same time.
    pub seq: u64,
    /// Who.
    pub actor: String,
}

/// Why a note cannot be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoteRefusal {
    /// No shift that has begun takes place at that time.
    NoShift,
    /// It says nothing, or too much.
    Length,
}

impl NoteRefusal {
    /// Stable code for programs, what is wrong, and what the caller can do.
    pub fn texts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            NoteRefusal::NoShift => (
                "mes.shift.unknown",
                "there is no shift that has begun at that time",
                "take the start of a shift from GET /v1/shifts",
            ),
            NoteRefusal::Length => (
                "mes.shift.note_length",
                "the note is empty or longer than 4000 characters",
                "write something, and make two notes of a long one",
            ),
        }
    }
}

/// The longest note, in characters.
pub const NOTE_LONGEST: usize = 4000;

impl ShiftRecord {
    /// The recorded figures of a piece of equipment.
    pub fn of(&self, equipment: &Equipment) -> Option<&Kpi> {
        self.figures.iter().find(|(known, _)| known == equipment).map(|(_, kpi)| kpi)
    }
}

impl PlantHistory {
    /// The shifts of a line that touch a window, in order of time, whole.
    ///
    /// A shift during which the calendar changed is as long as each calendar said for its time. The
    /// shifts of a line without any are its days.
    pub fn shifts(&self, line: &LineId, window: Window) -> Vec<ShiftInstance> {
        let around = Window { from: window.from - LONGEST, to: window.to + LONGEST };
        let mut shifts: Vec<ShiftInstance> = Vec::new();
        for (part, plant) in self.parts(around) {
            let Some(place) = plant.place_of_line(line) else {
                continue;
            };
            for shift in shifts_of(&plant.calendar, &place, part) {
                let Some(clipped) = shift.window.intersect(part) else {
                    continue;
                };
                let is_continued = |known: &&mut ShiftInstance| {
                    (&known.name, known.production_date) == (&shift.name, shift.production_date)
                        && known.window.to == clipped.from
                };
                match shifts.iter_mut().find(is_continued) {
                    Some(known) => known.window.to = clipped.to,
                    None => shifts.push(ShiftInstance { window: clipped, ..shift }),
                }
            }
        }
        shifts.retain(|shift| shift.window.intersect(window).is_some());
        shifts.sort();
        shifts
    }

    /// The shift of a line that runs at an instant.
    pub fn shift_at(&self, line: &LineId, at: Timestamp) -> Option<ShiftInstance> {
        let instant = Window { from: at, to: at + Span::from_ticks(1) };
        self.shifts(line, instant).into_iter().next()
    }
}

fn shifts_of(calendar: &Calendar, place: &Place, window: Window) -> Vec<ShiftInstance> {
    if calendar.has_shifts(place) {
        return calendar.shifts(place, window);
    }
    let zone = calendar.zone();
    let (first, last) = (zone.date(window.from), zone.date(window.to));
    let days = (first.0..=last.0).map(CivilDate);
    let days = days.map(|date| ShiftInstance {
        name: DAY.to_owned(),
        production_date: date,
        window: Window { from: zone.instant(date, 0), to: zone.instant(date.plus(1), 0) },
        breaks: Vec::new(),
    });
    days.filter(|day| day.window.intersect(window).is_some()).collect()
}
