//! Structures with other ids in them: the bytes of a structure are copied, but for the ids, names and
//! values of any type in it, which are mapped.

use opcua::types::{
    BinaryEncodable, Context, DataValue, ExpandedNodeId, ExtensionObject, NodeId, ObjectId,
    QualifiedName, StatusCode, Variant,
};

use super::{DEPTH_MAX, Field, Kind, Layout, Layouts};
use crate::channel::decode::Reader;

/// Says what an id is called elsewhere.
pub trait Rewrite {
    /// Of a node.
    fn node(&self, id: &NodeId) -> NodeId;
    /// Of a node that may be elsewhere.
    fn expanded(&self, id: ExpandedNodeId) -> ExpandedNodeId;
    /// Of a browse name.
    fn name(&self, name: &QualifiedName) -> QualifiedName;
    /// Of a structure.
    fn object(&self, object: ExtensionObject) -> ExtensionObject;
    /// Of a value.
    fn variant(&self, value: Variant) -> Variant;
    /// Of a value with its status.
    fn data_value(&self, value: DataValue) -> DataValue;
}

/// A structure while it is copied.
struct Copying<'a> {
    layouts: &'a Layouts,
    rewrite: &'a dyn Rewrite,
    context: &'a Context<'a>,
    body: &'a [u8],
    out: Vec<u8>,
    /// How far the body has been copied.
    copied: usize,
}

impl Layouts {
    /// Adds what methods say of their arguments (Part 3 §8.6), which many machines do not describe.
    pub fn add_argument(&mut self) {
        let field = |name: &str, kind: u8, is_array: bool| Field {
            name: name.into(),
            kind: Kind::BuiltIn(kind),
            is_array,
            is_optional: false,
        };
        self.layouts.push(Layout {
            encoding: ObjectId::Argument_Encoding_DefaultBinary.into(),
            has_mask: false,
            is_union: false,
            fields: vec![
                field("Name", 12, false),
                field("DataType", 17, false),
                field("ValueRank", 6, false),
                field("ArrayDimensions", 7, true),
                field("Description", 21, false),
            ],
        });
    }

    /// A structure with other ids in it; none where there are no ids in it, or where it is not known what is
    /// in it.
    pub fn rewrite(
        &self,
        encoding: &NodeId,
        body: &[u8],
        rewrite: &dyn Rewrite,
        context: &Context<'_>,
    ) -> Option<Vec<u8>> {
        let place = self.layouts.iter().position(|layout| layout.encoding == *encoding)?;
        if !self.has_ids(place, &mut Vec::new()) {
            return None;
        }
        let mut copying =
            Copying { layouts: self, rewrite, context, body, out: Vec::new(), copied: 0 };
        let mut reader = Reader::new(body, context);
        // What is not as it was described is passed on as it came.
        copying.structure(&mut reader, place, 0).ok()?;
        copying.out.extend_from_slice(&body[copying.copied..]);
        Some(copying.out)
    }

    /// Whether there may be ids in a structure.
    fn has_ids(&self, place: usize, seen: &mut Vec<usize>) -> bool {
        if seen.contains(&place) {
            return false;
        }
        seen.push(place);
        self.layouts[place].fields.iter().any(|field| match field.kind {
            Kind::BuiltIn(kind) => matches!(kind, 17 | 18 | 20 | 22 | 23 | 24),
            Kind::Structure(place) => self.has_ids(place, seen),
        })
    }
}

impl Copying<'_> {
    fn at(&self, reader: &Reader<'_>) -> usize {
        self.body.len() - reader.rest().len()
    }

    fn structure(
        &mut self,
        reader: &mut Reader<'_>,
        place: usize,
        depth: usize,
    ) -> Result<(), StatusCode> {
        if depth > DEPTH_MAX {
            return Err(StatusCode::BadEncodingLimitsExceeded);
        }
        let layouts = self.layouts;
        for field in layouts.layouts[place].present(reader)? {
            let count = if field.is_array { count(reader)? } else { 1 };
            for _ in 0..count {
                match field.kind {
                    Kind::Structure(place) => self.structure(reader, place, depth + 1)?,
                    Kind::BuiltIn(kind) => self.built_in(reader, kind)?,
                }
            }
        }
        Ok(())
    }

    fn built_in(&mut self, reader: &mut Reader<'_>, kind: u8) -> Result<(), StatusCode> {
        let start = self.at(reader);
        let value = super::value(reader, kind)?;
        match value {
            // It is encoded as what it is in a structure, not as a variant.
            _ if kind == 24 => self.put(start, reader, &self.rewrite.variant(value)),
            Variant::NodeId(id) => self.put(start, reader, &self.rewrite.node(&id)),
            Variant::ExpandedNodeId(id) => self.put(start, reader, &self.rewrite.expanded(*id)),
            Variant::QualifiedName(name) => self.put(start, reader, &self.rewrite.name(&name)),
            Variant::ExtensionObject(object) => {
                self.put(start, reader, &self.rewrite.object(object))
            }
            Variant::DataValue(inner) => self.put(start, reader, &self.rewrite.data_value(*inner)),
            _ => Ok(()),
        }
    }

    /// Puts something in the place of what was read since a start.
    fn put(
        &mut self,
        start: usize,
        reader: &Reader<'_>,
        value: &impl BinaryEncodable,
    ) -> Result<(), StatusCode> {
        self.out.extend_from_slice(&self.body[self.copied..start]);
        value.encode(&mut self.out, self.context).map_err(|error| error.status())?;
        self.copied = self.at(reader);
        Ok(())
    }
}

fn count(reader: &mut Reader<'_>) -> Result<usize, StatusCode> {
    let count: i32 = reader.plain()?;
    let count = usize::try_from(count).unwrap_or(0);
    if count > reader.rest().len() {
        return Err(StatusCode::BadDecodingError);
    }
    Ok(count)
}
