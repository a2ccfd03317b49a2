//! HistoryRead and HistoryUpdate (Part 4 §5.11.3, Part 11 §6): raw values and events in pages,
//! values at given instants; what is not kept
//! or must not be changed is said so, one by one.

use opcua::types::{
    ByteString, DataValue, ExtensionObject, HistoryData, HistoryReadResponse, HistoryReadResult,
    HistoryUpdateRequest, HistoryUpdateResponse, HistoryUpdateResult, NodeClass, NumericRange,
    ReadAtTimeDetails, ReadRawModifiedDetails, StatusCode, TimestampsToReturn,
};

use super::Services;
use super::attribute::{check_access, check_count, check_encoding, with_timestamps};
use super::dispatch::Asked;
use super::event_history::EventDetails;
use super::request::{HistoryItem, HistoryRead};
use super::respond::header;
use super::session::{HistoryPlace, HistoryPoint};
use crate::channel::decode::{Reader, raw_body};
use crate::channel::time::timestamp;
use crate::server::space::{AtTimeRequest, HISTORY_READ, INSTANTS_MAX, RawHistoryRequest};
use crate::server::wire::Reply;

/// Encodings of details.
mod encoding {
    pub const EVENT: u32 = 646;
    pub const RAW_MODIFIED: u32 = 649;
    pub const PROCESSED: u32 = 652;
    pub const AT_TIME: u32 = 655;
}

/// What a history read is about.
enum Details {
    Raw(ReadRawModifiedDetails),
    AtTime(ReadAtTimeDetails),
    Events(Box<EventDetails>),
    /// A kind of read that is not served.
    NotServed,
}

fn bad(status_code: StatusCode) -> HistoryReadResult {
    HistoryReadResult {
        status_code,
        continuation_point: ByteString::null(),
        history_data: ExtensionObject::null(),
    }
}

impl Services {
    fn read_details(&self, object: &ExtensionObject) -> Result<Details, StatusCode> {
        const INVALID: StatusCode = StatusCode::BadHistoryOperationInvalid;
        let (id, body) = raw_body(object).ok_or(INVALID)?;
        match id.as_u32().filter(|_| id.namespace == 0) {
            Some(encoding::RAW_MODIFIED) => {
                let context = self.context.context();
                let details: ReadRawModifiedDetails = Reader::new(body, &context).plain()?;
                if details.is_read_modified {
                    return Ok(Details::NotServed);
                }
                Ok(Details::Raw(details))
            }
            Some(encoding::EVENT) => {
                let context = self.context.context();
                let details = self.event_details(&mut Reader::new(body, &context))?;
                Ok(Details::Events(Box::new(details)))
            }
            Some(encoding::AT_TIME) => {
                let context = self.context.context();
                let details: ReadAtTimeDetails = Reader::new(body, &context).plain()?;
                let count = details.req_times.as_ref().map_or(0, Vec::len);
                check_count(count, INSTANTS_MAX)?;
                Ok(Details::AtTime(details))
            }
            Some(encoding::PROCESSED) => Ok(Details::NotServed),
            _ => Err(INVALID),
        }
    }

    pub(super) async fn history_read(
        &self,
        asked: &Asked,
        request: HistoryRead,
    ) -> Result<Reply, StatusCode> {
        check_count(request.items.len(), self.limits.operations.history_read)?;
        let wanted = request.timestamps.ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
        if wanted == TimestampsToReturn::Neither {
            return Err(StatusCode::BadTimestampsToReturnInvalid);
        }
        let details = self.read_details(&request.details)?;
        let mut results = Vec::with_capacity(request.items.len());
        for item in &request.items {
            results.push(match (&details, request.release) {
                (_, true) => self.release(asked, item),
                (Details::NotServed, _) => bad(StatusCode::BadHistoryOperationUnsupported),
                (Details::Events(details), _) => {
                    self.event_page(asked, details, item).await.unwrap_or_else(bad)
                }
                (Details::AtTime(details), _) => {
                    let read = self.history_at(asked, details, item, wanted).await;
                    read.unwrap_or_else(bad)
                }
                (Details::Raw(details), _) => {
                    let read = self.history_page(asked, details, item, wanted).await;
                    read.unwrap_or_else(bad)
                }
            });
        }
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().map(|result| result.status_code));
        Ok(HistoryReadResponse { response_header, results: Some(results), diagnostic_infos }.into())
    }

    /// Keeps where a read goes on; the name under which it is found.
    pub(super) fn keep_point(
        &self,
        asked: &Asked,
        point: HistoryPoint,
    ) -> Result<ByteString, StatusCode> {
        let mut points = asked.session.points();
        if points.history.len() >= self.limits.sessions.history_points {
            return Err(StatusCode::BadNoContinuationPoints);
        }
        let number = points.number();
        points.history.insert(number, point);
        Ok(ByteString::from(number.to_le_bytes().to_vec()))
    }

    pub(super) fn take_point(&self, asked: &Asked, item: &HistoryItem) -> Option<HistoryPoint> {
        let number = u64::from_le_bytes(*item.point.first_chunk::<8>()?);
        let mut points = asked.session.points();
        points.history.remove(&number).filter(|point| point.node == item.node)
    }

    fn release(&self, asked: &Asked, item: &HistoryItem) -> HistoryReadResult {
        match self.take_point(asked, item) {
            Some(_) => bad(StatusCode::Good),
            None => bad(StatusCode::BadContinuationPointInvalid),
        }
    }

    async fn history_page(
        &self,
        asked: &Asked,
        details: &ReadRawModifiedDetails,
        item: &HistoryItem,
        wanted: TimestampsToReturn,
    ) -> Result<HistoryReadResult, StatusCode> {
        let range = self.readable(asked, item).await?;
        let (after, now) = match item.point.is_empty() {
            true => (None, self.clock.now()),
            false => match self.take_point(asked, item) {
                Some(HistoryPoint { place: HistoryPlace::Value(place), now, .. }) => {
                    (Some(place), now)
                }
                _ => return Err(StatusCode::BadContinuationPointInvalid),
            },
        };
        let request = RawHistoryRequest {
            start: timestamp(&details.start_time),
            end: timestamp(&details.end_time),
            limit: usize::try_from(details.num_values_per_node).unwrap_or(usize::MAX),
            bounds: details.return_bounds,
            after,
            now,
        };
        let page = self.space.history(&item.node, &request).await?;
        let mut continuation_point = ByteString::null();
        let is_empty = page.values.is_empty() && page.next.is_none() && request.after.is_none();
        if let Some(place) = page.next {
            let place = HistoryPlace::Value(place);
            let point = HistoryPoint { node: item.node.clone(), place, now };
            continuation_point = self.keep_point(asked, point)?;
        }
        let values =
            page.values.into_iter().map(|value| with_timestamps(part(value, range), wanted));
        let data = HistoryData { data_values: Some(values.collect()) };
        Ok(HistoryReadResult {
            status_code: if is_empty { StatusCode::GoodNoData } else { StatusCode::Good },
            continuation_point,
            history_data: ExtensionObject::new(data),
        })
    }

    /// The range of a variable whose stored values may be read.
    async fn readable<'a>(
        &self,
        asked: &Asked,
        item: &'a HistoryItem,
    ) -> Result<&'a NumericRange, StatusCode> {
        let node = self.visible(&item.node, &asked.asker).await?;
        let range = item.range.as_ref().map_err(|status| *status)?;
        check_encoding(&item.encoding, opcua::types::AttributeId::Value as u32)?;
        let unsupported = StatusCode::BadHistoryOperationUnsupported;
        if node.class() != NodeClass::Variable {
            return Err(unsupported);
        }
        check_access(&node, &asked.asker, HISTORY_READ, unsupported)?;
        Ok(range)
    }

    /// The values at given instants; they are never so many that they need pages.
    async fn history_at(
        &self,
        asked: &Asked,
        details: &ReadAtTimeDetails,
        item: &HistoryItem,
        wanted: TimestampsToReturn,
    ) -> Result<HistoryReadResult, StatusCode> {
        let range = self.readable(asked, item).await?;
        if !item.point.is_empty() {
            return Err(StatusCode::BadContinuationPointInvalid);
        }
        let times = details.req_times.iter().flatten().map(timestamp);
        let times: Option<Vec<_>> = times.collect();
        let times = times.ok_or(StatusCode::BadInvalidTimestamp)?;
        let (simple_bounds, now) = (details.use_simple_bounds, self.clock.now());
        let request = AtTimeRequest { times, simple_bounds, now };
        let values = self.space.history_at(&item.node, &request).await?.into_iter();
        let values = values.map(|value| with_timestamps(part(value, range), wanted));
        let data = HistoryData { data_values: Some(values.collect()) };
        Ok(HistoryReadResult {
            status_code: StatusCode::Good,
            continuation_point: ByteString::null(),
            history_data: ExtensionObject::new(data),
        })
    }

    /// Stored values are evidence: nobody changes them from outside.
    pub(super) fn history_update(
        &self,
        asked: &Asked,
        request: HistoryUpdateRequest,
    ) -> Result<Reply, StatusCode> {
        let details = request.history_update_details.unwrap_or_default();
        check_count(details.len(), self.limits.operations.history_update)?;
        let refused = HistoryUpdateResult {
            status_code: StatusCode::BadHistoryOperationUnsupported,
            operation_results: None,
            diagnostic_infos: None,
        };
        Ok(HistoryUpdateResponse {
            response_header: header(&asked.header, self.now(), StatusCode::Good),
            results: Some(vec![refused; details.len()]),
            diagnostic_infos: None,
        }
        .into())
    }
}

/// The part of a stored value that an index range names.
fn part(mut value: DataValue, range: &NumericRange) -> DataValue {
    if range.is_none() {
        return value;
    }
    match value.value.take().map(|whole| whole.range_of(range)) {
        Some(Ok(part)) => value.value = Some(part),
        Some(Err(status)) => value.status = Some(status),
        None => {}
    }
    value
}
