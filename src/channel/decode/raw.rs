//! Bodies of extension objects as they came: nothing is decoded because a stranger says what it is.

use std::io::Read;

use opcua::types::type_loader::ByteStringBody;
use opcua::types::xml::XmlStreamReader;
use opcua::types::{
    ByteString, Context, ContextOwned, DecodingOptions, DynEncodable, EncodingResult, Error,
    NamespaceMap, NodeId, StatusCode, TypeLoader, TypeLoaderCollection, TypeLoaderPriority,
};

/// Bytes for which room is made before they are there.
const ROOM: usize = 4096;

/// Keeps every body. The stack's own loader of this kind makes room for as many bytes as a peer says
/// that there are, which may be two billion in a message of sixty.
struct RawBodies;

impl TypeLoader for RawBodies {
    fn load_from_xml(
        &self,
        _: &NodeId,
        _: &mut XmlStreamReader<&mut dyn Read>,
        _: &Context<'_>,
        _: &str,
    ) -> Option<EncodingResult<Box<dyn DynEncodable>>> {
        None
    }

    fn load_from_binary(
        &self,
        id: &NodeId,
        stream: &mut dyn Read,
        _: &Context<'_>,
        length: Option<usize>,
    ) -> Option<EncodingResult<Box<dyn DynEncodable>>> {
        let length = length?;
        let mut raw = Vec::with_capacity(length.min(ROOM));
        let read = stream.take(length as u64).read_to_end(&mut raw);
        if read.is_err() || raw.len() < length {
            let text = "an extension object is longer than its message";
            return Some(Err(Error::new(StatusCode::BadDecodingError, text)));
        }
        Some(Ok(Box::new(ByteStringBody::new(ByteString::from(raw), id.clone()))))
    }

    fn priority(&self) -> TypeLoaderPriority {
        TypeLoaderPriority::Fallback
    }
}

/// A context that keeps bodies as they are.
pub fn raw_context(namespaces: NamespaceMap, options: DecodingOptions) -> ContextOwned {
    let mut loaders = TypeLoaderCollection::new_empty();
    loaders.add_type_loader(RawBodies);
    ContextOwned::new(namespaces, loaders, options)
}

#[cfg(test)]
mod tests {
    use opcua::types::ExtensionObject;

    use super::super::{Reader, raw_body};
    use super::*;

    #[test]
    fn a_body_is_kept_and_a_length_is_not_believed() {
        let owned = raw_context(NamespaceMap::new(), DecodingOptions::default());
        let context = owned.context();
        // Node id i=324, a body of three bytes.
        let bytes = [1, 0, 0x44, 1, 1, 3, 0, 0, 0, 7, 8, 9];
        let object: ExtensionObject = Reader::new(&bytes, &context).plain().unwrap();
        let (id, body) = raw_body(&object).unwrap();
        assert_eq!((id, body), (NodeId::new(0, 324), &[7, 8, 9][..]));
        let bytes = [1, 0, 0x44, 1, 1, 0xff, 0xff, 0xff, 0x7f, 7, 8, 9];
        let refused = Reader::new(&bytes, &context).plain::<ExtensionObject>();
        assert_eq!(refused.unwrap_err(), StatusCode::BadDecodingError);
    }
}
