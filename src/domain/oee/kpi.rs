//! The figures and their formulas (`tpm` and `iso22400` profiles).
//!
//! A figure is a ratio of integers or it is not defined; it is never rounded, capped or filled in.
//! Figures of several machines or windows come from adding time and parts, never from ratios.

use std::collections::BTreeSet;

use super::counts::Production;
use super::loss::{LossClass, TimeElements};
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

    /// Whether figures that need ideal times are defined.
    fn is_defined(&self) -> bool {
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

    /// Sets the flags that follow from the figures.
    pub(super) fn set_flags(&mut self) {
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
        ];
        let set = conditions.into_iter().filter(|(_, holds)| *holds).map(|(flag, _)| flag);
        let set: Vec<Flag> = set.collect();
        self.flags.extend(set);
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    crate::domain::quantity::greatest_common_divisor(a, b).max(1)
}
