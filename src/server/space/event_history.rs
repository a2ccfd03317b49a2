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

/// Events of one page at most.
const PAGE_MAX: usize = 500;
/// Pages of other places that are passed over for one answer, which may then be empty and not the last.
const PASSED_MAX: usize = 8;

/// Time and number of the last notice that was looked at.
pub type EventPlace = (Timestamp, u64);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct EventHistoryRequest {
    /// Start; `None` when not given.
    pub start: Option<Timestamp>,
    /// End; `None` when not given.
    pub end: Option<Timestamp>,
    /// How many at most; all when 0.
    pub limit: usize,
    /// How far the request was answered before.
    pub after: Option<EventPlace>,
    /// The present when it was asked first; what is newer is not of this answer.
    pub now: Timestamp,
}

/// A part of an answer.
#[derive(Debug)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
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
            (Some(start), None) if self.limit > 0 => {
                Ok((Window { from: start, to: self.now + tick }, false))
            }
            (None, Some(end)) if self.limit > 0 => {
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
    let limit = if request.limit == 0 { PAGE_MAX } else { request.limit.min(PAGE_MAX) };
    let reader = reader.clone();
    let mut page = NoticePage { place, window, after: request.after, backwards, limit };
    let read = blocking(move || {
        let mut notices: Vec<Notice> = Vec::new();
        for _ in 0..PASSED_MAX {
            let more = reader.notices(&page)?;
            let is_last = more.len() < page.limit;
            page.after = more.last().map(|last| (last.at, last.number)).or(page.after);
            notices.extend(more.into_iter().filter(|notice| {
                let is_of = |lines: &BTreeSet<LineId>| {
                    notice.line.as_ref().is_some_and(|line| lines.contains(line))
                };
                lines.as_ref().is_none_or(is_of)
            }));
            if is_last || notices.len() >= limit {
                let is_cut = notices.len() > limit;
                notices.truncate(limit);
                let last = notices.last().map(|last| (last.at, last.number));
                let next = if is_cut { last } else { page.after.filter(|_| !is_last) };
                return Ok(Page { notices, next });
            }
        }
        Ok(Page { notices, next: page.after })
    });
    read.await.map_err(|error| {
        tracing::error!(%error, "stored events cannot be read");
        StatusCode::BadResourceUnavailable
    })
}
