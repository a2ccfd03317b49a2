//! Orders and lots: nodes that exist only while somebody looks at them, read from picture and store.

use opcua::types::{
    DataTypeId, DateTime, LocalizedText, NodeId, QualifiedName, ReferenceTypeId, StatusCode,
    VariableTypeId, Variant,
};

use super::node::{Node, NodeKind, Reference};
use super::protection::Protection;
use super::types::{Types, id};
use super::value::order_value;
use crate::app::engine::EngineHandle;
use crate::app::query::{Queries, QueryError, blocking};
use crate::app::view::OrderView;
use crate::domain::genealogy::{LotOperation, LotOperationKind};
use crate::domain::id::{LotId, OrderId};
use crate::server::time::date_time;

/// Lots that the folder lists at most; all others are reached by id or by reference.
const LOTS_LISTED_MAX: usize = 1000;

/// Variables of an order with their data types.
const ORDER_VARIABLES: [(&str, DataTypeId, &str); 15] = [
    ("State", DataTypeId::Int32, "Where it stands."),
    ("Revision", DataTypeId::UInt64, "Revision of the ERP."),
    ("Line", DataTypeId::String, "Where it is made."),
    ("Product", DataTypeId::String, "What is made."),
    ("Quantity", DataTypeId::String, "How much, as an exact decimal."),
    ("Unit", DataTypeId::String, "UNECE code of the unit."),
    ("Lot", DataTypeId::String, "The lot that it makes."),
    ("Due", DataTypeId::DateTime, "When it should be ready."),
    ("Priority", DataTypeId::Int32, "Higher goes first."),
    ("GoodCount", DataTypeId::Int64, "Good parts."),
    ("ScrapCount", DataTypeId::Int64, "Scrapped parts."),
    (
        "UnattributedCount",
        DataTypeId::Int64,
        "Parts counted over a gap that another may have made.",
    ),
    ("StartTime", DataTypeId::DateTime, "When it was first started."),
    ("EndTime", DataTypeId::DateTime, "When it ended."),
    ("AllowedCommands", DataTypeId::String, "What can be done now, comma-separated."),
];

const LOT_VARIABLES: [(&str, DataTypeId, &str); 4] = [
    ("Product", DataTypeId::String, "What it is, when it was made here."),
    ("Order", DataTypeId::String, "The order that made it."),
    ("FirstSeen", DataTypeId::DateTime, "When it was first made or used."),
    ("Operations", DataTypeId::UInt32, "How often it was made or used."),
];

/// What a path of a virtual node names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VirtualPath {
    /// An order.
    Order(OrderId),
    /// A variable of an order.
    OrderVariable(OrderId, &'static str),
    /// A lot.
    Lot(LotId),
    /// A variable of a lot.
    LotVariable(LotId, &'static str),
}

impl VirtualPath {
    /// Reads a path such as `order/4711` or `lot/A-1/Product`.
    pub fn parse(path: &str) -> Option<VirtualPath> {
        let (kind, rest) = path.split_once('/')?;
        let (key, variable) = match rest.split_once('/') {
            Some((key, variable)) => (key, Some(variable)),
            None => (rest, None),
        };
        match kind {
            "order" => {
                let order = OrderId::parse(key).ok()?;
                let Some(variable) = variable else {
                    return Some(VirtualPath::Order(order));
                };
                let known = ORDER_VARIABLES.iter().find(|(name, ..)| *name == variable)?;
                Some(VirtualPath::OrderVariable(order, known.0))
            }
            "lot" => {
                let lot = LotId::parse(key).ok()?;
                let Some(variable) = variable else {
                    return Some(VirtualPath::Lot(lot));
                };
                let known = LOT_VARIABLES.iter().find(|(name, ..)| *name == variable)?;
                Some(VirtualPath::LotVariable(lot, known.0))
            }
            _ => None,
        }
    }
}

/// Resolves virtual nodes.
pub struct VirtualNodes {
    pub engine: EngineHandle,
    pub queries: Queries,
    pub namespace: u16,
}

fn status(error: QueryError) -> StatusCode {
    match error {
        QueryError::Unavailable(_) => StatusCode::BadResourceUnavailable,
        QueryError::NotFound(_) => StatusCode::BadNodeIdUnknown,
    }
}

impl VirtualNodes {
    fn id(&self, path: String) -> NodeId {
        NodeId::new(self.namespace, path)
    }

    async fn order(&self, id: &OrderId) -> Result<OrderView, StatusCode> {
        let (order, totals) = self.queries.order(id).await.map_err(status)?;
        Ok(OrderView { order, totals })
    }

    async fn lot(&self, lot: &LotId) -> Result<Vec<LotOperation>, StatusCode> {
        self.queries.lot(lot).await.map_err(status)
    }

    async fn of_order(&self, order: &OrderId) -> Result<Vec<LotOperation>, StatusCode> {
        let (reader, order) = (self.engine.reader().clone(), order.clone());
        blocking(move || Ok(reader.operations_of_order(&order)?)).await.map_err(status)
    }

    /// The node of a path, if the order or lot exists.
    pub async fn node(
        &self,
        path: &VirtualPath,
        types: &Types,
    ) -> Result<Option<Node>, StatusCode> {
        let exists = match path {
            VirtualPath::Order(order) | VirtualPath::OrderVariable(order, _) => {
                self.order(order).await.map(drop)
            }
            VirtualPath::Lot(lot) | VirtualPath::LotVariable(lot, _) => {
                self.lot(lot).await.map(drop)
            }
        };
        match exists {
            Ok(()) => Ok(Some(self.describe(path, types))),
            Err(StatusCode::BadNodeIdUnknown) => Ok(None),
            Err(status) => Err(status),
        }
    }

    fn describe(&self, path: &VirtualPath, types: &Types) -> Node {
        let object =
            |number| NodeKind::Object { type_definition: types.id(number), notifier: false };
        let variable = |data_type: NodeId| NodeKind::Variable {
            type_definition: VariableTypeId::BaseDataVariableType.into(),
            data_type,
            value_rank: -1,
            historizing: false,
        };
        let (path, name, text, kind) = match path {
            VirtualPath::Order(order) => (
                format!("order/{order}"),
                order.as_str(),
                "A job order.",
                object(id::JOB_ORDER_TYPE),
            ),
            VirtualPath::Lot(lot) => {
                (format!("lot/{lot}"), lot.as_str(), "A material lot.", object(id::LOT_TYPE))
            }
            VirtualPath::OrderVariable(order, name) => {
                let row = ORDER_VARIABLES.iter().find(|(known, ..)| known == name);
                let (data_type, text) = row.map_or((DataTypeId::String, ""), |row| (row.1, row.2));
                let data_type =
                    if *name == "State" { types.id(id::JOB_STATE) } else { data_type.into() };
                (format!("order/{order}/{name}"), *name, text, variable(data_type))
            }
            VirtualPath::LotVariable(lot, name) => {
                let row = LOT_VARIABLES.iter().find(|(known, ..)| known == name);
                let (data_type, text) = row.map_or((DataTypeId::String, ""), |row| (row.1, row.2));
                (format!("lot/{lot}/{name}"), *name, text, variable(data_type.into()))
            }
        };
        Node {
            id: self.id(path),
            browse_name: QualifiedName::new(self.namespace, name),
            display_name: LocalizedText::from(name),
            description: LocalizedText::from(text),
            protection: Protection::Open,
            kind,
        }
    }

    /// References of a virtual node.
    pub async fn references(
        &self,
        path: &VirtualPath,
        types: &Types,
    ) -> Result<Vec<Reference>, StatusCode> {
        use ReferenceTypeId::{HasComponent, HasTypeDefinition, Organizes};
        let own = |number, forward, target| Reference {
            reference_type: types.id(number),
            forward,
            target,
        };
        let mut references = Vec::new();
        match path {
            VirtualPath::Order(order) => {
                let view = self.order(order).await?;
                references
                    .push(Reference::forward(HasTypeDefinition, types.id(id::JOB_ORDER_TYPE)));
                references.push(Reference::inverse(Organizes, self.id("orders".into())));
                let line = self.id(format!("line/{}", view.order.request.line));
                references.push(own(id::EXECUTES_ON, true, line));
                for (name, ..) in ORDER_VARIABLES {
                    let variable = self.id(format!("order/{order}/{name}"));
                    references.push(Reference::forward(HasComponent, variable));
                }
                for operation in self.of_order(order).await? {
                    let lot = self.id(format!("lot/{}", operation.lot));
                    references.push(own(order_to_lot(operation.kind), true, lot));
                }
            }
            VirtualPath::Lot(lot) => {
                references.push(Reference::forward(HasTypeDefinition, types.id(id::LOT_TYPE)));
                references.push(Reference::inverse(Organizes, self.id("lots".into())));
                for (name, ..) in LOT_VARIABLES {
                    let variable = self.id(format!("lot/{lot}/{name}"));
                    references.push(Reference::forward(HasComponent, variable));
                }
                for operation in self.lot(lot).await? {
                    let order = self.id(format!("order/{}", operation.order));
                    references.push(own(order_to_lot(operation.kind), false, order));
                    let forward = operation.kind == LotOperationKind::Produced;
                    for other in self.of_order(&operation.order).await? {
                        if other.kind != operation.kind {
                            let target = self.id(format!("lot/{}", other.lot));
                            references.push(own(id::MADE_FROM, forward, target));
                        }
                    }
                }
            }
            VirtualPath::OrderVariable(order, _) => {
                let object = self.id(format!("order/{order}"));
                references.push(Reference::inverse(HasComponent, object));
                let kind = NodeId::from(VariableTypeId::BaseDataVariableType);
                references.push(Reference::forward(HasTypeDefinition, kind));
            }
            VirtualPath::LotVariable(lot, _) => {
                references.push(Reference::inverse(HasComponent, self.id(format!("lot/{lot}"))));
                let kind = NodeId::from(VariableTypeId::BaseDataVariableType);
                references.push(Reference::forward(HasTypeDefinition, kind));
            }
        }
        Ok(references)
    }

    /// The orders and lots that the folders list.
    pub async fn listed(&self, folder: &str) -> Result<Vec<Reference>, StatusCode> {
        let listed = |path| Reference::forward(ReferenceTypeId::Organizes, self.id(path));
        if folder == "orders" {
            let view = self.engine.view();
            return Ok(view.orders.keys().map(|order| listed(format!("order/{order}"))).collect());
        }
        let reader = self.engine.reader().clone();
        let lots = blocking(move || Ok(reader.lots(None, LOTS_LISTED_MAX)?)).await;
        Ok(lots.map_err(status)?.iter().map(|lot| listed(format!("lot/{lot}"))).collect())
    }

    /// The value of a virtual variable.
    pub async fn value(&self, path: &VirtualPath) -> Result<Variant, StatusCode> {
        match path {
            VirtualPath::OrderVariable(order, name) => {
                let view = self.order(order).await?;
                let value = order_value(self.engine.plant(), &view, name);
                value.ok_or(StatusCode::BadNodeIdUnknown)
            }
            VirtualPath::LotVariable(lot, name) => Ok(lot_value(&self.lot(lot).await?, name)),
            VirtualPath::Order(_) | VirtualPath::Lot(_) => Err(StatusCode::BadAttributeIdInvalid),
        }
    }
}

fn order_to_lot(kind: LotOperationKind) -> u32 {
    match kind {
        LotOperationKind::Produced => id::PRODUCES,
        LotOperationKind::Consumed => id::CONSUMES,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_orders_and_lots_and_nothing_else() {
        let order = OrderId::parse("WO-1").unwrap();
        assert_eq!(VirtualPath::parse("order/WO-1"), Some(VirtualPath::Order(order.clone())));
        let variable = VirtualPath::OrderVariable(order, "GoodCount");
        assert_eq!(VirtualPath::parse("order/WO-1/GoodCount"), Some(variable));
        for nothing in ["order", "order/", "order/WO-1/Nothing", "lot/a b", "machine/M1"] {
            assert_eq!(VirtualPath::parse(nothing), None, "{nothing}");
        }
    }
}
