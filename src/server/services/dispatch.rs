//! From the type id of a request to the service that answers it: session, limits, time and counters
//! are looked at here, once for all services.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt as _;
use opcua::types::{BinaryDecodable, NodeId, ObjectId, RequestHeader, StatusCode};

use super::Services;
use super::respond::fault;
use super::session::Session;
use crate::channel::decode::Reader;
use crate::server::space::Asker;
use crate::server::wire::{ChannelInfo, Reply};

/// A request of a session that may be answered.
pub struct Asked {
    /// The session.
    pub session: Arc<Session>,
    /// What its user may do.
    pub asker: Arc<Asker>,
    /// Header of the request.
    pub header: RequestHeader,
    /// The channel.
    pub channel: Arc<ChannelInfo>,
    /// Request id.
    pub request: u32,
}

impl Asked {
    /// How long the client waits, and so do we (Part 4 §7.32).
    fn patience(&self, ours: Duration) -> Duration {
        match self.header.timeout_hint {
            0 => ours,
            hint => Duration::from_millis(u64::from(hint)).min(ours),
        }
    }

    /// When the client gives the request up, if it has said so.
    pub fn deadline(&self) -> Option<Instant> {
        let hint = self.header.timeout_hint;
        (hint > 0).then(|| Instant::now() + Duration::from_millis(u64::from(hint)))
    }
}

/// A request that has arrived, cut into its parts.
struct Incoming {
    body: Bytes,
    /// Where the header begins.
    start: usize,
    /// Where what follows the header begins.
    rest: usize,
}

impl Incoming {
    /// Decodes the whole request with the stack, where nothing in it can nest or be half wrong.
    fn whole<T: BinaryDecodable>(&self, services: &Services) -> Result<T, StatusCode> {
        let context = services.context.context();
        let bytes = self.body.get(self.start..).unwrap_or_default();
        let mut reader = Reader::new(bytes, &context);
        let request = reader.plain()?;
        reader.finish()?;
        Ok(request)
    }

    /// Reads what follows the header.
    fn behind<T>(
        &self,
        services: &Services,
        read: fn(&mut Reader<'_>) -> Result<T, StatusCode>,
    ) -> Result<T, StatusCode> {
        let context = services.context.context();
        let bytes = self.body.get(self.rest..).unwrap_or_default();
        let mut reader = Reader::new(bytes, &context);
        let request = read(&mut reader)?;
        reader.finish()?;
        Ok(request)
    }
}

/// Answers a request.
pub async fn answer(
    services: Arc<Services>,
    channel: Arc<ChannelInfo>,
    request: u32,
    body: Bytes,
) -> Reply {
    let parsed = {
        let context = services.context.context();
        let mut reader = Reader::new(&body, &context);
        let id: Result<NodeId, _> = reader.type_id();
        let start = body.len() - reader.rest().len();
        let header = id.and_then(|id| Ok((id, reader.header()?)));
        let rest = body.len() - reader.rest().len();
        header.map(|(id, header)| (id, header, start, rest))
    };
    let (id, header, start, rest) = match parsed {
        Ok(parsed) => parsed,
        Err(status) => return fault(&RequestHeader::dummy(), services.now(), status),
    };
    let incoming = Incoming { body, start, rest };
    let told = header.clone();
    let work = route(&services, channel, request, &id, header, incoming);
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(Ok(reply)) => reply,
        Ok(Err(status)) => {
            services.counts.rejected(status);
            fault(&told, services.now(), status)
        }
        Err(_) => {
            tracing::error!(request = %id, "a request could not be answered; this is a defect");
            fault(&told, services.now(), StatusCode::BadInternalError)
        }
    }
}

async fn route(
    services: &Arc<Services>,
    channel: Arc<ChannelInfo>,
    request: u32,
    id: &NodeId,
    header: RequestHeader,
    incoming: Incoming,
) -> Result<Reply, StatusCode> {
    use ObjectId as O;
    let service = id.as_object_id().map_err(|_| StatusCode::BadServiceUnsupported)?;
    match service {
        O::GetEndpointsRequest_Encoding_DefaultBinary => {
            return Ok(services.get_endpoints(&channel, &incoming.whole(services)?));
        }
        O::FindServersRequest_Encoding_DefaultBinary => {
            return Ok(services.find_servers(&channel, &incoming.whole(services)?));
        }
        // Part 4 §5.5: a channel without security is for discovery, unless more is configured.
        _ if !services.endpoints.are_served(channel.policy, channel.mode) => {
            return Err(StatusCode::BadSecurityPolicyRejected);
        }
        O::CreateSessionRequest_Encoding_DefaultBinary => {
            let request = incoming.whole(services)?;
            return services.create_session(channel, request).await;
        }
        O::ActivateSessionRequest_Encoding_DefaultBinary => {
            let request = incoming.whole(services)?;
            return services.activate_session(channel, request).await;
        }
        O::CloseSessionRequest_Encoding_DefaultBinary => {
            let request = incoming.whole(services)?;
            return services.close_session(&channel, &request);
        }
        _ => {}
    }
    let session = services.session(&channel, &header.authentication_token)?;
    let asker = session.asker();
    let asked = Asked { session: session.clone(), asker, header, channel, request };
    let patience = asked.patience(services.limits.sessions.request_timeout);
    let name = name(service);
    let work = serve(services, asked, service, incoming);
    let answered = match tokio::time::timeout(patience, work).await {
        Ok(answered) => answered,
        Err(_) => Err(StatusCode::BadTimeout),
    };
    if let Some(name) = name {
        session.count(name, answered.as_ref().err().copied().unwrap_or(StatusCode::Good));
    }
    answered
}

/// Services of a session.
async fn serve(
    services: &Arc<Services>,
    asked: Asked,
    service: ObjectId,
    incoming: Incoming,
) -> Result<Reply, StatusCode> {
    use super::request as read;
    use ObjectId as O;
    match service {
        O::ReadRequest_Encoding_DefaultBinary => {
            let request = incoming.behind(services, read::ReadNodes::read)?;
            services.read(&asked, request).await
        }
        O::WriteRequest_Encoding_DefaultBinary => {
            let items = incoming.behind(services, read::read_write)?;
            services.write(asked, items).await
        }
        O::BrowseRequest_Encoding_DefaultBinary => {
            let request = incoming.behind(services, read::Browse::read)?;
            services.browse(&asked, request).await
        }
        O::BrowseNextRequest_Encoding_DefaultBinary => {
            services.browse_next(&asked, incoming.whole(services)?).await
        }
        O::TranslateBrowsePathsToNodeIdsRequest_Encoding_DefaultBinary => {
            services.translate(&asked, incoming.whole(services)?).await
        }
        O::RegisterNodesRequest_Encoding_DefaultBinary => {
            services.register_nodes(&asked, incoming.whole(services)?)
        }
        O::UnregisterNodesRequest_Encoding_DefaultBinary => {
            services.unregister_nodes(&asked, incoming.whole(services)?)
        }
        O::CallRequest_Encoding_DefaultBinary => {
            let items = incoming.behind(services, read::read_call)?;
            services.call(asked, items).await
        }
        O::HistoryReadRequest_Encoding_DefaultBinary => {
            let request = incoming.behind(services, read::HistoryRead::read)?;
            services.history_read(&asked, request).await
        }
        O::HistoryUpdateRequest_Encoding_DefaultBinary => {
            services.history_update(&asked, incoming.whole(services)?)
        }
        O::CancelRequest_Encoding_DefaultBinary => {
            Ok(services.cancel(&asked, &incoming.whole(services)?))
        }
        _ => serve_subscriptions(services, asked, service, incoming).await,
    }
}

/// Services of subscriptions and monitored items.
async fn serve_subscriptions(
    services: &Arc<Services>,
    asked: Asked,
    service: ObjectId,
    incoming: Incoming,
) -> Result<Reply, StatusCode> {
    use super::request as read;
    use ObjectId as O;
    match service {
        O::CreateMonitoredItemsRequest_Encoding_DefaultBinary => {
            let request = incoming.behind(services, read::read_create_items)?;
            services.create_items(&asked, request).await
        }
        O::ModifyMonitoredItemsRequest_Encoding_DefaultBinary => {
            let request = incoming.behind(services, read::read_modify_items)?;
            services.modify_items(&asked, request).await
        }
        O::SetMonitoringModeRequest_Encoding_DefaultBinary => {
            let request = incoming.behind(services, read::SetMode::read)?;
            services.set_monitoring_mode(&asked, request).await
        }
        O::DeleteMonitoredItemsRequest_Encoding_DefaultBinary => {
            services.delete_items(&asked, incoming.whole(services)?)
        }
        O::SetTriggeringRequest_Encoding_DefaultBinary => {
            services.set_triggering(&asked, incoming.whole(services)?)
        }
        O::CreateSubscriptionRequest_Encoding_DefaultBinary => {
            services.create_subscription(&asked, &incoming.whole(services)?)
        }
        O::ModifySubscriptionRequest_Encoding_DefaultBinary => {
            services.modify_subscription(&asked, &incoming.whole(services)?)
        }
        O::SetPublishingModeRequest_Encoding_DefaultBinary => {
            services.set_publishing_mode(&asked, incoming.whole(services)?)
        }
        O::DeleteSubscriptionsRequest_Encoding_DefaultBinary => {
            services.delete_subscriptions(&asked, incoming.whole(services)?)
        }
        O::TransferSubscriptionsRequest_Encoding_DefaultBinary => {
            services.transfer_subscriptions(&asked, incoming.whole(services)?).await
        }
        O::PublishRequest_Encoding_DefaultBinary => {
            services.publish(&asked, incoming.whole(services)?)
        }
        O::RepublishRequest_Encoding_DefaultBinary => {
            services.republish(&asked, &incoming.whole(services)?)
        }
        _ => Err(StatusCode::BadServiceUnsupported),
    }
}

/// Under which name a service is counted.
fn name(service: ObjectId) -> Option<&'static str> {
    use ObjectId as O;
    Some(match service {
        O::ReadRequest_Encoding_DefaultBinary => "Read",
        O::WriteRequest_Encoding_DefaultBinary => "Write",
        O::BrowseRequest_Encoding_DefaultBinary => "Browse",
        O::BrowseNextRequest_Encoding_DefaultBinary => "BrowseNext",
        O::TranslateBrowsePathsToNodeIdsRequest_Encoding_DefaultBinary => "Translate",
        O::RegisterNodesRequest_Encoding_DefaultBinary => "RegisterNodes",
        O::UnregisterNodesRequest_Encoding_DefaultBinary => "UnregisterNodes",
        O::CallRequest_Encoding_DefaultBinary => "Call",
        O::HistoryReadRequest_Encoding_DefaultBinary => "HistoryRead",
        O::HistoryUpdateRequest_Encoding_DefaultBinary => "HistoryUpdate",
        O::CreateMonitoredItemsRequest_Encoding_DefaultBinary => "CreateMonitoredItems",
        O::ModifyMonitoredItemsRequest_Encoding_DefaultBinary => "ModifyMonitoredItems",
        O::SetMonitoringModeRequest_Encoding_DefaultBinary => "SetMonitoringMode",
        O::DeleteMonitoredItemsRequest_Encoding_DefaultBinary => "DeleteMonitoredItems",
        O::SetTriggeringRequest_Encoding_DefaultBinary => "SetTriggering",
        O::CreateSubscriptionRequest_Encoding_DefaultBinary => "CreateSubscription",
        O::ModifySubscriptionRequest_Encoding_DefaultBinary => "ModifySubscription",
        O::SetPublishingModeRequest_Encoding_DefaultBinary => "SetPublishingMode",
        O::DeleteSubscriptionsRequest_Encoding_DefaultBinary => "DeleteSubscriptions",
        O::TransferSubscriptionsRequest_Encoding_DefaultBinary => "TransferSubscriptions",
        O::PublishRequest_Encoding_DefaultBinary => "Publish",
        O::RepublishRequest_Encoding_DefaultBinary => "Republish",
        _ => return None,
    })
}
