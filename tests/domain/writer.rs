//! The engine as it runs, with its thread and its store, under a clock that the test sets: shifts are
//! closed and revised, and figures are right whatever is kept, archived and taken back meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use linewright::app::clock::Clock as _;
use linewright::app::ports::{Recovered, Store as _};
use linewright::app::recall::rebuild;
use linewright::app::view::Said;
use linewright::domain::command::{Command, Input, RemarkCommand};
use linewright::domain::core::Core;
use linewright::domain::evidence::Observation;
use linewright::domain::id::{LotId, OrderId, ReasonId};
use linewright::domain::notice::{Matter, ShiftNotice};
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::order::{JobCommand, Totals};
use linewright::domain::plant::Plant;
use linewright::domain::shift::ShiftRecord;
use linewright::domain::signal::{
    MachineState, RawValue, Reading, SignalRole, SignalRule, StateMap, StateRule, Unusable,
    Vocabulary,
};
use linewright::domain::time::{Span, Timestamp, Window};
use linewright::store::RedbStore;
use proptest::prelude::*;

use super::plant::*;
use super::running::Running;

const HOUR: i64 = 3600 * SECOND;

fn records(running: &Running, start: i64) -> Vec<ShiftRecord> {
    running.settle();
    running.engine.reader().shift_records(&line(), at(start)).unwrap()
}

/// Hands over an input as a machine or a person does, at the time of the clock.
pub fn happens(running: &Running, input: Input) {
    match input {
        Input::Command(command) => assert!(running.command(command.command)),
        Input::Observed(observation) => {
            let received = running.clock.now();
            running.input(Input::Observed(Observation { received, ..observation }));
        }
        other => running.input(other),
    }
}

/// The shifts that were told of, in order.
fn shifts_told(running: &Running) -> Vec<ShiftNotice> {
    let notices = running.engine.reader().notices_after(0, usize::MAX).unwrap();
    let of_shifts = notices.into_iter().filter_map(|notice| match notice.matter {
        Matter::Shift(shift) => Some(shift),
        _ => None,
    });
    of_shifts.collect()
}

#[test]
fn the_running_engine_closes_a_shift_revises_it_and_tells_both() {
    let running = Running::new(plant(true), 5 * HOUR);
    for input in [
        link(5 * HOUR, true),
        state(5 * HOUR, Some(MachineState::Running)),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
        count(SignalRole::Good, 5 * HOUR, 0),
        count(SignalRole::Good, 5 * HOUR + SECOND, 7),
    ] {
        happens(&running, input);
    }
    running.settle();
    running.set(20 * HOUR + 899 * SECOND);
    assert!(records(&running, 6 * HOUR).is_empty(), "the grace time is not over");
    running.set(20 * HOUR + 900 * SECOND);
    let closed = records(&running, 6 * HOUR);
    assert_eq!(closed.len(), 1);
    let told = shifts_told(&running);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].record, told[0].revision, told[0].shift.as_str()), (1, 1, "day"));

    // Late data, when the evidence around them has left memory already.
    running.set(60 * HOUR);
    running.settle();
    happens(&running, count(SignalRole::Good, 12 * HOUR, 107));
    running.settle();
    assert_eq!(records(&running, 6 * HOUR).len(), 1, "a burst may follow");
    running.set(60 * HOUR + 30 * SECOND);
    let revised = records(&running, 6 * HOUR);
    assert_eq!(revised.len(), 2);
    assert_eq!(revised[0], closed[0], "a record never changes");
    let good =
        |record: &ShiftRecord| record.of(&Equipment::Line(line())).unwrap().production.parts.good;
    assert_eq!((good(&revised[0]), good(&revised[1])), (0, 100));
    let day = Window { from: at(6 * HOUR), to: at(20 * HOUR) };
    assert_eq!(running.kpi(&Equipment::Line(line()), day).production.parts.good, 100);
    let last = shifts_told(&running).pop().unwrap();
    assert_eq!((last.revision, last.cause.as_str()), (2, "late data arrived"));
    let feed = running.engine.reader().shifts_after(0, 10).unwrap();
    let numbers: Vec<u64> = feed.iter().map(|record| record.seq).collect();
    assert_eq!(numbers, (1..=feed.len() as u64).collect::<Vec<_>>());
    assert_eq!(last.record, feed.len() as u64);
    running.end();
}

#[test]
fn a_stop_of_three_days_that_is_explained_a_week_later_has_its_reason_in_every_sum() {
    let running = Running::new(plant(true), 5 * HOUR);
    let down = |hour: i64| (hour * HOUR, Some(MachineState::Down));
    let run = |hour: i64| (hour * HOUR, Some(MachineState::Running));
    happens(&running, link(5 * HOUR, true));
    for (at, told) in [run(5), down(10), run(82), run(90)] {
        running.set(at);
        happens(&running, state(at, told));
        running.settle();
    }
    for hour in (96..240).step_by(4) {
        running.set(hour * HOUR);
        running.settle();
    }
    let reason = ReasonId::parse("cleaning").unwrap();
    let remark = RemarkCommand::Classify { stop: at(11 * HOUR), reason: reason.clone() };
    let said = Command::Remark { machine: machine(), remark, comment: String::new() };
    assert!(running.command(said));
    running.set(240 * HOUR + 61 * SECOND);
    running.settle();
    for hour in (10..82).filter(|hour| (6..20).contains(&(hour % 24))) {
        let window = Window { from: at(hour * HOUR), to: at((hour + 1) * HOUR) };
        let kpi = running.kpi(&Equipment::Line(line()), window);
        let named = kpi.stops.by_reason.keys().all(|key| key.as_ref() == Some(&reason));
        assert!(named && !kpi.stops.by_reason.is_empty(), "hour {hour}: {:?}", kpi.stops);
    }
    // Each of the four shifts in which it stood was closed before and has changed.
    let revisions = [0, 24, 48, 72].map(|day| records(&running, (day + 6) * HOUR).len());
    assert_eq!(revisions, [2, 2, 2, 2]);
    running.end();
}

fn happened(input: &Input) -> i64 {
    match input {
        Input::Observed(observation) => observation.at.ticks(),
        Input::Linked(change) => change.at.ticks(),
        Input::Command(command) => command.at.ticks(),
        other => panic!("no story has {other:?}"),
    }
}

/// The story as it happens: each input at its time, some of the facts only at the end.
fn live(story: &Story, late: &[bool]) -> Running {
    let running = Running::new(plant(story.shifts), -SECOND);
    let is_late = |index: usize| late.get(index % late.len().max(1)).copied().unwrap_or(false);
    let facts = story.facts().into_iter().enumerate();
    // That a link is lost or back is our own news: it is never late.
    let (afterwards, in_time): (Vec<_>, Vec<_>) =
        facts.partition(|(index, fact)| matches!(fact, Input::Observed(_)) && is_late(*index));
    let in_time = in_time.into_iter().map(|(_, fact)| fact);
    let mut inputs: Vec<Input> = story.commands().into_iter().chain(in_time).collect();
    inputs.sort_by_key(happened);
    for input in inputs {
        running.set(happened(&input));
        let is_command = matches!(input, Input::Command(_));
        if is_command {
            // A person acts when the machines' news of before are there.
            running.settle();
        }
        happens(&running, input);
    }
    running.settle();
    running.set(HORIZON * 2);
    running.settle();
    let running = running.restart();
    for (_, fact) in afterwards {
        happens(&running, fact);
        running.settle();
    }
    for (instant, reason) in &story.reasons {
        let remark = RemarkCommand::Classify {
            stop: at(*instant),
            reason: ReasonId::parse(reason).unwrap(),
        };
        // An instant at which the machine ran has no stop; the engine says so.
        running.command(Command::Remark { machine: machine(), remark, comment: String::new() });
    }
    running.settle();
    // What has changed in totals of orders is confirmed now.
    running.set(HORIZON * 2 + 61 * SECOND);
    running.settle();
    running
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn figures_of_the_running_engine_are_those_of_a_core_that_keeps_everything(
        story in story(),
        late in prop::collection::vec(prop::bool::weighted(0.2), 1..20),
        bounds in prop::collection::vec(prop::collection::btree_set(-SECOND..HORIZON, 2), 4),
    ) {
        let running = live(&story, &late);
        let whole = story.core(&[]);
        for bounds in bounds {
            let bounds: Vec<i64> = bounds.into_iter().collect();
            let window = Window { from: at(bounds[0]), to: at(bounds[1]) };
            for equipment in [Equipment::Machine(machine()), Equipment::Line(line())] {
                let expected = whole.facts_at(at(HORIZON * 2)).kpi(&equipment, window).unwrap();
                let mut found = running.kpi(&equipment, window);
                // What is said of a part may not hold for the whole.
                found.provisional = expected.provisional;
                found.flags.clone_from(&expected.flags);
                found.counted = expected.counted;
                prop_assert_eq!(found, expected);
            }
        }
        for order in whole.orders() {
            let found = running.queries.order(order.id());
            let (_, totals) = running.runtime.block_on(found).unwrap();
            prop_assert_eq!(totals, whole.totals(order), "{}", order.id());
        }
        confirmations_add_up(&running, &whole);
        lots_begin_when_they_were_first_used(&running);
        facts_alone_give_the_same_state(running);
    }
}

/// Lots in order of time are all that there are, each at its first operation, in pages of any size.
fn lots_begin_when_they_were_first_used(running: &Running) {
    let reader = running.engine.reader();
    let first = |lot: &LotId| {
        let operations = reader.operations_of_lot(lot).unwrap();
        operations.iter().map(|operation| operation.at).min().unwrap()
    };
    let lots = reader.lots(None, 10_000).unwrap();
    let mut expected: Vec<_> = lots.into_iter().map(|lot| (first(&lot), lot)).collect();
    expected.sort();
    let window = Window { from: Timestamp::MIN, to: Timestamp::MAX };
    let mut found: Vec<(Timestamp, LotId)> = Vec::new();
    loop {
        let page = reader.lots_begun(window, found.last(), 2).unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found, expected);
    if let Some((at, _)) = expected.first() {
        let before = Window { from: Timestamp::MIN, to: *at };
        assert!(reader.lots_begun(before, None, 2).unwrap().is_empty());
    }
}

/// What the ERP was told adds up to the totals, without gaps in the numbers.
fn confirmations_add_up(running: &Running, whole: &Core) {
    let confirmations = running.engine.reader().confirmations(0, 10_000).unwrap();
    let mut told: BTreeMap<OrderId, (u64, Totals)> = BTreeMap::new();
    for (confirmation, number) in confirmations.into_iter().zip(1..) {
        assert_eq!(confirmation.seq, number);
        let (last, sum) = told.entry(confirmation.order).or_default();
        *last += 1;
        assert_eq!(confirmation.order_seq, *last);
        *sum = sum.plus(confirmation.delta);
        assert_eq!(*sum, confirmation.total);
    }
    for order in whole.orders() {
        assert_eq!(told[order.id()].1, whole.totals(order), "{}", order.id());
    }
}

/// The state that was kept at the end is what all facts from the beginning give.
fn facts_alone_give_the_same_state(running: Running) {
    let plant = running.engine.plant();
    let directory = running.end();
    let store = RedbStore::open(directory.path()).unwrap();
    let nothing = Recovered::default();
    let mut replayed = rebuild(&plant, nothing);
    store.reader().journal(&mut |event| drop(replayed.apply(event))).unwrap();
    let kept = store.recover().unwrap();
    assert!(kept.events.is_empty());
    let kept = rebuild(&plant, kept);
    assert_eq!(replayed.snapshot(), kept.snapshot());
}

#[test]
fn a_note_about_a_shift_is_kept_told_and_changes_no_figure() {
    let running = Running::new(plant(true), 5 * HOUR);
    happens(&running, link(5 * HOUR, true));
    happens(&running, state(5 * HOUR, Some(MachineState::Running)));
    running.settle();
    running.set(7 * HOUR);
    let note = |shift: Option<i64>, text: &str| Command::NoteShift {
        line: line(),
        shift: shift.map(at),
        text: text.into(),
    };
    assert!(running.command(note(None, "  the gripper is loose ")));
    assert!(!running.command(note(None, " ")), "it says nothing");
    assert!(!running.command(note(None, &"x".repeat(4001))), "it says too much");
    assert!(!running.command(note(Some(21 * HOUR), "what will be")), "no shift is there");
    assert!(!running.command(note(Some(30 * HOUR), "tomorrow")), "the shift has not begun");
    // A day later, when the shift is closed.
    running.set(31 * HOUR);
    assert_eq!(records(&running, 6 * HOUR).len(), 1);
    assert!(running.command(note(Some(19 * HOUR), "it was the belt")));
    let running = running.restart();
    let notes = running.engine.reader().shift_notes(&line(), at(6 * HOUR)).unwrap();
    let said: Vec<_> = notes.iter().map(|note| (note.at, note.text.as_str())).collect();
    let expected = [(at(7 * HOUR), "the gripper is loose"), (at(31 * HOUR), "it was the belt")];
    assert_eq!(said, expected);
    assert!(notes.iter().all(|note| note.actor == "test" && note.shift == "day"));
    let told = running.engine.reader().notices_after(0, usize::MAX).unwrap();
    let told = told.into_iter().filter_map(|notice| match notice.matter {
        Matter::Note(note) => Some(note),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), notes);
    assert_eq!(records(&running, 6 * HOUR).len(), 1, "a note makes no revision");
    facts_alone_give_the_same_state(running);
}

#[test]
fn a_correction_of_an_order_is_confirmed_before_the_order_leaves_memory() {
    let mut patient = Plant::clone(&plant(false));
    patient.confirmation_interval = Span::from_ticks(10 * 60 * SECOND);
    let running = Running::new(Arc::new(patient), 0);
    for input in [
        link(0, true),
        state(0, Some(MachineState::Running)),
        count(SignalRole::Good, 0, 0),
        command(0, store(1, 1, 1)),
        command(0, moved(1, JobCommand::Start)),
    ] {
        happens(&running, input);
        running.settle();
    }
    running.set(2 * HOUR);
    happens(&running, count(SignalRole::Good, 2 * HOUR - SECOND, 90));
    running.settle();
    happens(&running, command(2 * HOUR, moved(1, JobCommand::Complete)));
    for day in 1..4 {
        running.set(day * 24 * HOUR);
        running.settle();
    }
    let totals = || {
        let id = order(1);
        running.runtime.block_on(running.queries.order(&id)).unwrap().1.good
    };
    assert_eq!(totals(), 90);
    // Late values above the later one: the counter began again in between. The first correction is
    // confirmed at once.
    happens(&running, count(SignalRole::Good, HOUR, 100));
    running.settle();
    assert_eq!(totals(), 100 + 90);
    happens(&running, count(SignalRole::Good, HOUR + SECOND, 120));
    running.settle();
    assert_eq!(totals(), 120 + 90, "whoever looks sees what is known");
    // The evidence leaves memory again before the next confirmation is due.
    running.set(3 * 24 * HOUR + 61 * SECOND);
    running.settle();
    running.set(3 * 24 * HOUR + 601 * SECOND);
    running.settle();
    let told = running.engine.reader().confirmations(0, 100).unwrap();
    assert_eq!(told.last().unwrap().total.good, 210);
    assert_eq!(totals(), 210);
    running.end();
}

/// A machine that stands when the program starts says nothing new when it is reached again.
#[test]
fn what_a_machine_says_in_its_own_words_is_there_after_a_restart_although_nothing_has_changed() {
    let mut plant = Plant::clone(&plant(false));
    let states = StateRule { map: StateMap::PackMl, hold: Span::ZERO };
    let state = plant.machines.get_mut(&machine()).unwrap().signals.first_mut().unwrap();
    state.rule = SignalRule::State(states);
    let said = |running: &Running| {
        running.settle();
        running.engine.view().machines[&machine()].said.get(&SignalRole::State).copied()
    };
    let held = |at_tick: i64, status: u32| {
        Input::Observed(Observation {
            machine: machine(),
            role: SignalRole::State,
            at: at(at_tick),
            received: at(at_tick),
            seq: 0,
            status,
            raw: RawValue::Integer(11),
            reading: match status {
                0 => Reading::State(MachineState::Down),
                _ => Reading::Unusable(Unusable::BadStatus),
            },
        })
    };
    let running = Running::new(Arc::new(plant), 0);
    happens(&running, link(0, true));
    assert_eq!(said(&running), None);
    happens(&running, held(SECOND, 0));
    let told = Some(Said {
        status: 0,
        unusable: None,
        code: Some((Vocabulary::PackMl, 11)),
        at: at(SECOND),
    });
    assert_eq!(said(&running), told);
    let running = running.restart();
    assert_eq!(said(&running), None, "nobody knows what it says now");
    happens(&running, link(2 * SECOND, true));
    happens(&running, held(SECOND, 0));
    assert_eq!(said(&running), told);
    // What is late does not take the place of what is newer; what is bad says nothing.
    happens(&running, held(0, 0));
    assert_eq!(said(&running), told);
    happens(&running, held(3 * SECOND, 0x8000_0000));
    assert_eq!(
        said(&running),
        Some(Said {
            status: 0x8000_0000,
            unusable: Some(Unusable::BadStatus),
            code: None,
            at: at(3 * SECOND),
        })
    );
    running.end();
}
