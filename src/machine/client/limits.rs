//! How much a machine takes at once: what it says of itself, and never more than is reasonable.

use opcua::types::{DataValue, NodeId, ReadValueId, VariableId, Variant};

use super::vendor::Vendor;

/// Operations of one request that are never exceeded, whatever a machine says.
const AT_ONCE: usize = 1000;

/// Operations that one request may have (Part 5 §6.3.11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Nodes to read.
    pub read: usize,
    /// Nodes to write.
    pub write: usize,
    /// Nodes to browse.
    pub browse: usize,
    /// Continuation points that may be open at once.
    pub continuations: usize,
    /// Browse paths to translate.
    pub translate: usize,
    /// Methods to call.
    pub call: usize,
    /// Items to create, change or delete.
    pub items: usize,
    /// Nodes whose history is read.
    pub history: usize,
    /// Items of one subscription; where a machine does not say it, nobody knows.
    pub items_of_subscription: Option<usize>,
    /// Fields of events that one item tells.
    pub select_clauses: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            read: AT_ONCE,
            write: AT_ONCE,
            browse: AT_ONCE,
            continuations: AT_ONCE,
            translate: AT_ONCE,
            call: AT_ONCE,
            items: AT_ONCE,
            history: AT_ONCE,
            items_of_subscription: None,
            select_clauses: AT_ONCE,
        }
    }
}

/// Where a machine says it, and whose it is.
const NODES: [VariableId; 13] = [
    VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    VariableId::Server_ServerCapabilities_MaxBrowseContinuationPoints,
    VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall,
    VariableId::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
    VariableId::Server_ServerCapabilities_MaxMonitoredItemsPerSubscription,
    VariableId::Server_ServerCapabilities_MaxSelectClauseParameters,
    VariableId::Server_ServerStatus_BuildInfo_ManufacturerName,
    VariableId::Server_ServerStatus_BuildInfo_ProductName,
    VariableId::Server_ServerStatus_BuildInfo_ProductUri,
];

impl Limits {
    /// What to read for them.
    pub fn questions() -> Vec<ReadValueId> {
        NODES.iter().map(|variable| ReadValueId::from(NodeId::from(*variable))).collect()
    }

    /// Whose server has given these answers.
    pub fn vendor(answers: &[DataValue]) -> Vendor {
        let text = |index: usize| match answers.get(index).and_then(|said| said.value.as_ref()) {
            Some(Variant::String(text)) => text.as_ref().to_owned(),
            Some(Variant::LocalizedText(text)) => text.text.as_ref().to_owned(),
            _ => String::new(),
        };
        Vendor::of(&text(10), &text(11), &text(12))
    }

    /// The limits of these answers; a machine that does not say a limit has those of its vendor, if any.
    pub fn of(answers: &[DataValue]) -> Limits {
        let unsaid = Limits::vendor(answers).at_once().unwrap_or(AT_ONCE);
        let said = |index: usize| -> Option<usize> {
            let limit: u32 = match answers.get(index)?.value.as_ref()? {
                Variant::UInt32(limit) => *limit,
                Variant::UInt16(limit) => (*limit).into(),
                _ => return None,
            };
            usize::try_from(limit).ok().filter(|limit| *limit > 0)
        };
        let at_once = |index| said(index).map_or(unsaid, |limit| limit.min(AT_ONCE));
        Limits {
            read: at_once(0),
            write: at_once(1),
            browse: at_once(2),
            continuations: at_once(3),
            translate: at_once(4),
            call: at_once(5),
            items: at_once(6),
            history: at_once(7),
            items_of_subscription: said(8),
            select_clauses: said(9).map_or(AT_ONCE, |limit| limit.min(AT_ONCE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_limits_us_and_we_limit_ourselves() {
        let value = |limit: u32| DataValue::value_only(Variant::UInt32(limit));
        let said = [value(100), value(0), DataValue::default(), value(u32::MAX)];
        let limits = Limits::of(&said);
        assert_eq!((limits.read, limits.write, limits.browse), (100, AT_ONCE, AT_ONCE));
        assert_eq!((limits.continuations, limits.items_of_subscription), (AT_ONCE, None));
        assert_eq!(Limits::of(&[]), Limits::default());
        assert_eq!(Limits::questions().len(), NODES.len());
        let mut small = vec![value(7)];
        small.resize(10, DataValue::default());
        small.extend(["Siemens AG", "S7-1200", ""].map(DataValue::value_only));
        let limits = Limits::of(&small);
        assert_eq!((limits.read, limits.items, limits.select_clauses), (7, 100, AT_ONCE));
    }
}
