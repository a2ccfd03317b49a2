//! Which machine caused a stop of its line, in the mode that is configured for the line.
//!
//! What lies between machines is taken into account: a machine that stopped a buffer's time before
//! the bottleneck can be what starved it.

use std::borrow::Borrow;

use super::evaluate::Facts;
use super::station;
use super::stops::{Cause, Stop, stops_in, stops_on};
use super::track::Situation;
use crate::domain::evidence::MachineEvidence;
use crate::domain::id::{LineId, MachineId};
use crate::domain::plant::{Line, Plant, ReasonClass, RootCause};
use crate::domain::signal::{MachineState, Reading, SignalRole};
use crate::domain::time::{Span, Timestamp, Window};

/// A stop of a line and what caused it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineStop {
    /// The stop of the bottleneck, or of its station.
    pub stop: Stop,
    /// The machine that caused it.
    pub machine: MachineId,
    /// That machine's own stop, where it is another one.
    pub caused_by: Option<Stop>,
}

impl LineStop {
    /// Why the line stood: what is said of the machine that caused it, else of the bottleneck.
    pub fn cause(&self) -> Option<&Cause> {
        let own = self.caused_by.as_ref().and_then(|stop| stop.cause.as_ref());
        own.or(self.stop.cause.as_ref())
    }
}

/// A machine that stood when the line stopped.
struct Candidate<'a> {
    situation: Situation<'a>,
    stop: Stop,
}

impl<E: Borrow<MachineEvidence>> Facts<'_, E> {
    /// The stops of a line that touch a window, in order of time, with what caused them.
    pub fn line_stops(&self, line: &LineId, window: Window) -> Vec<LineStop> {
        let mut stops: Vec<LineStop> = Vec::new();
        for (part, plant) in self.parts(window) {
            if let Some(line) = plant.lines.get(line) {
                stops.extend(self.line_stops_in(plant, line, part));
            }
        }
        stops.sort_by_key(|line_stop| line_stop.stop.start);
        stops.dedup_by_key(|line_stop| line_stop.stop.start);
        stops
    }

    fn line_stops_in(&self, plant: &Plant, line: &Line, window: Window) -> Vec<LineStop> {
        let runs = self.runs_of(&line.id);
        let mut found = Vec::new();
        for piece in super::counts::pieces(plant, line, runs, window) {
            let bottleneck = line.bottleneck_for(piece.product);
            let Some(situation) = self.situation(plant, bottleneck, piece.window) else {
                continue;
            };
            let stops = match line.station_of(bottleneck) {
                Some(station) if line.root_cause == RootCause::Parallel => {
                    let members = station.machines.iter();
                    let members = members.filter_map(|id| self.situation(plant, id, piece.window));
                    let members: Vec<Situation<'_>> = members.collect();
                    let track = station::track(&members, station.min_running, piece.window);
                    stops_on(&situation, &track, piece.window)
                }
                _ => stops_in(&situation, piece.window),
            };
            for stop in stops {
                let culprit = self.culprit(plant, line, &situation, &stop);
                let (machine, caused_by) = match culprit {
                    Some(culprit) if culprit.situation.machine.id != *bottleneck => {
                        (culprit.situation.machine.id.clone(), Some(culprit.stop))
                    }
                    _ => (bottleneck.clone(), None),
                };
                found.push(LineStop { stop, machine, caused_by });
            }
        }
        found
    }

    fn culprit<'b>(
        &'b self,
        plant: &'b Plant,
        line: &'b Line,
        bottleneck: &Situation<'b>,
        stop: &Stop,
    ) -> Option<Candidate<'b>> {
        match line.root_cause {
            RootCause::Equipment => None,
            RootCause::Neighbour => self.by_neighbour(plant, line, bottleneck, stop),
            RootCause::Priority => {
                let candidates = self.standing(plant, line, &line.machines, bottleneck, stop);
                let own = candidates.into_iter().filter(|c| stands_by_itself(c));
                own.max_by_key(|c| {
                    let reason = c.stop.cause.as_ref().map(|cause| &cause.reason);
                    let reason = reason.and_then(|reason| plant.reasons.get(reason));
                    let of_reason = reason.map_or(0, |reason| reason.priority);
                    let first = std::cmp::Reverse(c.stop.start);
                    (c.situation.machine.priority, of_reason, first)
                })
            }
            RootCause::First => {
                let candidates = self.standing(plant, line, &line.machines, bottleneck, stop);
                candidates.into_iter().min_by_key(|c| c.stop.start)
            }
            RootCause::Parallel => {
                let members = line.parallel_to(&bottleneck.machine.id);
                let candidates = self.standing(plant, line, members, bottleneck, stop);
                candidates.into_iter().max_by_key(|c| c.stop.start)
            }
        }
    }

    /// The machines that stood when the line stopped, or stopped a buffer's time before.
    fn standing<'b>(
        &'b self,
        plant: &'b Plant,
        line: &'b Line,
        machines: &[MachineId],
        bottleneck: &Situation<'b>,
        stop: &Stop,
    ) -> Vec<Candidate<'b>> {
        let mut candidates = Vec::new();
        for machine in machines {
            let reach = buffered(line, machine, &bottleneck.machine.id);
            candidates.extend(self.stop_before(plant, machine, stop.start, reach));
        }
        candidates
    }

    /// The stop of a machine that an instant lies in or that lay within a span before it.
    fn stop_before<'b>(
        &'b self,
        plant: &'b Plant,
        machine: &MachineId,
        at: Timestamp,
        reach: Span,
    ) -> Option<Candidate<'b>> {
        let window = Window { from: at - reach, to: at + Span::from_ticks(1) };
        let situation = self.situation(plant, machine, window)?;
        let can_stop_line = |stop: &Stop| {
            let reason = stop.cause.as_ref().and_then(|cause| plant.reasons.get(&cause.reason));
            reason.is_none_or(|reason| reason.stops_line)
        };
        let stop = stops_in(&situation, window).into_iter().rev().find(can_stop_line)?;
        Some(Candidate { situation, stop })
    }

    /// From the bottleneck in the direction of blocked or starved to the machine that stands by
    /// itself.
    fn by_neighbour<'b>(
        &'b self,
        plant: &'b Plant,
        line: &'b Line,
        bottleneck: &Situation<'b>,
        stop: &Stop,
    ) -> Option<Candidate<'b>> {
        let position = line.machines.iter().position(|id| *id == bottleneck.machine.id)?;
        let direction = flow_state(bottleneck, stop);
        let neighbours: Vec<&MachineId> = match direction {
            MachineState::Blocked => line.machines[position + 1..].iter().collect(),
            MachineState::Starved => line.machines[..position].iter().rev().collect(),
            _ => return None,
        };
        let mut last: Option<Candidate<'b>> = None;
        for machine in neighbours {
            if line.parallel_to(&bottleneck.machine.id).contains(machine) {
                continue;
            }
            let reach = buffered(line, machine, &bottleneck.machine.id);
            let Some(candidate) = self.stop_before(plant, machine, stop.start, reach) else {
                break;
            };
            let passes_on = flow_state(&candidate.situation, &candidate.stop) == direction;
            last = Some(candidate);
            if !passes_on {
                break;
            }
        }
        last
    }
}

/// The state in which a stop began, with blocked and starved as signals and reasons say them.
fn flow_state(situation: &Situation<'_>, stop: &Stop) -> MachineState {
    let reason = stop.cause.as_ref().and_then(|c| situation.plant.reasons.get(&c.reason));
    match reason.map(|reason| reason.class) {
        Some(ReasonClass::Blocked) => return MachineState::Blocked,
        Some(ReasonClass::Starved) => return MachineState::Starved,
        _ => {}
    }
    let holds = |role| {
        matches!(situation.evidence.circumstance(role, stop.start), Some(Reading::Truth(true)))
    };
    match stop.state {
        MachineState::Idle if holds(SignalRole::Blocked) => MachineState::Blocked,
        MachineState::Idle if holds(SignalRole::Starved) => MachineState::Starved,
        state => state,
    }
}

fn stands_by_itself(candidate: &Candidate<'_>) -> bool {
    flow_state(&candidate.situation, &candidate.stop).stands_by_itself()
}

/// The time that lies in the buffers between two machines of a line.
fn buffered(line: &Line, machine: &MachineId, other: &MachineId) -> Span {
    let place = |id: &MachineId| line.machines.iter().position(|known| known == id);
    let (Some(a), Some(b)) = (place(machine), place(other)) else {
        return Span::ZERO;
    };
    let between = &line.machines[a.min(b)..a.max(b)];
    between.iter().map(|id| line.buffer_after(id)).sum()
}
