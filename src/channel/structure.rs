//! Structures as they are on the wire (Part 6 §5.2.6): with a mask of the
//! optional fields that are there, and never deeper than the decoder allows.

use std::io::Read;

use opcua::types::type_loader::ByteStringBody;
use opcua::types::{
    BinaryDecodable, BinaryEncodable, ByteString, Context, EUInformation, EncodingResult, Error,
    ExtensionObject, LocalizedText, NodeId, RelativePath, StatusCode, UAString, Variant,
    VariantScalarTypeId,
};

use crate::channel::decode::raw_body;

/// Elements for which room is made before they are there.
const ROOM: usize = 64;
/// Bytes of one structure at most: what they become in memory may be a hundred times as much.
const BODY_MAX: usize = 1 << 20;

/// What can be a field of a structure.
pub trait Wire: Sized + Default {
    /// Whether it may be absent.
    const OPTIONAL: bool = false;

    /// Whether it is there.
    fn is_there(&self) -> bool {
        true
    }

    /// Appends it, if it is there.
    fn write(&self, out: &mut Vec<u8>, context: &Context<'_>) -> EncodingResult<()>;
    /// Reads it.
    fn read(stream: &mut &[u8], context: &Context<'_>) -> EncodingResult<Self>;
}

/// A structure that is sent in an extension object.
pub trait Structure: Wire {
    /// Id of its binary encoding.
    const ENCODING: u32;

    /// The structure in an extension object; `namespace` is that of its specification.
    fn object(&self, namespace: u16, context: &Context<'_>) -> EncodingResult<ExtensionObject> {
        let mut body = Vec::new();
        self.write(&mut body, context)?;
        let id = NodeId::new(namespace, Self::ENCODING);
        Ok(ExtensionObject::new(ByteStringBody::new(ByteString::from(body), id)))
    }

    /// The structure of an extension object that came from a client, or what is wrong with it.
    fn of_object(
        object: &ExtensionObject,
        namespace: u16,
        context: &Context<'_>,
    ) -> Result<Self, StatusCode> {
        let (id, body) = raw_body(object).ok_or(StatusCode::BadTypeMismatch)?;
        if id != NodeId::new(namespace, Self::ENCODING) {
            return Err(StatusCode::BadTypeMismatch);
        }
        if body.len() > BODY_MAX {
            return Err(StatusCode::BadEncodingLimitsExceeded);
        }
        let mut stream = body;
        let read = Self::read(&mut stream, context).map_err(|error| error.status())?;
        if stream.is_empty() { Ok(read) } else { Err(StatusCode::BadDecodingError) }
    }
}

/// An array of structures as a value.
pub fn array<T: Structure>(
    items: &[T],
    namespace: u16,
    context: &Context<'_>,
) -> EncodingResult<Variant> {
    let objects: EncodingResult<Vec<_>> =
        items.iter().map(|item| Ok(Variant::from(item.object(namespace, context)?))).collect();
    Ok(Variant::from((VariantScalarTypeId::ExtensionObject, objects?)))
}

macro_rules! standard {
    ($($kind:ty),+ $(,)?) => {$(
        impl Wire for $kind {
            fn write(&self, out: &mut Vec<u8>, context: &Context<'_>) -> EncodingResult<()> {
                self.encode(out, context)
            }

            fn read(stream: &mut &[u8], context: &Context<'_>) -> EncodingResult<Self> {
                <$kind>::decode(stream, context)
            }
        }
    )+};
}

standard!(
    bool,
    i16,
    i32,
    i64,
    u64,
    u32,
    f64,
    UAString,
    opcua::types::DateTime,
    LocalizedText,
    Variant,
    EUInformation,
    RelativePath
);

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, out: &mut Vec<u8>, context: &Context<'_>) -> EncodingResult<()> {
        let length = i32::try_from(self.len())
            .map_err(|_| Error::encoding("an array is longer than can be sent"))?;
        out.extend(length.to_le_bytes());
        self.iter().try_for_each(|item| item.write(out, context))
    }

    fn read(stream: &mut &[u8], context: &Context<'_>) -> EncodingResult<Self> {
        let length = i32::from_le_bytes(bytes(stream)?);
        // A null array has no elements either.
        let length = usize::try_from(length).unwrap_or(0);
        if length > stream.len() {
            return Err(Error::decoding("an array is longer than its message"));
        }
        let mut items = Vec::with_capacity(length.min(ROOM));
        for _ in 0..length {
            items.push(T::read(stream, context)?);
        }
        Ok(items)
    }
}

impl<T: Wire> Wire for Option<T> {
    const OPTIONAL: bool = true;

    fn is_there(&self) -> bool {
        self.is_some()
    }

    fn write(&self, out: &mut Vec<u8>, context: &Context<'_>) -> EncodingResult<()> {
        self.as_ref().map_or(Ok(()), |there| there.write(out, context))
    }

    fn read(stream: &mut &[u8], context: &Context<'_>) -> EncodingResult<Self> {
        T::read(stream, context).map(Some)
    }
}

/// Some bytes of a stream.
pub fn bytes<const N: usize>(stream: &mut &[u8]) -> EncodingResult<[u8; N]> {
    let mut read = [0; N];
    stream.read_exact(&mut read).map_err(Error::decoding)?;
    Ok(read)
}

/// Makes a structure of its fields in order; those of an `Option` are optional in the mask.
macro_rules! structure {
    (
        $(#[$doc:meta])*
        $name:ident = $encoding:literal {
            $($(#[$text:meta])* $field:ident: $kind:ty),+ $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Debug, Default)]
        pub struct $name {
            $($(#[$text])* pub $field: $kind),+
        }

        impl $crate::channel::structure::Wire for $name {
            fn write(
                &self,
                out: &mut Vec<u8>,
                context: &opcua::types::Context<'_>,
            ) -> opcua::types::EncodingResult<()> {
                use $crate::channel::structure::Wire;
                let fields = [$((<$kind as Wire>::OPTIONAL, self.$field.is_there())),+];
                let optional = || fields.iter().filter(|(is_optional, _)| *is_optional);
                if optional().next().is_some() {
                    let bit = |(bit, (_, is_there)): (u32, &(bool, bool))| {
                        u32::from(*is_there) << bit
                    };
                    let mask: u32 = (0..).zip(optional()).map(bit).sum();
                    out.extend(mask.to_le_bytes());
                }
                $(self.$field.write(out, context)?;)+
                Ok(())
            }

            fn read(
                stream: &mut &[u8],
                context: &opcua::types::Context<'_>,
            ) -> opcua::types::EncodingResult<Self> {
                use $crate::channel::structure::{Wire, bytes};
                // Structures nest: parameters have parameters.
                let _depth = context.options().depth_lock()?;
                let is_masked = [$(<$kind as Wire>::OPTIONAL),+].contains(&true);
                let mut mask = if is_masked { u32::from_le_bytes(bytes(stream)?) } else { 0 };
                let mut is_there = |is_optional: bool| {
                    let bit = mask & 1 == 1;
                    mask >>= u32::from(is_optional);
                    !is_optional || bit
                };
                Ok($name {
                    $($field: if is_there(<$kind as Wire>::OPTIONAL) {
                        <$kind as Wire>::read(stream, context)?
                    } else {
                        <$kind>::default()
                    }),+
                })
            }
        }

        impl $crate::channel::structure::Structure for $name {
            const ENCODING: u32 = $encoding;
        }
    };
}
pub(crate) use structure;
