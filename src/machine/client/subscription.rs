//! The subscription services (Part 4 §5.13 and §5.14), one to one; what to do with sequence numbers
//! is decided elsewhere.

use std::time::Duration;

use opcua::types::{
    CreateMonitoredItemsRequest, CreateSubscriptionRequest, CreateSubscriptionResponse, DataValue,
    DateTime, DeleteMonitoredItemsRequest, DeleteSubscriptionsRequest, ExtensionObject,
    ModifyMonitoredItemsRequest, MonitoredItemCreateRequest, MonitoredItemModifyRequest, ObjectId,
    PublishRequest, RepublishRequest, StatusCode, SubscriptionAcknowledgement, TimestampsToReturn,
    TransferSubscriptionsRequest, Variant,
};

use super::answer::{open, results, unreadable, whole};
use super::failure::Failure;
use super::session::{PATIENCE, Session};
use crate::channel::decode::{Reader, raw_body};

/// A subscription as the machine has it.
#[derive(Clone, Copy, Debug)]
pub struct Subscribed {
    /// Its id.
    pub id: u32,
    /// How often it publishes.
    pub publishing: Duration,
    /// Publishing intervals after which it says that it lives.
    pub keep_alive: u32,
    /// Publishing intervals after which it ends when nobody asks for it.
    pub lifetime: u32,
}

/// An item as the machine has it.
#[derive(Clone, Copy, Debug)]
pub struct Watching {
    /// How it went; what follows means something only if that is good.
    pub status: StatusCode,
    /// Its id.
    pub id: u32,
    /// How often it looks, in milliseconds.
    pub sampling: f64,
    /// Values that it keeps.
    pub queue: u32,
}

impl Watching {
    /// An item that is not made.
    pub fn refused(status: StatusCode) -> Watching {
        Watching { status, id: 0, sampling: 0.0, queue: 0 }
    }
}

/// What a subscription tells.
#[derive(Clone, Debug)]
pub enum Notification {
    /// Values of items, by client handle.
    Changes(Vec<(u32, DataValue)>),
    /// Fields of events, by client handle of their items.
    Events(Vec<(u32, Vec<Variant>)>),
    /// The subscription itself has changed; after most of this it is gone.
    Status(StatusCode),
}

/// A notification message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its number; that of a message without notifications is the number of the next one.
    pub sequence: u32,
    /// When the machine has sent it.
    pub sent: DateTime,
    /// What it tells, in this order.
    pub notifications: Vec<Notification>,
}

/// What comes of a request to publish.
#[derive(Clone, Debug)]
pub struct Published {
    /// The subscription.
    pub subscription: u32,
    /// Messages that can be had again.
    pub available: Vec<u32>,
    /// Whether there is more to be told at once.
    pub more: bool,
    /// The message.
    pub message: Message,
}

impl Session {
    /// Makes a subscription.
    pub async fn subscribe(
        &self,
        publishing: Duration,
        keep_alive: u32,
        lifetime: u32,
    ) -> Result<Subscribed, Failure> {
        let request = CreateSubscriptionRequest {
            request_header: self.header(PATIENCE),
            requested_publishing_interval: publishing.as_secs_f64() * 1000.0,
            requested_lifetime_count: lifetime,
            requested_max_keep_alive_count: keep_alive,
            max_notifications_per_publish: 0,
            publishing_enabled: true,
            priority: 0,
        };
        let answer = self.ask(request, PATIENCE).await?;
        let expected = ObjectId::CreateSubscriptionResponse_Encoding_DefaultBinary;
        let made: CreateSubscriptionResponse = whole(&answer, &self.context().context(), expected)?;
        let revised = Duration::try_from_secs_f64(made.revised_publishing_interval / 1000.0);
        Ok(Subscribed {
            id: made.subscription_id,
            publishing: revised.unwrap_or(publishing),
            keep_alive: made.revised_max_keep_alive_count,
            lifetime: made.revised_lifetime_count,
        })
    }

    /// Ends a subscription.
    pub async fn unsubscribe(&self, subscription: u32) -> Result<StatusCode, Failure> {
        let request = DeleteSubscriptionsRequest {
            request_header: self.header(PATIENCE),
            subscription_ids: Some(vec![subscription]),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let expected = ObjectId::DeleteSubscriptionsResponse_Encoding_DefaultBinary;
        let context = self.context().context();
        one(results(&answer, &context, expected, 1, Reader::plain)?)
    }

    /// Watches items.
    pub async fn watch(
        &self,
        subscription: u32,
        items: &[MonitoredItemCreateRequest],
    ) -> Result<Vec<Watching>, Failure> {
        let ask = |part| self.watch_part(subscription, part);
        self.in_parts(items, |limits| &mut limits.items, ask).await
    }

    async fn watch_part(
        &self,
        subscription: u32,
        part: &[MonitoredItemCreateRequest],
    ) -> Result<Vec<Watching>, Failure> {
        let request = CreateMonitoredItemsRequest {
            request_header: self.header(PATIENCE),
            subscription_id: subscription,
            timestamps_to_return: TimestampsToReturn::Both,
            items_to_create: Some(part.to_vec()),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::CreateMonitoredItemsResponse_Encoding_DefaultBinary;
        results(&answer, &context, expected, part.len(), |reader| {
            let (status, id) = (reader.plain()?, reader.plain()?);
            revised(reader, status, id)
        })
    }

    /// Changes how items are watched.
    pub async fn rewatch(
        &self,
        subscription: u32,
        items: &[MonitoredItemModifyRequest],
    ) -> Result<Vec<Watching>, Failure> {
        let ask = |part| self.rewatch_part(subscription, part);
        self.in_parts(items, |limits| &mut limits.items, ask).await
    }

    async fn rewatch_part(
        &self,
        subscription: u32,
        part: &[MonitoredItemModifyRequest],
    ) -> Result<Vec<Watching>, Failure> {
        let request = ModifyMonitoredItemsRequest {
            request_header: self.header(PATIENCE),
            subscription_id: subscription,
            timestamps_to_return: TimestampsToReturn::Both,
            items_to_modify: Some(part.to_vec()),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::ModifyMonitoredItemsResponse_Encoding_DefaultBinary;
        let mut ids = part.iter().map(|item| item.monitored_item_id);
        results(&answer, &context, expected, part.len(), |reader| {
            let status = reader.plain()?;
            revised(reader, status, ids.next().unwrap_or_default())
        })
    }

    /// Watches items no longer.
    pub async fn unwatch(
        &self,
        subscription: u32,
        items: &[u32],
    ) -> Result<Vec<StatusCode>, Failure> {
        let ask = |part| self.unwatch_part(subscription, part);
        self.in_parts(items, |limits| &mut limits.items, ask).await
    }

    async fn unwatch_part(
        &self,
        subscription: u32,
        part: &[u32],
    ) -> Result<Vec<StatusCode>, Failure> {
        let request = DeleteMonitoredItemsRequest {
            request_header: self.header(PATIENCE),
            subscription_id: subscription,
            monitored_item_ids: Some(part.to_vec()),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::DeleteMonitoredItemsResponse_Encoding_DefaultBinary;
        results(&answer, &context, expected, part.len(), Reader::plain)
    }

    /// Lets a subscription tell something, and acknowledges what it has told before.
    pub async fn publish(
        &self,
        acknowledge: Vec<SubscriptionAcknowledgement>,
        patience: Duration,
    ) -> Result<Published, Failure> {
        let request = PublishRequest {
            request_header: self.header(patience),
            subscription_acknowledgements: Some(acknowledge),
        };
        let answer = self.ask(request, patience).await?;
        let context = self.context().context();
        let mut reader = open(&answer, &context, ObjectId::PublishResponse_Encoding_DefaultBinary)?;
        published(&mut reader).map_err(unreadable)
    }

    /// Has a message told again.
    pub async fn republish(&self, subscription: u32, sequence: u32) -> Result<Message, Failure> {
        let request = RepublishRequest {
            request_header: self.header(PATIENCE),
            subscription_id: subscription,
            retransmit_sequence_number: sequence,
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::RepublishResponse_Encoding_DefaultBinary;
        let mut reader = open(&answer, &context, expected)?;
        let told = message(&mut reader).map_err(unreadable)?;
        if told.sequence == sequence {
            return Ok(told);
        }
        // Some machines say so, with an empty message, that they do not have it (asyncua 2.1).
        Err(Failure::refused(StatusCode::BadMessageNotAvailable))
    }

    /// Takes a subscription over from a session that is gone; gives the messages that can be had
    /// again.
    pub async fn transfer(
        &self,
        subscription: u32,
    ) -> Result<Result<Vec<u32>, StatusCode>, Failure> {
        let request = TransferSubscriptionsRequest {
            request_header: self.header(PATIENCE),
            subscription_ids: Some(vec![subscription]),
            // The first values again: what was told in between may be gone.
            send_initial_values: true,
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::TransferSubscriptionsResponse_Encoding_DefaultBinary;
        one(results(&answer, &context, expected, 1, |reader| {
            let status: StatusCode = reader.plain()?;
            let available = reader.array(Reader::plain)?;
            Ok(if status.is_bad() { Err(status) } else { Ok(available) })
        })?)
    }
}

fn one<T>(mut results: Vec<T>) -> Result<T, Failure> {
    results.pop().ok_or_else(|| unreadable(StatusCode::BadUnknownResponse))
}

fn revised(reader: &mut Reader<'_>, status: StatusCode, id: u32) -> Result<Watching, StatusCode> {
    let (sampling, queue) = (reader.plain()?, reader.plain()?);
    // What the machine makes of the filter.
    reader.extension_object()?;
    Ok(Watching { status, id, sampling, queue })
}

fn published(reader: &mut Reader<'_>) -> Result<Published, StatusCode> {
    let subscription = reader.plain()?;
    let available = reader.array(Reader::plain)?;
    let more = reader.plain()?;
    Ok(Published { subscription, available, more, message: message(reader)? })
}

fn message(reader: &mut Reader<'_>) -> Result<Message, StatusCode> {
    let (sequence, sent) = (reader.plain()?, reader.plain()?);
    let data = reader.array(Reader::extension_object)?;
    let mut notifications = Vec::with_capacity(data.len());
    for object in &data {
        notifications.extend(notification(reader, object)?);
    }
    Ok(Message { sequence, sent, notifications })
}

fn notification(
    reader: &mut Reader<'_>,
    object: &ExtensionObject,
) -> Result<Option<Notification>, StatusCode> {
    // An object without a body is what some machines send in place of nothing.
    let Some((id, body)) = raw_body(object) else { return Ok(None) };
    let mut inside = reader.inside(body);
    let notification = if id == ObjectId::DataChangeNotification_Encoding_DefaultBinary {
        let change = |r: &mut Reader<'_>| Ok((r.plain()?, r.data_value()?));
        Some(Notification::Changes(inside.array(change)?))
    } else if id == ObjectId::EventNotificationList_Encoding_DefaultBinary {
        let event = |r: &mut Reader<'_>| Ok((r.plain()?, r.array(Reader::variant)?));
        Some(Notification::Events(inside.array(event)?))
    } else if id == ObjectId::StatusChangeNotification_Encoding_DefaultBinary {
        Some(Notification::Status(inside.plain()?))
    } else {
        // Part 4 §7.21: kinds that are not known are passed over.
        None
    };
    reader.spend(&inside);
    Ok(notification)
}
