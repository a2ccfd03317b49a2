//! Orders and lots: nodes that exist only while somebody looks at them, read from picture and store.

use hashbrown::HashMap;
use opcua::types::{
    DateTime, LocalizedText, NodeId, QualifiedName, ReferenceTypeId, StatusCode, Variant,
};

use super::build::VirtualMembers;
use super::instance::Instance;
use super::model::Model;
use super::node::{Attributes, NodeKind, Reference};
use super::protection::Protection;
use super::value::{Source, Subject, order_value};
use crate::app::engine::EngineHandle;
use crate::app::query::{Queries, QueryError, blocking};
use crate::app::view::{OrderView, PlantView};
use crate::domain::genealogy::{LotOperation, LotOperationKind};
use crate::domain::id::{LotId, OrderId};
use crate::server::time::date_time;

/// Lots that the folder lists at most; all others are reached by id or by reference.
const LOTS_LISTED_MAX: usize = 1000;

/// Resolves virtual nodes.
pub struct VirtualNodes {
    pub engine: EngineHandle,
    pub queries: Queries,
    pub namespace: u16,
    pub types: VirtualTypes,
    pub members: VirtualMembers,
}

/// Types of orders and lots, and of the references between them.
pub struct VirtualTypes {
    order: NodeId,
    lot: NodeId,
    executes_on: NodeId,
    produces: NodeId,
    consumes: NodeId,
    made_from: NodeId,
}

impl VirtualTypes {
    /// The types of a model.
    pub fn new(model: &Model) -> VirtualTypes {
        VirtualTypes {
            order: model.own("JobOrderType"),
            lot: model.own("LotType"),
            executes_on: model.own("ExecutesOn"),
            produces: model.own("Produces"),
            consumes: model.own("Consumes"),
            made_from: model.own("MadeFrom"),
        }
    }

    fn order_to_lot(&self, kind: LotOperationKind) -> &NodeId {
        match kind {
            LotOperationKind::Produced => &self.produces,
            LotOperationKind::Consumed => &self.consumes,
        }
    }
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
        self.queries.operations_of_order(order).await.map_err(status)
    }

    /// The order or lot that a path names, whether it exists or not, and what is below it.
    pub fn named<'a>(&self, path: &'a str) -> Option<(Instance, &'a str)> {
        let (kind, rest) = path.split_once('/')?;
        let (key, below) = rest.split_once('/').unwrap_or((rest, ""));
        let (subject, members) = match kind {
            "order" => (Subject::Order(OrderId::parse(key).ok()?), &self.members.order),
            "lot" => (Subject::Lot(LotId::parse(key).ok()?), &self.members.lot),
            _ => return None,
        };
        let (of_type, text) = match subject {
            Subject::Order(_) => (&self.types.order, "A job order."),
            _ => (&self.types.lot, "A material lot."),
        };
        let kind_of = NodeKind::Object { type_definition: of_type.clone(), notifier: 0 };
        let attributes = Attributes {
            browse_name: QualifiedName::new(self.namespace, key),
            display_name: LocalizedText::from(key),
            description: LocalizedText::from(text),
            protection: Protection::Open,
            kind: kind_of,
        };
        let of_type = ReferenceTypeId::HasTypeDefinition;
        let type_definition = attributes.type_definition();
        let instance = Instance {
            path: format!("{kind}/{key}"),
            subject,
            attributes: attributes.into(),
            source: None,
            members: members.clone(),
            references: vec![Reference::forward(of_type, type_definition)],
            member_references: HashMap::new(),
            notifier: None,
        };
        Some((instance, below))
    }

    /// Whether an order or lot exists.
    pub async fn exists(&self, subject: &Subject) -> Result<bool, StatusCode> {
        let found = match subject {
            Subject::Order(order) => self.order(order).await.map(drop),
            Subject::Lot(lot) => self.lot(lot).await.map(drop),
            _ => return Ok(false),
        };
        match found {
            Ok(()) => Ok(true),
            Err(StatusCode::BadNodeIdUnknown) => Ok(false),
            Err(status) => Err(status),
        }
    }

    /// References from an order or lot to others.
    pub async fn references(&self, subject: &Subject) -> Result<Vec<Reference>, StatusCode> {
        let own = |reference_type: &NodeId, forward, target| Reference {
            reference_type: reference_type.clone(),
            forward,
            target,
        };
        let listed =
            |folder: &str| Reference::inverse(ReferenceTypeId::Organizes, self.id(folder.into()));
        let mut references = Vec::new();
        match subject {
            Subject::Order(order) => {
                let view = self.order(order).await?;
                references.push(listed("mes/Orders"));
                let line = self.id(format!("line/{}", view.order.request.line));
                references.push(own(&self.types.executes_on, true, line));
                for operation in self.of_order(order).await? {
                    let lot = self.id(format!("lot/{}", operation.lot));
                    references.push(own(self.types.order_to_lot(operation.kind), true, lot));
                }
            }
            Subject::Lot(lot) => {
                references.push(listed("mes/Lots"));
                for operation in self.lot(lot).await? {
                    let order = self.id(format!("order/{}", operation.order));
                    references.push(own(self.types.order_to_lot(operation.kind), false, order));
                    let forward = operation.kind == LotOperationKind::Produced;
                    for other in self.of_order(&operation.order).await? {
                        if other.kind != operation.kind {
                            let target = self.id(format!("lot/{}", other.lot));
                            references.push(own(&self.types.made_from, forward, target));
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(references)
    }

    /// The orders that their folder lists.
    pub fn orders_listed(&self, view: &PlantView) -> Vec<Reference> {
        let listed = |order| {
            let id = self.id(format!("order/{order}"));
            Reference::forward(ReferenceTypeId::Organizes, id)
        };
        view.orders.keys().map(listed).collect()
    }

    /// The orders and lots that the folders list.
    pub async fn listed(&self, folder: &str) -> Result<Vec<Reference>, StatusCode> {
        let listed = |path| Reference::forward(ReferenceTypeId::Organizes, self.id(path));
        if folder == "mes/Orders" {
            return Ok(self.orders_listed(&self.engine.view()));
        }
        let reader = self.engine.reader().clone();
        let lots = blocking(move || Ok(reader.lots(None, LOTS_LISTED_MAX)?)).await;
        Ok(lots.map_err(status)?.iter().map(|lot| listed(format!("lot/{lot}"))).collect())
    }

    /// The value of a variable of an order or lot.
    pub async fn value(&self, subject: &Subject, source: &Source) -> Result<Variant, StatusCode> {
        match (subject, source) {
            (Subject::Order(order), Source::Order(name)) => {
                let view = self.order(order).await?;
                let value = order_value(&self.engine.plant(), &view, name);
                value.ok_or(StatusCode::BadNodeIdUnknown)
            }
            (Subject::Lot(lot), Source::Lot(name)) => Ok(lot_value(&self.lot(lot).await?, name)),
            _ => Err(StatusCode::BadAttributeIdInvalid),
        }
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
