//! Values of any built-in type compared, as filters need it (Part 4 §7.7.3): implicit conversion to
//! the type that ranks higher, then order where there is one and equality everywhere.

use std::cmp::Ordering;

use opcua::types::{Variant, VariantScalarTypeId, VariantTypeId};

/// How a type ranks in conversions (Part 4 Table 120); lower is stronger.
fn rank(kind: VariantScalarTypeId) -> u8 {
    use VariantScalarTypeId as V;
    match kind {
        V::Double => 1,
        V::Float => 2,
        V::Int64 => 3,
        V::UInt64 => 4,
        V::Int32 => 5,
        V::UInt32 => 6,
        V::StatusCode => 7,
        V::Int16 => 8,
        V::UInt16 => 9,
        V::SByte => 10,
        V::Byte => 11,
        V::Boolean => 12,
        V::Guid => 13,
        V::String => 14,
        V::ExpandedNodeId => 15,
        V::NodeId => 16,
        V::LocalizedText => 17,
        V::QualifiedName => 18,
        _ => 19,
    }
}

fn kind(value: &Variant) -> Option<VariantScalarTypeId> {
    match value.type_id() {
        VariantTypeId::Scalar(kind) => Some(kind),
        _ => None,
    }
}

/// Both values as values of one type, if one can be converted.
fn together(a: &Variant, b: &Variant) -> Option<(Variant, Variant)> {
    let (kind_a, kind_b) = (kind(a)?, kind(b)?);
    if kind_a == kind_b {
        return Some((a.clone(), b.clone()));
    }
    let target = if rank(kind_a) < rank(kind_b) { kind_a } else { kind_b };
    let (a, b) = (convert(a, target)?, convert(b, target)?);
    Some((a, b))
}

fn convert(value: &Variant, target: VariantScalarTypeId) -> Option<Variant> {
    let converted = value.convert(VariantTypeId::Scalar(target));
    (!matches!(converted, Variant::Empty)).then_some(converted)
}

/// Whether two values are equal; `None` where they cannot be compared.
pub fn equal(a: &Variant, b: &Variant) -> Option<bool> {
    match (a, b) {
        (Variant::Empty, _) | (_, Variant::Empty) => None,
        (Variant::Array(_), Variant::Array(_)) => Some(a == b),
        _ => together(a, b).map(|(a, b)| a == b),
    }
}

/// The order of two values; `None` where there is none.
pub fn order(a: &Variant, b: &Variant) -> Option<Ordering> {
    use Variant as V;
    match together(a, b)? {
        (V::Boolean(a), V::Boolean(b)) => Some(a.cmp(&b)),
        (V::SByte(a), V::SByte(b)) => Some(a.cmp(&b)),
        (V::Byte(a), V::Byte(b)) => Some(a.cmp(&b)),
        (V::Int16(a), V::Int16(b)) => Some(a.cmp(&b)),
        (V::UInt16(a), V::UInt16(b)) => Some(a.cmp(&b)),
        (V::Int32(a), V::Int32(b)) => Some(a.cmp(&b)),
        (V::UInt32(a), V::UInt32(b)) => Some(a.cmp(&b)),
        (V::Int64(a), V::Int64(b)) => Some(a.cmp(&b)),
        (V::UInt64(a), V::UInt64(b)) => Some(a.cmp(&b)),
        (V::Float(a), V::Float(b)) => a.partial_cmp(&b),
        (V::Double(a), V::Double(b)) => a.partial_cmp(&b),
        (V::String(a), V::String(b)) => Some(a.as_ref().cmp(b.as_ref())),
        (V::DateTime(a), V::DateTime(b)) => Some(a.ticks().cmp(&b.ticks())),
        (V::StatusCode(a), V::StatusCode(b)) => Some(a.bits().cmp(&b.bits())),
        (V::Guid(a), V::Guid(b)) => Some(a.to_string().cmp(&b.to_string())),
        (V::ByteString(a), V::ByteString(b)) => Some(a.as_ref().cmp(b.as_ref())),
        _ => None,
    }
}

/// A value as a number whose bits can be combined; the wider type of both.
pub fn bits(a: &Variant, b: &Variant, combine: fn(u64, u64) -> u64) -> Option<Variant> {
    use VariantScalarTypeId as K;
    let (a, b) = together(a, b)?;
    let target = kind(&a)?;
    let is_whole = matches!(
        target,
        K::SByte | K::Byte | K::Int16 | K::UInt16 | K::Int32 | K::UInt32 | K::Int64 | K::UInt64
    );
    let combined = combine(raw(&a).filter(|_| is_whole)?, raw(&b)?);
    Some(match target {
        K::SByte => Variant::SByte(combined as i8),
        K::Byte => Variant::Byte(combined as u8),
        K::Int16 => Variant::Int16(combined as i16),
        K::UInt16 => Variant::UInt16(combined as u16),
        K::Int32 => Variant::Int32(combined as i32),
        K::UInt32 => Variant::UInt32(combined as u32),
        K::Int64 => Variant::Int64(combined as i64),
        _ => Variant::UInt64(combined),
    })
}

fn raw(value: &Variant) -> Option<u64> {
    Some(match *value {
        Variant::SByte(v) => v as u64,
        Variant::Byte(v) => v.into(),
        Variant::Int16(v) => v as u64,
        Variant::UInt16(v) => v.into(),
        Variant::Int32(v) => v as u64,
        Variant::UInt32(v) => v.into(),
        Variant::Int64(v) => v as u64,
        Variant::UInt64(v) => v,
        _ => return None,
    })
}

/// A value as a truth: only Booleans are one (Part 4 §7.7.3).
pub fn truth(value: &Variant) -> Option<bool> {
    match value {
        Variant::Boolean(truth) => Some(*truth),
        _ => match convert(value, VariantScalarTypeId::Boolean)? {
            Variant::Boolean(truth) => Some(truth),
            _ => None,
        },
    }
}

/// A value as a text: texts, and the texts inside localised and qualified ones.
pub fn text(value: &Variant) -> Option<String> {
    match value {
        Variant::String(text) => Some(text.as_ref().to_owned()),
        Variant::LocalizedText(text) => Some(text.text.as_ref().to_owned()),
        Variant::QualifiedName(name) => Some(name.name.as_ref().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{
        ByteString, DateTime, ExpandedNodeId, Guid, LocalizedText, NodeId, QualifiedName,
        StatusCode, UAString,
    };

    use super::*;

    #[test]
    fn every_built_in_type_equals_itself_and_not_another_value() {
        let pairs: Vec<(Variant, Variant)> = vec![
            (true.into(), false.into()),
            ((-1_i8).into(), 1_i8.into()),
            (1_u8.into(), 2_u8.into()),
            (1_i16.into(), 2_i16.into()),
            (1_u16.into(), 2_u16.into()),
            (1_i32.into(), 2_i32.into()),
            (1_u32.into(), 2_u32.into()),
            (1_i64.into(), 2_i64.into()),
            (1_u64.into(), 2_u64.into()),
            (1.5_f32.into(), 2.5_f32.into()),
            (1.5_f64.into(), 2.5_f64.into()),
            ("a".into(), "b".into()),
            (DateTime::from(1_i64).into(), DateTime::from(2_i64).into()),
            (Guid::null().into(), Guid::new().into()),
            (ByteString::from(b"a").into(), ByteString::from(b"b").into()),
            (NodeId::new(1, 1_u32).into(), NodeId::new(2, 1_u32).into()),
            (
                ExpandedNodeId::new(NodeId::new(1, "x")).into(),
                ExpandedNodeId::new(NodeId::new(1, "y")).into(),
            ),
            (StatusCode::Good.into(), StatusCode::Bad.into()),
            (QualifiedName::new(1, "a").into(), QualifiedName::new(2, "a").into()),
            (LocalizedText::from("a").into(), LocalizedText::from("b").into()),
            (vec![1_i32, 2].into(), vec![1_i32, 3].into()),
        ];
        for (a, b) in pairs {
            assert_eq!(equal(&a, &a), Some(true), "{a:?}");
            assert_eq!(equal(&a, &b), Some(false), "{a:?} {b:?}");
        }
        assert_eq!(equal(&Variant::Empty, &Variant::Empty), None);
    }

    #[test]
    fn numbers_of_different_types_are_compared_as_numbers() {
        assert_eq!(equal(&1_u8.into(), &1.0_f64.into()), Some(true));
        assert_eq!(order(&1_u8.into(), &2_i64.into()), Some(Ordering::Less));
        assert_eq!(order(&Variant::from(700_u16), &500_i32.into()), Some(Ordering::Greater));
        assert_eq!(order(&f64::NAN.into(), &1.0_f64.into()), None);
        assert_eq!(order(&NodeId::new(1, 1_u32).into(), &NodeId::new(1, 2_u32).into()), None);
        let early = DateTime::from(1_i64);
        assert_eq!(order(&early.into(), &DateTime::from(2_i64).into()), Some(Ordering::Less));
        assert_eq!(order(&"b".into(), &"a".into()), Some(Ordering::Greater));
    }

    #[test]
    fn bits_keep_the_type_and_are_not_for_fractions() {
        assert_eq!(bits(&6_u16.into(), &3_u16.into(), |a, b| a & b), Some(2_u16.into()));
        assert_eq!(bits(&(-1_i32).into(), &8_i32.into(), |a, b| a & b), Some(8_i32.into()));
        assert_eq!(bits(&1.0_f64.into(), &1_u8.into(), |a, b| a | b), None);
        assert_eq!(text(&UAString::from("x").into()).as_deref(), Some("x"));
        assert_eq!(text(&1_i32.into()), None);
    }
}
