//! The key performance indicators of ISO 22400-2:2014, as far as their inputs are recorded.
//!
//! Each says its formula and, where it has no value, what is missing. Time elements are read as:
//! APT run time, AUST setup, ADET delay inside an order (micro-stops, down, blocked, starved),
//! AUPT = APT + AUST, AUBT = AUPT + ADET, PBT planned busy time, AOET time in which an order was in
//! production. Down time without an order (ADOT) is in none of them but PBT.

use super::kpi::{Kpi, Profile};
use super::loss::{LossClass, TimeElements};
use crate::domain::quantity::Ratio;
use crate::domain::time::{Span, TICKS_PER_SECOND};

/// One indicator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Indicator {
    /// Its number in the order of the standard.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// Its formula.
    pub formula: &'static str,
    /// `1` for a ratio, `1/s` for parts a second, `s` for seconds.
    pub unit: &'static str,
    /// The value.
    pub value: Result<Ratio, Missing>,
}

/// Why an indicator has no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// The divisor is zero in the window.
    NothingToDivideBy,
    /// An ideal cycle, a product or a counter is missing; the flags say which.
    IdealTime,
    /// This is not recorded.
    Input(&'static str),
}

impl Missing {
    /// What to tell people.
    pub fn as_str(self) -> &'static str {
        match self {
            Missing::NothingToDivideBy => "the divisor is zero in this window",
            Missing::IdealTime => "ideal times are incomplete, see the flags",
            Missing::Input(what) => what,
        }
    }
}

/// Elements of time by their names in the standard.
struct Elements {
    apt: Span,
    aust: Span,
    adet: Span,
    aubt_in_orders: Span,
    apt_in_orders: Span,
    aoet: Span,
    pbt: Span,
}

impl Elements {
    fn of(kpi: &Kpi) -> Elements {
        let in_orders = &kpi.time_in_orders;
        let busy =
            |time: &TimeElements| time.of(LossClass::Run) + time.of(LossClass::Setup) + delay(time);
        Elements {
            apt: kpi.time.of(LossClass::Run),
            aust: kpi.time.of(LossClass::Setup),
            adet: delay(&kpi.time),
            aubt_in_orders: busy(in_orders),
            apt_in_orders: in_orders.of(LossClass::Run),
            aoet: in_orders.calendar(),
            pbt: kpi.time.planned_busy(),
        }
    }

    fn aupt(&self) -> Span {
        self.apt + self.aust
    }

    fn aubt(&self) -> Span {
        self.aupt() + self.adet
    }
}

fn delay(time: &TimeElements) -> Span {
    let classes =
        [LossClass::MicroStop, LossClass::UnplannedDown, LossClass::Blocked, LossClass::Starved];
    classes.into_iter().map(|class| time.of(class)).sum()
}

type Value = Result<Ratio, Missing>;

fn per(numerator: Span, denominator: Span) -> Value {
    let ratio = Ratio::new(numerator.ticks().into(), denominator.ticks().into());
    ratio.ok_or(Missing::NothingToDivideBy)
}

fn parts(numerator: i64, denominator: i64) -> Value {
    Ratio::new(numerator.into(), denominator.into()).ok_or(Missing::NothingToDivideBy)
}

fn defined(kpi: &Kpi, value: Option<Ratio>) -> Value {
    let why = if kpi.is_defined() { Missing::NothingToDivideBy } else { Missing::IdealTime };
    value.ok_or(why)
}

fn seconds(ticks: Option<Ratio>) -> Value {
    let second = Ratio::new(1, TICKS_PER_SECOND.into());
    let value = ticks.and_then(|ticks| ticks.checked_mul(second?));
    value.ok_or(Missing::Input("no failure began in this window"))
}

/// All 34 indicators of a window.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn indicators(kpi: &Kpi) -> Vec<Indicator> {
    let made = kpi.production.parts;
    let e = Elements::of(kpi);
    let missing = |what| Err(Missing::Input(what));
    let consumed = "consumed material is not recorded in the product's unit";
    let measured = "measured values of characteristics are not recorded yet";
    let (ideal, divisor) = kpi.production.ideal_total.as_fraction();
    let capacity = divisor.checked_mul(e.pbt.ticks().into());
    let load = capacity.filter(|_| kpi.is_defined()).and_then(|c| Ratio::new(ideal, c));
    let first_operation = if made.infeed > 0 {
        parts(made.scrap(), made.infeed)
    } else {
        missing("parts that come in are not counted")
    };
    let rate =
        Ratio::new(i128::from(made.total) * i128::from(TICKS_PER_SECOND), e.aoet.ticks().into());
    let list: [(&str, &str, &str, Value); 34] = [
        ("Worker efficiency", "APWT / APAT", "1", missing("attendance is not recorded")),
        ("Allocation ratio", "AUBT in orders / AOET", "1", per(e.aubt_in_orders, e.aoet)),
        ("Throughput rate", "PQ / AOET", "1/s", rate.ok_or(Missing::NothingToDivideBy)),
        ("Allocation efficiency", "AUBT / PBT", "1", per(e.aubt(), e.pbt)),
        ("Utilization efficiency", "APT / AUBT", "1", per(e.apt, e.aubt())),
        ("OEE index", "availability * effectiveness * quality", "1", defined(kpi, kpi.oee())),
        ("NEE index", "AUPT / PBT * effectiveness * quality", "1", defined(kpi, kpi.nee())),
        ("Availability", "APT / PBT", "1", per(e.apt, e.pbt)),
        ("Effectiveness", "PRI * PQ / APT", "1", defined(kpi, kpi.performance(Profile::Iso22400))),
        ("Quality ratio", "GQ / PQ", "1", parts(made.good, made.total)),
        ("Setup ratio", "AUST / AUPT", "1", per(e.aust, e.aupt())),
        ("Technical efficiency", "APT / (APT + ADET)", "1", per(e.apt, e.apt + e.adet)),
        ("Production process ratio", "APT in orders / AOET", "1", per(e.apt_in_orders, e.aoet)),
        ("Actual to planned scrap ratio", "SQ / PSQ", "1", missing("no scrap is planned")),
        ("First pass yield", "GP / IP", "1", parts(made.good, made.total)),
        ("Scrap ratio", "SQ / PQ", "1", parts(made.scrap(), made.total)),
        ("Rework ratio", "RQ / PQ", "1", parts(made.rework, made.total)),
        ("Fall off ratio", "SQ / PQ of the first operation", "1", first_operation),
        ("Machine capability index", "(USL - LSL) / 6 s", "1", missing(measured)),
        (
            "Critical machine capability index",
            "min(USL - x, x - LSL) / 3 s",
            "1",
            missing(measured),
        ),
        ("Process capability index", "(USL - LSL) / 6 sigma", "1", missing(measured)),
        (
            "Critical process capability index",
            "min(USL - x, x - LSL) / 3 sigma",
            "1",
            missing(measured),
        ),
        ("Comprehensive energy consumption", "energy / PQ", "J", missing("energy is not recorded")),
        (
            "Inventory turns",
            "throughput / average inventory",
            "1",
            missing("inventory is not recorded"),
        ),
        ("Finished goods ratio", "GQ / CM", "1", missing(consumed)),
        ("Integrated goods ratio", "IGQ / CM", "1", missing(consumed)),
        ("Production loss ratio", "PL / CM", "1", missing(consumed)),
        ("Storage and transportation loss ratio", "STL / CM", "1", missing(consumed)),
        ("Other loss ratio", "OL / CM", "1", missing(consumed)),
        ("Equipment load ratio", "PQ / EPC = PRI * PQ / PBT", "1", defined(kpi, load)),
        (
            "Mean operating time between failures",
            "(APT + AUST) / number of failures",
            "s",
            seconds(kpi.mtbf()),
        ),
        ("Mean time to failure", "TTF / n", "s", missing("it is for what is not repaired")),
        (
            "Mean time to restoration",
            "time of failures / number of failures",
            "s",
            seconds(kpi.mttr()),
        ),
        (
            "Corrective maintenance ratio",
            "CMT / (CMT + PMT)",
            "1",
            missing("planned maintenance is not told apart from other planned downtime"),
        ),
    ];
    let numbered = (1..).zip(list);
    numbered
        .map(|(number, (name, formula, unit, value))| Indicator {
            number,
            name,
            formula,
            unit,
            value,
        })
        .collect()
}
