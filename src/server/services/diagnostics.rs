//! What is counted, and what there is to see of sessions and subscriptions (Part 5 §6.3.3).

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opcua::types::{
    MonitoringMode, NodeId, ServerDiagnosticsSummaryDataType, SessionDiagnosticsDataType,
    SessionSecurityDiagnosticsDataType, StatusCode, SubscriptionDiagnosticsDataType, UAString,
};

use super::Services;
use super::session::{Proof, Session};
use super::subscription::Subscription;
use crate::channel::time::date_time;
use crate::domain::time::Span;
use crate::server::space::Diagnostics;

/// Lines of refusals are written at most this often, however many peers are turned away.
const REFUSAL_LINES: Duration = Duration::from_secs(1);

/// Counts since the start.
#[derive(Default)]
pub struct Counts {
    sessions: AtomicU32,
    refused_sessions: AtomicU32,
    refused_by_security: AtomicU32,
    timed_out: AtomicU32,
    rejected: AtomicU32,
    rejected_by_security: AtomicU32,
    last_line: Mutex<Option<Instant>>,
}

fn one(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn is_security(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadUserAccessDenied
            | StatusCode::BadSecurityChecksFailed
            | StatusCode::BadSecurityModeInsufficient
            | StatusCode::BadIdentityTokenInvalid
            | StatusCode::BadIdentityTokenRejected
            | StatusCode::BadUserSignatureInvalid
            | StatusCode::BadApplicationSignatureInvalid
            | StatusCode::BadSecureChannelIdInvalid
            | StatusCode::BadSessionIdInvalid
    )
}

impl Counts {
    /// A session was made.
    pub fn session_created(&self) {
        one(&self.sessions);
    }

    /// Nobody could log on to a session.
    pub fn session_refused(&self, status: StatusCode) {
        one(&self.refused_sessions);
        if is_security(status) {
            one(&self.refused_by_security);
        }
    }

    /// A session was not used in time.
    pub fn session_timed_out(&self) {
        one(&self.timed_out);
    }

    /// A request was answered by a fault.
    pub fn rejected(&self, status: StatusCode) {
        one(&self.rejected);
        if is_security(status) {
            one(&self.rejected_by_security);
        }
    }

    /// Whether it is time for another line.
    pub fn may_write_line(&self) -> bool {
        let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = last.is_none_or(|last| last.elapsed() >= REFUSAL_LINES);
        if is_time {
            *last = Some(Instant::now());
        }
        is_time
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Diagnostics for Services {
    fn summary(&self) -> ServerDiagnosticsSummaryDataType {
        let counts = &self.counts;
        let (subscriptions, subscriptions_made) = self.registry.counts();
        let paces: std::collections::BTreeSet<_> =
            self.registry.all().iter().map(|one| one.lock().pace.interval).collect();
        ServerDiagnosticsSummaryDataType {
            server_view_count: 0,
            current_session_count: count(self.sessions.count()),
            cumulated_session_count: counts.sessions.load(Ordering::Relaxed),
            security_rejected_session_count: counts.refused_by_security.load(Ordering::Relaxed),
            rejected_session_count: counts.refused_sessions.load(Ordering::Relaxed),
            session_timeout_count: counts.timed_out.load(Ordering::Relaxed),
            session_abort_count: 0,
            current_subscription_count: count(subscriptions),
            cumulated_subscription_count: subscriptions_made,
            publishing_interval_count: count(paces.len()),
            security_rejected_requests_count: counts.rejected_by_security.load(Ordering::Relaxed),
            rejected_requests_count: counts.rejected.load(Ordering::Relaxed),
        }
    }

    fn sessions(&self) -> Vec<SessionDiagnosticsDataType> {
        self.sessions.all().iter().map(|session| self.describe_session(session)).collect()
    }

    fn session_security(&self) -> Vec<SessionSecurityDiagnosticsDataType> {
        self.sessions.all().iter().map(|session| describe_security(session)).collect()
    }

    fn subscriptions(&self) -> Vec<SubscriptionDiagnosticsDataType> {
        self.registry.all().iter().map(describe_subscription).collect()
    }
}

impl Services {
    fn describe_session(&self, session: &Session) -> SessionDiagnosticsDataType {
        let subscriptions = session.publishing.subscriptions();
        let items = subscriptions.iter().map(|one| one.lock().items.len()).sum();
        let (total, unauthorized) = session.counted_in_all();
        let locales = session.binding().locales.iter().map(|one| one.as_str().into()).collect();
        let idle = i64::try_from(session.idle().as_nanos() / 100).unwrap_or(i64::MAX);
        SessionDiagnosticsDataType {
            session_id: session.id.clone(),
            session_name: session.name.as_str().into(),
            client_description: session.client.clone(),
            server_uri: self.endpoints.application_uri.as_str().into(),
            endpoint_url: session.endpoint_url.as_str().into(),
            locale_ids: Some(locales),
            actual_session_timeout: milliseconds(session.timeout),
            max_response_message_size: session.response_max,
            client_connection_time: date_time(session.created),
            client_last_contact_time: date_time(self.clock.now() - Span::from_ticks(idle)),
            current_subscriptions_count: count(subscriptions.len()),
            current_monitored_items_count: count(items),
            current_publish_requests_in_queue: count(session.publishing.waiting()),
            total_request_count: total,
            unauthorized_request_count: unauthorized,
            read_count: session.counted("Read"),
            history_read_count: session.counted("HistoryRead"),
            write_count: session.counted("Write"),
            history_update_count: session.counted("HistoryUpdate"),
            call_count: session.counted("Call"),
            create_monitored_items_count: session.counted("CreateMonitoredItems"),
            modify_monitored_items_count: session.counted("ModifyMonitoredItems"),
            set_monitoring_mode_count: session.counted("SetMonitoringMode"),
            set_triggering_count: session.counted("SetTriggering"),
            delete_monitored_items_count: session.counted("DeleteMonitoredItems"),
            create_subscription_count: session.counted("CreateSubscription"),
            modify_subscription_count: session.counted("ModifySubscription"),
            set_publishing_mode_count: session.counted("SetPublishingMode"),
            publish_count: session.counted("Publish"),
            republish_count: session.counted("Republish"),
            transfer_subscriptions_count: session.counted("TransferSubscriptions"),
            delete_subscriptions_count: session.counted("DeleteSubscriptions"),
            browse_count: session.counted("Browse"),
            browse_next_count: session.counted("BrowseNext"),
            translate_browse_paths_to_node_ids_count: session.counted("Translate"),
            register_nodes_count: session.counted("RegisterNodes"),
            unregister_nodes_count: session.counted("UnregisterNodes"),
            ..SessionDiagnosticsDataType::default()
        }
    }
}

fn describe_security(session: &Session) -> SessionSecurityDiagnosticsDataType {
    let binding = session.binding();
    let proof = binding.user.as_ref().map(|user| &user.proof);
    let history = binding.history.iter().map(|name| UAString::from(name.as_str()));
    SessionSecurityDiagnosticsDataType {
        session_id: session.id.clone(),
        client_user_id_of_session: binding.asker.name.as_str().into(),
        client_user_id_history: Some(history.collect()),
        authentication_mechanism: match proof {
            None | Some(Proof::Anonymous) => "Anonymous".into(),
            Some(Proof::Password) => "UserName".into(),
            Some(Proof::Certificate(_)) => "Certificate".into(),
        },
        encoding: "UA Binary".into(),
        transport_protocol: "opc.tcp".into(),
        security_mode: binding.channel.mode,
        security_policy_uri: binding.channel.policy.to_uri().into(),
        client_certificate: session
            .certificate
            .as_ref()
            .map(|one| one.der.clone())
            .unwrap_or_default(),
    }
}

fn describe_subscription(subscription: &Arc<Subscription>) -> SubscriptionDiagnosticsDataType {
    let state = subscription.lock();
    let (pace, counters) = (state.pace, state.counters);
    let (silent, unattended) = state.cycles();
    let disabled = state.items.iter().filter(|item| item.mode == MonitoringMode::Disabled);
    SubscriptionDiagnosticsDataType {
        session_id: state.session.upgrade().map_or_else(NodeId::null, |one| one.id.clone()),
        subscription_id: subscription.id,
        priority: pace.priority,
        publishing_interval: milliseconds(pace.interval),
        max_keep_alive_count: pace.keep_alive,
        max_lifetime_count: pace.lifetime,
        max_notifications_per_publish: count(pace.notifications),
        publishing_enabled: state.enabled,
        modify_count: counters.modified,
        enable_count: counters.enabled,
        disable_count: counters.disabled,
        republish_request_count: counters.republish_requests,
        republish_message_request_count: counters.republish_requests,
        republish_message_count: counters.republished,
        transfer_request_count: counters.transfer_requests,
        transferred_to_alt_client_count: counters.to_other_client,
        transferred_to_same_client_count: counters.to_same_client,
        publish_request_count: counters.publish_requests,
        data_change_notifications_count: counters.data_changes,
        event_notifications_count: counters.events,
        notifications_count: counters.data_changes.wrapping_add(counters.events),
        late_publish_request_count: counters.late,
        current_keep_alive_count: silent,
        current_lifetime_count: unattended,
        unacknowledged_message_count: count(state.unacknowledged()),
        discarded_message_count: counters.discarded_messages,
        monitored_item_count: count(state.items.len()),
        disabled_monitored_item_count: count(disabled.count()),
        monitoring_queue_overflow_count: counters.value_overflows,
        next_sequence_number: state.next_sequence(),
        event_queue_overflow_count: counters.event_overflows,
    }
}
