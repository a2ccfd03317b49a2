//! What figures cost. `cargo bench --bench oee`
//!
//! Live: 200 machines change ten times a second through the whole engine with a store on a real
//! directory; the processor time of the process is what it takes. Windows: a machine-year of 1 000
//! state changes and 10 000 count changes a day, and a month of 50 machines, from the store.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first thing that is wrong")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linewright::app::clock::Clock;
use linewright::app::engine::{self, MachineInput};
use linewright::app::figures::Page;
use linewright::app::live::{Live, Stretch};
use linewright::app::pages::{Pages, sum_of_long, too_much};
use linewright::app::ports::{Batch, Store as _};
use linewright::app::query::Queries;
use linewright::app::time_text::IanaZone;
use linewright::app::view::KpiWindow;
use linewright::app::why::Question;
use linewright::domain::calendar::Calendar;
use linewright::domain::command::Input;
use linewright::domain::core::Core;
use linewright::domain::evidence::{LinkChange, Observation};
use linewright::domain::id::{AreaId, LineId, MachineId, ProductId, SiteId};
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::plant::{
    Area, CycleScope, IdealCycle, Line, Machine, NoOrderPolicy, Plant, Product, RootCause,
};
use linewright::domain::signal::counter::CounterRule;
use linewright::domain::signal::{
    MachineState, RawValue, Reading, Signal, SignalRole, SignalRule, StateMap, StateRule,
};
use linewright::domain::time::{Span, Timestamp, Window};
use linewright::store::RedbStore;
use linewright::sys::WallClock;

const DAY: i64 = 86_400 * 10_000_000;
const LIVE_MACHINES: usize = 200;
const LIVE_CHANGES: u64 = 10;
const LIVE_SECONDS: u64 = 240;

fn machine_id(number: usize) -> MachineId {
    MachineId::parse(&format!("M{number}")).unwrap()
}

/// Lines of one machine each.
fn plant(machines: usize) -> Arc<Plant> {
    let counter = SignalRule::Count(CounterRule::default());
    let map = StateMap::Values(BTreeMap::new());
    let state = SignalRule::State(StateRule { map, hold: Span::ZERO });
    let signals = vec![
        Signal { role: SignalRole::State, rule: state },
        Signal { role: SignalRole::Good, rule: counter.clone() },
        Signal { role: SignalRole::Reject, rule: counter },
    ];
    let product = ProductId::parse("P").unwrap();
    let area = AreaId::parse("A").unwrap();
    let mut lines = BTreeMap::new();
    let mut all = BTreeMap::new();
    for number in 0..machines {
        let (id, line) = (machine_id(number), LineId::parse(&format!("L{number}")).unwrap());
        lines.insert(
            line.clone(),
            Line {
                id: line.clone(),
                name: line.to_string(),
                area: area.clone(),
                machines: vec![id.clone()],
                bottleneck: id.clone(),
                bottleneck_by_product: BTreeMap::new(),
                outfeed: id.clone(),
                stations: vec![],
                buffers: vec![],
                root_cause: RootCause::Equipment,
                default_product: Some(product.clone()),
                no_order: NoOrderPolicy::Loss,
            },
        );
        let machine = Machine {
            id: id.clone(),
            name: id.to_string(),
            line,
            micro_stop_below: Span::from_seconds(120),
            explain_from: Span::from_seconds(120),
            silence_after: None,
            stuck_after: None,
            priority: 0,
            signals: signals.clone(),
        };
        all.insert(id, machine);
    }
    let cycle = Span::from_millis(500);
    let cycles =
        vec![IdealCycle { scope: CycleScope::Any, valid_from: Timestamp::MIN, cycle, parts: 1 }];
    let made = Product { id: product.clone(), name: "P".into(), unit: "C62".into(), cycles };
    Arc::new(Plant {
        site: SiteId::parse("S").unwrap(),
        site_name: "S".into(),
        time_zone: "UTC".into(),
        areas: vec![Area { id: area, name: "A".into() }],
        lines,
        machines: all,
        products: BTreeMap::from([(product, made)]),
        reasons: BTreeMap::new(),
        calendar: Calendar::new(vec![], Arc::new(IanaZone::find("UTC").unwrap())),
        confirmation_interval: Span::from_seconds(60),
        closing_grace: Span::from_seconds(900),
    })
}

fn observation(number: usize, role: SignalRole, at: Timestamp, reading: Reading) -> Observation {
    let raw = RawValue::Integer(0);
    let machine = machine_id(number);
    Observation { machine, role, at, received: at, seq: 0, status: 0, raw, reading }
}

/// The change of that number: mostly counts, now and then a short stop.
fn change(machine: usize, number: u64, at: Timestamp) -> Observation {
    match number % 11 {
        0 => {
            let state = match (number / 11) % 20 {
                7 => MachineState::Down,
                _ => MachineState::Running,
            };
            observation(machine, SignalRole::State, at, Reading::State(state))
        }
        5 => observation(machine, SignalRole::Reject, at, Reading::Count(number / 11)),
        _ => observation(machine, SignalRole::Good, at, Reading::Count(number)),
    }
}

/// Processor time of this process.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn live() {
    let directory = tempfile::tempdir().unwrap();
    let store = Box::new(RedbStore::open(directory.path()).unwrap());
    let plant = plant(LIVE_MACHINES);
    let (engine, thread) = engine::start(plant, store, Arc::new(WallClock)).unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let per_tick = LIVE_MACHINES as u64 * LIVE_CHANGES / 100;
    let (took, wall) = runtime.block_on(async {
        for number in 0..LIVE_MACHINES {
            let machine = machine_id(number);
            let change = LinkChange { machine, at: WallClock.now(), seq: 0, up: true };
            engine.deliver(MachineInput::Linked(change)).await.unwrap();
        }
        let mut counts = vec![0_u64; LIVE_MACHINES];
        let mut next = 0;
        let mut interval = tokio::time::interval(Duration::from_millis(10));
        let (begun, before) = (Instant::now(), processor_time());
        while begun.elapsed() < Duration::from_secs(LIVE_SECONDS) {
            interval.tick().await;
            for _ in 0..per_tick {
                counts[next] += 1;
                let value = change(next, counts[next], WallClock.now());
                engine.deliver(MachineInput::Observed(value)).await.unwrap();
                next = (next + 1) % LIVE_MACHINES;
            }
        }
        (processor_time() - before, begun.elapsed())
    });
    let view = engine.view();
    let age = (WallClock.now() - view.at).ticks() / 10_000;
    println!(
        "live: {LIVE_MACHINES} machines x {LIVE_CHANGES} changes/s: {:.2} of one core (wanted at \
         most 0.5), picture {age} ms old (at most 1000), {} MiB",
        took.as_secs_f64() / wall.as_secs_f64(),
        resident_mib()
    );
    runtime.block_on(behind_the_site(&Queries::new(engine.clone())));
    runtime.block_on(engine.stop());
    thread.join().unwrap();
}

/// All that is behind the figures of the site, page by page: the first one, and all.
async fn behind_the_site(queries: &Queries) {
    let begun = Instant::now();
    let (mut after, mut rows, mut first, mut slowest) = (None, 0, None, Duration::ZERO);
    loop {
        let asked = Instant::now();
        let (equipment, window) = (Equipment::Site, KpiWindow::ThisShift);
        let question = Question { equipment, window, figure: None, after, limit: 1000 };
        let answer = queries.why(&question).await.unwrap().unwrap();
        rows += answer.rows.len();
        first = first.or(Some(begun.elapsed()));
        slowest = slowest.max(asked.elapsed());
        after = answer.next;
        if after.is_none() {
            break;
        }
    }
    println!(
        "why: {rows} rows behind the site of {LIVE_MACHINES} machines: first page of 1000 after {} ms, \
         slowest page {} ms, all after {} ms",
        first.unwrap_or_default().as_millis(),
        slowest.as_millis(),
        begun.elapsed().as_millis()
    );
}

/// Machines that have changed ten times a second for an hour and a half: most of their evidence is in
/// the archive. What a second of them costs, figures of the present included.
fn aged() {
    const MACHINES: usize = 20;
    const SECONDS: i64 = 90 * 60;
    let directory = tempfile::tempdir().unwrap();
    let mut store = RedbStore::open(directory.path()).unwrap();
    let mut core = Core::new(plant(MACHINES), Some(Span::from_seconds(26 * 3600)));
    let (mut pages, mut live) = (Pages::default(), Live::default());
    let second = 10_000_000;
    let mut cost = Duration::ZERO;
    for passed in 1..=SECONDS {
        let begun = Instant::now();
        for tenth in 0..10_i64 {
            let at = Timestamp::from_ticks((passed - 1) * second + tenth * second / 10);
            for machine in 0..MACHINES {
                let number = ((passed - 1) * 10 + tenth).unsigned_abs();
                let value = change(machine, number, at);
                let mut events = Vec::new();
                core.decide(&Input::Observed(value), &mut events).unwrap();
                for event in &events {
                    for (of, window) in core.apply(event).touched {
                        pages.touch(&core, &of, window);
                        live.touch(&core, &of, window);
                    }
                }
            }
        }
        let now = Timestamp::from_ticks(passed * second);
        let (reader, mut archived) = (store.reader(), Vec::new());
        let made = pages.make(&core, &*reader, now).unwrap();
        for (machine, before) in too_much(&core, now) {
            feed(&mut core, &Input::Archive { machine, before }, &mut archived);
        }
        let stale = pages.take_stale();
        if !made.is_empty() || !archived.is_empty() {
            let batch = Batch { at: now, archived, stale, pages: made, ..Batch::default() };
            store.commit(&batch).unwrap();
        }
        let window = Window { from: Timestamp::from_ticks(0), to: now };
        for number in 0..MACHINES {
            let line = LineId::parse(&format!("L{number}")).unwrap();
            for unit in [Equipment::Line(line), Equipment::Machine(machine_id(number))] {
                // Twice a second, as they are published.
                for _ in 0..2 {
                    live.sum(&core, &*reader, (&unit, Stretch::ThisShift), window, now).unwrap();
                }
            }
        }
        if passed > SECONDS - 600 {
            cost += begun.elapsed();
        }
    }
    let share = cost.as_secs_f64() / 600.0 * (LIVE_MACHINES as f64 / MACHINES as f64);
    println!(
        "aged: {LIVE_MACHINES} machines after 90 minutes: {share:.2} of one core without store and \
         links (wanted at most 0.5), {} MiB for {MACHINES} machines",
        resident_mib()
    );
}

/// A store with so many days of so many machines, and the core that goes with it.
fn history(machines: usize, days: i64) -> (Core, RedbStore, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = RedbStore::open(directory.path()).unwrap();
    let mut core = Core::new(plant(machines), Some(Span::from_seconds(26 * 3600)));
    let mut pages = Pages::default();
    let step = DAY / 11_000;
    for quarter in 0..days * 96 {
        let (from, to) = (quarter * DAY / 96, (quarter + 1) * DAY / 96);
        for machine in 0..machines {
            let mut number = from / step + 1;
            while number * step < to {
                let at = Timestamp::from_ticks(number * step);
                let value = change(machine, number.unsigned_abs(), at);
                feed(&mut core, &Input::Observed(value), &mut Vec::new());
                number += 1;
            }
        }
        let now = Timestamp::from_ticks(to);
        let mut archived = Vec::new();
        let stale = pages.take_stale();
        let made: Vec<Page> = pages.make(&core, &*store.reader(), now).unwrap();
        // As the writer does: first the sums, then the evidence goes.
        for (machine, before) in too_much(&core, now) {
            feed(&mut core, &Input::Archive { machine, before }, &mut archived);
        }
        feed(&mut core, &Input::Tick(now), &mut archived);
        let batch = Batch { at: now, archived, stale, pages: made, ..Batch::default() };
        store.commit(&batch).unwrap();
    }
    (core, store, directory)
}

type Archived = Vec<(MachineId, linewright::domain::evidence::EvidenceBlock)>;

fn feed(core: &mut Core, input: &Input, archived: &mut Archived) {
    let mut events = Vec::new();
    core.decide(input, &mut events).unwrap();
    for event in &events {
        archived.extend(core.apply(event).archived);
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn windows() {
    let (core, store, _directory) = history(1, 365);
    let reader = store.reader();
    let now = Timestamp::from_ticks(365 * DAY);
    let line = Equipment::Line(LineId::parse("L0").unwrap());
    let machine = Equipment::Machine(machine_id(0));
    let second = 10_000_000;
    let shapes = [
        ("the whole year", 0, 365 * DAY),
        ("the year less 7 min and 13 s", 433 * second, 365 * DAY - 433 * second),
        ("a month", 100 * DAY + 77 * second, 130 * DAY + 99 * second),
        ("a shift", 200 * DAY + 6 * 3600 * second, 200 * DAY + 14 * 3600 * second),
        ("an odd minute", 200 * DAY + 3601 * second, 200 * DAY + 3661 * second),
    ];
    for (name, from, to) in shapes {
        let window = Window { from: Timestamp::from_ticks(from), to: Timestamp::from_ticks(to) };
        for unit in [&machine, &line] {
            let times: Vec<f64> = (0..9)
                .map(|_| {
                    let begun = Instant::now();
                    sum_of_long(&core, &*reader, unit, window, now).unwrap().unwrap();
                    begun.elapsed().as_secs_f64() * 1000.0
                })
                .collect();
            let kind = if unit == &machine { "machine" } else { "line" };
            println!("window: {name}, {kind}: {:.2} ms (wanted below 200)", median(times));
        }
    }
    println!("memory after a machine-year: {} MiB", resident_mib());
}

fn month_report() {
    let (core, store, _directory) = history(50, 31);
    let reader = store.reader();
    let now = Timestamp::from_ticks(31 * DAY);
    let begun = Instant::now();
    let mut slices = 0;
    for number in 0..50 {
        let machine = Equipment::Machine(machine_id(number));
        for day in 0..31 {
            for shift in 0..3 {
                let from = Timestamp::from_ticks(day * DAY + shift * DAY / 3);
                let window = Window { from, to: from + Span::from_ticks(DAY / 3) };
                slices += i32::from(
                    sum_of_long(&core, &*reader, &machine, window, now).unwrap().is_some(),
                );
            }
        }
    }
    let took = begun.elapsed().as_secs_f64();
    println!("month: 50 machines by shift, {slices} slices: {took:.2} s (wanted below 1)");
    println!("memory after 50 machine-months: {} MiB", resident_mib());
}

fn main() {
    let only = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if wanted("live") {
        live();
    }
    if wanted("aged") {
        aged();
    }
    if wanted("windows") {
        windows();
    }
    if wanted("month") {
        month_report();
    }
}
