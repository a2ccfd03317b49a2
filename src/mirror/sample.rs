//! Values of variables as they are kept, and back. Numbers are kept as numbers; all else as OPC UA writes it.
//!
//! Ids inside values have indexes of namespaces in them. A value that has such ids says under which
//! namespaces it was kept, and under others it is no value any more rather than a wrong one.

use std::sync::Arc;

use opcua::types::{
    BinaryEncodable, Context, DataValue, NamespaceMap, StatusCode, Variant, VariantScalarTypeId,
    VariantTypeId,
};

use crate::app::telemetry::{Sample, Sampled};
use crate::channel::decode::{Reader, decoding, raw_context};
use crate::channel::time::{date_time, ticks, timestamp};
use crate::domain::time::{Span, Timestamp};

/// Bytes of a value that is kept.
const BYTES_MAX: usize = 1 << 20;
/// How far a machine's clock may be ahead before its times are not believed.
const AHEAD_MAX: Span = Span::from_seconds(24 * 3600);
/// The checksum of no namespaces, before values without ids.
const WITHOUT_IDS: u32 = 0;

/// Kinds of numbers, by their built-in types (Part 6 §5.1.2).
mod kind {
    pub const BOOLEAN: u8 = 1;
    pub const SBYTE: u8 = 2;
    pub const BYTE: u8 = 3;
    pub const INT16: u8 = 4;
    pub const UINT16: u8 = 5;
    pub const INT32: u8 = 6;
    pub const UINT32: u8 = 7;
    pub const INT64: u8 = 8;
    pub const UINT64: u8 = 9;
    pub const FLOAT: u8 = 10;
    pub const DOUBLE: u8 = 11;
    pub const DATE_TIME: u8 = 13;
    pub const STATUS_CODE: u8 = 19;
}

/// A checksum of the namespaces that the server has without machines; the order of all others is kept.
pub fn checksum(own: &[String]) -> u32 {
    let sum = crc32fast::hash(own.join("\n").as_bytes());
    if sum == WITHOUT_IDS { 1 } else { sum }
}

/// When a value was so: at the machine's own time where that can be, else when it came; and whether it is its
/// own.
pub fn instant(value: &DataValue, now: Timestamp, keeps: Span) -> (Timestamp, bool) {
    let said = value.source_timestamp.as_ref().and_then(timestamp);
    let can_be = |at: &Timestamp| (now - keeps..now + AHEAD_MAX).contains(at);
    said.filter(can_be).map_or((now, false), |at| (at, true))
}

/// A value as it is kept, at an instant.
pub fn sample(value: &DataValue, at: Timestamp, namespaces: u32) -> Sample {
    let status = value.status.unwrap_or_default().bits();
    let kept = match &value.value {
        None | Some(Variant::Empty) => Some(Sampled::None),
        Some(value) => number(value).or_else(|| bytes(value, namespaces)),
    };
    match kept {
        Some(value) => Sample { at, status, value },
        None => {
            let status = StatusCode::BadEncodingLimitsExceeded.bits();
            Sample { at, status, value: Sampled::None }
        }
    }
}

fn number(value: &Variant) -> Option<Sampled> {
    let (kind, bits) = match value {
        Variant::Boolean(value) => (kind::BOOLEAN, u64::from(*value)),
        Variant::SByte(value) => (kind::SBYTE, i64::from(*value) as u64),
        Variant::Byte(value) => (kind::BYTE, u64::from(*value)),
        Variant::Int16(value) => (kind::INT16, i64::from(*value) as u64),
        Variant::UInt16(value) => (kind::UINT16, u64::from(*value)),
        Variant::Int32(value) => (kind::INT32, i64::from(*value) as u64),
        Variant::UInt32(value) => (kind::UINT32, u64::from(*value)),
        Variant::Int64(value) => (kind::INT64, *value as u64),
        Variant::UInt64(value) => (kind::UINT64, *value),
        Variant::Float(value) => (kind::FLOAT, u64::from(value.to_bits())),
        Variant::Double(value) => (kind::DOUBLE, value.to_bits()),
        Variant::DateTime(value) => (kind::DATE_TIME, ticks(value) as u64),
        Variant::StatusCode(value) => (kind::STATUS_CODE, u64::from(value.bits())),
        _ => return None,
    };
    Some(Sampled::Number { kind, bits })
}

fn with_context<T>(work: impl FnOnce(&Context<'_>) -> T) -> T {
    work(&raw_context(NamespaceMap::new(), decoding()).context())
}

fn bytes(value: &Variant, namespaces: u32) -> Option<Sampled> {
    let namespaces = if has_ids(value) { namespaces } else { WITHOUT_IDS };
    let mut bytes = namespaces.to_le_bytes().to_vec();
    with_context(|context| value.encode(&mut bytes, context)).ok()?;
    (bytes.len() <= BYTES_MAX).then(|| Sampled::Bytes(Arc::from(bytes)))
}

/// Whether there may be ids in a value.
fn has_ids(value: &Variant) -> bool {
    let scalar = match value.type_id() {
        VariantTypeId::Empty => return false,
        VariantTypeId::Scalar(scalar) | VariantTypeId::Array(scalar, _) => scalar,
    };
    matches!(
        scalar,
        VariantScalarTypeId::NodeId
            | VariantScalarTypeId::ExpandedNodeId
            | VariantScalarTypeId::QualifiedName
            | VariantScalarTypeId::ExtensionObject
            | VariantScalarTypeId::DataValue
            | VariantScalarTypeId::Variant
            | VariantScalarTypeId::DiagnosticInfo
    )
}

/// A value as it was; told at an instant.
pub fn data_value(sample: &Sample, now: Timestamp, namespaces: u32) -> DataValue {
    let mut status = StatusCode::from(sample.status);
    let value = match &sample.value {
        Sampled::None => None,
        Sampled::Number { kind, bits } => of_number(*kind, *bits),
        Sampled::Bytes(bytes) => of_bytes(bytes, namespaces),
    };
    if value.is_none() && sample.value != Sampled::None {
        status = StatusCode::BadDecodingError;
    }
    DataValue {
        value,
        status: Some(status),
        source_timestamp: Some(date_time(sample.at)),
        server_timestamp: Some(date_time(now)),
        ..DataValue::default()
    }
}

fn of_number(kind: u8, bits: u64) -> Option<Variant> {
    Some(match kind {
        kind::BOOLEAN => Variant::Boolean(bits != 0),
        kind::SBYTE => Variant::SByte(bits as i8),
        kind::BYTE => Variant::Byte(bits as u8),
        kind::INT16 => Variant::Int16(bits as i16),
        kind::UINT16 => Variant::UInt16(bits as u16),
        kind::INT32 => Variant::Int32(bits as i32),
        kind::UINT32 => Variant::UInt32(bits as u32),
        kind::INT64 => Variant::Int64(bits as i64),
        kind::UINT64 => Variant::UInt64(bits),
        kind::FLOAT => Variant::Float(f32::from_bits(bits as u32)),
        kind::DOUBLE => Variant::Double(f64::from_bits(bits)),
        kind::DATE_TIME => Variant::from(opcua::types::DateTime::from(bits as i64)),
        kind::STATUS_CODE => Variant::StatusCode(StatusCode::from(bits as u32)),
        _ => return None,
    })
}

fn of_bytes(bytes: &[u8], namespaces: u32) -> Option<Variant> {
    let (under, encoded) = bytes.split_first_chunk()?;
    let under = u32::from_le_bytes(*under);
    if under != WITHOUT_IDS && under != namespaces {
        return None;
    }
    with_context(|context| {
        let mut reader = Reader::new(encoded, context);
        let value = reader.plain().ok()?;
        reader.finish().ok()?;
        Some(value)
    })
}

#[cfg(test)]
mod tests {
    use opcua::types::{Array, DateTime, ExtensionObject, LocalizedText, NodeId, QualifiedName};

    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_ticks(17_000_000_000_000_000)
    }

    fn value(value: Variant) -> DataValue {
        DataValue { value: Some(value), status: Some(StatusCode::Good), ..DataValue::default() }
    }

    #[test]
    fn every_value_comes_back_as_it_was() {
        let array = Array::new(VariantScalarTypeId::Double, vec![Variant::Double(1.5); 3]).unwrap();
        let all = [
            Variant::Boolean(true),
            Variant::SByte(-5),
            Variant::Byte(250),
            Variant::Int16(-300),
            Variant::UInt16(60_000),
            Variant::Int32(-70_000),
            Variant::UInt32(4_000_000_000),
            Variant::Int64(i64::MIN),
            Variant::UInt64(u64::MAX),
            Variant::Float(-0.0),
            Variant::Double(f64::MAX),
            Variant::from("running"),
            Variant::from(DateTime::from(132_000_000_000_000_001)),
            Variant::StatusCode(StatusCode::BadDeviceFailure),
            Variant::from(NodeId::new(7, "x")),
            Variant::from(QualifiedName::new(7, "x")),
            Variant::from(LocalizedText::new("de", "läuft")),
            Variant::Array(Box::new(array)),
            Variant::ExtensionObject(ExtensionObject::null()),
        ];
        for one in all {
            let told = data_value(&sample(&value(one.clone()), at(), 9), at(), 9);
            assert_eq!(told.value, Some(one));
            assert_eq!(told.status, Some(StatusCode::Good));
            assert_eq!(told.source_timestamp, Some(date_time(at())));
        }
    }

    #[test]
    fn ids_under_other_namespaces_are_no_value() {
        let id = sample(&value(Variant::from(NodeId::new(7, "x"))), at(), 9);
        let told = data_value(&id, at(), 8);
        assert_eq!((told.value, told.status), (None, Some(StatusCode::BadDecodingError)));
        let text = sample(&value(Variant::from("x")), at(), 9);
        assert_eq!(data_value(&text, at(), 8).value, Some(Variant::from("x")));
    }

    #[test]
    fn what_is_too_large_is_said_to_be() {
        let large = Variant::from("x".repeat(BYTES_MAX));
        let told = data_value(&sample(&value(large), at(), 9), at(), 9);
        assert_eq!(told.value, None);
        assert_eq!(told.status, Some(StatusCode::BadEncodingLimitsExceeded));
    }

    #[test]
    fn times_that_cannot_be_are_those_of_the_arrival() {
        let keeps = Span::from_seconds(3600);
        let said = |offset: i64| {
            let source = Some(date_time(at() + Span::from_seconds(offset)));
            let value = DataValue { source_timestamp: source, ..value(Variant::from(1)) };
            let (instant, is_own) = instant(&value, at(), keeps);
            ((instant - at()).ticks() / 10_000_000, is_own)
        };
        assert_eq!([said(-60), said(60)], [(-60, true), (60, true)]);
        assert_eq!([said(-4000), said(2 * 86_400)], [(0, false), (0, false)]);
        assert_eq!(instant(&value(Variant::from(1)), at(), keeps), (at(), false));
    }
}
