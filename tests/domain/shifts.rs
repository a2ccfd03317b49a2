//! Shifts that close, change afterwards, and a plant that is described otherwise.

use std::sync::Arc;

use linewright::app::closing::figures;
use linewright::domain::command::{Command, Input, RemarkCommand};
use linewright::domain::core::{Closing, Core};
use linewright::domain::event::Event;
use linewright::domain::id::ReasonId;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::loss::LossClass;
use linewright::domain::order::JobCommand;
use linewright::domain::plant::Plant;
use linewright::domain::shift::ShiftRecord;
use linewright::domain::signal::{MachineState, Reading, SignalRole, Unusable};
use linewright::domain::time::{Span, Window};

use super::plant::*;

const HOUR: i64 = 3600 * SECOND;
const RUN: Option<MachineState> = Some(MachineState::Running);
const DOWN: Option<MachineState> = Some(MachineState::Down);

/// Closes what is due, as the writer does; the records that came of it.
fn close(core: &mut Core, now: i64, before: &mut Vec<ShiftRecord>) -> Vec<ShiftRecord> {
    let mut records = Vec::new();
    for due in core.closings_due(at(now)) {
        let figures = figures(&core.facts_at(at(now)), &due.line, due.shift.window);
        let last = before.iter().rev().find(|r| r.shift.window.from == due.shift.window.from);
        let closing = Closing { at: at(now), figures, before: last.cloned(), due };
        let mut events = Vec::new();
        core.decide(&Input::Closed(Box::new(closing)), &mut events).unwrap();
        for event in &events {
            core.apply(event);
            if let Event::ShiftRecorded(record) = event {
                records.push((**record).clone());
                before.push((**record).clone());
            }
        }
    }
    records
}

/// A day that was worked: shift from 6 to 20, the machine down from 10 to 11.
fn day() -> Core {
    let mut core = Core::new(plant(true), None);
    for input in [
        link(5 * HOUR, true),
        state(5 * HOUR, RUN),
        command(6 * HOUR, store(1, 1, 1)),
        command(6 * HOUR, moved(1, JobCommand::Start)),
        count(SignalRole::Good, 6 * HOUR, 0),
        count(SignalRole::Good, 9 * HOUR, 100),
        state(10 * HOUR, DOWN),
        state(11 * HOUR, RUN),
    ] {
        feed(&mut core, &input);
    }
    core
}

fn classify(core: &Core, now: i64, may_correct: bool) -> Result<Vec<Event>, &'static str> {
    let reason = ReasonId::parse("cleaning").unwrap();
    let remark = RemarkCommand::Classify { stop: at(10 * HOUR), reason };
    let said = Command::Remark { machine: machine(), remark, comment: "asked".into() };
    let mut input = command(now, said);
    if let Input::Command(said) = &mut input {
        said.may_correct = may_correct;
    }
    let mut events = Vec::new();
    core.decide(&input, &mut events).map_err(|rejection| rejection.code())?;
    Ok(events)
}

#[test]
fn a_shift_closes_after_its_grace_time_and_once() {
    let mut core = day();
    let mut records = Vec::new();
    let grace = 900 * SECOND;
    assert!(close(&mut core, 20 * HOUR + grace - 1, &mut records).is_empty());
    let closed = close(&mut core, 20 * HOUR + grace, &mut records);
    assert_eq!(closed.len(), 1);
    let record = &closed[0];
    assert_eq!((record.seq, record.revision, record.actor.as_str()), (1, 1, "system"));
    assert_eq!(record.shift.name, "day");
    let line = record.of(&Equipment::Line(line())).unwrap();
    assert_eq!(line.time.of(LossClass::UnplannedDown), Span::from_ticks(HOUR));
    assert!(record.of(&Equipment::Machine(machine())).is_some());
    assert!(close(&mut core, 30 * HOUR, &mut records).is_empty());
}

#[test]
fn late_data_make_a_new_revision_and_leave_the_old_one_readable() {
    let mut core = day();
    let mut records = Vec::new();
    close(&mut core, 21 * HOUR, &mut records);
    let mut late = count(SignalRole::Good, 12 * HOUR, 160);
    if let Input::Observed(observation) = &mut late {
        observation.received = at(22 * HOUR);
    }
    feed(&mut core, &late);
    assert!(close(&mut core, 22 * HOUR + 29 * SECOND, &mut records).is_empty(), "it settles");
    let revised = close(&mut core, 22 * HOUR + 30 * SECOND, &mut records);
    assert_eq!(revised.len(), 1);
    assert_eq!((revised[0].revision, revised[0].seq), (2, 2));
    assert_eq!(revised[0].cause, "late data arrived");
    let good = |record: &ShiftRecord| {
        record.of(&Equipment::Machine(machine())).unwrap().production.parts.good
    };
    assert_eq!(records.iter().map(good).collect::<Vec<_>>(), [100, 160]);
}

#[test]
fn a_correction_says_whose_it_is_and_one_that_changes_nothing_makes_no_revision() {
    let mut core = day();
    let mut records = Vec::new();
    close(&mut core, 21 * HOUR, &mut records);
    let events = classify(&core, 22 * HOUR, true).unwrap();
    events.iter().for_each(|event| drop(core.apply(event)));
    let revised = close(&mut core, 23 * HOUR, &mut records);
    assert_eq!(revised.len(), 1);
    assert_eq!(revised[0].actor, "test");
    assert_eq!(revised[0].cause, "a stop was given another reason");
    // The same count once more, told for a moment in the shift.
    feed(&mut core, &count(SignalRole::Good, 9 * HOUR + 1, 100));
    assert!(close(&mut core, 24 * HOUR, &mut records).is_empty());
    assert!(core.closings_due(at(25 * HOUR)).is_empty(), "it is not looked at for ever");
}

#[test]
fn a_closed_shift_is_changed_only_by_who_may_correct_it() {
    let mut core = day();
    assert!(classify(&core, 15 * HOUR, false).is_ok(), "the shift is open");
    close(&mut core, 21 * HOUR, &mut Vec::new());
    assert_eq!(classify(&core, 22 * HOUR, false), Err("mes.shift.closed"));
    assert!(classify(&core, 22 * HOUR, true).is_ok());
}

#[test]
fn a_line_without_shifts_closes_its_days() {
    let mut core = Core::new(plant(false), None);
    feed(&mut core, &link(5 * HOUR, true));
    feed(&mut core, &state(5 * HOUR, RUN));
    let closed = close(&mut core, 25 * HOUR, &mut Vec::new());
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].shift.name, "day");
    assert_eq!(closed[0].shift.window.length(), Span::from_ticks(24 * HOUR));
}

#[test]
fn an_open_stop_belongs_to_each_shift_for_the_time_it_took_there() {
    let mut core = day();
    feed(&mut core, &state(19 * HOUR, DOWN));
    feed(&mut core, &state(31 * HOUR, RUN));
    let mut records = Vec::new();
    close(&mut core, 45 * HOUR, &mut records);
    let down = |record: &ShiftRecord| {
        let kpi = record.of(&Equipment::Machine(machine())).unwrap();
        kpi.time.of(LossClass::UnplannedDown).ticks() / HOUR
    };
    assert_eq!(records.iter().map(down).collect::<Vec<_>>(), [2, 1], "10 to 11, 19 to 20, 6 to 7");
}

#[test]
fn a_new_description_of_the_plant_never_changes_what_was() {
    let mut core = day();
    let window = Window { from: at(6 * HOUR), to: at(12 * HOUR) };
    let of =
        |core: &Core| core.facts_at(at(20 * HOUR)).kpi(&Equipment::Line(line()), window).unwrap();
    let before = of(&core);
    let mut other = Plant::clone(core.plant());
    other.machines.get_mut(&machine()).unwrap().micro_stop_below = Span::from_ticks(2 * HOUR);
    other.products.get_mut(&product(1)).unwrap().cycles.clear();
    other.calendar.patterns.clear();
    other.reasons.clear();
    let defined = Input::Defined { from: at(13 * HOUR), plant: Arc::new(other.clone()) };
    feed(&mut core, &defined);
    assert_eq!(of(&core), before, "the past");
    feed(&mut core, &state(14 * HOUR, DOWN));
    feed(&mut core, &state(15 * HOUR, RUN));
    let later = Window { from: at(14 * HOUR), to: at(15 * HOUR) };
    let kpi = core.facts_at(at(20 * HOUR)).kpi(&Equipment::Line(line()), later).unwrap();
    assert_eq!(kpi.time.of(LossClass::MicroStop), Span::from_ticks(HOUR), "the future");
    // A window over the change is the sum of both.
    let over = Window { from: at(6 * HOUR), to: at(15 * HOUR) };
    let kpi = core.facts_at(at(20 * HOUR)).kpi(&Equipment::Line(line()), over).unwrap();
    assert_eq!(kpi.time.of(LossClass::UnplannedDown), Span::from_ticks(HOUR));
    assert_eq!(kpi.time.of(LossClass::MicroStop), Span::from_ticks(HOUR));
    let mut events = Vec::new();
    let again = Input::Defined { from: at(16 * HOUR), plant: Arc::new(other) };
    core.decide(&again, &mut events).unwrap();
    assert!(events.is_empty(), "the same description is no change");
}

#[test]
fn a_shift_in_which_the_calendar_changes_has_the_hours_of_both() {
    let mut core = day();
    let mut other = Plant::clone(core.plant());
    other.calendar.patterns[0].hours.end = 22 * 60;
    other.calendar.patterns[0].hours.start = 7 * 60;
    feed(&mut core, &Input::Defined { from: at(12 * HOUR), plant: Arc::new(other) });
    let whole = Window { from: at(0), to: at(24 * HOUR) };
    let shifts = core.history().shifts(&line(), whole);
    assert_eq!(shifts.len(), 1);
    let hours = (shifts[0].window.from.ticks() / HOUR, shifts[0].window.to.ticks() / HOUR);
    assert_eq!(hours, (6, 22));
}

#[test]
fn a_late_count_reaches_the_next_value_that_could_be_read() {
    let mut core = day();
    let unusable = |ticks| {
        let bad = Reading::Unusable(Unusable::BadStatus);
        observed(SignalRole::Good, ticks, bad)
    };
    feed(&mut core, &unusable(12 * HOUR));
    feed(&mut core, &unusable(13 * HOUR));
    feed(&mut core, &count(SignalRole::Good, 14 * HOUR, 150));
    let mut events = Vec::new();
    core.decide(&count(SignalRole::Good, 11 * HOUR, 120), &mut events).unwrap();
    let touched = core.apply(&events[0]).touched;
    let (_, window) = &touched[0];
    assert!(window.contains(at(11 * HOUR)) && window.contains(at(14 * HOUR)), "{window:?}");
}
