//! Requests to bytes, and the answers of machines to something that can be trusted to end: nothing
//! that can nest is decoded before it has been walked over.

use opcua::core::{Message as _, RequestMessage};
use opcua::types::{
    BinaryDecodable, BinaryEncodable as _, Context, DateTime, ObjectId, StatusCode,
};

use super::failure::Failure;
use crate::channel::decode::Reader;

/// Type id and request.
pub fn encode(request: &RequestMessage, context: &Context<'_>) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(256);
    let encoded = request.type_id().encode(&mut out, context);
    let encoded = encoded.and_then(|()| request.encode(&mut out, context));
    let refused = |status| Failure::malformed(status, "the request cannot be written");
    encoded.map_err(|error| refused(error.status()))?;
    Ok(out)
}

/// The answer cannot be read.
pub fn unreadable(status: StatusCode) -> Failure {
    Failure::malformed(status, "the machine's answer cannot be read")
}

/// Reads the start of an answer; what follows is the body of the expected type. A fault, or a bad
/// result of the service as a whole, is a refusal.
pub fn open<'a>(
    message: &'a [u8],
    context: &'a Context<'a>,
    expected: ObjectId,
) -> Result<Reader<'a>, Failure> {
    let mut reader = Reader::new(message, context);
    let id = reader.type_id().map_err(unreadable)?;
    let is_fault = id == ObjectId::ServiceFault_Encoding_DefaultBinary;
    if id != expected && !is_fault {
        return Err(Failure::malformed(
            StatusCode::BadUnknownResponse,
            format!("the machine answers with {id} instead of {expected:?}"),
        ));
    }
    let header = reader.response_header().map_err(unreadable)?;
    match header.service_result {
        status if status.is_bad() => Err(Failure::refused(status)),
        status if is_fault => {
            let text = format!("the machine answers with a fault that is none ({status})");
            Err(Failure::malformed(StatusCode::BadUnknownResponse, text))
        }
        _ => Ok(reader),
    }
}

/// When the machine says that it has sent an answer.
pub fn sent(message: &[u8], context: &Context<'_>) -> Option<DateTime> {
    let mut reader = Reader::new(message, context);
    reader.type_id().ok()?;
    let header = reader.response_header().ok()?;
    (!header.timestamp.is_null()).then_some(header.timestamp)
}

/// An answer in which only the header can nest.
pub fn whole<T: BinaryDecodable>(
    message: &[u8],
    context: &Context<'_>,
    expected: ObjectId,
) -> Result<T, Failure> {
    open(message, context, expected)?;
    let mut reader = Reader::new(message, context);
    reader.type_id().map_err(unreadable)?;
    reader.plain().map_err(unreadable)
}

/// An answer with a result for each operation; what the machine says beside them is not read.
pub fn results<'a, T>(
    message: &'a [u8],
    context: &'a Context<'a>,
    expected: ObjectId,
    count: usize,
    result: impl FnMut(&mut Reader<'a>) -> Result<T, StatusCode>,
) -> Result<Vec<T>, Failure> {
    let mut reader = open(message, context, expected)?;
    let results = reader.array(result).map_err(unreadable)?;
    if results.len() != count {
        let text = format!("the machine gives {} results for {count} operations", results.len());
        return Err(Failure::malformed(StatusCode::BadUnknownResponse, text));
    }
    Ok(results)
}
