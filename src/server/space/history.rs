//! Stored values as HistoryRead gives them (Part 11 §6.5.3, raw reads).
//!
//! Pages continue from a token of time and place, never from an open transaction.

use opcua::types::{DataValue, StatusCode};

use super::value::{data_value, ratio_value};
use crate::app::query::{Queries, QueryError};
use crate::domain::evidence::MachineEvidence;
use crate::domain::id::MachineId;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::{Kpi, Profile};
use crate::domain::plant::Plant;
use crate::domain::series::Point;
use crate::domain::signal::SignalRole;
use crate::domain::time::{Span, TICKS_PER_SECOND, Timestamp, Window};
use opcua::types::Variant;

/// Values of one page at most.
const PAGE_MAX: usize = 1000;
/// Figures have one stored value a minute.
const KPI_GRID: i64 = 60 * TICKS_PER_SECOND;
/// Longest stretch that is read at once when a request has only one end.
const REACH: Span = Span::from_seconds(7 * 24 * 3600);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RawHistoryRequest {
    /// Start; `None` when not given.
    pub start: Option<Timestamp>,
    /// End; `None` when not given.
    pub end: Option<Timestamp>,
    /// Values wanted at most, in a page where both ends are given; 0 for all.
    pub limit: usize,
    /// Whether the values at the bounds are wanted.
    pub bounds: bool,
    /// Values of the same answer that earlier pages have given.
    pub skip: usize,
    /// The present.
    pub now: Timestamp,
}

/// A page of stored values.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// The values, in the order that was asked for.
    pub values: Vec<DataValue>,
    /// Whether more follow.
    pub more: bool,
}

/// What is stored.
#[derive(Clone, Debug)]
pub enum Stored {
    /// States of a machine.
    States(MachineId),
    /// Values of a counter.
    Counts(MachineId, SignalRole),
    /// A figure, computed at whole minutes from what is known now.
    Figure(Equipment, Figure),
}

/// A figure with history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Figure {
    Oee,
    Availability,
    Performance,
    Quality,
}

/// A request as a window with a direction.
struct Range {
    window: Window,
    reverse: bool,
}

impl RawHistoryRequest {
    /// At least two of start, end and number must be given (Part 11 §6.5.3.2).
    fn range(&self) -> Result<Range, StatusCode> {
        let (from, to, reverse) = match (self.start, self.end) {
            (Some(start), Some(end)) if start <= end => (start, end, false),
            (Some(start), Some(end)) => (end, start, true),
            (Some(start), None) if self.limit > 0 => (start, self.now, false),
            (None, Some(end)) if self.limit > 0 => (end - REACH, end, true),
            _ => return Err(StatusCode::BadHistoryOperationInvalid),
        };
        let to = if self.start == self.end { to + Span::from_ticks(1) } else { to };
        let to = to.min(self.now).max(from);
        Ok(Range { window: Window { from, to }, reverse })
    }
}

/// Reads a page.
pub async fn read(
    queries: &Queries,
    plant: &Plant,
    stored: &Stored,
    request: &RawHistoryRequest,
) -> Result<HistoryPage, StatusCode> {
    let range = request.range()?;
    // With both ends given the number is the size of a page; with one end it is all that is wanted.
    let has_both_ends = request.start.is_some() && request.end.is_some();
    let page = if request.limit == 0 { PAGE_MAX } else { request.limit.min(PAGE_MAX) };
    let wanted = if has_both_ends { usize::MAX } else { request.limit };
    let last = request.skip.saturating_add(page).min(wanted);
    let values = match stored {
        Stored::States(machine) | Stored::Counts(machine, _) => {
            let equipment = Equipment::Machine(machine.clone());
            let facts = queries.facts(&equipment, range.window).await.map_err(status)?;
            let evidence = facts.evidence(machine).ok_or(StatusCode::BadNodeIdUnknown)?;
            observed(evidence, stored, &range, request)
        }
        Stored::Figure(equipment, figure) => {
            let facts = queries.facts(equipment, shifts_around(plant, equipment, range.window));
            let facts = facts.await.map_err(status)?;
            let instants = grid(&range, last.saturating_add(1));
            let at = |at: Timestamp| {
                let window = shift_until(plant, equipment, at)?;
                let kpi = facts.facts().kpi(equipment, window)?;
                Some(figure_value(&kpi, *figure, at, request.now))
            };
            instants.into_iter().filter_map(at).collect()
        }
    };
    let more = values.len() > last && wanted > last;
    let page: Vec<_> = values.into_iter().take(last).skip(request.skip).collect();
    Ok(HistoryPage { values: page, more })
}

fn status(error: QueryError) -> StatusCode {
    match error {
        QueryError::Unavailable(_) => StatusCode::BadResourceUnavailable,
        QueryError::NotFound(_) => StatusCode::BadNodeIdUnknown,
    }
}

/// Observed values with marks where the link was lost, so that nothing stale looks good.
fn observed(
    evidence: &MachineEvidence,
    stored: &Stored,
    range: &Range,
    request: &RawHistoryRequest,
) -> Vec<DataValue> {
    let now = request.now;
    let mut values: Vec<(Timestamp, DataValue)> = Vec::new();
    let mut add = |at: Timestamp, value: Option<Variant>| {
        let status = if value.is_some() { StatusCode::Good } else { StatusCode::BadNoData };
        values.push((at, data_value(value, status, at, now)));
    };
    match stored {
        Stored::States(_) => {
            for Point { at, value, .. } in evidence.states.points() {
                add(*at, value.map(|state| Variant::Int32(state as i32)));
            }
        }
        Stored::Counts(_, role) => {
            for Point { at, value, .. } in
                evidence.counts.get(role).map_or(&[][..], |c| c.values().points())
            {
                add(*at, value.map(Variant::UInt64));
            }
        }
        Stored::Figure(..) => {}
    }
    for link in evidence.links.points().iter().filter(|link| !link.value) {
        let lost = data_value(None, StatusCode::BadNoCommunication, link.at, now);
        values.push((link.at, lost));
    }
    values.sort_by_key(|(at, _)| *at);
    cut(values, range, request)
}

/// The values of a range in its direction, with its bounds where they are wanted.
fn cut(
    values: Vec<(Timestamp, DataValue)>,
    range: &Range,
    request: &RawHistoryRequest,
) -> Vec<DataValue> {
    let Window { from, to } = range.window;
    let holding = values.iter().rev().find(|(at, _)| *at < from).cloned();
    let inside = values.iter().filter(|(at, _)| range.window.contains(*at));
    let mut cut: Vec<DataValue> = inside.map(|(_, value)| value.clone()).collect();
    if request.bounds {
        let starts_inside = values.iter().any(|(at, _)| *at == from);
        if !starts_inside {
            let none = data_value(None, StatusCode::BadBoundNotFound, from, request.now);
            cut.insert(0, holding.map_or(none, |(_, value)| value));
        }
        let after = values.iter().find(|(at, _)| *at >= to);
        let none = data_value(None, StatusCode::BadBoundNotFound, to, request.now);
        cut.push(after.map_or(none, |(_, value)| value.clone()));
    }
    if range.reverse {
        cut.reverse();
    }
    cut
}

/// Whole minutes of a range in its direction, at most `count`.
fn grid(range: &Range, count: usize) -> Vec<Timestamp> {
    let first = range.window.from.ticks().div_euclid(KPI_GRID)
        + i64::from(range.window.from.ticks().rem_euclid(KPI_GRID) != 0);
    let end = (range.window.to.ticks() - 1).div_euclid(KPI_GRID);
    let minutes = first..=end;
    let instant = |minute: i64| Timestamp::from_ticks(minute * KPI_GRID);
    if range.reverse {
        minutes.rev().take(count).map(instant).collect()
    } else {
        minutes.take(count).map(instant).collect()
    }
}

/// The window of a figure at an instant: its shift so far.
fn shift_until(plant: &Plant, equipment: &Equipment, at: Timestamp) -> Option<Window> {
    let line = equipment.lines(plant).next()?;
    if !plant.calendar.has_shifts(&line.id) {
        return Window::new(at - Span::from_seconds(8 * 3600), at);
    }
    // The figure at the first instant of a shift is the last of the shift before.
    let shift = plant.calendar.shift_at(&line.id, at - Span::from_ticks(1))?;
    Window::new(shift.window.from, at)
}

fn shifts_around(plant: &Plant, equipment: &Equipment, window: Window) -> Window {
    let first = shift_until(plant, equipment, window.from + Span::from_ticks(1));
    let from = first.map_or(window.from, |first| first.from.min(window.from));
    Window { from, to: window.to }
}

fn figure_value(kpi: &Kpi, figure: Figure, at: Timestamp, now: Timestamp) -> DataValue {
    let ratio = match figure {
        Figure::Oee => kpi.oee(),
        Figure::Availability => kpi.availability(Profile::Tpm),
        Figure::Performance => kpi.performance(Profile::Tpm),
        Figure::Quality => kpi.quality(),
    };
    ratio_value(kpi, ratio, at, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(start: Option<i64>, end: Option<i64>, limit: usize) -> RawHistoryRequest {
        RawHistoryRequest {
            start: start.map(Timestamp::from_ticks),
            end: end.map(Timestamp::from_ticks),
            limit,
            bounds: true,
            skip: 0,
            now: Timestamp::from_ticks(1000),
        }
    }

    fn values(request: &RawHistoryRequest) -> Vec<i64> {
        let at = |ticks| Timestamp::from_ticks(ticks);
        let stored = [10, 20, 30]
            .map(|t| (at(t), data_value(Some(Variant::Int64(t)), StatusCode::Good, at(t), at(t))));
        let range = request.range().unwrap();
        let cut = cut(stored.to_vec(), &range, request);
        cut.iter().map(|v| if let Some(Variant::Int64(n)) = v.value { n } else { -1 }).collect()
    }

    #[test]
    fn bounds_are_the_values_around_or_not_found() {
        assert_eq!(values(&request(Some(15), Some(25), 0)), [10, 20, 30]);
        assert_eq!(values(&request(Some(5), Some(40), 0)), [-1, 10, 20, 30, -1]);
        assert_eq!(values(&request(Some(20), Some(30), 0)), [20, 30]);
    }

    #[test]
    fn an_end_before_the_start_reads_backwards_and_one_end_needs_a_number() {
        assert_eq!(values(&request(Some(25), Some(15), 0)), [30, 20, 10]);
        assert!(request(Some(5), None, 0).range().is_err());
        assert!(request(None, Some(5), 3).range().unwrap().reverse);
    }
}
