//! Properties of the ledger, and its comparison with the oracle.

use linewright::domain::core::Core;
use linewright::domain::evidence::LinkChange;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::{Kpi, Profile};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::quantity::Ratio;
use linewright::domain::signal::{MachineState, SignalRole};
use linewright::domain::time::{Span, Window};
use proptest::prelude::*;

use super::oracle::{Expected, figures};
use super::plant::*;

fn window(from: i64, to: i64) -> Window {
    Window { from: at(from), to: at(to) }
}

fn kpi(core: &Core, from: i64, to: i64) -> Kpi {
    let facts = core.facts_at(core.now().max(at(to)));
    facts.kpi(&Equipment::Machine(machine()), window(from, to)).unwrap()
}

/// The engine's figures in the oracle's terms.
fn as_expected(kpi: &Kpi) -> Expected {
    let production = &kpi.production;
    let times = LossClass::ALL.map(|class| (class, kpi.time.of(class).ticks()));
    let seventh = |(ticks, divisor): (i128, i128)| ticks * 7 / divisor;
    Expected {
        time: times.into_iter().filter(|(_, ticks)| *ticks != 0).collect(),
        good: production.parts.good,
        reject: production.parts.reject,
        unattributed: production.unattributed.good + production.unattributed.reject,
        without_product: production.without_product,
        ideal_total_7: seventh(production.ideal_total.as_fraction()),
        ideal_good_7: seventh(production.ideal_good.as_fraction()),
    }
}

fn three_instants() -> impl Strategy<Value = (i64, i64, i64)> {
    // Many of them are instants at which something happens.
    let instant = prop_oneof![1 => tick(), 1 => -SECOND..HORIZON + 4 * 3600 * SECOND];
    prop::collection::btree_set(instant, 3).prop_map(|set| {
        let mut sorted = set.into_iter();
        let mut next = || sorted.next().unwrap();
        (next(), next(), next())
    })
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn the_engine_agrees_with_the_oracle(story in story(), (from, _, to) in three_instants()) {
        let core = story.core(&[]);
        prop_assert_eq!(as_expected(&kpi(&core, from, to)), figures(&story, from, to));
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(
        story in story(),
        keys in prop::collection::vec(any::<usize>(), 1..60),
        (from, _, to) in three_instants(),
    ) {
        let sorted = story.core(&[]);
        let shuffled = story.core(&keys);
        prop_assert_eq!(kpi(&sorted, from, to), kpi(&shuffled, from, to));
        for order in sorted.orders() {
            let other = shuffled.order(order.id()).unwrap();
            prop_assert_eq!(sorted.totals(order), shuffled.totals(other));
        }
    }

    #[test]
    fn time_is_partitioned_exactly(story in story(), (from, _, to) in three_instants()) {
        let core = story.core(&[]);
        let timeline = core.facts().timeline(&machine(), window(from, to)).unwrap();
        let mut end = at(from);
        for interval in &timeline.intervals {
            prop_assert_eq!(interval.window.from, end, "intervals follow each other");
            prop_assert!(interval.window.from < interval.window.to, "none is empty");
            end = interval.window.to;
        }
        prop_assert_eq!(end, at(to));
        prop_assert_eq!(kpi(&core, from, to).time.calendar(), Span::from_ticks(to - from));
    }

    #[test]
    fn splitting_a_window_and_adding_up_gives_the_whole(
        story in story(),
        (from, middle, to) in three_instants(),
    ) {
        let core = story.core(&[]);
        let whole = kpi(&core, from, to);
        let (left, right) = (kpi(&core, from, middle), kpi(&core, middle, to));
        let mut time = left.time;
        time.merge(&right.time);
        prop_assert_eq!(time, whole.time);
        let mut production = left.production;
        production.merge(&right.production);
        prop_assert_eq!(production, whole.production);
    }

    #[test]
    fn oee_is_the_product_of_its_factors_in_both_profiles(
        story in story(),
        (from, _, to) in three_instants(),
    ) {
        let kpi = kpi(&story.core(&[]), from, to);
        for profile in [Profile::Tpm, Profile::Iso22400] {
            let factors = [kpi.availability(profile), kpi.performance(profile), kpi.quality()];
            if let [Some(a), Some(p), Some(q)] = factors {
                let product = a.checked_mul(p).and_then(|ap| ap.checked_mul(q));
                prop_assert_eq!(product, kpi.oee());
            }
        }
        if let Some(waterfall) = kpi.waterfall() {
            let divisor = waterfall.speed_loss.denominator;
            let lost: i64 = waterfall.time_losses.iter().map(|(_, span)| span.ticks()).sum();
            let rest = waterfall.speed_loss.numerator
                + waterfall.quality_loss.numerator
                + waterfall.fully_productive.numerator;
            let busy = i128::from(kpi.time.planned_busy().ticks());
            prop_assert_eq!(i128::from(lost) * divisor + rest, busy * divisor);
        }
    }
}

/// Four hours of running with a stop of the given length after the first hour.
fn run_with_stop(length: i64) -> Core {
    let mut core = Core::new(plant(false), None);
    let hour = 3600 * SECOND;
    for input in [
        link(0, true),
        state(0, Some(MachineState::Running)),
        command(0, store(1, 1, 1)),
        command(0, moved(1, linewright::domain::order::JobCommand::Start)),
        count(SignalRole::Good, 0, 0),
        state(hour, Some(MachineState::Down)),
        state(hour + length, Some(MachineState::Running)),
    ] {
        feed(&mut core, &input);
    }
    core
}

#[test]
fn a_stop_is_a_micro_stop_strictly_below_the_threshold() {
    let whole = 4 * 3600 * SECOND;
    let below = kpi(&run_with_stop(MICRO_STOP - 1), 0, whole);
    assert_eq!(below.time.of(LossClass::MicroStop).ticks(), MICRO_STOP - 1);
    assert_eq!(below.availability(Profile::Tpm), Ratio::new(1, 1));
    let exactly = kpi(&run_with_stop(MICRO_STOP), 0, whole);
    assert_eq!(exactly.time.of(LossClass::MicroStop), Span::ZERO);
    assert_eq!(exactly.time.of(LossClass::UnplannedDown).ticks(), MICRO_STOP);
}

#[test]
fn a_long_stop_does_not_become_a_micro_stop_because_the_window_cuts_it() {
    let hour = 3600 * SECOND;
    let core = run_with_stop(10 * MICRO_STOP);
    let cut = kpi(&core, 0, hour + SECOND);
    assert_eq!(cut.time.of(LossClass::UnplannedDown).ticks(), SECOND);
    assert_eq!(cut.time.of(LossClass::MicroStop), Span::ZERO);
}

#[test]
fn a_stop_that_is_still_short_makes_the_figures_provisional() {
    let mut core = run_with_stop(MICRO_STOP);
    let down = 3 * 3600 * SECOND;
    feed(&mut core, &state(down, Some(MachineState::Down)));
    assert!(kpi(&core, 0, down + MICRO_STOP - 1).provisional);
    assert!(!kpi(&core, 0, down + MICRO_STOP).provisional);
}

#[test]
fn a_lost_link_is_no_data_and_what_was_counted_over_it_is_in_no_ratio() {
    let mut core = run_with_stop(MICRO_STOP);
    let minute = 60 * SECOND;
    for input in [
        count(SignalRole::Good, 10 * minute, 20),
        link(20 * minute, false),
        count(SignalRole::Good, 30 * minute, 50),
        link(30 * minute, true),
        count(SignalRole::Good, 40 * minute, 55),
    ] {
        feed(&mut core, &input);
    }
    let kpi = kpi(&core, 0, 60 * minute);
    assert_eq!(kpi.time.of(LossClass::NoData).ticks(), 10 * minute);
    assert_eq!(kpi.production.parts.good, 25);
    assert_eq!(kpi.production.unattributed.good, 30);
    assert_eq!(kpi.coverage(), Ratio::new(5, 6));
    let order = core.order(&order(1)).unwrap();
    assert_eq!(core.totals(order).good, 55, "the order ran all that time, so they are its parts");
}

#[test]
fn a_product_without_ideal_cycle_leaves_performance_undefined_and_not_zero() {
    let mut plant = linewright::domain::plant::Plant::clone(&plant(false));
    plant.products.get_mut(&product(1)).unwrap().cycles.clear();
    let mut core = Core::new(std::sync::Arc::new(plant), None);
    for input in [
        link(0, true),
        state(0, Some(MachineState::Running)),
        command(0, store(1, 1, 1)),
        command(0, moved(1, linewright::domain::order::JobCommand::Start)),
        count(SignalRole::Good, 0, 0),
        count(SignalRole::Good, SECOND, 10),
    ] {
        feed(&mut core, &input);
    }
    let kpi = kpi(&core, 0, 10 * SECOND);
    assert_eq!((kpi.performance(Profile::Tpm), kpi.oee()), (None, None));
    assert_eq!(kpi.availability(Profile::Tpm), Ratio::new(1, 1));
    assert!(kpi.production.without_cycle.contains(&product(1)));
}

#[test]
fn values_above_one_stay_and_are_flagged() {
    let mut core = run_with_stop(MICRO_STOP);
    feed(&mut core, &count(SignalRole::Good, 60 * SECOND, 150));
    let kpi = kpi(&core, 0, 600 * SECOND);
    assert!(kpi.oee().unwrap().exceeds_one());
    assert!(kpi.flags.contains(&linewright::domain::oee::kpi::Flag::IdealCycleTooSlow));
}

#[test]
fn a_reconnect_that_seems_to_lie_before_the_loss_still_ends_the_gap() {
    let mut core = Core::new(plant(false), None);
    let linked = |ticks, seq, up| {
        let machine = machine();
        linewright::domain::command::Input::Linked(LinkChange { machine, at: at(ticks), seq, up })
    };
    feed(&mut core, &state(0, Some(MachineState::Running)));
    feed(&mut core, &linked(0, 1, true));
    feed(&mut core, &linked(100 * SECOND, 2, false));
    // The machine's clock was estimated to be a little slower this time.
    feed(&mut core, &linked(100 * SECOND - 7, 3, true));
    let gap = kpi(&core, 0, 200 * SECOND).time.of(LossClass::NoData);
    assert_eq!(gap, Span::from_ticks(1));
    // A loss that is told twice, the second time for an earlier instant, is one loss.
    feed(&mut core, &linked(150 * SECOND, 4, false));
    feed(&mut core, &linked(140 * SECOND, 5, false));
    let gap = kpi(&core, 0, 200 * SECOND).time.of(LossClass::NoData);
    assert_eq!(gap, Span::from_ticks(50 * SECOND + 1));
}

#[test]
fn a_link_that_comes_back_at_the_instant_of_its_loss_has_missed_nothing() {
    let mut core = run_with_stop(MICRO_STOP);
    let minute = 60 * SECOND;
    let linked = |seq, up| {
        let (machine, at) = (machine(), at(20 * minute));
        linewright::domain::command::Input::Linked(LinkChange { machine, at, seq, up })
    };
    feed(&mut core, &count(SignalRole::Good, 10 * minute, 20));
    feed(&mut core, &linked(1, false));
    assert_eq!(kpi(&core, 0, 60 * minute).time.of(LossClass::NoData).ticks(), 40 * minute);
    // What the machine has kept meanwhile is told afterwards.
    feed(&mut core, &count(SignalRole::Good, 21 * minute, 22));
    feed(&mut core, &linked(2, true));
    feed(&mut core, &count(SignalRole::Good, 30 * minute, 50));
    let kpi = kpi(&core, 0, 60 * minute);
    assert_eq!(kpi.time.of(LossClass::NoData), Span::ZERO);
    assert_eq!((kpi.production.parts.good, kpi.production.unattributed.good), (50, 0));
    assert_eq!(kpi.coverage(), Ratio::new(1, 1));
}
