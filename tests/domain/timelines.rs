//! What is said of each stretch of time, and what is counted of stops.

use std::sync::Arc;

use linewright::app::slices::{Slice, SliceBy, slices_of};
use linewright::domain::calendar::{Calendar, FixedZone, PlannedDowntime, PlannedTime, Scope};
use linewright::domain::command::{Command, Input, RemarkCommand};
use linewright::domain::core::Core;
use linewright::domain::evidence::Observation;
use linewright::domain::id::{PersonId, ReasonId};
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::{Flag, Kpi};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::oee::stops::Stop;
use linewright::domain::oee::timeline::{Interval, Rule};
use linewright::domain::order::JobCommand;
use linewright::domain::plant::Plant;
use linewright::domain::signal::{
    MachineState, RawValue, Reading, Signal, SignalRole, SignalRule, StateRule,
};
use linewright::domain::time::{Span, Window};

use super::plant::*;
use super::stops::MINUTE;

const RUN: Option<MachineState> = Some(MachineState::Running);
const DOWN: Option<MachineState> = Some(MachineState::Down);
const LAST: i64 = 400;

fn window(from: i64, to: i64) -> Window {
    Window { from: at(from * MINUTE), to: at(to * MINUTE) }
}

fn with(change: impl FnOnce(&mut Plant)) -> Arc<Plant> {
    let mut changed = Plant::clone(&plant(false));
    let machine = changed.machines.get_mut(&machine()).unwrap();
    let signal = |role, rule| Signal { role, rule };
    machine.signals.push(signal(SignalRole::Reason, SignalRule::Reason([].into())));
    machine.signals.push(signal(SignalRole::Operator, SignalRule::Operator));
    change(&mut changed);
    Arc::new(changed)
}

/// A machine that makes an order from 0 on and stands in these minutes.
fn standing(plant: Arc<Plant>, stops: &[(i64, i64)]) -> Core {
    let mut core = Core::new(plant, None);
    let start = [
        link(0, true),
        state(0, RUN),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
    ];
    let stops = stops.iter().flat_map(|(from, to)| [(*from, DOWN), (*to, RUN)]);
    let stops = stops.map(|(minute, told)| state(minute * MINUTE, told));
    start.into_iter().chain(stops).for_each(|input| feed(&mut core, &input));
    core
}

fn told(role: SignalRole, minute: i64, reading: Reading) -> Input {
    Input::Observed(Observation {
        machine: machine(),
        role,
        at: at(minute * MINUTE),
        received: at(minute * MINUTE),
        seq: 0,
        status: 0,
        raw: RawValue::Integer(0),
        reading,
    })
}

fn gives_reason(minute: i64, key: &str) -> Input {
    told(SignalRole::Reason, minute, Reading::Reason(Some(ReasonId::parse(key).unwrap())))
}

fn say(core: &mut Core, seq: u64, remark: RemarkCommand) {
    let said = Command::Remark { machine: machine(), remark, comment: String::new() };
    let mut input = command(LAST * MINUTE, said);
    if let Input::Command(said) = &mut input {
        said.seq = seq;
    }
    feed(core, &input);
}

fn classify(minute: i64, key: &str) -> RemarkCommand {
    RemarkCommand::Classify { stop: at(minute * MINUTE), reason: ReasonId::parse(key).unwrap() }
}

fn stops(core: &Core, from: i64, to: i64) -> Vec<Stop> {
    core.facts_at(at(LAST * MINUTE)).stops(&machine(), window(from, to))
}

fn reason_of(stop: &Stop) -> Option<&str> {
    stop.cause.as_ref().map(|cause| cause.reason.as_str())
}

fn kpi(core: &Core, from: i64, to: i64) -> Kpi {
    let facts = core.facts_at(at(LAST * MINUTE));
    facts.kpi(&Equipment::Machine(machine()), window(from, to)).unwrap()
}

fn intervals(core: &Core, from: i64, to: i64) -> Vec<Interval> {
    let facts = core.facts_at(at(LAST * MINUTE));
    facts.timeline(&machine(), window(from, to)).unwrap().intervals
}

#[test]
fn a_cut_at_which_a_stop_turns_out_to_begin_makes_no_empty_part() {
    let mut core = standing(with(|_| {}), &[(60, 90)]);
    say(&mut core, 1, RemarkCommand::Split { stop: at(60 * MINUTE), at: at(70 * MINUTE) });
    assert_eq!(stops(&core, 0, 100).len(), 2);
    // Late values: it ran again in between and stopped at the instant of the cut.
    feed(&mut core, &state(61 * MINUTE, RUN));
    feed(&mut core, &state(70 * MINUTE, DOWN));
    let found = stops(&core, 0, 100);
    let spans: Vec<_> =
        found.iter().map(|s| (s.start.ticks() / MINUTE, s.length().unwrap())).collect();
    assert_eq!(spans, [(60, Span::from_ticks(MINUTE)), (70, Span::from_ticks(20 * MINUTE))]);
}

#[test]
fn the_second_of_merged_stops_has_their_reason_in_a_window_that_does_not_show_the_first() {
    let mut core = standing(with(|_| {}), &[(60, 90), (92, 100), (150, 160)]);
    say(&mut core, 1, classify(60, "jam"));
    say(&mut core, 2, RemarkCommand::Merge { first: at(60 * MINUTE), last: at(92 * MINUTE) });
    say(&mut core, 3, classify(150, "cleaning"));
    let second = &stops(&core, 95, 96)[0];
    assert_eq!((second.record, reason_of(second)), (at(60 * MINUTE), Some("jam")));
    assert_eq!(reason_of(&stops(&core, 155, 156)[0]), Some("cleaning"));
}

#[test]
fn of_the_machines_reasons_the_first_of_the_most_important_ones_inside_the_stop_holds() {
    let mut core = standing(with(|_| {}), &[(60, 90), (100, 110)]);
    feed(&mut core, &gives_reason(65, "jam"));
    feed(&mut core, &gives_reason(70, "cleaning"));
    feed(&mut core, &gives_reason(90, "changeover"));
    assert_eq!(reason_of(&stops(&core, 60, 90)[0]), Some("jam"), "of equals, the first");
    assert_eq!(reason_of(&stops(&core, 100, 110)[0]), Some("changeover"), "it still holds");
    let urgent = with(|plant| {
        let id = ReasonId::parse("changeover").unwrap();
        plant.reasons.get_mut(&id).unwrap().priority = 9;
    });
    let mut core = standing(urgent, &[(60, 90)]);
    feed(&mut core, &gives_reason(65, "jam"));
    feed(&mut core, &gives_reason(90, "changeover"));
    assert_eq!(reason_of(&stops(&core, 60, 90)[0]), Some("jam"), "told when it ran again");
}

#[test]
fn an_interval_says_by_whom_its_reason_was_given_and_who_worked() {
    let mut core = standing(with(|_| {}), &[(60, 70), (80, 90), (100, 110)]);
    feed(&mut core, &gives_reason(61, "jam"));
    feed(&mut core, &told(SignalRole::Reason, 75, Reading::Reason(None)));
    say(&mut core, 1, classify(80, "jam"));
    let ann = PersonId::parse("ann").unwrap();
    feed(&mut core, &told(SignalRole::Operator, 50, Reading::Operator(Some(ann.clone()))));
    feed(&mut core, &told(SignalRole::Operator, 85, Reading::Operator(None)));
    let rule = |minute: i64| intervals(&core, minute, minute + 1)[0].rule;
    assert_eq!(rule(65), Rule::MachineReason);
    assert_eq!(rule(82), Rule::ReasonGiven);
    assert_eq!((rule(105), rule(75)), (Rule::State, Rule::State));
    let who = |minute: i64| intervals(&core, minute, minute + 1)[0].operator.clone();
    assert_eq!([who(49), who(50), who(84), who(85)], [None, Some(ann.clone()), Some(ann), None]);
    assert_eq!(intervals(&core, 0, 50).len(), 1, "nothing changes, so it is one");
    let again = PersonId::parse("ann").unwrap();
    feed(&mut core, &told(SignalRole::Operator, 55, Reading::Operator(Some(again))));
    assert_eq!(intervals(&core, 50, 60).len(), 1, "what is told again is no change");
    assert_eq!(intervals(&core, 40, 60).len(), 2);
}

#[test]
fn overlapping_planned_downtime_is_planned_once() {
    let planned = |name: &str, from, to| PlannedDowntime {
        name: name.into(),
        scope: Scope::default(),
        when: PlannedTime::Once(window(from, to)),
    };
    let plant = with(|plant| {
        plant.calendar = Calendar::new(vec![], Arc::new(FixedZone { offset_minutes: 0 }));
        let rules = [("audit", 10, 30), ("cleaning", 20, 40), ("test", 40, 45), ("short", 12, 14)];
        plant.calendar.planned = rules.map(|(name, from, to)| planned(name, from, to)).into();
    });
    let core = standing(plant, &[(5, 60)]);
    let kpi = kpi(&core, 0, 100);
    assert_eq!(kpi.time.of(LossClass::PlannedDown), Span::from_ticks(35 * MINUTE));
    assert_eq!(kpi.time.of(LossClass::UnplannedDown), Span::from_ticks(20 * MINUTE));
    let planned = intervals(&core, 0, 100).into_iter().filter(|i| i.rule == Rule::PlannedDowntime);
    assert_eq!(planned.count(), 1);
}

#[test]
fn stops_are_counted_by_kind_and_cost_what_they_cost() {
    let plant = with(|plant| {
        plant.calendar.planned.push(PlannedDowntime {
            name: "audit".into(),
            scope: Scope::default(),
            when: PlannedTime::Once(window(80, 200)),
        });
    });
    let mut core = standing(plant, &[(10, 11), (20, 21), (30, 40), (50, 60), (70, 90), (210, 220)]);
    say(&mut core, 1, classify(30, "jam"));
    say(&mut core, 2, classify(70, "jam"));
    for (seq, from) in [(3, 230), (4, 240), (5, 250)] {
        let reason = ReasonId::parse(if seq == 5 { "cleaning" } else { "jam" }).unwrap();
        say(&mut core, seq, RemarkCommand::StateStop { window: window(from, from + 5), reason });
    }
    let facts = core.facts_at(at(LAST * MINUTE));
    let stated = |from, to| facts.stated_stops(&machine(), window(from, to)).len();
    assert_eq!((stated(0, 300), stated(0, 230), stated(234, 241), stated(255, 300)), (3, 0, 2, 0));
    let stops = kpi(&core, 0, 300).stops;
    assert_eq!((stops.micro_stops, stops.stops), (2, 4 + 3));
    assert_eq!((stops.failures, stops.unexplained), (2 + 2, 2));
    let jam = stops.by_reason[&Some(ReasonId::parse("jam").unwrap())];
    assert_eq!(jam.stops, 4);
    // Ten minutes each, since what lies in planned downtime costs nothing, and two stated ones.
    assert_eq!(jam.time, Span::from_ticks((10 + 10 + 5 + 5) * MINUTE));
    assert_eq!(stops.failure_time, jam.time);
    assert_eq!(stops.by_reason[&None].stops, 2 + 2);
    assert_eq!(stops.by_reason[&None].time, Span::from_ticks((1 + 1 + 10 + 10) * MINUTE));
    let total: i64 = stops.by_reason.values().map(|tally| tally.time.ticks()).sum();
    assert_eq!(total, (1 + 1 + 10 + 10 + 10 + 10 + 15) * MINUTE);
}

#[test]
fn slices_by_reason_are_the_time_for_which_it_held_and_together_the_whole() {
    let mut core = standing(with(|_| {}), &[(30, 40), (50, 60), (70, 90)]);
    for (seq, (minute, key)) in (1..).zip([(30, "jam"), (50, "changeover"), (70, "jam")]) {
        say(&mut core, seq, classify(minute, key));
    }
    for (minute, made) in [(0, 0), (20, 30), (65, 60), (100, 90)] {
        feed(&mut core, &count(SignalRole::Good, minute * MINUTE, made));
    }
    let facts = core.facts_at(at(LAST * MINUTE));
    let whole = window(0, 110);
    for equipment in [Equipment::Machine(machine()), Equipment::Line(line())] {
        let slices = slices_of(&facts, &equipment, whole, SliceBy::Reason);
        let shown = |slice: &Slice| {
            let time = slice.kpi.time.calendar().ticks() / MINUTE;
            (slice.key.clone(), time, slice.kpi.stops.stops)
        };
        let shown: Vec<_> = slices.iter().map(shown).collect();
        let named = |key: &str| Some(key.to_owned());
        assert_eq!(shown, [(None, 70, 0), (named("changeover"), 10, 1), (named("jam"), 30, 2)]);
        let sum = slices.into_iter().map(|slice| Some(slice.kpi)).fold(None, Kpi::joined).unwrap();
        let expected = facts.kpi(&equipment, whole).unwrap();
        assert_eq!((sum.time, sum.production), (expected.time, expected.production));
        assert_eq!(sum.stops, expected.stops);
    }
}

#[test]
fn a_counter_is_stuck_when_it_stands_for_the_limit_while_the_machine_runs_and_not_before() {
    let stuck = |counts: &[(i64, u64)], to: i64| {
        let limit = Some(Span::from_ticks(20 * MINUTE));
        let plant = with(|plant| {
            plant.machines.get_mut(&machine()).unwrap().stuck_after = limit;
        });
        let mut core = standing(plant, &[(60, 90)]);
        for (minute, value) in counts {
            feed(&mut core, &count(SignalRole::Good, minute * MINUTE, *value));
        }
        kpi(&core, 0, to).flags.contains(&Flag::CounterStuck)
    };
    let steady = [(0, 0), (19, 1), (38, 2), (57, 3)];
    assert!(!stuck(&steady, 60));
    assert!(!stuck(&steady, 90), "it stands, so nothing has to be counted");
    let late = [(0, 0), (20, 1), (38, 2), (57, 3)];
    assert!(stuck(&late, 60), "20 minutes without a part");
    assert!(!stuck(&late[..1], 19) && stuck(&late[..1], 20));
}

#[test]
fn a_state_that_has_to_hold_is_judged_the_same_from_every_window() {
    let plant = with(|plant| {
        let machine = plant.machines.get_mut(&machine()).unwrap();
        if let SignalRule::State(rule) = &machine.signals[0].rule {
            let rule = StateRule { hold: Span::from_ticks(5 * MINUTE), ..rule.clone() };
            machine.signals[0].rule = SignalRule::State(rule);
        }
    });
    // It stands for 3 and 30 minutes, and runs for 2 in between.
    let mut core = standing(plant, &[(20, 23), (60, 70)]);
    feed(&mut core, &state(72 * MINUTE, DOWN));
    feed(&mut core, &state(90 * MINUTE, RUN));
    let down = |from, to| kpi(&core, from, to).time.of(LossClass::UnplannedDown).ticks() / MINUTE;
    assert_eq!(down(0, 200), 30, "the short ones are passed over");
    let mut sum = 0;
    for minute in 0..200 {
        sum += down(minute, minute + 1);
    }
    assert_eq!(sum, 30);
    let found = stops(&core, 71, 72);
    assert_eq!(
        (found.len(), found[0].start, found[0].end),
        (1, at(60 * MINUTE), Some(at(90 * MINUTE)))
    );
}
