//! The simulated plant: one line of five machines in Berlin, two shifts a day, a night shift into
//! Sunday, a holiday, a weekly cleaning.

use std::collections::BTreeMap;
use std::sync::Arc;

use linewright::app::time_text::IanaZone;
use linewright::domain::calendar::{
    Calendar, CivilDate, DateException, Days, Hours, PlannedDowntime, PlannedTime, ProductionDate,
    Scope, ShiftPattern, Validity,
};
use linewright::domain::id::{AreaId, LineId, MachineId, ProductId, ReasonId, SiteId};
use linewright::domain::plant::{
    Area, CycleScope, IdealCycle, Line, Machine, NoOrderPolicy, Plant, Product, Reason,
    ReasonClass, RootCause,
};
use linewright::domain::signal::counter::CounterRule;
use linewright::domain::signal::{Signal, SignalRole, SignalRule, StateMap, StateRule};
use linewright::domain::time::{Span, Timestamp, Window};

pub const SECOND: i64 = 10_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
/// Midnight UTC of the Thursday before the clocks go back in 2026.
pub const BEGIN: i64 = 20_748 * DAY;
pub const MICRO_STOP: i64 = 120 * SECOND;
pub const ROLLOVER: u64 = 999;
pub const MACHINES: usize = 5;

pub fn machine(number: usize) -> MachineId {
    MachineId::parse(&format!("M{number}")).unwrap()
}

pub fn line() -> LineId {
    LineId::parse("L1").unwrap()
}

pub fn product(number: usize) -> ProductId {
    ProductId::parse(&format!("P{number}")).unwrap()
}

pub fn reason(key: &str) -> ReasonId {
    ReasonId::parse(key).unwrap()
}

fn shift(name: &str, days: [bool; 7], start: u32, end: u32, pause: (u32, u32)) -> ShiftPattern {
    ShiftPattern {
        name: name.into(),
        scope: Scope::default(),
        days: Days::Week(days),
        validity: Validity::default(),
        hours: Hours { start, end, breaks: vec![pause] },
        production_date: ProductionDate::Start,
    }
}

fn calendar() -> Calendar {
    let saturday = [false, false, false, false, false, true, false];
    let patterns = vec![
        shift("early", [true; 7], 6 * 60, 14 * 60, (9 * 60 + 30, 9 * 60 + 45)),
        shift("late", [true; 7], 14 * 60, 22 * 60, (18 * 60, 18 * 60 + 30)),
        shift("night", saturday, 22 * 60, 30 * 60, (26 * 60, 26 * 60 + 30)),
    ];
    let mut calendar = Calendar::new(patterns, Arc::new(IanaZone::find("Europe/Berlin").unwrap()));
    calendar.exceptions.push(DateException {
        date: CivilDate::new(2026, 10, 28).unwrap(),
        name: "holiday".into(),
        scope: Scope::default(),
        shift: None,
        hours: None,
    });
    let friday = [false, false, false, false, true, false, false];
    calendar.planned.push(PlannedDowntime {
        name: "cleaning".into(),
        scope: Scope::default(),
        when: PlannedTime::Recurring {
            days: Days::Week(friday),
            validity: Validity::default(),
            start: 13 * 60,
            end: 14 * 60,
        },
    });
    calendar
}

#[expect(clippy::too_many_lines, reason = "a description, not a procedure")]
pub fn plant() -> Arc<Plant> {
    let wraps = CounterRule { rollover: Some(ROLLOVER), ..CounterRule::default() };
    let states = StateRule { map: StateMap::Values(BTreeMap::new()), hold: Span::ZERO };
    let signals = vec![
        Signal { role: SignalRole::State, rule: SignalRule::State(states) },
        Signal { role: SignalRole::Good, rule: SignalRule::Count(wraps) },
        Signal { role: SignalRole::Reject, rule: SignalRule::Count(wraps) },
    ];
    let machines = (0..MACHINES).map(|number| {
        let id = machine(number);
        let machine = Machine {
            id: id.clone(),
            name: id.to_string(),
            line: line(),
            micro_stop_below: Span::from_ticks(MICRO_STOP),
            explain_from: Span::from_ticks(MICRO_STOP),
            silence_after: None,
            stuck_after: None,
            priority: 0,
            signals: signals.clone(),
        };
        (id, machine)
    });
    let configured = Line {
        id: line(),
        name: "Line".into(),
        area: AreaId::parse("A").unwrap(),
        machines: (0..MACHINES).map(machine).collect(),
        bottleneck: machine(2),
        bottleneck_by_product: BTreeMap::new(),
        outfeed: machine(4),
        stations: vec![],
        buffers: vec![],
        root_cause: RootCause::Neighbour,
        default_product: None,
        no_order: NoOrderPolicy::Loss,
    };
    let made = |number: usize, seconds: i64, parts| {
        let cycle = IdealCycle {
            scope: CycleScope::Any,
            valid_from: Timestamp::MIN,
            cycle: Span::from_seconds(seconds),
            parts,
        };
        let id = product(number);
        let (name, unit) = (id.to_string(), "C62".into());
        (id.clone(), Product { id, name, unit, cycles: vec![cycle] })
    };
    let given = |key: &str, class| {
        let id = reason(key);
        let reason = Reason {
            id: id.clone(),
            name: key.into(),
            names: BTreeMap::new(),
            class,
            parent: None,
            failure: class == ReasonClass::Down,
            stops_line: true,
            priority: 0,
            comment_from: None,
            maximum: None,
            valid: Window { from: Timestamp::MIN, to: Timestamp::MAX },
        };
        (id, reason)
    };
    Arc::new(Plant {
        site: SiteId::parse("S").unwrap(),
        site_name: "Site".into(),
        time_zone: "Europe/Berlin".into(),
        areas: vec![Area { id: AreaId::parse("A").unwrap(), name: "Area".into() }],
        lines: BTreeMap::from([(line(), configured)]),
        machines: machines.collect(),
        products: BTreeMap::from([made(1, 30, 1), made(2, 100, 7)]),
        reasons: BTreeMap::from([
            given("jam", ReasonClass::Down),
            given("changeover", ReasonClass::Setup),
            given("cleaning", ReasonClass::Planned),
        ]),
        calendar: calendar(),
        confirmation_interval: Span::from_seconds(600),
        closing_grace: Span::from_seconds(900),
    })
}
