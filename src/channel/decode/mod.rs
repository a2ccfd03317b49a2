//! Reading what peers send: every length is checked against what is there, and nothing that can
//! nest is decoded before it has been walked over.

mod raw;
pub mod walk;

pub use raw::raw_context;

use std::io::Cursor;

use opcua::types::{
    BinaryDecodable, Context, DataValue, DecodingOptions, DepthGauge, DiagnosticInfo,
    ExtensionObject, NodeId, RequestHeader, ResponseHeader, StatusCode, UAString, Variant,
};

use self::walk::Walk;

const MALFORMED: StatusCode = StatusCode::BadDecodingError;
/// Elements for which room is made before they are read.
const ROOM_MAX: usize = 10_000;

/// Longest text and byte string that is decoded, in bytes.
const STRING_MAX: usize = 4 << 20;

/// Decoding limits for peers that have proved themselves; lengths are checked against what is there.
pub fn decoding() -> DecodingOptions {
    DecodingOptions {
        max_string_length: STRING_MAX,
        max_byte_string_length: STRING_MAX,
        max_array_length: walk::ARRAY_MAX,
        // The walk before decoding has the last word on nesting.
        decoding_depth_gauge: DepthGauge::new(walk::DEPTH_MAX as u64),
        ..DecodingOptions::default()
    }
}

/// Reads one message.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    cost: usize,
    context: &'a Context<'a>,
}

impl<'a> Reader<'a> {
    /// A reader at the start of some bytes.
    pub fn new(bytes: &'a [u8], context: &'a Context<'a>) -> Reader<'a> {
        Reader { bytes, at: 0, cost: 0, context }
    }

    /// Decodes a type that has nothing in it that could nest.
    pub fn plain<T: BinaryDecodable>(&mut self) -> Result<T, StatusCode> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let mut cursor = Cursor::new(rest);
        let value = T::decode(&mut cursor, self.context).map_err(|error| limits(error.status()))?;
        self.at += usize::try_from(cursor.position()).unwrap_or(rest.len());
        Ok(value)
    }

    fn walked<T: BinaryDecodable>(
        &mut self,
        walk: fn(&mut Walk<'a>) -> Result<(), StatusCode>,
    ) -> Result<T, StatusCode> {
        let mut over = Walk::new(self.bytes, self.at, self.cost);
        walk(&mut over)?;
        self.cost = over.cost();
        self.plain()
    }

    /// A variant.
    pub fn variant(&mut self) -> Result<Variant, StatusCode> {
        self.walked(Walk::variant)
    }

    /// A data value.
    pub fn data_value(&mut self) -> Result<DataValue, StatusCode> {
        self.walked(Walk::data_value)
    }

    /// An extension object, with its body as it is.
    pub fn extension_object(&mut self) -> Result<ExtensionObject, StatusCode> {
        self.walked(Walk::extension_object)
    }

    /// What a peer tells for those who look for faults in it.
    pub fn diagnostic_info(&mut self) -> Result<DiagnosticInfo, StatusCode> {
        self.walked(Walk::diagnostic_info)
    }

    /// A text; null is empty.
    pub fn text(&mut self) -> Result<String, StatusCode> {
        let text: UAString = self.plain()?;
        Ok(text.as_ref().to_owned())
    }

    /// An array; null is empty.
    pub fn array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, StatusCode>,
    ) -> Result<Vec<T>, StatusCode> {
        let count = match self.plain::<i32>()? {
            -1 => 0,
            count => usize::try_from(count).map_err(|_| MALFORMED)?,
        };
        if count > walk::ARRAY_MAX {
            return Err(StatusCode::BadEncodingLimitsExceeded);
        }
        if count > self.bytes.len().saturating_sub(self.at) {
            return Err(MALFORMED);
        }
        let mut elements = Vec::with_capacity(count.min(ROOM_MAX));
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// The header of a request.
    pub fn header(&mut self) -> Result<RequestHeader, StatusCode> {
        self.walked(Walk::request_header)
    }

    /// The header of a response.
    pub fn response_header(&mut self) -> Result<ResponseHeader, StatusCode> {
        self.walked(Walk::response_header)
    }

    /// The type id in front of a message.
    pub fn type_id(&mut self) -> Result<NodeId, StatusCode> {
        self.plain()
    }

    /// A reader over the body of an extension object that was read here; its cost counts on.
    pub fn inside<'b>(&self, body: &'b [u8]) -> Reader<'b>
    where
        'a: 'b,
    {
        Reader { bytes: body, at: 0, cost: self.cost, context: self.context }
    }

    /// Takes over what reading inside has cost.
    pub fn spend(&mut self, inner: &Reader<'_>) {
        self.cost = inner.cost;
    }

    /// Everything has been read: a message has nothing behind its end.
    pub fn finish(&self) -> Result<(), StatusCode> {
        if self.rest().is_empty() { Ok(()) } else { Err(MALFORMED) }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

/// The decoder's own words for limits, as Part 4 has them.
fn limits(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::BadEncodingLimitsExceeded => status,
        _ => MALFORMED,
    }
}

/// The body of an extension object as it came, when its type has one of these encodings.
pub fn raw_body(object: &ExtensionObject) -> Option<(NodeId, &[u8])> {
    let raw = object.inner_as::<opcua::types::type_loader::ByteStringBody>()?;
    Some((raw.encoding_id().clone(), raw.raw_body().as_ref()))
}
