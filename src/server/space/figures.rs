//! Figures as values: exact times and ratios, with what is not defined or not fully known said so.

use opcua::types::{DataValue, StatusCode, Variant};

use super::source::{FigurePart, KpiValue};
use super::value::{data_value, duration};
use crate::app::view::KpiView;
use crate::channel::time::date_time;
use crate::domain::oee::figure::Figure;
use crate::domain::oee::kpi::{ExactTime, Kpi, Profile};
use crate::domain::quantity::Ratio;
use crate::domain::time::{TICKS_PER_MILLISECOND, Timestamp};

pub fn kpi_value(shown: &KpiView, value: KpiValue, now: Timestamp) -> DataValue {
    let kpi = &shown.kpi;
    let at = kpi.window.to;
    let parts = kpi.production.parts;
    let unattributed = kpi.production.unattributed;
    let count = |count: u64| Variant::UInt32(u32::try_from(count).unwrap_or(u32::MAX));
    let waterfall = || kpi.waterfall();
    let is_certain = kpi.has_certain_counts() || !follows_from_parts(value);
    let value = match value {
        KpiValue::Figure(figure, FigurePart::Value) => {
            return figure_value(kpi, figure, at, now);
        }
        KpiValue::Figure(figure, FigurePart::Numerator) => exact(figure.numerator(kpi)),
        KpiValue::Figure(figure, FigurePart::Denominator) => exact(figure.denominator(kpi)),
        KpiValue::PlannedBusyTime => duration(kpi.time.planned_busy()).into(),
        KpiValue::RunTime => duration(kpi.run_time(Profile::Tpm)).into(),
        KpiValue::Time(class) => duration(kpi.time.of(class)).into(),
        KpiValue::SpeedLoss => exact(waterfall().map(|w| w.speed_loss)),
        KpiValue::QualityLoss => exact(waterfall().map(|w| w.quality_loss)),
        KpiValue::FullyProductive => exact(waterfall().map(|w| w.fully_productive)),
        KpiValue::Good => Variant::Int64(parts.good).into(),
        KpiValue::Reject => Variant::Int64(parts.reject).into(),
        KpiValue::Total => Variant::Int64(parts.total).into(),
        KpiValue::Unattributed => Variant::Int64(unattributed.good + unattributed.reject).into(),
        KpiValue::Stops => count(kpi.stops.stops).into(),
        KpiValue::MicroStops => count(kpi.stops.micro_stops).into(),
        KpiValue::Unexplained => count(kpi.stops.unexplained).into(),
        KpiValue::TimeBetweenFailures => mean(kpi.mtbf()),
        KpiValue::TimeToRepair => mean(kpi.mttr()),
        KpiValue::WindowName => Some(Variant::from(shown.window_name.as_str())),
        KpiValue::WindowStart => Some(date_time(kpi.window.from).into()),
        KpiValue::WindowEnd => Some(date_time(kpi.window.to).into()),
        KpiValue::Provisional => Some(Variant::Boolean(kpi.provisional)),
        KpiValue::Flags => {
            let flags = kpi.flags.iter().map(|flag| flag.as_str().to_owned());
            Some(Variant::from(flags.collect::<Vec<_>>()))
        }
    };
    let status = match value {
        None => StatusCode::BadNoData,
        Some(_) => certainty(is_certain),
    };
    data_value(value, status, at, now)
}

/// An exact time in milliseconds.
pub fn exact(time: Option<ExactTime>) -> Option<Variant> {
    let ratio = Ratio::new(time?.numerator, time?.denominator)?;
    Some(Variant::Double(ratio.to_f64() / TICKS_PER_MILLISECOND as f64))
}

/// A mean time in milliseconds.
fn mean(ticks: Option<Ratio>) -> Option<Variant> {
    Some(Variant::Double(ticks?.to_f64() / TICKS_PER_MILLISECOND as f64))
}

/// A ratio; not defined is bad, and what does not follow from certain knowledge is uncertain.
pub fn figure_value(kpi: &Kpi, figure: Figure, at: Timestamp, now: Timestamp) -> DataValue {
    let Some(ratio) = figure.ratio(kpi) else {
        return data_value(None, StatusCode::BadNoData, at, now);
    };
    let status = certainty(figure.is_certain(kpi));
    data_value(Some(Variant::Double(ratio.to_f64())), status, at, now)
}

fn follows_from_parts(value: KpiValue) -> bool {
    use KpiValue::{FullyProductive, Good, QualityLoss, Reject, SpeedLoss, Total};
    match value {
        KpiValue::Figure(figure, _) => figure.follows_from_parts(),
        Good | Reject | Total | SpeedLoss | QualityLoss | FullyProductive => true,
        _ => false,
    }
}

fn certainty(is_certain: bool) -> StatusCode {
    if is_certain { StatusCode::Good } else { StatusCode::UncertainDataSubNormal }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::oee::loss::LossClass;
    use crate::domain::time::{Span, Window};

    /// The statuses of quality, availability, rejected parts and run time.
    fn statuses(change: impl FnOnce(&mut Kpi)) -> [StatusCode; 4] {
        let at = Timestamp::from_ticks(0);
        let to = at + Span::from_seconds(100);
        let mut kpi = Kpi::nothing(Window { from: at, to });
        kpi.time.add(LossClass::Run, Span::from_seconds(90));
        kpi.counted = true;
        kpi.production.parts.total = 10;
        kpi.production.parts.good = 10;
        kpi.production.ideal_total.add(10_000_000, 1, 10);
        kpi.production.ideal_good.add(10_000_000, 1, 10);
        change(&mut kpi);
        kpi.set_flags();
        let shown = KpiView { window_name: "rolling".into(), kpi };
        let of = |value| kpi_value(&shown, value, to).status.unwrap_or(StatusCode::Good);
        let figure = |figure| of(KpiValue::Figure(figure, FigurePart::Value));
        [
            figure(Figure::Quality),
            figure(Figure::Availability),
            of(KpiValue::Reject),
            of(KpiValue::RunTime),
        ]
    }

    #[test]
    fn what_follows_from_parts_is_uncertain_where_counters_contradict_each_other() {
        const GOOD: StatusCode = StatusCode::Good;
        const UNCERTAIN: StatusCode = StatusCode::UncertainDataSubNormal;
        assert_eq!(statuses(|_| {}), [GOOD; 4]);
        let disagree = statuses(|kpi| {
            kpi.production.parts.good = 11;
            kpi.production.parts.reject = -1;
        });
        assert_eq!(disagree, [UNCERTAIN, GOOD, UNCERTAIN, GOOD]);
        let beyond_belief = statuses(|kpi| kpi.production.doubtful_steps = 1);
        assert_eq!(beyond_belief, [UNCERTAIN, GOOD, UNCERTAIN, GOOD]);
        let gap = statuses(|kpi| kpi.time.add(LossClass::NoData, Span::from_seconds(10)));
        assert_eq!(gap, [UNCERTAIN, UNCERTAIN, GOOD, GOOD]);
        let nothing = statuses(|kpi| kpi.counted = false);
        assert_eq!(nothing[0], StatusCode::BadNoData);
    }
}
