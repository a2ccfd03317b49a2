//! The rules of a calendar: recurring shifts, changes of single dates, planned downtime.

use std::collections::BTreeSet;

use super::civil::CivilDate;
use crate::domain::id::{AreaId, LineId, MachineId};
use crate::domain::time::Window;

/// The equipment for which a rule holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope {
    /// Areas with all that stands in them.
    pub areas: BTreeSet<AreaId>,
    /// Lines with all their machines.
    pub lines: BTreeSet<LineId>,
    /// Single machines.
    pub machines: BTreeSet<MachineId>,
}

/// Where a machine stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Its area.
    pub area: AreaId,
    /// Its line.
    pub line: LineId,
    /// The machine.
    pub machine: MachineId,
}

impl Scope {
    /// Whether the rule holds for a machine; a scope that names nothing is the whole site.
    pub fn includes(&self, place: &Place) -> bool {
        self.is_site()
            || self.areas.contains(&place.area)
            || self.lines.contains(&place.line)
            || self.machines.contains(&place.machine)
    }

    /// Whether the rule holds for the whole site.
    pub fn is_site(&self) -> bool {
        self.areas.is_empty() && self.lines.is_empty() && self.machines.is_empty()
    }
}

/// The dates on which something recurs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Days {
    /// Days of the week, Monday first.
    Week([bool; 7]),
    /// Days of a rotation that is longer or shorter than a week.
    Rotation {
        /// A date on which the rotation starts.
        anchor: CivilDate,
        /// Its days, in order.
        days: Vec<bool>,
    },
}

impl Days {
    /// Whether a date is one of them.
    pub fn include(&self, date: CivilDate) -> bool {
        match self {
            Days::Week(days) => days[date.weekday()],
            Days::Rotation { anchor, days } => {
                let length = i64::try_from(days.len()).unwrap_or(i64::MAX).max(1);
                let index = (i64::from(date.0) - i64::from(anchor.0)).rem_euclid(length);
                usize::try_from(index).ok().and_then(|i| days.get(i)).copied().unwrap_or(false)
            }
        }
    }

    /// After how many days they repeat.
    pub fn period(&self) -> usize {
        match self {
            Days::Week(_) => 7,
            Days::Rotation { days, .. } => days.len().max(1),
        }
    }
}

/// First and last date on which a rule holds; unbounded where absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Validity {
    /// The first date.
    pub from: Option<CivilDate>,
    /// The last date.
    pub to: Option<CivilDate>,
}

impl Validity {
    /// Whether a date lies inside.
    pub fn includes(self, date: CivilDate) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }
}

/// Which civil date a shift that spans midnight belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum ProductionDate {
    /// The date on which it starts.
    #[default]
    Start,
    /// The date on which it ends.
    End,
}

/// Times of the wall clock in minutes from the midnight at which the date of the shift begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hours {
    /// First minute.
    pub start: u32,
    /// Minute after the last; more than 1440 when it ends on the next day.
    pub end: u32,
    /// Planned breaks, counted likewise.
    pub breaks: Vec<(u32, u32)>,
}

/// One shift as a rule of the wall clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShiftPattern {
    /// Name, for example `early`.
    pub name: String,
    /// The equipment it holds for.
    pub scope: Scope,
    /// The dates on which it starts.
    pub days: Days,
    /// The dates between which it holds.
    pub validity: Validity,
    /// When it takes place.
    pub hours: Hours,
    /// Which date it belongs to.
    pub production_date: ProductionDate,
}

impl ShiftPattern {
    /// Whether the rule, without exceptions, makes a shift that starts on a date.
    pub fn starts_on(&self, date: CivilDate) -> bool {
        self.validity.includes(date) && self.days.include(date)
    }
}

/// A change of one date: a holiday, a shift that falls out, one that is longer or additional.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DateException {
    /// The date on which the shifts start that it changes.
    pub date: CivilDate,
    /// Why, for people.
    pub name: String,
    /// The equipment it holds for.
    pub scope: Scope,
    /// The shift; all of the date when absent.
    pub shift: Option<String>,
    /// The hours instead; the shift does not take place when absent.
    pub hours: Option<Hours>,
}

/// Time in which nothing is to be produced although it lies in a shift.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedDowntime {
    /// What is done then.
    pub name: String,
    /// The equipment it holds for.
    pub scope: Scope,
    /// When.
    pub when: PlannedTime,
}

/// When a planned downtime takes place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PlannedTime {
    /// Once.
    Once(Window),
    /// Again and again, as minutes of the wall clock.
    Recurring {
        /// The dates on which it starts.
        days: Days,
        /// The dates between which it holds.
        validity: Validity,
        /// First minute.
        start: u32,
        /// Minute after the last.
        end: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_holds_for_whatever_it_names_and_for_the_site_when_it_names_nothing() {
        let place = Place {
            area: AreaId::parse("A").unwrap(),
            line: LineId::parse("L").unwrap(),
            machine: MachineId::parse("M").unwrap(),
        };
        let areas =
            |id: &str| Scope { areas: [AreaId::parse(id).unwrap()].into(), ..Scope::default() };
        let lines =
            |id: &str| Scope { lines: [LineId::parse(id).unwrap()].into(), ..Scope::default() };
        let machines = |id: &str| Scope {
            machines: [MachineId::parse(id).unwrap()].into(),
            ..Scope::default()
        };
        assert!(Scope::default().includes(&place) && Scope::default().is_site());
        assert!([areas("A"), lines("L"), machines("M")].iter().all(|scope| scope.includes(&place)));
        let others = [areas("X"), lines("X"), machines("X")];
        assert!(others.iter().all(|scope| !scope.includes(&place) && !scope.is_site()));
    }

    #[test]
    fn a_rotation_runs_before_its_start_as_well() {
        let days =
            Days::Rotation { anchor: CivilDate(101), days: vec![true, true, false, false, false] };
        assert_eq!(days.period(), 5);
        let on = |date: i32| days.include(CivilDate(date));
        assert_eq!(
            [99, 100, 101, 102, 103, 106, 107].map(on),
            [false, false, true, true, false, true, true]
        );
        assert_eq!([96, 97, 98].map(on), [true, true, false]);
        assert_eq!(Days::Week([true; 7]).period(), 7);
    }
}
