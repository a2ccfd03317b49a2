//! What the rules of a calendar make of a window, for one machine.

use std::collections::BTreeSet;

use super::Calendar;
use super::civil::CivilDate;
use super::pattern::{DateException, Hours, Place, PlannedTime, ProductionDate, ShiftPattern};
use crate::domain::time::{Span, Timestamp, Window};

/// No shift is longer than this, so none that reaches a date starts more than two days before.
const DAYS_BACK: i32 = 2;

/// One shift that takes place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ShiftInstance {
    /// When it takes place.
    pub window: Window,
    /// Name of its pattern, or of the exception that adds it.
    pub name: String,
    /// The civil date to which its production belongs.
    pub production_date: CivilDate,
    /// Planned breaks inside it.
    pub breaks: Vec<Window>,
}

/// Time in which nothing is to be produced.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PlannedWindow {
    /// When.
    pub window: Window,
    /// `break`, or the name of the planned downtime.
    pub name: String,
}

/// Shifts and planned downtime of a machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schedule {
    /// Whether there are shifts at all; without them every instant is scheduled.
    pub has_shifts: bool,
    /// The shifts that touch the window, in order of time, whole.
    pub shifts: Vec<ShiftInstance>,
    /// Breaks and planned downtime that touch the window, in order of time; they may overlap.
    pub planned: Vec<PlannedWindow>,
}

impl Calendar {
    /// Whether any shift is configured for a machine; without one it is scheduled always.
    pub fn has_shifts(&self, place: &Place) -> bool {
        self.patterns.iter().any(|pattern| pattern.scope.includes(place))
    }

    /// Shifts and planned downtime of a machine in a window.
    pub fn schedule(&self, place: &Place, window: Window) -> Schedule {
        let has_shifts = self.has_shifts(place);
        let shifts = self.shifts(place, window);
        let breaks = shifts.iter().flat_map(|shift| &shift.breaks);
        let breaks = breaks.filter(|b| b.intersect(window).is_some());
        let mut planned: Vec<PlannedWindow> =
            breaks.map(|b| PlannedWindow { window: *b, name: "break".into() }).collect();
        planned.extend(self.planned_downtime(place, window));
        planned.sort();
        Schedule { has_shifts, shifts, planned }
    }

    /// The shifts of a machine that touch the window, in order of time, whole.
    pub fn shifts(&self, place: &Place, window: Window) -> Vec<ShiftInstance> {
        let mut shifts = Vec::new();
        for date in self.dates(window) {
            shifts.extend(self.shifts_on(place, date));
        }
        shifts.retain(|shift| shift.window.intersect(window).is_some());
        shifts.sort();
        shifts
    }

    /// The shift that runs at an instant.
    pub fn shift_at(&self, place: &Place, at: Timestamp) -> Option<ShiftInstance> {
        let instant = Window { from: at, to: at + Span::from_ticks(1) };
        self.shifts(place, instant).into_iter().next()
    }

    /// The shifts of a machine that start on a date, in no particular order.
    pub fn shifts_on(&self, place: &Place, date: CivilDate) -> Vec<ShiftInstance> {
        let changes = self.exceptions.iter().filter(|e| e.date == date && e.scope.includes(place));
        let changes: Vec<&DateException> = changes.collect();
        // What names the shift holds against what names the date only.
        let change_of = |name: &str| {
            let own = changes.iter().find(|c| c.shift.as_deref() == Some(name));
            own.or_else(|| changes.iter().find(|c| c.shift.is_none()))
        };
        let mut shifts = Vec::new();
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        for pattern in self.patterns_on(place, date) {
            taken.insert(&pattern.name);
            let hours = match change_of(&pattern.name) {
                None => Some(&pattern.hours),
                Some(change) => change.hours.as_ref(),
            };
            let rule = pattern.production_date;
            shifts.extend(hours.map(|hours| self.materialise(&pattern.name, date, hours, rule)));
        }
        for change in changes {
            if let (Some(name), Some(hours)) = (&change.shift, &change.hours)
                && taken.insert(name)
            {
                let known = self.patterns.iter().find(|pattern| pattern.name == *name);
                let rule = known.map_or(ProductionDate::Start, |pattern| pattern.production_date);
                shifts.push(self.materialise(name, date, hours, rule));
            }
        }
        shifts
    }

    fn patterns_on<'a>(
        &'a self,
        place: &'a Place,
        date: CivilDate,
    ) -> impl Iterator<Item = &'a ShiftPattern> {
        self.patterns.iter().filter(move |p| p.starts_on(date) && p.scope.includes(place))
    }

    fn dates(&self, window: Window) -> impl Iterator<Item = CivilDate> + use<> {
        let first = self.zone().date(window.from).0.saturating_sub(DAYS_BACK);
        let last = self.zone().date(window.to).0;
        (first..=last).map(CivilDate)
    }

    fn between(&self, date: CivilDate, (from, to): (u32, u32)) -> Window {
        let from = self.zone().instant(date, from);
        Window { from, to: self.zone().instant(date, to).max(from) }
    }

    fn materialise(
        &self,
        name: &str,
        date: CivilDate,
        hours: &Hours,
        rule: ProductionDate,
    ) -> ShiftInstance {
        let days_later = i32::try_from(hours.end.saturating_sub(1) / super::MINUTES_PER_DAY);
        ShiftInstance {
            name: name.to_owned(),
            production_date: match rule {
                ProductionDate::Start => date,
                ProductionDate::End => date.plus(days_later.unwrap_or(0)),
            },
            window: self.between(date, (hours.start, hours.end)),
            breaks: hours.breaks.iter().map(|part| self.between(date, *part)).collect(),
        }
    }

    fn planned_downtime(&self, place: &Place, window: Window) -> Vec<PlannedWindow> {
        let mut planned = Vec::new();
        for rule in self.planned.iter().filter(|rule| rule.scope.includes(place)) {
            let named = |window| PlannedWindow { window, name: rule.name.clone() };
            match &rule.when {
                PlannedTime::Once(once) => planned.push(named(*once)),
                PlannedTime::Recurring { days, validity, start, end } => {
                    let dates = self.dates(window);
                    let dates = dates.filter(|d| validity.includes(*d) && days.include(*d));
                    planned.extend(dates.map(|date| named(self.between(date, (*start, *end)))));
                }
            }
        }
        planned.retain(|planned| planned.window.intersect(window).is_some());
        planned
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Days, FixedZone, MINUTES_PER_DAY, PlannedDowntime, Scope, Validity};
    use super::*;
    use crate::domain::id::{AreaId, LineId, MachineId};
    use crate::domain::time::TICKS_PER_SECOND;

    const MINUTE: i64 = 60 * TICKS_PER_SECOND;
    const DAY: i64 = MINUTES_PER_DAY as i64 * MINUTE;

    fn place(machine: &str) -> Place {
        Place {
            area: AreaId::parse("A1").unwrap(),
            line: LineId::parse("L1").unwrap(),
            machine: MachineId::parse(machine).unwrap(),
        }
    }

    fn pattern(name: &str, start: u32, end: u32) -> ShiftPattern {
        ShiftPattern {
            name: name.into(),
            scope: Scope::default(),
            days: Days::Week([true; 7]),
            validity: Validity::default(),
            hours: Hours { start, end, breaks: vec![] },
            production_date: ProductionDate::Start,
        }
    }

    fn calendar(patterns: Vec<ShiftPattern>) -> Calendar {
        Calendar::new(patterns, Arc::new(FixedZone { offset_minutes: 60 }))
    }

    fn at(day: i64, minute: i64) -> Timestamp {
        Timestamp::from_ticks(day * DAY + (minute - 60) * MINUTE)
    }

    #[test]
    fn a_night_stop_is_not_booked_on_the_next_day() {
        let mut night = pattern("night", 22 * 60, 30 * 60);
        night.hours.breaks = vec![(26 * 60, 26 * 60 + 30)];
        let starting = calendar(vec![night.clone()]);
        let shift = starting.shift_at(&place("M1"), at(10, 180)).unwrap();
        assert_eq!(shift.production_date, CivilDate(9));
        assert_eq!(shift.window.length().ticks(), 8 * 60 * MINUTE);
        assert_eq!(shift.breaks[0].length().ticks(), 30 * MINUTE);
        night.production_date = ProductionDate::End;
        let ending = calendar(vec![night]);
        let shift = ending.shift_at(&place("M1"), at(10, 180)).unwrap();
        assert_eq!(shift.production_date, CivilDate(10));
    }

    #[test]
    fn a_shift_that_ends_at_midnight_belongs_to_its_day_by_either_rule() {
        let mut late = pattern("late", 14 * 60, 24 * 60);
        late.production_date = ProductionDate::End;
        let shift = calendar(vec![late]).shift_at(&place("M1"), at(5, 15 * 60)).unwrap();
        assert_eq!(shift.production_date, CivilDate(5));
    }

    #[test]
    fn a_holiday_cancels_and_an_exception_for_the_shift_holds_against_it() {
        let mut calendar =
            calendar(vec![pattern("early", 360, 840), pattern("late", 840, 22 * 60)]);
        let exception = |shift: Option<&str>, hours| DateException {
            date: CivilDate(7),
            name: "holiday".into(),
            scope: Scope::default(),
            shift: shift.map(Into::into),
            hours,
        };
        calendar.exceptions.push(exception(None, None));
        assert_eq!(calendar.shifts_on(&place("M1"), CivilDate(7)), []);
        assert_eq!(calendar.shifts_on(&place("M1"), CivilDate(8)).len(), 2);
        let short = Hours { start: 360, end: 600, breaks: vec![] };
        calendar.exceptions.push(exception(Some("early"), Some(short.clone())));
        calendar.exceptions.push(exception(Some("extra"), Some(Hours { start: 600, ..short })));
        let mut shifts = calendar.shifts_on(&place("M1"), CivilDate(7));
        shifts.sort();
        let shown: Vec<_> = shifts.iter().map(|s| (s.name.as_str(), s.window.to)).collect();
        assert_eq!(shown, [("early", at(7, 600)), ("extra", at(7, 600))]);
    }

    #[test]
    fn rules_hold_for_their_equipment_and_dates() {
        let mut own = pattern("own", 360, 840);
        own.scope.machines.insert(MachineId::parse("M2").unwrap());
        own.validity = Validity { from: Some(CivilDate(3)), to: Some(CivilDate(4)) };
        own.days = Days::Rotation { anchor: CivilDate(0), days: vec![true, true, false, true] };
        let calendar = calendar(vec![own]);
        assert!(!calendar.has_shifts(&place("M1")));
        assert!(calendar.has_shifts(&place("M2")));
        let dates = (0..9).filter(|d| !calendar.shifts_on(&place("M2"), CivilDate(*d)).is_empty());
        assert_eq!(dates.collect::<Vec<_>>(), [3, 4]);
        assert!(
            !Days::Rotation { anchor: CivilDate(5), days: vec![false, true] }.include(CivilDate(3))
        );
    }

    #[test]
    fn planned_downtime_recurs_and_happens_once() {
        let mut calendar = calendar(vec![]);
        let planned =
            |name: &str, when| PlannedDowntime { name: name.into(), scope: Scope::default(), when };
        let validity = Validity { from: Some(CivilDate(2)), to: None };
        let days = Days::Week([true; 7]);
        let weekly = PlannedTime::Recurring { days, validity, start: 600, end: 630 };
        calendar.planned.push(planned("cleaning", weekly));
        let once = Window { from: at(2, 0), to: at(2, 60) };
        calendar.planned.push(planned("audit", PlannedTime::Once(once)));
        let window = Window { from: at(1, 0), to: at(4, 0) };
        let schedule = calendar.schedule(&place("M1"), window);
        let names: Vec<_> = schedule.planned.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["audit", "cleaning", "cleaning"]);
        assert!(!schedule.has_shifts);
        let outside = Window { from: at(2, 60), to: at(2, 600) };
        assert_eq!(calendar.schedule(&place("M1"), outside).planned, []);
    }

    #[test]
    fn a_shift_that_an_exception_brings_back_has_the_production_date_of_its_pattern() {
        let mut night = pattern("night", 22 * 60, 30 * 60);
        night.production_date = ProductionDate::End;
        night.days = Days::Week([false; 7]);
        let mut calendar = calendar(vec![pattern("early", 360, 840), night]);
        calendar.exceptions.push(DateException {
            date: CivilDate(7),
            name: "stocktaking".into(),
            scope: Scope::default(),
            shift: Some("night".into()),
            hours: Some(Hours { start: 22 * 60, end: 28 * 60, breaks: vec![] }),
        });
        let shifts = calendar.shifts_on(&place("M1"), CivilDate(7));
        let dates: Vec<_> = shifts.iter().map(|s| (s.name.as_str(), s.production_date)).collect();
        assert_eq!(dates, [("early", CivilDate(7)), ("night", CivilDate(8))]);
    }

    #[test]
    fn calendars_are_equal_when_all_rules_and_the_zone_are() {
        let one = calendar(vec![pattern("early", 360, 840)]);
        let mut other = one.clone();
        assert!(one == other);
        assert!(format!("{one:?}").contains("early"));
        other.planned.push(PlannedDowntime {
            name: "audit".into(),
            scope: Scope::default(),
            when: PlannedTime::Once(Window { from: at(2, 0), to: at(2, 60) }),
        });
        assert!(one != other);
        other.planned.clear();
        other.exceptions.push(DateException {
            date: CivilDate(7),
            name: "holiday".into(),
            scope: Scope::default(),
            shift: None,
            hours: None,
        });
        assert!(one != other);
        assert!(one != calendar(vec![]));
    }
}
