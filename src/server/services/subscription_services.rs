//! CreateSubscription to TransferSubscriptions, Publish, Republish (Part 4 §5.14), and the task that
//! keeps the pace of each subscription.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use opcua::types::{
    CreateSubscriptionRequest, CreateSubscriptionResponse, DeleteSubscriptionsRequest,
    DeleteSubscriptionsResponse, ModifySubscriptionRequest, ModifySubscriptionResponse,
    PublishRequest, RepublishRequest, SetPublishingModeRequest, SetPublishingModeResponse,
    StatusCode, TransferResult, TransferSubscriptionsRequest, TransferSubscriptionsResponse,
};

use super::Services;
use super::attribute::check_count;
use super::dispatch::Asked;
use super::encode::{republish_response, status_change};
use super::publish::Waiting;
use super::respond::header;
use super::session::Session;
use super::subscription::{Cycle, Pace, Subscription};
use crate::server::wire::Reply;

/// A lifetime has at least so many keep-alive intervals (Part 4 §5.14.2.2).
const LIFETIME_KEEP_ALIVES: u32 = 3;

/// Numbers of subscriptions in one request.
const SUBSCRIPTIONS_MAX: usize = 1000;

/// What a client wants of a subscription.
struct Wanted {
    interval: f64,
    lifetime: u32,
    keep_alive: u32,
    notifications: u32,
    priority: u8,
}

impl Services {
    /// What the client gets of what it wants.
    fn pace(&self, wanted: &Wanted) -> Pace {
        let limits = &self.limits.subscriptions;
        let interval = Duration::try_from_secs_f64(wanted.interval / 1000.0);
        let interval = match interval {
            Ok(interval) => interval.clamp(limits.interval_min, limits.interval_max),
            Err(_) if wanted.interval > 0.0 => limits.interval_max,
            Err(_) => limits.interval_min,
        };
        let cycles = limits.lifetime_max.as_nanos() / interval.as_nanos().max(1);
        let lifetime_max = u32::try_from(cycles).unwrap_or(u32::MAX).max(LIFETIME_KEEP_ALIVES);
        let keep_alive_max = limits.keep_alive_max.min(lifetime_max / LIFETIME_KEEP_ALIVES);
        let keep_alive = match wanted.keep_alive {
            0 => 10.min(keep_alive_max),
            count => count.min(keep_alive_max),
        };
        let keep_alive = keep_alive.max(1);
        let lifetime = wanted.lifetime.max(keep_alive.saturating_mul(LIFETIME_KEEP_ALIVES));
        Pace {
            interval,
            lifetime: lifetime.min(lifetime_max),
            keep_alive,
            notifications: wanted.notifications as usize,
            priority: wanted.priority,
        }
    }

    pub(super) fn create_subscription(
        self: &Arc<Self>,
        asked: &Asked,
        request: &CreateSubscriptionRequest,
    ) -> Result<Reply, StatusCode> {
        let limits = &self.limits.subscriptions;
        let publishing = &asked.session.publishing;
        if publishing.count() >= limits.per_session {
            return Err(StatusCode::BadTooManySubscriptions);
        }
        let pace = self.pace(&Wanted {
            interval: request.requested_publishing_interval,
            lifetime: request.requested_lifetime_count,
            keep_alive: request.requested_max_keep_alive_count,
            notifications: request.max_notifications_per_publish,
            priority: request.priority,
        });
        let enabled = request.publishing_enabled;
        let make =
            |id| Subscription::new(id, &asked.session, pace, enabled, self.registry.supplies());
        let subscription = self.registry.add(limits.total, make);
        let subscription = subscription.ok_or(StatusCode::BadTooManySubscriptions)?;
        let id = subscription.id;
        if !publishing.add(subscription.clone()) {
            self.delete_subscription(&subscription);
            return Err(StatusCode::BadSessionClosed);
        }
        tokio::spawn(keep_pace(Arc::downgrade(self), subscription));
        Ok(CreateSubscriptionResponse {
            response_header: header(&asked.header, self.now(), StatusCode::Good),
            subscription_id: id,
            revised_publishing_interval: pace.interval.as_secs_f64() * 1000.0,
            revised_lifetime_count: pace.lifetime,
            revised_max_keep_alive_count: pace.keep_alive,
        }
        .into())
    }

    pub(super) fn modify_subscription(
        &self,
        asked: &Asked,
        request: &ModifySubscriptionRequest,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription_id)?;
        let pace = self.pace(&Wanted {
            interval: request.requested_publishing_interval,
            lifetime: request.requested_lifetime_count,
            keep_alive: request.requested_max_keep_alive_count,
            notifications: request.max_notifications_per_publish,
            priority: request.priority,
        });
        {
            let mut state = subscription.lock();
            state.pace = pace;
            state.counters.modified += 1;
        }
        subscription.changed.notify_one();
        Ok(ModifySubscriptionResponse {
            response_header: header(&asked.header, self.now(), StatusCode::Good),
            revised_publishing_interval: pace.interval.as_secs_f64() * 1000.0,
            revised_lifetime_count: pace.lifetime,
            revised_max_keep_alive_count: pace.keep_alive,
        }
        .into())
    }

    pub(super) fn set_publishing_mode(
        &self,
        asked: &Asked,
        request: SetPublishingModeRequest,
    ) -> Result<Reply, StatusCode> {
        let ids = request.subscription_ids.unwrap_or_default();
        check_count(ids.len(), SUBSCRIPTIONS_MAX)?;
        let enabled = request.publishing_enabled;
        let set = |id: &u32| {
            let subscription = self.subscription(asked, *id)?;
            let mut state = subscription.lock();
            match enabled {
                true => state.counters.enabled += 1,
                false => state.counters.disabled += 1,
            }
            state.enabled = enabled;
            Ok(())
        };
        let results: Vec<_> = ids.iter().map(|id| set(id).err().unwrap_or_default()).collect();
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().copied());
        let results = Some(results);
        Ok(SetPublishingModeResponse { response_header, results, diagnostic_infos }.into())
    }

    pub(super) fn delete_subscriptions(
        &self,
        asked: &Asked,
        request: DeleteSubscriptionsRequest,
    ) -> Result<Reply, StatusCode> {
        let ids = request.subscription_ids.unwrap_or_default();
        check_count(ids.len(), SUBSCRIPTIONS_MAX)?;
        let delete = |id: &u32| match self.subscription(asked, *id) {
            Ok(subscription) => {
                self.delete_subscription(&subscription);
                asked.session.publishing.remove(*id, None, &*self.clock);
                StatusCode::Good
            }
            Err(status) => status,
        };
        let results: Vec<_> = ids.iter().map(delete).collect();
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().copied());
        let results = Some(results);
        Ok(DeleteSubscriptionsResponse { response_header, results, diagnostic_infos }.into())
    }

    /// Ends a subscription and all its items.
    pub(super) fn delete_subscription(&self, subscription: &Arc<Subscription>) {
        let items = subscription.lock().close();
        let places = items.iter().map(|item| (&item.spot.node, item.id));
        self.hub.unwatch(subscription, places);
        self.hub.release(items.len());
        self.registry.remove(subscription.id);
        subscription.changed.notify_one();
    }

    pub(super) fn publish(
        &self,
        asked: &Asked,
        request: PublishRequest,
    ) -> Result<Reply, StatusCode> {
        let acknowledged = request.subscription_acknowledgements.unwrap_or_default();
        let publishing = &asked.session.publishing;
        let acknowledge = |one: &opcua::types::SubscriptionAcknowledgement| match publishing
            .subscription(one.subscription_id)
        {
            None => StatusCode::BadSubscriptionIdInvalid,
            Some(known) if known.lock().acknowledge(one.sequence_number) => StatusCode::Good,
            Some(_) => StatusCode::BadSequenceNumberUnknown,
        };
        let results = acknowledged.iter().map(acknowledge).collect();
        let waiting = Waiting {
            channel: asked.channel.clone(),
            request: asked.request,
            handle: asked.header.request_handle,
            deadline: asked.deadline(),
            results,
        };
        let context = self.context.context();
        let around = self.around(&context);
        publishing.take_request(waiting, &around)?;
        publishing.pump(&around);
        Ok(Reply::Later)
    }

    pub(super) fn republish(
        &self,
        asked: &Asked,
        request: &RepublishRequest,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription_id)?;
        let message = {
            let mut state = subscription.lock();
            state.counters.republish_requests += 1;
            let message = state.sent(request.retransmit_sequence_number);
            state.counters.republished += u32::from(message.is_some());
            message.ok_or(StatusCode::BadMessageNotAvailable)?
        };
        let header = header(&asked.header, self.now(), StatusCode::Good);
        let context = self.context.context();
        Ok(Reply::Encoded(republish_response(&header, &message, &context)?))
    }

    pub(super) async fn transfer_subscriptions(
        self: &Arc<Self>,
        asked: &Asked,
        request: TransferSubscriptionsRequest,
    ) -> Result<Reply, StatusCode> {
        let ids = request.subscription_ids.unwrap_or_default();
        check_count(ids.len(), SUBSCRIPTIONS_MAX)?;
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            results.push(match self.transfer(asked, id) {
                Err(status_code) => {
                    TransferResult { status_code, available_sequence_numbers: None }
                }
                Ok(subscription) => {
                    if request.send_initial_values {
                        self.resend(&subscription).await;
                    }
                    let available = subscription.lock().available();
                    TransferResult {
                        status_code: StatusCode::Good,
                        available_sequence_numbers: Some(available),
                    }
                }
            });
        }
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().map(|result| result.status_code));
        let results = Some(results);
        Ok(TransferSubscriptionsResponse { response_header, results, diagnostic_infos }.into())
    }

    /// Takes a subscription over from another session of the same user.
    fn transfer(&self, asked: &Asked, id: u32) -> Result<Arc<Subscription>, StatusCode> {
        let _moving = self.registry.move_one();
        let subscription = self.registry.find(id).ok_or(StatusCode::BadSubscriptionIdInvalid)?;
        let session = &asked.session;
        let owner = subscription.lock().owner.clone();
        if !owner.is_same(session) {
            return Err(StatusCode::BadUserAccessDenied);
        }
        let before = subscription.lock().session.upgrade();
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, session)) {
            return Err(StatusCode::BadNothingToDo);
        }
        if session.publishing.count() >= self.limits.subscriptions.per_session {
            return Err(StatusCode::BadTooManySubscriptions);
        }
        let last_word = {
            let mut state = subscription.lock();
            if state.is_closed() {
                return Err(StatusCode::BadSubscriptionIdInvalid);
            }
            state.session = Arc::downgrade(session);
            state.attend();
            state.counters.transfer_requests += 1;
            state.counters.to_same_client += 1;
            state.next_sequence()
        };
        if let Some(before) = before {
            let context = self.context.context();
            let moved = StatusCode::GoodSubscriptionTransferred;
            let word = status_change(last_word, self.now(), moved, &context).ok();
            before.publishing.remove(id, word, &*self.clock);
            before.publishing.pump(&self.around(&context));
        }
        if !session.publishing.add(subscription.clone()) {
            return Err(StatusCode::BadSessionClosed);
        }
        Ok(subscription)
    }

    /// One cycle of a subscription; says whether it goes on.
    fn cycle(&self, subscription: &Arc<Subscription>) -> bool {
        let session = {
            let state = subscription.lock();
            if state.is_closed() {
                return false;
            }
            state.session.upgrade()
        };
        let now = Instant::now();
        if let Some(session) = &session {
            session.publishing.drop_late(now, &*self.clock);
        }
        let attended = session.as_ref().is_some_and(|one| one.publishing.waiting() > 0);
        match subscription.cycle(now, attended) {
            Cycle::Quiet => true,
            Cycle::Due => {
                if let Some(session) = session {
                    let context = self.context.context();
                    session.publishing.pump(&self.around(&context));
                }
                true
            }
            Cycle::Expired => {
                self.expire(subscription, session.as_deref());
                false
            }
        }
    }

    /// Nobody has asked for too long: the subscription ends, and says so if anybody asks still.
    fn expire(&self, subscription: &Arc<Subscription>, session: Option<&Session>) {
        let sequence = subscription.lock().last_sequence();
        self.delete_subscription(subscription);
        if let Some(session) = session {
            let context = self.context.context();
            let over = StatusCode::BadTimeout;
            let word = status_change(sequence, self.now(), over, &context).ok();
            session.publishing.remove(subscription.id, word, &*self.clock);
        }
        tracing::info!(
            subscription = subscription.id,
            "a subscription without publish requests ended"
        );
    }
}

/// Runs the cycles of a subscription until it ends.
async fn keep_pace(services: Weak<Services>, subscription: Arc<Subscription>) {
    let mut next = tokio::time::Instant::now();
    loop {
        let interval = subscription.lock().pace.interval;
        next += interval;
        // After a stop of the whole process there is no need to catch up.
        next = next.max(tokio::time::Instant::now());
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = subscription.changed.notified() => {
                if subscription.lock().is_closed() {
                    return;
                }
                next = tokio::time::Instant::now();
                continue;
            }
        }
        let Some(services) = services.upgrade() else {
            return;
        };
        if !services.cycle(&subscription) {
            return;
        }
    }
}
