//! Notices: whatever happens in whatever order, what was told is what is so, each thing once; and
//! conditions from their beginning to their end, over restarts.

use linewright::domain::command::{Command, ConditionCommand, Input, Look, RemarkCommand};
use linewright::domain::core::Core;
use linewright::domain::event::Event;
use linewright::domain::id::ReasonId;
use linewright::domain::notice::condition::ConditionSource;
use linewright::domain::notice::{Condition, ConditionAction, Matter, Notice};
use linewright::domain::oee::stops::Stop;
use linewright::domain::order::{JobCommand, JobState};
use linewright::domain::signal::{MachineState, SignalRole};
use linewright::domain::time::{Span, Timestamp, Window};
use linewright::domain::transfer::{OrderTransfer, TransferMoment, TransferOutcome};
use proptest::prelude::*;

use super::plant::*;
use super::running::Running;
use super::writer::happens;

const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Decides an input and looks at the machine, as the engine does before each commit.
fn happen(core: &mut Core, input: &Input, now: Option<i64>) -> Vec<Notice> {
    let mut from: Option<Timestamp> = None;
    let mut notices = Vec::new();
    let mut decide = |core: &mut Core, input: &Input, from: &mut Option<Timestamp>| {
        let mut events = Vec::new();
        if core.decide(input, &mut events).is_err() {
            return;
        }
        for event in &events {
            let touched = core.apply(event).touched;
            *from = touched.iter().map(|(_, window)| window.from).chain(*from).min();
            if let Event::Noticed(notice) = event {
                notices.push((**notice).clone());
            }
        }
    };
    decide(core, input, &mut from);
    let now = now.map_or(core.now(), at);
    let machines = vec![(machine(), from.unwrap_or(now))];
    let look = Input::Look(Look { now, running_since: at(0), machines });
    decide(core, &look, &mut from);
    notices
}

fn stops(core: &Core, from: Timestamp) -> Vec<Stop> {
    let now = core.now() + Span::from_ticks(1);
    core.facts().stops(&machine(), Window { from, to: now })
}

/// What of a stop is told.
fn told(stop: &Stop) -> (Timestamp, Option<Timestamp>, Option<ReasonId>) {
    (stop.start, stop.end, stop.cause.as_ref().map(|cause| cause.reason.clone()))
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn what_was_told_of_stops_is_what_is_so_in_whatever_order_it_became_known(
        story in story(), keys in prop::collection::vec(any::<usize>(), 1..60),
    ) {
        let mut core = Core::new(plant(story.shifts), None);
        let mut facts: Vec<(usize, Input)> = story.facts().into_iter().enumerate().collect();
        facts.sort_by_key(|(index, _)| keys[index % keys.len()]);
        let mut notices = Vec::new();
        for (_, fact) in &facts {
            notices.extend(happen(&mut core, fact, None));
        }
        for (instant, reason) in &story.reasons {
            let reason = ReasonId::parse(reason).unwrap();
            let said = Command::Remark {
                machine: machine(),
                remark: RemarkCommand::Classify { stop: at(*instant), reason },
                comment: String::new(),
            };
            notices.extend(happen(&mut core, &command(2 * HORIZON, said), None));
        }
        let numbers: Vec<u64> = notices.iter().map(|notice| notice.number).collect();
        prop_assert_eq!(numbers, (1..=notices.len() as u64).collect::<Vec<_>>());
        let Some(known) = core.told(&machine()) else {
            return Ok(());
        };
        let is: Vec<_> = stops(&core, known.from).iter().map(told).collect();
        let was: Vec<_> = known.stops.values().map(told).collect();
        // What had ended when the first thing was told is history.
        let is: Vec<_> = is.into_iter().filter(|(start, end, _)| {
            end.is_none() || *start >= known.from
        }).collect();
        let was: Vec<_> = was.into_iter().filter(|(start, end, _)| {
            end.is_none() || *start >= known.from
        }).collect();
        prop_assert_eq!(is, was);
        // A start is told again only after it was told that it was otherwise.
        let mut open = std::collections::BTreeSet::new();
        for notice in &notices {
            match &notice.matter {
                Matter::StopStarted(stop) => prop_assert!(open.insert(stop.start)),
                Matter::StopRevised { was, stop } => {
                    open.remove(&was.from);
                    open.extend(stop.as_ref().map(|stop| stop.start));
                }
                _ => {}
            }
        }
    }
}

fn alarm(core: &Core) -> Condition {
    core.condition(&ConditionSource::Stops(machine()))
}

fn act(action: ConditionAction, notice: Option<u64>, reason: Option<&str>) -> Command {
    let reason = reason.map(|reason| ReasonId::parse(reason).unwrap());
    let (source, comment) = (ConditionSource::Stops(machine()), "belt".to_owned());
    Command::Condition(ConditionCommand { source, action, notice, comment, reason })
}

fn nothing(now: i64) -> Input {
    Input::Tick(at(now))
}

#[test]
fn a_stop_that_nobody_explains_is_a_condition_until_it_runs_again_and_has_its_reason() {
    let mut core = Core::new(plant(false), None);
    happen(&mut core, &state(0, Some(MachineState::Running)), None);
    happen(&mut core, &state(10 * MINUTE, Some(MachineState::Down)), None);
    assert!(!alarm(&core).active.is, "it may be a micro-stop");
    happen(&mut core, &nothing(10 * MINUTE + MICRO_STOP), Some(10 * MINUTE + MICRO_STOP));
    let begun = alarm(&core);
    assert!(begun.active.is && begun.retain && !begun.acked.is && !begun.confirmed.is);
    assert_eq!(begun.severity, 700);

    let seen = act(ConditionAction::Acknowledge, begun.known_by.last().copied(), None);
    happen(&mut core, &command(13 * MINUTE, seen.clone()), None);
    assert!(alarm(&core).acked.is && alarm(&core).retain);
    let again = core.decide(&command(13 * MINUTE, seen), &mut Vec::new()).unwrap_err();
    assert_eq!(again.code(), "mes.condition.already_acknowledged");
    let unknown = act(ConditionAction::Acknowledge, Some(9999), None);
    let unknown = core.decide(&command(13 * MINUTE, unknown), &mut Vec::new()).unwrap_err();
    assert_eq!(unknown.code(), "mes.condition.unknown_event");

    happen(&mut core, &state(20 * MINUTE, Some(MachineState::Running)), None);
    let ended = alarm(&core);
    assert!(!ended.active.is && ended.retain, "somebody has still to say why");
    let bare = act(ConditionAction::Confirm, None, None);
    let bare = core.decide(&command(21 * MINUTE, bare), &mut Vec::new()).unwrap_err();
    assert_eq!(bare.code(), "mes.condition.reason_missing");
    let confirm = act(ConditionAction::Confirm, None, Some("jam"));
    let notices = happen(&mut core, &command(21 * MINUTE, confirm), None);
    assert!(notices.iter().any(|notice| matches!(notice.matter, Matter::StopClassified(_))));
    let done = alarm(&core);
    assert!(done.confirmed.is && !done.retain);
    assert_eq!(done.comment.unwrap().text, "belt");
}

#[test]
fn a_stop_before_the_last_stays_a_branch_until_it_is_explained() {
    let mut core = Core::new(plant(false), None);
    let running = Some(MachineState::Running);
    for (minute, is) in [(0, running), (10, None), (20, running), (30, None), (40, running)] {
        let down = Some(MachineState::Down);
        happen(&mut core, &state(minute * MINUTE, is.or(down)), None);
    }
    let branches: Vec<_> = core.conditions().map(|c| (c.branch, c.retain)).collect();
    assert_eq!(branches, [(true, true), (false, true)]);
    let first = core.conditions().next().unwrap().known_by.last().copied();
    let confirm = act(ConditionAction::Confirm, first, Some("jam"));
    happen(&mut core, &command(50 * MINUTE, confirm), None);
    assert_eq!(core.conditions().count(), 1, "who is done with it sees it no longer");
    assert!(!alarm(&core).confirmed.is, "the other one waits");
}

#[test]
fn late_data_take_back_what_was_told() {
    let mut core = Core::new(plant(false), None);
    happen(&mut core, &state(0, Some(MachineState::Running)), None);
    happen(&mut core, &state(10 * MINUTE, Some(MachineState::Down)), None);
    happen(&mut core, &state(20 * MINUTE, Some(MachineState::Running)), None);
    let notices = happen(&mut core, &state(12 * MINUTE, Some(MachineState::Running)), None);
    let late = |notice: &Notice| matches!(notice.matter, Matter::LateData { values: 1, .. });
    assert!(notices.iter().any(late));
    let revised = notices.iter().find_map(|notice| match &notice.matter {
        Matter::StopRevised { was, stop: Some(stop) } => Some((was.to, stop.end)),
        _ => None,
    });
    assert_eq!(revised, Some((at(20 * MINUTE), Some(at(12 * MINUTE)))));
}

#[test]
fn conditions_and_notices_survive_a_restart_of_the_engine() {
    let running = Running::new(plant(false), HOUR);
    happens(&running, state(HOUR, Some(MachineState::Running)));
    happens(&running, count(SignalRole::Good, HOUR, 0));
    happens(&running, command(HOUR, store(1, 1, 1)));
    happens(&running, command(HOUR, moved(1, JobCommand::Start)));
    happens(&running, state(HOUR + 10 * MINUTE, Some(MachineState::Down)));
    running.set(HOUR + 20 * MINUTE);
    running.settle();
    let of_stops = |running: &Running| -> Vec<Condition> {
        let view = running.engine.view();
        let source = ConditionSource::Stops(machine());
        view.conditions.iter().filter(|c| c.id.source() == source).cloned().collect()
    };
    let before = of_stops(&running);
    assert!(before.len() == 1 && before[0].active.is && before[0].retain);
    let told = running.engine.reader().notices_after(0, usize::MAX).unwrap();
    let of_orders = told.iter().filter(|n| matches!(n.matter, Matter::Order { .. })).count();
    assert_eq!(of_orders, 2);
    let running = running.restart();
    running.settle();
    let after = of_stops(&running);
    let state = |c: &Condition| (c.id.clone(), c.active, c.acked, c.confirmed, c.retain);
    assert_eq!(after.iter().map(state).collect::<Vec<_>>(), [state(&before[0])]);
    assert!(!after[0].known.is, "nobody has heard of the machine since");
    let again = running.engine.reader().notices_after(0, usize::MAX).unwrap();
    assert_eq!(again[..told.len()], told[..]);
    let twice = |notice: &Notice| matches!(notice.matter, Matter::StopStarted(_));
    assert_eq!(again.iter().filter(|notice| twice(notice)).count(), 1);
    running.end();
}

#[test]
fn what_a_machine_is_told_of_orders_is_told_once_and_known_after_a_restart() {
    let running = Running::new(plant(false), HOUR);
    let tell = |running: &Running, calls: u32, outcome: TransferOutcome| {
        let transfer = OrderTransfer {
            order: order(1),
            revision: 1,
            state: JobState::Running,
            moment: TransferMoment::Start,
            calls,
            outcome,
        };
        happens(running, command(HOUR, Command::Transfer { machine: machine(), transfer }));
    };
    let refused = || TransferOutcome::Refused { why: "its door is open".into() };
    for _ in 0..3 {
        tell(&running, 0, TransferOutcome::Calling);
        tell(&running, 0, refused());
    }
    tell(&running, 0, TransferOutcome::Calling);
    tell(&running, 1, TransferOutcome::Known);
    tell(&running, 1, TransferOutcome::Known);
    tell(&running, 1, TransferOutcome::Calling);
    running.settle();
    let told = |running: &Running| -> Vec<OrderTransfer> {
        let told = running.engine.reader().notices_after(0, usize::MAX).unwrap();
        let transfers = told.into_iter().filter_map(|notice| match notice.matter {
            Matter::Transfer(transfer) => Some(transfer),
            _ => None,
        });
        transfers.collect()
    };
    let outcomes: Vec<_> = told(&running).into_iter().map(|told| told.outcome).collect();
    assert_eq!(outcomes, [refused(), TransferOutcome::Known], "the same words are no news");
    let known = |running: &Running| running.engine.view().machines[&machine()].transfer.clone();
    let before = known(&running);
    assert!(before.as_ref().is_some_and(|known| known.told.is_some() && known.calling.is_some()));
    let running = running.restart();
    running.settle();
    assert_eq!(known(&running), before);
    assert_eq!(told(&running).len(), 2);
    running.end();
}

#[test]
fn a_link_that_came_up_just_before_a_restart_is_lost_with_it() {
    let running = Running::new(plant(false), HOUR);
    happens(&running, state(HOUR, Some(MachineState::Running)));
    happens(&running, link(HOUR + SECOND / 4, true));
    running.settle();
    assert!(running.engine.view().machines[&machine()].linked);
    running.set(HOUR + SECOND / 2);
    let running = running.restart();
    running.settle();
    assert!(!running.engine.view().machines[&machine()].linked, "nobody has heard it since");
    running.end();
}

#[test]
fn what_a_machine_says_of_an_instant_that_has_not_come_is_told_when_it_comes() {
    let running = Running::new(plant(false), HOUR);
    happens(&running, state(HOUR, Some(MachineState::Running)));
    happens(&running, state(HOUR + MINUTE, Some(MachineState::Down)));
    running.settle();
    let stops = || {
        let told = running.engine.reader().notices_after(0, usize::MAX).unwrap();
        told.iter().filter(|n| matches!(n.matter, Matter::StopStarted(_))).count()
    };
    assert_eq!(stops(), 0);
    running.set(HOUR + 2 * MINUTE);
    running.settle();
    assert_eq!(stops(), 1);
    running.end();
}

#[test]
fn a_stop_of_many_hours_is_over_when_the_machine_runs_again() {
    let mut core = Core::new(plant(false), None);
    happen(&mut core, &state(0, Some(MachineState::Running)), None);
    happen(&mut core, &state(HOUR, Some(MachineState::Down)), None);
    let notices = happen(&mut core, &state(30 * HOUR, Some(MachineState::Running)), None);
    let ends: Vec<_> = notices
        .iter()
        .filter_map(|notice| match &notice.matter {
            Matter::StopEnded(stop) => Some((notice.at, stop.end)),
            Matter::StopRevised { .. } => panic!("nothing was otherwise than told"),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [(at(30 * HOUR), Some(at(30 * HOUR)))]);
}

#[test]
fn several_stops_that_become_known_at_once_are_branches_but_for_the_last() {
    let mut core = Core::new(plant(false), None);
    let (running, down) = (Some(MachineState::Running), Some(MachineState::Down));
    happen(&mut core, &state(0, running), None);
    let mut events = Vec::new();
    for (minute, is) in [(10, down), (20, running), (30, down), (40, running), (50, down)] {
        core.decide(&state(minute * MINUTE, is), &mut events).unwrap();
        events.drain(..).for_each(|event| drop(core.apply(&event)));
    }
    let machines = vec![(machine(), at(10 * MINUTE))];
    let look = Look { now: at(60 * MINUTE), running_since: at(0), machines };
    core.decide(&Input::Look(look), &mut events).unwrap();
    events.drain(..).for_each(|event| drop(core.apply(&event)));
    let branches: Vec<_> = core.conditions().map(|c| (c.branch, c.active.is)).collect();
    assert_eq!(branches, [(true, false), (true, false), (false, true)]);
}

#[test]
fn a_condition_of_a_machine_that_says_nothing_any_more_says_so() {
    let mut core = Core::new(plant(false), None);
    happen(&mut core, &state(0, Some(MachineState::Running)), None);
    happen(&mut core, &state(10 * MINUTE, Some(MachineState::Down)), None);
    happen(&mut core, &nothing(20 * MINUTE), Some(20 * MINUTE));
    assert!(alarm(&core).active.is && alarm(&core).known.is);
    happen(&mut core, &link(30 * MINUTE, false), None);
    assert!(alarm(&core).active.is && !alarm(&core).known.is);
    happen(&mut core, &link(40 * MINUTE, true), None);
    assert!(alarm(&core).known.is);
}

#[test]
fn what_is_shelved_for_a_time_comes_back_by_itself_though_the_stop_changes_meanwhile() {
    let mut core = Core::new(plant(false), None);
    happen(&mut core, &state(0, Some(MachineState::Running)), None);
    happen(&mut core, &state(10 * MINUTE, Some(MachineState::Down)), None);
    happen(&mut core, &nothing(20 * MINUTE), Some(20 * MINUTE));
    let shelve = act(ConditionAction::ShelveFor(Span::from_ticks(5 * MINUTE)), None, None);
    happen(&mut core, &command(21 * MINUTE, shelve), None);
    assert!(alarm(&core).shelving.holds(at(25 * MINUTE)));
    assert!(core.looks_due(at(26 * MINUTE)).contains(&machine()));
    // The stop ends in the same look in which the time is over.
    happen(&mut core, &state(30 * MINUTE, Some(MachineState::Running)), None);
    assert!(!alarm(&core).shelving.holds(at(30 * MINUTE)) && !alarm(&core).active.is);
}

#[test]
fn what_a_machine_was_told_of_orders_is_known_when_it_is_configured_again() {
    let mut core = Core::new(plant(false), None);
    let transfer = OrderTransfer {
        order: order(1),
        revision: 1,
        state: JobState::Running,
        moment: TransferMoment::Start,
        calls: 1,
        outcome: TransferOutcome::Known,
    };
    let told = Command::Transfer { machine: machine(), transfer: transfer.clone() };
    happen(&mut core, &command(0, told), None);
    let mut without = (*plant(false)).clone();
    without.machines.remove(&machine());
    without.lines.clear();
    let without = std::sync::Arc::new(without);
    happen(&mut core, &Input::Defined { from: at(MINUTE), plant: without }, None);
    happen(&mut core, &Input::Defined { from: at(2 * MINUTE), plant: plant(false) }, None);
    let known = core.transfer(&machine()).and_then(|known| known.told.clone());
    assert_eq!(known, Some(transfer), "or its methods would be called again");
}

#[test]
fn a_machine_that_is_gone_has_no_conditions_any_more() {
    let mut core = Core::new(plant(false), None);
    happen(&mut core, &state(0, Some(MachineState::Running)), None);
    happen(&mut core, &state(10 * MINUTE, Some(MachineState::Down)), None);
    happen(&mut core, &nothing(20 * MINUTE), Some(20 * MINUTE));
    assert_eq!(core.conditions().count(), 1);
    let mut without = (*plant(false)).clone();
    without.machines.remove(&machine());
    without.lines.clear();
    let plant = std::sync::Arc::new(without);
    happen(&mut core, &Input::Defined { from: at(21 * MINUTE), plant }, None);
    assert_eq!(core.conditions().count(), 0);
}
