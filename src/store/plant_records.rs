//! The binary form of a plant's description, as it is kept with each change of it.

use std::sync::Arc;

use super::codec::{Malformed, Record};
use super::fields::{record_enum, record_struct};
use crate::app::time_text::IanaZone;
use crate::domain::calendar::{
    Calendar, CivilDate, CivilZone, DateException, Days, FixedZone, Hours, PlannedDowntime,
    PlannedTime, ProductionDate, Scope, ShiftPattern, Validity,
};
use crate::domain::plant::{
    Area, Buffer, CycleScope, IdealCycle, Line, Machine, MaximumDuration, NoOrderPolicy, Plant,
    Product, Reason, ReasonClass, RootCause, Station,
};
use crate::domain::signal::counter::{CounterKind, CounterRule};
use crate::domain::signal::{CycleRule, ModeMap, Signal, SignalRule, StateMap, StateRule};

impl Record for CivilDate {
    fn put(&self, out: &mut Vec<u8>) {
        i64::from(self.0).put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let days = i32::try_from(i64::get(input)?);
        days.map(CivilDate).map_err(|_| Malformed::Meaningless("date"))
    }
}

impl Record for [bool; 7] {
    fn put(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|day| day.put(out));
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let mut days = [false; 7];
        for day in &mut days {
            *day = bool::get(input)?;
        }
        Ok(days)
    }
}

impl Record for Calendar {
    /// The zone is kept by name; its rules come from the program.
    fn put(&self, out: &mut Vec<u8>) {
        self.zone().name().to_owned().put(out);
        self.patterns.put(out);
        self.exceptions.put(out);
        self.planned.put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let name = String::get(input)?;
        let fixed = FixedZone { offset_minutes: 0 };
        let zone: Arc<dyn CivilZone> = match IanaZone::find(&name) {
            Some(zone) => Arc::new(zone),
            None if name == fixed.name() => Arc::new(fixed),
            None => return Err(Malformed::Meaningless("time zone")),
        };
        let mut calendar = Calendar::new(Vec::get(input)?, zone);
        calendar.exceptions = Vec::get(input)?;
        calendar.planned = Vec::get(input)?;
        Ok(calendar)
    }
}

record_enum!(ProductionDate { 0 => Start, 1 => End });
record_enum!(Days { 0 => Week(days), 1 => Rotation { anchor, days } });
record_enum!(PlannedTime { 0 => Once(window), 1 => Recurring { days, validity, start, end } });
record_struct!(Scope { areas, lines, machines });
record_struct!(Validity { from, to });
record_struct!(Hours { start, end, breaks });
record_struct!(ShiftPattern { name, scope, days, validity, hours, production_date });
record_struct!(DateException { date, name, scope, shift, hours });
record_struct!(PlannedDowntime { name, scope, when });

record_enum!(CounterKind { 0 => Rising, 1 => Pulse, 2 => Batch });
record_enum!(StateMap {
    0 => Values(map), 1 => PackMl, 2 => Machinery, 3 => Threshold { running_from, otherwise },
    4 => Weihenstephan,
});
record_enum!(ModeMap { 0 => Values(map), 1 => PackMl, 2 => Machinery, 3 => Weihenstephan });
record_enum!(SignalRule {
    0 => State(rule), 1 => Mode(map), 2 => Count(rule), 3 => Cycle(rule, pace), 4 => Reason(map),
    5 => Truth, 6 => Lot, 7 => Operator,
});
record_struct!(CounterRule { kind, parts, rollover, max_step });
record_struct!(StateRule { map, hold });
record_struct!(CycleRule { cycle, slow_from, stop_from });
record_struct!(Signal { role, rule });

record_enum!(RootCause { 0 => Equipment, 1 => Priority, 2 => Neighbour, 3 => First, 4 => Parallel });
record_enum!(NoOrderPolicy { 0 => Loss, 1 => Planned });
record_enum!(ReasonClass { 0 => Down, 1 => Setup, 2 => Planned, 3 => Blocked, 4 => Starved });
record_enum!(CycleScope { 0 => Any, 1 => Line(line), 2 => Machine(machine) });
record_struct!(Area { id, name });
record_struct!(Station { machines, min_running });
record_struct!(Buffer { after, time });
record_struct!(Line {
    id,
    name,
    area,
    machines,
    bottleneck,
    bottleneck_by_product,
    outfeed,
    stations,
    buffers,
    root_cause,
    default_product,
    no_order,
});
record_struct!(Machine {
    id,
    name,
    line,
    micro_stop_below,
    explain_from,
    silence_after,
    stuck_after,
    priority,
    signals,
});
record_struct!(IdealCycle { scope, valid_from, cycle, parts });
record_struct!(Product { id, name, unit, cycles });
record_struct!(MaximumDuration { span, then });
record_struct!(Reason {
    id,
    name,
    names,
    class,
    parent,
    failure,
    stops_line,
    priority,
    comment_from,
    maximum,
    valid,
});
record_struct!(Plant {
    site,
    site_name,
    time_zone,
    areas,
    lines,
    machines,
    products,
    reasons,
    calendar,
    confirmation_interval,
    closing_grace,
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signal::{MachineState, OperationMode};

    #[test]
    fn a_calendar_comes_back_in_its_zone() {
        let zone: Arc<dyn CivilZone> = Arc::new(IanaZone::find("Europe/Berlin").unwrap());
        let mut calendar = Calendar::new(Vec::new(), zone);
        calendar.exceptions.push(DateException {
            date: CivilDate(20_000),
            name: "holiday".into(),
            scope: Scope::default(),
            shift: None,
            hours: Some(Hours { start: 1, end: 2, breaks: vec![(1, 2)] }),
        });
        let mut bytes = Vec::new();
        calendar.put(&mut bytes);
        assert_eq!(Calendar::get(&mut bytes.as_slice()), Ok(calendar));
    }

    #[test]
    fn a_rule_of_every_kind_comes_back() {
        let pace = CycleRule { cycle: None, slow_from: 150, stop_from: 300 };
        let threshold = StateMap::Threshold {
            running_from: "2.5".parse().unwrap(),
            otherwise: MachineState::Down,
        };
        let rules = vec![
            SignalRule::State(StateRule { map: threshold, hold: crate::domain::time::Span::ZERO }),
            SignalRule::Mode(ModeMap::Values([("1".to_owned(), OperationMode::Setup)].into())),
            SignalRule::Cycle(CounterRule::default(), pace),
            SignalRule::Mode(ModeMap::Weihenstephan),
            SignalRule::State(StateRule {
                map: StateMap::Weihenstephan,
                hold: crate::domain::time::Span::ZERO,
            }),
            SignalRule::Truth,
        ];
        let mut bytes = Vec::new();
        rules.put(&mut bytes);
        assert_eq!(Vec::<SignalRule>::get(&mut bytes.as_slice()), Ok(rules));
    }
}
