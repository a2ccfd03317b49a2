//! The figures as JSON: ratios, and the time, parts and coverage behind them.
//!
//! HTTP and replay print this same report, so that what one says can be compared with the other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::time_text;
use crate::domain::oee::kpi::{ExactTime, Kpi, Profile};
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
    coverage: Option<f64>,
    exact: BTreeMap<&'static str, Option<ExactRatio>>,
    time_s: BTreeMap<&'static str, f64>,
    counts: Counts,
    ideal_time_s: Option<IdealTimes>,
    losses_s: Option<BTreeMap<&'static str, f64>>,
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
    good: i64,
    reject: i64,
    total: i64,
    unattributed: PartsReport,
}

#[derive(Serialize)]
struct PartsReport {
    good: i64,
    reject: i64,
    total: i64,
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
        PartsReport { good: parts.good, reject: parts.reject, total: parts.total }
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
            ("coverage", kpi.coverage()),
        ];
        let of = |name| {
            let found = ratios.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, ratio)| *ratio).map(Ratio::to_f64)
        };
        let exact = ratios.iter().map(|(name, ratio)| (*name, ratio.map(exact_ratio)));
        let parts = kpi.production.parts;
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
            coverage: of("coverage"),
            exact: exact.collect(),
            time_s: time_elements(kpi, profile),
            counts: Counts {
                good: parts.good,
                reject: parts.reject,
                total: parts.total,
                unattributed: kpi.production.unattributed.into(),
            },
            ideal_time_s: waterfall.as_ref().map(|waterfall| ideal_times(kpi, waterfall)),
            losses_s: waterfall.as_ref().map(losses),
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
