//! Reading, writing, history and methods (Part 4 §5.11 and §5.12), as many requests as the machine
//! needs.

use std::time::Duration;

use opcua::types::{
    ByteString, CallMethodRequest, CallRequest, DataValue, DateTime, ExtensionObject,
    HistoryReadRequest, HistoryReadValueId, NodeId, NumericRange, ObjectId, QualifiedName,
    ReadRawModifiedDetails, ReadRequest, ReadValueId, StatusCode, TimestampsToReturn, Variant,
    WriteRequest, WriteValue,
};

use super::answer::{results, sent, unreadable};
use super::failure::Failure;
use super::session::{PATIENCE, Session};
use crate::channel::decode::{Reader, raw_body};

/// What a method gives back.
#[derive(Clone, Debug)]
pub struct Called {
    /// How the call went.
    pub status: StatusCode,
    /// What is wrong with arguments, one by one; empty if nothing is.
    pub arguments: Vec<StatusCode>,
    /// What it gives.
    pub outputs: Vec<Variant>,
}

/// A page of history.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// How it went.
    pub status: StatusCode,
    /// Where the next page begins; `None` if there is none.
    pub next: Option<ByteString>,
    /// Values in the order of their times.
    pub values: Vec<DataValue>,
}

impl Session {
    /// Reads attributes; what is too large even alone has a status that says so.
    pub async fn read(
        &self,
        nodes: &[ReadValueId],
        timestamps: TimestampsToReturn,
    ) -> Result<Vec<DataValue>, Failure> {
        let mut values = Vec::with_capacity(nodes.len());
        let mut parts: Vec<&[ReadValueId]> = nodes.chunks(self.limits().read).rev().collect();
        while let Some(part) = parts.pop() {
            match self.read_part(part, timestamps).await {
                Ok((read, _)) => values.extend(read),
                // Whoever says too much at once is asked for less.
                Err(failure) if failure.is_too_much() || failure.is_too_many() => {
                    match part.len() {
                        0 | 1 => values.push(DataValue {
                            status: Some(failure.status),
                            ..DataValue::default()
                        }),
                        length => {
                            if failure.is_too_many() {
                                self.learn(|limits| {
                                    limits.read = limits.read.min(length.div_ceil(2))
                                });
                            }
                            let (first, second) = part.split_at(length / 2);
                            parts.extend([second, first]);
                        }
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(values)
    }

    /// Reads a few attributes, and when the machine says that it has answered.
    pub async fn read_with_time(
        &self,
        nodes: &[ReadValueId],
    ) -> Result<(Vec<DataValue>, Option<DateTime>), Failure> {
        self.read_part(nodes, TimestampsToReturn::Neither).await
    }

    async fn read_part(
        &self,
        part: &[ReadValueId],
        timestamps: TimestampsToReturn,
    ) -> Result<(Vec<DataValue>, Option<DateTime>), Failure> {
        let request = ReadRequest {
            request_header: self.header(PATIENCE),
            max_age: 0.0,
            timestamps_to_return: timestamps,
            nodes_to_read: Some(part.to_vec()),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::ReadResponse_Encoding_DefaultBinary;
        let values = results(&answer, &context, expected, part.len(), Reader::data_value)?;
        Ok((values, sent(&answer, &context)))
    }

    /// Writes attributes.
    pub async fn write(&self, values: &[WriteValue]) -> Result<Vec<StatusCode>, Failure> {
        let ask = |part| self.write_part(part);
        self.in_parts(values, |limits| &mut limits.write, ask).await
    }

    async fn write_part(&self, part: &[WriteValue]) -> Result<Vec<StatusCode>, Failure> {
        let request = WriteRequest {
            request_header: self.header(PATIENCE),
            nodes_to_write: Some(part.to_vec()),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::WriteResponse_Encoding_DefaultBinary;
        results(&answer, &context, expected, part.len(), Reader::plain)
    }

    /// Calls a method, and waits for it not longer than this.
    pub async fn call(
        &self,
        object: NodeId,
        method: NodeId,
        inputs: Vec<Variant>,
        patience: Duration,
    ) -> Result<Called, Failure> {
        let call = CallMethodRequest {
            object_id: object,
            method_id: method,
            input_arguments: Some(inputs),
        };
        let request = CallRequest {
            request_header: self.header(patience),
            methods_to_call: Some(vec![call]),
        };
        let answer = self.ask(request, patience).await?;
        let context = self.context().context();
        let expected = ObjectId::CallResponse_Encoding_DefaultBinary;
        let mut called = results(&answer, &context, expected, 1, called)?;
        called.pop().ok_or_else(|| unreadable(StatusCode::BadUnknownResponse))
    }

    /// Reads a page of the raw history of a node, from one time to another, both included where
    /// the machine has values there; with bounds, also the values next to them.
    pub async fn history(
        &self,
        node: &NodeId,
        (from, to): (DateTime, DateTime),
        (page, bounds): (u32, bool),
        next: Option<ByteString>,
    ) -> Result<HistoryPage, Failure> {
        let details = ReadRawModifiedDetails {
            is_read_modified: false,
            start_time: from,
            end_time: to,
            num_values_per_node: page,
            return_bounds: bounds,
        };
        let request = HistoryReadRequest {
            request_header: self.header(PATIENCE),
            history_read_details: ExtensionObject::from_message(details),
            timestamps_to_return: TimestampsToReturn::Both,
            release_continuation_points: false,
            nodes_to_read: Some(vec![HistoryReadValueId {
                node_id: node.clone(),
                index_range: NumericRange::None,
                data_encoding: QualifiedName::null(),
                continuation_point: next.unwrap_or_default(),
            }]),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::HistoryReadResponse_Encoding_DefaultBinary;
        let mut pages = results(&answer, &context, expected, 1, history_page)?;
        pages.pop().ok_or_else(|| unreadable(StatusCode::BadUnknownResponse))
    }
}

fn called(reader: &mut Reader<'_>) -> Result<Called, StatusCode> {
    let status = reader.plain()?;
    let arguments = reader.array(Reader::plain)?;
    reader.array(Reader::diagnostic_info)?;
    Ok(Called { status, arguments, outputs: reader.array(Reader::variant)? })
}

fn history_page(reader: &mut Reader<'_>) -> Result<HistoryPage, StatusCode> {
    let status = reader.plain()?;
    let next: ByteString = reader.plain()?;
    let next = (!next.is_null_or_empty()).then_some(next);
    let data = reader.extension_object()?;
    let Some((id, body)) = raw_body(&data) else {
        return Ok(HistoryPage { status, next, values: Vec::new() });
    };
    if id != ObjectId::HistoryData_Encoding_DefaultBinary {
        return Err(StatusCode::BadDecodingError);
    }
    let mut inside = reader.inside(body);
    let values = inside.array(Reader::data_value)?;
    reader.spend(&inside);
    Ok(HistoryPage { status, next, values })
}
