//! Messages to bytes and back, for what the wire itself says: HELLO, errors, opening a channel.

use std::io::Cursor;

use bytes::{BufMut as _, BytesMut};
use opcua::core::comms::tcp_types::HelloMessage;
use opcua::core::{Message as _, ResponseMessage};
use opcua::types::{
    BinaryEncodable as _, Context, DecodingOptions, ObjectId, OpenSecureChannelRequest,
    SimpleBinaryDecodable, StatusCode,
};

use crate::channel::decode::Reader;

/// Longest text of an error.
const REASON_MAX: usize = 200;
/// Longest text or array of what arrives before a channel is open.
const EARLY_MAX: usize = 4096;

/// Limits for what arrives before a channel is open.
pub fn early_options() -> DecodingOptions {
    DecodingOptions {
        max_string_length: EARLY_MAX,
        max_byte_string_length: EARLY_MAX,
        max_array_length: 16,
        ..DecodingOptions::default()
    }
}

/// Type id and message.
pub fn encode_message(
    message: &ResponseMessage,
    context: &Context<'_>,
    out: &mut Vec<u8>,
) -> Result<(), StatusCode> {
    out.clear();
    message.type_id().encode(out, context)?;
    message.encode(out, context)?;
    Ok(())
}

/// Reads a HELLO.
pub fn read_hello(bytes: &[u8]) -> Result<HelloMessage, StatusCode> {
    let hello = SimpleBinaryDecodable::decode(&mut Cursor::new(bytes), &early_options());
    hello.map_err(|_| StatusCode::BadDecodingError)
}

/// The first four numbers that the wire says about itself in an ACKNOWLEDGE.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledge {
    /// Largest chunk that we take.
    pub receive_max: u32,
    /// Largest chunk that we send.
    pub send_max: u32,
    /// Largest message that we take.
    pub message_max: u32,
    /// Most chunks of a message that we take.
    pub chunks_max: u32,
}

impl Acknowledge {
    /// Writes the message.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_slice(b"ACKF");
        out.put_u32_le(28);
        out.put_u32_le(0);
        out.put_u32_le(self.receive_max);
        out.put_u32_le(self.send_max);
        out.put_u32_le(self.message_max);
        out.put_u32_le(self.chunks_max);
    }
}

/// Writes an error, after which the connection ends (Part 6 §7.1.2.5).
pub fn write_error(status: StatusCode, reason: &str, out: &mut BytesMut) {
    let reason = reason.get(..REASON_MAX).unwrap_or(reason).as_bytes();
    let reason = &reason[..reason.len().min(REASON_MAX)];
    out.put_slice(b"ERRF");
    let length = u32::try_from(reason.len()).unwrap_or(0);
    out.put_u32_le(16 + length);
    out.put_u32_le(status.bits());
    out.put_u32_le(length);
    out.put_slice(reason);
}

/// Reads the request inside an opening chunk. An additional header has no meaning here; it is
/// ignored (Part 4 §7.33), which means that its body is never decoded.
pub fn read_open_request(
    message: &[u8],
    context: &Context<'_>,
) -> Result<OpenSecureChannelRequest, StatusCode> {
    let mut reader = Reader::new(message, context);
    if reader.type_id()? != ObjectId::OpenSecureChannelRequest_Encoding_DefaultBinary {
        return Err(StatusCode::BadServiceUnsupported);
    }
    let request = reader.plain()?;
    reader.finish()?;
    Ok(request)
}
