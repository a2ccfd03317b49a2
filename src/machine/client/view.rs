//! Looking around at a machine (Part 4 §5.9): browsing to the end, bounded, and browse paths.

use opcua::types::{
    BrowseDescription, BrowseNextRequest, BrowsePath, BrowsePathResult, BrowseRequest,
    BrowseResult, ByteString, NodeId, ObjectId, ReferenceDescription, StatusCode,
    TranslateBrowsePathsToNodeIdsRequest, ViewDescription,
};

use super::answer::{results, unreadable};
use super::failure::Failure;
use super::session::{PATIENCE, Session};
use crate::channel::decode::Reader;

/// References of one node that are taken; a machine that gives more, or never ends, is cut off.
pub const REFERENCES_MAX: usize = 100_000;
/// References that are asked for at once.
const PAGE: u32 = 1000;

/// The references of one node.
#[derive(Clone, Debug)]
pub struct Browsed {
    /// How it went.
    pub status: StatusCode,
    /// What was found.
    pub references: Vec<ReferenceDescription>,
    /// Whether there are more than are taken.
    pub is_cut: bool,
}

impl Session {
    /// Browses nodes to the end.
    pub async fn browse<'a>(
        &self,
        nodes: &'a [BrowseDescription],
    ) -> Result<Vec<Browsed>, Failure> {
        let ask = |part: &'a [BrowseDescription]| async move {
            // Each node may leave a place to go on from, and a machine keeps only so many.
            let mut all = Vec::with_capacity(part.len());
            for part in part.chunks(self.limits().continuations) {
                for result in self.browse_part(part).await? {
                    all.push(self.to_the_end(result).await?);
                }
            }
            Ok(all)
        };
        self.in_parts(nodes, |limits| &mut limits.browse, ask).await
    }

    async fn browse_part(&self, part: &[BrowseDescription]) -> Result<Vec<BrowseResult>, Failure> {
        let request = BrowseRequest {
            request_header: self.header(PATIENCE),
            view: ViewDescription::default(),
            requested_max_references_per_node: PAGE,
            nodes_to_browse: Some(part.to_vec()),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::BrowseResponse_Encoding_DefaultBinary;
        results(&answer, &context, expected, part.len(), Reader::plain)
    }

    async fn to_the_end(&self, first: BrowseResult) -> Result<Browsed, Failure> {
        let mut browsed = Browsed {
            status: first.status_code,
            references: first.references.unwrap_or_default(),
            is_cut: false,
        };
        let mut next = first.continuation_point;
        while !next.is_null_or_empty() {
            // A page with nothing on it would let a machine go on for ever.
            let release = browsed.references.len() >= REFERENCES_MAX || browsed.is_cut;
            let page = self.next_page(next, release).await?;
            let references = page.references.unwrap_or_default();
            browsed.is_cut |= release || references.is_empty();
            browsed.references.extend(references);
            if release {
                break;
            }
            if page.status_code.is_bad() {
                browsed.status = page.status_code;
                break;
            }
            next = page.continuation_point;
        }
        browsed.references.truncate(REFERENCES_MAX);
        Ok(browsed)
    }

    async fn next_page(&self, next: ByteString, release: bool) -> Result<BrowseResult, Failure> {
        let request = BrowseNextRequest {
            request_header: self.header(PATIENCE),
            release_continuation_points: release,
            continuation_points: Some(vec![next]),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::BrowseNextResponse_Encoding_DefaultBinary;
        let mut pages = results(&answer, &context, expected, 1, Reader::plain)?;
        pages.pop().ok_or_else(|| unreadable(StatusCode::BadUnknownResponse))
    }

    /// The nodes at the ends of browse paths.
    pub async fn translate<'a>(
        &self,
        paths: &'a [BrowsePath],
    ) -> Result<Vec<Result<NodeId, StatusCode>>, Failure> {
        let ask = |part: &'a [BrowsePath]| async move {
            let found = self.translate_part(part).await?;
            Ok(found.into_iter().map(end_of).collect())
        };
        self.in_parts(paths, |limits| &mut limits.translate, ask).await
    }

    async fn translate_part(&self, part: &[BrowsePath]) -> Result<Vec<BrowsePathResult>, Failure> {
        let request = TranslateBrowsePathsToNodeIdsRequest {
            request_header: self.header(PATIENCE),
            browse_paths: Some(part.to_vec()),
        };
        let answer = self.ask(request, PATIENCE).await?;
        let context = self.context().context();
        let expected = ObjectId::TranslateBrowsePathsToNodeIdsResponse_Encoding_DefaultBinary;
        results(&answer, &context, expected, part.len(), Reader::plain)
    }
}

/// The node at the end of a path; a path that leads to several or out of the machine is none.
fn end_of(result: BrowsePathResult) -> Result<NodeId, StatusCode> {
    if result.status_code.is_bad() {
        return Err(result.status_code);
    }
    let targets = result.targets.unwrap_or_default();
    let mut ends = targets.into_iter().filter(|target| target.remaining_path_index == u32::MAX);
    let first = ends.next().ok_or(StatusCode::BadNoMatch)?;
    if ends.next().is_some() {
        return Err(StatusCode::BadTooManyMatches);
    }
    Ok(first.target_id.node_id)
}
