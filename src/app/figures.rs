//! Figures of any window at a cost that does not grow with what happened in it: sums that are kept
//! for whole days and quarters of an hour, and evidence for the rest.
//!
//! A kept sum is there and right, or it is not there: whatever may change it takes it away in the
//! same commit, and it is made again afterwards. So an answer never depends on which sums are kept.

use super::ports::{Reader, StoreError};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Kpi;
use crate::domain::plant::history::PlantHistory;
use crate::domain::time::{Span, Timestamp, Window};

/// The shorter of the two lengths of time for which sums are kept.
pub const QUARTER: Span = Span::from_seconds(900);
/// The longer one.
pub const DAY: Span = Span::from_seconds(86_400);

/// For how long a sum is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PageLength {
    /// A quarter of an hour.
    Quarter,
    /// A day of UTC.
    Day,
}

impl PageLength {
    /// Its length.
    pub fn span(self) -> Span {
        match self {
            PageLength::Quarter => QUARTER,
            PageLength::Day => DAY,
        }
    }
}

/// A kept sum of a machine or a line.
#[derive(Clone, PartialEq, Debug)]
pub struct Page {
    /// The machine or line.
    pub equipment: Equipment,
    /// For how long.
    pub length: PageLength,
    /// First instant.
    pub start: Timestamp,
    /// The sum.
    pub sum: Kpi,
}

/// The start of the stretch of a length in which an instant lies.
pub fn floor(at: Timestamp, length: Span) -> Timestamp {
    Timestamp::from_ticks(at.ticks().div_euclid(length.ticks()).saturating_mul(length.ticks()))
}

/// The first start of a stretch of a length at or after an instant.
pub fn ceil(at: Timestamp, length: Span) -> Timestamp {
    let floor = floor(at, length);
    if floor == at { at } else { floor + length }
}

/// What a window is made of: kept sums, and the parts for which there are none, in order of time.
pub struct Composition {
    /// Sums that are kept.
    pub kept: Vec<Kpi>,
    /// The rest.
    pub rest: Vec<Window>,
}

/// Looks for kept sums of a machine or line in a window; the longest first.
pub fn compose(
    reader: &dyn Reader,
    equipment: &Equipment,
    window: Window,
) -> Result<Composition, StoreError> {
    let mut composition = Composition { kept: Vec::new(), rest: vec![window] };
    for length in [PageLength::Day, PageLength::Quarter] {
        let mut rest = Vec::new();
        for part in std::mem::take(&mut composition.rest) {
            let whole = Window::new(ceil(part.from, length.span()), floor(part.to, length.span()));
            let Some(whole) = whole.filter(|whole| whole.from < whole.to) else {
                rest.push(part);
                continue;
            };
            let mut from = part.from;
            for (start, sum) in reader.pages(equipment, length, whole)? {
                if from < start {
                    rest.push(Window { from, to: start });
                }
                from = start + length.span();
                composition.kept.push(sum);
            }
            if from < part.to {
                rest.push(Window { from, to: part.to });
            }
        }
        composition.rest = rest;
    }
    Ok(composition)
}

/// The units whose sums make up a piece of equipment: itself, or the lines that it stands for over
/// time.
pub fn units(history: &PlantHistory, equipment: &Equipment, window: Window) -> Vec<Equipment> {
    match equipment {
        Equipment::Machine(_) | Equipment::Line(_) => vec![equipment.clone()],
        Equipment::Site | Equipment::Area(_) => {
            let mut lines = Vec::new();
            for (_, plant) in history.parts(window) {
                let known = equipment.lines(plant).map(|line| Equipment::Line(line.id.clone()));
                lines.extend(known);
            }
            lines.sort();
            lines.dedup();
            lines
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rounded_to_quarters_on_both_sides_of_the_epoch() {
        let at = Timestamp::from_ticks;
        let quarter = QUARTER.ticks();
        assert_eq!(floor(at(quarter + 1), QUARTER), at(quarter));
        assert_eq!(ceil(at(quarter + 1), QUARTER), at(2 * quarter));
        assert_eq!(ceil(at(quarter), QUARTER), at(quarter));
        assert_eq!(floor(at(-1), QUARTER), at(-quarter));
        assert_eq!(ceil(at(-1), QUARTER), at(0));
    }
}
