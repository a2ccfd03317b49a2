//! Stops: the stretches in which a machine does not run, whole and unclipped, with what is known of
//! their cause.
//!
//! A physical stop reaches from the last running state to the next, across shifts, breaks, orders
//! and lost links, so that a long stop never becomes a micro-stop because a window cut it. People
//! cut it into parts with reasons of their own, and join stops that belong together; the time in
//! between stays what it was.

use super::timeline::united;
use super::track::{Origin, Situation, TrackPoint};
use crate::domain::evidence::remark::StopPartition;
use crate::domain::evidence::{Classification, Said, StatedStop};
use crate::domain::id::ReasonId;
use crate::domain::plant::{Machine, Plant};
use crate::domain::signal::{MachineState, Reading, SignalRole};
use crate::domain::time::{Span, Timestamp, Window};

/// How many maximum durations may follow each other.
const ESCALATIONS_MAX: usize = 8;

/// A physical stop, or a part of one that people have cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    /// The start under which it is known: that of the first of those that are one with it.
    pub record: Timestamp,
    /// First instant.
    pub start: Timestamp,
    /// First instant after; `None` while the machine stands.
    pub end: Option<Timestamp>,
    /// The state in which it began.
    pub state: MachineState,
    /// From where it is known.
    pub origin: Origin,
    /// Length of the physical stop of which it is a part, when that is over.
    pub physical: Option<Span>,
    /// The first instant at which it costs time in which production was planned; `None` for a stop
    /// that lies in breaks, planned downtime or outside shifts as a whole.
    pub costs_from: Option<Timestamp>,
    /// Why, as far as a person or the machine has said.
    pub cause: Option<Cause>,
}

/// Why a machine stood, and who says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// The reason.
    pub reason: ReasonId,
    /// The person; `None` where the machine itself gave the reason.
    pub said: Option<Said>,
}

impl Stop {
    /// A stop as a person stated it.
    pub fn stated(stop: &StatedStop) -> Stop {
        let Window { from, to } = stop.window;
        let said = Some(stop.said.clone());
        Stop {
            record: from,
            start: from,
            end: Some(to),
            state: MachineState::Down,
            origin: Origin::Stated,
            physical: None,
            costs_from: Some(from),
            cause: stop.reason.clone().map(|reason| Cause { reason, said }),
        }
    }

    /// Length, when it is over.
    pub fn length(&self) -> Option<Span> {
        self.end.map(|end| end - self.start)
    }

    /// Length as far as it is known now.
    pub fn length_at(&self, now: Timestamp) -> Span {
        self.end.unwrap_or(now.max(self.start)) - self.start
    }

    /// Whether the physical stop is over and was strictly shorter than the threshold.
    pub fn is_micro(&self, below: Span) -> bool {
        self.physical.is_some_and(|length| length < below)
    }

    /// The time it covers; an open stop covers all that follows.
    pub fn window(&self) -> Window {
        Window { from: self.start, to: self.end.unwrap_or(Timestamp::MAX) }
    }

    /// The reason that holds at an instant of the stop, with those that follow a reason which has
    /// lasted as long as it may.
    pub fn reason_at(&self, plant: &Plant, at: Timestamp) -> Option<ReasonId> {
        let mut reason = self.cause.as_ref()?.reason.clone();
        for (from, next) in self.escalations(plant) {
            if from <= at {
                reason = next;
            }
        }
        Some(reason)
    }

    /// The instants at which another reason follows, with that reason.
    pub fn escalations(&self, plant: &Plant) -> Vec<(Timestamp, ReasonId)> {
        let mut escalations = Vec::new();
        let mut from = self.start;
        let mut reason = self.cause.as_ref().map(|cause| &cause.reason);
        while let Some(maximum) = reason.and_then(|r| plant.reasons.get(r)?.maximum.as_ref()) {
            from = from + maximum.span;
            if self.end.is_some_and(|end| end <= from) || escalations.len() == ESCALATIONS_MAX {
                break;
            }
            escalations.push((from, maximum.then.clone()));
            reason = Some(&maximum.then);
        }
        escalations
    }

    /// Whether somebody has still to say why it stood.
    ///
    /// A micro-stop need not be explained, nor what costs nothing; a reason that asks for a comment is
    /// none without it.
    pub fn needs_explanation(&self, plant: &Plant, machine: &Machine, now: Timestamp) -> bool {
        let Some(costs_from) = self.costs_from else {
            return false;
        };
        let length = self.end.unwrap_or(now.max(costs_from)) - costs_from;
        match &self.cause {
            _ if self.is_micro(machine.micro_stop_below) => false,
            None => length >= machine.explain_from,
            Some(cause) => {
                let comment_from = plant.reasons.get(&cause.reason).and_then(|r| r.comment_from);
                let has_comment =
                    cause.said.as_ref().is_some_and(|said| !said.comment.trim().is_empty());
                comment_from.is_some_and(|from| length >= from) && !has_comment
            }
        }
    }
}

/// The stops on a track that touch a window, in order of time, whole.
pub fn stops_on(situation: &Situation<'_>, track: &[TrackPoint], window: Window) -> Vec<Stop> {
    let partition = situation.evidence.remarks.partition();
    let mut stops = Vec::new();
    for physical in physical_stops(track) {
        if physical.window().intersect(window).is_some() {
            stops.extend(parts(physical, &partition));
        }
    }
    stops.retain(|stop| stop.window().intersect(window).is_some());
    let all: Vec<(Timestamp, Window)> = stops.iter().map(|s| (s.record, s.window())).collect();
    let last_end = stops.iter().map(|stop| stop.end.unwrap_or(situation.now)).max();
    let hull = stops.first().zip(last_end).map(|(first, end)| Window {
        from: first.start,
        to: end.max(first.start + Span::from_ticks(1)),
    });
    let planned = hull.map(|hull| PlannedProduction::new(situation, hull));
    for stop in &mut stops {
        stop.cause = cause_of(situation, stop, &all);
        stop.costs_from = planned.as_ref().and_then(|planned| planned.first_in(stop.window()));
    }
    stops
}

/// The time in which production is planned by the calendar.
struct PlannedProduction {
    windows: Vec<Window>,
}

impl PlannedProduction {
    fn new(situation: &Situation<'_>, hull: Window) -> Self {
        let place = situation.plant.place_of(&situation.machine.id);
        let calendar = &situation.plant.calendar;
        let schedule = place.map(|place| calendar.schedule(&place, hull)).unwrap_or_default();
        let shifts = schedule.shifts.iter().map(|shift| shift.window);
        let scheduled = if schedule.has_shifts { united(shifts) } else { vec![hull] };
        let planned = united(schedule.planned.iter().map(|planned| planned.window));
        let mut windows = Vec::new();
        for shift in scheduled {
            let mut from = shift.from;
            for stop in planned.iter().filter(|stop| stop.intersect(shift).is_some()) {
                windows.push(Window { from, to: stop.from.max(from) });
                from = stop.to.max(from);
            }
            windows.push(Window { from, to: shift.to.max(from) });
        }
        windows.retain(|window| window.from < window.to);
        PlannedProduction { windows }
    }

    fn first_in(&self, stop: Window) -> Option<Timestamp> {
        self.windows.iter().find_map(|window| window.intersect(stop)).map(|part| part.from)
    }
}

/// The stops of a machine that touch a window, in order of time, whole.
pub fn stops_in(situation: &Situation<'_>, window: Window) -> Vec<Stop> {
    stops_on(situation, &super::track::track(situation, window), window)
}

/// Stretches from a state that is not running to the next that is; what is not known neither begins
/// nor ends one.
fn physical_stops(track: &[TrackPoint]) -> Vec<Stop> {
    let mut stops = Vec::new();
    let mut open: Option<Stop> = None;
    for point in track {
        match point.state {
            Some(MachineState::Running) => {
                if let Some(mut stop) = open.take() {
                    stop.end = Some(point.at);
                    stop.physical = stop.length();
                    stops.push(stop);
                }
            }
            Some(state) if open.is_none() => {
                open = Some(Stop {
                    record: point.at,
                    start: point.at,
                    end: None,
                    state,
                    origin: point.origin,
                    physical: None,
                    costs_from: None,
                    cause: None,
                });
            }
            _ => {}
        }
    }
    stops.extend(open);
    stops
}

/// The parts into which people have cut a physical stop; together they are the whole.
fn parts(physical: Stop, partition: &StopPartition) -> Vec<Stop> {
    let after_start = physical.start + Span::from_ticks(1);
    let cuts = partition.cuts.range(after_start..physical.window().to);
    let mut starts = vec![physical.start];
    starts.extend(cuts.copied());
    let ends = starts.iter().skip(1).map(|start| Some(*start)).chain([physical.end]);
    let parts = starts.iter().zip(ends).map(|(start, end)| Stop {
        record: partition.record_of(*start),
        start: *start,
        end,
        ..physical.clone()
    });
    parts.collect()
}

/// What a person said last about a stop or one that is one with it, else what the machine said.
fn cause_of(situation: &Situation<'_>, stop: &Stop, all: &[(Timestamp, Window)]) -> Option<Cause> {
    let is_own = |classification: &&Classification| {
        let anchor = classification.anchor;
        stop.window().contains(anchor)
            || all.iter().any(|(record, window)| *record == stop.record && window.contains(anchor))
            || (anchor == stop.record && stop.record < stop.start)
    };
    let said = situation.evidence.remarks.classifications().filter(is_own);
    match said.max_by_key(|c| (c.said.at, c.said.seq, c.anchor)) {
        Some(newest) => {
            Some(Cause { reason: newest.reason.clone(), said: Some(newest.said.clone()) })
        }
        None => machine_reason(situation, stop).map(|reason| Cause { reason, said: None }),
    }
}

/// Of the reasons that the machine gave during a stop, the one with the highest priority; of several
/// of those the first, which is the likelier cause.
fn machine_reason(situation: &Situation<'_>, stop: &Stop) -> Option<ReasonId> {
    let series = situation.evidence.circumstances.get(&SignalRole::Reason)?;
    let points = series.points();
    let first = points.partition_point(|p| p.at <= stop.start).saturating_sub(1);
    let inside = points[first..].iter().take_while(|p| p.at < stop.window().to);
    let mut best: Option<(u32, &ReasonId)> = None;
    for point in inside {
        if let Reading::Reason(Some(reason)) = &point.value
            && let Some(entry) = situation.plant.reasons.get(reason)
            && best.is_none_or(|(priority, _)| entry.priority > priority)
        {
            best = Some((entry.priority, reason));
        }
    }
    best.map(|(_, reason)| reason.clone())
}

/// The stated stop that holds at an instant: the one whose reason has the highest priority, of
/// several the one that began last. Overlapping entries never add up.
pub fn stated_at<'a>(
    plant: &Plant,
    stated: &[&'a StatedStop],
    at: Timestamp,
) -> Option<&'a StatedStop> {
    let covering = stated.iter().filter(|stop| stop.window.contains(at));
    let rank = |stop: &&&StatedStop| {
        let priority = stop.reason.as_ref().and_then(|r| Some(plant.reasons.get(r)?.priority));
        (priority.unwrap_or(0), stop.window.from, stop.said.at, stop.said.seq)
    };
    covering.max_by_key(rank).copied()
}
