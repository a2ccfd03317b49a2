//! Which machine caused a stop of its line: every mode, with what signals, reasons and buffers say.

use std::collections::BTreeMap;

use linewright::domain::command::{Command, RemarkCommand};
use linewright::domain::core::Core;
use linewright::domain::id::ReasonId;
use linewright::domain::plant::{Buffer, Line, Plant, Reason, ReasonClass, RootCause, Station};
use linewright::domain::signal::{MachineState, Reading, Signal, SignalRole, SignalRule};
use linewright::domain::time::Span;

use super::lines::{MINUTE, id, observe, stops, three, told};
use super::plant::*;

fn on_line(change: impl Fn(&mut Line)) -> Core {
    three(|plant| change(plant.lines.get_mut(&line()).unwrap()))
}

/// Everything runs again at minute 20.
fn all_run(core: &mut Core) {
    for key in ["A", "B", "C"] {
        told(core, key, 20, MachineState::Running);
    }
}

fn say(core: &mut Core, key: &str, minute: i64, reason: &str) {
    let remark = RemarkCommand::Classify {
        stop: at(minute * MINUTE),
        reason: ReasonId::parse(reason).unwrap(),
    };
    let said = Command::Remark { machine: id(key), remark, comment: String::new() };
    feed(core, &command(100 * MINUTE, said));
}

fn add_reason(plant: &mut Plant, key: &str, change: impl FnOnce(&mut Reason)) {
    let id = ReasonId::parse(key).unwrap();
    let mut reason = plant.reasons[&ReasonId::parse("jam").unwrap()].clone();
    reason.id = id.clone();
    change(&mut reason);
    plant.reasons.insert(id, reason);
}

#[test]
fn the_way_back_from_a_starved_bottleneck_ends_at_the_first_machine_that_stands_by_itself() {
    let bottleneck_last = |line: &mut Line| line.bottleneck = id("C");
    let mut core = on_line(bottleneck_last);
    told(&mut core, "A", 10, MachineState::Down);
    told(&mut core, "B", 11, MachineState::Starved);
    told(&mut core, "C", 12, MachineState::Starved);
    all_run(&mut core);
    assert_eq!(stops(&core)[0].machine, id("A"), "B passes on what A began");

    let mut core = on_line(bottleneck_last);
    told(&mut core, "A", 10, MachineState::Down);
    told(&mut core, "B", 11, MachineState::Down);
    told(&mut core, "C", 12, MachineState::Starved);
    all_run(&mut core);
    assert_eq!(stops(&core)[0].machine, id("B"), "it stands by itself, whatever A does");

    let mut core = on_line(bottleneck_last);
    told(&mut core, "A", 10, MachineState::Down);
    told(&mut core, "C", 12, MachineState::Starved);
    all_run(&mut core);
    assert_eq!(stops(&core)[0].machine, id("C"), "B ran, so A starved nobody");
}

#[test]
fn a_blocked_bottleneck_looks_behind_itself_as_far_as_others_are_blocked_too() {
    let mut core = on_line(|line| line.bottleneck = id("A"));
    told(&mut core, "C", 10, MachineState::Down);
    told(&mut core, "B", 11, MachineState::Blocked);
    told(&mut core, "A", 12, MachineState::Blocked);
    all_run(&mut core);
    let found = stops(&core);
    assert_eq!((found.len(), &found[0].machine), (1, &id("C")));
    assert_eq!(found[0].caused_by.as_ref().unwrap().start, at(10 * MINUTE));
}

#[test]
fn a_reason_of_blocked_or_starved_says_what_the_state_does_not() {
    for (class, culprit) in [(ReasonClass::Starved, "A"), (ReasonClass::Blocked, "C")] {
        let mut core = three(|plant| add_reason(plant, "waiting", |r| r.class = class));
        told(&mut core, "A", 10, MachineState::Down);
        told(&mut core, "C", 11, MachineState::Down);
        told(&mut core, "B", 12, MachineState::Idle);
        all_run(&mut core);
        assert_eq!(stops(&core)[0].machine, id("B"), "standing ready alone says nothing");
        say(&mut core, "B", 12, "waiting");
        assert_eq!(stops(&core)[0].machine, id(culprit));
    }
}

#[test]
fn signals_of_blocked_and_starved_explain_a_machine_that_stands_ready() {
    for (role, culprit) in [(SignalRole::Starved, "A"), (SignalRole::Blocked, "C")] {
        let with_signals = |plant: &mut Plant| {
            let machine = plant.machines.get_mut(&id("B")).unwrap();
            for role in [SignalRole::Starved, SignalRole::Blocked] {
                machine.signals.push(Signal { role, rule: SignalRule::Truth });
            }
        };
        let mut core = three(with_signals);
        told(&mut core, "A", 10, MachineState::Down);
        told(&mut core, "C", 11, MachineState::Down);
        observe(&mut core, "B", role, 12, Reading::Truth(true));
        told(&mut core, "B", 12, MachineState::Idle);
        all_run(&mut core);
        assert_eq!(stops(&core)[0].machine, id(culprit));
        observe(&mut core, "B", role, 30, Reading::Truth(false));
        told(&mut core, "A", 40, MachineState::Down);
        told(&mut core, "C", 41, MachineState::Down);
        told(&mut core, "B", 42, MachineState::Idle);
        told(&mut core, "B", 50, MachineState::Running);
        assert_eq!(stops(&core)[1].machine, id("B"), "the signal holds no more");
    }
}

#[test]
fn priority_passes_over_those_that_only_wait_and_looks_at_the_reason_between_equals() {
    let by_priority = |plant: &mut Plant| {
        plant.lines.get_mut(&line()).unwrap().root_cause = RootCause::Priority;
        plant.machines.get_mut(&id("C")).unwrap().priority = 9;
        add_reason(plant, "fire", |reason| reason.priority = 5);
    };
    let mut core = three(by_priority);
    told(&mut core, "A", 10, MachineState::Down);
    told(&mut core, "B", 11, MachineState::Down);
    told(&mut core, "C", 11, MachineState::Starved);
    all_run(&mut core);
    let found = stops(&core);
    assert_eq!(found[0].machine, id("A"), "C has the highest priority and only waits");
    say(&mut core, "B", 11, "fire");
    let found = stops(&core);
    assert_eq!(found[0].machine, id("B"), "its reason weighs more");
    assert_eq!(found[0].caused_by, None, "the line's own stop is told once");
    assert_eq!(found[0].cause().unwrap().reason.as_str(), "fire");
}

#[test]
fn a_reason_that_stops_no_line_makes_its_machine_no_cause() {
    let mut core = three(|plant| {
        plant.lines.get_mut(&line()).unwrap().root_cause = RootCause::First;
        add_reason(plant, "sample", |reason| reason.stops_line = false);
    });
    told(&mut core, "A", 10, MachineState::Down);
    told(&mut core, "B", 12, MachineState::Down);
    all_run(&mut core);
    assert_eq!(stops(&core)[0].machine, id("A"));
    say(&mut core, "A", 10, "sample");
    assert_eq!(stops(&core)[0].machine, id("B"));
}

#[test]
fn a_line_stop_has_the_reason_of_the_machine_that_caused_it_before_its_own() {
    let mut core = three(|_| {});
    told(&mut core, "A", 10, MachineState::Down);
    told(&mut core, "B", 12, MachineState::Starved);
    all_run(&mut core);
    let cause = |core: &Core| stops(core)[0].cause().map(|cause| cause.reason.to_string());
    assert_eq!(cause(&core), None);
    say(&mut core, "A", 10, "changeover");
    assert_eq!(cause(&core).unwrap(), "changeover");
}

#[test]
fn buffers_add_up_between_a_machine_and_the_bottleneck_and_nowhere_else() {
    let cause = |after: &[(&str, i64)]| {
        let mut core = on_line(|line| {
            line.bottleneck = id("C");
            line.root_cause = RootCause::First;
            let buffer = |(key, minutes): &(&str, i64)| Buffer {
                after: id(key),
                time: Span::from_ticks(minutes * MINUTE),
            };
            line.buffers = after.iter().map(buffer).collect();
        });
        told(&mut core, "A", 10, MachineState::Down);
        told(&mut core, "A", 14, MachineState::Running);
        told(&mut core, "C", 18, MachineState::Starved);
        told(&mut core, "C", 20, MachineState::Running);
        stops(&core)[0].machine.clone()
    };
    assert_eq!(cause(&[("A", 2), ("B", 3)]), id("A"), "five minutes lie between them");
    assert_eq!(cause(&[("B", 5)]), id("A"));
    assert_eq!(cause(&[("A", 5)]), id("A"));
    assert_eq!(cause(&[("A", 2), ("B", 1)]), id("C"), "it ran again four minutes before");
    assert_eq!(cause(&[("C", 9)]), id("C"), "what lies behind the bottleneck starves nobody");
}

#[test]
fn a_station_stands_as_a_whole_only_in_the_mode_for_parallel_machines() {
    let found = |mode| {
        let mut core = on_line(|line| {
            line.root_cause = mode;
            line.stations = vec![Station { machines: vec![id("A"), id("B")], min_running: 1 }];
        });
        told(&mut core, "A", 10, MachineState::Down);
        told(&mut core, "B", 20, MachineState::Down);
        told(&mut core, "A", 30, MachineState::Running);
        told(&mut core, "B", 50, MachineState::Running);
        let found = stops(&core);
        assert_eq!(found.len(), 1);
        (found[0].stop.start, found[0].stop.end, found[0].machine.clone())
    };
    let minute = |minute: i64| at(minute * MINUTE);
    assert_eq!(found(RootCause::Parallel), (minute(20), Some(minute(30)), id("B")));
    assert_eq!(found(RootCause::Equipment), (minute(20), Some(minute(50)), id("B")));
    let mut modes = BTreeMap::new();
    for mode in RootCause::ALL {
        modes.insert(mode.as_str(), RootCause::parse(mode.as_str()));
    }
    assert!(modes.into_values().all(|mode| mode.is_some()));
}
