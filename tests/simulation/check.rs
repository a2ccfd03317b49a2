//! What must hold after every run.

use fastrand::Rng;
use linewright::domain::command::Input;
use linewright::domain::core::Core;
use linewright::domain::event::Event;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::{Kpi, Profile as KpiProfile};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::time::{Span, Timestamp, Window};

use super::oracle::{Expected, Raw};
use super::plant::{BEGIN, DAY, HOUR, MACHINES, MINUTE, line, machine, plant};
use super::run::{Done, decide};
use super::world::Profile;

fn at(ticks: i64) -> Timestamp {
    Timestamp::from_ticks(ticks)
}

fn as_expected(kpi: &Kpi) -> Expected {
    let production = &kpi.production;
    let times = LossClass::ALL.map(|class| (class, kpi.time.of(class).ticks()));
    let seventh = |(ticks, divisor): (i128, i128)| ticks * 7 / divisor;
    Expected {
        time: times.into_iter().filter(|(_, ticks)| *ticks != 0).collect(),
        good: production.parts.good,
        reject: production.parts.reject,
        unattributed: production.unattributed.good + production.unattributed.reject,
        without_product: production.without_product,
        ideal_total_7: seventh(production.ideal_total.as_fraction()),
        ideal_good_7: seventh(production.ideal_good.as_fraction()),
    }
}

/// Windows of all lengths, and the shifts.
pub fn windows(seed: u64, days: i64, core: &Core) -> Vec<Window> {
    let whole = Window { from: at(BEGIN), to: at(BEGIN + days * DAY) };
    let shifts = core.history().shifts(&line(), whole);
    let mut windows: Vec<Window> = shifts.into_iter().map(|shift| shift.window).collect();
    for window in &windows {
        let night = window.contains(at(20_751 * DAY + HOUR));
        let hours = if night { 9 } else { 8 };
        assert_eq!(window.length(), Span::from_ticks(hours * HOUR), "{window:?}");
    }
    let mut rng = Rng::with_seed(seed);
    for _ in 0..8 {
        let from = rng.i64(BEGIN - HOUR..BEGIN + days * DAY);
        windows.push(Window { from: at(from), to: at(from + rng.i64(1..10 * HOUR)) });
    }
    windows.push(whole);
    windows
}

pub fn all(profile: Profile, seed: u64, done: &Done, days: i64) {
    let end = at(BEGIN + (days + 1) * DAY);
    let windows = windows(seed, days, &done.core);
    let facts = done.core.facts_at(end);
    for number in 0..MACHINES {
        let raw = Raw::read(&done.journal, number);
        let equipment = Equipment::Machine(machine(number));
        for window in &windows {
            let name = || format!("{} seed {seed} M{number} {window:?}", profile.name);
            let kpi = facts.kpi(&equipment, *window).unwrap();
            let expected = raw.figures(window.from.ticks(), window.to.ticks());
            assert_eq!(as_expected(&kpi), expected, "{}", name());
            consistent(&kpi, &name());
        }
        stops_cover(&raw, &done.core, number, end, profile, seed);
    }
    order_of_arrival_is_irrelevant(profile, seed, done, &windows);
    replay_gives_the_same_facts(profile, seed, done);
}

/// Time adds up, nothing is negative, OEE is the product of its factors in both profiles.
fn consistent(kpi: &Kpi, name: &str) {
    assert_eq!(kpi.time.calendar(), kpi.window.length(), "{name}");
    for class in LossClass::ALL {
        assert!(kpi.time.of(class) >= Span::ZERO, "{name}: {class:?}");
    }
    for profile in [KpiProfile::Tpm, KpiProfile::Iso22400] {
        let factors = [kpi.availability(profile), kpi.performance(profile), kpi.quality()];
        if let [Some(a), Some(p), Some(q)] = factors {
            let product = a.checked_mul(p).and_then(|ap| ap.checked_mul(q));
            assert_eq!(product, kpi.oee(), "{name}");
        }
    }
    let middle = at(i64::midpoint(kpi.window.from.ticks(), kpi.window.to.ticks()));
    assert!(kpi.window.from <= middle && middle < kpi.window.to, "{name}");
}

/// The stops of the engine are the oracle's, cut into parts that cover them exactly.
fn stops_cover(raw: &Raw, core: &Core, number: usize, end: Timestamp, profile: Profile, seed: u64) {
    let window = Window { from: at(BEGIN - DAY), to: end };
    let stops = core.facts_at(end).stops(&machine(number), window);
    let mut physical: Vec<(i64, Option<i64>)> = Vec::new();
    for stop in &stops {
        let (start, stop_end) = (stop.start.ticks(), stop.end.map(Timestamp::ticks));
        match physical.last_mut() {
            Some(last) if last.1 == Some(start) => last.1 = stop_end,
            _ => physical.push((start, stop_end)),
        }
    }
    assert_eq!(physical, raw.stops(), "{} seed {seed} M{number}", profile.name);
}

/// Facts shuffled and doubled, commands in their order: the figures are the same.
fn order_of_arrival_is_irrelevant(profile: Profile, seed: u64, done: &Done, windows: &[Window]) {
    let is_fact = |event: &&Event| matches!(event, Event::Observed(_) | Event::LinkChanged(_));
    let (mut facts, commands): (Vec<&Event>, Vec<&Event>) = done.journal.iter().partition(is_fact);
    let doubled: Vec<&Event> = facts.iter().step_by(3).copied().collect();
    facts.extend(doubled);
    Rng::with_seed(seed).shuffle(&mut facts);
    let mut core = Core::new(plant(), None);
    for event in facts.into_iter().chain(commands) {
        core.apply(event);
    }
    let end = at(windows.iter().map(|w| w.to.ticks()).max().unwrap() + DAY);
    for number in 0..MACHINES {
        let equipment = Equipment::Machine(machine(number));
        for window in windows {
            let expected = done.core.facts_at(end).kpi(&equipment, *window);
            let found = core.facts_at(end).kpi(&equipment, *window);
            assert_eq!(found, expected, "{} seed {seed} M{number} {window:?}", profile.name);
        }
    }
    let on_line = Equipment::Line(line());
    for window in windows {
        let halves = [
            Window { from: window.from, to: window.from + Span::from_ticks(7 * MINUTE + 1) },
            Window { from: window.from + Span::from_ticks(7 * MINUTE + 1), to: window.to },
        ];
        if window.length() <= Span::from_ticks(8 * MINUTE) {
            continue;
        }
        let facts = core.facts_at(end);
        let whole = facts.sum(&on_line, *window).unwrap();
        let mut parts = facts.sum(&on_line, halves[0]).unwrap();
        parts.merge(&facts.sum(&on_line, halves[1]).unwrap());
        let name = format!("{} seed {seed} {window:?}", profile.name);
        assert_eq!(parts.time, whole.time, "{name}");
        assert_eq!(parts.production, whole.production, "{name}");
        assert_eq!(parts.stops, whole.stops, "{name}");
    }
}

/// The same inputs give the same facts, byte for byte.
fn replay_gives_the_same_facts(profile: Profile, seed: u64, done: &Done) {
    let mut core = Core::new(plant(), None);
    let mut journal = Vec::new();
    let inputs: &[Input] = &done.inputs;
    decide(&mut core, inputs, &mut journal);
    assert_eq!(journal.len(), done.journal.len(), "{} seed {seed}", profile.name);
    let same = format!("{journal:?}") == format!("{:?}", done.journal);
    assert!(same, "{} seed {seed}: replay gives other facts", profile.name);
}
