//! A story through the engine as it runs, with its store: archive, kept sums, recalled evidence and
//! closed shifts change no figure.

use fastrand::Rng;
use linewright::app::time_text;
use linewright::domain::command::Input;
use linewright::domain::core::Core;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::time::{Span, Timestamp, Window};

use super::check::windows;
use super::plant::{BEGIN, DAY, HOUR, MACHINES, SECOND, line, machine, plant};
use super::run::decide;
use super::running::Running;
use super::world::{Profile, Story};

/// Inputs that are under way at once.
const AT_ONCE: usize = 64;

fn at(ticks: i64) -> Timestamp {
    Timestamp::from_ticks(ticks)
}

/// The engine at the end of the story, and a core without store to which the same things happened in
/// the same order. One value in fifty comes days late, when all is archived.
fn run(story: &Story, seed: u64, days: i64) -> (Running, Core) {
    let running = Running::new(plant(), BEGIN - HOUR);
    let mut core = Core::new(plant(), None);
    let mut rng = Rng::with_seed(seed);
    let mut late = Vec::new();
    for batch in story.inputs.chunks(AT_ONCE) {
        for (arrival, input) in batch {
            if matches!(input, Input::Observed(_)) && rng.u32(..50) == 0 {
                late.push(input.clone());
                continue;
            }
            decide(&mut core, std::slice::from_ref(input), &mut Vec::new());
            if let Input::Command(command) = input {
                running.settle();
                running.set(*arrival);
                // What makes no sense is refused by both.
                running.command(command.command.clone());
            } else {
                running.input(input.clone());
            }
        }
        running.set(batch.last().unwrap().0);
        running.settle();
    }
    // Days later, all of it is in the archive.
    for day in 1..=3 {
        running.set(BEGIN + (days + day) * DAY);
        running.settle();
    }
    let running = running.restart();
    rng.shuffle(&mut late);
    let mut now = BEGIN + (days + 3) * DAY;
    for batch in late.chunks(16) {
        for input in batch {
            decide(&mut core, std::slice::from_ref(input), &mut Vec::new());
            running.input(input.clone());
        }
        // Evidence that came back leaves again in between.
        now += rng.i64(1..90) * SECOND;
        running.set(now);
        running.settle();
    }
    // Time for revisions of shifts and corrections of orders, which come every ten minutes.
    for _ in 0..11 {
        now += 61 * SECOND;
        running.set(now);
        running.settle();
    }
    (running, core)
}

pub fn gives_the_same(profile: Profile, seed: u64, story: &Story, days: i64) {
    let (running, core) = run(story, seed, days);
    let end = at(BEGIN + (days + 3) * DAY);
    let machines = (0..MACHINES).map(|number| Equipment::Machine(machine(number)));
    let equipment: Vec<Equipment> =
        machines.chain([Equipment::Line(line()), Equipment::Site]).collect();
    for window in windows(seed, days, &core) {
        for unit in &equipment {
            let name = format!("{} seed {seed} {unit:?} {window:?}", profile.name);
            let expected = core.facts_at(end).kpi(unit, window).unwrap();
            let mut found = running.kpi(unit, window);
            // What is said of a part may not hold for the whole.
            found.provisional = expected.provisional;
            found.flags.clone_from(&expected.flags);
            found.counted = expected.counted;
            assert_eq!(found, expected, "{name}");
        }
    }
    for order in core.orders() {
        let found = running.queries.order(order.id());
        let (_, totals) = running.runtime.block_on(found).unwrap();
        assert_eq!(totals, core.totals(order), "{} seed {seed} {}", profile.name, order.id());
    }
    shifts_are_recorded(profile, seed, &running, &core, days);
    running.end();
}

/// Every shift was closed, and its last revision has the figures that hold.
fn shifts_are_recorded(profile: Profile, seed: u64, running: &Running, core: &Core, days: i64) {
    let whole = Window { from: at(BEGIN), to: at(BEGIN + days * DAY) };
    for shift in core.history().shifts(&line(), whole) {
        let name = format!("{} seed {seed} {}", profile.name, time_text::print(shift.window.from));
        let records = running.engine.reader().shift_records(&line(), shift.window.from).unwrap();
        let revisions: Vec<u32> = records.iter().map(|record| record.revision).collect();
        let expected: Vec<u32> = (1..).take(records.len()).collect();
        assert_eq!(revisions, expected, "{name}");
        let last = records.last().unwrap_or_else(|| panic!("{name} was not closed"));
        let figures = last.of(&Equipment::Line(line())).unwrap();
        let mut found = figures.clone();
        let now = core.facts_at(last.at + Span::from_ticks(3 * DAY));
        let expected = now.kpi(&Equipment::Line(line()), shift.window).unwrap();
        found.provisional = expected.provisional;
        found.stops.unexplained = expected.stops.unexplained;
        found.flags.clone_from(&expected.flags);
        assert_eq!(found, expected, "{name}");
    }
}
