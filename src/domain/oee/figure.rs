//! The ratio figures with what is above and below their lines, so that a value can be traced.

use super::kpi::{ExactTime, Kpi, Profile};
use super::loss::LossClass;
use crate::domain::quantity::{IdealTime, Ratio};
use crate::domain::time::Span;

/// A ratio of times, in the `tpm` profile.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Figure {
    /// Overall equipment effectiveness.
    Oee,
    /// Availability.
    Availability,
    /// Performance, or effectiveness.
    Performance,
    /// Quality, weighted by ideal time.
    Quality,
    /// Total effective equipment performance: of calendar time.
    Teep,
    /// Overall operations effectiveness: of scheduled time.
    Ooe,
    /// Net equipment effectiveness.
    Nee,
    /// The share of planned busy time that is known.
    Coverage,
}

impl Figure {
    /// All figures.
    pub const ALL: [Figure; 8] = [
        Figure::Oee,
        Figure::Availability,
        Figure::Performance,
        Figure::Quality,
        Figure::Teep,
        Figure::Ooe,
        Figure::Nee,
        Figure::Coverage,
    ];

    /// The name shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Figure::Oee => "Oee",
            Figure::Availability => "Availability",
            Figure::Performance => "Performance",
            Figure::Quality => "Quality",
            Figure::Teep => "Teep",
            Figure::Ooe => "Ooe",
            Figure::Nee => "Nee",
            Figure::Coverage => "Coverage",
        }
    }

    /// The figure of that name.
    pub fn parse(text: &str) -> Option<Figure> {
        Figure::ALL.into_iter().find(|figure| figure.as_str() == text)
    }

    /// How it follows from times, in words.
    pub fn formula(self) -> &'static str {
        match self {
            Figure::Oee => "ideal time of good parts / planned busy time",
            Figure::Availability => "(run time + micro-stop time) / planned busy time",
            Figure::Performance => "ideal time of all parts / (run time + micro-stop time)",
            Figure::Quality => "ideal time of good parts / ideal time of all parts",
            Figure::Teep => "ideal time of good parts / calendar time",
            Figure::Ooe => "ideal time of good parts / scheduled time",
            Figure::Nee => {
                "ideal time of good parts * (run time + setup time) / run time / planned busy time"
            }
            Figure::Coverage => "planned busy time / (planned busy time + time without data)",
        }
    }

    /// Its value, if it is defined.
    pub fn ratio(self, kpi: &Kpi) -> Option<Ratio> {
        match self {
            Figure::Oee => kpi.oee(),
            Figure::Availability => kpi.availability(Profile::Tpm),
            Figure::Performance => kpi.performance(Profile::Tpm),
            Figure::Quality => kpi.quality(),
            Figure::Teep => kpi.teep(),
            Figure::Ooe => kpi.ooe(),
            Figure::Nee => kpi.nee(),
            Figure::Coverage => kpi.coverage(),
        }
    }

    /// Whether parts are in it, and not only times.
    pub fn follows_from_parts(self) -> bool {
        !matches!(self, Figure::Availability | Figure::Coverage)
    }

    /// Whether all that it follows from is known: the whole window, and the parts where they are in
    /// it. Flags must have been set.
    pub fn is_certain(self, kpi: &Kpi) -> bool {
        let is_covered = kpi.time.of(LossClass::NoData) == Span::ZERO;
        is_covered && (kpi.has_certain_counts() || !self.follows_from_parts())
    }

    /// The time above the line; none where ideal times are needed and not known.
    pub fn numerator(self, kpi: &Kpi) -> Option<ExactTime> {
        match self {
            Figure::Oee | Figure::Quality | Figure::Teep | Figure::Ooe => {
                ideal(kpi, &kpi.production.ideal_good)
            }
            Figure::Availability => Some(exact(kpi.run_time(Profile::Tpm))),
            Figure::Performance => ideal(kpi, &kpi.production.ideal_total),
            Figure::Nee => {
                let good = ideal(kpi, &kpi.production.ideal_good)?;
                let run = kpi.time.of(LossClass::Run);
                let with_setup = run + kpi.time.of(LossClass::Setup);
                let numerator = good.numerator.checked_mul(with_setup.ticks().into())?;
                let denominator = good.denominator.checked_mul(run.ticks().into())?;
                (denominator > 0).then_some(ExactTime { numerator, denominator })
            }
            Figure::Coverage => Some(exact(kpi.time.planned_busy())),
        }
    }

    /// The time below the line; none where ideal times are needed and not known.
    pub fn denominator(self, kpi: &Kpi) -> Option<ExactTime> {
        match self {
            Figure::Oee | Figure::Availability | Figure::Nee => {
                Some(exact(kpi.time.planned_busy()))
            }
            Figure::Performance => Some(exact(kpi.run_time(Profile::Tpm))),
            Figure::Quality => ideal(kpi, &kpi.production.ideal_total),
            Figure::Teep => Some(exact(kpi.time.calendar())),
            Figure::Ooe => Some(exact(kpi.time.scheduled())),
            Figure::Coverage => {
                Some(exact(kpi.time.planned_busy() + kpi.time.of(LossClass::NoData)))
            }
        }
    }
}

fn exact(span: Span) -> ExactTime {
    ExactTime { numerator: span.ticks().into(), denominator: 1 }
}

fn ideal(kpi: &Kpi, time: &IdealTime) -> Option<ExactTime> {
    let (numerator, denominator) = time.as_fraction();
    kpi.is_defined().then_some(ExactTime { numerator, denominator })
}
