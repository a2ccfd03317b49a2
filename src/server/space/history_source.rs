//! Where stored values come from: what machines said, and figures that are computed from it at whole
//! minutes, as they are known now.

use std::sync::Arc;

use async_trait::async_trait;
use opcua::types::{DataValue, StatusCode, Variant};

use super::figures::figure_value;
use super::history::Source;
use super::value::data_value;
use crate::app::query::{Queries, QueryError, blocking};
use crate::domain::evidence::MachineEvidence;
use crate::domain::id::MachineId;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::figure::Figure;
use crate::domain::plant::Plant;
use crate::domain::series::Point;
use crate::domain::signal::SignalRole;
use crate::domain::time::{Span, TICKS_PER_SECOND, Timestamp, Window};

/// Figures have one stored value a minute.
const KPI_GRID: i64 = 60 * TICKS_PER_SECOND;
/// Time that is looked at at once: at first, and at most where little happens.
const STRETCH: Span = Span::from_seconds(3600);
const STRETCH_MAX: Span = Span::from_seconds(7 * 24 * 3600);
/// The same for figures, where there is no shift for a while.
const FIGURES_MAX: Span = Span::from_seconds(12 * 3600);
/// Stretches that are searched for a value after a range.
const AHEAD_MAX: usize = 12;
const TICK: Span = Span::from_ticks(1);

/// What is stored.
#[derive(Clone, Debug)]
pub enum Stored {
    /// States of a machine.
    States(MachineId),
    /// Values of a counter.
    Counts(MachineId, SignalRole),
    /// A figure.
    Figure(Equipment, Figure),
}

/// The stored values of one variable of the plant.
pub struct PlantSource<'a> {
    /// Questions to memory and archive.
    pub queries: &'a Queries,
    /// The plant.
    pub plant: &'a Arc<Plant>,
    /// What is stored.
    pub stored: &'a Stored,
    /// The present.
    pub now: Timestamp,
}

type Values = Vec<(Timestamp, DataValue)>;

#[async_trait]
impl Source for PlantSource<'_> {
    fn now(&self) -> Timestamp {
        self.now
    }

    async fn oldest(&self) -> Result<Option<Timestamp>, StatusCode> {
        self.queries.oldest(&self.equipment()).await.map_err(status)
    }

    /// Of what machines said there may be little for a long time. Figures are there for every minute
    /// of a shift, and each of them is work.
    fn stretch(&self, before: Option<(Span, bool)>) -> Span {
        match (self.stored, before) {
            (Stored::Figure(..), Some((length, false))) => FIGURES_MAX.min(length + length),
            (Stored::Figure(..), _) | (_, None) => STRETCH,
            (_, Some((length, _))) => STRETCH_MAX.min(length + length),
        }
    }

    async fn values(&self, window: Window) -> Result<Values, StatusCode> {
        match self.stored {
            Stored::Figure(equipment, figure) => self.figures(equipment, *figure, window).await,
            Stored::States(machine) | Stored::Counts(machine, _) => {
                let mut values = self.observed(machine, window).await?;
                values.retain(|(at, _)| window.contains(*at));
                Ok(values)
            }
        }
    }

    async fn last_before(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode> {
        let before = match self.stored {
            Stored::Figure(..) => {
                let minute = floor_minute((at - TICK).min(self.now));
                let is_known = self.oldest().await?.is_some_and(|oldest| minute >= oldest);
                let one = Window { from: minute, to: minute + TICK };
                if is_known { self.values(one).await? } else { Vec::new() }
            }
            // What holds at the start of a window is found with it.
            Stored::States(machine) | Stored::Counts(machine, _) => {
                let window = Window { from: at - TICK, to: at };
                self.observed(machine, window).await?
            }
        };
        Ok(before.into_iter().rfind(|(known, _)| *known < at).map(|(_, value)| value))
    }

    async fn first_since(&self, at: Timestamp) -> Result<Option<DataValue>, StatusCode> {
        let Some(oldest) = self.oldest().await? else {
            return Ok(None);
        };
        let (mut from, mut length) = (at.max(oldest), self.stretch(None));
        for _ in 0..AHEAD_MAX {
            if from > self.now {
                return Ok(None);
            }
            let to = (from + length).min(self.now + TICK);
            let found = self.values(Window { from, to }).await?;
            if let Some((_, value)) = found.into_iter().next() {
                return Ok(Some(value));
            }
            (from, length) = (to, self.stretch(Some((length, false))));
        }
        Ok(None)
    }
}

impl PlantSource<'_> {
    fn equipment(&self) -> Equipment {
        match self.stored {
            Stored::States(machine) | Stored::Counts(machine, _) => {
                Equipment::Machine(machine.clone())
            }
            Stored::Figure(equipment, _) => equipment.clone(),
        }
    }

    /// Observed values with marks where the link was lost, so that nothing stale looks good.
    async fn observed(&self, machine: &MachineId, window: Window) -> Result<Values, StatusCode> {
        let equipment = Equipment::Machine(machine.clone());
        let facts = self.queries.facts(&equipment, window).await.map_err(status)?;
        let evidence = facts.evidence(machine).ok_or(StatusCode::BadNodeIdUnknown)?;
        Ok(observed(evidence, self.stored, self.now))
    }

    async fn figures(
        &self,
        equipment: &Equipment,
        figure: Figure,
        window: Window,
    ) -> Result<Values, StatusCode> {
        let around = shifts_around(self.plant, equipment, window);
        let facts = self.queries.facts(equipment, around).await.map_err(status)?;
        let (plant, equipment, now) = (self.plant.clone(), equipment.clone(), self.now);
        // Hundreds of figures are work; others must not wait for it.
        let computed = blocking(move || {
            let at = |at: Timestamp| {
                let window = shift_until(&plant, &equipment, at)?;
                let kpi = facts.facts().kpi(&equipment, window)?;
                Some((at, figure_value(&kpi, figure, at, now)))
            };
            Ok(minutes(window).filter_map(at).collect())
        });
        computed.await.map_err(status)
    }
}

fn status(error: QueryError) -> StatusCode {
    match error {
        QueryError::Unavailable(_) => StatusCode::BadResourceUnavailable,
        QueryError::NotFound(_) => StatusCode::BadNodeIdUnknown,
    }
}

fn observed(evidence: &MachineEvidence, stored: &Stored, now: Timestamp) -> Values {
    let mut values = Values::new();
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
    values
}

/// The whole minute at or before an instant.
fn floor_minute(at: Timestamp) -> Timestamp {
    Timestamp::from_ticks(at.ticks().div_euclid(KPI_GRID) * KPI_GRID)
}

/// Whole minutes of a window.
fn minutes(window: Window) -> impl Iterator<Item = Timestamp> {
    let minute = Span::from_ticks(KPI_GRID);
    let first = floor_minute(window.from - TICK) + minute;
    std::iter::successors(Some(first), move |at| Some(*at + minute))
        .take_while(move |at| window.contains(*at))
}

/// The window of a figure at an instant: its shift so far.
fn shift_until(plant: &Plant, equipment: &Equipment, at: Timestamp) -> Option<Window> {
    let line = equipment.lines(plant).next()?;
    let place = plant.place_of_line(&line.id)?;
    if !plant.calendar.has_shifts(&place) {
        return Window::new(at - Span::from_seconds(8 * 3600), at);
    }
    // The figure at the first instant of a shift is the last of the shift before.
    let shift = plant.calendar.shift_at(&place, at - TICK)?;
    Window::new(shift.window.from, at)
}

fn shifts_around(plant: &Plant, equipment: &Equipment, window: Window) -> Window {
    let first = shift_until(plant, equipment, window.from + TICK);
    let from = first.map_or(window.from, |first| first.from.min(window.from));
    Window { from, to: window.to }
}
