//! How far a fact reaches: the time whose figures it can change.
//!
//! Sums that are kept are taken away for that time, and closed shifts in it are looked at again. A
//! reach may be too long, never too short. A value that is newer than all others, which nearly all
//! are, changes nothing that lies long before it.

use super::Core;
use crate::domain::evidence::{MachineEvidence, Observation, STATE_CONTEXT};
use crate::domain::id::MachineId;
use crate::domain::series::Point;
use crate::domain::signal::{MachineState, SignalRole, SignalRule};
use crate::domain::time::{Span, Timestamp, Window};

/// How long before a value a stop may have begun that the value ends, where that is not in memory.
const LONGEST_STOP: Span = Span::from_seconds(35 * 86_400);
const TICK: Span = Span::from_ticks(1);

impl Core {
    /// The time whose figures a value can change; the value is among the evidence already, or too old
    /// for it.
    pub(super) fn reach_of(&self, observation: &Observation) -> Window {
        let (machine, at) = (&observation.machine, observation.at);
        let Some(evidence) = self.evidence.get(machine) else {
            return Window { from: at, to: Timestamp::MAX };
        };
        if at < self.archived_to(machine) {
            // Older than what is taken back; what comes after it may look different for ever.
            return Window { from: at - LONGEST_STOP, to: Timestamp::MAX };
        }
        match observation.role {
            SignalRole::Lot => Window { from: at, to: at },
            SignalRole::State => {
                let held = self.derives_states(machine);
                let reach = reach_of_state(evidence, at);
                let from = if held { reach.from - STATE_CONTEXT } else { reach.from };
                Window { from, to: reach.to }
            }
            SignalRole::Reason => stop_around(evidence, at),
            role if role.is_counter() => {
                let derived = self.derives_states(machine);
                reach_of_count(evidence, role, at, derived)
            }
            role => {
                let points = evidence.circumstances.get(&role).map_or(&[][..], |s| s.points());
                let next = points.get(points.partition_point(|p| p.at <= at));
                Window { from: at, to: next.map_or(Timestamp::MAX, |p| p.at) }
            }
        }
    }

    /// From when on figures of a machine can be made of memory alone.
    ///
    /// What stays in memory goes back to the last running state and the last count; where states
    /// follow from counts or must hold, more than that is looked at.
    pub fn in_memory_from(&self, machine: &MachineId) -> Timestamp {
        let archived_to = self.archived_to(machine);
        if self.derives_states(machine) { archived_to + STATE_CONTEXT } else { archived_to }
    }

    /// Whether states follow from more than the last value of the state signal.
    pub(super) fn derives_states(&self, machine: &MachineId) -> bool {
        self.history.versions().iter().any(|(_, plant)| {
            plant.machines.get(machine).is_some_and(|machine| {
                let is_held = |rule: &SignalRule| match rule {
                    SignalRule::State(rule) => rule.hold > Span::ZERO,
                    _ => false,
                };
                machine.silence_after.is_some()
                    || machine.rule(SignalRole::Cycle).is_some()
                    || machine.rule(SignalRole::State).is_none_or(is_held)
            })
        })
    }
}

fn is_running(point: &Point<Option<MachineState>>) -> bool {
    point.value == Some(MachineState::Running)
}

/// A state changes what follows until the next one; one that ends a stop can also make it short.
fn reach_of_state(evidence: &MachineEvidence, at: Timestamp) -> Window {
    let points = evidence.states.points();
    let start = points.partition_point(|p| p.at < at);
    let next = points.partition_point(|p| p.at <= at);
    let stop_start = stop_start_before(points, start);
    let is_newest = next == points.len();
    let ends_stop = points[start..next].iter().any(is_running);
    let short = stop_start.filter(|stop| at - *stop < STATE_CONTEXT);
    let from = match (stop_start, is_newest) {
        (None, _) => at,
        (Some(_), true) if ends_stop => short.unwrap_or(at),
        (Some(_), true) => at,
        // Among values that were known already, the whole stop can look different.
        (Some(stop), false) => stop,
    };
    let runs_again = points[next..].iter().find(|p| is_running(p));
    Window { from, to: runs_again.map_or(Timestamp::MAX, |p| p.at + TICK) }
}

/// When the stop began in which the machine stood before the value of an index, if it stood.
fn stop_start_before(points: &[Point<Option<MachineState>>], index: usize) -> Option<Timestamp> {
    let run = points[..index].iter().rposition(is_running);
    let first = run.map_or(0, |run| run + 1);
    points[first..index].iter().find(|p| p.value.is_some()).map(|p| p.at)
}

/// The stop around an instant, as the state signal says.
fn stop_around(evidence: &MachineEvidence, at: Timestamp) -> Window {
    let points = evidence.states.points();
    let end = points.partition_point(|p| p.at <= at);
    let start = stop_start_before(points, end).unwrap_or(at).min(at);
    let runs_again = points[end..].iter().find(|p| is_running(p));
    Window { from: start, to: runs_again.map_or(Timestamp::MAX, |p| p.at + TICK) }
}

/// A count is booked when it was seen, and changes the step after it; where states follow from counts,
/// it changes them as well.
fn reach_of_count(
    evidence: &MachineEvidence,
    role: SignalRole,
    at: Timestamp,
    derived: bool,
) -> Window {
    let Some(series) = evidence.counts.get(&role) else {
        return Window { from: at, to: Timestamp::MAX };
    };
    let points = series.values().points();
    // What could not be read is no step; the next value that can be is.
    let after = &points[points.partition_point(|p| p.at <= at)..];
    let next = after.iter().find(|p| p.value.is_some()).map(|p| p.at + TICK);
    if !derived {
        return Window { from: at, to: next.unwrap_or(Timestamp::MAX) };
    }
    let before = series.active_before(at - TICK).unwrap_or(at);
    let from = if next.is_some() { before } else { before.max(at - STATE_CONTEXT) };
    let after = series.active_from(at + TICK);
    Window { from, to: after.map_or(Timestamp::MAX, |after| after + TICK) }
}
