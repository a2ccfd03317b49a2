//! What virtual nodes say: whether they exist, and the values of their variables.

use opcua::types::{DateTime, StatusCode, Variant};

use super::{VirtualNodes, status};
use crate::app::ports::{NoticePage, NoticePlace};
use crate::app::query::blocking;
use crate::app::view::OrderView;
use crate::channel::time::date_time;
use crate::domain::calendar::ShiftInstance;
use crate::domain::genealogy::{LotOperation, LotOperationKind};
use crate::domain::id::{LineId, LotId, MachineId, OrderId, PersonId};
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::stops::Stop;
use crate::domain::time::{Span, Timestamp, Window};
use crate::server::space::source::{Source, Subject};
use crate::server::space::stops::stop_value;
use crate::server::space::structures::{LotOperationStructure, Note, QualityRecord};
use crate::server::space::value::order_value;

/// Quality records of one order that are shown.
const RECORDS_MAX: usize = 1000;

/// One instant.
fn instant(at: Timestamp) -> Window {
    Window { from: at, to: at + Span::from_ticks(1) }
}

impl VirtualNodes {
    pub(super) async fn order(&self, id: &OrderId) -> Result<OrderView, StatusCode> {
        let (order, totals) = self.queries.order(id).await.map_err(status)?;
        Ok(OrderView { order, totals })
    }

    pub(super) async fn lot(&self, lot: &LotId) -> Result<Vec<LotOperation>, StatusCode> {
        self.queries.lot(lot).await.map_err(status)
    }

    pub(super) async fn of_order(&self, order: &OrderId) -> Result<Vec<LotOperation>, StatusCode> {
        self.queries.operations_of_order(order).await.map_err(status)
    }

    /// A stop by its first instant.
    async fn stop(&self, machine: &MachineId, start: Timestamp) -> Result<Stop, StatusCode> {
        if !self.plant.machines.contains_key(machine) {
            return Err(StatusCode::BadNodeIdUnknown);
        }
        let equipment = Equipment::Machine(machine.clone());
        let stops = self.queries.stops(&equipment, instant(start)).await.map_err(status)?;
        let found = stops.into_iter().map(|(_, stop)| stop).find(|stop| stop.start == start);
        found.ok_or(StatusCode::BadNodeIdUnknown)
    }

    /// A shift by its first instant.
    async fn shift(&self, line: &LineId, start: Timestamp) -> Result<ShiftInstance, StatusCode> {
        let history = self.queries.history().await.map_err(status)?;
        let mut shifts = history.shifts(line, instant(start)).into_iter();
        shifts.find(|shift| shift.window.from == start).ok_or(StatusCode::BadNodeIdUnknown)
    }

    /// The machines at which a person works now.
    pub(super) fn machines_of(&self, person: &PersonId) -> Vec<MachineId> {
        let view = self.engine.view();
        let machines = view.machines.iter().filter(|(_, m)| m.operator.as_ref() == Some(person));
        machines.map(|(machine, _)| machine.clone()).collect()
    }

    /// Whether something exists.
    pub async fn exists(&self, subject: &Subject) -> Result<bool, StatusCode> {
        let found = match subject {
            Subject::Order(order) => self.order(order).await.map(drop),
            Subject::Lot(lot) => self.lot(lot).await.map(drop),
            Subject::Stop(machine, start) => self.stop(machine, *start).await.map(drop),
            Subject::Shift(line, start) => self.shift(line, *start).await.map(drop),
            Subject::Person(person) => return Ok(!self.machines_of(person).is_empty()),
            // Days that come are empty, and yet days.
            Subject::OrderDay(_) | Subject::LotDay(_) => return Ok(true),
            _ => return Ok(false),
        };
        match found {
            Ok(()) => Ok(true),
            Err(StatusCode::BadNodeIdUnknown) => Ok(false),
            Err(status) => Err(status),
        }
    }

    /// The value of a variable.
    pub async fn value(&self, subject: &Subject, source: &Source) -> Result<Variant, StatusCode> {
        match (subject, source) {
            (Subject::Order(order), Source::Order(name)) if name == "LotOperations" => {
                // An order without lots has none; one that is not there is no order.
                self.order(order).await?;
                Ok(self.operations(&self.of_order(order).await?))
            }
            (Subject::Order(order), Source::Order(name)) if name == "QualityRecords" => {
                self.order(order).await?;
                Ok(self.encoder.array(&self.quality_records(order).await?))
            }
            (Subject::Order(order), Source::Order(name)) => {
                let view = self.order(order).await?;
                let value = order_value(&self.plant, &view, name);
                value.ok_or(StatusCode::BadNodeIdUnknown)
            }
            (Subject::Lot(lot), Source::Lot(name)) => {
                let operations = self.lot(lot).await?;
                Ok(match name.as_str() {
                    "History" => self.operations(&operations),
                    name => lot_value(&operations, name),
                })
            }
            (Subject::Stop(machine, start), Source::PastStop(value)) => {
                let stop = self.stop(machine, *start).await?;
                Ok(stop_value(&self.plant, machine, Some(&stop), *value, self.clock.now()))
            }
            (Subject::Shift(line, start), Source::Shift(name)) => {
                self.shift_value(line, *start, name).await
            }
            (Subject::Person(person), Source::Person(name)) => match name.as_str() {
                "PersonId" => Ok(Variant::from(person.as_str())),
                _ => {
                    let machines = self.machines_of(person);
                    let machines = machines.iter().map(ToString::to_string);
                    Ok(Variant::from(machines.collect::<Vec<_>>()))
                }
            },
            _ => Err(StatusCode::BadAttributeIdInvalid),
        }
    }

    /// What was said of the quality of an order's parts, oldest first: the last records that there are.
    async fn quality_records(&self, order: &OrderId) -> Result<Vec<QualityRecord>, StatusCode> {
        let (reader, plant) = (self.engine.reader().clone(), self.plant.clone());
        let mut page = NoticePage {
            place: NoticePlace::Order(order.clone()),
            window: Window { from: Timestamp::MIN, to: Timestamp::MAX },
            after: None,
            backwards: true,
            limit: RECORDS_MAX,
        };
        let read = move || {
            let mut records = Vec::new();
            while records.len() < RECORDS_MAX {
                let notices = reader.notices(&page)?;
                records.extend(notices.iter().filter_map(|one| QualityRecord::of(&plant, one)));
                let Some(last) = notices.last().filter(|_| notices.len() == page.limit) else {
                    break;
                };
                page.after = Some((last.at, last.number));
            }
            records.truncate(RECORDS_MAX);
            records.reverse();
            Ok(records)
        };
        blocking(read).await.map_err(status)
    }

    /// Operations as the value of a variable.
    fn operations(&self, operations: &[LotOperation]) -> Variant {
        let structures = operations.iter().map(|o| LotOperationStructure::new(0, o));
        self.encoder.array(&structures.collect::<Vec<_>>())
    }

    async fn shift_value(
        &self,
        line: &LineId,
        start: Timestamp,
        name: &str,
    ) -> Result<Variant, StatusCode> {
        let shift = self.shift(line, start).await?;
        let (reader, of) = (self.engine.reader().clone(), line.clone());
        let read = move || Ok((reader.shift_records(&of, start)?, reader.shift_notes(&of, start)?));
        let (records, notes) = blocking(read).await.map_err(status)?;
        let record = records.last();
        let equipment = Equipment::Line(line.clone());
        let kpi = record.and_then(|record| record.of(&equipment)).ok_or(StatusCode::BadNoData);
        Ok(match name {
            "Name" => Variant::from(shift.name),
            "ProductionDate" => Variant::from(shift.production_date.to_string()),
            "Start" => date_time(shift.window.from).into(),
            "End" => date_time(shift.window.to).into(),
            "Closed" => Variant::Boolean(record.is_some()),
            "Revision" => Variant::UInt32(record.map_or(0, |record| record.revision)),
            "Oee" => Variant::Double(kpi?.oee().ok_or(StatusCode::BadNoData)?.to_f64()),
            "GoodCount" => Variant::Int64(kpi?.production.parts.good),
            "RejectCount" => Variant::Int64(kpi?.production.parts.reject),
            "Notes" => self.encoder.array(&notes.iter().map(Note::from).collect::<Vec<_>>()),
            _ => return Err(StatusCode::BadAttributeIdInvalid),
        })
    }
}

fn lot_value(operations: &[LotOperation], name: &str) -> Variant {
    let produced = operations.iter().find(|o| o.kind == LotOperationKind::Produced);
    match name {
        "Product" => Variant::from(produced.map_or("", |o| o.product.as_str())),
        "Order" => Variant::from(produced.map_or("", |o| o.order.as_str())),
        "FirstSeen" => {
            let first = operations.iter().map(|o| o.at).min();
            first.map_or_else(DateTime::null, date_time).into()
        }
        _ => Variant::UInt32(u32::try_from(operations.len()).unwrap_or(u32::MAX)),
    }
}
