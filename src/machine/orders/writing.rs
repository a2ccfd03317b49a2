//! Writing a value of an order to a machine: as the type that the variable has there, and read back until
//! the machine shows it.

use std::time::Duration;

use opcua::types::{
    AttributeId, DataValue, NodeId, NumericRange, ReadValueId, StatusCode, TimestampsToReturn,
    Variant, VariantScalarTypeId, WriteValue,
};
use tokio::time::Instant;

use crate::machine::client::{Failure, Session};

/// How often it is looked whether the machine shows what was written.
const AGAIN: Duration = Duration::from_millis(100);

/// A value that fits the variable to which it is to be written.
pub struct Prepared {
    node: NodeId,
    value: Variant,
    /// Whether it is there already; a machine may not let it be written while it runs.
    is_there: bool,
}

/// Looks whether a text can be what a variable is; why not. Nothing is written yet.
pub async fn prepare(
    session: &Session,
    node: NodeId,
    text: &str,
) -> Result<Result<Prepared, String>, Failure> {
    let (before, kind) = read(session, &node).await?;
    let Some(kind) = kind else {
        return Ok(Err(format!("{node} has no type that can be written")));
    };
    let Some(value) = converted(text, kind) else {
        return Ok(Err(format!("{text} is no {kind:?}, which {node} is")));
    };
    let is_there = before.as_ref() == Some(&value);
    Ok(Ok(Prepared { node, value, is_there }))
}

impl Prepared {
    /// Writes it and waits until the machine shows it; why it does not.
    pub async fn write(
        self,
        session: &Session,
        patience: Duration,
    ) -> Result<Result<(), String>, Failure> {
        let Prepared { node, value, is_there } = self;
        if is_there {
            return Ok(Ok(()));
        }
        let write = WriteValue {
            node_id: node.clone(),
            attribute_id: AttributeId::Value as u32,
            index_range: NumericRange::None,
            value: DataValue::value_only(value.clone()),
        };
        let written = session.write(&[write]).await?;
        let status = written.first().copied().unwrap_or(StatusCode::BadUnexpectedError);
        if status.is_bad() {
            let why = status.sub_code().description();
            return Ok(Err(format!("{node} cannot be written: {why}")));
        }
        let deadline = Instant::now() + patience;
        loop {
            let (shown, _) = read(session, &node).await?;
            if shown.as_ref() == Some(&value) {
                return Ok(Ok(()));
            }
            if Instant::now() >= deadline {
                let shown = shown.map_or_else(|| "nothing".to_owned(), |shown| shown.to_string());
                return Ok(Err(format!("{value} was written to {node}, which shows {shown}")));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// The value of a variable, and of which type it is.
async fn read(
    session: &Session,
    node: &NodeId,
) -> Result<(Option<Variant>, Option<VariantScalarTypeId>), Failure> {
    let question = |attribute: AttributeId| ReadValueId {
        node_id: node.clone(),
        attribute_id: attribute as u32,
        ..ReadValueId::default()
    };
    let asked = [question(AttributeId::Value), question(AttributeId::DataType)];
    let mut said = session.read(&asked, TimestampsToReturn::Neither).await?.into_iter();
    let value = said.next().and_then(|said| said.value).filter(|value| *value != Variant::Empty);
    let data_type = said.next().and_then(|said| said.value);
    let of_value = value.as_ref().and_then(Variant::scalar_type_id);
    let declared = match &data_type {
        Some(Variant::NodeId(id)) => id.as_u32().filter(|_| id.namespace == 0),
        _ => None,
    };
    let declared = declared.and_then(|id| VariantScalarTypeId::try_from(id).ok());
    Ok((value, of_value.or(declared)))
}

/// A text as a value of a type, if it is one.
pub fn converted(text: &str, kind: VariantScalarTypeId) -> Option<Variant> {
    use VariantScalarTypeId as Kind;
    Some(match kind {
        Kind::String => Variant::from(text),
        Kind::LocalizedText => opcua::types::LocalizedText::from(text).into(),
        Kind::Boolean => Variant::Boolean(text.parse().ok()?),
        Kind::SByte => Variant::SByte(text.parse().ok()?),
        Kind::Byte => Variant::Byte(text.parse().ok()?),
        Kind::Int16 => Variant::Int16(text.parse().ok()?),
        Kind::UInt16 => Variant::UInt16(text.parse().ok()?),
        Kind::Int32 => Variant::Int32(text.parse().ok()?),
        Kind::UInt32 => Variant::UInt32(text.parse().ok()?),
        Kind::Int64 => Variant::Int64(text.parse().ok()?),
        Kind::UInt64 => Variant::UInt64(text.parse().ok()?),
        Kind::Float => Variant::Float(text.parse().ok().filter(|number: &f32| number.is_finite())?),
        Kind::Double => {
            Variant::Double(text.parse().ok().filter(|number: &f64| number.is_finite())?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_what_the_variable_is_or_is_refused() {
        use VariantScalarTypeId as Kind;
        assert_eq!(converted("1200", Kind::UInt16), Some(Variant::UInt16(1200)));
        assert_eq!(converted("1200.5", Kind::Double), Some(Variant::Double(1200.5)));
        assert_eq!(converted("true", Kind::Boolean), Some(Variant::Boolean(true)));
        assert_eq!(converted("4711", Kind::String), Some(Variant::from("4711")));
        assert_eq!(converted("70000", Kind::UInt16), None, "it would be another number");
        assert_eq!(converted("1.5", Kind::Int32), None, "nothing is rounded");
        assert_eq!(converted("NaN", Kind::Double), None);
        assert_eq!(converted("x", Kind::Guid), None);
    }
}
