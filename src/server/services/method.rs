//! Call (Part 4 §5.12): finding the method, who may call it, and the two methods of the Server
//! object that are about subscriptions (Part 5 §9).

use std::sync::Arc;

use opcua::types::{
    CallMethodResult, CallResponse, DiagnosticBits, DiagnosticInfo, MethodId, MonitoringMode,
    NodeClass, NodeId, PermissionType, StatusCode, UAString, Variant,
};

use super::Services;
use super::attribute::{check_count, check_restrictions};
use super::dispatch::Asked;
use super::item::Item;
use super::request::CallItem;
use super::respond::to_the_end;
use super::subscription::Subscription;
use crate::domain::role::Permission;
use crate::server::space::{CallOutcome, Protection};
use crate::server::wire::Reply;

fn refused(status: StatusCode) -> CallOutcome {
    CallOutcome { status, ..CallOutcome::default() }
}

impl Services {
    pub(super) async fn call(
        self: &Arc<Self>,
        asked: Asked,
        items: Vec<CallItem>,
    ) -> Result<Reply, StatusCode> {
        check_count(items.len(), self.limits.operations.call)?;
        let services = self.clone();
        to_the_end(async move { services.call_all(&asked, &items).await }).await
    }

    async fn call_all(self: &Arc<Self>, asked: &Asked, items: &[CallItem]) -> Reply {
        let mut results = Vec::with_capacity(items.len());
        let mut reasons = Vec::with_capacity(items.len());
        for item in items {
            let called = match self.call_item(asked, item).await {
                Ok(called) => called,
                Err(status) => refused(status),
            };
            self.audit_call(asked, item, &called);
            let arguments = called.arguments;
            reasons.push(called.why);
            results.push(CallMethodResult {
                status_code: called.status,
                input_argument_results: (!arguments.is_empty()).then_some(arguments),
                input_argument_diagnostic_infos: None,
                output_arguments: Some(called.outputs),
            });
        }
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().map(|result| result.status_code));
        let diagnostic_infos = with_reasons(asked, diagnostic_infos, reasons);
        CallResponse { response_header, results: Some(results), diagnostic_infos }.into()
    }

    async fn call_item(
        self: &Arc<Self>,
        asked: &Asked,
        item: &CallItem,
    ) -> Result<CallOutcome, StatusCode> {
        let asker = &*asked.asker;
        if let Some(method) = self.space.response(&item.object, &item.method) {
            let protection = Protection::Method(Permission::CommandMachines);
            if !protection.permissions(asker.role).contains(PermissionType::Call) {
                return Err(StatusCode::BadUserAccessDenied);
            }
            check_restrictions(protection, asker)?;
            return Ok(self.space.call(&item.object, &method, &item.arguments, asker).await);
        }
        self.visible(&item.object, asker).await?;
        let method = self.method_of(&item.object, &item.method).await?;
        let node = self.visible(&method, asker).await?;
        if !node.protection.permissions(asker.role).contains(call_permission(&method)) {
            return Err(StatusCode::BadUserAccessDenied);
        }
        check_restrictions(node.protection, asker)?;
        if !node.is_executable() {
            return Err(StatusCode::BadNotExecutable);
        }
        if is(&method, MethodId::Server_GetMonitoredItems) {
            return self.get_monitored_items(asked, &item.arguments);
        }
        if is(&method, MethodId::Server_ResendData) {
            return self.resend_data(asked, &item.arguments).await;
        }
        if is(&method, MethodId::ConditionType_ConditionRefresh) {
            return self.condition_refresh(asked, &item.arguments, false);
        }
        if is(&method, MethodId::ConditionType_ConditionRefresh2) {
            return self.condition_refresh(asked, &item.arguments, true);
        }
        Ok(self.space.call(&item.object, &method, &item.arguments, asker).await)
    }

    /// The method of an object, named by its own id or by that of its type (Part 4 §5.12.2.2).
    async fn method_of(&self, object: &NodeId, method: &NodeId) -> Result<NodeId, StatusCode> {
        let mut named = None;
        if let Some(node) = self.space.node(method).await? {
            named = (node.class() == NodeClass::Method).then(|| node.browse_name.clone());
        }
        let named = named.ok_or(StatusCode::BadMethodInvalid)?;
        let parts: NodeId = opcua::types::ReferenceTypeId::HasComponent.into();
        let types = self.space.types();
        let mut of_type = None;
        for reference in self.space.references(object).await? {
            if !reference.forward || !types.is_a(&reference.reference_type, &parts) {
                continue;
            }
            if reference.target == *method {
                return Ok(reference.target);
            }
            if let Some(node) = self.space.known(&reference.target)
                && node.class() == NodeClass::Method
                && node.browse_name == named
            {
                of_type = Some(reference.target);
            }
        }
        of_type.ok_or(StatusCode::BadMethodInvalid)
    }

    /// A subscription that a method is asked about: of the caller's own session.
    pub(super) fn own_subscription(
        &self,
        asked: &Asked,
        arguments: &[Variant],
    ) -> Result<Arc<Subscription>, StatusCode> {
        let id = match arguments {
            [Variant::UInt32(id)] => *id,
            [] => return Err(StatusCode::BadArgumentsMissing),
            [_] => return Err(StatusCode::BadInvalidArgument),
            _ => return Err(StatusCode::BadTooManyArguments),
        };
        if let Some(own) = asked.session.publishing.subscription(id) {
            return Ok(own);
        }
        let mut sessions = self.sessions.all().into_iter();
        let is_of_another = sessions.any(|one| one.publishing.subscription(id).is_some());
        Err(if is_of_another {
            StatusCode::BadUserAccessDenied
        } else {
            StatusCode::BadSubscriptionIdInvalid
        })
    }

    fn get_monitored_items(
        &self,
        asked: &Asked,
        arguments: &[Variant],
    ) -> Result<CallOutcome, StatusCode> {
        let subscription = self.own_subscription(asked, arguments)?;
        let state = subscription.lock();
        let (mut server, mut client) = (Vec::new(), Vec::new());
        for item in state.items.iter() {
            server.push(item.id);
            client.push(item.settings.client_handle);
        }
        let outputs = vec![Variant::from(server), Variant::from(client)];
        Ok(CallOutcome { status: StatusCode::Good, outputs, ..CallOutcome::default() })
    }

    async fn resend_data(
        self: &Arc<Self>,
        asked: &Asked,
        arguments: &[Variant],
    ) -> Result<CallOutcome, StatusCode> {
        let subscription = self.own_subscription(asked, arguments)?;
        self.resend(&subscription).await;
        Ok(CallOutcome { status: StatusCode::Good, ..CallOutcome::default() })
    }

    /// Lets every reporting item of a subscription report its present value again, unless a newer
    /// one waits to be reported already (Part 4 §5.14.7.2).
    pub(super) async fn resend(self: &Arc<Self>, subscription: &Arc<Subscription>) {
        let items = {
            let mut state = subscription.lock();
            let is_silent =
                |item: &&mut Item| item.mode == MonitoringMode::Reporting && item.queue.is_empty();
            let again = state.items.iter_mut().filter(is_silent).map(|item| {
                item.resend();
                item.id
            });
            again.collect::<Vec<_>>()
        };
        self.look_at(subscription, items).await;
    }
}

/// Diagnostics with the reasons for which methods have refused, for those who ask for additional
/// information (Part 4 §7.12).
fn with_reasons(
    asked: &Asked,
    infos: Option<Vec<DiagnosticInfo>>,
    reasons: Vec<Option<String>>,
) -> Option<Vec<DiagnosticInfo>> {
    let wanted = DiagnosticBits::OPERATIONAL_LEVEL_ADDITIONAL_INFO;
    let is_wanted = asked.header.return_diagnostics.contains(wanted);
    if !is_wanted || reasons.iter().all(Option::is_none) {
        return infos;
    }
    let mut infos = infos.unwrap_or_else(|| vec![DiagnosticInfo::null(); reasons.len()]);
    for (info, reason) in infos.iter_mut().zip(reasons) {
        info.additional_info = reason.map(UAString::from);
    }
    Some(infos)
}

fn is(id: &NodeId, method: MethodId) -> bool {
    *id == NodeId::from(method)
}

/// The Server's own methods are about the caller's own subscriptions: everybody may call them.
fn call_permission(method: &NodeId) -> PermissionType {
    let own = [
        MethodId::Server_GetMonitoredItems,
        MethodId::Server_ResendData,
        MethodId::ConditionType_ConditionRefresh,
        MethodId::ConditionType_ConditionRefresh2,
    ];
    if own.into_iter().any(|one| is(method, one)) {
        PermissionType::Browse
    } else {
        PermissionType::Call
    }
}
