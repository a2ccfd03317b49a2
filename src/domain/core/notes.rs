//! Notes about shifts: what one shift tells the next. They are kept and told, and change no figure.

use super::Core;
use crate::domain::command::{CommandInput, Outcome};
use crate::domain::event::Event;
use crate::domain::id::LineId;
use crate::domain::rejection::Rejection;
use crate::domain::shift::{NOTE_LONGEST, NoteRefusal, ShiftNote};
use crate::domain::time::Timestamp;

impl Core {
    /// Somebody writes something down about a shift that has begun, closed or not: a note changes no
    /// figure.
    pub(super) fn note_shift(
        &self,
        line: &LineId,
        shift: Option<Timestamp>,
        text: &str,
        (input, out): (&CommandInput, &mut Vec<Event>),
    ) -> Result<Outcome, Rejection> {
        if !self.plant().lines.contains_key(line) {
            return Err(Rejection::UnknownLine(line.clone()));
        }
        let text = text.trim();
        if text.is_empty() || text.chars().count() > NOTE_LONGEST {
            return Err(Rejection::Note(line.clone(), NoteRefusal::Length));
        }
        let at = shift.unwrap_or(input.at);
        let found = self.history.shift_at(line, at).filter(|shift| shift.window.from <= input.at);
        let found = found.ok_or_else(|| Rejection::Note(line.clone(), NoteRefusal::NoShift))?;
        let note = ShiftNote {
            shift: found.name,
            start: found.window.from,
            production_date: found.production_date,
            text: text.to_owned(),
            at: input.at,
            seq: input.seq,
            actor: input.actor.clone(),
        };
        out.push(Event::ShiftNoted { line: line.clone(), note });
        Ok(Outcome::Noted)
    }
}
