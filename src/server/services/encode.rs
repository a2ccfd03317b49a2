//! Answers that carry many values, as bytes: reads, and notification messages (Part 4 §7.26), which
//! are encoded once, from what the queues share, and kept so for Republish.

use bytes::{BufMut as _, Bytes};
use opcua::types::{
    BinaryEncodable as _, Context, DataValue, DateTime, DiagnosticInfo, ResponseHeader, StatusCode,
    TimestampsToReturn,
};

use super::queue::Entry;
use super::subscription::Notification;
use crate::channel::time::ticks;

/// Encodings of the parts of a message.
const DATA_CHANGE: u16 = 811;
const EVENT_LIST: u16 = 916;
const STATUS_CHANGE: u16 = 820;
/// Encodings of responses.
const READ_RESPONSE: u16 = 634;
const PUBLISH_RESPONSE: u16 = 829;
const REPUBLISH_RESPONSE: u16 = 835;

/// The end of the year 9999, in ticks since 1601.
const LATEST: i64 = 2_650_467_743_990_000_000;

/// Bits of a data value's mask.
const VALUE: u8 = 0x01;
const STATUS: u8 = 0x02;
const SOURCE_TIME: u8 = 0x04;
const SERVER_TIME: u8 = 0x08;

fn put_id(out: &mut Vec<u8>, id: u16) {
    // The four byte form of a node id in namespace 0.
    out.put_slice(&[1, 0]);
    out.put_u16_le(id);
}

/// A part of a message: an extension object whose length is known at its end.
fn put_part(
    out: &mut Vec<u8>,
    id: u16,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), StatusCode>,
) -> Result<(), StatusCode> {
    put_id(out, id);
    out.put_u8(1);
    let length_at = out.len();
    out.put_u32_le(0);
    write(out)?;
    let length = u32::try_from(out.len() - length_at - 4);
    let length = length.map_err(|_| StatusCode::BadEncodingLimitsExceeded)?;
    out[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Writes a time (Part 6 §5.2.2.5): what cannot be told is the earliest or latest one.
fn put_time(out: &mut Vec<u8>, time: DateTime) {
    let ticks = ticks(&time);
    out.put_i64_le(match ticks {
        ..=0 => 0,
        LATEST.. => i64::MAX,
        _ => ticks,
    });
}

/// Writes a data value with the timestamps that are wanted and nothing else left out or added.
pub fn put_data_value(
    out: &mut Vec<u8>,
    value: &DataValue,
    status: Option<StatusCode>,
    wanted: TimestampsToReturn,
    context: &Context<'_>,
) -> Result<(), StatusCode> {
    use TimestampsToReturn::{Both, Server, Source};
    let source = value.source_timestamp.filter(|_| matches!(wanted, Source | Both));
    let server = value.server_timestamp.filter(|_| matches!(wanted, Server | Both));
    // Good is what is meant when nothing is said.
    let status = status.filter(|status| *status != StatusCode::Good);
    let mut mask = 0;
    for (is_there, bit) in [
        (value.value.is_some(), VALUE),
        (status.is_some(), STATUS),
        (source.is_some(), SOURCE_TIME),
        (server.is_some(), SERVER_TIME),
    ] {
        mask |= if is_there { bit } else { 0 };
    }
    out.put_u8(mask);
    if let Some(value) = &value.value {
        value.encode(out, context)?;
    }
    if let Some(status) = status {
        out.put_u32_le(status.bits());
    }
    for time in [source, server].into_iter().flatten() {
        put_time(out, time);
    }
    Ok(())
}

/// A message with notifications, or a keep-alive without.
pub fn message(
    sequence: u32,
    at: DateTime,
    notifications: &[Notification],
    context: &Context<'_>,
) -> Result<Bytes, StatusCode> {
    let mut out = Vec::with_capacity(64 + notifications.len() * 48);
    out.put_u32_le(sequence);
    at.encode(&mut out, context)?;
    let is_event = |one: &&Notification| matches!(one.entry, Entry::Event(_));
    let events = notifications.iter().filter(is_event).count();
    let values = notifications.len() - events;
    let parts = usize::from(values > 0) + usize::from(events > 0);
    out.put_u32_le(count(parts));
    if values > 0 {
        put_part(&mut out, DATA_CHANGE, |out| {
            out.put_u32_le(count(values));
            for one in notifications {
                if let Entry::Value(value, lost) = &one.entry {
                    out.put_u32_le(one.client_handle);
                    let status = Entry::status(value, *lost);
                    put_data_value(out, value, status, one.timestamps, context)?;
                }
            }
            out.put_i32_le(-1);
            Ok(())
        })?;
    }
    if events > 0 {
        put_part(&mut out, EVENT_LIST, |out| {
            out.put_u32_le(count(events));
            for one in notifications {
                if let Entry::Event(fields) = &one.entry {
                    out.put_u32_le(one.client_handle);
                    out.put_u32_le(count(fields.len()));
                    for field in fields.iter() {
                        field.encode(out, context)?;
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(Bytes::from(out))
}

/// A message that says what has become of a subscription.
pub fn status_change(
    sequence: u32,
    at: DateTime,
    status: StatusCode,
    context: &Context<'_>,
) -> Result<Bytes, StatusCode> {
    let mut out = Vec::new();
    out.put_u32_le(sequence);
    at.encode(&mut out, context)?;
    out.put_u32_le(1);
    put_part(&mut out, STATUS_CHANGE, |out| {
        out.put_u32_le(status.bits());
        Ok(DiagnosticInfo::null().encode(out, context)?)
    })?;
    Ok(Bytes::from(out))
}

/// What goes around a message in a publish response.
pub struct Envelope {
    /// Header of the response.
    pub header: ResponseHeader,
    /// The subscription.
    pub subscription: u32,
    /// Messages that can be asked for again.
    pub available: Vec<u32>,
    /// Whether more waits.
    pub more: bool,
    /// Results of the acknowledgements in the request.
    pub results: Vec<StatusCode>,
}

/// A publish response with a message.
pub fn publish_response(
    envelope: &Envelope,
    message: &[u8],
    context: &Context<'_>,
) -> Result<Bytes, StatusCode> {
    let mut out = Vec::with_capacity(message.len() + 128);
    put_id(&mut out, PUBLISH_RESPONSE);
    envelope.header.encode(&mut out, context)?;
    out.put_u32_le(envelope.subscription);
    out.put_u32_le(count(envelope.available.len()));
    envelope.available.iter().for_each(|sequence| out.put_u32_le(*sequence));
    out.put_u8(u8::from(envelope.more));
    out.put_slice(message);
    out.put_u32_le(count(envelope.results.len()));
    envelope.results.iter().for_each(|status| out.put_u32_le(status.bits()));
    out.put_i32_le(-1);
    Ok(Bytes::from(out))
}

/// The results of a read, written as they are found.
pub struct ReadResults {
    wanted: TimestampsToReturn,
    statuses: Vec<StatusCode>,
    values: Vec<u8>,
}

impl ReadResults {
    /// Room for so many results.
    pub fn new(wanted: TimestampsToReturn, count: usize) -> ReadResults {
        let (statuses, values) = (Vec::with_capacity(count), Vec::with_capacity(count * 32));
        ReadResults { wanted, statuses, values }
    }

    /// Adds the next one.
    pub fn add(&mut self, value: &DataValue, context: &Context<'_>) -> Result<(), StatusCode> {
        self.statuses.push(value.status.unwrap_or(StatusCode::Good));
        put_data_value(&mut self.values, value, value.status, self.wanted, context)
    }

    /// The statuses of all.
    pub fn statuses(&self) -> &[StatusCode] {
        &self.statuses
    }

    /// The response.
    pub fn finish(
        self,
        header: &ResponseHeader,
        diagnostics: &Option<Vec<DiagnosticInfo>>,
        context: &Context<'_>,
    ) -> Result<Bytes, StatusCode> {
        let mut out = Vec::with_capacity(128 + self.values.len());
        put_id(&mut out, READ_RESPONSE);
        header.encode(&mut out, context)?;
        out.put_u32_le(count(self.statuses.len()));
        out.put_slice(&self.values);
        diagnostics.encode(&mut out, context)?;
        Ok(Bytes::from(out))
    }
}

/// A republish response with a message.
pub fn republish_response(
    header: &ResponseHeader,
    message: &[u8],
    context: &Context<'_>,
) -> Result<Bytes, StatusCode> {
    let mut out = Vec::with_capacity(message.len() + 64);
    put_id(&mut out, REPUBLISH_RESPONSE);
    header.encode(&mut out, context)?;
    out.put_slice(message);
    Ok(Bytes::from(out))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Arc;

    use opcua::types::{
        BinaryDecodable as _, ContextOwned, DataChangeNotification, EventNotificationList, NodeId,
        PublishResponse, StatusChangeNotification, Variant,
    };

    use super::*;

    fn type_id(bytes: &[u8]) -> NodeId {
        NodeId::new(0, u32::from(u16::from_le_bytes([bytes[2], bytes[3]])))
    }

    fn envelope() -> Envelope {
        Envelope {
            header: ResponseHeader::null(),
            subscription: 7,
            available: vec![3, 4],
            more: true,
            results: vec![StatusCode::Good, StatusCode::BadSequenceNumberUnknown],
        }
    }

    fn decoded(message: &[u8]) -> PublishResponse {
        let context = ContextOwned::default();
        let bytes = publish_response(&envelope(), message, &context.context()).unwrap();
        assert_eq!(type_id(&bytes), NodeId::new(0, u32::from(PUBLISH_RESPONSE)));
        let mut cursor = Cursor::new(&bytes[4..]);
        let response = PublishResponse::decode(&mut cursor, &context.context()).unwrap();
        assert_eq!(cursor.position() as usize, bytes.len() - 4);
        response
    }

    #[test]
    fn the_decoder_reads_what_is_written_by_hand() {
        let context = ContextOwned::default();
        let value = Arc::new(DataValue {
            value: Some(Variant::from("text")),
            status: Some(StatusCode::UncertainInitialValue),
            source_timestamp: Some(DateTime::from(1000)),
            server_timestamp: Some(DateTime::from(2000)),
            ..DataValue::default()
        });
        let one =
            |client_handle, timestamps, entry| Notification { client_handle, timestamps, entry };
        let notifications = [
            one(1, TimestampsToReturn::Both, Entry::Value(value.clone(), false)),
            one(2, TimestampsToReturn::Source, Entry::Value(value.clone(), true)),
            one(
                3,
                TimestampsToReturn::Neither,
                Entry::Event(Box::new(vec![Variant::Empty, 5_i32.into()])),
            ),
        ];
        let at = DateTime::from(5000);
        let bytes = message(9, at, &notifications, &context.context()).unwrap();
        let response = decoded(&bytes);
        assert_eq!((response.subscription_id, response.more_notifications), (7, true));
        assert_eq!(response.available_sequence_numbers, Some(vec![3, 4]));
        assert_eq!(response.results.unwrap().len(), 2);
        let message = response.notification_message;
        assert_eq!((message.sequence_number, message.publish_time), (9, at));
        let parts = message.notification_data.unwrap();
        let changes = parts[0].inner_as::<DataChangeNotification>().unwrap();
        let items = changes.monitored_items.clone().unwrap();
        assert_eq!(items[0].value, *value);
        assert_eq!(items[1].client_handle, 2);
        assert_eq!(items[1].value.server_timestamp, None);
        assert_eq!(items[1].value.source_timestamp, value.source_timestamp);
        assert!(items[1].value.status.unwrap().overflow());
        let events = parts[1].inner_as::<EventNotificationList>().unwrap().events.clone().unwrap();
        let fields = vec![Variant::Empty, 5_i32.into()];
        assert_eq!((events[0].client_handle, events[0].event_fields.clone()), (3, Some(fields)));
    }

    #[test]
    fn keep_alives_are_empty_and_status_changes_say_what_happened() {
        let context = ContextOwned::default();
        let at = DateTime::from(5000);
        let bytes = message(4, at, &[], &context.context()).unwrap();
        assert_eq!(decoded(&bytes).notification_message.notification_data, None.or(Some(vec![])));
        let bytes = status_change(5, at, StatusCode::BadTimeout, &context.context()).unwrap();
        let parts = decoded(&bytes).notification_message.notification_data.unwrap();
        let change = parts[0].inner_as::<StatusChangeNotification>().unwrap();
        assert_eq!(change.status, StatusCode::BadTimeout);
    }
}
