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
use crate::server::decode::Reader;
use crate::server::space::EventHistoryRequest;
use crate::server::time::timestamp;

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
        let types = self.space.types();
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
        let wanted = usize::try_from(details.limit).unwrap_or(usize::MAX);
        let request = EventHistoryRequest {
            start: timestamp(&details.start),
            end: timestamp(&details.end),
            limit: if wanted == 0 { 0 } else { wanted - given.min(wanted - 1) },
            after,
            now,
        };
        let page = self.space.event_history(&item.node, &request).await?;
        let types = self.space.types();
        let selected = page.events.iter().filter_map(|event| details.filter.select(event, types));
        let events: Vec<_> =
            selected.map(|fields| HistoryEventFieldList { event_fields: Some(fields) }).collect();
        let given = given + events.len();
        let next = page.next.filter(|_| wanted == 0 || given < wanted);
        let is_empty = events.is_empty() && next.is_none() && given == 0;
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
}
