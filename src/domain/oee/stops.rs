//! Physical stops: the stretches in which a machine does not run, whole and unclipped.
//!
//! A stop is measured from the last running state to the next, across shifts, breaks, orders and
//! lost links, so that a long stop never becomes a micro-stop because a window cut it.

use crate::domain::evidence::{Classification, MachineEvidence};
use crate::domain::series::Point;
use crate::domain::signal::MachineState;
use crate::domain::time::{Span, Timestamp, Window};

/// One physical stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    /// When the machine left the running state.
    pub start: Timestamp,
    /// When it ran again; `None` while it stands.
    pub end: Option<Timestamp>,
    /// The state in which it stopped.
    pub state: MachineState,
    /// What a person said about it.
    pub classification: Option<Classification>,
}

impl Stop {
    /// Length, when it is over.
    pub fn length(&self) -> Option<Span> {
        self.end.map(|end| end - self.start)
    }

    /// Whether it is over and strictly shorter than the threshold.
    pub fn is_micro(&self, below: Span) -> bool {
        self.length().is_some_and(|length| length < below)
    }

    /// The time it covers; an open stop covers all that follows.
    pub fn window(&self) -> Window {
        Window { from: self.start, to: self.end.unwrap_or(Timestamp::MAX) }
    }
}

/// The stops that touch a window, in order of time, whole.
pub fn stops_in(evidence: &MachineEvidence, window: Window) -> Vec<Stop> {
    let points = evidence.states.points();
    let before = &points[..evidence.states.index_at(window.from)];
    let running = |p: &Point<_>| p.value == Some(MachineState::Running);
    let first = before.iter().rposition(running).unwrap_or(0);
    let mut stops = Vec::new();
    let mut open: Option<Stop> = None;
    for point in &points[first..] {
        if point.at >= window.to && open.is_none() {
            break;
        }
        match point.value {
            Some(MachineState::Running) => {
                if let Some(mut stop) = open.take() {
                    stop.end = Some(point.at);
                    stops.push(stop);
                }
            }
            Some(state) if open.is_none() => {
                let classification = None;
                open = Some(Stop { start: point.at, end: None, state, classification });
            }
            _ => {}
        }
    }
    stops.extend(open);
    stops.retain(|stop| stop.window().intersect(window).is_some());
    for stop in &mut stops {
        let within = evidence.classifications.range(stop.start..stop.window().to);
        stop.classification = within.map(|(_, c)| c).max_by_key(|c| (c.at, c.anchor)).cloned();
    }
    stops
}
