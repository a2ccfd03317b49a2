//! What counters say beyond good and reject, and what is flagged about them.

use std::sync::Arc;

use linewright::domain::command::{Command, Input, Report};
use linewright::domain::core::Core;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::{Flag, Kpi};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::order::JobCommand;
use linewright::domain::plant::Plant;
use linewright::domain::signal::counter::{CounterKind, CounterRule};
use linewright::domain::signal::{MachineState, Signal, SignalRole, SignalRule};
use linewright::domain::time::{Span, Window};

use super::plant::*;

const MINUTE: i64 = 60 * SECOND;

fn counter(role: SignalRole, kind: CounterKind) -> Signal {
    let rule = CounterRule { kind, max_step: Some(500), ..CounterRule::default() };
    Signal { role, rule: SignalRule::Count(rule) }
}

/// A machine with these counters that makes product 1 (30 s a part) from 0 on.
fn counting(signals: Vec<Signal>, inputs: &[Input]) -> Core {
    let mut plant = Plant::clone(&plant(false));
    let machine = plant.machines.get_mut(&machine()).unwrap();
    machine.signals.truncate(1);
    machine.signals.extend(signals);
    machine.stuck_after = Some(Span::from_ticks(20 * MINUTE));
    let mut core = Core::new(Arc::new(plant), None);
    for input in [
        link(0, true),
        state(0, Some(MachineState::Running)),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
    ] {
        feed(&mut core, &input);
    }
    inputs.iter().for_each(|input| feed(&mut core, input));
    core
}

fn kpi(core: &Core, minutes: i64) -> Kpi {
    let window = Window { from: at(0), to: at(minutes * MINUTE) };
    core.facts_at(window.to).kpi(&Equipment::Machine(machine()), window).unwrap()
}

fn at_minute(role: SignalRole, minute: i64, value: u64) -> Input {
    count(role, minute * MINUTE, value)
}

#[test]
fn startup_rejects_and_rework_are_no_good_parts_and_losses_of_their_own() {
    use SignalRole::{Good, Infeed, Reject, Rework, StartupReject};
    let rising = |role| counter(role, CounterKind::Rising);
    let mut inputs: Vec<Input> =
        [Good, Infeed, Reject, Rework, StartupReject].map(|role| at_minute(role, 0, 7)).into();
    for (role, value) in [(Infeed, 107), (Good, 87), (Reject, 10), (Rework, 12), (StartupReject, 9)]
    {
        inputs.push(at_minute(role, 50, value));
    }
    let signals = [Good, Infeed, Reject, Rework, StartupReject].map(rising).into();
    let kpi = kpi(&counting(signals, &inputs), 60);
    let parts = kpi.production.parts;
    assert_eq!((parts.good, parts.reject, parts.rework, parts.startup_reject), (80, 3, 5, 2));
    assert_eq!((parts.total, parts.infeed, parts.scrap()), (90, 100, 5));
    assert_eq!(kpi.quality().unwrap().to_f64(), 80.0 / 90.0);
    let losses = kpi.six_big_losses().unwrap();
    let seconds = |time: linewright::domain::oee::kpi::ExactTime| {
        time.numerator / time.denominator / i128::from(SECOND)
    };
    assert_eq!(seconds(losses.startup_rejects), 2 * 30);
    assert_eq!(seconds(losses.production_rejects), 8 * 30);
    assert_eq!(seconds(losses.reduced_speed), 3600 - 90 * 30);
}

#[test]
fn a_reworked_part_that_is_good_now_does_not_raise_first_pass_quality() {
    let signals = vec![counter(SignalRole::Good, CounterKind::Rising)];
    let inputs = [at_minute(SignalRole::Good, 0, 0), at_minute(SignalRole::Good, 50, 100)];
    let mut core = counting(signals, &inputs);
    let report = |rework, rework_good| {
        Command::Report(Report {
            order: order(1),
            good: 0,
            scrap: 0,
            rework,
            rework_good,
            lot: None,
            reason: None,
        })
    };
    feed(&mut core, &command(52 * MINUTE, report(10, 0)));
    let sent = kpi(&core, 60);
    assert_eq!(sent.quality().unwrap().to_f64(), 0.9);
    feed(&mut core, &command(55 * MINUTE, report(0, 8)));
    let back = kpi(&core, 60);
    assert_eq!(back.quality(), sent.quality());
    assert_eq!(back.production.parts.rework_good, 8);
    let totals = core.totals(core.order(&order(1)).unwrap());
    assert_eq!((totals.good, totals.rework), (90, 2));
}

#[test]
fn the_first_sample_of_a_rising_counter_is_no_production() {
    let signals = vec![counter(SignalRole::Good, CounterKind::Rising)];
    let core = counting(signals, &[at_minute(SignalRole::Good, 1, 65_000)]);
    assert_eq!(kpi(&core, 10).production.parts.good, 0);
}

#[test]
fn pulses_and_batches_count_what_they_say() {
    let pulses: Vec<Input> = [(0, 0), (1, 1), (2, 0), (3, 1), (4, 1), (5, 0)]
        .map(|(m, v)| at_minute(SignalRole::Good, m, v))
        .into();
    let core = counting(vec![counter(SignalRole::Good, CounterKind::Pulse)], &pulses);
    assert_eq!(kpi(&core, 10).production.parts.good, 2);
    let batches: Vec<Input> =
        [(1, 60), (5, 60), (9, 40)].map(|(m, v)| at_minute(SignalRole::Good, m, v)).into();
    let core = counting(vec![counter(SignalRole::Good, CounterKind::Batch)], &batches);
    assert_eq!(kpi(&core, 10).production.parts.good, 160);
    let doubled: Vec<Input> = batches.iter().chain(&batches).cloned().collect();
    let core = counting(vec![counter(SignalRole::Good, CounterKind::Batch)], &doubled);
    assert_eq!(kpi(&core, 10).production.parts.good, 160, "a report that comes twice is one");
}

#[test]
fn a_counter_that_does_not_move_while_the_machine_runs_is_flagged() {
    let signals = || vec![counter(SignalRole::Good, CounterKind::Rising)];
    let moving = [(0, 0), (15, 1), (30, 2)].map(|(m, v)| at_minute(SignalRole::Good, m, v));
    let core = counting(signals(), &moving);
    assert!(!kpi(&core, 49).flags.contains(&Flag::CounterStuck));
    assert!(kpi(&core, 50).flags.contains(&Flag::CounterStuck), "20 minutes since it moved");
    let core = counting(signals(), &[at_minute(SignalRole::Good, 0, 5)]);
    assert!(kpi(&core, 20).flags.contains(&Flag::CounterStuck));
}

#[test]
fn a_step_beyond_belief_and_counters_that_disagree_are_flagged_and_never_capped() {
    let signals = vec![
        counter(SignalRole::Total, CounterKind::Rising),
        counter(SignalRole::Reject, CounterKind::Rising),
    ];
    let inputs = [
        at_minute(SignalRole::Total, 0, 0),
        at_minute(SignalRole::Reject, 0, 0),
        at_minute(SignalRole::Total, 10, 20),
        at_minute(SignalRole::Reject, 10, 30),
        at_minute(SignalRole::Total, 20, 5000),
    ];
    let kpi = kpi(&counting(signals, &inputs), 30);
    assert_eq!(kpi.production.parts.good, -10);
    assert!(kpi.flags.contains(&Flag::CountersDisagree));
    assert!(kpi.flags.contains(&Flag::DoubtfulCounterStep));
    assert_eq!(kpi.production.doubtful_steps, 1);
}

#[test]
fn an_order_brings_its_own_ideal_cycle_which_holds_before_all_others() {
    let mut request = store(2, 1, 1);
    if let Command::StoreOrder(request) = &mut request {
        request.ideal_cycle = Some(Span::from_seconds(60));
    }
    let signals = vec![counter(SignalRole::Good, CounterKind::Rising)];
    let mut core = counting(signals, &[at_minute(SignalRole::Good, 0, 0)]);
    feed(&mut core, &command(10 * MINUTE, moved(1, JobCommand::Complete)));
    feed(&mut core, &command(10 * MINUTE, request.clone()));
    feed(&mut core, &command(10 * MINUTE, moved(2, JobCommand::Start)));
    feed(&mut core, &at_minute(SignalRole::Good, 50, 30));
    let (ideal, divisor) = kpi(&core, 60).production.ideal_good.as_fraction();
    assert_eq!(ideal / divisor, i128::from(30 * 60 * SECOND));
    if let Command::StoreOrder(request) = &mut request {
        request.revision = 2;
        request.ideal_cycle = Some(Span::ZERO);
    }
    let mut events = Vec::new();
    let refused = core.decide(&command(60 * MINUTE, request), &mut events).unwrap_err();
    assert_eq!(refused.code(), "mes.order.ideal_cycle_not_positive");
}

#[test]
fn a_cycle_is_slow_from_its_factor_on_and_a_stop_from_the_next() {
    use linewright::domain::signal::CycleRule;
    let pace = CycleRule { cycle: Some(Span::from_ticks(MINUTE)), slow_from: 150, stop_from: 300 };
    let signal = |rule| Signal { role: SignalRole::Cycle, rule: SignalRule::Cycle(rule, pace) };
    let mut plant = Plant::clone(&plant(false));
    plant.machines.get_mut(&machine()).unwrap().signals = vec![signal(CounterRule::default())];
    let mut core = Core::new(Arc::new(plant), None);
    // In seconds: two in time, one of exactly one and a half cycles, one just below three, one of
    // three, and a value that says nothing new in it.
    let seconds = [(0, 0), (60, 1), (120, 2), (210, 3), (389, 4), (450, 4), (569, 5), (629, 6)];
    for (second, cycles) in seconds {
        feed(&mut core, &count(SignalRole::Cycle, second * SECOND, cycles));
    }
    let slow = |from: i64, to: i64| {
        let window = Window { from: at(from * SECOND), to: at(to * SECOND) };
        let kpi = core.facts_at(at(700 * SECOND)).kpi(&Equipment::Machine(machine()), window);
        kpi.unwrap().production.slow_cycles
    };
    assert_eq!(slow(0, 700), 2);
    assert_eq!((slow(0, 210), slow(0, 211)), (0, 1), "it is slow when it is complete");
    assert_eq!((slow(210, 389), slow(210, 390)), (1, 2), "a window takes those that end in it");
    assert_eq!((slow(211, 569), slow(390, 700)), (1, 0));
    let stood = |from: i64, to: i64| {
        let window = Window { from: at(from * SECOND), to: at(to * SECOND) };
        let kpi = core.facts_at(at(700 * SECOND)).kpi(&Equipment::Machine(machine()), window);
        kpi.unwrap().time.of(LossClass::NoOrder).ticks() / SECOND
    };
    assert_eq!(stood(60, 700), 120, "until it began the cycle that was complete at 569");
    let parts: i64 = (60..700).map(|second| stood(second, second + 1)).sum();
    assert_eq!(parts, 120, "from every window");
}

#[test]
fn the_pace_is_that_of_the_product_whose_order_runs() {
    use linewright::domain::signal::CycleRule;
    let pace = CycleRule { cycle: Some(Span::from_ticks(MINUTE)), slow_from: 150, stop_from: 300 };
    let rule = SignalRule::Cycle(CounterRule::default(), pace);
    let mut plant = Plant::clone(&plant(false));
    plant.machines.get_mut(&machine()).unwrap().signals =
        vec![Signal { role: SignalRole::Cycle, rule }];
    let mut core = Core::new(Arc::new(plant), None);
    for (second, cycles) in [(0, 0), (30, 1), (150, 2), (270, 3), (390, 4)] {
        feed(&mut core, &count(SignalRole::Cycle, second * SECOND, cycles));
    }
    // Product 1 takes 30 s; 120 s are four of its cycles, and two of the configured one.
    feed(&mut core, &command(150 * SECOND, store(1, 1, 1)));
    feed(&mut core, &command(150 * SECOND, moved(1, JobCommand::Start)));
    feed(&mut core, &command(270 * SECOND, moved(1, JobCommand::Complete)));
    let window = Window { from: at(30 * SECOND), to: at(390 * SECOND) };
    let facts = core.facts_at(at(400 * SECOND));
    let stops = facts.stops(&machine(), window);
    let spans: Vec<_> =
        stops.iter().map(|s| (s.start.ticks() / SECOND, s.end.unwrap().ticks() / SECOND)).collect();
    assert_eq!(spans, [(150, 210)], "the cycle that ended at 270 took a minute, as configured");
}
