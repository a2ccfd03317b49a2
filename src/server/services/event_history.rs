//! HistoryRead of events (Part 11 §6.5.2): what was told of an object and what is below it, with the
//! fields that the filter selects, as far as it wants them.

use opcua::types::{
    ByteString, DateTime, ExtensionObject, HistoryEvent, HistoryEventFieldList, HistoryReadResult,
    NodeClass, PermissionType, StatusCode,
};

use super::Services;
use super::attribute::check_encoding;
use super::dispatch::Asked;
use super::filter::event::EventFilter;
use super::request::HistoryItem;
use super::session::{HistoryPlace, HistoryPoint};
use crate::channel::decode::Reader;
use crate::channel::time::timestamp;
use crate::server::space::{EventHistoryRequest, EventPlace};

/// Events of one answer.
const EVENTS_MAX: usize = 500;
/// Stretches of the history that are looked at for one answer.
const LOOKS_MAX: usize = 8;

/// What is asked of events.
pub(super) struct EventDetails {
    limit: u32,
    start: DateTime,
    end: DateTime,
    filter: EventFilter,
}

impl Services {
    /// Reads the details behind their encoding.
    pub(super) fn event_details(
        &self,
        reader: &mut Reader<'_>,
    ) -> Result<EventDetails, StatusCode> {
        let (limit, start, end) = (reader.plain()?, reader.plain()?, reader.plain()?);
        let types = &*self.space.types();
        let (filter, _) = EventFilter::read(reader, types, &self.limits.subscriptions)?;
        Ok(EventDetails { limit, start, end, filter: filter? })
    }

    /// A page of the events of an object.
    pub(super) async fn event_page(
        &self,
        asked: &Asked,
        details: &EventDetails,
        item: &HistoryItem,
    ) -> Result<HistoryReadResult, StatusCode> {
        let node = self.visible(&item.node, &asked.asker).await?;
        check_encoding(&item.encoding, opcua::types::AttributeId::Value as u32)?;
        if node.class() != NodeClass::Object || !node.is_notifier() {
            return Err(StatusCode::BadHistoryOperationUnsupported);
        }
        if !node.protection.allows(&asked.asker, PermissionType::ReceiveEvents) {
            return Err(StatusCode::BadUserAccessDenied);
        }
        let (after, now, given) = if item.point.is_empty() {
            (None, self.clock.now(), 0)
        } else {
            match self.take_point(asked, item) {
                Some(HistoryPoint { place: HistoryPlace::Event(place, given), now, .. }) => {
                    (Some(place), now, given)
                }
                _ => return Err(StatusCode::BadContinuationPointInvalid),
            }
        };
        let has_one_end = details.start.is_null() || details.end.is_null();
        let wanted = match (details.limit as usize, has_one_end) {
            (0, _) => EVENTS_MAX,
            // With both ends given the number is the size of a page; with one it is all that is wanted.
            (limit, false) => limit.min(EVENTS_MAX),
            (limit, true) => limit.saturating_sub(given).min(EVENTS_MAX),
        };
        let mut request = EventHistoryRequest {
            start: timestamp(&details.start),
            end: timestamp(&details.end),
            has_limit: details.limit > 0,
            after,
            now,
        };
        let (events, next) = self.select_events(details, item, &mut request, wanted).await?;
        let given = given + events.len();
        let is_all = has_one_end && details.limit > 0 && given >= details.limit as usize;
        let next = next.filter(|_| !is_all);
        let is_empty = given == 0 && next.is_none();
        let continuation_point = match next {
            Some(place) => {
                let place = HistoryPlace::Event(place, given);
                self.keep_point(asked, HistoryPoint { node: item.node.clone(), place, now })?
            }
            None => ByteString::null(),
        };
        Ok(HistoryReadResult {
            status_code: if is_empty { StatusCode::GoodNoData } else { StatusCode::Good },
            continuation_point,
            history_data: ExtensionObject::new(HistoryEvent { events: Some(events) }),
        })
    }

    /// The next events that the filter wants, and where it goes on. A page may have fewer than are
    /// wanted, or none, and yet not be the last.
    async fn select_events(
        &self,
        details: &EventDetails,
        item: &HistoryItem,
        request: &mut EventHistoryRequest,
        wanted: usize,
    ) -> Result<(Vec<HistoryEventFieldList>, Option<EventPlace>), StatusCode> {
        let types = &*self.space.types();
        let mut events = Vec::new();
        for _ in 0..LOOKS_MAX {
            let page = self.space.event_history(&item.node, request).await?;
            for (place, event) in &page.events {
                if events.len() == wanted {
                    return Ok((events, request.after));
                }
                if let Some(fields) = details.filter.select(event, types) {
                    events.push(HistoryEventFieldList { event_fields: Some(fields) });
                }
                request.after = Some(*place);
            }
            request.after = page.next.or(request.after);
            if page.next.is_none() {
                return Ok((events, None));
            }
        }
        Ok((events, request.after))
    }
}
