//! Figures as values: exact times and ratios, with what is not defined or not fully known said so.

use opcua::types::{DataValue, StatusCode, Variant};

use super::source::{FigurePart, KpiValue};
use super::value::{data_value, duration};
use crate::app::view::KpiView;
use crate::domain::oee::kpi::{ExactTime, Kpi, Profile};
use crate::domain::oee::loss::LossClass;
use crate::domain::quantity::Ratio;
use crate::domain::time::{Span, TICKS_PER_MILLISECOND, Timestamp};
use crate::server::time::date_time;

pub fn kpi_value(shown: &KpiView, value: KpiValue, now: Timestamp) -> DataValue {
    let kpi = &shown.kpi;
    let at = kpi.window.to;
    let parts = kpi.production.parts;
    let unattributed = kpi.production.unattributed;
    let count = |count: u64| Variant::UInt32(u32::try_from(count).unwrap_or(u32::MAX));
    let waterfall = || kpi.waterfall();
    let value = match value {
        KpiValue::Figure(figure, FigurePart::Value) => {
            return ratio_value(kpi, figure.ratio(kpi), at, now);
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
    let status = if value.is_some() { StatusCode::Good } else { StatusCode::BadNoData };
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

/// A ratio; not defined is bad, and incomplete knowledge is uncertain.
pub fn ratio_value(kpi: &Kpi, ratio: Option<Ratio>, at: Timestamp, now: Timestamp) -> DataValue {
    let Some(ratio) = ratio else {
        return data_value(None, StatusCode::BadNoData, at, now);
    };
    let is_partial = kpi.time.of(LossClass::NoData) > Span::ZERO;
    let status = if is_partial { StatusCode::UncertainDataSubNormal } else { StatusCode::Good };
    data_value(Some(Variant::Double(ratio.to_f64())), status, at, now)
}
