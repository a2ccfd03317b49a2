//! Equipment of every level: what belongs to it, whose time and parts it has, and what is said of a
//! machine over a change of the plant.

use std::sync::Arc;

use linewright::domain::command::{Command, Input, Report};
use linewright::domain::core::Core;
use linewright::domain::id::{AreaId, LineId};
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::{Flag, Kpi, Profile};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::plant::{Area, Machine, Plant, RootCause, Station};
use linewright::domain::quantity::Ratio;
use linewright::domain::signal::counter::CounterRule;
use linewright::domain::signal::{MachineState, Signal, SignalRole, SignalRule};
use linewright::domain::time::{Span, Window};

use super::lines::{MINUTE, counted, id, three, told};
use super::plant::*;

fn window(from: i64, to: i64) -> Window {
    Window { from: at(from * MINUTE), to: at(to * MINUTE) }
}

/// The line of A, B and C in area A1, and one of the machine D alone in area A2.
fn two_lines() -> Core {
    let mut core = three(|plant| {
        let second = LineId::parse("L2").unwrap();
        let model = plant.machines[&id("C")].clone();
        let d = Machine { id: id("D"), line: second.clone(), ..model };
        plant.machines.insert(id("D"), d);
        let mut other = plant.lines[&line()].clone();
        other.id = second.clone();
        other.area = AreaId::parse("A2").unwrap();
        other.machines = vec![id("D")];
        (other.bottleneck, other.outfeed) = (id("D"), id("D"));
        other.default_product = Some(product(1));
        plant.lines.insert(second, other);
        plant.areas.push(Area { id: AreaId::parse("A2").unwrap(), name: "Other area".into() });
    });
    let up =
        linewright::domain::evidence::LinkChange { machine: id("D"), at: at(0), seq: 0, up: true };
    feed(&mut core, &Input::Linked(up));
    told(&mut core, "D", 0, MachineState::Running);
    for (key, parts) in [("B", 60), ("C", 54), ("D", 30)] {
        counted(&mut core, key, SignalRole::Good, 0, 0);
        counted(&mut core, key, SignalRole::Good, 50, parts);
    }
    told(&mut core, "B", 50, MachineState::Down);
    told(&mut core, "B", 56, MachineState::Running);
    core
}

fn kpi(core: &Core, key: &str) -> Kpi {
    let equipment = Equipment::find(core.plant(), key).unwrap();
    core.facts_at(at(60 * MINUTE)).kpi(&equipment, window(0, 60)).unwrap()
}

#[test]
fn equipment_is_found_by_its_key_and_has_its_lines_and_machines() {
    let core = two_lines();
    let plant = core.plant();
    let known = |key: &str| {
        let found = Equipment::find(plant, key).unwrap();
        assert_eq!(found.key(plant), key);
        let lines: Vec<_> = found.lines(plant).map(|line| line.id.to_string()).collect();
        let machines: Vec<_> = found.machines(plant).iter().map(ToString::to_string).collect();
        (lines.join(" "), machines.join(" "))
    };
    let pair = |lines: &str, machines: &str| (lines.to_owned(), machines.to_owned());
    assert_eq!(known("S"), pair("L1 L2", "A B C D"));
    assert_eq!(known("A1"), pair("L1", "A B C"));
    assert_eq!(known("A2"), pair("L2", "D"));
    assert_eq!(known("L1"), pair("L1", "A B C"));
    assert_eq!(known("B"), pair("L1", "B"));
    assert_eq!(Equipment::find(plant, "X"), None);
}

#[test]
fn an_area_and_the_site_add_up_time_and_parts_of_their_lines_and_never_average() {
    let core = two_lines();
    let (first, second, site) = (kpi(&core, "L1"), kpi(&core, "L2"), kpi(&core, "S"));
    assert_eq!(kpi(&core, "A1").time, first.time);
    assert_eq!(kpi(&core, "A2").production, second.production);
    assert_eq!(site.time.calendar(), Span::from_ticks(120 * MINUTE));
    assert_eq!(site.production.parts.good, 54 + 30);
    // 54 and 30 parts of 30 s in an hour each.
    assert_eq!(first.oee(), Ratio::new(54 * 30, 3600));
    assert_eq!(second.oee(), Ratio::new(30 * 30, 3600));
    assert_eq!(site.oee(), Ratio::new(84 * 30, 7200));
    assert_eq!(site.availability(Profile::Tpm), Ratio::new(114, 120));
    assert!(site.counted);
}

#[test]
fn figures_of_several_windows_are_those_of_their_sum() {
    let core = two_lines();
    let facts = core.facts_at(at(60 * MINUTE));
    let line = Equipment::Line(line());
    let parts = [window(0, 20), window(40, 60)];
    let sum = facts.kpi_of_all(&line, &parts).unwrap();
    assert_eq!(sum.time.calendar(), Span::from_ticks(40 * MINUTE));
    assert_eq!(sum.production.parts.good, 54);
    assert!(!sum.flags.contains(&Flag::IdealCycleTooSlow), "30 minutes of parts in 34");
    assert_eq!(facts.kpi_of_all(&line, &[]), None);
    let nowhere = Equipment::Machine(id("X"));
    assert_eq!(facts.kpi_of_all(&nowhere, &parts), None);
}

/// Counters of everything on A and C, and a total on B.
fn fully_counted() -> Core {
    three(|plant| {
        let rule = CounterRule { max_step: Some(1000), ..CounterRule::default() };
        let counter = |role| Signal { role, rule: SignalRule::Count(rule) };
        for key in ["A", "B", "C"] {
            let machine = plant.machines.get_mut(&id(key)).unwrap();
            machine.signals.retain(|signal| signal.role == SignalRole::State);
            let roles = [SignalRole::Good, SignalRole::Reject, SignalRole::StartupReject];
            let others = [SignalRole::Rework, SignalRole::Infeed];
            machine.signals.extend(roles.into_iter().chain(others).map(counter));
        }
    })
}

#[test]
fn a_line_takes_each_number_from_the_machines_that_it_belongs_to() {
    use SignalRole::{Good, Infeed, Reject, Rework, StartupReject};
    let mut core = fully_counted();
    let table =
        [("A", [100, 1, 2, 4, 110]), ("B", [200, 8, 16, 32, 220]), ("C", [300, 64, 128, 256, 330])];
    for (key, values) in table {
        for (role, value) in [Good, Reject, StartupReject, Rework, Infeed].into_iter().zip(values) {
            counted(&mut core, key, role, 0, 0);
            counted(&mut core, key, role, 10, value);
        }
        counted(&mut core, key, Good, 20, 99_999);
        counted(&mut core, key, Good, 30, 99_999);
    }
    let report = Report {
        order: order(1),
        good: 0,
        scrap: 0,
        rework: 0,
        rework_good: 3,
        lot: None,
        reason: None,
    };
    feed(&mut core, &command(12 * MINUTE, Command::Report(report)));
    let made = kpi(&core, "L1").production;
    let parts = made.parts;
    assert_eq!((parts.reject, parts.startup_reject, parts.rework), (73, 146, 292), "of all");
    assert_eq!(parts.good, 300, "of the outfeed");
    assert_eq!(parts.total, 200 + 8 + 16 + 32, "of the bottleneck");
    assert_eq!(parts.infeed, 110, "of the first machine");
    assert_eq!(parts.rework_good, 3);
    assert_eq!(made.doubtful_steps, 3, "a step beyond belief on each");
}

#[test]
fn a_line_counts_its_output_where_its_bottleneck_and_its_outfeed_are_counted() {
    let without = |key: &'static str| {
        three(move |plant| {
            let machine = plant.machines.get_mut(&id(key)).unwrap();
            machine.signals.retain(|signal| signal.role == SignalRole::State);
        })
    };
    let flags = |core: &Core| kpi(core, "L1").flags.contains(&Flag::GoodNotCounted);
    assert!(!flags(&without("A")), "nobody asks how many the first machine made");
    assert!(flags(&without("B")));
    assert!(flags(&without("C")));
    let rejects = |core: &Core, key: &str| kpi(core, key).flags.contains(&Flag::RejectNotCounted);
    assert!(!rejects(&without("A"), "L1"), "others count rejects");
    assert!(rejects(&without("A"), "A") && !rejects(&without("A"), "B"));
    let none = three(|plant| {
        for machine in plant.machines.values_mut() {
            machine.signals.retain(|signal| signal.role == SignalRole::State);
        }
    });
    assert!(rejects(&none, "L1"));
}

#[test]
fn reported_parts_are_parts_of_all_that_were_made() {
    let mut core = fully_counted();
    let report = Report {
        order: order(1),
        good: 0,
        scrap: 5,
        rework: 7,
        rework_good: 2,
        lot: None,
        reason: None,
    };
    for role in [SignalRole::Good, SignalRole::Reject] {
        counted(&mut core, "C", role, 0, 0);
    }
    counted(&mut core, "C", SignalRole::Good, 5, 100);
    feed(&mut core, &command(12 * MINUTE, Command::Report(report)));
    let parts = kpi(&core, "C").production.parts;
    assert_eq!(
        (parts.good, parts.reject, parts.rework),
        (88, 5, 7),
        "counted good, said otherwise"
    );
    assert_eq!((parts.total, parts.rework_good), (100, 2));
}

#[test]
fn what_is_reported_where_nothing_is_counted_is_all_that_was_made() {
    let mut core = three(|plant| {
        for machine in plant.machines.values_mut() {
            machine.signals.retain(|signal| signal.role == SignalRole::State);
        }
    });
    let report = Report {
        order: order(1),
        good: 10,
        scrap: 2,
        rework: 1,
        rework_good: 0,
        lot: None,
        reason: None,
    };
    feed(&mut core, &command(12 * MINUTE, Command::Report(report)));
    let made = kpi(&core, "C");
    let parts = made.production.parts;
    assert_eq!((parts.good, parts.reject, parts.rework, parts.total), (10, 2, 1, 13));
    assert!(made.counted, "somebody has said how many");
}

#[test]
fn a_station_of_parallel_machines_has_its_own_time_only_in_its_mode() {
    let down = |mode| {
        let mut core = three(|plant| {
            let line = plant.lines.get_mut(&line()).unwrap();
            line.root_cause = mode;
            line.stations = vec![Station { machines: vec![id("A"), id("B")], min_running: 1 }];
        });
        told(&mut core, "B", 20, MachineState::Down);
        told(&mut core, "B", 30, MachineState::Running);
        kpi(&core, "L1").time.of(LossClass::UnplannedDown)
    };
    assert_eq!(down(RootCause::Parallel), Span::ZERO, "A runs");
    assert_eq!(down(RootCause::First), Span::from_ticks(10 * MINUTE), "the bottleneck's");
}

#[test]
fn the_state_of_an_instant_is_the_one_that_holds_with_its_beginning() {
    let core = two_lines();
    let facts = core.facts_at(at(60 * MINUTE));
    let state = |minute: i64, ticks: i64| {
        facts.state_at(&id("B"), at(minute * MINUTE + ticks)).map(|p| (p.state, p.at))
    };
    let (run, down) = (Some(MachineState::Running), Some(MachineState::Down));
    assert_eq!(state(50, -1), Some((run, at(0))));
    assert_eq!(state(50, 0), Some((down, at(50 * MINUTE))));
    assert_eq!(state(56, 0), Some((run, at(56 * MINUTE))));
    assert_eq!(state(59, 0), Some((run, at(56 * MINUTE))));
    assert_eq!(facts.state_at(&id("X"), at(0)), None);
}

#[test]
fn a_stop_over_a_change_of_the_plant_is_one_stop_and_the_time_has_no_hole() {
    let mut core = two_lines();
    let mut other = Plant::clone(core.plant());
    other.machines.get_mut(&id("B")).unwrap().explain_from = Span::from_ticks(MINUTE);
    feed(&mut core, &Input::Defined { from: at(53 * MINUTE), plant: Arc::new(other) });
    let facts = core.facts_at(at(60 * MINUTE));
    let timeline = facts.timeline(&id("B"), window(40, 60)).unwrap();
    assert_eq!(timeline.stops.len(), 1);
    assert!(!timeline.provisional);
    let mut end = at(40 * MINUTE);
    for interval in &timeline.intervals {
        assert_eq!(interval.window.from, end);
        end = interval.window.to;
    }
    assert_eq!(end, at(60 * MINUTE));
    assert_eq!(facts.stops(&id("B"), window(40, 60)).len(), 1);
    assert_eq!(facts.timeline(&id("X"), window(40, 60)), None);
    let empty = facts.timeline(&id("B"), window(40, 40)).unwrap();
    assert_eq!(empty.intervals, []);
    // A stop that goes on is provisional on whichever side of the change it is looked at.
    told(&mut core, "B", 70, MachineState::Down);
    let facts = core.facts_at(at(71 * MINUTE));
    assert!(facts.timeline(&id("B"), window(40, 71)).unwrap().provisional);
}
