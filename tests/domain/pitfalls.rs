//! How others got it wrong, one test for each complaint or pitfall that is not tested elsewhere.
//!
//! | what went wrong elsewhere | tested in |
//! |---|---|
//! | overlapping reasons add up to a negative availability (point85/OEE-Designer#9) | `stops` |
//! | OEE above 100 % is capped or breaks the display | `ledger`, `counts` |
//! | breaks overwrite real stops, or are longer than the gap of shifts (united-manufacturing-hub#139, #145) | `stops` |
//! | duplicate states are dropped in silence, data points invented (united-manufacturing-hub#1404) | here, `ledger` |
//! | an open stop is attached to every later shift (OpenMes) | `shifts` |
//! | "no data" is drawn as idle (OpenMes) | `ledger`, `stops` |
//! | one ideal cycle for a line, or the fastest batch as ideal | `ledger`, `lines`, `counts` |
//! | OEE of a line or shift as a mean | `lines`, `sites`, here |
//! | wrap taken for reset, first sample counted as production | `counts`, unit tests of `counter` |
//! | micro-stops decided after clipping | `ledger` |
//! | edits overwrite, closed shifts drift in silence | `shifts`, `writer` |
//! | a reason is given once; no split, merge or late change | `stops` |
//! | figures cannot be rebuilt from what is stored | `archive`, `writer`, `replay` |
//! | tested on a simulator that never lies | the simulation |

use std::sync::Arc;

use linewright::app::time_text::IanaZone;
use linewright::domain::calendar::{
    Calendar, Days, FixedZone, Hours, ProductionDate, Scope, ShiftInstance, ShiftPattern, Validity,
};
use linewright::domain::command::Input;
use linewright::domain::core::Core;
use linewright::domain::oee::evaluate::Equipment;
use linewright::domain::oee::kpi::{Kpi, Profile};
use linewright::domain::oee::loss::LossClass;
use linewright::domain::order::JobCommand;
use linewright::domain::plant::Plant;
use linewright::domain::quantity::Ratio;
use linewright::domain::signal::{MachineState, SignalRole};
use linewright::domain::time::{Span, Window};

use super::plant::*;

const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const RUN: Option<MachineState> = Some(MachineState::Running);
const DOWN: Option<MachineState> = Some(MachineState::Down);

fn kpi(core: &Core, from: i64, to: i64) -> Kpi {
    let window = Window { from: at(from), to: at(to) };
    core.facts_at(at(100 * HOUR)).kpi(&Equipment::Machine(machine()), window).unwrap()
}

fn running(plant: Arc<Plant>, from: i64, inputs: &[Input]) -> Core {
    let mut core = Core::new(plant, None);
    for input in [
        link(from, true),
        state(from, RUN),
        command(from, store(1, 1, 1)),
        command(from, moved(1, JobCommand::Start)),
        count(SignalRole::Good, from, 0),
        count(SignalRole::Reject, from, 0),
    ] {
        feed(&mut core, &input);
    }
    inputs.iter().for_each(|input| feed(&mut core, input));
    core
}

fn shift(name: &str, start: u32, end: u32) -> ShiftPattern {
    ShiftPattern {
        name: name.into(),
        scope: Scope::default(),
        days: Days::Week([true; 7]),
        validity: Validity::default(),
        hours: Hours { start, end, breaks: vec![] },
        production_date: ProductionDate::Start,
    }
}

fn with_calendar(calendar: Calendar) -> Arc<Plant> {
    Arc::new(Plant { calendar, ..Plant::clone(&plant(false)) })
}

/// Quantities that were not reset at the change of shift (ETS_PES_issues#11).
#[test]
fn each_shift_has_its_own_parts_although_the_machines_counter_goes_on() {
    let patterns = vec![shift("early", 6 * 60, 14 * 60), shift("late", 14 * 60, 22 * 60)];
    let calendar = Calendar::new(patterns, Arc::new(FixedZone { offset_minutes: 0 }));
    let made = [(10, 40), (14, 60), (15, 70), (22, 90), (23, 95)];
    let inputs = made.map(|(hour, total)| count(SignalRole::Good, hour * HOUR, total));
    let core = running(with_calendar(calendar), 5 * HOUR, &inputs);
    let whole = Window { from: at(0), to: at(24 * HOUR) };
    let shifts = core.history().shifts(&line(), whole);
    let parts = |shift: &ShiftInstance| {
        let (from, to) = (shift.window.from.ticks(), shift.window.to.ticks());
        kpi(&core, from, to).production.parts.good
    };
    // A part is booked when it is seen: that of 14:00 belongs to the shift that begins then.
    assert_eq!(shifts.iter().map(parts).collect::<Vec<_>>(), [40, 30]);
}

/// Two OEE values for one work centre, through rounded intermediates (odoo#218310); the mean of shifts.
#[test]
fn a_figure_is_one_fraction_however_it_is_added_up_and_not_the_mean_of_its_parts() {
    let inputs = [
        count(SignalRole::Good, 7 * MINUTE, 13),
        state(11 * MINUTE, DOWN),
        state(14 * MINUTE, RUN),
        count(SignalRole::Good, 23 * MINUTE, 20),
        count(SignalRole::Reject, 24 * MINUTE, 3),
    ];
    let core = running(plant(false), 0, &inputs);
    let whole = kpi(&core, 0, 30 * MINUTE);
    for step in [1, 3, 7 * SECOND, 13 * MINUTE] {
        let mut cuts: Vec<i64> = (1..=5).map(|n| n * step).collect();
        cuts.push(30 * MINUTE);
        let mut sum = kpi(&core, 0, cuts[0]);
        for pair in cuts.windows(2).filter(|pair| pair[0] < 30 * MINUTE) {
            sum.merge(&kpi(&core, pair[0], pair[1].min(30 * MINUTE)));
        }
        assert_eq!((sum.oee(), sum.quality()), (whole.oee(), whole.quality()), "{step}");
    }
    let (first, second) = (kpi(&core, 0, 10 * MINUTE), kpi(&core, 10 * MINUTE, 30 * MINUTE));
    let mean = (first.oee().unwrap().to_f64() + second.oee().unwrap().to_f64()) / 2.0;
    assert!((whole.oee().unwrap().to_f64() - mean).abs() > 0.05);
}

/// 10:00 to 14:00 counts four hours despite a lunch break (OCA/manufacture#1842).
#[test]
fn a_lunch_break_is_no_time_in_which_something_was_to_be_produced() {
    let core = running(plant(true), 6 * HOUR, &[]);
    let kpi = kpi(&core, 10 * HOUR, 14 * HOUR);
    let busy = kpi.time.planned_busy();
    // A machine that runs through its break runs: what happens then is no part of the plan.
    assert_eq!(busy, Span::from_ticks(3 * HOUR + 15 * MINUTE));
    assert_eq!(kpi.time.of(LossClass::PlannedDown), Span::from_ticks(45 * MINUTE));
    assert_eq!(kpi.availability(Profile::Tpm), Ratio::new(1, 1));
}

/// Thousands of invented data points, and duplicates that were lost (united-manufacturing-hub#1404).
#[test]
fn values_told_twice_are_one_and_silence_invents_none() {
    let inputs = [
        state(10 * MINUTE, DOWN),
        state(20 * MINUTE, RUN),
        count(SignalRole::Good, 30 * MINUTE, 12),
    ];
    let once = running(plant(false), 0, &inputs);
    let doubled: Vec<Input> = inputs.iter().chain(&inputs).chain(&inputs).cloned().collect();
    let twice = running(plant(false), 0, &doubled);
    assert_eq!(kpi(&once, 0, HOUR), kpi(&twice, 0, HOUR));
    let size = |core: &Core| core.evidence(&machine()).unwrap().size();
    assert_eq!(size(&once), size(&twice));
    let window = Window { from: at(0), to: at(90 * HOUR) };
    let timeline = once.facts_at(at(90 * HOUR)).timeline(&machine(), window).unwrap();
    let classes: Vec<_> = timeline.intervals.iter().map(|i| i.class).collect();
    let (run, down) = (LossClass::Run, LossClass::UnplannedDown);
    assert_eq!(classes, [run, down, run], "days of silence are one stretch");
}

/// Duplicates after a reconnect (node-red-contrib-opcua#278): the server sends its last values again.
#[test]
fn what_a_machine_tells_again_after_a_reconnect_counts_once() {
    let before = [count(SignalRole::Good, 10 * MINUTE, 20), link(20 * MINUTE, false)];
    let after = [
        link(21 * MINUTE, true),
        state(0, RUN),
        count(SignalRole::Good, 10 * MINUTE, 20),
        count(SignalRole::Good, 22 * MINUTE, 24),
    ];
    let inputs: Vec<Input> = before.into_iter().chain(after).collect();
    let kpi = kpi(&running(plant(false), 0, &inputs), 0, HOUR);
    assert_eq!(kpi.production.parts.good + kpi.production.unattributed.good, 24);
    assert_eq!(kpi.time.of(LossClass::NoData), Span::from_ticks(MINUTE));
}

/// Run time was set to the last interval instead of added, speed losses left for later
/// (united-manufacturing-hub, its last version with OEE).
#[test]
fn run_time_adds_up_over_every_stretch_and_what_is_slower_than_ideal_is_a_loss() {
    let mut inputs = Vec::new();
    for n in 1..6 {
        inputs.push(state(n * 10 * MINUTE, DOWN));
        inputs.push(state(n * 10 * MINUTE + 4 * MINUTE, RUN));
    }
    inputs.push(count(SignalRole::Good, 59 * MINUTE, 60));
    let kpi = kpi(&running(plant(false), 0, &inputs), 0, HOUR);
    assert_eq!(kpi.run_time(Profile::Tpm), Span::from_ticks(40 * MINUTE));
    let waterfall = kpi.waterfall().unwrap();
    // 60 parts of 30 s are 30 of 40 minutes.
    assert_eq!(
        waterfall.speed_loss.numerator,
        i128::from(10 * MINUTE) * waterfall.speed_loss.denominator
    );
}

/// Labels of shifts that were off by 30 minutes (OpenMes), in shifts and zones that begin at half past.
#[test]
fn a_shift_that_begins_at_half_past_in_a_zone_of_half_hours_has_all_of_its_minutes() {
    let india = IanaZone::find("Asia/Kolkata").unwrap();
    let calendar = Calendar::new(vec![shift("day", 6 * 60 + 30, 14 * 60 + 30)], Arc::new(india));
    let core = running(with_calendar(calendar), 0, &[]);
    // 06:30 there is 01:00 UTC.
    let kpi = kpi(&core, 0, 24 * HOUR);
    assert_eq!(kpi.time.of(LossClass::Run), Span::from_ticks(8 * HOUR));
    let shift = core.history().shift_at(&line(), at(HOUR)).unwrap();
    assert_eq!((shift.window.from, shift.window.to), (at(HOUR), at(9 * HOUR)));
    assert_eq!(core.history().shift_at(&line(), at(HOUR - 1)), None);
}

/// 480 minutes as default, whole minutes, and two days a year that are wrong.
#[test]
fn nights_have_seven_eight_and_nine_hours_and_no_default() {
    let berlin = IanaZone::find("Europe/Berlin").unwrap();
    let calendar = Calendar::new(vec![shift("night", 22 * 60, 30 * 60)], Arc::new(berlin));
    let core = Core::new(with_calendar(calendar), None);
    // 2026-03-28, 2026-06-01 and 2026-10-24, all at noon UTC, in days since 1970.
    let length = |day: i64| {
        let noon = at((day * 24 + 12) * HOUR);
        let window = Window { from: noon, to: noon + Span::from_ticks(24 * HOUR) };
        let shifts = core.history().shifts(&line(), window);
        assert_eq!(shifts.len(), 1);
        shifts[0].window.length().ticks() / HOUR
    };
    assert_eq!([length(20_540), length(20_605), length(20_750)], [7, 8, 9]);
}

/// Minutes and seconds that are rounded.
#[test]
fn time_is_exact_to_the_tick() {
    let inputs = [state(MINUTE + 1, DOWN), state(MINUTE + 2 + MICRO_STOP, RUN)];
    let kpi = kpi(&running(plant(false), 0, &inputs), 0, HOUR - 7);
    assert_eq!(kpi.time.of(LossClass::UnplannedDown).ticks(), MICRO_STOP + 1);
    assert_eq!(kpi.time.of(LossClass::Run).ticks(), HOUR - 7 - MICRO_STOP - 1);
}

/// Counts that come at the completion of a batch only, so that OEE is 0 and then 300 %.
#[test]
fn parts_are_in_the_figures_while_their_order_still_runs() {
    let inputs =
        [count(SignalRole::Good, 10 * MINUTE, 15), count(SignalRole::Good, 20 * MINUTE, 30)];
    let core = running(plant(false), 0, &inputs);
    assert_eq!(core.order(&order(1)).unwrap().runs[0].end, None);
    let quarter = |n: i64| kpi(&core, n * 10 * MINUTE - MINUTE, n * 10 * MINUTE + MINUTE);
    assert_eq!([1, 2].map(|n| quarter(n).production.parts.good), [15, 15]);
    assert_eq!(core.totals(core.order(&order(1)).unwrap()).good, 30);
}

/// Null that is shown as 0 or as 100.
#[test]
fn a_window_in_which_nothing_was_planned_has_no_oee_rather_than_zero_or_one() {
    let core = running(plant(true), 6 * HOUR, &[]);
    let night = kpi(&core, 21 * HOUR, 23 * HOUR);
    assert_eq!(night.time.of(LossClass::NotScheduled), Span::from_ticks(2 * HOUR));
    assert_eq!((night.oee(), night.availability(Profile::Tpm)), (None, None));
    let idle = kpi(&core, 7 * HOUR, 8 * HOUR);
    assert_eq!((idle.quality(), idle.oee()), (None, Ratio::new(0, 1)), "no part, no quality");
}

/// Quality by number of parts in a mixed run, so that A·P·Q is not what the waterfall leaves.
#[test]
fn the_quality_of_a_mix_is_weighted_by_ideal_time_so_that_the_factors_give_the_figure() {
    let mut inputs = vec![
        count(SignalRole::Good, 10 * MINUTE, 10),
        count(SignalRole::Reject, 10 * MINUTE + 1, 10),
        command(20 * MINUTE, moved(1, JobCommand::Complete)),
        command(20 * MINUTE, store(2, 2, 1)),
        command(20 * MINUTE, moved(2, JobCommand::Start)),
        count(SignalRole::Good, 40 * MINUTE, 80),
    ];
    inputs.push(state(50 * MINUTE, RUN));
    let kpi = kpi(&running(plant(false), 0, &inputs), 0, HOUR);
    // 20 parts of 30 s, half of them good, and 70 of which seven take 100 s, all good.
    assert_eq!(kpi.quality(), Ratio::new(300 + 1000, 600 + 1000));
    assert_eq!(kpi.count_quality(), Ratio::new(80, 90));
    let factors = [kpi.availability(Profile::Tpm), kpi.performance(Profile::Tpm), kpi.quality()];
    let product = factors.into_iter().flatten().reduce(|a, b| a.checked_mul(b).unwrap());
    assert_eq!(product, kpi.oee());
    assert_eq!(kpi.oee(), Ratio::new(1300, 3600));
}

/// Planned time that was a percentage, and stops of a calendar day: a shift over midnight is one shift.
#[test]
fn a_shift_over_midnight_is_one_shift_of_one_production_date() {
    let calendar = Calendar::new(
        vec![shift("night", 22 * 60, 30 * 60)],
        Arc::new(FixedZone { offset_minutes: 0 }),
    );
    let inputs = [state(23 * HOUR, DOWN), state(25 * HOUR, RUN)];
    let core = running(with_calendar(calendar), 20 * HOUR, &inputs);
    let shifts = core.history().shifts(&line(), Window { from: at(22 * HOUR), to: at(30 * HOUR) });
    assert_eq!(shifts.len(), 1);
    let (from, to) = (shifts[0].window.from.ticks(), shifts[0].window.to.ticks());
    let kpi = kpi(&core, from, to);
    assert_eq!((kpi.stops.stops, shifts[0].production_date.0), (1, 0));
    assert_eq!(kpi.availability(Profile::Tpm), Ratio::new(6, 8));
}
