//! Stops as JSON: when, how long, why, and who said so.
//!
//! HTTP and `explain` print this same report.

use serde::Serialize;

use super::query::WindowFacts;
use super::time_text;
use crate::domain::id::{LineId, MachineId};
use crate::domain::oee::cause::LineStop;
use crate::domain::oee::stops::Stop;
use crate::domain::plant::Plant;
use crate::domain::time::{Span, TICKS_PER_SECOND, Timestamp, Window};

/// A stop of a machine.
#[derive(Serialize, Clone, Debug)]
pub struct StopReport {
    /// The machine.
    pub machine: String,
    /// The start under which it is known; another one than `start` where stops were merged.
    pub record: String,
    /// First instant.
    pub start: String,
    /// First instant after.
    pub end: Option<String>,
    /// Length so far, in seconds.
    pub duration_s: f64,
    /// The state in which it began.
    pub state: &'static str,
    /// From where it is known: `signal`, `pace`, `silence` or `stated`.
    pub origin: &'static str,
    /// Whether it is shorter than the threshold of the machine.
    pub micro: bool,
    /// Whether somebody has still to say why.
    pub needs_explanation: bool,
    /// The reason that holds now.
    pub reason: Option<String>,
    /// Its name.
    pub reason_name: Option<String>,
    /// The names of the reason and of those above it.
    pub reason_path: Vec<String>,
    /// What was said with it.
    pub comment: Option<String>,
    /// Who gave the reason; the machine itself when absent.
    pub classified_by: Option<String>,
    /// When.
    pub classified_at: Option<String>,
}

/// Seconds of a span; exact in decimal print for spans below 28 years.
pub fn seconds(span: Span) -> f64 {
    span.ticks() as f64 / TICKS_PER_SECOND as f64
}

impl StopReport {
    /// The report of a stop as it is now, with names in a language where they are there.
    pub fn new(
        plant: &Plant,
        machine: &MachineId,
        stop: &Stop,
        language: Option<&str>,
        now: Timestamp,
    ) -> StopReport {
        let described = plant.machines.get(machine);
        let given = stop.reason_at(plant, stop.end.unwrap_or(now) - Span::from_ticks(1));
        let path = given.as_ref().map(|reason| plant.reason_path(reason)).unwrap_or_default();
        let names: Vec<String> = path
            .iter()
            .map(|reason| language.map_or(&*reason.name, |l| reason.name_in(l)).to_owned())
            .collect();
        let said = stop.cause.as_ref().and_then(|cause| cause.said.as_ref());
        StopReport {
            machine: machine.to_string(),
            record: time_text::print(stop.record),
            start: time_text::print(stop.start),
            end: stop.end.map(time_text::print),
            duration_s: seconds(stop.length_at(now)),
            state: stop.state.as_str(),
            origin: stop.origin.as_str(),
            micro: described.is_some_and(|m| stop.is_micro(m.micro_stop_below)),
            needs_explanation: described.is_some_and(|m| stop.needs_explanation(plant, m, now)),
            reason: given.as_ref().map(ToString::to_string),
            reason_name: names.last().cloned(),
            reason_path: names,
            comment: said.map(|said| said.comment.clone()),
            classified_by: said.map(|said| said.actor.clone()),
            classified_at: said.map(|said| time_text::print(said.at)),
        }
    }

    /// The reports of all stops that touch a window, stated ones among them, in order of time.
    pub fn all(
        facts: &WindowFacts,
        window: Window,
        language: Option<&str>,
        now: Timestamp,
    ) -> Vec<StopReport> {
        let mut reports: Vec<(Timestamp, StopReport)> = Vec::new();
        for machine in facts.machines() {
            let of = facts.facts();
            for stop in of.stops(machine, window) {
                let plant = of.history.at(stop.start);
                let report = StopReport::new(plant, machine, &stop, language, now);
                reports.push((stop.start, report));
            }
            for stop in of.stated_stops(machine, window) {
                let plant = of.history.at(stop.start);
                let report = StopReport::new(plant, machine, &stop, language, now);
                reports.push((stop.start, report));
            }
        }
        reports.sort_by(|a, b| (a.0, &a.1.machine).cmp(&(b.0, &b.1.machine)));
        reports.into_iter().map(|(_, report)| report).collect()
    }
}

/// A stop of a line and the machine that caused it.
#[derive(Serialize, Clone, Debug)]
pub struct LineStopReport {
    /// First instant.
    pub start: String,
    /// First instant after.
    pub end: Option<String>,
    /// Length so far, in seconds.
    pub duration_s: f64,
    /// The machine that caused it.
    pub caused_by: String,
    /// When that machine stopped.
    pub caused_at: String,
    /// Why, as far as it is known.
    pub reason: Option<String>,
    /// Name of the reason.
    pub reason_name: Option<String>,
}

impl LineStopReport {
    /// The reports of all stops of a line that touch a window, in order of time.
    pub fn all(
        facts: &WindowFacts,
        line: &LineId,
        window: Window,
        language: Option<&str>,
        now: Timestamp,
    ) -> Vec<LineStopReport> {
        let of = facts.facts();
        let stops = of.line_stops(line, window);
        let report = |stop: &LineStop| {
            let plant = of.history.at(stop.stop.start);
            LineStopReport::new(plant, stop, language, now)
        };
        stops.iter().map(report).collect()
    }

    fn new(plant: &Plant, found: &LineStop, language: Option<&str>, now: Timestamp) -> Self {
        let reason = found.cause().map(|cause| &cause.reason);
        let entry = reason.and_then(|reason| plant.reasons.get(reason));
        let own = found.caused_by.as_ref().unwrap_or(&found.stop);
        LineStopReport {
            start: time_text::print(found.stop.start),
            end: found.stop.end.map(time_text::print),
            duration_s: seconds(found.stop.length_at(now)),
            caused_by: found.machine.to_string(),
            caused_at: time_text::print(own.start),
            reason: reason.map(ToString::to_string),
            reason_name: entry.map(|entry| {
                language.map_or(&*entry.name, |language| entry.name_in(language)).to_owned()
            }),
        }
    }
}
