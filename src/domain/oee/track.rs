//! The track of a machine: the state in which it is from each instant to the next, made of all that
//! its signals say.
//!
//! A state signal is taken as it is, but for states that do not hold long enough. Without one, the
//! pace of cycles says whether the machine runs. A machine that runs and counts nothing for too long
//! has stopped without saying so. What a person stated about a gap fills it, and nothing else.

use crate::domain::evidence::{MachineEvidence, ResolvedGap};
use crate::domain::id::ProductId;
use crate::domain::order::OrderRun;
use crate::domain::plant::{Line, Machine, Plant};
use crate::domain::series::Point;
use crate::domain::signal::{CycleRule, MachineState, SignalRole, SignalRule};
use crate::domain::time::{Span, Timestamp, Window};

/// All that a machine's time depends on.
#[derive(Clone, Copy)]
pub struct Situation<'a> {
    /// The plant.
    pub plant: &'a Plant,
    /// The machine's line.
    pub line: &'a Line,
    /// The machine.
    pub machine: &'a Machine,
    /// What is known about it.
    pub evidence: &'a MachineEvidence,
    /// Runs of orders on its line, in order of time.
    pub runs: &'a [OrderRun],
    /// The present; nothing after it is known.
    pub now: Timestamp,
}

/// From where a state is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// The state signal.
    Signal,
    /// The pace of cycles.
    Pace,
    /// Nothing is counted although the machine says that it runs.
    Silence,
    /// A person, about a gap.
    Stated,
}

impl Origin {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Signal => "signal",
            Origin::Pace => "pace",
            Origin::Silence => "silence",
            Origin::Stated => "stated",
        }
    }
}

/// A state from an instant on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TrackPoint {
    /// First instant.
    pub at: Timestamp,
    /// The state; `None` when it is not known.
    pub state: Option<MachineState>,
    /// From where.
    pub origin: Origin,
}

impl TrackPoint {
    fn is_running(&self) -> bool {
        self.state == Some(MachineState::Running)
    }
}

/// The track of a machine from a running state before the window to one after it, as far as they
/// are known, so that every stop in it is whole.
pub fn track(situation: &Situation<'_>, window: Window) -> Vec<TrackPoint> {
    let machine = situation.machine;
    let base = match (machine.rule(SignalRole::State), machine.rule(SignalRole::Cycle)) {
        (None, Some(SignalRule::Cycle(_, rule))) => from_pace(situation, *rule, window),
        (Some(SignalRule::State(rule)), _) => from_signal(situation, rule.hold, window),
        _ => from_signal(situation, Span::ZERO, window),
    };
    let stated = with_statements(situation, base);
    match machine.silence_after {
        Some(limit) => with_silence(situation, limit, stated, window),
        None => stated,
    }
}

fn from_signal(situation: &Situation<'_>, hold: Span, window: Window) -> Vec<TrackPoint> {
    let states = situation.evidence.states.points();
    let running = |p: &Point<_>| p.value == Some(MachineState::Running);
    let mut start = states.partition_point(|p| p.at <= window.from);
    loop {
        start = states[..start].iter().rposition(running).unwrap_or(0);
        // A state that was told more than once holds since it was told first.
        start -= states[..start].iter().rev().take_while(|p| running(p)).count();
        let points = held(&states[start..], situation.now, hold, window.to);
        if start == 0 || points.first().is_some_and(|p| p.is_running() && p.at <= window.from) {
            return points;
        }
    }
}

/// States that hold long enough, up to the first running one at or after an instant.
fn held(
    states: &[Point<Option<MachineState>>],
    now: Timestamp,
    hold: Span,
    until: Timestamp,
) -> Vec<TrackPoint> {
    let mut points: Vec<TrackPoint> = Vec::new();
    let mut index = 0;
    while let Some(first) = states.get(index) {
        let same = states[index..].iter().take_while(|p| p.value == first.value).count();
        // Of several states of one instant, the last holds.
        let next = states.get(index + same);
        let end = next.map_or(now.max(first.at), |p| p.at);
        index += same;
        let shown = points.last().map(|p| p.state);
        if end - first.at < hold || (next.is_some() && end == first.at) {
            continue;
        }
        if shown != Some(first.value) {
            points.push(TrackPoint { at: first.at, state: first.value, origin: Origin::Signal });
        }
        if first.value == Some(MachineState::Running) && first.at >= until {
            break;
        }
    }
    points
}

/// Running while cycles come in time; after the last of them the machine stood until it began the
/// next, one ideal cycle before that one was complete.
fn from_pace(situation: &Situation<'_>, rule: CycleRule, window: Window) -> Vec<TrackPoint> {
    let Some(series) = situation.evidence.counts.get(&SignalRole::Cycle) else {
        return Vec::new();
    };
    let from = series.active_before(window.from).unwrap_or(Timestamp::MIN);
    let to = series.active_from(window.to).unwrap_or(Timestamp::MAX);
    let until = Window { from, to: to + Span::from_ticks(1) };
    let cycles = series.steps_in(until).filter(|step| step.delta > 0).map(|step| step.at);
    let point = |at, state| TrackPoint { at, state: Some(state), origin: Origin::Pace };
    let mut points: Vec<TrackPoint> = Vec::new();
    let mut before: Option<Timestamp> = None;
    for at in cycles {
        let Some(previous) = before.replace(at) else {
            points.push(point(at, MachineState::Running));
            continue;
        };
        let allowed = hundredths(cycle_at(situation, rule, previous), rule.stop_from);
        if at - previous >= allowed {
            let begun = (at - cycle_at(situation, rule, at)).max(previous);
            points.push(point(previous, MachineState::Idle));
            points.push(point(begun, MachineState::Running));
        }
    }
    if let Some(last) = before {
        let allowed = hundredths(cycle_at(situation, rule, last), rule.stop_from);
        if situation.now - last >= allowed {
            points.push(point(last, MachineState::Idle));
        }
    }
    points.dedup_by(|next, kept| {
        let same_time = next.at == kept.at;
        if same_time {
            *kept = *next;
        }
        same_time
    });
    points
}

/// So many hundredths of a span.
pub fn hundredths(span: Span, hundredths: u32) -> Span {
    let ticks = i128::from(span.ticks()) * i128::from(hundredths) / 100;
    Span::from_ticks(i64::try_from(ticks).unwrap_or(i64::MAX))
}

/// The ideal cycle of what the machine makes at an instant, else the configured one.
pub fn cycle_at(situation: &Situation<'_>, rule: CycleRule, at: Timestamp) -> Span {
    let run = run_at(situation.runs, at);
    let product: Option<&ProductId> =
        run.map(|run| &run.product).or(situation.line.default_product.as_ref());
    let machine = &situation.machine.id;
    let ideal = product.and_then(|product| situation.plant.ideal_cycle(product, machine, at));
    let own = run.and_then(|run| run.cycle);
    own.or(ideal.map(|ideal| ideal.cycle)).or(rule.cycle).unwrap_or(Span::from_ticks(1))
}

/// The run that covers an instant; runs are in order of time and do not overlap.
pub fn run_at(runs: &[OrderRun], at: Timestamp) -> Option<&OrderRun> {
    let index = runs.partition_point(|run| run.start <= at);
    runs[..index].last().filter(|run| run.window().contains(at))
}

/// Fills what was not known with what people stated.
fn with_statements(situation: &Situation<'_>, base: Vec<TrackPoint>) -> Vec<TrackPoint> {
    let resolved = situation.evidence.remarks.resolved_gaps();
    let mut points = base.clone();
    for gap in resolved {
        let unknown = unknown_in(situation, &base, gap.window);
        points = filled(&points, &unknown, gap);
    }
    points
}

/// The parts of a window in which the link was down or the state is not known.
fn unknown_in(situation: &Situation<'_>, base: &[TrackPoint], window: Window) -> Vec<Window> {
    let mut unknown = situation.evidence.link_losses(window);
    let ends = base.iter().map(|p| p.at).chain([Timestamp::MAX]);
    let before = TrackPoint { at: Timestamp::MIN, state: None, origin: Origin::Signal };
    for (point, end) in std::iter::once(&before).chain(base).zip(ends) {
        if point.state.is_none() {
            unknown.extend(Window { from: point.at, to: end }.intersect(window));
        }
    }
    unknown
}

/// What is not known, replaced by what was stated; where several were stated, the last one holds.
fn filled(points: &[TrackPoint], unknown: &[Window], resolved: &ResolvedGap) -> Vec<TrackPoint> {
    let holding = |at: Timestamp| points[..points.partition_point(|p| p.at <= at)].last();
    let ends: Vec<Timestamp> = points.iter().map(|p| p.at).collect();
    let mut result: Vec<TrackPoint> = Vec::new();
    let mut bounds: Vec<Timestamp> = ends;
    bounds.extend(unknown.iter().flat_map(|w| [w.from, w.to]));
    bounds.sort_unstable();
    bounds.dedup();
    for at in bounds {
        let point = if unknown.iter().any(|window| window.contains(at)) {
            TrackPoint { at, state: Some(resolved.state), origin: Origin::Stated }
        } else {
            let known = holding(at).copied();
            let nothing = TrackPoint { at, state: None, origin: Origin::Signal };
            TrackPoint { at, ..known.unwrap_or(nothing) }
        };
        let shown = result.last().map(|p| (p.state, p.origin));
        if shown != Some((point.state, point.origin)) {
            result.push(point);
        }
    }
    result
}

/// Cuts stops into running stretches that touch the window, where nothing was counted for too long.
fn with_silence(
    situation: &Situation<'_>,
    limit: Span,
    points: Vec<TrackPoint>,
    window: Window,
) -> Vec<TrackPoint> {
    let counts = situation.evidence.counts.values();
    let before = counts.filter_map(|series| series.active_before(window.from)).max();
    let mut result = Vec::new();
    for (index, point) in points.iter().enumerate() {
        result.push(*point);
        if !point.is_running() || point.origin == Origin::Stated {
            continue;
        }
        let known_to = situation.now.max(point.at);
        let end = points.get(index + 1).map_or(known_to, |next| next.at);
        let mut active = before.map_or(point.at, |before| before.max(point.at));
        while active < end && active < window.to {
            let next = next_activity(situation, active + Span::from_ticks(1));
            let silent_to = next.unwrap_or(end).min(end);
            if silent_to - active >= limit {
                let state = Some(MachineState::Idle);
                result.push(TrackPoint { at: active, state, origin: Origin::Silence });
                if silent_to < end {
                    result.push(TrackPoint { at: silent_to, ..*point });
                }
            }
            active = silent_to;
        }
    }
    result.dedup_by(|next, kept| {
        let same_time = next.at == kept.at;
        if same_time {
            *kept = *next;
        }
        same_time
    });
    result
}

fn next_activity(situation: &Situation<'_>, from: Timestamp) -> Option<Timestamp> {
    let counts = situation.evidence.counts.values();
    counts.filter_map(|series| series.active_from(from)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(at: i64, value: Option<MachineState>) -> Point<Option<MachineState>> {
        Point { at: Timestamp::from_ticks(at), seq: 0, value }
    }

    #[test]
    fn a_state_that_does_not_hold_long_enough_is_passed_over() {
        let run = Some(MachineState::Running);
        let down = Some(MachineState::Down);
        let states =
            [state(0, run), state(10, down), state(14, run), state(20, down), state(25, run)];
        let shown = |hold: i64, now: i64| {
            let now = Timestamp::from_ticks(now);
            let points = held(&states, now, Span::from_ticks(hold), Timestamp::MAX);
            points.iter().map(|p| (p.at.ticks(), p.state)).collect::<Vec<_>>()
        };
        assert_eq!(shown(0, 30).len(), 5);
        assert_eq!(shown(5, 30), [(0, run), (20, down), (25, run)]);
        assert_eq!(shown(6, 31), [(0, run)]);
        assert_eq!(shown(5, 29), [(0, run), (20, down)], "the last has not held yet");
    }

    #[test]
    fn hundredths_are_exact() {
        assert_eq!(hundredths(Span::from_ticks(1000), 150), Span::from_ticks(1500));
        assert_eq!(hundredths(Span::from_ticks(i64::MAX), 200), Span::from_ticks(i64::MAX));
    }
}
