//! Structures of machines, read as the machine itself describes them (Part 3 §5.8.3 and §8.48): which
//! fields they have, and the value of one of them.
//!
//! A description is bounded in depth and size like everything that a machine says, and one that refers to
//! itself ends where the value does.

mod make;
mod rewrite;

pub use rewrite::Rewrite;

use std::collections::HashMap;

use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResultMask, Context, DataTypeId, NodeId,
    ObjectId, ReadValueId, ReferenceTypeId, StatusCode, StructureDefinition, StructureType,
    TimestampsToReturn, Variant,
};

use super::client::{Failure, Session};
use crate::channel::decode::{Reader, raw_body};

/// Types of which a structure may be made.
const TYPES_MAX: usize = 500;
/// Structures inside each other.
const DEPTH_MAX: usize = 16;
/// Steps from a type to the built-in one below it.
const SUPERTYPES_MAX: usize = 20;
/// Fields of one structure.
const FIELDS_MAX: usize = 1000;
/// Built-in type of what is encoded with its own type id (Part 6 §5.1.2).
const EXTENSION_OBJECT: u8 = 22;

/// A step into a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// An element of an array.
    Element(usize),
    /// A field of a structure.
    Field(String),
}

/// What a field holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A built-in type, by its number.
    BuiltIn(u8),
    /// A structure, by its place among the layouts.
    Structure(usize),
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    kind: Kind,
    is_array: bool,
    is_optional: bool,
}

#[derive(Clone, Debug, Default)]
struct Layout {
    encoding: NodeId,
    has_mask: bool,
    is_union: bool,
    fields: Vec<Field>,
}

/// How structures are laid out, those that are inside others too.
#[derive(Clone, Debug, Default)]
pub struct Layouts {
    known: HashMap<NodeId, Kind>,
    layouts: Vec<Layout>,
}

impl Layouts {
    /// Asks a machine how a type is laid out, and all types in it.
    pub async fn learn(&mut self, session: &Session, of: &NodeId) -> Result<(), Failure> {
        let mut waiting = vec![of.clone()];
        let mut learned = Vec::new();
        while let Some(data_type) = waiting.pop() {
            if self.known.contains_key(&data_type) {
                continue;
            }
            if self.known.len() >= TYPES_MAX {
                let text = "the machine's structures are made of too many types";
                return Err(Failure::malformed(StatusCode::BadEncodingLimitsExceeded, text));
            }
            let kind = match definition(session, &data_type).await? {
                Some(definition) => {
                    let place = self.layouts.len();
                    self.layouts.push(layout(&data_type, &definition)?);
                    let fields = definition.fields.as_deref().unwrap_or_default();
                    waiting.extend(fields.iter().map(|field| field.data_type.clone()));
                    learned.push((place, definition));
                    Kind::Structure(place)
                }
                None => Kind::BuiltIn(built_in(session, &data_type).await?),
            };
            self.known.insert(data_type, kind);
        }
        for (place, definition) in learned {
            self.settle(place, &definition);
        }
        Ok(())
    }

    /// Puts the kinds of fields in, now that all types are known.
    fn settle(&mut self, place: usize, definition: &StructureDefinition) {
        let may_be_derived = matches!(
            definition.structure_type,
            StructureType::StructureWithSubtypedValues | StructureType::UnionWithSubtypedValues
        );
        let fields = definition.fields.as_deref().unwrap_or_default();
        for (field, said) in self.layouts[place].fields.iter_mut().zip(fields) {
            field.kind = match self.known.get(&said.data_type) {
                Some(kind) if !(may_be_derived && said.is_optional) => *kind,
                // What may be of a derived type says which one it is.
                _ => Kind::BuiltIn(EXTENSION_OBJECT),
            };
        }
    }

    /// What is at the end of some steps into a value.
    pub fn follow(
        &self,
        value: &Variant,
        of: &NodeId,
        steps: &[Step],
        context: &Context<'_>,
    ) -> Result<Variant, StatusCode> {
        let Some((step, rest)) = steps.split_first() else { return Ok(value.clone()) };
        match (step, value) {
            (Step::Element(index), Variant::Array(array)) => {
                let element = array.values.get(*index).ok_or(StatusCode::BadIndexRangeNoData)?;
                self.follow(element, of, rest, context)
            }
            (Step::Field(_), Variant::ExtensionObject(object)) => {
                let (encoding, body) = raw_body(object).ok_or(StatusCode::BadNoData)?;
                let Some(Kind::Structure(place)) = self.known.get(of) else {
                    return Err(StatusCode::BadTypeMismatch);
                };
                if self.layouts[*place].encoding != encoding {
                    return Err(StatusCode::BadDataTypeIdUnknown);
                }
                let mut reader = Reader::new(body, context);
                let found = self.structure(&mut reader, *place, Some(steps), 0)?;
                found.ok_or(StatusCode::BadNoData)
            }
            _ => Err(StatusCode::BadTypeMismatch),
        }
    }

    /// Reads over a structure; gives what the steps lead to, if they lead into it.
    fn structure(
        &self,
        reader: &mut Reader<'_>,
        place: usize,
        steps: Option<&[Step]>,
        depth: usize,
    ) -> Result<Option<Variant>, StatusCode> {
        if depth > DEPTH_MAX {
            return Err(StatusCode::BadEncodingLimitsExceeded);
        }
        let mut found = None;
        for field in self.layouts[place].present(reader)? {
            let rest = match steps.and_then(<[Step]>::split_first) {
                Some((Step::Field(name), rest)) if *name == field.name => Some(rest),
                _ => None,
            };
            let value = self.field(reader, field, rest, depth)?;
            found = found.or(value);
        }
        Ok(found)
    }

    fn field(
        &self,
        reader: &mut Reader<'_>,
        field: &Field,
        steps: Option<&[Step]>,
        depth: usize,
    ) -> Result<Option<Variant>, StatusCode> {
        if !field.is_array {
            return self.element(reader, field.kind, steps, depth);
        }
        let count: i32 = reader.plain()?;
        let count = usize::try_from(count).unwrap_or(0);
        if count > reader.rest().len() {
            return Err(StatusCode::BadDecodingError);
        }
        let (wanted, rest) = match steps.and_then(<[Step]>::split_first) {
            Some((Step::Element(index), rest)) => (Some(*index), Some(rest)),
            _ => (None, None),
        };
        let mut found = None;
        for index in 0..count {
            let steps = rest.filter(|_| wanted == Some(index));
            let value = self.element(reader, field.kind, steps, depth)?;
            found = found.or(value);
        }
        Ok(found)
    }

    fn element(
        &self,
        reader: &mut Reader<'_>,
        kind: Kind,
        steps: Option<&[Step]>,
        depth: usize,
    ) -> Result<Option<Variant>, StatusCode> {
        match kind {
            Kind::Structure(place) => self.structure(reader, place, steps, depth + 1),
            Kind::BuiltIn(kind) => {
                let value = value(reader, kind)?;
                Ok(steps.filter(|steps| steps.is_empty()).map(|_| value))
            }
        }
    }
}

impl Layout {
    /// Reads which of its fields are there.
    fn present(&self, reader: &mut Reader<'_>) -> Result<Vec<&Field>, StatusCode> {
        let mask: u32 = if self.has_mask || self.is_union { reader.plain()? } else { 0 };
        let mut optional = 0_u32;
        let is_there = |(number, field): &(usize, &Field)| match self.is_union {
            true => mask as usize == number + 1,
            false if self.has_mask && field.is_optional => {
                optional += 1;
                mask.checked_shr(optional - 1).is_some_and(|rest| rest & 1 == 1)
            }
            false => true,
        };
        Ok(self.fields.iter().enumerate().filter(is_there).map(|(_, field)| field).collect())
    }
}

fn layout(data_type: &NodeId, definition: &StructureDefinition) -> Result<Layout, Failure> {
    let fields = definition.fields.as_deref().unwrap_or_default();
    // What is behind a field that cannot be read would be read wrongly.
    if fields.len() > FIELDS_MAX {
        let text = format!("structure {data_type} has more than {FIELDS_MAX} fields");
        return Err(Failure::malformed(StatusCode::BadEncodingLimitsExceeded, text));
    }
    if let Some(matrix) = fields.iter().find(|field| ![-1, 1].contains(&field.value_rank)) {
        let text = format!("field {} of structure {data_type} is a matrix", matrix.name);
        return Err(Failure::malformed(StatusCode::BadNotSupported, text));
    }
    let fields = fields.iter().map(|field| Field {
        name: field.name.as_ref().to_owned(),
        kind: Kind::BuiltIn(0),
        is_array: field.value_rank == 1,
        is_optional: field.is_optional,
    });
    Ok(Layout {
        encoding: definition.default_encoding_id.clone(),
        has_mask: definition.structure_type == StructureType::StructureWithOptionalFields,
        is_union: matches!(
            definition.structure_type,
            StructureType::Union | StructureType::UnionWithSubtypedValues
        ),
        fields: fields.collect(),
    })
}

/// A value of a built-in type.
fn value(reader: &mut Reader<'_>, kind: u8) -> Result<Variant, StatusCode> {
    Ok(match kind {
        1 => Variant::Boolean(reader.plain()?),
        2 => Variant::SByte(reader.plain()?),
        3 => Variant::Byte(reader.plain()?),
        4 => Variant::Int16(reader.plain()?),
        5 => Variant::UInt16(reader.plain()?),
        6 => Variant::Int32(reader.plain()?),
        7 => Variant::UInt32(reader.plain()?),
        8 => Variant::Int64(reader.plain()?),
        9 => Variant::UInt64(reader.plain()?),
        10 => Variant::Float(reader.plain()?),
        11 => Variant::Double(reader.plain()?),
        12 | 16 => Variant::String(reader.plain()?),
        13 => Variant::DateTime(Box::new(reader.plain()?)),
        14 => Variant::Guid(Box::new(reader.plain()?)),
        15 => Variant::ByteString(reader.plain()?),
        17 => Variant::NodeId(Box::new(reader.plain()?)),
        18 => Variant::ExpandedNodeId(Box::new(reader.plain()?)),
        19 => Variant::StatusCode(reader.plain()?),
        20 => Variant::QualifiedName(Box::new(reader.plain()?)),
        21 => Variant::LocalizedText(Box::new(reader.plain()?)),
        22 => Variant::ExtensionObject(reader.extension_object()?),
        23 => Variant::DataValue(Box::new(reader.data_value()?)),
        24 => reader.variant()?,
        25 => Variant::DiagnosticInfo(Box::new(reader.diagnostic_info()?)),
        _ => return Err(StatusCode::BadDataTypeIdUnknown),
    })
}

/// How a machine says that a structure is laid out; none for other types.
async fn definition(
    session: &Session,
    data_type: &NodeId,
) -> Result<Option<StructureDefinition>, Failure> {
    let question = ReadValueId {
        node_id: data_type.clone(),
        attribute_id: AttributeId::DataTypeDefinition as u32,
        ..ReadValueId::default()
    };
    let answers = session.read(&[question], TimestampsToReturn::Neither).await?;
    let value = answers.into_iter().next().and_then(|answer| answer.value);
    let Some(Variant::ExtensionObject(object)) = value else { return Ok(None) };
    let Some((id, body)) = raw_body(&object) else { return Ok(None) };
    if id != ObjectId::StructureDefinition_Encoding_DefaultBinary {
        return Ok(None);
    }
    let context = session.context().context();
    let read = Reader::new(body, &context).plain::<StructureDefinition>();
    let unreadable = |status| {
        Failure::malformed(status, format!("how structure {data_type} is made cannot be read"))
    };
    read.map(Some).map_err(unreadable)
}

/// The built-in type as which values of a type are encoded.
async fn built_in(session: &Session, data_type: &NodeId) -> Result<u8, Failure> {
    let mut at = data_type.clone();
    for _ in 0..SUPERTYPES_MAX {
        let number = at.as_data_type_id().map(|id| id as u32).unwrap_or(0);
        if at == DataTypeId::Enumeration {
            return Ok(6);
        }
        if at == DataTypeId::Structure {
            // An abstract one: values have ids of their own.
            return Ok(EXTENSION_OBJECT);
        }
        if (1..=25).contains(&number) {
            return Ok(u8::try_from(number).unwrap_or(0));
        }
        // Numbers without a size are encoded as variants.
        if [DataTypeId::Number, DataTypeId::Integer, DataTypeId::UInteger]
            .iter()
            .any(|id| at == *id)
        {
            return Ok(24);
        }
        let up = BrowseDescription {
            node_id: at.clone(),
            browse_direction: BrowseDirection::Inverse,
            reference_type_id: ReferenceTypeId::HasSubtype.into(),
            include_subtypes: false,
            node_class_mask: 0,
            result_mask: BrowseResultMask::None as u32,
        };
        let browsed = session.browse(&[up]).await?;
        let above = browsed.into_iter().next().and_then(|one| one.references.into_iter().next());
        match above {
            Some(reference) => at = reference.node_id.node_id,
            None => break,
        }
    }
    let text = format!("the machine does not say what type {data_type} is");
    Err(Failure::malformed(StatusCode::BadDataTypeIdUnknown, text))
}

#[cfg(test)]
mod tests {
    use opcua::types::{
        Array, DecodingOptions, ExtensionObject, NamespaceMap, VariantScalarTypeId,
    };

    use super::*;
    use crate::channel::decode::raw_context;

    fn field(name: &str, kind: Kind, is_array: bool, is_optional: bool) -> Field {
        Field { name: name.into(), kind, is_array, is_optional }
    }

    /// A list of entries, each with a number, perhaps a text, and entries below it.
    fn layouts() -> Layouts {
        let entry = Layout {
            encoding: NodeId::new(1, 10),
            has_mask: true,
            is_union: false,
            fields: vec![
                field("Count", Kind::BuiltIn(6), false, false),
                field("Name", Kind::BuiltIn(12), false, true),
                field("Below", Kind::Structure(0), true, false),
            ],
        };
        let known = HashMap::from([(NodeId::new(1, 1), Kind::Structure(0))]);
        Layouts { known, layouts: vec![entry] }
    }

    fn object(body: Vec<u8>) -> Variant {
        let raw = opcua::types::type_loader::ByteStringBody::new(body.into(), NodeId::new(1, 10));
        Variant::ExtensionObject(ExtensionObject { body: Some(Box::new(raw)) })
    }

    fn entry(count: i32, name: Option<&str>, below: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = u32::from(name.is_some()).to_le_bytes().to_vec();
        bytes.extend(count.to_le_bytes());
        if let Some(name) = name {
            bytes.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
            bytes.extend(name.as_bytes());
        }
        bytes.extend(u32::try_from(below.len()).unwrap().to_le_bytes());
        bytes.extend(below.concat());
        bytes
    }

    fn follow(value: &Variant, steps: &[Step]) -> Result<Variant, StatusCode> {
        let owned = raw_context(NamespaceMap::new(), DecodingOptions::default());
        layouts().follow(value, &NodeId::new(1, 1), steps, &owned.context())
    }

    fn step(name: &str) -> Step {
        Step::Field(name.into())
    }

    #[test]
    fn fields_are_found_wherever_they_are_and_missing_ones_are_missing() {
        let inner = [entry(7, None, &[]), entry(8, Some("in"), &[])];
        let entries = vec![object(entry(1, Some("a"), &inner)), object(entry(2, None, &[]))];
        let array = Array::new(VariantScalarTypeId::ExtensionObject, entries).unwrap();
        let value = Variant::Array(Box::new(array));
        let at = |steps: &[Step]| follow(&value, steps);
        let second = Step::Element(1);
        assert_eq!(at(&[Step::Element(0), step("Count")]), Ok(Variant::Int32(1)));
        assert_eq!(at(&[second.clone(), step("Count")]), Ok(Variant::Int32(2)));
        assert_eq!(at(&[second.clone(), step("Name")]), Err(StatusCode::BadNoData));
        let below = [Step::Element(0), step("Below"), second, step("Name")];
        assert_eq!(at(&below), Ok(Variant::from("in")));
        assert_eq!(at(&[Step::Element(2)]), Err(StatusCode::BadIndexRangeNoData));
        assert_eq!(at(&[step("Count")]), Err(StatusCode::BadTypeMismatch));
    }

    #[test]
    fn a_type_that_contains_itself_ends_with_its_bytes_and_lies_about_lengths_are_seen() {
        let mut deep = entry(0, None, &[]);
        for count in 1..40 {
            deep = entry(count, None, &[deep]);
        }
        assert_eq!(
            follow(&object(deep), &[step("Name")]),
            Err(StatusCode::BadEncodingLimitsExceeded)
        );
        let mut short = entry(1, None, &[]);
        short.truncate(8);
        short.extend(u32::MAX.to_le_bytes());
        assert_eq!(follow(&object(short), &[step("Name")]), Err(StatusCode::BadNoData));
        let mut lie = entry(1, None, &[]);
        lie.truncate(8);
        lie.extend(1000_u32.to_le_bytes());
        assert_eq!(follow(&object(lie), &[step("Name")]), Err(StatusCode::BadDecodingError));
    }
}
