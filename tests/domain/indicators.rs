//! Every figure that follows from time and parts, worked out by hand.

use linewright::domain::id::ReasonId;
use linewright::domain::oee::figure::Figure;
use linewright::domain::oee::iso22400::{Indicator, Missing, indicators};
use linewright::domain::oee::kpi::{ExactTime, Flag, Kpi, Profile, ReasonTally};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::oee::parts::Parts;
use linewright::domain::quantity::Ratio;
use linewright::domain::time::{Span, Window};

use super::plant::*;

/// Seconds of each class, in the order of the classes: planned busy are the first seven, 475 s.
const SECONDS: [i64; 10] = [300, 20, 40, 60, 10, 30, 15, 50, 400, 25];
/// Of these with an order in production: all but the 15 s without one, 10 s of running and what is
/// outside.
const IN_ORDERS: [i64; 10] = [290, 20, 40, 60, 10, 30, 0, 0, 0, 0];

/// 950 s in which 7 parts of 10 s were made (5 good, one of the others after a start) and 14 parts
/// of which seven take 100 s (10 good).
fn worked() -> Kpi {
    let mut kpi = Kpi::nothing(Window { from: at(0), to: at(950 * SECOND) });
    for (class, (all, in_orders)) in
        LossClass::ALL.into_iter().zip(SECONDS.into_iter().zip(IN_ORDERS))
    {
        kpi.time.add(class, Span::from_seconds(all));
        kpi.time_in_orders.add(class, Span::from_seconds(in_orders));
    }
    let production = &mut kpi.production;
    production.parts = Parts {
        good: 15,
        reject: 3,
        startup_reject: 1,
        rework: 2,
        total: 21,
        infeed: 25,
        rework_good: 1,
    };
    production.ideal_total.add(10 * SECOND, 1, 7);
    production.ideal_total.add(100 * SECOND, 7, 14);
    production.ideal_good.add(10 * SECOND, 1, 5);
    production.ideal_good.add(100 * SECOND, 7, 10);
    // As if a third product of 10 s for three parts had lost one of them.
    production.ideal_startup_reject.add(10 * SECOND, 3, 1);
    kpi.stops.failures = 2;
    kpi.stops.failure_time = Span::from_seconds(50);
    kpi.counted = true;
    kpi
}

fn ratio(numerator: i128, denominator: i128) -> Option<Ratio> {
    Ratio::new(numerator, denominator)
}

#[test]
fn each_ratio_has_the_divisor_that_its_definition_says() {
    let kpi = worked();
    assert_eq!(kpi.availability(Profile::Tpm), ratio(320, 475));
    assert_eq!(kpi.availability(Profile::Iso22400), ratio(300, 475));
    assert_eq!(kpi.performance(Profile::Tpm), ratio(270, 320));
    assert_eq!(kpi.performance(Profile::Iso22400), ratio(270, 300));
    assert_eq!(kpi.quality(), ratio(1350, 1890), "weighted by ideal time");
    assert_eq!(kpi.count_quality(), ratio(15, 21), "by number of parts");
    assert_eq!(kpi.oee(), ratio(1350, 7 * 475));
    assert_eq!(kpi.ooe(), ratio(1350, 7 * 550), "of all shifts, known or not");
    assert_eq!(kpi.teep(), ratio(1350, 7 * 950), "of all time");
    assert_eq!(kpi.nee(), ratio(1350 * 340, 7 * 475 * 300), "setup is no loss");
    assert_eq!(kpi.coverage(), ratio(475, 500));
    let second = i128::from(SECOND);
    assert_eq!(kpi.mtbf(), ratio(340 * second, 2));
    assert_eq!(kpi.mttr(), ratio(25 * second, 1));
    assert_eq!((Profile::Tpm.as_str(), Profile::Iso22400.as_str()), ("tpm", "iso22400"));
}

fn sevenths(time: ExactTime) -> i128 {
    let seconds = i128::from(SECOND) * time.denominator;
    assert_eq!(time.numerator * 21 % seconds, 0);
    time.numerator * 21 / seconds
}

#[test]
fn the_waterfall_and_the_six_big_losses_close_to_the_tick() {
    let kpi = worked();
    let waterfall = kpi.waterfall().unwrap();
    // In seconds times 21, the common divisor of all products.
    assert_eq!(sevenths(waterfall.speed_loss), 30 * 21);
    assert_eq!(sevenths(waterfall.quality_loss), 540 * 3);
    assert_eq!(sevenths(waterfall.fully_productive), 1350 * 3);
    let losses: Vec<_> =
        waterfall.time_losses.iter().map(|(_, span)| span.ticks() / SECOND).collect();
    assert_eq!(losses, [20, 40, 60, 10, 30, 15]);

    let six = kpi.six_big_losses().unwrap();
    assert_eq!(six.breakdown, Span::from_seconds(60));
    assert_eq!(six.setup, Span::from_seconds(40));
    assert_eq!(six.minor_stops, Span::from_seconds(20 + 10 + 30));
    assert_eq!(sevenths(six.reduced_speed), 30 * 21);
    assert_eq!(sevenths(six.startup_rejects), 70);
    assert_eq!(sevenths(six.production_rejects), 540 * 3 - 70);
    let lost = (60 + 40 + 60 + 15 + 30) * 21 + 540 * 3 + 1350 * 3;
    assert_eq!(lost, 475 * 21, "with the time without an order they are planned busy time");
}

#[test]
fn products_of_several_cavities_add_up_over_their_common_divisor() {
    let mut kpi = worked();
    let production = &mut kpi.production;
    (production.ideal_total, production.ideal_good) = Default::default();
    production.ideal_startup_reject = Default::default();
    // 5 of four and 7 of six in 100 s, of which 3 of six are good; one of ten was lost at the start.
    production.ideal_total.add(100 * SECOND, 4, 5);
    production.ideal_total.add(100 * SECOND, 6, 7);
    production.ideal_good.add(100 * SECOND, 6, 3);
    production.ideal_startup_reject.add(100 * SECOND, 10, 1);
    let exact = |time: ExactTime| ratio(time.numerator, time.denominator * i128::from(SECOND));
    let waterfall = kpi.waterfall().unwrap();
    // 125 s and 700/6 s, less 50 s.
    assert_eq!(exact(waterfall.speed_loss), ratio(300 * 6 - 125 * 6 - 700, 6));
    assert_eq!(exact(waterfall.quality_loss), ratio(125 * 6 + 700 - 300, 6));
    assert_eq!(exact(waterfall.fully_productive), ratio(50, 1));
    let six = kpi.six_big_losses().unwrap();
    assert_eq!(exact(six.startup_rejects), ratio(10, 1));
    assert_eq!(exact(six.production_rejects), ratio(125 * 6 + 700 - 300 - 60, 6));
    assert_eq!(exact(six.reduced_speed), exact(waterfall.speed_loss));
    assert_eq!(kpi.quality(), ratio(300, 125 * 6 + 700));
    assert_eq!(kpi.oee(), ratio(50, 475));
}

#[test]
fn nothing_is_defined_without_counts_or_ideal_times_and_nothing_is_zero_instead() {
    let mut kpi = worked();
    kpi.counted = false;
    let undefined = |kpi: &Kpi| {
        let ratios = [kpi.oee(), kpi.teep(), kpi.ooe(), kpi.nee(), kpi.quality()];
        ratios.iter().all(Option::is_none)
            && kpi.performance(Profile::Tpm).is_none()
            && kpi.waterfall().is_none()
            && kpi.six_big_losses().is_none()
    };
    assert!(undefined(&kpi));
    assert!(kpi.availability(Profile::Tpm).is_some(), "time alone is known");
    kpi.counted = true;
    kpi.production.without_product = true;
    assert!(undefined(&kpi));
    let nothing = Kpi { counted: true, ..Kpi::nothing(Window { from: at(0), to: at(0) }) };
    assert_eq!((nothing.availability(Profile::Tpm), nothing.oee()), (None, None));
    assert_eq!((nothing.coverage(), nothing.mtbf(), nothing.mttr()), (None, None, None));
}

#[test]
fn the_indicators_of_iso_22400_have_their_values_or_say_what_is_missing() {
    let kpi = worked();
    let all = indicators(&kpi);
    assert_eq!(all.iter().map(|i| i.number).collect::<Vec<_>>(), (1..=34).collect::<Vec<_>>());
    let value = |number: usize| all[number - 1].value.ok();
    let delay = 20 + 60 + 10 + 30;
    assert_eq!(value(2), ratio(290 + 40 + delay, 450), "allocation ratio");
    assert_eq!(value(3), ratio(21, 450), "throughput in parts a second");
    assert_eq!(value(4), ratio(340 + delay, 475), "allocation efficiency");
    assert_eq!(value(5), ratio(300, 340 + delay), "utilization efficiency");
    assert_eq!((value(6), value(7)), (kpi.oee(), kpi.nee()));
    assert_eq!((value(8), value(9)), (ratio(300, 475), ratio(270, 300)));
    assert_eq!((value(10), value(15)), (ratio(15, 21), ratio(15, 21)), "quality by number");
    assert_eq!(value(11), ratio(40, 340), "setup ratio");
    assert_eq!(value(12), ratio(300, 300 + delay), "technical efficiency");
    assert_eq!(value(13), ratio(290, 450), "production process ratio");
    assert_eq!((value(16), value(17), value(18)), (ratio(4, 21), ratio(2, 21), ratio(4, 25)));
    assert_eq!(value(30), ratio(270, 475), "equipment load ratio");
    assert_eq!((value(31), value(33)), (ratio(170, 1), ratio(25, 1)), "in seconds");
    for missing in [1, 14, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 32, 34] {
        let why = all[missing - 1].value.unwrap_err();
        assert!(matches!(why, Missing::Input(_)) && why.as_str().len() > 10, "{missing}");
    }
}

#[test]
fn an_indicator_without_value_says_whether_a_divisor_or_an_input_is_missing() {
    let mut kpi = worked();
    kpi.stops.failures = 0;
    kpi.production.parts = Parts::default();
    kpi.counted = false;
    let all = indicators(&kpi);
    let why = |number: usize| all[number - 1].value.unwrap_err();
    assert_eq!(why(31), Missing::Input("no failure began in this window"));
    assert_eq!(why(10), Missing::NothingToDivideBy);
    assert_eq!(
        (why(6), why(9), why(30)),
        (Missing::IdealTime, Missing::IdealTime, Missing::IdealTime)
    );
    assert_eq!(why(18), Missing::Input("parts that come in are not counted"));
    let texts: Vec<&str> = all.iter().map(|i: &Indicator| i.formula).collect();
    assert!(texts.iter().all(|formula| !formula.is_empty()));
    let distinct = [Missing::NothingToDivideBy, Missing::IdealTime].map(Missing::as_str);
    assert_ne!(distinct[0], distinct[1]);
}

#[test]
fn sums_of_windows_and_of_equipment_keep_what_a_reader_must_know() {
    let mut one = worked();
    one.stops.stops = 3;
    one.stops.micro_stops = 4;
    one.stops.unexplained = 1;
    one.production.doubtful_steps = 2;
    one.production.slow_cycles = 5;
    let mut other = one.clone();
    other.window = Window { from: at(950 * SECOND), to: at(990 * SECOND) };
    other.counted = false;
    other.provisional = true;
    other.stops.failures = 3;
    let jam = ReasonId::parse("jam").unwrap();
    let tally = |seconds, stops| ReasonTally { time: Span::from_seconds(seconds), stops };
    one.stops.by_reason = [(None, tally(7, 2))].into();
    other.stops.by_reason = [(None, tally(5, 3)), (Some(jam.clone()), tally(11, 1))].into();
    other.flags.insert(Flag::CounterStuck);
    let mut sum = one.clone();
    sum.merge(&other);
    assert!(sum.counted, "what is counted in one of two windows of it is counted");
    assert_eq!((sum.window.from, sum.window.to), (at(0), at(990 * SECOND)));
    assert!(sum.provisional && sum.flags.contains(&Flag::CounterStuck));
    let stops = &sum.stops;
    assert_eq!((stops.stops, stops.micro_stops, stops.failures, stops.unexplained), (6, 8, 5, 2));
    assert_eq!(stops.by_reason, [(None, tally(12, 5)), (Some(jam), tally(11, 1))].into());
    assert_eq!(stops.failure_time, Span::from_seconds(100));
    assert_eq!((sum.production.doubtful_steps, sum.production.slow_cycles), (4, 10));
    assert_eq!(sum.oee(), one.oee(), "twice the same");
    let mut equipment = one.clone();
    equipment.merge_equipment(&other);
    assert!(!equipment.counted, "parts of two machines are known where both count them");
    other.counted = true;
    other.provisional = false;
    let mut equipment = one.clone();
    equipment.merge_equipment(&other);
    assert!(equipment.counted && !equipment.provisional);
    assert!(!equipment.flags.contains(&Flag::CountersDisagree));
    one.production.parts.reject = -1;
    for (mut sum, next) in [(one.clone(), &other), (other.clone(), &one)] {
        sum.merge_equipment(next);
        assert_eq!(sum.production.parts.reject, 2);
        assert!(sum.flags.contains(&Flag::CountersDisagree), "though the sum looks right");
    }
    one.merge(&other);
    one.set_flags();
    assert!(
        !one.flags.contains(&Flag::CountersDisagree),
        "of one machine the last parts may say it"
    );
}

#[test]
fn a_figure_is_certain_where_all_that_is_in_it_is_known() {
    let uncertain = |change: &dyn Fn(&mut Kpi)| {
        let mut kpi = worked();
        kpi.time = Default::default();
        kpi.time.add(LossClass::Run, Span::from_seconds(900));
        change(&mut kpi);
        kpi.set_flags();
        let figures = Figure::ALL.into_iter().filter(|figure| !figure.is_certain(&kpi));
        figures.map(Figure::as_str).collect::<Vec<_>>()
    };
    assert_eq!(uncertain(&|_| {}), [""; 0]);
    let of_parts = ["Oee", "Performance", "Quality", "Teep", "Ooe", "Nee"];
    assert_eq!(uncertain(&|kpi| kpi.production.parts.reject = -1), of_parts);
    assert_eq!(uncertain(&|kpi| kpi.production.doubtful_steps = 1), of_parts);
    let no_data = |kpi: &mut Kpi| kpi.time.add(LossClass::NoData, Span::from_ticks(1));
    assert_eq!(uncertain(&no_data), Figure::ALL.map(Figure::as_str));
}

#[test]
fn flags_say_what_is_wrong_with_a_figure_and_nothing_else() {
    let flags = |change: &dyn Fn(&mut Kpi)| {
        let mut kpi = worked();
        kpi.time = Default::default();
        for (class, seconds) in LossClass::ALL.into_iter().zip(SECONDS).take(9) {
            kpi.time.add(class, Span::from_seconds(seconds));
        }
        change(&mut kpi);
        kpi.set_flags();
        kpi.flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(flags(&|_| {}), [""; 0], "all is well");
    let no_data = |kpi: &mut Kpi| kpi.time.add(LossClass::NoData, Span::from_ticks(1));
    assert_eq!(flags(&no_data), ["coverage_incomplete"]);
    assert_eq!(flags(&|kpi| kpi.counted = false), ["good_not_counted"]);
    assert_eq!(flags(&|kpi| kpi.stops.unexplained = 1), ["unexplained_stops"]);
    assert_eq!(flags(&|kpi| kpi.production.doubtful_steps = 1), ["doubtful_counter_step"]);
    assert_eq!(flags(&|kpi| kpi.production.parts.reject = -1), ["counters_disagree"]);
    assert_eq!(flags(&|kpi| kpi.production.parts.good = -1), ["counters_disagree"]);
    assert_eq!(flags(&|kpi| kpi.production.parts.good = 22), ["quality_above_one"]);
    assert_eq!(flags(&|kpi| kpi.production.unattributed.good = 1), ["unattributed_counts"]);
    assert_eq!(flags(&|kpi| kpi.production.without_product = true), ["product_unknown"]);
    let no_cycle = |kpi: &mut Kpi| {
        kpi.production.without_cycle.insert(product(1));
    };
    assert_eq!(flags(&no_cycle), ["ideal_cycle_missing"]);
    let fast = |kpi: &mut Kpi| kpi.production.ideal_total.add(SECOND, 1, 51);
    assert_eq!(flags(&fast), ["ideal_cycle_too_slow"], "321 s of parts in 320 s");
    let good = |kpi: &mut Kpi| kpi.production.ideal_good.add(SECOND, 7, 541);
    assert_eq!(flags(&good), ["quality_above_one"]);
}
