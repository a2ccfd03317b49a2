//! Browse, BrowseNext, TranslateBrowsePathsToNodeIds, RegisterNodes (Part 4 §5.9).

use opcua::types::{
    BrowseNextRequest, BrowseNextResponse, BrowsePath, BrowsePathResult, BrowsePathTarget,
    BrowseResponse, BrowseResult, BrowseResultMask, ByteString, ExpandedNodeId, NodeClass, NodeId,
    PermissionType, ReferenceDescription, ReferenceTypeId, RegisterNodesRequest,
    RegisterNodesResponse, RelativePathElement, StatusCode, TranslateBrowsePathsToNodeIdsRequest,
    TranslateBrowsePathsToNodeIdsResponse, UnregisterNodesRequest, UnregisterNodesResponse,
};

use super::Services;
use super::attribute::check_count;
use super::dispatch::Asked;
use super::request::{Browse, BrowseItem, Direction};
use super::respond::{header, take_turns};
use super::session::{BrowsePoint, Listing};
use crate::server::space::{Asker, Reference};
use crate::server::wire::Reply;

/// Nodes that a browse path may lead to at each of its steps.
const BREADTH_MAX: usize = 10_000;

fn bad(status_code: StatusCode) -> BrowseResult {
    BrowseResult { status_code, continuation_point: ByteString::null(), references: None }
}

impl Services {
    pub(super) async fn browse(&self, asked: &Asked, request: Browse) -> Result<Reply, StatusCode> {
        check_count(request.items.len(), self.limits.operations.browse)?;
        if !request.view.is_null() {
            return Err(StatusCode::BadViewIdUnknown);
        }
        let most = self.limits.operations.references;
        let max = match request.max_references {
            0 => most,
            wanted => (wanted as usize).min(most),
        };
        let mut results = Vec::with_capacity(request.items.len());
        for (index, item) in request.items.iter().enumerate() {
            take_turns(index).await;
            let found = self.find_references(item, &asked.asker).await;
            results.push(match found {
                Err(status) => bad(status),
                Ok(rest) => {
                    let (result_mask, class_mask) = (item.result_mask, item.class_mask);
                    let listing = self.listing(item);
                    let point = BrowsePoint { rest, listing, result_mask, max, class_mask };
                    self.page(asked, point).await
                }
            });
        }
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().map(|result| result.status_code));
        Ok(BrowseResponse { response_header, results: Some(results), diagnostic_infos }.into())
    }

    /// The references of a node that a browse wants, the last one first.
    async fn find_references(
        &self,
        item: &BrowseItem,
        asker: &Asker,
    ) -> Result<Vec<Reference>, StatusCode> {
        let direction = item.direction.ok_or(StatusCode::BadBrowseDirectionInvalid)?;
        let types = self.space.types();
        let wanted = &item.reference_type;
        if !wanted.is_null() && types.class(wanted) != Some(NodeClass::ReferenceType) {
            return Err(StatusCode::BadReferenceTypeIdInvalid);
        }
        self.visible(&item.node, asker).await?;
        let mut references = self.space.references(&item.node).await?;
        references.retain(|reference| {
            let leads = match direction {
                Direction::Forward => reference.forward,
                Direction::Inverse => !reference.forward,
                Direction::Both => true,
            };
            let kind = &reference.reference_type;
            leads
                && (wanted.is_null() || kind == wanted || item.subtypes && types.is_a(kind, wanted))
        });
        references.reverse();
        Ok(references)
    }

    /// The list of a node whose references to what it lists come in pages, where a browse wants them.
    fn listing(&self, item: &BrowseItem) -> Option<Listing> {
        let (types, wanted) = (self.space.types(), &item.reference_type);
        let organizes = NodeId::from(ReferenceTypeId::Organizes);
        let is_wanted = wanted.is_null()
            || *wanted == organizes
            || item.subtypes && types.is_a(&organizes, wanted);
        let leads = !matches!(item.direction, Some(Direction::Inverse));
        let has_pages = is_wanted && leads && self.space.has_pages(&item.node);
        has_pages.then(|| Listing { node: item.node.clone(), after: None })
    }

    /// Reads the next page of a list when all before it has been told.
    async fn read_on(&self, point: &mut BrowsePoint) -> Result<(), StatusCode> {
        while point.rest.is_empty()
            && let Some(Listing { node, after }) = point.listing.take()
        {
            let page = self.space.page(&node, after.as_deref()).await?;
            point.rest = page.references;
            point.rest.reverse();
            point.listing = page.next.map(|next| Listing { node, after: Some(next) });
        }
        Ok(())
    }

    /// The next references of a browse, and a point where it goes on.
    async fn page(&self, asked: &Asked, mut point: BrowsePoint) -> BrowseResult {
        let mut told = Vec::new();
        while told.len() < point.max {
            if let Err(status) = self.read_on(&mut point).await {
                return bad(status);
            }
            let Some(reference) = point.rest.pop() else {
                break;
            };
            take_turns(told.len()).await;
            told.extend(self.describe(&reference, &point, &asked.asker));
        }
        let mut continuation_point = ByteString::null();
        if let Err(status) = self.read_on(&mut point).await {
            return bad(status);
        }
        if !point.rest.is_empty() {
            let mut points = asked.session.points();
            if points.browse.len() >= self.limits.sessions.browse_points {
                return bad(StatusCode::BadNoContinuationPoints);
            }
            let number = points.number();
            points.browse.insert(number, point);
            continuation_point = ByteString::from(number.to_le_bytes().to_vec());
        }
        BrowseResult { status_code: StatusCode::Good, continuation_point, references: Some(told) }
    }

    /// What is told of a reference; nothing where it leads to what the asker may not know of.
    fn describe(
        &self,
        reference: &Reference,
        point: &BrowsePoint,
        asker: &Asker,
    ) -> Option<ReferenceDescription> {
        let node = self.space.referenced(&reference.target)?;
        let class = node.class();
        let is_wanted = point.class_mask == 0 || point.class_mask & class as u32 != 0;
        let permissions = node.protection.permissions(asker.role);
        if !is_wanted || !permissions.contains(PermissionType::Browse) {
            return None;
        }
        let tells = |bit: BrowseResultMask| point.result_mask & bit as u32 != 0;
        let mut description = ReferenceDescription {
            node_id: ExpandedNodeId::new(reference.target.clone()),
            node_class: NodeClass::Unspecified,
            ..ReferenceDescription::default()
        };
        if tells(BrowseResultMask::ReferenceTypeId) {
            description.reference_type_id = reference.reference_type.clone();
        }
        description.is_forward = tells(BrowseResultMask::IsForward) && reference.forward;
        if tells(BrowseResultMask::NodeClass) {
            description.node_class = class;
        }
        if tells(BrowseResultMask::BrowseName) {
            description.browse_name = node.browse_name.clone();
        }
        if tells(BrowseResultMask::DisplayName) {
            description.display_name = node.display_name.clone();
        }
        if tells(BrowseResultMask::TypeDefinition) {
            description.type_definition = ExpandedNodeId::new(node.type_definition());
        }
        Some(description)
    }

    pub(super) async fn browse_next(
        &self,
        asked: &Asked,
        request: BrowseNextRequest,
    ) -> Result<Reply, StatusCode> {
        let wanted = request.continuation_points.unwrap_or_default();
        check_count(wanted.len(), self.limits.operations.browse)?;
        let mut results = Vec::with_capacity(wanted.len());
        for point in wanted {
            let number = point.as_ref().first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
            let known = number.and_then(|number| asked.session.points().browse.remove(&number));
            results.push(match known {
                None => bad(StatusCode::BadContinuationPointInvalid),
                Some(_) if request.release_continuation_points => bad(StatusCode::Good),
                Some(point) => self.page(asked, point).await,
            });
        }
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().map(|result| result.status_code));
        Ok(BrowseNextResponse { response_header, results: Some(results), diagnostic_infos }.into())
    }

    pub(super) async fn translate(
        &self,
        asked: &Asked,
        request: TranslateBrowsePathsToNodeIdsRequest,
    ) -> Result<Reply, StatusCode> {
        let paths = request.browse_paths.unwrap_or_default();
        check_count(paths.len(), self.limits.operations.translate)?;
        let mut results = Vec::with_capacity(paths.len());
        for path in &paths {
            let (status_code, targets) = match self.follow(path, &asked.asker).await {
                Ok(targets) => (StatusCode::Good, Some(targets)),
                Err(status) => (status, None),
            };
            results.push(BrowsePathResult { status_code, targets });
        }
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().map(|result| result.status_code));
        let results = Some(results);
        Ok(TranslateBrowsePathsToNodeIdsResponse { response_header, results, diagnostic_infos }
            .into())
    }

    /// Follows a path step by step; the work is bounded by the width of a step, not by the number
    /// of ways.
    async fn follow(
        &self,
        path: &BrowsePath,
        asker: &Asker,
    ) -> Result<Vec<BrowsePathTarget>, StatusCode> {
        let elements = path.relative_path.elements.as_deref().unwrap_or_default();
        let Some(last) = elements.last() else {
            return Err(StatusCode::BadNothingToDo);
        };
        if elements.len() > self.limits.operations.path {
            return Err(StatusCode::BadTooManyOperations);
        }
        if last.target_name.name.is_null() {
            return Err(StatusCode::BadBrowseNameInvalid);
        }
        self.visible(&path.starting_node, asker).await?;
        let mut at = vec![path.starting_node.clone()];
        for (index, element) in elements.iter().enumerate() {
            take_turns(index).await;
            at = self.step(&at, element, asker).await?;
            if at.is_empty() {
                return Err(StatusCode::BadNoMatch);
            }
        }
        let target = |id| BrowsePathTarget {
            target_id: ExpandedNodeId::new(id),
            remaining_path_index: u32::MAX,
        };
        Ok(at.into_iter().map(target).collect())
    }

    async fn step(
        &self,
        from: &[NodeId],
        element: &RelativePathElement,
        asker: &Asker,
    ) -> Result<Vec<NodeId>, StatusCode> {
        let types = self.space.types();
        let wanted = &element.reference_type_id;
        if !wanted.is_null() && types.class(wanted) != Some(NodeClass::ReferenceType) {
            return Err(StatusCode::BadReferenceTypeIdInvalid);
        }
        let mut found = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for id in from {
            let mut references = self.space.references(id).await?;
            references.extend(self.whole_list(id).await?);
            for reference in references {
                let kind = &reference.reference_type;
                let is_kind = wanted.is_null()
                    || kind == wanted
                    || element.include_subtypes && types.is_a(kind, wanted);
                if reference.forward == element.is_inverse
                    || !is_kind
                    || !seen.insert(reference.target.clone())
                {
                    continue;
                }
                let Ok(node) = self.visible(&reference.target, asker).await else {
                    continue;
                };
                let name = &element.target_name;
                if name.name.is_null() || node.browse_name == *name {
                    found.push(reference.target);
                }
                if seen.len() > BREADTH_MAX {
                    return Err(StatusCode::BadTooManyMatches);
                }
            }
        }
        Ok(found)
    }

    /// All that a node lists in pages, as far as a step of a path may be wide.
    async fn whole_list(&self, id: &NodeId) -> Result<Vec<Reference>, StatusCode> {
        let (mut all, mut after) = (Vec::new(), None);
        while self.space.has_pages(id) {
            let page = self.space.page(id, after.as_deref()).await?;
            all.extend(page.references);
            after = page.next;
            if all.len() > BREADTH_MAX {
                return Err(StatusCode::BadTooManyMatches);
            }
            if after.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// Registered nodes are the nodes themselves: they are found as fast.
    pub(super) fn register_nodes(
        &self,
        asked: &Asked,
        request: RegisterNodesRequest,
    ) -> Result<Reply, StatusCode> {
        let nodes = request.nodes_to_register.unwrap_or_default();
        check_count(nodes.len(), self.limits.operations.register)?;
        Ok(RegisterNodesResponse {
            response_header: header(&asked.header, self.now(), StatusCode::Good),
            registered_node_ids: Some(nodes),
        }
        .into())
    }

    pub(super) fn unregister_nodes(
        &self,
        asked: &Asked,
        request: UnregisterNodesRequest,
    ) -> Result<Reply, StatusCode> {
        let nodes = request.nodes_to_unregister.unwrap_or_default();
        check_count(nodes.len(), self.limits.operations.register)?;
        let response_header = header(&asked.header, self.now(), StatusCode::Good);
        Ok(UnregisterNodesResponse { response_header }.into())
    }
}
