//! The timeline: every instant of a window gets exactly one class.
//!
//! Precedence at an instant: not scheduled, planned stop, no data, a person's reason, the machine's
//! state. Intervals are contiguous, disjoint and add up to the window, in ticks.

use super::loss::{LossClass, class_of_reason, class_of_state};
use super::stops::{Stop, stops_in};
use crate::domain::calendar::ShiftInstance;
use crate::domain::evidence::MachineEvidence;
use crate::domain::id::OrderId;
use crate::domain::order::OrderRun;
use crate::domain::plant::{Line, Machine, Plant};
use crate::domain::signal::MachineState;
use crate::domain::time::{Timestamp, Window};

/// A stretch of time of one class.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interval {
    /// When.
    pub window: Window,
    /// What it counts as.
    pub class: LossClass,
    /// The state that the machine showed, if one is known.
    pub state: Option<MachineState>,
    /// The order that ran.
    pub order: Option<OrderId>,
}

/// A timeline and what has to be said about it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Timeline {
    /// The intervals, in order, covering the whole window.
    pub intervals: Vec<Interval>,
    /// Whether a stop that is still open may yet turn out to be short.
    pub provisional: bool,
}

/// All that the class of an instant depends on.
pub struct TimelineInputs<'a> {
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
}

/// Builds the timeline of a window.
pub fn build(inputs: &TimelineInputs<'_>, window: Window) -> Timeline {
    let sources = Sources::collect(inputs, window);
    let mut bounds = sources.bounds(inputs, window);
    bounds.sort_unstable();
    bounds.dedup();
    let mut cursor = Cursor::default();
    let mut intervals: Vec<Interval> = Vec::new();
    for pair in bounds.windows(2) {
        let next = sources.interval(inputs, Window { from: pair[0], to: pair[1] }, &mut cursor);
        match intervals.last_mut() {
            Some(last) if last.is_continued_by(&next) => last.window.to = next.window.to,
            _ => intervals.push(next),
        }
    }
    let threshold = inputs.machine.micro_stop_below;
    let undecided = |stop: &Stop| stop.end.is_none() && window.to - stop.start < threshold;
    Timeline { intervals, provisional: sources.stops.iter().any(undecided) }
}

impl Interval {
    fn is_continued_by(&self, next: &Interval) -> bool {
        (self.class, self.state, &self.order) == (next.class, next.state, &next.order)
    }
}

/// The sorted interval lists that are merged.
struct Sources {
    scheduled: Option<Vec<Window>>,
    breaks: Vec<Window>,
    gaps: Vec<Window>,
    stops: Vec<Stop>,
}

/// How far each list has been consumed; instants are asked for in rising order.
#[derive(Default)]
struct Cursor {
    scheduled: usize,
    breaks: usize,
    gaps: usize,
    stops: usize,
    states: usize,
    runs: usize,
}

impl Sources {
    fn collect(inputs: &TimelineInputs<'_>, window: Window) -> Sources {
        let calendar = &inputs.plant.calendar;
        let shifts = calendar.shifts(&inputs.line.id, window);
        let mut breaks: Vec<Window> = shifts.iter().flat_map(|s| s.breaks.clone()).collect();
        breaks.sort_unstable();
        let has_shifts = calendar.has_shifts(&inputs.line.id);
        Sources {
            scheduled: has_shifts.then(|| united(&shifts)),
            breaks,
            gaps: inputs.evidence.link_gaps(window),
            stops: stops_in(inputs.evidence, window),
        }
    }

    fn interval(&self, inputs: &TimelineInputs<'_>, window: Window, at: &mut Cursor) -> Interval {
        let from = window.from;
        let state = holding_state(inputs.evidence, from, &mut at.states);
        let run = covering(inputs.runs, from, &mut at.runs, OrderRun::window);
        let stop = covering(&self.stops, from, &mut at.stops, Stop::window);
        let scheduled = match &self.scheduled {
            None => true,
            Some(shifts) => covering(shifts, from, &mut at.scheduled, |w| *w).is_some(),
        };
        let is_break = covering(&self.breaks, from, &mut at.breaks, |w| *w).is_some();
        let is_gap = covering(&self.gaps, from, &mut at.gaps, |w| *w).is_some();
        let class = if !scheduled {
            LossClass::NotScheduled
        } else if is_break {
            LossClass::PlannedDown
        } else if is_gap {
            LossClass::NoData
        } else {
            classify(inputs, state, stop, run.is_some())
        };
        Interval { window, class, state, order: run.map(|run| run.order.clone()) }
    }

    fn bounds(&self, inputs: &TimelineInputs<'_>, window: Window) -> Vec<Timestamp> {
        let stops = self.stops.iter().map(Stop::window);
        let runs = inputs.runs.iter().map(OrderRun::window);
        let windows = self.scheduled.iter().flatten().chain(&self.breaks).chain(&self.gaps);
        let states = &inputs.evidence.states;
        let inside = &states.points()[states.index_at(window.from)..states.index_at(window.to)];
        let mut bounds = vec![window.from, window.to];
        bounds.extend(inside.iter().map(|p| p.at));
        for part in windows.copied().chain(stops).chain(runs) {
            bounds.extend(part.intersect(window).into_iter().flat_map(|w| [w.from, w.to]));
        }
        bounds
    }
}

fn classify(
    inputs: &TimelineInputs<'_>,
    state: Option<MachineState>,
    stop: Option<&Stop>,
    has_run: bool,
) -> LossClass {
    let Some(state) = state else {
        return LossClass::NoData;
    };
    let has_order = has_run || inputs.line.default_product.is_some();
    let by_state = class_of_state(state, has_order, inputs.line.no_order);
    let reason = stop.and_then(|s| s.classification.as_ref()).map(|c| &c.reason);
    let class = match reason.and_then(|reason| inputs.plant.reasons.get(reason)) {
        Some(reason) => class_of_reason(reason.class),
        None => by_state,
    };
    let is_micro = stop.is_some_and(|s| s.is_micro(inputs.machine.micro_stop_below));
    if is_micro && class == LossClass::UnplannedDown { LossClass::MicroStop } else { class }
}

fn holding_state(
    evidence: &MachineEvidence,
    at: Timestamp,
    cursor: &mut usize,
) -> Option<MachineState> {
    let points = evidence.states.points();
    if *cursor == 0 {
        *cursor = points.partition_point(|p| p.at <= at);
    }
    while points.get(*cursor).is_some_and(|p| p.at <= at) {
        *cursor += 1;
    }
    points.get(cursor.checked_sub(1)?)?.value
}

/// The entry that covers an instant; the lists are sorted and the instants rise.
fn covering<'a, T>(
    list: &'a [T],
    at: Timestamp,
    cursor: &mut usize,
    window: impl Fn(&T) -> Window,
) -> Option<&'a T> {
    while list.get(*cursor).is_some_and(|entry| window(entry).to <= at) {
        *cursor += 1;
    }
    list.get(*cursor).filter(|entry| window(entry).contains(at))
}

/// Unites the windows of shifts that touch or overlap.
fn united(shifts: &[ShiftInstance]) -> Vec<Window> {
    let mut united: Vec<Window> = Vec::new();
    for shift in shifts {
        match united.last_mut() {
            Some(last) if shift.window.from <= last.to => {
                last.to = last.to.max(shift.window.to);
            }
            _ => united.push(shift.window),
        }
    }
    united
}
