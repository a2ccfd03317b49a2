//! What the wire tells and asks of the services.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::{Services, dispatch};
use crate::app::refusals::Refusal;
use crate::channel::pki::NotTrusted;
use crate::server::wire::{ChannelInfo, Handler, Reply};

impl Handler for Services {
    fn handle(
        self: Arc<Self>,
        channel: Arc<ChannelInfo>,
        request: u32,
        body: Bytes,
    ) -> BoxFuture<'static, Reply> {
        Box::pin(dispatch::answer(self, channel, request, body))
    }

    fn opened(&self, channel: &ChannelInfo) {
        self.audit_channel(channel);
    }

    fn closed(&self, channel: &ChannelInfo) {
        self.sessions.channel_closed(channel.id);
    }

    fn refused(&self, peer: SocketAddr, refusal: Refusal, reason: &str) {
        self.refusals.count(refusal);
        // An untrusted certificate has its own line, with what to do about it.
        if refusal != Refusal::Certificate && self.counts.may_write_line() {
            tracing::info!(%peer, ?refusal, reason, "a peer was turned away");
        }
    }

    fn certificate_refused(&self, peer: SocketAddr, why: &NotTrusted) {
        self.audit_certificate(peer, why);
    }
}
