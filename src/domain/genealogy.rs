//! Genealogy: which lot went into which order, and which lot came out.
//!
//! The graph has two kinds of nodes, lots and orders. Records are only added; a wrong one is voided.

use super::evidence::MachineEvidence;
use super::id::{LotId, MachineId, OrderId, ProductId};
use super::order::Order;
use super::quantity::Quantity;
use super::time::{Timestamp, Window};

/// Direction of a lot operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LotOperationKind {
    /// The lot came out of the order.
    Produced,
    /// The lot went into the order.
    Consumed,
}

impl LotOperationKind {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            LotOperationKind::Produced => "produced",
            LotOperationKind::Consumed => "consumed",
        }
    }
}

/// How precisely a lot is bound to what was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Assignment {
    /// Stated by a person or system.
    Stated,
    /// From a machine's lot signal: what ran while the lot was in use.
    TimeWindow,
    /// Everything of the order.
    OrderWide,
}

impl Assignment {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Assignment::Stated => "stated",
            Assignment::TimeWindow => "time_window",
            Assignment::OrderWide => "order_wide",
        }
    }
}

/// A lot that went into or came out of an order: which lot, which machine, which operator, when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LotOperation {
    /// In or out.
    pub kind: LotOperationKind,
    /// The lot.
    pub lot: LotId,
    /// The order.
    pub order: OrderId,
    /// What the order makes; the lot's product when it came out.
    pub product: ProductId,
    /// The machine, where known.
    pub machine: Option<MachineId>,
    /// When it began.
    pub at: Timestamp,
    /// How much, where stated.
    pub quantity: Option<Quantity>,
    /// How precise the binding is.
    pub assignment: Assignment,
    /// User name, or the machine whose signal said so.
    pub actor: String,
}

/// The lots that a machine used in the runs of an order, each with the first instant of its use.
pub fn lots_used(evidence: &MachineEvidence, order: &Order) -> Vec<(LotId, Timestamp)> {
    let points = evidence.lots.points();
    let mut used: Vec<(LotId, Timestamp)> = Vec::new();
    for (index, point) in points.iter().enumerate() {
        let Some(lot) = &point.value else {
            continue;
        };
        let to = points.get(index + 1).map_or(Timestamp::MAX, |next| next.at);
        let holds = Window { from: point.at, to };
        let first = order.runs.iter().find_map(|run| run.window().intersect(holds));
        match (first, used.iter().any(|(known, _)| known == lot)) {
            (Some(window), false) => used.push((lot.clone(), window.from)),
            _ => continue,
        }
    }
    used
}
