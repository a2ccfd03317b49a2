//! The figures and their formulas (`tpm` and `iso22400` profiles).
//!
//! A figure is a ratio of integers or it is not defined; it is never rounded, capped or filled in.
//! Figures of several machines or windows come from adding time and parts, never from ratios.

use std::collections::{BTreeMap, BTreeSet};

use super::counts::Production;
use super::loss::{LossClass, TimeElements};
use crate::domain::id::ReasonId;
use crate::domain::quantity::{IdealTime, Ratio};
use crate::domain::time::{Span, Window};

/// Which of the two readings of availability and performance is meant; OEE is equal in both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// Micro-stops are a performance loss: they are part of run time.
    Tpm,
    /// Micro-stops are an availability loss (ISO 22400-2: APT has none).
    Iso22400,
}

impl Profile {
    /// The word used in JSON and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Tpm => "tpm",
            Profile::Iso22400 => "iso22400",
        }
    }
}

/// Something a reader of the figures must know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Flag {
    /// Performance is above one: the ideal cycle is slower than the machine.
    IdealCycleTooSlow,
    /// Quality is above one: more good parts left than were processed in the window.
    QualityAboveOne,
    /// A product has no ideal cycle on the machine, so performance and OEE are not defined.
    IdealCycleMissing,
    /// Parts were made while no order ran and no default product is configured.
    ProductUnknown,
    /// No counter of good parts is bound and nothing was reported.
    GoodNotCounted,
    /// No counter of rejects is bound; only reported scrap lowers quality.
    RejectNotCounted,
    /// Parts were counted over a gap; they are listed apart.
    UnattributedCounts,
    /// A counter stepped further than is believed; the step was not counted.
    DoubtfulCounterStep,
    /// Part of the window is not known.
    CoverageIncomplete,
    /// A counter did not move for too long while the machine ran.
    CounterStuck,
    /// More of reject, startup reject and rework was counted than of all parts.
    CountersDisagree,
    /// A stop waits for its reason.
    UnexplainedStops,
}

impl Flag {
    /// The word used in JSON and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::IdealCycleTooSlow => "ideal_cycle_too_slow",
            Flag::QualityAboveOne => "quality_above_one",
            Flag::IdealCycleMissing => "ideal_cycle_missing",
            Flag::ProductUnknown => "product_unknown",
            Flag::GoodNotCounted => "good_not_counted",
            Flag::RejectNotCounted => "reject_not_counted",
            Flag::UnattributedCounts => "unattributed_counts",
            Flag::DoubtfulCounterStep => "doubtful_counter_step",
            Flag::CoverageIncomplete => "coverage_incomplete",
            Flag::CounterStuck => "counter_stuck",
            Flag::CountersDisagree => "counters_disagree",
            Flag::UnexplainedStops => "unexplained_stops",
        }
    }
}

/// Stops of a window. What is counted is counted where the stop began, time where it passed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StopTally {
    /// Stops that were no micro-stops.
    pub stops: u64,
    /// Stops below the threshold.
    pub micro_stops: u64,
    /// Stops whose reason is a failure; those that are one count once.
    pub failures: u64,
    /// Time in which the machine stood because of failures (time to repair).
    pub failure_time: Span,
    /// Stops that wait for their reason.
    pub unexplained: u64,
    /// Time and stops by reason; under `None` those without.
    pub by_reason: BTreeMap<Option<ReasonId>, ReasonTally>,
}

/// Stops of one reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReasonTally {
    /// Time that had the reason.
    pub time: Span,
    /// Stops that began with it.
    pub stops: u64,
}

impl StopTally {
    /// Adds another tally.
    pub fn merge(&mut self, other: &StopTally) {
        self.stops += other.stops;
        self.micro_stops += other.micro_stops;
        self.failures += other.failures;
        self.failure_time += other.failure_time;
        self.unexplained += other.unexplained;
        for (reason, tally) in &other.by_reason {
            let sum = self.by_reason.entry(reason.clone()).or_default();
            sum.time += tally.time;
            sum.stops += tally.stops;
        }
    }
}

/// Time and parts of a window, from which every figure follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kpi {
    /// The window.
    pub window: Window,
    /// Its time by class; of several machines, the sum.
    pub time: TimeElements,
    /// The time of it in which an order was in production.
    pub time_in_orders: TimeElements,
    /// The stops.
    pub stops: StopTally,
    /// What was made.
    pub production: Production,
    /// Whether parts are counted at all.
    pub counted: bool,
    /// Whether later data may still change the figures although nothing arrives late.
    pub provisional: bool,
    /// What a reader must know.
    pub flags: BTreeSet<Flag>,
}

/// An exact amount of time as ticks over a divisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExactTime {
    /// Ticks times the divisor.
    pub numerator: i128,
    /// The divisor, positive.
    pub denominator: i128,
}

/// The six big losses, each as time; with them and what is no loss of the equipment, the waterfall
/// from planned busy time to fully productive time closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SixBigLosses {
    /// Breakdowns: unplanned down time.
    pub breakdown: Span,
    /// Setup and adjustment.
    pub setup: Span,
    /// Minor stops and idling: micro-stops, blocked, starved.
    pub minor_stops: Span,
    /// Reduced speed; negative when the ideal cycle is too slow.
    pub reduced_speed: ExactTime,
    /// Ideal time of parts rejected after a start.
    pub startup_rejects: ExactTime,
    /// Ideal time of all other parts that are not good.
    pub production_rejects: ExactTime,
}

/// How planned busy time was lost; the parts add up to it exactly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waterfall {
    /// Losses by class of time, micro-stops among them.
    pub time_losses: Vec<(LossClass, Span)>,
    /// Run time beyond the ideal time of all parts; negative when the ideal cycle is too slow.
    pub speed_loss: ExactTime,
    /// Ideal time of parts that are not good.
    pub quality_loss: ExactTime,
    /// Ideal time of good parts.
    pub fully_productive: ExactTime,
}

impl Kpi {
    /// No time and no parts yet.
    pub fn nothing(window: Window) -> Kpi {
        Kpi {
            window,
            time: TimeElements::default(),
            time_in_orders: TimeElements::default(),
            stops: StopTally::default(),
            production: Production::default(),
            counted: false,
            provisional: false,
            flags: BTreeSet::new(),
        }
    }

    /// Adds the time and the parts of another window of the same equipment; flags stay.
    ///
    /// Only what can be added is: ratios follow from the sums.
    pub fn merge(&mut self, other: &Kpi) {
        let counted = self.counted || other.counted;
        self.add(other);
        self.counted = counted;
    }

    /// Adds the time and the parts of another equipment: parts are counted where all count them, and
    /// counters that disagree on one of the two do so whatever the sum is.
    pub fn merge_equipment(&mut self, other: &Kpi) {
        let counted = self.counted && other.counted;
        let disagree = self.counters_disagree() || other.counters_disagree();
        self.add(other);
        self.counted = counted;
        self.flags.extend(disagree.then_some(Flag::CountersDisagree));
    }

    fn add(&mut self, other: &Kpi) {
        self.window = Window {
            from: self.window.from.min(other.window.from),
            to: self.window.to.max(other.window.to),
        };
        self.time.merge(&other.time);
        self.time_in_orders.merge(&other.time_in_orders);
        self.stops.merge(&other.stops);
        self.production.merge(&other.production);
        self.provisional |= other.provisional;
        self.flags.extend(other.flags.iter().copied());
    }

    fn counters_disagree(&self) -> bool {
        self.production.parts.good < 0 || self.production.parts.reject < 0
    }

    /// The sum of what there is: another window of the same equipment is added.
    pub fn joined(sum: Option<Kpi>, next: Option<Kpi>) -> Option<Kpi> {
        match (sum, next) {
            (Some(mut sum), Some(next)) => {
                sum.merge(&next);
                Some(sum)
            }
            (sum, next) => sum.or(next),
        }
    }

    /// Run time: with micro-stops in the `tpm` profile, without in `iso22400`.
    pub fn run_time(&self, profile: Profile) -> Span {
        match profile {
            Profile::Tpm => self.time.of(LossClass::Run) + self.time.of(LossClass::MicroStop),
            Profile::Iso22400 => self.time.of(LossClass::Run),
        }
    }

    /// A = run time / planned busy time.
    pub fn availability(&self, profile: Profile) -> Option<Ratio> {
        let busy = self.time.planned_busy().ticks();
        Ratio::new(self.run_time(profile).ticks().into(), busy.into())
    }

    /// P (effectiveness) = Σ cᵢ·PQᵢ / run time.
    pub fn performance(&self, profile: Profile) -> Option<Ratio> {
        self.per_time(&self.production.ideal_total, self.run_time(profile))
    }

    /// Q = Σ cᵢ·GQᵢ / Σ cᵢ·PQᵢ, weighted by ideal time.
    pub fn quality(&self) -> Option<Ratio> {
        if !self.is_defined() {
            return None;
        }
        let (good, good_divisor) = self.production.ideal_good.as_fraction();
        let (total, total_divisor) = self.production.ideal_total.as_fraction();
        Ratio::new(
            good * (total_divisor / gcd(good_divisor, total_divisor)),
            total * (good_divisor / gcd(good_divisor, total_divisor)),
        )
    }

    /// OEE = Σ cᵢ·GQᵢ / planned busy time = A·P·Q exactly, in both profiles.
    pub fn oee(&self) -> Option<Ratio> {
        self.per_time(&self.production.ideal_good, self.time.planned_busy())
    }

    /// TEEP = Σ cᵢ·GQᵢ / calendar time.
    pub fn teep(&self) -> Option<Ratio> {
        self.per_time(&self.production.ideal_good, self.time.calendar())
    }

    /// OOE = Σ cᵢ·GQᵢ / scheduled time.
    pub fn ooe(&self) -> Option<Ratio> {
        self.per_time(&self.production.ideal_good, self.time.scheduled())
    }

    /// Good parts / all parts, not weighted.
    pub fn count_quality(&self) -> Option<Ratio> {
        let parts = self.production.parts;
        Ratio::new(parts.good.into(), parts.total.into())
    }

    /// The share of planned busy time that is known.
    pub fn coverage(&self) -> Option<Ratio> {
        let busy = self.time.planned_busy();
        let with_gaps = busy + self.time.of(LossClass::NoData);
        Ratio::new(busy.ticks().into(), with_gaps.ticks().into())
    }

    /// NEE = (run time + setup) / planned busy time · effectiveness · quality
    /// (ISO 22400-2: AUPT / PBT · E · QR); equal to OEE but for setup, which is no loss here.
    pub fn nee(&self) -> Option<Ratio> {
        let run = self.time.of(LossClass::Run);
        let with_setup = run + self.time.of(LossClass::Setup);
        let share = Ratio::new(with_setup.ticks().into(), run.ticks().into())?;
        self.oee()?.checked_mul(share)
    }

    /// MTBF: time in production and setup (no delay) for each failure, in ticks; the divisor is the
    /// number of failures.
    pub fn mtbf(&self) -> Option<Ratio> {
        let operating = self.time.of(LossClass::Run) + self.time.of(LossClass::Setup);
        Ratio::new(operating.ticks().into(), self.stops.failures.into())
    }

    /// MTTR: time in which the machine stood because of failures for each of them, in ticks.
    pub fn mttr(&self) -> Option<Ratio> {
        Ratio::new(self.stops.failure_time.ticks().into(), self.stops.failures.into())
    }

    /// Whether figures that need ideal times are defined.
    pub fn is_defined(&self) -> bool {
        self.counted && self.production.is_costed()
    }

    fn per_time(&self, ideal: &IdealTime, time: Span) -> Option<Ratio> {
        if !self.is_defined() {
            return None;
        }
        let (ticks, divisor) = ideal.as_fraction();
        Ratio::new(ticks, divisor.checked_mul(time.ticks().into())?)
    }

    /// The waterfall from planned busy time to fully productive time, if ideal times are known.
    pub fn waterfall(&self) -> Option<Waterfall> {
        if !self.is_defined() {
            return None;
        }
        let losses = LossClass::ALL.into_iter();
        let losses = losses.filter(|c| c.is_planned_busy() && *c != LossClass::Run);
        let (total, total_divisor) = self.production.ideal_total.as_fraction();
        let (good, good_divisor) = self.production.ideal_good.as_fraction();
        let common = total_divisor / gcd(total_divisor, good_divisor) * good_divisor;
        let (total, good) = (total * (common / total_divisor), good * (common / good_divisor));
        let run = i128::from(self.time.of(LossClass::Run).ticks()) * common;
        let exact = |numerator| ExactTime { numerator, denominator: common };
        Some(Waterfall {
            time_losses: losses.map(|c| (c, self.time.of(c))).collect(),
            speed_loss: exact(run - total),
            quality_loss: exact(total - good),
            fully_productive: exact(good),
        })
    }

    /// The six big losses, if ideal times are known.
    pub fn six_big_losses(&self) -> Option<SixBigLosses> {
        let waterfall = self.waterfall()?;
        let (startup, divisor) = self.production.ideal_startup_reject.as_fraction();
        let quality = waterfall.quality_loss;
        let common = divisor / gcd(divisor, quality.denominator) * quality.denominator;
        let startup = startup * (common / divisor);
        let rejected = quality.numerator * (common / quality.denominator);
        let exact = |numerator| ExactTime { numerator, denominator: common };
        let idle = self.time.of(LossClass::Blocked) + self.time.of(LossClass::Starved);
        Some(SixBigLosses {
            breakdown: self.time.of(LossClass::UnplannedDown),
            setup: self.time.of(LossClass::Setup),
            minor_stops: self.time.of(LossClass::MicroStop) + idle,
            reduced_speed: waterfall.speed_loss,
            startup_rejects: exact(startup),
            production_rejects: exact(rejected - startup),
        })
    }

    /// Whether what was counted can be so: counters agree, and no step was left out as beyond
    /// belief. Flags must have been set.
    pub fn has_certain_counts(&self) -> bool {
        ![Flag::CountersDisagree, Flag::DoubtfulCounterStep].iter().any(|f| self.flags.contains(f))
    }

    /// Sets the flags that follow from the figures.
    pub fn set_flags(&mut self) {
        let above = |ratio: Option<Ratio>| ratio.is_some_and(Ratio::exceeds_one);
        let production = &self.production;
        let unattributed = production.unattributed;
        let conditions = [
            (Flag::IdealCycleTooSlow, above(self.performance(Profile::Tpm))),
            (Flag::QualityAboveOne, above(self.quality()) || above(self.count_quality())),
            (Flag::IdealCycleMissing, !production.without_cycle.is_empty()),
            (Flag::ProductUnknown, production.without_product),
            (Flag::GoodNotCounted, !self.counted),
            (Flag::UnattributedCounts, unattributed != Default::default()),
            (Flag::DoubtfulCounterStep, production.doubtful_steps > 0),
            (Flag::CoverageIncomplete, self.time.of(LossClass::NoData) > Span::ZERO),
            (Flag::CountersDisagree, self.counters_disagree()),
            (Flag::UnexplainedStops, self.stops.unexplained > 0),
        ];
        let set = conditions.into_iter().filter(|(_, holds)| *holds).map(|(flag, _)| flag);
        let set: Vec<Flag> = set.collect();
        self.flags.extend(set);
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    crate::domain::quantity::greatest_common_divisor(a, b).max(1)
}
