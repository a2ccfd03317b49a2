//! Following a lot through the orders that made it, or that it went into: nearest first, in pages, as far as
//! it goes.

use std::collections::{BTreeSet, VecDeque};

use super::ports::Reader;
use super::query::{Queries, QueryError, blocking};
use crate::domain::genealogy::{LotOperation, LotOperationKind};
use crate::domain::id::LotId;

/// Which way a lot is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// To what it was made from.
    Backward,
    /// To what it went into.
    Forward,
}

impl Direction {
    /// What happened to a lot in an order that is followed, and what to the lots beyond it.
    fn sides(self) -> (LotOperationKind, LotOperationKind) {
        match self {
            Direction::Backward => (LotOperationKind::Produced, LotOperationKind::Consumed),
            Direction::Forward => (LotOperationKind::Consumed, LotOperationKind::Produced),
        }
    }
}

/// What is followed, and how far.
#[derive(Clone, Debug)]
pub struct Trail {
    /// The lot.
    pub lot: LotId,
    /// Which way.
    pub direction: Direction,
    /// Orders between the lot and the farthest operation at most; no limit when absent.
    pub depth: Option<u32>,
    /// Operations that pages before had.
    pub skip: usize,
    /// Operations of this page at most.
    pub limit: usize,
}

/// A page of operations, each with the number of orders between it and the lot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrailPage {
    /// The operations, nearest first.
    pub operations: Vec<(u32, LotOperation)>,
    /// Whether there are more.
    pub has_more: bool,
}

impl Queries {
    /// A page of what a lot was made from or went into; an error when the lot is not known.
    pub async fn trail(&self, trail: Trail) -> Result<TrailPage, QueryError> {
        self.lot(&trail.lot).await?;
        let reader = self.engine().reader().clone();
        blocking(move || follow(&*reader, &trail)).await
    }
}

/// Follows a trail in breadth; each lot and each order is looked at once, so a circle has an end.
fn follow(reader: &dyn Reader, trail: &Trail) -> Result<TrailPage, QueryError> {
    let (here, there) = trail.direction.sides();
    let mut page = TrailPage::default();
    let mut passed = 0;
    let mut add = |depth: u32, operation: LotOperation| {
        passed += 1;
        if passed <= trail.skip {
            return true;
        }
        if page.operations.len() < trail.limit {
            page.operations.push((depth, operation));
            return true;
        }
        page.has_more = true;
        false
    };
    let mut lots = BTreeSet::from([trail.lot.clone()]);
    let mut orders = BTreeSet::new();
    let mut next = VecDeque::from([(0_u32, trail.lot.clone())]);
    let is_far = |depth: u32| trail.depth.is_some_and(|most| depth >= most);
    'lots: while let Some((depth, lot)) = next.pop_front().filter(|(depth, _)| !is_far(*depth)) {
        for operation in reader.operations_of_lot(&lot)?.into_iter().filter(|o| o.kind == here) {
            let order = operation.order.clone();
            if !add(depth, operation) {
                break 'lots;
            }
            if !orders.insert(order.clone()) {
                continue;
            }
            let others = reader.operations_of_order(&order)?;
            for other in others.into_iter().filter(|other| other.kind == there) {
                if lots.insert(other.lot.clone()) {
                    next.push_back((depth + 1, other.lot.clone()));
                }
                if !add(depth, other) {
                    break 'lots;
                }
            }
        }
    }
    Ok(page)
}
