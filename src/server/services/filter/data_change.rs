//! Which changes of a value count (Part 4 §7.22.2, Part 8 §7).

use opcua::types::{
    DataChangeFilter, DataChangeTrigger, DataValue, DeadbandType, StatusCode, Variant,
};

/// Which changes count.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DataFilter {
    trigger: DataChangeTrigger,
    /// A number changes only if it moves by more than this.
    deadband: Option<f64>,
}

impl Default for DataFilter {
    /// A change of value or of status.
    fn default() -> DataFilter {
        DataFilter { trigger: DataChangeTrigger::StatusValue, deadband: None }
    }
}

/// A variable as far as a deadband depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Whether its data type is a number.
    pub numeric: bool,
    /// Width of its EURange.
    pub range: Option<f64>,
}

impl DataFilter {
    /// Checks a filter for a variable.
    pub fn new(filter: &DataChangeFilter, measured: Measured) -> Result<DataFilter, StatusCode> {
        let kinds = [DeadbandType::None, DeadbandType::Absolute, DeadbandType::Percent];
        let kind = kinds.into_iter().find(|kind| *kind as u32 == filter.deadband_type);
        let Some(kind) = kind else {
            return Err(StatusCode::BadDeadbandFilterInvalid);
        };
        let value = filter.deadband_value;
        if kind != DeadbandType::None {
            if !measured.numeric {
                return Err(StatusCode::BadFilterNotAllowed);
            }
            if !value.is_finite() || value < 0.0 {
                return Err(StatusCode::BadDeadbandFilterInvalid);
            }
        }
        let deadband = match kind {
            DeadbandType::Absolute => Some(value),
            DeadbandType::Percent => {
                let range = measured.range.filter(|_| value <= 100.0);
                Some(range.ok_or(StatusCode::BadDeadbandFilterInvalid)? * value / 100.0)
            }
            DeadbandType::None => None,
        };
        Ok(DataFilter { trigger: filter.trigger, deadband })
    }

    /// Whether a value is news after the one that was reported last.
    pub fn is_change(&self, last: Option<&DataValue>, new: &DataValue) -> bool {
        let Some(last) = last else {
            return true;
        };
        if status(last) != status(new) {
            return true;
        }
        let is_later = || last.source_timestamp != new.source_timestamp;
        match self.trigger {
            DataChangeTrigger::Status => false,
            DataChangeTrigger::StatusValue => self.is_other(last, new),
            DataChangeTrigger::StatusValueTimestamp => is_later() || self.is_other(last, new),
        }
    }

    fn is_other(&self, last: &DataValue, new: &DataValue) -> bool {
        match (self.deadband, &last.value, &new.value) {
            (Some(deadband), Some(last), Some(new)) => beyond(last, new, deadband),
            _ => last.value != new.value,
        }
    }
}

fn status(value: &DataValue) -> StatusCode {
    value.status.unwrap_or(StatusCode::Good)
}

/// Whether a number, or any number of an array, has moved by more than a deadband.
fn beyond(last: &Variant, new: &Variant, deadband: f64) -> bool {
    match (last, new) {
        (Variant::Array(a), Variant::Array(b)) => {
            let mut pairs = a.values.iter().zip(&b.values);
            a.values.len() != b.values.len() || pairs.any(|(a, b)| beyond(a, b, deadband))
        }
        _ => match (number(last), number(new)) {
            (Some(a), Some(b)) if a.is_nan() || b.is_nan() => a.is_nan() != b.is_nan(),
            (Some(a), Some(b)) => (a - b).abs() > deadband,
            _ => last != new,
        },
    }
}

/// A number as a float; whole numbers beyond 2^53 lose their last digits, as a deadband may.
fn number(value: &Variant) -> Option<f64> {
    Some(match *value {
        Variant::SByte(v) => v.into(),
        Variant::Byte(v) => v.into(),
        Variant::Int16(v) => v.into(),
        Variant::UInt16(v) => v.into(),
        Variant::Int32(v) => v.into(),
        Variant::UInt32(v) => v.into(),
        Variant::Int64(v) => v as f64,
        Variant::UInt64(v) => v as f64,
        Variant::Float(v) => v.into(),
        Variant::Double(v) => v,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::DateTime;

    const NUMBER: Measured = Measured { numeric: true, range: Some(200.0) };

    fn filter(
        trigger: DataChangeTrigger,
        deadband_type: u32,
        deadband_value: f64,
    ) -> DataChangeFilter {
        DataChangeFilter { trigger, deadband_type, deadband_value }
    }

    fn value(value: impl Into<Variant>, status: StatusCode, at: i64) -> DataValue {
        DataValue {
            value: Some(value.into()),
            status: Some(status),
            source_timestamp: Some(DateTime::from(at)),
            ..DataValue::default()
        }
    }

    #[test]
    fn without_a_filter_a_change_of_status_alone_is_a_change() {
        let default = DataFilter::default();
        let good = value(1_i32, StatusCode::Good, 1);
        let bad = value(1_i32, StatusCode::BadNoCommunication, 1);
        assert!(default.is_change(None, &good));
        assert!(default.is_change(Some(&good), &bad) && default.is_change(Some(&bad), &good));
        assert!(!default.is_change(Some(&good), &value(1_i32, StatusCode::Good, 2)));
    }

    #[test]
    fn triggers_look_at_what_they_are_told_to() {
        use DataChangeTrigger::{Status, StatusValue, StatusValueTimestamp};
        let old = value(1_i32, StatusCode::Good, 1);
        for (trigger, other_value, other_time, other_status) in [
            (Status, false, false, true),
            (StatusValue, true, false, true),
            (StatusValueTimestamp, true, true, true),
        ] {
            let one = DataFilter::new(&filter(trigger, 0, 0.0), NUMBER).unwrap();
            let news = |new| one.is_change(Some(&old), &new);
            assert_eq!(news(value(2_i32, StatusCode::Good, 1)), other_value, "{trigger:?}");
            assert_eq!(news(value(1_i32, StatusCode::Good, 2)), other_time, "{trigger:?}");
            assert_eq!(news(value(1_i32, StatusCode::Uncertain, 1)), other_status, "{trigger:?}");
        }
    }

    #[test]
    fn deadbands_hold_back_small_moves_of_numbers_and_arrays() {
        let trigger = DataChangeTrigger::StatusValue;
        let absolute = DataFilter::new(&filter(trigger, 1, 10.0), NUMBER).unwrap();
        let percent = DataFilter::new(&filter(trigger, 2, 5.0), NUMBER).unwrap();
        for one in [absolute, percent] {
            let from = value(100.0, StatusCode::Good, 1);
            let news = |to: f64| one.is_change(Some(&from), &value(to, StatusCode::Good, 1));
            assert!(!news(110.0) && news(110.1) && news(89.0) && news(f64::NAN));
            let array = |last: f64| value(vec![1.0, last], StatusCode::Good, 1);
            assert!(!one.is_change(Some(&array(1.0)), &array(10.0)));
            assert!(one.is_change(Some(&array(1.0)), &array(20.0)));
            let longer = value(vec![1.0, 1.0, 1.0], StatusCode::Good, 1);
            assert!(one.is_change(Some(&array(1.0)), &longer));
        }
    }

    #[test]
    fn filters_that_make_no_sense_are_refused() {
        use StatusCode as S;
        let trigger = DataChangeTrigger::StatusValue;
        let text = Measured { numeric: false, range: None };
        let plain = Measured { numeric: true, range: None };
        for (kind, amount, measured, wanted) in [
            (1, 1.0, text, S::BadFilterNotAllowed),
            (2, 1.0, plain, S::BadDeadbandFilterInvalid),
            (2, 101.0, NUMBER, S::BadDeadbandFilterInvalid),
            (1, -1.0, NUMBER, S::BadDeadbandFilterInvalid),
            (1, f64::NAN, NUMBER, S::BadDeadbandFilterInvalid),
            (3, 1.0, NUMBER, S::BadDeadbandFilterInvalid),
        ] {
            let refused = DataFilter::new(&filter(trigger, kind, amount), measured).err();
            assert_eq!(refused, Some(wanted), "{kind} {amount}");
        }
    }
}
