//! Event filters (Part 4 §7.22.3): select clauses, each with its place in the answer whether an event
//! has the field or not, and a where clause.

use opcua::types::{ContentFilterResult, EventFilterResult, ObjectTypeId, StatusCode, Variant};

use super::content::{FieldPath, WhereClause, read_elements};
use crate::channel::decode::Reader;
use crate::server::limits::SubscriptionLimits;
use crate::server::space::{Event, TypeTree};

/// Encoding of an event filter.
pub const EVENT_FILTER: u32 = 727;
/// Encoding of a data change filter.
pub const DATA_CHANGE_FILTER: u32 = 724;
/// Encoding of an aggregate filter.
pub const AGGREGATE_FILTER: u32 = 730;

/// An event filter that has been checked.
#[derive(Clone, Debug)]
pub struct EventFilter {
    select: Vec<FieldPath>,
    wanted: WhereClause,
}

impl EventFilter {
    /// Reads and checks a filter; the result says what is wrong with which clause.
    pub fn read(
        reader: &mut Reader<'_>,
        types: &TypeTree,
        limits: &SubscriptionLimits,
    ) -> Result<(Result<EventFilter, StatusCode>, EventFilterResult), StatusCode> {
        let select = reader.array(FieldPath::read)?;
        let elements = read_elements(reader)?;
        if select.len() > limits.select_clauses || elements.len() > limits.where_elements {
            let result = empty_result();
            return Ok((Err(StatusCode::BadEncodingLimitsExceeded), result));
        }
        let selected: Vec<_> = select.iter().map(|field| field.check(types)).collect();
        let (wanted, where_clause_result) = WhereClause::new(elements, types);
        let is_empty = select.is_empty();
        let result = EventFilterResult {
            select_clause_results: Some(selected),
            select_clause_diagnostic_infos: None,
            where_clause_result,
        };
        // Without a single field there is nothing to report.
        let filter = match wanted {
            Ok(_) if is_empty => Err(StatusCode::BadEventFilterInvalid),
            Ok(wanted) => Ok(EventFilter { select, wanted }),
            Err(status) => Err(status),
        };
        Ok((filter, result))
    }

    /// The selected fields of an event, if it is wanted.
    pub fn select(&self, event: &Event, types: &TypeTree) -> Option<Vec<Variant>> {
        self.wanted.wants(event, types).then(|| self.fields(event, types))
    }

    /// The selected fields of an event that is reported whatever the clause says.
    pub fn fields(&self, event: &Event, types: &TypeTree) -> Vec<Variant> {
        self.select.iter().map(|field| field.of(event, types)).collect()
    }
}

fn empty_result() -> EventFilterResult {
    EventFilterResult {
        select_clause_results: None,
        select_clause_diagnostic_infos: None,
        where_clause_result: ContentFilterResult {
            element_results: None,
            element_diagnostic_infos: None,
        },
    }
}

/// Whether an event says that others were lost.
pub fn overflow_type() -> ObjectTypeId {
    ObjectTypeId::EventQueueOverflowEventType
}
