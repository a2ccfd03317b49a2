//! OPC UA values reduced to what a signal can be; times in ticks of our own epoch.

use opcua::types::{DataValue, StatusCode, Variant};

use crate::channel::time::timestamp;
use crate::domain::quantity::Quantity;
use crate::domain::signal::RawValue;
use crate::domain::time::Timestamp;

/// Longest text that is kept of a value.
const TEXT_MAX: usize = 256;
/// The info bits that say that a queue has overflowed (Part 4 §7.39.1).
const OVERFLOW_BITS: u32 = 0x0000_0480;

/// The source time of a value, else its server time.
pub fn source_time(value: &DataValue) -> Option<Timestamp> {
    let source = value.source_timestamp.as_ref().and_then(timestamp);
    source.or_else(|| value.server_timestamp.as_ref().and_then(timestamp))
}

/// The status code of a value; absent means good.
pub fn status(value: &DataValue) -> u32 {
    value.status.map_or(StatusCode::Good.bits(), |status| status.bits())
}

/// Whether values were lost before this one because the server's queue was full.
pub fn has_overflowed(value: &DataValue) -> bool {
    status(value) & OVERFLOW_BITS == OVERFLOW_BITS
}

/// The value as a signal can have it.
pub fn raw_value(value: &DataValue) -> RawValue {
    let Some(variant) = &value.value else {
        return RawValue::Other("null".into());
    };
    match variant {
        Variant::Boolean(value) => RawValue::Bool(*value),
        Variant::SByte(value) => RawValue::Integer((*value).into()),
        Variant::Byte(value) => RawValue::Integer((*value).into()),
        Variant::Int16(value) => RawValue::Integer((*value).into()),
        Variant::UInt16(value) => RawValue::Integer((*value).into()),
        Variant::Int32(value) => RawValue::Integer((*value).into()),
        Variant::UInt32(value) => RawValue::Integer((*value).into()),
        Variant::Int64(value) => RawValue::Integer((*value).into()),
        Variant::UInt64(value) => RawValue::Integer((*value).into()),
        Variant::Float(value) => whole((*value).into()),
        Variant::Double(value) => whole(*value),
        Variant::String(text) => RawValue::Text(shortened(text.as_ref())),
        Variant::LocalizedText(text) => RawValue::Text(shortened(text.text.as_ref())),
        Variant::Empty => RawValue::Other("null".into()),
        other => RawValue::Other(kind(other)),
    }
}

fn whole(value: f64) -> RawValue {
    let whole = crate::app::log_format::whole_float(value).map(RawValue::Integer);
    let decimal = || Quantity::from_f64(value).map(RawValue::Decimal);
    whole.or_else(decimal).unwrap_or_else(|| RawValue::Other("number out of range".into()))
}

fn shortened(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

fn kind(variant: &Variant) -> String {
    match variant {
        Variant::Array(_) => "array".into(),
        other => {
            let name = format!("{:?}", other.type_id());
            shortened(&name)
        }
    }
}

/// The value as a number to show.
pub fn number(value: &DataValue) -> Option<f64> {
    match value.value.as_ref()? {
        Variant::Float(value) => Some((*value).into()),
        Variant::Double(value) => Some(*value),
        _ => match raw_value(value) {
            RawValue::Integer(value) => Some(value as f64),
            RawValue::Bool(value) => Some(f64::from(u8::from(value))),
            RawValue::Decimal(_) | RawValue::Text(_) | RawValue::Other(_) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_without_fraction_is_a_count_and_an_array_is_not() {
        let of = |variant: Variant| raw_value(&DataValue::value_only(variant));
        assert_eq!(of(Variant::Double(12.0)), RawValue::Integer(12));
        assert_eq!(of(Variant::Double(0.5)), RawValue::Decimal("0.5".parse().unwrap()));
        let absurd = RawValue::Other("number out of range".into());
        assert_eq!(of(Variant::Double(f64::NAN)), absurd);
        assert_eq!(of(Variant::Double(1e300)), absurd);
        assert_eq!(of(Variant::from(vec![1_i32, 2])), RawValue::Other("array".into()));
    }
}
