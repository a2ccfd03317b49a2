//! What is behind the figures that are there to read at all times: the same rows as an explanation has, in
//! pages, up to the instant at which the figures were made.

use super::explain::{Explanation, Row};
use super::query::{Queries, QueryError, blocking};
use super::view::{KpiWindow, PlantView};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::figure::Figure;
use crate::domain::oee::kpi::{Kpi, Profile};
use crate::domain::time::{Timestamp, Window};

/// Which figures are asked about.
#[derive(Clone, Debug)]
pub struct Question {
    /// Of what.
    pub equipment: Equipment,
    /// Of which window.
    pub window: KpiWindow,
    /// Which one; all when absent.
    pub figure: Option<Figure>,
    /// Where the page before ended.
    pub after: Option<Place>,
    /// Rows wanted at most.
    pub limit: usize,
}

/// A page of what is behind figures.
#[derive(Debug)]
pub struct Answer {
    /// The figures.
    pub kpi: Kpi,
    /// How they are made, in sentences.
    pub rules: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
}

/// Where a page begins: all of its rows are about the same time, line by line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The instant up to which all pages are made.
    pub at: Timestamp,
    /// Lines, or machines, whose rows were given.
    pub units: usize,
    /// Rows of the next one that were given.
    pub rows: usize,
}

impl Queries {
    /// What is behind figures; `None` where there are none, or none any more of the window that was asked
    /// about first.
    pub async fn why(&self, question: &Question) -> Result<Option<Answer>, QueryError> {
        let Question { equipment, window, figure, after, limit } = question;
        let (view, plant) = (self.engine().view(), self.engine().plant());
        let Some(shown) = view.kpi(*window, equipment) else {
            return Ok(None);
        };
        let begin = after.unwrap_or(Place { at: shown.kpi.window.to, units: 0, rows: 0 });
        let at = begin.at;
        let units = match equipment {
            Equipment::Site | Equipment::Area(_) => {
                equipment.lines(&plant).map(|line| Equipment::Line(line.id.clone())).collect()
            }
            unit => vec![unit.clone()],
        };
        let (mut whole, mut rules): (Option<Kpi>, Vec<String>) = (None, Vec::new());
        let (mut rows, mut next) = (Vec::new(), None);
        for (number, unit) in units.into_iter().enumerate() {
            let mut sum: Option<Kpi> = None;
            let mut of_unit = 0;
            for stretch in stretches(&view, *window, &unit, at) {
                sum = Kpi::joined(sum, self.sum(&unit, stretch).await?);
                if number < begin.units || next.is_some() {
                    continue;
                }
                let Some(found) = self.explanation(&unit, stretch).await? else {
                    continue;
                };
                let new = found.rules.into_iter().filter(|rule| !rules.contains(rule));
                let new: Vec<_> = new.collect();
                rules.extend(new);
                for row in found.rows.into_iter().filter(|row| concerns(*figure, row)) {
                    let is_given = number == begin.units && of_unit < begin.rows;
                    if !is_given && rows.len() == *limit {
                        next = Some(Place { at, units: number, rows: of_unit });
                        break;
                    }
                    of_unit += 1;
                    if !is_given {
                        rows.push(row);
                    }
                }
            }
            match (sum, &mut whole) {
                (Some(sum), None) => whole = Some(sum),
                (Some(sum), Some(whole)) => whole.merge_equipment(&sum),
                (None, _) => {}
            }
        }
        Ok(whole.map(|kpi| Answer { kpi, rules, rows, next }))
    }

    async fn explanation(
        &self,
        unit: &Equipment,
        window: Window,
    ) -> Result<Option<Explanation>, QueryError> {
        let facts = self.facts(unit, window).await?;
        let revisions = self.revisions(unit, window).await?;
        let unit = unit.clone();
        let explain = move || Explanation::new(&facts, &unit, window, Profile::Tpm, &revisions);
        blocking(move || Ok(explain())).await
    }
}

/// The stretches of time of a window up to an instant: one, but of an order as many as it has runs.
fn stretches(view: &PlantView, window: KpiWindow, unit: &Equipment, at: Timestamp) -> Vec<Window> {
    let Some(shown) = view.kpi(window, unit) else {
        return Vec::new();
    };
    let runs = view.orders.values().filter(|order| {
        window == KpiWindow::ThisOrder && order.order.id().as_str() == shown.window_name
    });
    let runs: Vec<Window> =
        runs.flat_map(|order| order.order.runs.iter().map(|run| run.window())).collect();
    let whole = if runs.is_empty() { vec![shown.kpi.window] } else { runs };
    let clipped = whole.into_iter().map(|w| Window { from: w.from, to: w.to.min(at) });
    clipped.filter(|window| window.from < window.to).collect()
}

/// Whether a row is about what a figure is made of.
fn concerns(figure: Option<Figure>, row: &Row) -> bool {
    match figure {
        Some(Figure::Availability | Figure::Coverage) => !matches!(row.kind, "count" | "piece"),
        Some(Figure::Quality) => !matches!(row.kind, "interval" | "stop"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_that_a_figure_is_made_of() {
        let row = |kind| Row { kind, ..Row::default() };
        let (interval, count, plant) = (row("interval"), row("count"), row("plant"));
        for figure in [None, Some(Figure::Oee), Some(Figure::Performance)] {
            assert!([&interval, &count, &plant].iter().all(|row| concerns(figure, row)));
        }
        let kinds = |figure| [&interval, &count, &plant].map(|row| concerns(Some(figure), row));
        assert_eq!(kinds(Figure::Availability), [true, false, true]);
        assert_eq!(kinds(Figure::Quality), [false, true, true]);
    }
}
