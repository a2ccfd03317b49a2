//! ModifyMonitoredItems, SetMonitoringMode, SetTriggering, DeleteMonitoredItems (Part 4 §5.13).

use std::sync::Arc;

use opcua::types::{
    DeleteMonitoredItemsRequest, DeleteMonitoredItemsResponse, ModifyMonitoredItemsResponse,
    MonitoredItemModifyResult, QualifiedName, SetMonitoringModeResponse, SetTriggeringRequest,
    SetTriggeringResponse, StatusCode, TimestampsToReturn,
};

use super::Services;
use super::attribute::check_count;
use super::dispatch::Asked;
use super::item::Watch;
use super::item_watch::{NotPrepared, filter_result, refused};
use super::request::{Items, Parameters, ReadItem, SetMode};
use super::respond::header;
use super::subscription::Subscription;
use crate::server::wire::Reply;

impl Services {
    pub(super) async fn modify_items(
        &self,
        asked: &Asked,
        request: Items<(u32, Parameters)>,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription)?;
        let timestamps = request.timestamps.ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
        check_count(request.items.len(), self.limits.operations.monitored_items)?;
        let mut results = Vec::with_capacity(request.items.len());
        for (id, wanted) in request.items {
            let changed = self.modify_item(asked, &subscription, (id, wanted), timestamps).await;
            results.push(match changed {
                Ok(result) => result,
                Err((status_code, result)) => MonitoredItemModifyResult {
                    status_code,
                    filter_result: filter_result(result),
                    ..MonitoredItemModifyResult::default()
                },
            });
        }
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().map(|result| result.status_code));
        let results = Some(results);
        Ok(ModifyMonitoredItemsResponse { response_header, results, diagnostic_infos }.into())
    }

    async fn modify_item(
        &self,
        asked: &Asked,
        subscription: &Arc<Subscription>,
        (id, wanted): (u32, Parameters),
        timestamps: TimestampsToReturn,
    ) -> Result<MonitoredItemModifyResult, NotPrepared> {
        let unknown = refused(StatusCode::BadMonitoredItemIdInvalid);
        let watch = {
            let state = subscription.lock();
            let item = state.items.get(id).ok_or(unknown.clone())?;
            ReadItem {
                node: item.spot.node.clone(),
                attribute: item.attribute,
                range: Ok(item.range()),
                encoding: QualifiedName::null(),
            }
        };
        let prepared = self.prepare(asked, &watch, &wanted.filter).await?;
        let mut state = subscription.lock();
        let pace = state.pace.interval;
        let item = state.items.get_mut(id).ok_or(unknown)?;
        let settings = self.settings(&wanted, &prepared.watch, pace, timestamps);
        let lost = item.queue.resize(settings.queue_size, settings.discard_oldest) * item.weight();
        let paces_anew = item.settings.sampling != settings.sampling;
        item.settings = settings;
        let spot = item.spot.clone();
        if let Watch::Events(filter) = &prepared.watch {
            self.hub.change_filter(subscription, (&spot.node, id), filter);
        }
        item.change_watch(prepared.watch);
        state.forget(lost);
        state.note_pace(settings.sampling);
        drop(state);
        if paces_anew {
            self.hub.forget_watched();
        }
        Ok(MonitoredItemModifyResult {
            status_code: StatusCode::Good,
            revised_sampling_interval: settings.sampling.as_secs_f64() * 1000.0,
            revised_queue_size: settings.queue_size,
            filter_result: filter_result(prepared.filter_result),
        })
    }

    pub(super) async fn set_monitoring_mode(
        self: &Arc<Self>,
        asked: &Asked,
        request: SetMode,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription)?;
        let mode = request.mode.ok_or(StatusCode::BadMonitoringModeInvalid)?;
        check_count(request.items.len(), self.limits.operations.monitored_items)?;
        let mut begin = Vec::new();
        let results: Vec<_> = {
            let mut state = subscription.lock();
            let set = |id: &u32| match state.set_mode(*id, mode) {
                None => StatusCode::BadMonitoredItemIdInvalid,
                Some(begins) => {
                    if begins {
                        begin.push(*id);
                    }
                    StatusCode::Good
                }
            };
            request.items.iter().map(set).collect()
        };
        self.look_at(&subscription, begin).await;
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().copied());
        let results = Some(results);
        Ok(SetMonitoringModeResponse { response_header, results, diagnostic_infos }.into())
    }

    pub(super) fn set_triggering(
        &self,
        asked: &Asked,
        request: SetTriggeringRequest,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription_id)?;
        let add = request.links_to_add.unwrap_or_default();
        let remove = request.links_to_remove.unwrap_or_default();
        check_count(add.len() + remove.len(), self.limits.operations.monitored_items)?;
        let mut state = subscription.lock();
        let trigger = request.triggering_item_id;
        let known = state.items.get(trigger).ok_or(StatusCode::BadMonitoredItemIdInvalid)?;
        let mut links = known.links.clone();
        let removed = remove.iter().map(|link| match links.iter().position(|one| one == link) {
            Some(at) => {
                links.swap_remove(at);
                StatusCode::Good
            }
            None => StatusCode::BadMonitoredItemIdInvalid,
        });
        let removed: Vec<_> = removed.collect();
        let max = self.limits.subscriptions.triggered_per_item;
        let added = add.iter().map(|link| {
            if state.items.get(*link).is_none() || *link == trigger {
                StatusCode::BadMonitoredItemIdInvalid
            } else if links.len() >= max {
                StatusCode::BadTooManyMonitoredItems
            } else {
                if !links.contains(link) {
                    links.push(*link);
                }
                StatusCode::Good
            }
        });
        let added: Vec<_> = added.collect();
        if let Some(item) = state.items.get_mut(trigger) {
            item.links = links;
        }
        drop(state);
        let told = |statuses: Vec<StatusCode>| (!statuses.is_empty()).then_some(statuses);
        Ok(SetTriggeringResponse {
            response_header: header(&asked.header, self.now(), StatusCode::Good),
            add_results: told(added),
            add_diagnostic_infos: None,
            remove_results: told(removed),
            remove_diagnostic_infos: None,
        }
        .into())
    }

    pub(super) fn delete_items(
        &self,
        asked: &Asked,
        request: DeleteMonitoredItemsRequest,
    ) -> Result<Reply, StatusCode> {
        let subscription = self.subscription(asked, request.subscription_id)?;
        let ids = request.monitored_item_ids.unwrap_or_default();
        check_count(ids.len(), self.limits.operations.monitored_items)?;
        let mut gone = Vec::new();
        let results: Vec<_> = {
            let mut state = subscription.lock();
            let remove = |id: &u32| match state.remove(*id) {
                Some(item) => {
                    gone.push(item);
                    StatusCode::Good
                }
                None => StatusCode::BadMonitoredItemIdInvalid,
            };
            ids.iter().map(remove).collect()
        };
        let places = gone.iter().map(|item| (&item.spot.node, item.id));
        self.hub.unwatch(&subscription, places);
        self.hub.release(gone.len());
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().copied());
        let results = Some(results);
        Ok(DeleteMonitoredItemsResponse { response_header, results, diagnostic_infos }.into())
    }
}
