//! Following a lot through the orders that made it, or that it went into: nearest first, in pages, as far as
//! it goes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::ports::Reader;
use super::query::{Queries, QueryError, blocking};
use crate::domain::genealogy::{LotOperation, LotOperationKind};
use crate::domain::id::{LotId, OrderId};

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

/// Trails that are open at a time; who goes on after longer has his followed from its start again.
const OPEN_MAX: usize = 16;
/// Lots and orders that are remembered for all of them together.
const REMEMBERED_MAX: usize = 500_000;

/// Which trail, and how many of its operations were given.
type Place = (LotId, Direction, Option<u32>, usize);

/// Trails that were given in part, so that the next page costs what it gives.
#[derive(Default)]
pub struct OpenTrails(Mutex<VecDeque<(Place, Walk)>>);

impl OpenTrails {
    fn take(&self, place: &Place) -> Option<Walk> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = open.iter().position(|(known, _)| known == place)?;
        open.remove(index).map(|(_, walk)| walk)
    }

    fn keep(&self, place: Place, walk: Walk) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back((place, walk));
        let remembered = |open: &VecDeque<(Place, Walk)>| open.iter().map(|(_, w)| w.size()).sum();
        let mut size: usize = remembered(&open);
        while open.len() > OPEN_MAX || size > REMEMBERED_MAX {
            open.pop_front();
            size = remembered(&open);
        }
    }
}

impl Queries {
    /// A page of what a lot was made from or went into; an error when the lot is not known.
    pub async fn trail(&self, trail: Trail) -> Result<TrailPage, QueryError> {
        self.lot(&trail.lot).await?;
        let reader = self.engine().reader().clone();
        let open = self.open_trails().clone();
        blocking(move || follow(&*reader, &trail, &open)).await
    }
}

/// Gives a page of a trail and keeps where it goes on.
fn follow(reader: &dyn Reader, trail: &Trail, open: &OpenTrails) -> Result<TrailPage, QueryError> {
    let place = |skip| (trail.lot.clone(), trail.direction, trail.depth, skip);
    let mut walk = match open.take(&place(trail.skip)) {
        Some(walk) => walk,
        None => {
            let mut walk = Walk::from(trail.lot.clone());
            for _ in 0..trail.skip {
                if walk.step(reader, trail)?.is_none() {
                    break;
                }
            }
            walk
        }
    };
    let mut page = TrailPage::default();
    while page.operations.len() < trail.limit {
        match walk.step(reader, trail)? {
            Some(found) => page.operations.push(found),
            None => return Ok(page),
        }
    }
    page.has_more = walk.look_ahead(reader, trail)?;
    if page.has_more {
        open.keep(place(trail.skip + page.operations.len()), walk);
    }
    Ok(page)
}

/// A trail as far as it was followed: in breadth, each lot and each order looked at once, so that a circle
/// has an end.
struct Walk {
    lots: BTreeSet<LotId>,
    orders: BTreeSet<OrderId>,
    /// Lots that are still to be looked at, with their distance.
    next: VecDeque<(u32, LotId)>,
    /// Operations that were found and not given yet.
    found: VecDeque<(u32, LotOperation)>,
}

impl Walk {
    fn from(lot: LotId) -> Walk {
        Walk {
            lots: BTreeSet::from([lot.clone()]),
            orders: BTreeSet::new(),
            next: VecDeque::from([(0, lot)]),
            found: VecDeque::new(),
        }
    }

    /// How much it remembers.
    fn size(&self) -> usize {
        self.lots.len() + self.orders.len() + self.next.len() + self.found.len()
    }

    /// The next operation, nearest first.
    fn step(
        &mut self,
        reader: &dyn Reader,
        trail: &Trail,
    ) -> Result<Option<(u32, LotOperation)>, QueryError> {
        self.look_ahead(reader, trail)?;
        Ok(self.found.pop_front())
    }

    /// Looks at lots until an operation is found; whether there is one.
    fn look_ahead(&mut self, reader: &dyn Reader, trail: &Trail) -> Result<bool, QueryError> {
        let (here, there) = trail.direction.sides();
        let is_far = |depth: u32| trail.depth.is_some_and(|most| depth >= most);
        while self.found.is_empty() {
            let next = self.next.pop_front().filter(|(depth, _)| !is_far(*depth));
            let Some((depth, lot)) = next else {
                return Ok(false);
            };
            let operations = reader.operations_of_lot(&lot)?;
            for operation in operations.into_iter().filter(|o| o.kind == here) {
                let order = operation.order.clone();
                self.found.push_back((depth, operation));
                if !self.orders.insert(order.clone()) {
                    continue;
                }
                let others = reader.operations_of_order(&order)?;
                for other in others.into_iter().filter(|other| other.kind == there) {
                    if self.lots.insert(other.lot.clone()) {
                        self.next.push_back((depth + 1, other.lot.clone()));
                    }
                    self.found.push_back((depth, other));
                }
            }
        }
        Ok(true)
    }
}
