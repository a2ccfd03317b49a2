//! Lots followed through orders: whatever was made of what, circles too, a trail has each operation once,
//! nearest first, and the same in pages of any size.

use std::collections::BTreeSet;

use linewright::app::trace::{Direction, Trail};
use linewright::domain::command::{Command, Consumption};
use linewright::domain::genealogy::{LotOperation, LotOperationKind};
use linewright::domain::id::LotId;
use linewright::domain::order::JobCommand;
use linewright::domain::signal::MachineState;
use proptest::prelude::*;

use super::plant::*;
use super::running::Running;
use super::writer::happens;

const ORDERS: usize = 6;

/// The lot that an order makes; it has its number.
fn lot_of(number: usize) -> LotId {
    LotId::parse(order(number).as_str()).unwrap()
}

/// Orders that use lots of orders: which lots went into it.
fn made(uses: &[(usize, usize)]) -> Running {
    let running = Running::new(plant(false), 0);
    happens(&running, link(0, true));
    happens(&running, state(0, Some(MachineState::Running)));
    for number in 0..ORDERS {
        running.set((number as i64 + 1) * 100 * SECOND);
        assert!(running.command(store(number, 1, 1)));
        assert!(running.command(moved(number, JobCommand::Start)));
        for (_, used) in uses.iter().filter(|(user, _)| *user == number) {
            let lot = lot_of(*used);
            let consumption =
                Consumption { order: order(number), lot, quantity: None, machine: None };
            // A lot cannot be made from itself.
            assert_eq!(running.command(Command::Consume(consumption)), *used != number);
        }
        assert!(running.command(moved(number, JobCommand::Complete)));
    }
    running
}

fn trail(
    running: &Running,
    (lot, direction): (&LotId, Direction),
    depth: Option<u32>,
    limit: usize,
) -> Vec<(u32, LotOperation)> {
    let mut all = Vec::new();
    loop {
        let trail = Trail { lot: lot.clone(), direction, depth, skip: all.len(), limit };
        let page = running.runtime.block_on(running.queries.trail(trail)).unwrap();
        assert!(page.operations.len() <= limit);
        let has_more = page.has_more;
        assert!(!has_more || page.operations.len() == limit);
        all.extend(page.operations);
        if !has_more {
            return all;
        }
    }
}

/// The lots that can be reached, put down as the closure of one step.
fn reached(running: &Running, start: &LotId, direction: Direction) -> BTreeSet<LotId> {
    let (here, there) = match direction {
        Direction::Backward => (LotOperationKind::Produced, LotOperationKind::Consumed),
        Direction::Forward => (LotOperationKind::Consumed, LotOperationKind::Produced),
    };
    let reader = running.engine.reader();
    let mut reached = BTreeSet::from([start.clone()]);
    loop {
        let mut next = reached.clone();
        for lot in &reached {
            for operation in reader.operations_of_lot(lot).unwrap() {
                if operation.kind == here {
                    let others = reader.operations_of_order(&operation.order).unwrap();
                    next.extend(others.into_iter().filter(|o| o.kind == there).map(|o| o.lot));
                }
            }
        }
        if next == reached {
            return reached;
        }
        reached = next;
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_trail_reaches_all_that_hangs_together_nearest_first_in_pages_of_any_size(
        uses in proptest::collection::vec((0..ORDERS, 0..ORDERS), 0..12),
    ) {
        let running = made(&uses);
        running.settle();
        let lots = running.engine.reader().lots(None, 100).unwrap();
        for lot in &lots {
            for direction in [Direction::Backward, Direction::Forward] {
                let whole = trail(&running, (lot, direction), None, 1000);
                let found: BTreeSet<_> = whole.iter().map(|(_, o)| o.lot.clone()).collect();
                let expected = reached(&running, lot, direction);
                let alone = whole.is_empty() && expected.len() == 1;
                prop_assert!(alone || found == expected, "{lot} {direction:?}: {found:?} {expected:?}");
                prop_assert!(whole.iter().map(|(depth, _)| depth).is_sorted());
                for limit in [1, 2, 3] {
                    prop_assert_eq!(&trail(&running, (lot, direction), None, limit), &whole);
                }
                let near: Vec<_> = whole.iter().filter(|(depth, _)| *depth < 1).cloned().collect();
                prop_assert_eq!(trail(&running, (lot, direction), Some(1), 2), near);
            }
        }
        running.end();
    }
}

#[test]
fn a_lot_that_is_not_known_has_no_trail() {
    let running = made(&[]);
    let trail = Trail {
        lot: LotId::parse("NOWHERE").unwrap(),
        direction: Direction::Backward,
        depth: None,
        skip: 0,
        limit: 1,
    };
    let refused = running.runtime.block_on(running.queries.trail(trail)).unwrap_err();
    assert!(refused.to_string().contains("NOWHERE"));
    running.end();
}
