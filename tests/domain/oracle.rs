//! An independent, slow oracle: the definitions written down once more, instant by instant, without
//! any of the engine's structures. It knows only the story.

use std::collections::{BTreeMap, BTreeSet};

use linewright::domain::oee::loss::LossClass;
use linewright::domain::signal::MachineState;

use super::plant::{MICRO_STOP, ROLLOVER, SECOND, Story};

const DAY: i64 = 86_400 * SECOND;

/// Figures as the oracle sees them; ideal time in ticks times seven.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub time: BTreeMap<LossClass, i64>,
    pub good: i64,
    pub reject: i64,
    pub unattributed: i64,
    pub without_product: bool,
    pub ideal_total_7: i128,
    pub ideal_good_7: i128,
}

fn scheduled(story: &Story, x: i64) -> bool {
    let minute = x.rem_euclid(DAY) / (60 * SECOND);
    !story.shifts || (6 * 60..20 * 60).contains(&minute)
}

fn on_break(story: &Story, x: i64) -> bool {
    let minute = x.rem_euclid(DAY) / (60 * SECOND);
    let first = 9 * 60..9 * 60 + 15;
    let second = 12 * 60..12 * 60 + 45;
    story.shifts && (first.contains(&minute) || second.contains(&minute))
}

fn first_observation(story: &Story) -> Option<i64> {
    let first = [story.states.keys().next(), story.good.keys().next(), story.reject.keys().next()];
    first.into_iter().flatten().min().copied()
}

/// Whether the link is up at an instant.
fn linked(story: &Story, x: i64) -> bool {
    match story.links.range(..=x).next_back() {
        Some((_, up)) => *up,
        None => first_observation(story).is_some_and(|first| first <= x),
    }
}

fn holding(story: &Story, x: i64) -> Option<MachineState> {
    story.states.range(..=x).next_back().and_then(|(_, state)| *state)
}

/// The physical stop around an instant: from the first state that is not running to the next
/// running one; unusable values neither begin nor end a stop.
fn stop_around(story: &Story, x: i64) -> Option<(i64, Option<i64>)> {
    let mut start = None;
    for (at, state) in story.states.range(..=x) {
        match state {
            Some(MachineState::Running) => start = None,
            Some(_) if start.is_none() => start = Some(*at),
            _ => {}
        }
    }
    let running = |state: &Option<MachineState>| *state == Some(MachineState::Running);
    let end = story.states.range(x + 1..).find(|(_, state)| running(state)).map(|(at, _)| *at);
    Some((start?, end))
}

/// The reason of the stop around an instant: of those given, the one for the latest instant.
fn reason(story: &Story, stop: (i64, Option<i64>)) -> Option<&'static str> {
    let inside = |at: i64| stop.0 <= at && stop.1.is_none_or(|end| at < end);
    // All reasons of a stop are anchored at its start, so the last one given holds.
    story.reasons.iter().rfind(|(at, _)| inside(*at)).map(|(_, reason)| *reason)
}

fn product(story: &Story, x: i64) -> Option<usize> {
    let run = story.runs.iter().find(|(start, end, _)| *start <= x && x < *end);
    run.map(|(_, _, product)| *product)
}

fn class(story: &Story, x: i64) -> LossClass {
    if !scheduled(story, x) {
        return LossClass::NotScheduled;
    }
    if on_break(story, x) {
        return LossClass::PlannedDown;
    }
    if !linked(story, x) {
        return LossClass::NoData;
    }
    let Some(state) = holding(story, x) else {
        return LossClass::NoData;
    };
    let stop = stop_around(story, x);
    let by_state = match (state, product(story, x)) {
        (MachineState::Running, _) => LossClass::Run,
        (MachineState::Setup, _) => LossClass::Setup,
        (_, None) => LossClass::NoOrder,
        (MachineState::Blocked, _) => LossClass::Blocked,
        (MachineState::Starved, _) => LossClass::Starved,
        (MachineState::Down | MachineState::Idle, _) => LossClass::UnplannedDown,
    };
    let class = match stop.and_then(|stop| reason(story, stop)) {
        Some("jam") => LossClass::UnplannedDown,
        Some("changeover") => LossClass::Setup,
        Some("cleaning") => LossClass::PlannedDown,
        _ => by_state,
    };
    let short = stop.is_some_and(|(start, end)| end.is_some_and(|end| end - start < MICRO_STOP));
    if short && class == LossClass::UnplannedDown { LossClass::MicroStop } else { class }
}

/// Increments of a counter as (previous, at, parts).
fn increments(values: &BTreeMap<i64, u64>) -> Vec<(i64, i64, i64)> {
    let values: Vec<_> = values.iter().collect();
    let mut increments = Vec::new();
    for pair in values.windows(2) {
        let ((before, old), (at, new)) = (pair[0], pair[1]);
        let parts = if new >= old {
            new - old
        } else if ROLLOVER - old + new < ROLLOVER / 10 {
            ROLLOVER - old + new + 1
        } else {
            *new
        };
        increments.push((*before, *at, parts as i64));
    }
    increments
}

/// Whether the link was down at any time between two instants, the later one included when the
/// value is the first after a gap.
fn unseen(story: &Story, before: i64, at: i64) -> bool {
    let down_at_begin = !linked(story, before);
    let goes_down = story.links.range(before + 1..at).any(|(_, up)| !up);
    down_at_begin || goes_down
}

/// The figures of `[from, to)`.
pub fn figures(story: &Story, from: i64, to: i64) -> Expected {
    let mut bounds = BTreeSet::from([from, to]);
    bounds.extend(story.states.keys());
    bounds.extend(story.links.keys());
    bounds.extend(first_observation(story));
    bounds.extend(story.runs.iter().flat_map(|(start, end, _)| [*start, *end]));
    let days = from.div_euclid(DAY)..=to.div_euclid(DAY);
    for day in days {
        for minute in [0, 360, 540, 555, 720, 765, 1200] {
            bounds.insert(day * DAY + minute * 60 * SECOND);
        }
    }
    let bounds: Vec<i64> = bounds.range(from..=to).copied().collect();
    let mut expected = Expected::default();
    for pair in bounds.windows(2) {
        *expected.time.entry(class(story, pair[0])).or_default() += pair[1] - pair[0];
    }
    for (values, is_good) in [(&story.good, true), (&story.reject, false)] {
        for (before, at, parts) in increments(values) {
            if at < from || at >= to || parts == 0 {
                continue;
            }
            if unseen(story, before, at) {
                expected.unattributed += parts;
                continue;
            }
            if is_good {
                expected.good += parts;
            } else {
                expected.reject += parts;
            }
            let cycle_7 = match product(story, at) {
                Some(1) => i128::from(30 * SECOND * 7),
                Some(_) => i128::from(100 * SECOND),
                None => {
                    expected.without_product = true;
                    0
                }
            };
            expected.ideal_total_7 += cycle_7 * i128::from(parts);
            if is_good {
                expected.ideal_good_7 += cycle_7 * i128::from(parts);
            }
        }
    }
    expected.time.retain(|_, ticks| *ticks != 0);
    expected
}
