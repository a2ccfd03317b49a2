//! From a timeline to time and stops that can be added up.

use std::collections::BTreeSet;

use super::kpi::{Flag, Kpi};
use super::loss::LossClass;
use super::stops::Stop;
use super::timeline::{Rule, Timeline};
use super::track::Situation;
use crate::domain::signal::SignalRole;
use crate::domain::time::{Span, Timestamp, Window};

/// Time and stops of a timeline; what was made is not in it yet.
pub fn tally(situation: &Situation<'_>, timeline: &Timeline, window: Window) -> Kpi {
    let mut kpi = Kpi::nothing(window);
    kpi.provisional = timeline.provisional;
    for interval in &timeline.intervals {
        let span = interval.window.length();
        kpi.time.add(interval.class, span);
        if interval.order.is_some() {
            kpi.time_in_orders.add(interval.class, span);
        }
        if interval.class == LossClass::Run || interval.stop.is_none() || is_free(interval.rule) {
            continue;
        }
        let reason = kpi.stops.by_reason.entry(interval.reason.clone()).or_default();
        reason.time += span;
        let entry = interval.reason.as_ref().and_then(|r| situation.plant.reasons.get(r));
        if entry.is_some_and(|reason| reason.failure) {
            kpi.stops.failure_time += span;
        }
    }
    count_stops(situation, timeline, window, &mut kpi);
    if let Some(limit) = situation.machine.stuck_after
        && is_stuck(situation, timeline, limit)
    {
        kpi.flags.insert(Flag::CounterStuck);
    }
    kpi
}

/// Whether standing costs nothing where this rule holds: nobody planned to produce, or nobody knows.
fn is_free(rule: Rule) -> bool {
    matches!(rule, Rule::NotScheduled | Rule::PlannedDowntime | Rule::LinkLost | Rule::StateUnknown)
}

/// Counts the stops that begin to cost in the window; those that are one count once.
fn count_stops(situation: &Situation<'_>, timeline: &Timeline, window: Window, kpi: &mut Kpi) {
    let mut records: BTreeSet<Timestamp> = BTreeSet::new();
    for stop in &timeline.stops {
        let is_first = stop.record == stop.start;
        let begins = stop.costs_from.is_some_and(|from| window.contains(from));
        if is_first && begins && records.insert(stop.record) {
            count_stop(situation, stop, kpi);
        }
    }
    let stated = situation.evidence.remarks.stated_stops();
    for stop in stated.iter().filter(|stop| window.contains(stop.window.from)) {
        let reason = stop.reason.as_ref();
        kpi.stops.stops += 1;
        kpi.stops.by_reason.entry(reason.cloned()).or_default().stops += 1;
        let entry = reason.and_then(|reason| situation.plant.reasons.get(reason));
        kpi.stops.failures += u64::from(entry.is_some_and(|reason| reason.failure));
    }
}

fn count_stop(situation: &Situation<'_>, stop: &Stop, kpi: &mut Kpi) {
    let Situation { plant, machine, now, .. } = *situation;
    let reason = stop.cause.as_ref().map(|cause| &cause.reason);
    let is_failure =
        reason.and_then(|reason| plant.reasons.get(reason)).is_some_and(|reason| reason.failure);
    let tally = &mut kpi.stops;
    if stop.is_micro(machine.micro_stop_below) {
        tally.micro_stops += 1;
    } else {
        tally.stops += 1;
    }
    tally.failures += u64::from(is_failure);
    tally.unexplained += u64::from(stop.needs_explanation(plant, machine, now));
    tally.by_reason.entry(reason.cloned()).or_default().stops += 1;
}

/// Whether some counter of parts did not move over a running stretch that is too long for it.
fn is_stuck(situation: &Situation<'_>, timeline: &Timeline, limit: Span) -> bool {
    let runs = timeline.intervals.iter().filter(|interval| interval.class == LossClass::Run);
    let roles = [SignalRole::Good, SignalRole::Total];
    let mut series = roles.iter().filter_map(|role| situation.evidence.counts.get(role)).peekable();
    if series.peek().is_none() {
        return false;
    }
    let series: Vec<_> = series.collect();
    runs.map(|interval| interval.window).any(|run| {
        let to = run.to.min(situation.now);
        series.iter().any(|counts| {
            let mut active = run.from;
            while to - active >= limit {
                match counts.active_from(active + Span::from_ticks(1)).filter(|at| *at < to) {
                    Some(next) if next - active < limit => active = next,
                    _ => return true,
                }
            }
            false
        })
    })
}
