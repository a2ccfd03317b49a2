//! What folders list of virtual nodes. Short lists are references of the folder; long ones come in pages,
//! each read when it is wanted, so that a day with a hundred thousand lots costs what is looked at.

use std::collections::BTreeSet;

use opcua::types::{ReferenceTypeId, StatusCode};

use super::named::{lot_day, order_day, shift, stop};
use super::{VirtualNodes, status};
use crate::app::query::blocking;
use crate::app::view::PlantView;
use crate::domain::calendar::CivilDate;
use crate::domain::id::{LineId, LotId, MachineId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::time::{Span, Timestamp, Window};
use crate::server::space::node::Reference;
use crate::server::space::source::Subject;

/// Nodes of one page.
const PAGE: usize = 1000;
/// Stops of the last day are listed.
const STOPS_OF: Span = Span::from_seconds(86_400);
/// Shifts of the last week and the next day are listed.
const SHIFTS_BACK: Span = Span::from_seconds(7 * 86_400);
const SHIFTS_AHEAD: Span = Span::from_seconds(86_400);
const TICK: Span = Span::from_ticks(1);

/// A page of what a folder lists.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// References to the nodes.
    pub references: Vec<Reference>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// A list that comes in pages.
enum List {
    /// The days on which orders were made.
    OrderDays,
    /// The days on which lots were first made or used.
    LotDays,
    /// The orders of a day.
    Orders(CivilDate),
    /// The lots of a day.
    Lots(CivilDate),
    /// The stops of a machine.
    Stops(MachineId),
}

impl VirtualNodes {
    /// The orders that their folder lists.
    pub fn orders_listed(&self, view: &PlantView) -> Vec<Reference> {
        view.orders.keys().map(|order| self.organizes(format!("order/{order}"))).collect()
    }

    fn organizes(&self, path: String) -> Reference {
        Reference::forward(ReferenceTypeId::Organizes, self.id(path))
    }

    /// Lots that machines use now, and that unfinished orders make.
    pub(super) fn lots_in_use(&self) -> BTreeSet<LotId> {
        let view = self.engine.view();
        let used = view.machines.values().filter_map(|machine| machine.lot.clone());
        let unfinished = view.orders.values().filter(|view| {
            let order = &view.order;
            !order.runs.is_empty() && !order.state.is_final()
        });
        used.chain(unfinished.map(|view| view.order.lot())).collect()
    }

    /// Those of these lots that are nodes: of a lot that a machine has while no order runs nothing is
    /// recorded.
    async fn recorded(&self, lots: BTreeSet<LotId>) -> Result<Vec<LotId>, StatusCode> {
        let reader = self.engine.reader().clone();
        let read = move || {
            let mut recorded = Vec::new();
            for lot in lots {
                if reader.lot_begin(&lot)?.is_some() {
                    recorded.push(lot);
                }
            }
            Ok(recorded)
        };
        blocking(read).await.map_err(status)
    }

    /// What a folder with a short list has.
    pub async fn listed(&self, folder: &str) -> Result<Vec<Reference>, StatusCode> {
        match folder {
            "mes/Orders" => Ok(self.orders_listed(&self.engine.view())),
            "mes/Lots" => {
                let lots = self.recorded(self.lots_in_use()).await?;
                Ok(lots.iter().map(|lot| self.organizes(format!("lot/{lot}"))).collect())
            }
            "mes/Personnel" => {
                let view = self.engine.view();
                let people: BTreeSet<_> =
                    view.machines.values().filter_map(|machine| machine.operator.clone()).collect();
                Ok(people.iter().map(|one| self.organizes(format!("person/{one}"))).collect())
            }
            _ => match folder.strip_prefix("line/").and_then(|rest| rest.strip_suffix("/Shifts")) {
                Some(line) => self.shifts(line).await,
                None => Ok(Vec::new()),
            },
        }
    }

    async fn shifts(&self, line: &str) -> Result<Vec<Reference>, StatusCode> {
        let Ok(line) = LineId::parse(line) else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let window = Window { from: now - SHIFTS_BACK, to: now + SHIFTS_AHEAD };
        let shifts = self.queries.history().await.map_err(status)?.shifts(&line, window);
        let listed = shifts.iter().map(|one| self.organizes(shift(&line, one.window.from)));
        Ok(listed.collect())
    }

    fn list(&self, path: &str) -> Option<List> {
        match path {
            "mes/Orders/ByDay" => return Some(List::OrderDays),
            "mes/Lots/ByDay" => return Some(List::LotDays),
            _ => {}
        }
        if let Some(machine) = path.strip_prefix("machine/") {
            let machine = MachineId::parse(machine.strip_suffix("/Stops")?).ok()?;
            return self.plant.machines.contains_key(&machine).then_some(List::Stops(machine));
        }
        match self.named(path)? {
            (instance, "") => match instance.subject {
                Subject::OrderDay(date) => Some(List::Orders(date)),
                Subject::LotDay(date) => Some(List::Lots(date)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether what a folder lists comes in pages.
    pub fn has_pages(&self, path: &str) -> bool {
        self.list(path).is_some()
    }

    /// A page of what a folder lists, after the pages before.
    pub async fn page(&self, path: &str, after: Option<&str>) -> Result<Listed, StatusCode> {
        match self.list(path) {
            Some(List::OrderDays) => self.order_days(after).await,
            Some(List::LotDays) => self.lot_days(after).await,
            Some(List::Orders(date)) => self.orders_of(date).await,
            Some(List::Lots(date)) => self.lots_of(date, after).await,
            Some(List::Stops(machine)) => self.stops_of(&machine, after).await,
            None => Ok(Listed::default()),
        }
    }

    /// A day of the site.
    fn day(&self, date: CivilDate) -> Window {
        let zone = self.plant.calendar.zone();
        Window { from: zone.instant(date, 0), to: zone.instant(date.plus(1), 0) }
    }

    /// First instant that belongs to the page after a day.
    fn after_day(&self, after: Option<&str>) -> Timestamp {
        after.and_then(CivilDate::parse).map_or(Timestamp::MIN, |date| self.day(date).to)
    }

    async fn lot_days(&self, after: Option<&str>) -> Result<Listed, StatusCode> {
        let (reader, mut from) = (self.engine.reader().clone(), self.after_day(after));
        let zone = self.plant.calendar.zone().clone();
        let dates = blocking(move || {
            let mut dates = Vec::new();
            while dates.len() < PAGE {
                let rest = Window { from, to: Timestamp::MAX };
                let Some((at, _)) = reader.lots_begun(rest, None, 1)?.pop() else {
                    break;
                };
                let date = zone.date(at);
                from = zone.instant(date.plus(1), 0);
                dates.push(date);
            }
            Ok(dates)
        });
        let dates: Vec<CivilDate> = dates.await.map_err(status)?;
        Ok(self.days(&dates, lot_day))
    }

    async fn order_days(&self, after: Option<&str>) -> Result<Listed, StatusCode> {
        let (reader, mut from) = (self.engine.reader().clone(), self.after_day(after));
        let zone = self.plant.calendar.zone().clone();
        let lines = self.all_lines().await?;
        let dates = blocking(move || {
            let mut dates = Vec::new();
            while dates.len() < PAGE {
                let mut next: Option<Timestamp> = None;
                for line in &lines {
                    let run = reader.next_run(line, from)?.map(|run| run.start);
                    next = next.into_iter().chain(run).min();
                }
                let Some(at) = next else {
                    break;
                };
                let date = zone.date(at);
                from = zone.instant(date.plus(1), 0);
                dates.push(date);
            }
            Ok(dates)
        });
        let dates: Vec<CivilDate> = dates.await.map_err(status)?;
        Ok(self.days(&dates, order_day))
    }

    /// All lines that there are or were, since orders outlive lines.
    async fn all_lines(&self) -> Result<BTreeSet<LineId>, StatusCode> {
        let history = self.queries.history().await.map_err(status)?;
        let plants = history.versions().iter().map(|(_, plant)| plant);
        Ok(plants.flat_map(|plant| plant.lines.keys().cloned()).collect())
    }

    fn days(&self, dates: &[CivilDate], path: fn(CivilDate) -> String) -> Listed {
        let references = dates.iter().map(|date| self.organizes(path(*date))).collect();
        let next = dates.last().filter(|_| dates.len() == PAGE).map(ToString::to_string);
        Listed { references, next }
    }

    /// The orders of which a run began on a day; no line makes more than some hundreds.
    async fn orders_of(&self, date: CivilDate) -> Result<Listed, StatusCode> {
        let (reader, day) = (self.engine.reader().clone(), self.day(date));
        let lines = self.all_lines().await?;
        let orders = blocking(move || {
            let mut orders = BTreeSet::new();
            for line in &lines {
                let runs = reader.runs(line, day)?.into_iter();
                orders.extend(runs.filter(|run| day.contains(run.start)).map(|run| run.order));
            }
            Ok(orders)
        });
        let orders = orders.await.map_err(status)?;
        let references = orders.iter().map(|order| self.organizes(format!("order/{order}")));
        Ok(Listed { references: references.collect(), next: None })
    }

    async fn lots_of(&self, date: CivilDate, after: Option<&str>) -> Result<Listed, StatusCode> {
        let place = |after: &str| {
            let (ticks, lot) = after.split_once(' ')?;
            Some((Timestamp::from_ticks(ticks.parse().ok()?), LotId::parse(lot).ok()?))
        };
        let (reader, day) = (self.engine.reader().clone(), self.day(date));
        let after = after.and_then(place);
        let read = move || Ok(reader.lots_begun(day, after.as_ref(), PAGE)?);
        let lots = blocking(read).await.map_err(status)?;
        let next = lots.last().filter(|_| lots.len() == PAGE);
        let next = next.map(|(at, lot)| format!("{} {lot}", at.ticks()));
        let references = lots.iter().map(|(_, lot)| self.organizes(format!("lot/{lot}")));
        Ok(Listed { references: references.collect(), next })
    }

    async fn stops_of(
        &self,
        machine: &MachineId,
        after: Option<&str>,
    ) -> Result<Listed, StatusCode> {
        let now = self.clock.now();
        let ticks = after.and_then(|after| after.parse().ok());
        let from = ticks.map_or(now - STOPS_OF, |ticks| Timestamp::from_ticks(ticks) + TICK);
        let window = Window { from, to: now.max(from + TICK) };
        let equipment = Equipment::Machine(machine.clone());
        let stops = self.queries.stops(&equipment, window).await.map_err(status)?;
        // What began before is on the page before, or older than a day but not over.
        let wanted = stops.iter().filter(|(_, stop)| ticks.is_none() || stop.start >= from);
        let page: Vec<_> = wanted.take(PAGE).map(|(_, stop)| stop.start).collect();
        let next = page.last().filter(|_| page.len() == PAGE).map(|at| at.ticks().to_string());
        let references = page.iter().map(|start| self.organizes(stop(machine, *start))).collect();
        Ok(Listed { references, next })
    }
}
