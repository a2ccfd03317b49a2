//! Orders: the state machine walked, revisions, reports, lots.

use linewright::domain::command::{Change, Command, Consumption, Outcome, Report};
use linewright::domain::core::Core;
use linewright::domain::event::Event;
use linewright::domain::genealogy::LotOperationKind;
use linewright::domain::id::LotId;
use linewright::domain::order::{JobCommand, JobState, Totals, transition};
use linewright::domain::rejection::Rejection;
use linewright::domain::signal::{MachineState, SignalRole};
use proptest::prelude::*;

use super::plant::*;

fn decide(core: &mut Core, ticks: i64, wanted: Command) -> Result<Vec<Event>, Rejection> {
    let mut events = Vec::new();
    core.decide(&command(ticks, wanted), &mut events)?;
    for event in &events {
        core.apply(event);
    }
    Ok(events)
}

proptest! {
    #[test]
    fn a_walk_of_commands_follows_the_table_and_refusals_change_nothing(
        walk in prop::collection::vec(prop::sample::select(JobCommand::ALL.to_vec()), 0..30),
    ) {
        let mut core = Core::new(plant(false), None);
        decide(&mut core, 0, store(1, 1, 1)).unwrap();
        for (step, word) in walk.into_iter().enumerate() {
            let before = core.order(&order(1)).unwrap().clone();
            let done = decide(&mut core, step as i64 + 1, moved(1, word));
            let after = core.order(&order(1)).unwrap();
            match transition(before.state, word) {
                Some(state) => prop_assert_eq!(after.state, state),
                None => {
                    prop_assert!(done.is_err());
                    prop_assert_eq!(&before, after);
                }
            }
            let open = after.runs.iter().filter(|run| run.end.is_none()).count();
            prop_assert_eq!(open == 1, after.state == JobState::Running);
        }
    }

    #[test]
    fn confirmed_deltas_add_up_to_the_totals(
        story in story(),
        ticks in prop::collection::btree_set(0..HORIZON * 2, 0..10),
    ) {
        let mut core = Core::new(plant(false), None);
        let mut sums = std::collections::BTreeMap::new();
        let mut next_seq = 1;
        let mut inputs: Vec<_> = story.facts().into_iter().chain(story.commands()).collect();
        inputs.extend(ticks.into_iter().map(|t| linewright::domain::command::Input::Tick(at(t))));
        inputs.push(linewright::domain::command::Input::Tick(at(HORIZON * 3)));
        for input in &inputs {
            let mut events = Vec::new();
            core.decide(input, &mut events).unwrap();
            for event in &events {
                core.apply(event);
                if let Event::Confirmed(confirmed) = event {
                    prop_assert_eq!(confirmed.seq, next_seq, "numbers have no gaps");
                    next_seq += 1;
                    let sum: &mut Totals = sums.entry(confirmed.order.clone()).or_default();
                    *sum = sum.plus(confirmed.delta);
                    prop_assert_eq!(*sum, confirmed.total);
                    let lots: i64 = confirmed.lots.iter().map(|(_, good)| good).sum();
                    prop_assert_eq!(lots, confirmed.total.good);
                }
            }
        }
        for order in core.orders() {
            let confirmed = sums.get(order.id()).copied().unwrap_or_default();
            prop_assert_eq!(confirmed, core.totals(order), "the last word is the truth");
        }
    }
}

#[test]
fn a_stale_revision_changes_nothing_and_the_same_one_with_other_content_is_a_conflict() {
    let mut core = Core::new(plant(false), None);
    decide(&mut core, 0, store(1, 1, 5)).unwrap();
    assert_eq!(decide(&mut core, 1, store(1, 2, 4)).unwrap(), []);
    assert_eq!(decide(&mut core, 1, store(1, 1, 5)).unwrap(), []);
    let conflict = decide(&mut core, 1, store(1, 2, 5)).unwrap_err();
    assert_eq!(conflict.code(), "mes.order.revision_conflict");
    let mut events = Vec::new();
    let outcome = core.decide(&command(2, store(1, 2, 6)), &mut events).unwrap();
    assert!(matches!(outcome, Outcome::Order { change: Change::Changed, .. }));
}

#[test]
fn a_line_makes_one_order_at_a_time() {
    let mut core = Core::new(plant(false), None);
    decide(&mut core, 0, store(1, 1, 1)).unwrap();
    decide(&mut core, 0, store(2, 1, 1)).unwrap();
    decide(&mut core, 1, moved(1, JobCommand::Start)).unwrap();
    let busy = decide(&mut core, 2, moved(2, JobCommand::Start)).unwrap_err();
    assert_eq!(busy, Rejection::LineBusy { line: line(), running: order(1) });
    decide(&mut core, 3, moved(1, JobCommand::Pause)).unwrap();
    decide(&mut core, 3, moved(2, JobCommand::Start)).unwrap();
}

#[test]
fn an_order_that_runs_may_change_its_quantity_and_not_its_product() {
    let mut core = Core::new(plant(false), None);
    decide(&mut core, 0, store(1, 1, 1)).unwrap();
    decide(&mut core, 1, moved(1, JobCommand::Start)).unwrap();
    let other = decide(&mut core, 2, store(1, 2, 2)).unwrap_err();
    assert_eq!(other.code(), "mes.order.has_begun");
    let Command::StoreOrder(mut request) = store(1, 1, 2) else { unreachable!() };
    request.quantity = linewright::domain::quantity::Quantity::from_whole(7);
    decide(&mut core, 2, Command::StoreOrder(request)).unwrap();
    assert_eq!(core.order(&order(1)).unwrap().state, JobState::Running);
}

fn report(good: u32, scrap: u32) -> Command {
    Command::Report(Report {
        order: order(1),
        good,
        scrap,
        rework: 0,
        rework_good: 0,
        lot: None,
        reason: None,
    })
}

#[test]
fn reported_scrap_is_taken_from_the_counted_good_parts_and_good_is_not_counted_twice() {
    let mut core = Core::new(plant(false), None);
    decide(&mut core, 0, store(1, 1, 1)).unwrap();
    decide(&mut core, 1, moved(1, JobCommand::Start)).unwrap();
    feed(&mut core, &state(1, Some(MachineState::Running)));
    feed(&mut core, &count(SignalRole::Good, 2, 0));
    feed(&mut core, &count(SignalRole::Good, 3, 10));
    let counted = decide(&mut core, 4, report(5, 0)).unwrap_err();
    assert_eq!(counted.code(), "mes.report.good_is_counted");
    assert_eq!(
        decide(&mut core, 4, report(0, 11)).unwrap_err().code(),
        "mes.report.scrap_exceeds_good"
    );
    assert_eq!(decide(&mut core, 4, report(0, 0)).unwrap_err().code(), "mes.report.empty");
    decide(&mut core, 4, report(0, 3)).unwrap();
    let totals = core.totals(core.order(&order(1)).unwrap());
    assert_eq!(totals, Totals { good: 7, scrap: 3, ..Totals::default() });
}

fn lots(events: &[Event], kind: LotOperationKind) -> Vec<String> {
    let recorded = events.iter().filter_map(|event| match event {
        Event::LotRecorded(operation) if operation.kind == kind => Some(operation),
        _ => None,
    });
    recorded.map(|operation| operation.lot.to_string()).collect()
}

#[test]
fn lots_in_use_while_an_order_runs_are_consumed_and_late_news_correct_it() {
    let mut core = Core::new(plant(false), None);
    feed(&mut core, &lot(0, "A"));
    decide(&mut core, 0, store(1, 1, 1)).unwrap();
    let started = decide(&mut core, 100, moved(1, JobCommand::Start)).unwrap();
    assert_eq!(lots(&started, LotOperationKind::Consumed), ["A"]);
    assert_eq!(lots(&started, LotOperationKind::Produced), ["WO-1"]);
    // It turns out that lot B was put in before the order began: A was never used for it.
    let mut events = Vec::new();
    core.decide(&lot(50, "B"), &mut events).unwrap();
    assert_eq!(lots(&events, LotOperationKind::Consumed), ["B"]);
    let voided = |event: &Event| matches!(event, Event::LotVoided(o) if o.lot.as_str() == "A");
    assert!(events.iter().any(voided));
}

#[test]
fn a_lot_cannot_be_made_from_itself() {
    let mut core = Core::new(plant(false), None);
    decide(&mut core, 0, store(1, 1, 1)).unwrap();
    decide(&mut core, 1, moved(1, JobCommand::Start)).unwrap();
    let itself = Consumption {
        order: order(1),
        lot: LotId::parse("WO-1").unwrap(),
        quantity: None,
        machine: None,
    };
    let refused = decide(&mut core, 2, Command::Consume(itself)).unwrap_err();
    assert_eq!(refused.code(), "mes.lot.from_itself");
}

#[test]
fn a_reason_needs_a_stop_and_an_unknown_one_is_refused() {
    let mut core = Core::new(plant(false), None);
    feed(&mut core, &state(10, Some(MachineState::Running)));
    let classify = |ticks, reason: &str| Command::Remark {
        machine: machine(),
        remark: linewright::domain::command::RemarkCommand::Classify {
            stop: at(ticks),
            reason: linewright::domain::id::ReasonId::parse(reason).unwrap(),
        },
        comment: String::new(),
    };
    let none = decide(&mut core, 20, classify(15, "jam")).unwrap_err();
    assert_eq!(none.code(), "mes.stop.unknown");
    feed(&mut core, &state(30, Some(MachineState::Down)));
    let unknown = decide(&mut core, 40, classify(35, "gremlins")).unwrap_err();
    assert_eq!(unknown.code(), "mes.reason.unknown");
    decide(&mut core, 40, classify(35, "jam")).unwrap();
}
