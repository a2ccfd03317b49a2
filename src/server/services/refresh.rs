//! ConditionRefresh and ConditionRefresh2 (Part 9 §5.5.7, §5.5.8): whoever has just come is told of all
//! conditions that anybody has still to do something about.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opcua::types::{ObjectId, ObjectTypeId, StatusCode, Variant};

use super::Services;
use super::dispatch::Asked;
use super::subscription::Subscription;
use crate::server::space::{CallOutcome, Event};

/// A subscription is refreshed at most this often; each time costs as much as there are conditions.
const PAUSE: Duration = Duration::from_secs(1);

impl Services {
    /// Refreshes all items of a subscription, or one.
    pub(super) fn condition_refresh(
        &self,
        asked: &Asked,
        arguments: &[Variant],
        is_of_one: bool,
    ) -> Result<CallOutcome, StatusCode> {
        let (subscription, item) = match (arguments, is_of_one) {
            ([subscription], false) => (std::slice::from_ref(subscription), None),
            ([subscription, Variant::UInt32(item)], true) => {
                (std::slice::from_ref(subscription), Some(*item))
            }
            ([], _) | ([_], true) => return Err(StatusCode::BadArgumentsMissing),
            ([_, _], true) => return Err(StatusCode::BadInvalidArgument),
            _ => return Err(StatusCode::BadTooManyArguments),
        };
        let subscription = self.own_subscription(asked, subscription)?;
        if item.is_some_and(|item| !self.hub.watches_events(&subscription, item)) {
            return Err(StatusCode::BadMonitoredItemIdInvalid);
        }
        if !subscription.may_refresh(Instant::now(), PAUSE) {
            return Err(StatusCode::BadRefreshInProgress);
        }
        self.refresh(&subscription, item);
        Ok(CallOutcome { status: StatusCode::Good, ..CallOutcome::default() })
    }

    fn refresh(&self, subscription: &Arc<Subscription>, item: Option<u32>) {
        let mark = |kind, text: &str| {
            let source = (ObjectId::Server.into(), "Server");
            Event::new(kind, source, self.now(), 100, text)
        };
        let begin = mark(ObjectTypeId::RefreshStartEventType, "the refresh begins");
        let end = mark(ObjectTypeId::RefreshEndEventType, "the refresh is complete");
        let _alone = self.hub.alone();
        let retained = self.space.retained();
        let to = (subscription, item);
        // Both marks go to every item, wherever it watches and whatever its filter wants.
        self.hub.emit_to(&*self.space, &begin, to, true);
        for event in &retained {
            self.hub.emit_to(&*self.space, event, to, false);
        }
        self.hub.emit_to(&*self.space, &end, to, true);
    }
}
