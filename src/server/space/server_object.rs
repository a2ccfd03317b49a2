//! What the Server object says of itself (Part 5 §6.3, §8): status, capabilities, limits,
//! diagnostics. Everything that it claims is so; what is not served is not there.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use opcua::types::{
    BuildInfo, DateTime, ExtensionObject, LocalizedText, NodeId, RedundancySupport,
    ServerDiagnosticsSummaryDataType, ServerState as StateWord, ServerStatusDataType,
    SessionDiagnosticsDataType, SessionSecurityDiagnosticsDataType,
    SubscriptionDiagnosticsDataType, TimeZoneDataType, VariableId, Variant, VariantScalarTypeId,
};

use crate::app::clock::Clock;
use crate::channel::decode::walk::ARRAY_MAX;
use crate::channel::time::date_time;
use crate::domain::time::{TICKS_PER_SECOND, Timestamp};
use crate::mirror::Namespaces;
use crate::server::limits::Limits;

/// Values of one history answer.
const HISTORY_VALUES_MAX: u32 = 1000;
/// Events of one history answer.
const HISTORY_EVENTS_MAX: u32 = 500;
/// Longest text that is read from a client.
const STRING_MAX: u32 = 4 << 20;

/// The facets of Part 7 that tests with foreign clients cover.
const PROFILES: [&str; 6] = [
    "http://opcfoundation.org/UA-Profile/Server/StandardUA2017",
    "http://opcfoundation.org/UA-Profile/Server/DataAccess",
    "http://opcfoundation.org/UA-Profile/Server/StandardEventSubscription",
    "http://opcfoundation.org/UA-Profile/Server/Auditing",
    "http://opcfoundation.org/UA-Profile/Server/Methods",
    "http://opcfoundation.org/UA-Profile/Server/HistoricalRawData",
];

/// What the services count and know of sessions.
pub trait Diagnostics: Send + Sync {
    /// Counts since the start.
    fn summary(&self) -> ServerDiagnosticsSummaryDataType;
    /// The sessions.
    fn sessions(&self) -> Vec<SessionDiagnosticsDataType>;
    /// How they are secured.
    fn session_security(&self) -> Vec<SessionSecurityDiagnosticsDataType>;
    /// The subscriptions.
    fn subscriptions(&self) -> Vec<SubscriptionDiagnosticsDataType>;
}

/// When and why the server stops.
#[derive(Clone, Debug)]
struct Shutdown {
    at: Timestamp,
    reason: String,
}

/// What the server is, apart from its sessions.
pub struct ServerState {
    clock: Arc<dyn Clock>,
    started: Timestamp,
    uri: String,
    namespaces: Arc<Namespaces>,
    limits: Limits,
    service_level: AtomicU8,
    shutdown: Mutex<Option<Shutdown>>,
    diagnostics: OnceLock<Arc<dyn Diagnostics>>,
}

impl ServerState {
    /// The state of a server that starts now.
    pub fn new(
        clock: Arc<dyn Clock>,
        uri: &str,
        namespaces: Arc<Namespaces>,
        limits: Limits,
    ) -> Arc<ServerState> {
        Arc::new(ServerState {
            started: clock.now(),
            clock,
            uri: uri.to_owned(),
            namespaces,
            limits,
            service_level: AtomicU8::new(255),
            shutdown: Mutex::default(),
            diagnostics: OnceLock::new(),
        })
    }

    /// Who knows the sessions; the first who says so.
    pub fn set_diagnostics(&self, diagnostics: Arc<dyn Diagnostics>) {
        // The server has one set of services for its whole life.
        let _ = self.diagnostics.set(diagnostics);
    }

    /// Sets the service level (Part 4 §6.6.2).
    pub fn set_service_level(&self, level: u8) {
        self.service_level.store(level, Ordering::Relaxed);
    }

    /// Announces the end.
    pub fn announce_shutdown(&self, at: Timestamp, reason: &str) {
        let mut shutdown = self.shutdown.lock().unwrap_or_else(PoisonError::into_inner);
        *shutdown = Some(Shutdown { at, reason: reason.to_owned() });
    }

    fn shutdown(&self) -> Option<Shutdown> {
        self.shutdown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn status(&self) -> ServerStatusDataType {
        let shutdown = self.shutdown();
        let now = self.clock.now();
        let left = shutdown.as_ref().map_or(0, |s| (s.at - now).ticks().max(0) / TICKS_PER_SECOND);
        ServerStatusDataType {
            start_time: date_time(self.started),
            current_time: date_time(now),
            state: if shutdown.is_some() { StateWord::Shutdown } else { StateWord::Running },
            build_info: build_info(),
            seconds_till_shutdown: u32::try_from(left).unwrap_or(u32::MAX),
            shutdown_reason: shutdown
                .map_or_else(LocalizedText::null, |s| s.reason.as_str().into()),
        }
    }

    /// The value of a variable of the Server object, if it is one that changes or that we set.
    pub fn value(&self, id: &NodeId) -> Option<Variant> {
        let id = VariableId::try_from(id.as_u32().filter(|_| id.namespace == 0)?).ok()?;
        self.status_value(id)
            .or_else(|| self.capability(id))
            .or_else(|| self.operation_limit(id))
            .or_else(|| history_capability(id))
            .or_else(|| self.diagnostic(id))
    }

    fn status_value(&self, id: VariableId) -> Option<Variant> {
        use VariableId as V;
        let status = self.status();
        Some(match id {
            V::Server_ServerStatus => structure(status),
            V::Server_ServerStatus_StartTime => status.start_time.into(),
            V::Server_ServerStatus_CurrentTime => status.current_time.into(),
            V::Server_ServerStatus_State => Variant::Int32(status.state as i32),
            V::Server_ServerStatus_BuildInfo => structure(status.build_info),
            V::Server_ServerStatus_BuildInfo_ProductUri => status.build_info.product_uri.into(),
            V::Server_ServerStatus_BuildInfo_ManufacturerName => {
                status.build_info.manufacturer_name.into()
            }
            V::Server_ServerStatus_BuildInfo_ProductName => status.build_info.product_name.into(),
            V::Server_ServerStatus_BuildInfo_SoftwareVersion => {
                status.build_info.software_version.into()
            }
            V::Server_ServerStatus_BuildInfo_BuildNumber => status.build_info.build_number.into(),
            V::Server_ServerStatus_BuildInfo_BuildDate => status.build_info.build_date.into(),
            V::Server_ServerStatus_SecondsTillShutdown => status.seconds_till_shutdown.into(),
            V::Server_ServerStatus_ShutdownReason => status.shutdown_reason.into(),
            V::Server_ServerArray => texts(std::slice::from_ref(&self.uri)),
            V::Server_NamespaceArray => texts(&self.namespaces.all()),
            V::Server_UrisVersion => Variant::UInt32(0),
            V::Server_ServiceLevel => Variant::Byte(self.service_level.load(Ordering::Relaxed)),
            V::Server_Auditing => Variant::Boolean(true),
            V::Server_EstimatedReturnTime => DateTime::null().into(),
            V::Server_LocalTime => {
                structure(TimeZoneDataType { offset: 0, daylight_saving_in_offset: false })
            }
            V::Server_ServerRedundancy_RedundancySupport => {
                Variant::Int32(RedundancySupport::None as i32)
            }
            _ => return None,
        })
    }

    fn capability(&self, id: VariableId) -> Option<Variant> {
        use VariableId as V;
        let (subscriptions, sessions) = (self.limits.subscriptions, self.limits.sessions);
        Some(match id {
            V::Server_ServerCapabilities_ServerProfileArray => texts(&PROFILES.map(str::to_owned)),
            V::Server_ServerCapabilities_LocaleIdArray => texts(&["en".to_owned()]),
            V::Server_ServerCapabilities_MinSupportedSampleRate => Variant::Double(0.0),
            V::Server_ServerCapabilities_MaxBrowseContinuationPoints => {
                short(sessions.browse_points)
            }
            V::Server_ServerCapabilities_MaxQueryContinuationPoints => Variant::UInt16(0),
            V::Server_ServerCapabilities_MaxHistoryContinuationPoints => {
                short(sessions.history_points)
            }
            V::Server_ServerCapabilities_SoftwareCertificates => {
                Variant::from((VariantScalarTypeId::ExtensionObject, Vec::<Variant>::new()))
            }
            V::Server_ServerCapabilities_MaxArrayLength => count(ARRAY_MAX),
            V::Server_ServerCapabilities_MaxStringLength
            | V::Server_ServerCapabilities_MaxByteStringLength => Variant::UInt32(STRING_MAX),
            V::Server_ServerCapabilities_MaxSessions => count(sessions.active),
            V::Server_ServerCapabilities_MaxSubscriptions => count(subscriptions.total),
            V::Server_ServerCapabilities_MaxMonitoredItems => count(subscriptions.items),
            V::Server_ServerCapabilities_MaxSubscriptionsPerSession => {
                count(subscriptions.per_session)
            }
            V::Server_ServerCapabilities_MaxMonitoredItemsPerSubscription => {
                count(subscriptions.items_per_subscription)
            }
            V::Server_ServerCapabilities_MaxSelectClauseParameters => {
                count(subscriptions.select_clauses)
            }
            V::Server_ServerCapabilities_MaxWhereClauseParameters => {
                count(subscriptions.where_elements)
            }
            V::Server_ServerCapabilities_MaxMonitoredItemsQueueSize => {
                Variant::UInt32(subscriptions.queue)
            }
            _ => return None,
        })
    }

    fn operation_limit(&self, id: VariableId) -> Option<Variant> {
        use VariableId as V;
        let limits = self.limits.operations;
        Some(match id {
            V::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead => count(limits.read),
            V::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData => {
                count(limits.history_read)
            }
            V::Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite => count(limits.write),
            V::Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall => count(limits.call),
            V::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse => count(limits.browse),
            V::Server_ServerCapabilities_OperationLimits_MaxNodesPerRegisterNodes => {
                count(limits.register)
            }
            V::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds => {
                count(limits.translate)
            }
            V::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall => {
                count(limits.monitored_items)
            }
            _ => return None,
        })
    }

    fn diagnostic(&self, id: VariableId) -> Option<Variant> {
        use VariableId as V;
        let diagnostics = self.diagnostics.get()?;
        match id {
            V::Server_ServerDiagnostics_EnabledFlag => return Some(Variant::Boolean(true)),
            V::Server_ServerDiagnostics_SubscriptionDiagnosticsArray => {
                return Some(structures(diagnostics.subscriptions()));
            }
            V::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray => {
                return Some(structures(diagnostics.sessions()));
            }
            V::Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray => {
                return Some(structures(diagnostics.session_security()));
            }
            _ => {}
        }
        let summary = diagnostics.summary();
        Some(Variant::UInt32(match id {
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary => {
                return Some(structure(summary));
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_ServerViewCount => {
                summary.server_view_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount => {
                summary.current_session_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSessionCount => {
                summary.cumulated_session_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_SecurityRejectedSessionCount => {
                summary.security_rejected_session_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_RejectedSessionCount => {
                summary.rejected_session_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_SessionTimeoutCount => {
                summary.session_timeout_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_SessionAbortCount => {
                summary.session_abort_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_PublishingIntervalCount => {
                summary.publishing_interval_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount => {
                summary.current_subscription_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_CumulatedSubscriptionCount => {
                summary.cumulated_subscription_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_SecurityRejectedRequestsCount => {
                summary.security_rejected_requests_count
            }
            V::Server_ServerDiagnostics_ServerDiagnosticsSummary_RejectedRequestsCount => {
                summary.rejected_requests_count
            }
            _ => return None,
        }))
    }
}

fn history_capability(id: VariableId) -> Option<Variant> {
    use VariableId as V;
    Some(match id {
        V::HistoryServerCapabilities_AccessHistoryDataCapability => Variant::Boolean(true),
        V::HistoryServerCapabilities_MaxReturnDataValues => Variant::UInt32(HISTORY_VALUES_MAX),
        V::HistoryServerCapabilities_AccessHistoryEventsCapability => Variant::Boolean(true),
        V::HistoryServerCapabilities_MaxReturnEventValues => Variant::UInt32(HISTORY_EVENTS_MAX),
        V::HistoryServerCapabilities_InsertDataCapability
        | V::HistoryServerCapabilities_ReplaceDataCapability
        | V::HistoryServerCapabilities_UpdateDataCapability
        | V::HistoryServerCapabilities_DeleteRawCapability
        | V::HistoryServerCapabilities_DeleteAtTimeCapability
        | V::HistoryServerCapabilities_InsertEventCapability
        | V::HistoryServerCapabilities_ReplaceEventCapability
        | V::HistoryServerCapabilities_UpdateEventCapability
        | V::HistoryServerCapabilities_DeleteEventCapability
        | V::HistoryServerCapabilities_InsertAnnotationCapability
        | V::HistoryServerCapabilities_ServerTimestampSupported => Variant::Boolean(false),
        _ => return None,
    })
}

/// What the program is.
pub fn build_info() -> BuildInfo {
    BuildInfo {
        product_uri: "urn:linewright".into(),
        manufacturer_name: "Linewright".into(),
        product_name: "Linewright MES".into(),
        software_version: env!("CARGO_PKG_VERSION").into(),
        build_number: env!("CARGO_PKG_VERSION").into(),
        build_date: DateTime::null(),
    }
}

fn texts(texts: &[String]) -> Variant {
    Variant::from(texts.to_vec())
}

fn count(number: usize) -> Variant {
    Variant::UInt32(u32::try_from(number).unwrap_or(u32::MAX))
}

fn short(number: usize) -> Variant {
    Variant::UInt16(u16::try_from(number).unwrap_or(u16::MAX))
}

fn structure<T>(value: T) -> Variant
where
    T: opcua::types::DynEncodable,
{
    Variant::from(ExtensionObject::new(value))
}

fn structures<T>(values: Vec<T>) -> Variant
where
    T: opcua::types::DynEncodable,
{
    let values: Vec<_> = values.into_iter().map(|value| structure(value)).collect();
    Variant::from((VariantScalarTypeId::ExtensionObject, values))
}
