//! Audit events (Part 5 §6.4.3 ff.): who has opened, logged on, written, called, and whose certificate
//! was refused. They are events of the Server for those who answer for the installation, and lines
//! of the log where something was refused.

use std::net::SocketAddr;

use opcua::types::{
    ActivateSessionRequest, AttributeId, ByteString, ObjectId, ObjectTypeId, StatusCode, UAString,
    Variant,
};

use super::Services;
use super::dispatch::Asked;
use super::request::{CallItem, WriteItem};
use super::session::Session;
use crate::channel::pki::NotTrusted;
use crate::server::space::{CallOutcome, Event};
use crate::server::wire::ChannelInfo;

/// Severity of what went well, and of what was refused.
const DONE: u16 = 100;
const REFUSED: u16 = 500;

/// What all audit events say.
struct Entry<'a> {
    kind: ObjectTypeId,
    source: &'a str,
    status: StatusCode,
    user: &'a str,
    entry_id: &'a str,
    message: String,
}

impl Services {
    fn audit_event(&self, entry: Entry<'_>) -> Event {
        let severity = if entry.status.is_bad() { REFUSED } else { DONE };
        let source = (ObjectId::Server.into(), entry.source);
        let at = self.now();
        Event::new(entry.kind, source, at, severity, entry.message)
            .with("ActionTimeStamp", at)
            .with("Status", !entry.status.is_bad())
            .with("ServerId", UAString::from(self.endpoints.application_uri.as_str()))
            .with("ClientAuditEntryId", UAString::from(entry.entry_id))
            .with("ClientUserId", UAString::from(entry.user))
            .with("StatusCodeId", entry.status)
    }

    fn is_watched(&self) -> bool {
        self.hub.has_event_watchers()
    }

    /// A channel was opened.
    pub(super) fn audit_channel(&self, channel: &ChannelInfo) {
        if !self.is_watched() {
            return;
        }
        let event = self.audit_event(Entry {
            kind: ObjectTypeId::AuditOpenSecureChannelEventType,
            source: "SecureChannel/OpenSecureChannel",
            status: StatusCode::Good,
            user: "",
            entry_id: "",
            message: format!("{} has opened a channel", channel.peer),
        });
        self.emit(
            &event
                .with("SecureChannelId", UAString::from(channel.id.to_string()))
                .with("ClientCertificate", certificate(channel))
                .with("ClientCertificateThumbprint", UAString::from(thumbprint(channel)))
                .with("SecurityPolicyUri", UAString::from(channel.policy.to_uri()))
                .with("SecurityMode", Variant::Int32(channel.mode as i32)),
        );
    }

    /// A certificate was refused: the log says how it can be trusted.
    pub(super) fn audit_certificate(&self, peer: SocketAddr, why: &NotTrusted) {
        let (reason, status) = (&why.reason, why.status);
        if self.counts.may_write_line() {
            match &why.certificate {
                Some(refused) => {
                    let (id, subject) = (refused.short_id(), refused.subject());
                    let trust = format!("{} {id}", self.trust_command);
                    tracing::warn!(
                        %peer, id, subject, %status, reason, trust,
                        "a client's certificate was refused; the command in trust accepts it"
                    );
                }
                None => {
                    tracing::warn!(%peer, %status, reason, "a client's certificate was refused")
                }
            }
        }
        if !self.is_watched() {
            return;
        }
        let kind = match status {
            StatusCode::BadCertificateTimeInvalid | StatusCode::BadCertificateIssuerTimeInvalid => {
                ObjectTypeId::AuditCertificateExpiredEventType
            }
            StatusCode::BadCertificateUntrusted | StatusCode::BadCertificateChainIncomplete => {
                ObjectTypeId::AuditCertificateUntrustedEventType
            }
            StatusCode::BadCertificateRevoked
            | StatusCode::BadCertificateIssuerRevoked
            | StatusCode::BadCertificateRevocationUnknown
            | StatusCode::BadCertificateIssuerRevocationUnknown => {
                ObjectTypeId::AuditCertificateRevokedEventType
            }
            StatusCode::BadCertificateUseNotAllowed
            | StatusCode::BadCertificateIssuerUseNotAllowed => {
                ObjectTypeId::AuditCertificateMismatchEventType
            }
            _ => ObjectTypeId::AuditCertificateInvalidEventType,
        };
        let der = why.certificate.as_ref().map_or_else(ByteString::null, |one| one.der.clone());
        let event = self.audit_event(Entry {
            kind,
            source: "Security/Certificate",
            status,
            user: "",
            entry_id: "",
            message: format!("the certificate of {peer} was refused: {reason}"),
        });
        self.emit(&event.with("Certificate", der));
    }

    /// A client is not the application that its certificate is for.
    pub(super) fn audit_uri_mismatch(&self, channel: &ChannelInfo, uri: &str) {
        let event = self.audit_event(Entry {
            kind: ObjectTypeId::AuditCertificateDataMismatchEventType,
            source: "Security/Certificate",
            status: StatusCode::BadCertificateUriInvalid,
            user: "",
            entry_id: "",
            message: format!("{} has a certificate for another application", channel.peer),
        });
        self.emit(
            &event
                .with("Certificate", certificate(channel))
                .with("InvalidUri", UAString::from(uri)),
        );
    }

    /// A session was made or has ended.
    pub(super) fn audit_session(&self, session: &Session, what: &'static str, status: StatusCode) {
        if !self.is_watched() {
            return;
        }
        let (user, channel) = {
            let binding = session.binding();
            (binding.asker.name.clone(), binding.channel.clone())
        };
        let kind = match what {
            "CreateSession" => ObjectTypeId::AuditCreateSessionEventType,
            _ => ObjectTypeId::AuditSessionEventType,
        };
        let event = self.audit_event(Entry {
            kind,
            source: if what == "CreateSession" {
                "Session/CreateSession"
            } else {
                "Session/CloseSession"
            },
            status,
            user: &user,
            entry_id: "",
            message: format!("{what} {}", session.name),
        });
        let mut event = event.with("SessionId", session.id.clone());
        if what == "CreateSession" {
            event = event
                .with("SecureChannelId", UAString::from(channel.id.to_string()))
                .with("ClientCertificate", certificate(&channel))
                .with("ClientCertificateThumbprint", UAString::from(thumbprint(&channel)))
                .with("RevisedSessionTimeout", session.timeout.as_secs_f64() * 1000.0);
        }
        self.emit(&event);
    }

    /// Somebody has logged on to a session, or could not.
    pub(super) fn audit_activation(
        &self,
        session: &Session,
        request: &ActivateSessionRequest,
        status: StatusCode,
    ) {
        let (user, channel) = {
            let binding = session.binding();
            (binding.asker.name.clone(), binding.channel.clone())
        };
        if status.is_bad() && self.counts.may_write_line() {
            let (peer, session) = (channel.peer, &session.name);
            tracing::warn!(%peer, session, %status, "a user could not log on");
        }
        if !self.is_watched() {
            return;
        }
        let event = self.audit_event(Entry {
            kind: ObjectTypeId::AuditActivateSessionEventType,
            source: "Session/ActivateSession",
            status,
            user: &user,
            entry_id: request.request_header.audit_entry_id.as_ref(),
            message: format!("ActivateSession {}", session.name),
        });
        self.emit(
            &event
                .with("SessionId", session.id.clone())
                .with("SecureChannelId", UAString::from(channel.id.to_string())),
        );
    }

    /// A request was given back because its client wanted it.
    pub(super) fn audit_cancel(&self, session: &Session, handle: u32) {
        if !self.is_watched() {
            return;
        }
        let user = session.asker().name.clone();
        let event = self.audit_event(Entry {
            kind: ObjectTypeId::AuditCancelEventType,
            source: "Session/Cancel",
            status: StatusCode::Good,
            user: &user,
            entry_id: "",
            message: format!("Cancel in {}", session.name),
        });
        self.emit(&event.with("SessionId", session.id.clone()).with("RequestHandle", handle));
    }

    /// Somebody has written, or tried to.
    pub(super) fn audit_write(&self, asked: &Asked, item: &WriteItem, status: StatusCode) {
        if !self.is_watched() {
            return;
        }
        let event = self.audit_event(Entry {
            kind: ObjectTypeId::AuditWriteUpdateEventType,
            source: "Attribute/Write",
            status,
            user: &asked.asker.name,
            entry_id: asked.header.audit_entry_id.as_ref(),
            message: format!("Write to {}", item.node),
        });
        let range = item.range.as_ref().map(ToString::to_string).unwrap_or_default();
        let is_value = item.attribute == AttributeId::Value as u32;
        let new = item.value.value.clone().filter(|_| is_value).unwrap_or_default();
        self.emit(
            &event
                .with("AttributeId", item.attribute)
                .with("IndexRange", UAString::from(range))
                .with("NewValue", new),
        );
    }

    /// Somebody has called a method, or tried to.
    pub(super) fn audit_call(&self, asked: &Asked, item: &CallItem, called: &CallOutcome) {
        if !self.is_watched() {
            return;
        }
        let event = self.audit_event(Entry {
            kind: called.audit.unwrap_or(ObjectTypeId::AuditUpdateMethodEventType),
            source: "Attribute/Call",
            status: called.status,
            user: &asked.asker.name,
            entry_id: asked.header.audit_entry_id.as_ref(),
            message: format!("Call of {}", item.method),
        });
        let inputs = item.arguments.clone();
        let event = match called.audit {
            Some(kind) => about_condition(event, kind, item),
            None => event,
        };
        self.emit(
            &event
                .with("MethodId", item.method.clone())
                .with("InputArguments", list(inputs))
                .with("OutputArguments", list(called.outputs.clone())),
        );
    }
}

/// What was done about a condition is audited there, with what was said (Part 9 §5.10).
fn about_condition(event: Event, kind: ObjectTypeId, item: &CallItem) -> Event {
    let event = Event { source: item.object.clone(), ..event };
    match (kind, item.arguments.as_slice()) {
        (ObjectTypeId::AuditConditionShelvingEventType, [time]) => {
            event.with("ShelvingTime", time.clone())
        }
        (_, [id, comment]) => {
            event.with("ConditionEventId", id.clone()).with("Comment", comment.clone())
        }
        _ => event,
    }
}

/// Values of any types as one array.
fn list(values: Vec<Variant>) -> Variant {
    let values = values.into_iter().map(|value| Variant::Variant(Box::new(value)));
    Variant::from((opcua::types::VariantScalarTypeId::Variant, values.collect::<Vec<_>>()))
}

fn certificate(channel: &ChannelInfo) -> ByteString {
    channel.certificate.as_ref().map_or_else(ByteString::null, |one| one.der.clone())
}

fn thumbprint(channel: &ChannelInfo) -> String {
    channel.certificate.as_ref().map_or_else(String::new, |one| one.fingerprint.clone())
}
