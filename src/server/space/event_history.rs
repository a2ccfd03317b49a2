//! Stored events (Part 11 §6.5.2): notices of a place and time, in pages that cost what they give.

use std::collections::BTreeSet;
use std::sync::Arc;

use opcua::types::StatusCode;

use super::event::Event;
use crate::app::ports::{NoticePage, NoticePlace, Reader};
use crate::app::query::blocking;
use crate::domain::id::LineId;
use crate::domain::notice::Notice;
use crate::domain::time::{Span, Timestamp, Window};

/// Events that are looked at for one page.
const PAGE_MAX: usize = 500;

/// Time and number of the last notice that was looked at.
pub type EventPlace = (Timestamp, u64);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct EventHistoryRequest {
    /// Start; `None` when not given.
    pub start: Option<Timestamp>,
    /// End; `None` when not given.
    pub end: Option<Timestamp>,
    /// Whether a number of events was given.
    pub has_limit: bool,
    /// How far the request was answered before.
    pub after: Option<EventPlace>,
    /// The present when it was asked first; what is newer is not of this answer.
    pub now: Timestamp,
}

/// A part of an answer.
#[derive(Debug)]
pub struct EventPage {
    /// The events, each with its place.
    pub events: Vec<(EventPlace, Event)>,
    /// Where it goes on; `None` where that was all.
    pub next: Option<EventPlace>,
}

/// Notices of a part of an answer.
pub(super) struct Page {
    pub notices: Vec<Notice>,
    pub next: Option<EventPlace>,
}

impl EventHistoryRequest {
    /// The time that is meant, and whether the newest come first: two of start, end and number have to
    /// be given (Part 11 §6.5.2.1).
    fn window(&self) -> Result<(Window, bool), StatusCode> {
        let tick = Span::from_ticks(1);
        match (self.start, self.end) {
            (Some(start), Some(end)) if end < start => {
                Ok((Window { from: end + tick, to: start + tick }, true))
            }
            (Some(start), Some(end)) => {
                Ok((Window { from: start, to: end.max(start + tick) }, false))
            }
            (Some(start), None) if self.has_limit => {
                Ok((Window { from: start, to: self.now + tick }, false))
            }
            (None, Some(end)) if self.has_limit => {
                Ok((Window { from: Timestamp::MIN, to: end + tick }, true))
            }
            _ => Err(StatusCode::BadHistoryOperationInvalid),
        }
    }
}

/// Reads the next part of an answer; of some lines only, where they are given.
pub(super) async fn read(
    reader: &Arc<dyn Reader>,
    place: NoticePlace,
    lines: Option<BTreeSet<LineId>>,
    request: &EventHistoryRequest,
) -> Result<Page, StatusCode> {
    let (window, backwards) = request.window()?;
    let reader = reader.clone();
    let page = NoticePage { place, window, after: request.after, backwards, limit: PAGE_MAX };
    let read = blocking(move || Ok(reader.notices(&page)?)).await;
    let mut notices = read.map_err(|error| {
        tracing::error!(%error, "stored events cannot be read");
        StatusCode::BadResourceUnavailable
    })?;
    let is_full = notices.len() >= PAGE_MAX;
    let next = notices.last().filter(|_| is_full).map(|last| (last.at, last.number));
    if let Some(lines) = lines {
        notices.retain(|notice| notice.line.as_ref().is_some_and(|line| lines.contains(line)));
    }
    Ok(Page { notices, next })
}
