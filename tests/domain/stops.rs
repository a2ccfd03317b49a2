//! What people and machines say about stops, and what it does to the figures.

use std::sync::Arc;

use linewright::domain::command::{Command, Input, RemarkCommand};
use linewright::domain::core::Core;
use linewright::domain::evidence::Observation;
use linewright::domain::id::ReasonId;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::{Kpi, Profile};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::oee::stops::Stop;
use linewright::domain::order::JobCommand;
use linewright::domain::plant::{MaximumDuration, Plant, Reason, ReasonClass};
use linewright::domain::signal::{
    MachineState, OperationMode, RawValue, Reading, Signal, SignalRole, SignalRule,
};
use linewright::domain::time::{Span, Window};
use proptest::prelude::*;

use super::plant::*;

pub const MINUTE: i64 = 60 * SECOND;
const DOWN: Option<MachineState> = Some(MachineState::Down);
const RUN: Option<MachineState> = Some(MachineState::Running);

fn reason(key: &str) -> ReasonId {
    ReasonId::parse(key).unwrap()
}

fn window(from: i64, to: i64) -> Window {
    Window { from: at(from * MINUTE), to: at(to * MINUTE) }
}

/// A machine that runs an order from 0 on and stands from 60 to 90 and from 92 to 100, in minutes.
fn standing(plant: Arc<Plant>) -> Core {
    let mut core = Core::new(plant, None);
    for input in [
        link(0, true),
        state(0, RUN),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
        state(60 * MINUTE, DOWN),
        state(90 * MINUTE, RUN),
        state(92 * MINUTE, DOWN),
        state(100 * MINUTE, RUN),
        state(200 * MINUTE, RUN),
    ] {
        feed(&mut core, &input);
    }
    core
}

/// Says something at a minute; what the core answers.
fn say(core: &mut Core, minute: i64, remark: RemarkCommand) -> Result<Vec<Stop>, &'static str> {
    let command_at = Command::Remark { machine: machine(), remark, comment: String::new() };
    let mut input = command(minute * MINUTE, command_at);
    if let Input::Command(said) = &mut input {
        said.seq = u64::try_from(minute).unwrap();
    }
    let mut events = Vec::new();
    let outcome = core.decide(&input, &mut events).map_err(|rejection| rejection.code())?;
    events.iter().for_each(|event| drop(core.apply(event)));
    match outcome {
        linewright::domain::command::Outcome::Stops(stops) => Ok(stops),
        other => panic!("{other:?}"),
    }
}

fn classify(minute: i64, key: &str) -> RemarkCommand {
    RemarkCommand::Classify { stop: at(minute * MINUTE), reason: reason(key) }
}

fn kpi(core: &Core, from: i64, to: i64) -> Kpi {
    let facts = core.facts_at(at(300 * MINUTE));
    facts.kpi(&Equipment::Machine(machine()), window(from, to)).unwrap()
}

fn minutes(kpi: &Kpi, class: LossClass) -> i64 {
    kpi.time.of(class).ticks() / MINUTE
}

fn stops(core: &Core) -> Vec<Stop> {
    core.facts_at(at(300 * MINUTE)).stops(&machine(), window(0, 200))
}

fn with_reason(change: impl FnOnce(&mut Reason), key: &str) -> Arc<Plant> {
    let mut changed = Plant::clone(&plant(false));
    change(changed.reasons.get_mut(&reason(key)).unwrap());
    Arc::new(changed)
}

#[test]
fn a_split_cuts_from_the_end_and_keeps_the_total() {
    let mut core = standing(plant(false));
    say(&mut core, 110, classify(60, "jam")).unwrap();
    let split = RemarkCommand::Split { stop: at(70 * MINUTE), at: at(75 * MINUTE) };
    let parts = say(&mut core, 111, split).unwrap();
    let lengths: Vec<_> = parts.iter().map(|s| s.length().unwrap().ticks() / MINUTE).collect();
    assert_eq!(lengths, [15, 15]);
    assert_eq!(parts[0].cause.as_ref().unwrap().reason, reason("jam"));
    assert_eq!(parts[1].cause, None, "the second part waits for its own reason");
    say(&mut core, 112, classify(80, "changeover")).unwrap();
    let kpi = kpi(&core, 0, 200);
    assert_eq!(minutes(&kpi, LossClass::UnplannedDown), 15 + 8);
    assert_eq!(minutes(&kpi, LossClass::Setup), 15);
    assert_eq!(kpi.stops.stops, 3);
    assert_eq!(kpi.stops.failures, 1);
}

#[test]
fn a_split_outside_the_stop_is_refused_and_nothing_is_clipped() {
    let mut core = standing(plant(false));
    for outside in [60, 59, 90, 95] {
        let split = RemarkCommand::Split { stop: at(70 * MINUTE), at: at(outside * MINUTE) };
        assert_eq!(say(&mut core, 110, split), Err("mes.stop.split_outside"), "{outside}");
    }
    let nowhere = RemarkCommand::Split { stop: at(30 * MINUTE), at: at(40 * MINUTE) };
    assert_eq!(say(&mut core, 110, nowhere), Err("mes.stop.unknown"));
}

#[test]
fn merged_stops_are_one_failure_with_one_reason_and_the_run_between_them_stays_run() {
    let mut core = standing(plant(false));
    let before = kpi(&core, 0, 200);
    let merge = RemarkCommand::Merge { first: at(60 * MINUTE), last: at(95 * MINUTE) };
    say(&mut core, 110, merge).unwrap();
    say(&mut core, 111, classify(95, "jam")).unwrap();
    let after = kpi(&core, 0, 200);
    assert_eq!(after.time, before.time, "no minute is invented");
    assert_eq!((before.stops.stops, after.stops.stops), (2, 1));
    assert_eq!(after.stops.failures, 1);
    assert_eq!(after.stops.failure_time, Span::from_ticks(38 * MINUTE));
    assert_eq!(after.mttr().unwrap().to_f64(), (38 * MINUTE) as f64);
    assert!(
        stops(&core)
            .iter()
            .all(|stop| stop.cause.is_some() && stop.record == stops(&core)[0].start)
    );
    let split = RemarkCommand::Split { stop: at(95 * MINUTE), at: at(96 * MINUTE) };
    say(&mut core, 112, split).unwrap();
    assert_eq!(kpi(&core, 0, 200).stops.stops, 2, "a later split takes them apart again");
    let itself = RemarkCommand::Merge { first: at(60 * MINUTE), last: at(61 * MINUTE) };
    assert_eq!(say(&mut core, 113, itself), Err("mes.stop.nothing_to_merge"));
}

#[test]
fn a_stop_that_becomes_planned_leaves_teep_unchanged() {
    let mut core = standing(plant(false));
    feed(&mut core, &count(SignalRole::Good, 0, 0));
    feed(&mut core, &count(SignalRole::Good, 55 * MINUTE, 80));
    let before = kpi(&core, 0, 200);
    say(&mut core, 110, classify(60, "cleaning")).unwrap();
    let after = kpi(&core, 0, 200);
    assert_eq!(before.teep(), after.teep());
    assert!(after.oee().unwrap().to_f64() > before.oee().unwrap().to_f64());
    assert_eq!(minutes(&after, LossClass::PlannedDown), 30);
}

#[test]
fn overlapping_manual_stops_are_united_and_availability_is_never_negative() {
    let mut core = standing(plant(false));
    let stated = |from, to, key: &str| RemarkCommand::StateStop {
        window: window(from, to),
        reason: reason(key),
    };
    say(&mut core, 150, stated(10, 40, "jam")).unwrap();
    say(&mut core, 151, stated(30, 50, "changeover")).unwrap();
    say(&mut core, 152, stated(0, 59, "jam")).unwrap();
    let kpi = kpi(&core, 0, 60);
    assert_eq!(minutes(&kpi, LossClass::UnplannedDown), 39);
    assert_eq!(minutes(&kpi, LossClass::Setup), 20, "the one that began last holds");
    assert_eq!(minutes(&kpi, LossClass::Run), 1);
    assert_eq!(kpi.availability(Profile::Tpm).unwrap().to_f64(), 1.0 / 60.0);
}

#[test]
fn the_reason_with_the_higher_priority_holds_where_stated_stops_overlap() {
    let mut core = standing(with_reason(|reason| reason.priority = 5, "jam"));
    let stated = |from, to, key: &str| RemarkCommand::StateStop {
        window: window(from, to),
        reason: reason(key),
    };
    say(&mut core, 150, stated(10, 40, "jam")).unwrap();
    say(&mut core, 151, stated(30, 50, "changeover")).unwrap();
    let kpi = kpi(&core, 0, 60);
    assert_eq!(minutes(&kpi, LossClass::UnplannedDown), 30);
    assert_eq!(minutes(&kpi, LossClass::Setup), 10);
}

#[test]
fn a_stated_stop_in_the_future_or_before_the_machine_was_known_is_refused() {
    let mut core = standing(plant(false));
    for (from, to) in [(140, 160), (-5, 10), (20, 20), (30, 20)] {
        let remark = RemarkCommand::StateStop { window: window(from, to), reason: reason("jam") };
        assert_eq!(say(&mut core, 150, remark), Err("mes.stop.impossible_window"), "{from} {to}");
    }
    let unknown = RemarkCommand::StateStop { window: window(10, 20), reason: reason("gremlins") };
    assert_eq!(say(&mut core, 150, unknown), Err("mes.reason.unknown"));
}

#[test]
fn a_stated_stop_is_taken_back() {
    let mut core = standing(plant(false));
    let stated = RemarkCommand::StateStop { window: window(10, 40), reason: reason("jam") };
    say(&mut core, 150, stated).unwrap();
    let withdraw = |minute: i64| RemarkCommand::WithdrawStop { start: at(minute * MINUTE) };
    assert_eq!(say(&mut core, 151, withdraw(11)), Err("mes.stop.not_stated"));
    say(&mut core, 152, withdraw(10)).unwrap();
    assert_eq!(minutes(&kpi(&core, 0, 60), LossClass::Run), 60);
    assert_eq!(say(&mut core, 153, withdraw(10)), Err("mes.stop.not_stated"));
}

#[test]
fn a_reason_that_lasts_too_long_becomes_the_one_that_follows_it() {
    let maximum = MaximumDuration { span: Span::from_ticks(10 * MINUTE), then: reason("jam") };
    let mut core = standing(with_reason(|reason| reason.maximum = Some(maximum), "cleaning"));
    say(&mut core, 110, classify(60, "cleaning")).unwrap();
    let kpi = kpi(&core, 0, 90);
    assert_eq!(minutes(&kpi, LossClass::PlannedDown), 10);
    assert_eq!(minutes(&kpi, LossClass::UnplannedDown), 20);
}

#[test]
fn reasons_that_follow_each_other_in_a_circle_end_after_some_turns() {
    let follows = |of: &str, next: &str, changed: &mut Plant| {
        let maximum = MaximumDuration { span: Span::from_ticks(MINUTE), then: reason(next) };
        changed.reasons.get_mut(&reason(of)).unwrap().maximum = Some(maximum);
    };
    let mut changed = Plant::clone(&plant(false));
    follows("jam", "cleaning", &mut changed);
    follows("cleaning", "jam", &mut changed);
    let mut core = standing(Arc::new(changed));
    say(&mut core, 110, classify(60, "jam")).unwrap();
    let stop = &stops(&core)[0];
    let escalations = stop.escalations(core.plant());
    let steps: Vec<i64> = escalations.iter().map(|(at, _)| at.ticks() / MINUTE).collect();
    assert_eq!(steps, [61, 62, 63, 64, 65, 66, 67, 68]);
    assert_eq!(escalations[7].1, reason("jam"));
    // One that ends with the stop follows no more.
    let last = &stops(&core)[1];
    assert_eq!(last.escalations(core.plant()), []);
    say(&mut core, 111, classify(92, "jam")).unwrap();
    let steps = stops(&core)[1].escalations(core.plant()).len();
    assert_eq!(steps, 7, "eight minutes have seven changes inside");
}

#[test]
fn a_stop_is_as_long_as_it_is_known_to_be_and_a_short_one_explains_itself() {
    let asks = |reason: &mut Reason| reason.comment_from = Some(Span::ZERO);
    let mut core = standing(with_reason(asks, "jam"));
    feed(&mut core, &state(210 * MINUTE, DOWN));
    let of = |core: &Core, now: i64| {
        core.facts_at(at(now * MINUTE)).stops(&machine(), window(0, 220)).pop().unwrap()
    };
    let open = of(&core, 215);
    assert_eq!(open.length(), None);
    assert_eq!(open.length_at(at(215 * MINUTE)), Span::from_ticks(5 * MINUTE));
    assert_eq!(open.length_at(at(0)), Span::ZERO, "it has not begun");
    feed(&mut core, &state(211 * MINUTE, RUN));
    let micro = of(&core, 220);
    assert_eq!(micro.length_at(at(220 * MINUTE)), Span::from_ticks(MINUTE));
    say(&mut core, 221, classify(210, "jam")).unwrap();
    let micro = of(&core, 220);
    let m1 = &core.plant().machines[&machine()];
    assert!(micro.cause.is_some());
    assert!(!micro.needs_explanation(core.plant(), m1, at(220 * MINUTE)), "not even a comment");
}

#[test]
fn a_reason_out_of_use_is_refused_and_one_that_wants_a_comment_waits_for_it() {
    let mut core = standing(with_reason(|reason| reason.valid.to = at(60 * MINUTE), "jam"));
    assert_eq!(say(&mut core, 110, classify(60, "jam")), Err("mes.reason.not_in_use"));
    let asks = |reason: &mut Reason| reason.comment_from = Some(Span::from_ticks(20 * MINUTE));
    let mut core = standing(with_reason(asks, "jam"));
    say(&mut core, 110, classify(60, "jam")).unwrap();
    say(&mut core, 111, classify(95, "jam")).unwrap();
    assert_eq!(kpi(&core, 0, 200).stops.unexplained, 1, "the long one needs a comment");
    let with_comment = Command::Remark {
        machine: machine(),
        remark: classify(60, "jam"),
        comment: "bearing".into(),
    };
    feed(&mut core, &command(120 * MINUTE, with_comment));
    assert_eq!(kpi(&core, 0, 200).stops.unexplained, 0);
}

#[test]
fn a_reason_given_again_a_week_later_holds_and_the_earlier_one_stays_readable() {
    let mut core = standing(plant(false));
    say(&mut core, 110, classify(60, "jam")).unwrap();
    say(&mut core, 110 + 7 * 24 * 60, classify(60, "cleaning")).unwrap();
    assert_eq!(stops(&core)[0].cause.as_ref().unwrap().reason, reason("cleaning"));
    let evidence = core.evidence(&machine()).unwrap();
    let said: Vec<_> = evidence.remarks.classifications().map(|c| c.reason.clone()).collect();
    assert_eq!(said.len(), 2);
    assert!(said.contains(&reason("jam")));
}

#[test]
fn an_unexplained_stop_is_listed_until_it_has_a_reason() {
    let mut core = standing(plant(false));
    assert_eq!(kpi(&core, 0, 200).stops.unexplained, 2);
    say(&mut core, 110, classify(60, "jam")).unwrap();
    let left = kpi(&core, 0, 200);
    assert_eq!(left.stops.unexplained, 1);
    assert_eq!(left.stops.by_reason[&None].stops, 1);
    assert_eq!(left.stops.by_reason[&Some(reason("jam"))].time, Span::from_ticks(30 * MINUTE));
}

#[test]
fn a_stop_that_lies_in_a_break_as_a_whole_costs_nothing_and_asks_for_nothing() {
    let mut core = Core::new(plant(true), None);
    let nine = 9 * 60;
    for input in [
        link(0, true),
        state(6 * 60 * MINUTE, RUN),
        state((nine + 1) * MINUTE, DOWN),
        state((nine + 14) * MINUTE, RUN),
        state((nine + 60) * MINUTE, DOWN),
        state((nine + 70) * MINUTE, RUN),
    ] {
        feed(&mut core, &input);
    }
    let facts = core.facts_at(at(20 * 60 * MINUTE));
    let kpi = facts.kpi(&Equipment::Machine(machine()), window(6 * 60, 20 * 60)).unwrap();
    assert_eq!((kpi.stops.stops, kpi.stops.unexplained), (1, 1));
    assert_eq!(facts.stops(&machine(), window(6 * 60, 20 * 60)).len(), 2, "it stays visible");
}

#[test]
fn a_stop_from_the_break_into_the_shift_counts_where_it_begins_to_cost() {
    let mut core = Core::new(plant(true), None);
    let nine = 9 * 60;
    for input in [
        link(0, true),
        state(6 * 60 * MINUTE, RUN),
        state((nine + 1) * MINUTE, DOWN),
        state((nine + 40) * MINUTE, RUN),
    ] {
        feed(&mut core, &input);
    }
    let facts = core.facts_at(at(20 * 60 * MINUTE));
    let of = |from, to| facts.kpi(&Equipment::Machine(machine()), window(from, to)).unwrap();
    assert_eq!(of(nine, nine + 15).stops.stops, 0);
    assert_eq!(of(nine + 15, nine + 30).stops.stops, 1);
    assert_eq!(of(nine + 30, nine + 60).stops.stops, 0, "counted once");
}

#[test]
fn what_happened_in_a_gap_is_known_when_somebody_says_so_and_its_parts_count_then() {
    let mut core = Core::new(plant(false), None);
    for input in [
        link(0, true),
        state(0, RUN),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
        count(SignalRole::Good, 0, 0),
        count(SignalRole::Good, 20 * MINUTE, 40),
        link(30 * MINUTE, false),
        link(50 * MINUTE, true),
        state(50 * MINUTE, RUN),
        count(SignalRole::Good, 50 * MINUTE, 90),
    ] {
        feed(&mut core, &input);
    }
    let before = kpi(&core, 0, 60);
    assert_eq!((before.production.parts.good, before.production.unattributed.good), (40, 50));
    let resolve = |from, to| RemarkCommand::ResolveGap {
        window: window(from, to),
        state: MachineState::Running,
    };
    assert_eq!(say(&mut core, 70, resolve(5, 10)), Err("mes.gap.unknown"));
    say(&mut core, 70, resolve(30, 40)).unwrap();
    let half = kpi(&core, 0, 60);
    assert_eq!(minutes(&half, LossClass::NoData), 10);
    assert_eq!(half.production.unattributed.good, 50, "part of the way is still unknown");
    say(&mut core, 71, resolve(30, 50)).unwrap();
    let known = kpi(&core, 0, 60);
    assert_eq!(minutes(&known, LossClass::NoData), 0);
    assert_eq!(minutes(&known, LossClass::Run), 60);
    assert_eq!((known.production.parts.good, known.production.unattributed.good), (90, 0));
}

/// The plant with another signal on its machine.
fn with_signal(signal: Signal, change: impl FnOnce(&mut Plant)) -> Arc<Plant> {
    let mut changed = Plant::clone(&plant(false));
    changed.machines.get_mut(&machine()).unwrap().signals.push(signal);
    change(&mut changed);
    Arc::new(changed)
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

#[test]
fn the_machines_own_reason_holds_until_a_person_gives_another() {
    let signal = Signal { role: SignalRole::Reason, rule: SignalRule::Reason([].into()) };
    let priority = |plant: &mut Plant| {
        plant.reasons.get_mut(&reason("changeover")).unwrap().priority = 3;
    };
    let mut core = standing(with_signal(signal, priority));
    feed(&mut core, &told(SignalRole::Reason, 61, Reading::Reason(Some(reason("jam")))));
    feed(&mut core, &told(SignalRole::Reason, 65, Reading::Reason(Some(reason("changeover")))));
    feed(&mut core, &told(SignalRole::Reason, 91, Reading::Reason(None)));
    let first = &stops(&core)[0];
    assert_eq!(first.cause.as_ref().unwrap().reason, reason("changeover"), "highest priority");
    assert_eq!(first.cause.as_ref().unwrap().said, None);
    assert_eq!(minutes(&kpi(&core, 0, 90), LossClass::Setup), 30);
    say(&mut core, 110, classify(60, "cleaning")).unwrap();
    assert_eq!(stops(&core)[0].cause.as_ref().unwrap().reason, reason("cleaning"));
}

#[test]
fn the_mode_decides_and_the_last_one_told_holds_while_it_cannot_be_read() {
    let signal = Signal {
        role: SignalRole::Mode,
        rule: SignalRule::Mode(linewright::domain::signal::ModeMap::Machinery),
    };
    let mut core = standing(with_signal(signal, |_| {}));
    feed(&mut core, &told(SignalRole::Mode, 65, Reading::Mode(OperationMode::Setup)));
    let unreadable = Reading::Unusable(linewright::domain::signal::Unusable::BadStatus);
    feed(&mut core, &told(SignalRole::Mode, 70, unreadable));
    feed(&mut core, &told(SignalRole::Mode, 80, Reading::Mode(OperationMode::Processing)));
    let kpi = kpi(&core, 60, 90);
    assert_eq!(minutes(&kpi, LossClass::Setup), 15);
    assert_eq!(minutes(&kpi, LossClass::UnplannedDown), 15);
}

#[test]
fn a_machine_that_runs_and_counts_nothing_has_stopped_until_signals_resume() {
    let mut silent = Plant::clone(&plant(false));
    let limit = Some(Span::from_ticks(5 * MINUTE));
    silent.machines.get_mut(&machine()).unwrap().silence_after = limit;
    let mut core = Core::new(Arc::new(silent), None);
    let good = |minute: i64, value| count(SignalRole::Good, minute * MINUTE, value);
    for input in [
        link(0, true),
        state(0, RUN),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
        good(0, 0),
        good(4, 1),
        good(8, 2),
        good(9, 2),
        good(20, 3),
        good(24, 4),
    ] {
        feed(&mut core, &input);
    }
    let of = |now: i64, from, to| {
        let facts = core.facts_at(at(now * MINUTE));
        facts.kpi(&Equipment::Machine(machine()), window(from, to)).unwrap()
    };
    assert_eq!(minutes(&of(25, 0, 25), LossClass::UnplannedDown), 12, "from 8 to 20");
    assert_eq!(minutes(&of(28, 0, 28), LossClass::UnplannedDown), 12, "4 minutes are no silence");
    assert_eq!(minutes(&of(29, 0, 29), LossClass::UnplannedDown), 17);
    let alone: i64 = (0..29).map(|m| minutes(&of(29, m, m + 1), LossClass::UnplannedDown)).sum();
    assert_eq!(alone, 17, "the same from every window");
    let stops = core.facts_at(at(29 * MINUTE)).stops(&machine(), window(0, 29));
    assert_eq!(stops.len(), 2);
    assert_eq!(stops[0].origin.as_str(), "silence");
    assert_eq!(stops[1].end, None);
}

#[test]
fn the_pace_of_cycles_tells_running_slow_and_stopped() {
    use linewright::domain::signal::CycleRule;
    use linewright::domain::signal::counter::CounterRule;
    let pace = CycleRule { cycle: Some(Span::from_ticks(MINUTE)), slow_from: 150, stop_from: 300 };
    let mut paced = Plant::clone(&plant(false));
    paced.machines.get_mut(&machine()).unwrap().signals = vec![Signal {
        role: SignalRole::Cycle,
        rule: SignalRule::Cycle(CounterRule::default(), pace),
    }];
    // No order runs, so that the configured cycle holds.
    paced.lines.get_mut(&line()).unwrap().no_order = linewright::domain::plant::NoOrderPolicy::Loss;
    let mut core = Core::new(Arc::new(paced), None);
    for (minute, cycles) in [(0, 0), (1, 1), (2, 2), (4, 3), (10, 4), (11, 5)] {
        feed(&mut core, &count(SignalRole::Cycle, minute * MINUTE, cycles));
    }
    let of = |now: i64| {
        let facts = core.facts_at(at(now * MINUTE));
        facts.kpi(&Equipment::Machine(machine()), window(1, now)).unwrap()
    };
    let kpi = of(12);
    assert_eq!(minutes(&kpi, LossClass::NoOrder), 5, "from 4 to 9, when the next cycle began");
    assert_eq!(minutes(&kpi, LossClass::Run), 6);
    assert_eq!(kpi.production.slow_cycles, 1, "the one of two minutes");
    assert_eq!(minutes(&of(13), LossClass::NoOrder), 5);
    assert_eq!(minutes(&of(14), LossClass::NoOrder), 8, "three cycles without one is a stop");
}

#[test]
fn what_a_person_said_of_a_gap_is_no_silence() {
    let mut silent = Plant::clone(&plant(false));
    let limit = Some(Span::from_ticks(5 * MINUTE));
    silent.machines.get_mut(&machine()).unwrap().silence_after = limit;
    let mut core = Core::new(Arc::new(silent), None);
    for input in [
        link(0, true),
        state(0, RUN),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
        count(SignalRole::Good, 0, 0),
        count(SignalRole::Good, 10 * MINUTE, 1),
        link(11 * MINUTE, false),
        link(31 * MINUTE, true),
        state(31 * MINUTE, RUN),
        count(SignalRole::Good, 32 * MINUTE, 30),
    ] {
        feed(&mut core, &input);
    }
    let ran = RemarkCommand::ResolveGap { window: window(11, 31), state: MachineState::Running };
    say(&mut core, 40, ran).unwrap();
    let facts = core.facts_at(at(33 * MINUTE));
    let kpi = facts.kpi(&Equipment::Machine(machine()), window(10, 33)).unwrap();
    assert_eq!(minutes(&kpi, LossClass::Run), 23);
}

proptest! {
    #[test]
    fn splitting_and_merging_never_change_the_time_that_a_machine_stood(
        cuts in prop::collection::vec((61..90_i64, any::<bool>()), 0..8),
    ) {
        let mut core = standing(plant(false));
        let before = kpi(&core, 0, 200);
        for (number, (minute, merge)) in cuts.into_iter().enumerate() {
            let remark = if merge {
                RemarkCommand::Merge { first: at(60 * MINUTE), last: at(minute * MINUTE) }
            } else {
                RemarkCommand::Split { stop: at(minute * MINUTE - 1), at: at(minute * MINUTE) }
            };
            // What makes no sense is refused; it must not change anything either.
            let _ = say(&mut core, 110 + i64::try_from(number).unwrap(), remark);
            let parts: i64 =
                stops(&core).iter().map(|stop| stop.length().unwrap().ticks()).sum();
            prop_assert_eq!(parts, 38 * MINUTE);
        }
        prop_assert_eq!(kpi(&core, 0, 200).time, before.time);
    }
}

#[test]
fn failures_are_stops_whose_reason_says_so() {
    let mut core = standing(with_reason(|reason| reason.failure = false, "jam"));
    say(&mut core, 110, classify(60, "jam")).unwrap();
    assert_eq!(kpi(&core, 0, 200).mtbf(), None, "no failure, no time between failures");
    assert_eq!(ReasonClass::parse("down"), Some(ReasonClass::Down));
}
