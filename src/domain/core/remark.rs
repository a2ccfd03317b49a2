//! Decisions on what people say about a machine's time.
//!
//! A stop is named by an instant inside it, so that late data which move its start do not matter.
//! What is said is checked against what is known; nothing is clipped to fit.

use std::borrow::Borrow;

use super::Core;
use crate::domain::command::{CommandInput, Outcome, RemarkCommand};
use crate::domain::event::Event;
use crate::domain::evidence::remark::REMARK_LONGEST;
use crate::domain::evidence::{
    Classification, MachineEvidence, Remark, ResolvedGap, Said, StatedStop, StopCut, StopJoin,
};
use crate::domain::id::{MachineId, ReasonId};
use crate::domain::oee::stops::{Stop, stops_in};
use crate::domain::oee::track::Situation;
use crate::domain::rejection::Rejection;
use crate::domain::time::{Span, Timestamp, Window};

type Result<T> = std::result::Result<T, Rejection>;

impl Core {
    /// Somebody says something about a machine's time.
    pub(super) fn remark(
        &self,
        machine: &MachineId,
        (remark, comment): (&RemarkCommand, &str),
        input: &CommandInput,
        out: &mut Vec<Event>,
    ) -> Result<Outcome> {
        self.machine_is_known(machine)?;
        let said = Said {
            at: input.at,
            seq: input.seq,
            actor: input.actor.clone(),
            comment: comment.to_owned(),
        };
        let speaker = Speaker { core: self, machine, input, said };
        let (remark, about) = match remark {
            RemarkCommand::Classify { stop, reason } => speaker.classify(*stop, reason)?,
            RemarkCommand::Split { stop, at } => speaker.split(*stop, *at)?,
            RemarkCommand::Merge { first, last } => speaker.merge(*first, *last)?,
            RemarkCommand::StateStop { window, reason } => speaker.state_stop(*window, reason)?,
            RemarkCommand::WithdrawStop { start } => speaker.withdraw(*start)?,
            RemarkCommand::ResolveGap { window, state } => {
                speaker.window_is_possible(*window)?;
                let evidence = speaker.evidence()?;
                if evidence.link_losses(*window).is_empty() && !speaker.has_unknown(*window)? {
                    return Err(Rejection::NoGapThere(machine.clone()));
                }
                let (window, state, said) = (*window, *state, speaker.said.clone());
                (Remark::Resolved(ResolvedGap { window, state, said }), window)
            }
        };
        self.shift_is_open(machine, about, input)?;
        let stops = speaker.stops_after(&remark, about)?;
        let reach = speaker.reach(&remark, about)?;
        out.push(Event::Remarked { machine: machine.clone(), remark, reach });
        Ok(Outcome::Stops(stops))
    }

    /// Who may not correct changes nothing in a closed shift.
    fn shift_is_open(
        &self,
        machine: &MachineId,
        about: Window,
        input: &CommandInput,
    ) -> Result<()> {
        let Some(line) = self.plant().line_of(machine) else {
            return Ok(());
        };
        if about.from < self.closed_to(&line.id) && !input.may_correct {
            return Err(Rejection::ShiftClosed(line.id.clone()));
        }
        Ok(())
    }
}

/// Somebody who says something about a machine.
struct Speaker<'a> {
    core: &'a Core,
    machine: &'a MachineId,
    input: &'a CommandInput,
    said: Said,
}

impl Speaker<'_> {
    fn evidence(&self) -> Result<&MachineEvidence> {
        let context = self.input.context.as_deref();
        let known = context.or_else(|| self.core.evidence.get(self.machine));
        known.ok_or_else(|| Rejection::NoStopThere(self.machine.clone()))
    }

    /// The stops of the machine that touch a window, as some evidence says.
    fn stops(&self, evidence: &impl Borrow<MachineEvidence>, window: Window) -> Vec<Stop> {
        let plant = self.core.history().at(window.from);
        let (Some(machine), Some(line)) =
            (plant.machines.get(self.machine), plant.line_of(self.machine))
        else {
            return Vec::new();
        };
        let evidence = evidence.borrow();
        let (runs, now) = (self.core.runs(&line.id), self.input.at.max(self.core.now()));
        stops_in(&Situation { plant, line, machine, evidence, runs, now }, window)
    }

    fn stop_at(&self, at: Timestamp) -> Result<Stop> {
        let instant = Window { from: at, to: at + Span::from_ticks(1) };
        let stop = self.stops(self.evidence()?, instant).pop().filter(|_| at <= self.input.at);
        stop.ok_or_else(|| Rejection::NoStopThere(self.machine.clone()))
    }

    fn reason_is_in_use(&self, reason: &ReasonId, at: Timestamp) -> Result<()> {
        self.core.reason_is_known(reason)?;
        let in_use = self.core.plant().reason_in_use(reason, at);
        in_use.map(drop).ok_or_else(|| Rejection::ReasonNotInUse(reason.clone()))
    }

    fn window_is_possible(&self, window: Window) -> Result<()> {
        let first = self.evidence()?.oldest();
        let possible = window.from < window.to
            && window.to <= self.input.at
            && window.length() <= REMARK_LONGEST
            && first.is_some_and(|first| first <= window.from);
        if possible { Ok(()) } else { Err(Rejection::ImpossibleWindow(self.machine.clone())) }
    }

    fn has_unknown(&self, window: Window) -> Result<bool> {
        let states = &self.evidence()?.states;
        let holding = states.holding_at(window.from).is_none_or(|p| p.value.is_none());
        let inside = &states.points()[states.index_at(window.from)..states.index_at(window.to)];
        Ok(holding || inside.iter().any(|p| p.value.is_none()))
    }

    fn classify(&self, at: Timestamp, reason: &ReasonId) -> Result<(Remark, Window)> {
        let stop = self.stop_at(at)?;
        self.reason_is_in_use(reason, stop.start)?;
        let (anchor, reason, said) = (stop.start, reason.clone(), self.said.clone());
        let about = Window { from: stop.record, to: stop.window().to };
        Ok((Remark::Classified(Classification { anchor, reason, said }), about))
    }

    fn split(&self, stop: Timestamp, at: Timestamp) -> Result<(Remark, Window)> {
        let stop = self.stop_at(stop)?;
        let inside = stop.start < at && at < stop.window().to && at <= self.input.at;
        if !inside {
            return Err(Rejection::SplitOutsideStop(self.machine.clone()));
        }
        let about = Window { from: stop.record, to: stop.window().to };
        Ok((Remark::Cut(StopCut { at, said: self.said.clone() }), about))
    }

    fn merge(&self, first: Timestamp, last: Timestamp) -> Result<(Remark, Window)> {
        let (first, last) = (self.stop_at(first)?, self.stop_at(last)?);
        if last.start <= first.start || first.record == last.record {
            return Err(Rejection::NothingToMerge(self.machine.clone()));
        }
        let about = Window { from: first.record, to: last.window().to };
        let (first, last, said) = (first.record, last.start, self.said.clone());
        Ok((Remark::Joined(StopJoin { first, last, said }), about))
    }

    fn state_stop(&self, window: Window, reason: &ReasonId) -> Result<(Remark, Window)> {
        self.window_is_possible(window)?;
        self.reason_is_in_use(reason, window.from)?;
        let (reason, said) = (Some(reason.clone()), self.said.clone());
        Ok((Remark::Stated(StatedStop { window, reason, said }), window))
    }

    fn withdraw(&self, start: Timestamp) -> Result<(Remark, Window)> {
        let stated = self.evidence()?.remarks.stated_stops();
        let stop = stated.into_iter().rfind(|stop| stop.window.from == start);
        let window = stop.ok_or_else(|| Rejection::NoStatedStop(self.machine.clone()))?.window;
        let said = self.said.clone();
        Ok((Remark::Stated(StatedStop { window, reason: None, said }), window))
    }

    /// The time whose figures a remark can change, with all the evidence that there is of it: it may be
    /// too long, never too short.
    fn reach(&self, remark: &Remark, about: Window) -> Result<Window> {
        let evidence = self.evidence()?;
        match remark {
            Remark::Parts(_) | Remark::Stated(_) => Ok(about),
            // What was counted over the gap is booked when it was seen, which may be much later.
            Remark::Resolved(_) => {
                let stops = self.stops(evidence, about);
                let from = stops.first().map_or(about.from, |stop| stop.start.min(about.from));
                Ok(Window { from, to: Timestamp::MAX })
            }
            // Whatever is one with the stop has the same reason.
            Remark::Classified(_) | Remark::Cut(_) | Remark::Joined(_) => {
                let is_around = |remark: &Remark| match remark {
                    Remark::Joined(join) => join.first <= about.to && about.from <= join.last,
                    _ => false,
                };
                let is_joined = evidence.remarks.iter().any(is_around);
                Ok(if is_joined { Window { to: Timestamp::MAX, ..about } } else { about })
            }
        }
    }

    /// The stops of the time that was spoken of, as they are with the remark.
    fn stops_after(&self, remark: &Remark, about: Window) -> Result<Vec<Stop>> {
        let to = about.to.min(self.input.at + Span::from_ticks(1));
        let window = Window { from: about.from, to: to.max(about.from + Span::from_ticks(1)) };
        let mut evidence = self.evidence()?.extract(window);
        evidence.remarks.add(remark.clone());
        let mut stops = self.stops(&evidence, window);
        let stated = evidence.remarks.stated_stops();
        let spoken_of = stated.into_iter().filter(|stop| stop.window.intersect(window).is_some());
        stops.extend(spoken_of.map(Stop::stated));
        Ok(stops)
    }
}
