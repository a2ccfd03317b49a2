//! The figures as JSON: ratios, and the time, parts and coverage behind them.
//!
//! HTTP and replay print this same report, so that what one says can be compared with the other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::time_text;
use crate::domain::oee::iso22400::{Indicator, Missing, indicators};
use crate::domain::oee::kpi::{ExactTime, Kpi, Profile, SixBigLosses};
use crate::domain::oee::loss::LossClass;
use crate::domain::oee::parts::Parts;
use crate::domain::quantity::Ratio;
use crate::domain::time::{Span, TICKS_PER_SECOND};

/// Figures of a piece of equipment in a window.
#[derive(Serialize)]
pub struct KpiReport {
    equipment: String,
    from: String,
    to: String,
    profile: &'static str,
    oee: Option<f64>,
    availability: Option<f64>,
    performance: Option<f64>,
    quality: Option<f64>,
    count_quality: Option<f64>,
    teep: Option<f64>,
    ooe: Option<f64>,
    nee: Option<f64>,
    coverage: Option<f64>,
    exact: BTreeMap<&'static str, Option<ExactRatio>>,
    time_s: BTreeMap<&'static str, f64>,
    counts: Counts,
    ideal_time_s: Option<IdealTimes>,
    losses_s: Option<BTreeMap<&'static str, f64>>,
    six_big_losses_s: Option<BTreeMap<&'static str, f64>>,
    stops: StopsReport,
    provisional: bool,
    flags: Vec<&'static str>,
    products_without_ideal_cycle: Vec<String>,
}

/// A ratio as two integers in lowest terms, as texts because they may exceed 53 bits.
#[derive(Serialize)]
struct ExactRatio {
    numerator: String,
    denominator: String,
}

#[derive(Serialize)]
struct Counts {
    #[serde(flatten)]
    parts: PartsReport,
    unattributed: PartsReport,
    doubtful_steps: u64,
    slow_cycles: u64,
}

#[derive(Serialize)]
struct PartsReport {
    good: i64,
    reject: i64,
    startup_reject: i64,
    rework: i64,
    total: i64,
    infeed: i64,
    rework_good: i64,
}

/// Stops of a window, and the times between failures and to repair with their divisor.
#[derive(Serialize)]
struct StopsReport {
    stops: u64,
    micro_stops: u64,
    unexplained: u64,
    failures: u64,
    mtbf_s: Option<f64>,
    mttr_s: Option<f64>,
    mtbf_divisor: u64,
    by_reason: Vec<ReasonReport>,
}

/// Time and stops of one reason; without a key those that have none.
#[derive(Serialize)]
struct ReasonReport {
    reason: Option<String>,
    time_s: f64,
    stops: u64,
}

impl StopsReport {
    fn new(kpi: &Kpi) -> StopsReport {
        let in_seconds = |ticks: Ratio| ticks.to_f64() / TICKS_PER_SECOND as f64;
        let mut by_reason: Vec<ReasonReport> = kpi
            .stops
            .by_reason
            .iter()
            .map(|(reason, tally)| ReasonReport {
                reason: reason.as_ref().map(ToString::to_string),
                time_s: seconds(tally.time),
                stops: tally.stops,
            })
            .collect();
        // The greatest loss first.
        by_reason.sort_by(|a, b| b.time_s.total_cmp(&a.time_s));
        StopsReport {
            stops: kpi.stops.stops,
            micro_stops: kpi.stops.micro_stops,
            unexplained: kpi.stops.unexplained,
            failures: kpi.stops.failures,
            mtbf_s: kpi.mtbf().map(in_seconds),
            mttr_s: kpi.mttr().map(in_seconds),
            mtbf_divisor: kpi.stops.failures,
            by_reason,
        }
    }
}

#[derive(Serialize)]
struct IdealTimes {
    total: f64,
    good: f64,
}

/// Seconds of a span; exact in decimal print for spans below 28 years.
fn seconds(span: Span) -> f64 {
    span.ticks() as f64 / TICKS_PER_SECOND as f64
}

fn exact_seconds(time: ExactTime) -> f64 {
    time.numerator as f64 / time.denominator as f64 / TICKS_PER_SECOND as f64
}

impl From<Parts> for PartsReport {
    fn from(parts: Parts) -> Self {
        let Parts { good, reject, startup_reject, rework, total, infeed, rework_good } = parts;
        PartsReport { good, reject, startup_reject, rework, total, infeed, rework_good }
    }
}

impl KpiReport {
    /// The report of some figures.
    pub fn new(equipment: &str, kpi: &Kpi, profile: Profile) -> KpiReport {
        let ratios = [
            ("oee", kpi.oee()),
            ("availability", kpi.availability(profile)),
            ("performance", kpi.performance(profile)),
            ("quality", kpi.quality()),
            ("count_quality", kpi.count_quality()),
            ("teep", kpi.teep()),
            ("ooe", kpi.ooe()),
            ("nee", kpi.nee()),
            ("coverage", kpi.coverage()),
        ];
        let of = |name| {
            let found = ratios.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, ratio)| *ratio).map(Ratio::to_f64)
        };
        let exact = ratios.iter().map(|(name, ratio)| (*name, ratio.map(exact_ratio)));
        let waterfall = kpi.waterfall();
        KpiReport {
            equipment: equipment.to_owned(),
            from: time_text::print(kpi.window.from),
            to: time_text::print(kpi.window.to),
            profile: profile.as_str(),
            oee: of("oee"),
            availability: of("availability"),
            performance: of("performance"),
            quality: of("quality"),
            count_quality: of("count_quality"),
            teep: of("teep"),
            ooe: of("ooe"),
            nee: of("nee"),
            coverage: of("coverage"),
            exact: exact.collect(),
            time_s: time_elements(kpi, profile),
            counts: Counts {
                parts: kpi.production.parts.into(),
                unattributed: kpi.production.unattributed.into(),
                doubtful_steps: kpi.production.doubtful_steps,
                slow_cycles: kpi.production.slow_cycles,
            },
            ideal_time_s: waterfall.as_ref().map(|waterfall| ideal_times(kpi, waterfall)),
            losses_s: waterfall.as_ref().map(losses),
            six_big_losses_s: kpi.six_big_losses().map(|losses| six_big_losses(&losses)),
            stops: StopsReport::new(kpi),
            provisional: kpi.provisional,
            flags: kpi.flags.iter().map(|flag| flag.as_str()).collect(),
            products_without_ideal_cycle: kpi
                .production
                .without_cycle
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }
}

fn exact_ratio(ratio: Ratio) -> ExactRatio {
    ExactRatio {
        numerator: ratio.numerator().to_string(),
        denominator: ratio.denominator().to_string(),
    }
}

fn time_elements(kpi: &Kpi, profile: Profile) -> BTreeMap<&'static str, f64> {
    let classes = LossClass::ALL.into_iter().map(|c| (c.as_str(), seconds(kpi.time.of(c))));
    let sums = [
        ("calendar", kpi.time.calendar()),
        ("scheduled", kpi.time.scheduled()),
        ("planned_busy", kpi.time.planned_busy()),
        ("run_time", kpi.run_time(profile)),
    ];
    classes.chain(sums.into_iter().map(|(name, span)| (name, seconds(span)))).collect()
}

fn ideal_times(kpi: &Kpi, waterfall: &crate::domain::oee::kpi::Waterfall) -> IdealTimes {
    let (numerator, denominator) = kpi.production.ideal_total.as_fraction();
    IdealTimes {
        total: exact_seconds(ExactTime { numerator, denominator }),
        good: exact_seconds(waterfall.fully_productive),
    }
}

fn six_big_losses(losses: &SixBigLosses) -> BTreeMap<&'static str, f64> {
    BTreeMap::from([
        ("breakdown", seconds(losses.breakdown)),
        ("setup", seconds(losses.setup)),
        ("minor_stops", seconds(losses.minor_stops)),
        ("reduced_speed", exact_seconds(losses.reduced_speed)),
        ("startup_rejects", exact_seconds(losses.startup_rejects)),
        ("production_rejects", exact_seconds(losses.production_rejects)),
    ])
}

/// An indicator of ISO 22400-2.
#[derive(Serialize)]
pub struct IndicatorReport {
    number: u8,
    name: &'static str,
    formula: &'static str,
    unit: &'static str,
    value: Option<f64>,
    missing: Option<&'static str>,
}

impl IndicatorReport {
    /// All indicators of some figures.
    pub fn all(kpi: &Kpi) -> Vec<IndicatorReport> {
        let report = |i: Indicator| IndicatorReport {
            number: i.number,
            name: i.name,
            formula: i.formula,
            unit: i.unit,
            value: i.value.ok().map(Ratio::to_f64),
            missing: i.value.err().map(Missing::as_str),
        };
        indicators(kpi).into_iter().map(report).collect()
    }
}

/// Planned busy time as the sum of its parts.
fn losses(waterfall: &crate::domain::oee::kpi::Waterfall) -> BTreeMap<&'static str, f64> {
    let time = waterfall.time_losses.iter().map(|(class, span)| (class.as_str(), seconds(*span)));
    let rest = [
        ("speed", waterfall.speed_loss),
        ("quality", waterfall.quality_loss),
        ("fully_productive", waterfall.fully_productive),
    ];
    time.chain(rest.into_iter().map(|(name, time)| (name, exact_seconds(time)))).collect()
}
