//! How virtual nodes hang together: orders and lots by what was made of what, all of them with the folders
//! in which they are listed.

use opcua::types::{NodeId, ReferenceTypeId, StatusCode};

use super::VirtualNodes;
use super::named::{lot_day, order_day};
use crate::domain::genealogy::{LotOperation, LotOperationKind};
use crate::domain::id::{LotId, OrderId};
use crate::domain::time::Timestamp;
use crate::server::space::node::Reference;
use crate::server::space::source::Subject;

fn own(reference_type: &NodeId, forward: bool, target: NodeId) -> Reference {
    Reference { reference_type: reference_type.clone(), forward, target }
}

impl VirtualNodes {
    /// References from a virtual node to others; those to what is below it follow from its type.
    pub async fn references(&self, subject: &Subject) -> Result<Vec<Reference>, StatusCode> {
        let references = match subject {
            Subject::Order(order) => self.of_an_order(order).await?,
            Subject::Lot(lot) => self.of_a_lot(lot).await?,
            Subject::Stop(machine, _) => vec![self.listed_in(format!("machine/{machine}/Stops"))],
            Subject::Shift(line, _) => vec![self.listed_in(format!("line/{line}/Shifts"))],
            Subject::Person(_) => vec![self.listed_in("mes/Personnel".to_owned())],
            Subject::OrderDay(_) => vec![self.listed_in("mes/Orders/ByDay".to_owned())],
            Subject::LotDay(_) => vec![self.listed_in("mes/Lots/ByDay".to_owned())],
            _ => Vec::new(),
        };
        Ok(references)
    }

    fn listed_in(&self, folder: String) -> Reference {
        Reference::inverse(ReferenceTypeId::Organizes, self.id(folder))
    }

    /// The day of the site at an instant.
    pub(super) fn date(&self, at: Timestamp) -> crate::domain::calendar::CivilDate {
        self.plant.calendar.zone().date(at)
    }

    async fn of_an_order(&self, order: &OrderId) -> Result<Vec<Reference>, StatusCode> {
        let view = self.order(order).await?;
        let mut references = Vec::new();
        if self.engine.view().orders.contains_key(order) {
            references.push(self.listed_in("mes/Orders".to_owned()));
        }
        let mut days: Vec<_> = view.order.runs.iter().map(|run| self.date(run.start)).collect();
        days.dedup();
        references.extend(days.into_iter().map(|date| self.listed_in(order_day(date))));
        let line = self.id(format!("line/{}", view.order.request.line));
        references.push(own(&self.types.executes_on, true, line));
        for operation in self.of_order(order).await? {
            let lot = self.id(format!("lot/{}", operation.lot));
            references.push(own(self.types.order_to_lot(operation.kind), true, lot));
        }
        Ok(references)
    }

    async fn of_a_lot(&self, lot: &LotId) -> Result<Vec<Reference>, StatusCode> {
        let mut references = Vec::new();
        let operations = self.lot(lot).await?;
        if self.lots_in_use().contains(lot) {
            references.push(self.listed_in("mes/Lots".to_owned()));
        }
        let first = operations.iter().map(|operation| operation.at).min();
        references.extend(first.map(|at| self.listed_in(lot_day(self.date(at)))));
        for operation in operations {
            let order = self.id(format!("order/{}", operation.order));
            references.push(own(self.types.order_to_lot(operation.kind), false, order));
            references.extend(self.beyond(&operation).await?);
        }
        Ok(references)
    }

    /// References from a lot to those on the other side of an order.
    async fn beyond(&self, operation: &LotOperation) -> Result<Vec<Reference>, StatusCode> {
        let forward = operation.kind == LotOperationKind::Produced;
        let others = self.of_order(&operation.order).await?.into_iter();
        let beyond = others.filter(|other| other.kind != operation.kind).map(|other| {
            let target = self.id(format!("lot/{}", other.lot));
            own(&self.types.made_from, forward, target)
        });
        Ok(beyond.collect())
    }
}
