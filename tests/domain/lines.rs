//! Lines of several machines: whose time, whose parts, and which machine caused a stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use linewright::domain::command::Input;
use linewright::domain::core::Core;
use linewright::domain::evidence::{LinkChange, Observation};
use linewright::domain::id::MachineId;
use linewright::domain::oee::cause::LineStop;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::Kpi;
use linewright::domain::oee::loss::LossClass;
use linewright::domain::order::JobCommand;
use linewright::domain::plant::{
    Buffer, CycleScope, IdealCycle, Machine, Plant, RootCause, Station,
};
use linewright::domain::signal::{MachineState, RawValue, Reading, SignalRole};
use linewright::domain::time::{Span, Timestamp, Window};

use super::plant::*;

pub const MINUTE: i64 = 60 * SECOND;

pub fn id(key: &str) -> MachineId {
    MachineId::parse(key).unwrap()
}

/// A line of the machines A, B and C, of which B is the bottleneck and C the outfeed.
pub fn three(change: impl FnOnce(&mut Plant)) -> Core {
    let mut plant = Plant::clone(&plant(false));
    let model = plant.machines.remove(&machine()).unwrap();
    let named = |key: &str| (id(key), Machine { id: id(key), name: key.into(), ..model.clone() });
    plant.machines = BTreeMap::from([named("A"), named("B"), named("C")]);
    let line = plant.lines.get_mut(&line()).unwrap();
    line.machines = vec![id("A"), id("B"), id("C")];
    line.bottleneck = id("B");
    line.outfeed = id("C");
    line.root_cause = RootCause::Neighbour;
    change(&mut plant);
    let mut core = Core::new(Arc::new(plant), None);
    for key in ["A", "B", "C"] {
        let change = LinkChange { machine: id(key), at: at(0), seq: 0, up: true };
        feed(&mut core, &Input::Linked(change));
        told(&mut core, key, 0, MachineState::Running);
    }
    feed(&mut core, &command(0, store(1, 1, 1)));
    feed(&mut core, &command(0, moved(1, JobCommand::Start)));
    core
}

pub fn observe(core: &mut Core, key: &str, role: SignalRole, minute: i64, reading: Reading) {
    let at = at(minute * MINUTE);
    let observation = Observation {
        machine: id(key),
        role,
        at,
        received: at,
        seq: 0,
        status: 0,
        raw: RawValue::Integer(0),
        reading,
    };
    feed(core, &Input::Observed(observation));
}

pub fn told(core: &mut Core, key: &str, minute: i64, state: MachineState) {
    observe(core, key, SignalRole::State, minute, Reading::State(state));
}

pub fn counted(core: &mut Core, key: &str, role: SignalRole, minute: i64, count: u64) {
    observe(core, key, role, minute, Reading::Count(count));
}

fn window(to: i64) -> Window {
    Window { from: at(0), to: at(to * MINUTE) }
}

pub fn stops(core: &Core) -> Vec<LineStop> {
    core.facts_at(at(120 * MINUTE)).line_stops(&line(), window(120))
}

fn kpi(core: &Core, to: i64) -> Kpi {
    core.facts_at(at(to * MINUTE)).kpi(&Equipment::Line(line()), window(to)).unwrap()
}

/// The bottleneck is starved from minute 12 to 20 because A went down at 10; C is starved as well.
fn starved(core: &mut Core) {
    told(core, "A", 10, MachineState::Down);
    told(core, "B", 12, MachineState::Starved);
    told(core, "C", 13, MachineState::Starved);
    for key in ["A", "B", "C"] {
        told(core, key, 20, MachineState::Running);
    }
}

#[test]
fn a_starved_bottleneck_names_the_machine_before_it_and_a_blocked_one_the_machine_behind() {
    let mut core = three(|_| {});
    starved(&mut core);
    told(&mut core, "C", 40, MachineState::Down);
    told(&mut core, "B", 41, MachineState::Blocked);
    told(&mut core, "B", 50, MachineState::Running);
    told(&mut core, "C", 50, MachineState::Running);
    told(&mut core, "B", 60, MachineState::Down);
    told(&mut core, "B", 61, MachineState::Running);
    let found = stops(&core);
    let machines: Vec<_> = found.iter().map(|stop| stop.machine.as_str()).collect();
    assert_eq!(machines, ["A", "C", "B"]);
    assert_eq!(found[0].caused_by.as_ref().unwrap().start, at(10 * MINUTE));
    let kpi = kpi(&core, 120);
    assert_eq!(kpi.time.of(LossClass::Starved), Span::from_ticks(8 * MINUTE));
    assert_eq!(kpi.time.of(LossClass::Blocked), Span::from_ticks(9 * MINUTE));
}

#[test]
fn the_equipment_mode_names_the_bottleneck_whatever_its_neighbours_do() {
    let mut core = three(|plant| {
        plant.lines.get_mut(&line()).unwrap().root_cause = RootCause::Equipment;
    });
    starved(&mut core);
    assert_eq!(stops(&core)[0].machine, id("B"));
}

#[test]
fn the_priority_mode_names_the_most_important_of_those_that_stand_by_themselves() {
    let mut core = three(|plant| {
        plant.lines.get_mut(&line()).unwrap().root_cause = RootCause::Priority;
        plant.machines.get_mut(&id("C")).unwrap().priority = 9;
    });
    told(&mut core, "A", 10, MachineState::Down);
    told(&mut core, "C", 11, MachineState::Down);
    told(&mut core, "B", 12, MachineState::Starved);
    for key in ["A", "B", "C"] {
        told(&mut core, key, 20, MachineState::Running);
    }
    assert_eq!(stops(&core)[0].machine, id("C"));
}

#[test]
fn the_first_mode_names_the_machine_that_stopped_first() {
    let mut core = three(|plant| {
        plant.lines.get_mut(&line()).unwrap().root_cause = RootCause::First;
    });
    told(&mut core, "C", 8, MachineState::Down);
    starved(&mut core);
    assert_eq!(stops(&core)[0].machine, id("C"));
}

#[test]
fn a_buffer_hides_the_cause_for_its_time_and_no_longer() {
    let cause = |buffer: i64| {
        let mut core = three(|plant| {
            let buffer = Buffer { after: id("A"), time: Span::from_ticks(buffer * MINUTE) };
            plant.lines.get_mut(&line()).unwrap().buffers = vec![buffer];
        });
        told(&mut core, "A", 10, MachineState::Down);
        told(&mut core, "A", 14, MachineState::Running);
        told(&mut core, "B", 16, MachineState::Starved);
        told(&mut core, "B", 18, MachineState::Running);
        stops(&core)[0].machine.clone()
    };
    assert_eq!(cause(3), id("A"), "it ran again two minutes before, the buffer holds three");
    assert_eq!(cause(1), id("B"));
}

#[test]
fn parallel_machines_stop_the_line_when_too_few_of_them_run() {
    let mut core = three(|plant| {
        let line = plant.lines.get_mut(&line()).unwrap();
        line.root_cause = RootCause::Parallel;
        line.stations = vec![Station { machines: vec![id("A"), id("B")], min_running: 1 }];
    });
    told(&mut core, "A", 10, MachineState::Down);
    told(&mut core, "B", 20, MachineState::Down);
    told(&mut core, "A", 30, MachineState::Running);
    told(&mut core, "B", 50, MachineState::Running);
    let kpi = kpi(&core, 60);
    assert_eq!(kpi.time.of(LossClass::UnplannedDown), Span::from_ticks(10 * MINUTE));
    let found = stops(&core);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].machine, id("B"), "it tipped the station over");
}

#[test]
fn a_lost_link_of_a_parallel_machine_matters_only_where_it_decides() {
    let mut core = three(|plant| {
        let line = plant.lines.get_mut(&line()).unwrap();
        line.root_cause = RootCause::Parallel;
        line.stations = vec![Station { machines: vec![id("A"), id("B")], min_running: 1 }];
    });
    let lost = LinkChange { machine: id("A"), at: at(10 * MINUTE), seq: 1, up: false };
    feed(&mut core, &Input::Linked(lost));
    told(&mut core, "B", 20, MachineState::Down);
    told(&mut core, "B", 30, MachineState::Running);
    let kpi = kpi(&core, 60);
    assert_eq!(kpi.time.of(LossClass::NoData), Span::from_ticks(10 * MINUTE));
    assert_eq!(kpi.time.of(LossClass::Run), Span::from_ticks(50 * MINUTE));
}

#[test]
fn oee_of_a_line_is_the_bottlenecks_time_and_the_outfeeds_parts_never_a_mean() {
    let mut core = three(|_| {});
    for key in ["A", "B", "C"] {
        counted(&mut core, key, SignalRole::Good, 0, 0);
        counted(&mut core, key, SignalRole::Reject, 0, 0);
    }
    counted(&mut core, "A", SignalRole::Good, 50, 120);
    counted(&mut core, "B", SignalRole::Good, 50, 100);
    counted(&mut core, "B", SignalRole::Reject, 50, 4);
    counted(&mut core, "C", SignalRole::Good, 50, 96);
    counted(&mut core, "C", SignalRole::Reject, 50, 3);
    told(&mut core, "B", 10, MachineState::Down);
    told(&mut core, "B", 20, MachineState::Running);
    let kpi = kpi(&core, 60);
    let parts = kpi.production.parts;
    assert_eq!((parts.good, parts.reject, parts.total), (96, 7, 104));
    let exact = kpi.oee().unwrap();
    assert_eq!(exact.to_f64(), 96.0 * 30.0 / 3600.0, "30 s a part of 60 min");
    assert_eq!(kpi.time.of(LossClass::UnplannedDown), Span::from_ticks(10 * MINUTE));
}

#[test]
fn the_bottleneck_can_be_another_machine_for_another_product() {
    let mut core = three(|plant| {
        let line = plant.lines.get_mut(&line()).unwrap();
        line.bottleneck_by_product.insert(product(2), id("C"));
    });
    feed(&mut core, &command(30 * MINUTE, moved(1, JobCommand::Complete)));
    feed(&mut core, &command(30 * MINUTE, store(2, 2, 1)));
    feed(&mut core, &command(30 * MINUTE, moved(2, JobCommand::Start)));
    told(&mut core, "B", 20, MachineState::Down);
    told(&mut core, "C", 50, MachineState::Down);
    told(&mut core, "C", 60, MachineState::Running);
    let kpi = kpi(&core, 60);
    assert_eq!(kpi.time.of(LossClass::UnplannedDown), Span::from_ticks(20 * MINUTE));
}

#[test]
fn the_most_specific_ideal_cycle_holds_from_its_date_on() {
    let cycle = |scope, seconds: i64, valid_from: Timestamp| IdealCycle {
        scope,
        valid_from,
        cycle: Span::from_seconds(seconds),
        parts: 1,
    };
    let later = at(60 * MINUTE);
    let mut core = three(|plant| {
        plant.products.get_mut(&product(1)).unwrap().cycles = vec![
            cycle(CycleScope::Any, 10, Timestamp::MIN),
            cycle(CycleScope::Machine(id("B")), 20, Timestamp::MIN),
            cycle(CycleScope::Machine(id("B")), 40, later),
            cycle(CycleScope::Line(line()), 50, at(90 * MINUTE)),
        ];
    });
    let ideal = |key: &str, minute: i64| {
        let plant = core.plant();
        plant.ideal_cycle(&product(1), &id(key), at(minute * MINUTE)).unwrap().cycle
    };
    assert_eq!(ideal("A", 0), Span::from_seconds(10));
    assert_eq!(ideal("B", 59), Span::from_seconds(20));
    assert_eq!(ideal("B", 60), Span::from_seconds(40));
    let of_line = |minute: i64| {
        core.plant().ideal_cycle_of_line(&product(1), &line(), at(minute * MINUTE)).unwrap().cycle
    };
    assert_eq!(of_line(60), Span::from_seconds(40));
    assert_eq!(of_line(90), Span::from_seconds(50));
    counted(&mut core, "C", SignalRole::Good, 0, 0);
    counted(&mut core, "C", SignalRole::Good, 30, 10);
    counted(&mut core, "C", SignalRole::Good, 70, 20);
    let made = kpi(&core, 80).production.ideal_good.as_fraction();
    assert_eq!(made, (i128::from(10 * 20 * SECOND + 10 * 40 * SECOND), 1));
}

#[test]
fn parallel_machines_share_the_ideal_cycle_of_their_station() {
    let core = three(|plant| {
        let line = plant.lines.get_mut(&line()).unwrap();
        line.stations = vec![Station { machines: vec![id("A"), id("B")], min_running: 1 }];
    });
    let cycle = core.plant().ideal_cycle_of_line(&product(1), &line(), at(0)).unwrap();
    assert_eq!((cycle.cycle, cycle.parts), (Span::from_seconds(30), 2));
}
