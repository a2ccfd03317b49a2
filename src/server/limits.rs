//! All limits of the server in one place: what a client may ask for, and what all together may take.
//!
//! None of them is ever zero or without end.

use std::time::Duration;

use super::wire::admission::AdmissionLimits;
use super::wire::gate::GateLimits;
use super::wire::{MessageLimits, WireLimits};

/// Limits of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections, frames and messages.
    pub wire: WireLimits,
    /// Sessions.
    pub sessions: SessionLimits,
    /// Subscriptions and monitored items.
    pub subscriptions: SubscriptionLimits,
    /// Operations of one request.
    pub operations: OperationLimits,
}

/// Limits of sessions.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Active sessions in all.
    pub active: usize,
    /// Active sessions of one user; anonymous ones count as one user.
    pub per_user: usize,
    /// Sessions on which nobody has logged on yet; the oldest gives way to a new one.
    pub pending: usize,
    /// How long a session may stay without a user.
    pub activate_within: Duration,
    /// Shortest and longest time without a request after which a session ends.
    pub timeout_min: Duration,
    /// See `timeout_min`.
    pub timeout_max: Duration,
    /// Browses of one session that wait to be continued.
    pub browse_points: usize,
    /// History reads of one session that wait to be continued.
    pub history_points: usize,
    /// Longest time that a request may take; a client's own wish may be shorter.
    pub request_timeout: Duration,
}

/// Limits of subscriptions.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionLimits {
    /// Subscriptions in all, with those whose session is gone.
    pub total: usize,
    /// Subscriptions of one session.
    pub per_session: usize,
    /// Monitored items in all.
    pub items: usize,
    /// Monitored items of one subscription.
    pub items_per_subscription: usize,
    /// Values that wait in the queue of one item.
    pub queue: u32,
    /// Events that wait in the queue of one item.
    pub event_queue: u32,
    /// Values that wait in the queues of one subscription together; an event counts as some.
    pub queued_per_subscription: usize,
    /// Values that wait in all queues together.
    pub queued: usize,
    /// Publish requests of one session that wait.
    pub publish_requests: usize,
    /// Messages that a subscription keeps for Republish.
    pub retransmission: usize,
    /// Bytes of them.
    pub retransmission_bytes: usize,
    /// Bytes of the messages that all subscriptions keep.
    pub retransmission_bytes_in_all: usize,
    /// Notifications in one message at most.
    pub notifications: usize,
    /// Shortest publishing interval.
    pub interval_min: Duration,
    /// Longest publishing interval.
    pub interval_max: Duration,
    /// Longest time until a subscription without publish requests ends.
    pub lifetime_max: Duration,
    /// Most intervals without a message.
    pub keep_alive_max: u32,
    /// Links of one item that triggers others.
    pub triggered_per_item: usize,
    /// Select clauses of an event filter.
    pub select_clauses: usize,
    /// Elements of a where clause.
    pub where_elements: usize,
}

/// Most operations of one request, by service.
#[derive(Clone, Copy, Debug)]
pub struct OperationLimits {
    /// Read.
    pub read: usize,
    /// Write.
    pub write: usize,
    /// HistoryRead.
    pub history_read: usize,
    /// HistoryUpdate.
    pub history_update: usize,
    /// Call.
    pub call: usize,
    /// Browse and BrowseNext.
    pub browse: usize,
    /// References of one node in one answer.
    pub references: usize,
    /// TranslateBrowsePathsToNodeIds.
    pub translate: usize,
    /// Elements of one browse path.
    pub path: usize,
    /// RegisterNodes and UnregisterNodes.
    pub register: usize,
    /// Services of monitored items.
    pub monitored_items: usize,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            wire: WireLimits {
                gate: GateLimits {
                    connections: 100,
                    connections_per_address: 10,
                    rate: 20.0,
                    burst: 40.0,
                    errors: 5,
                    ban: seconds(60),
                },
                admission: AdmissionLimits {
                    hello_within: seconds(3),
                    open_within: seconds(5),
                    hello_max: 4096,
                    frame_max: 65_536,
                    open_interval: seconds(10),
                },
                message: MessageLimits { size: 4 << 20, chunks: 128 },
                early_message: MessageLimits { size: 65_536, chunks: 5 },
                budget: 64 << 20,
            },
            sessions: SessionLimits {
                // Part 4 §5.7.2.1: a channel more than sessions, so that discovery always works.
                active: 99,
                per_user: 50,
                pending: 20,
                activate_within: seconds(10),
                timeout_min: seconds(10),
                timeout_max: seconds(3600),
                browse_points: 50,
                history_points: 50,
                request_timeout: seconds(60),
            },
            subscriptions: SubscriptionLimits {
                total: 1000,
                per_session: 100,
                items: 200_000,
                items_per_subscription: 20_000,
                queue: 10_000,
                event_queue: 10_000,
                queued_per_subscription: 100_000,
                queued: 1_000_000,
                publish_requests: 32,
                retransmission: 100,
                retransmission_bytes: 4 << 20,
                retransmission_bytes_in_all: 64 << 20,
                notifications: 10_000,
                interval_min: Duration::from_millis(10),
                interval_max: seconds(3600),
                lifetime_max: seconds(4 * 3600),
                keep_alive_max: 10_000,
                triggered_per_item: 1000,
                select_clauses: 500,
                where_elements: 100,
            },
            operations: OperationLimits {
                read: 10_000,
                write: 1000,
                history_read: 100,
                history_update: 100,
                call: 100,
                browse: 1000,
                references: 1000,
                translate: 1000,
                path: 1000,
                register: 10_000,
                monitored_items: 10_000,
            },
        }
    }
}
