//! Read and Write (Part 4 §5.11).

use std::collections::HashMap;
use std::sync::Arc;

use opcua::types::{
    AttributeId, DataValue, NodeClass, NodeId, NumericRange, PermissionType, QualifiedName,
    StatusCode, TimestampsToReturn, Variant, WriteResponse,
};

use super::Services;
use super::dispatch::Asked;
use super::encode::ReadResults;
use super::request::{ReadItem, ReadNodes, WriteItem};
use super::respond::{take_turns, to_the_end};
use crate::server::space::{Asker, CURRENT_READ, CURRENT_WRITE, Node, Protection};
use crate::server::wire::Reply;

/// Leaves out the timestamps that were not asked for.
pub fn with_timestamps(mut value: DataValue, wanted: TimestampsToReturn) -> DataValue {
    if matches!(wanted, TimestampsToReturn::Server | TimestampsToReturn::Neither) {
        value.source_timestamp = None;
    }
    if matches!(wanted, TimestampsToReturn::Source | TimestampsToReturn::Neither) {
        value.server_timestamp = None;
    }
    // Good is what is meant when nothing is said.
    value.status = value.status.filter(|status| *status != StatusCode::Good);
    value
}

/// What is told of a value that cannot be had.
pub fn failed(status: StatusCode) -> DataValue {
    DataValue { status: Some(status), ..DataValue::default() }
}

/// Whether the asker may know of a node.
fn check_visible(node: &Node, asker: &Asker) -> Result<(), StatusCode> {
    let browsable = node.protection.permissions(asker.role).contains(PermissionType::Browse);
    if browsable { Ok(()) } else { Err(StatusCode::BadNodeIdUnknown) }
}

/// What a read asks of a node.
enum Wanted<'a> {
    /// The value of a variable, or a part of it.
    Value(&'a NumericRange),
    /// What the node says of itself.
    Attribute(AttributeId),
}

/// Whether a read makes sense, and the asker may do it.
fn check_read<'a>(
    node: &Node,
    item: &'a ReadItem,
    asker: &Asker,
) -> Result<Wanted<'a>, StatusCode> {
    check_visible(node, asker)?;
    let range = item.range.as_ref().map_err(|status| *status)?;
    let attribute = AttributeId::from_u32(item.attribute);
    let attribute = attribute.map_err(|_| StatusCode::BadAttributeIdInvalid)?;
    check_encoding(&item.encoding, item.attribute)?;
    if attribute == AttributeId::Value && node.class() == NodeClass::Variable {
        check_access(node, asker, CURRENT_READ, StatusCode::BadNotReadable)?;
        return Ok(Wanted::Value(range));
    }
    Ok(Wanted::Attribute(attribute))
}

/// The part of a value that is wanted.
fn part(mut value: DataValue, range: &NumericRange) -> Result<DataValue, StatusCode> {
    if !range.is_none()
        && let Some(whole) = value.value.take()
    {
        value.value = Some(whole.range_of(range)?);
    }
    Ok(value)
}

/// Whether values can be given in an encoding: only in binary (Part 4 §7.17).
pub fn check_encoding(encoding: &QualifiedName, attribute: u32) -> Result<(), StatusCode> {
    if encoding.name.is_empty() {
        return Ok(());
    }
    if attribute != AttributeId::Value as u32 {
        return Err(StatusCode::BadDataEncodingInvalid);
    }
    match (encoding.namespace_index, encoding.name.as_ref()) {
        (0, "Default Binary") => Ok(()),
        (0, "Default XML" | "Default JSON") => Err(StatusCode::BadDataEncodingUnsupported),
        _ => Err(StatusCode::BadDataEncodingInvalid),
    }
}

impl Services {
    pub(super) async fn read(
        &self,
        asked: &Asked,
        request: ReadNodes,
    ) -> Result<Reply, StatusCode> {
        let wanted = request.timestamps.ok_or(StatusCode::BadTimestampsToReturnInvalid)?;
        if request.max_age.is_nan() || request.max_age < 0.0 {
            return Err(StatusCode::BadMaxAgeInvalid);
        }
        check_count(request.items.len(), self.limits.operations.read)?;
        let mut results = ReadResults::new(wanted, request.items.len());
        let fetched = self.fetch(&request.items).await;
        for (index, item) in request.items.iter().enumerate() {
            let read = match self.read_at_once(item, &asked.asker) {
                Some(read) => read,
                None => {
                    let known = fetched.get(&item.node).cloned();
                    self.read_from_store(item, &asked.asker, known).await
                }
            };
            results.add(&read.unwrap_or_else(failed), &self.context.context())?;
            take_turns(index).await;
        }
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.statuses().iter().copied());
        let context = self.context.context();
        Ok(Reply::Encoded(results.finish(&response_header, &diagnostic_infos, &context)?))
    }

    /// The values that machines have to be asked for, all at once.
    async fn fetch(&self, items: &[ReadItem]) -> HashMap<NodeId, DataValue> {
        let is_value = |item: &&ReadItem| item.attribute == AttributeId::Value as u32;
        let remote = items.iter().filter(is_value).map(|item| &item.node);
        let remote = remote.filter(|id| self.space.is_remote(id));
        let unknown = remote.filter(|id| self.space.current_value(id).is_none());
        let unknown: Vec<_> = unknown.cloned().collect();
        if unknown.is_empty() { HashMap::new() } else { self.space.fetch(&unknown).await }
    }

    /// A node that an asker may know of.
    pub(super) async fn visible(
        &self,
        id: &NodeId,
        asker: &Asker,
    ) -> Result<Arc<Node>, StatusCode> {
        let node = match self.space.known(id) {
            Some(node) => node,
            None => self.space.node(id).await?.ok_or(StatusCode::BadNodeIdUnknown)?,
        };
        check_visible(&node, asker)?;
        Ok(node)
    }

    /// An attribute of a node as an asker sees it.
    pub(super) async fn read_item(&self, item: &ReadItem, asker: &Asker) -> DataValue {
        let read = match self.read_at_once(item, asker) {
            Some(read) => read,
            None => self.read_from_store(item, asker, None).await,
        };
        read.unwrap_or_else(failed)
    }

    /// Reads what needs no store; `None` for what does.
    pub(super) fn read_at_once(
        &self,
        item: &ReadItem,
        asker: &Asker,
    ) -> Option<Result<DataValue, StatusCode>> {
        let (node, value) = match item.attribute == AttributeId::Value as u32 {
            true => self.space.sight(&item.node)?,
            false => (self.space.known(&item.node)?, None),
        };
        match check_read(&node, item, asker) {
            Err(status) => Some(Err(status)),
            Ok(Wanted::Value(range)) => value.map(|value| part(value, range)),
            Ok(Wanted::Attribute(attribute)) => Some(self.own_attribute(&node, attribute, asker)),
        }
    }

    async fn read_from_store(
        &self,
        item: &ReadItem,
        asker: &Asker,
        known: Option<DataValue>,
    ) -> Result<DataValue, StatusCode> {
        let node = self.visible(&item.node, asker).await?;
        match check_read(&node, item, asker)? {
            Wanted::Value(range) => match known {
                Some(known) => part(known, range),
                None => part(self.space.value(&item.node).await, range),
            },
            Wanted::Attribute(attribute) => self.own_attribute(&node, attribute, asker),
        }
    }

    fn own_attribute(
        &self,
        node: &Node,
        attribute: AttributeId,
        asker: &Asker,
    ) -> Result<DataValue, StatusCode> {
        let own = self.space.instances();
        let structures = |permissions: Vec<opcua::types::RolePermissionType>| {
            let objects = permissions.into_iter().map(opcua::types::ExtensionObject::from_message);
            Variant::from(objects.collect::<Vec<_>>())
        };
        let value = match attribute {
            AttributeId::RolePermissions => structures(node.protection.role_permissions(own)),
            AttributeId::UserRolePermissions => {
                structures(vec![node.protection.of_role(asker.role, own)])
            }
            _ => node.attribute(attribute, asker)?,
        };
        let server_timestamp = Some(self.now());
        Ok(DataValue { value: Some(value), server_timestamp, ..DataValue::default() })
    }

    pub(super) async fn write(
        self: &Arc<Self>,
        asked: Asked,
        items: Vec<WriteItem>,
    ) -> Result<Reply, StatusCode> {
        check_count(items.len(), self.limits.operations.write)?;
        let services = self.clone();
        to_the_end(async move { services.write_all(&asked, &items).await }).await
    }

    async fn write_all(&self, asked: &Asked, items: &[WriteItem]) -> Reply {
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            let status = match self.write_item(item, &asked.asker).await {
                Ok(()) => StatusCode::Good,
                Err(status) => status,
            };
            self.audit_write(asked, item, status);
            results.push(status);
        }
        let (response_header, diagnostic_infos) =
            self.operations_header(asked, results.iter().copied());
        WriteResponse { response_header, results: Some(results), diagnostic_infos }.into()
    }

    async fn write_item(&self, item: &WriteItem, asker: &Asker) -> Result<(), StatusCode> {
        let node = self.visible(&item.node, asker).await?;
        let range = item.range.as_ref().map_err(|status| *status)?;
        let attribute = AttributeId::from_u32(item.attribute);
        let attribute = attribute.map_err(|_| StatusCode::BadAttributeIdInvalid)?;
        if attribute != AttributeId::Value || node.class() != NodeClass::Variable {
            // An attribute that the node does not have is another mistake than one that stays.
            self.own_attribute(&node, attribute, asker)?;
            return Err(StatusCode::BadNotWritable);
        }
        check_access(&node, asker, CURRENT_WRITE, StatusCode::BadNotWritable)?;
        let value = &item.value;
        let says_more = value.status.is_some_and(|status| status != StatusCode::Good)
            || value.source_timestamp.is_some()
            || value.server_timestamp.is_some();
        if says_more {
            return Err(StatusCode::BadWriteNotSupported);
        }
        self.check_type(&node, value.value.as_ref().unwrap_or(&Variant::Empty), range)?;
        match self.space.write(&item.node, range, value, asker).await {
            status if status.is_bad() => Err(status),
            _ => Ok(()),
        }
    }

    /// Whether a value fits the data type and the dimensions of a variable.
    fn check_type(
        &self,
        node: &Node,
        value: &Variant,
        range: &NumericRange,
    ) -> Result<(), StatusCode> {
        const MISMATCH: StatusCode = StatusCode::BadTypeMismatch;
        let (wanted, rank) = node.value_type().ok_or(StatusCode::BadNotWritable)?;
        let sent = match value.data_type() {
            Some(id) => id.node_id,
            // An empty array has no elements that could be of a wrong type.
            None if value.is_array() => wanted.clone(),
            None => return Err(MISMATCH),
        };
        let types = self.space.types();
        // An enumeration travels as the number that it is.
        let is_enumeration = types.is_a(&wanted, &opcua::types::DataTypeId::Enumeration.into())
            && sent == opcua::types::DataTypeId::Int32;
        // A structure says its encoding; whether it is that of the type, who has it knows.
        let structure = opcua::types::DataTypeId::Structure.into();
        let is_structure = has_structures(value) && types.is_a(&wanted, &structure);
        let is_kind = types.is_a(&sent, &wanted) || types.is_a(&wanted, &sent);
        if !is_kind && !is_enumeration && !is_structure {
            return Err(MISMATCH);
        }
        let fits = match rank {
            -1 => !value.is_array() || !range.is_none(),
            rank if rank >= 0 => value.is_array(),
            _ => true,
        };
        if fits { Ok(()) } else { Err(MISMATCH) }
    }
}

/// Whether a value is a structure, or an array of them.
fn has_structures(value: &Variant) -> bool {
    match value {
        Variant::ExtensionObject(_) => true,
        Variant::Array(array) => {
            array.value_type == opcua::types::VariantScalarTypeId::ExtensionObject
        }
        _ => false,
    }
}

/// Whether a variable can be accessed at all, and whether the asker may.
pub fn check_access(
    node: &Node,
    asker: &Asker,
    bit: u8,
    impossible: StatusCode,
) -> Result<(), StatusCode> {
    if node.access_level() & bit == 0 {
        return Err(impossible);
    }
    check_restrictions(node.protection, asker)?;
    if node.user_access_level(asker) & bit == 0 {
        return Err(StatusCode::BadUserAccessDenied);
    }
    Ok(())
}

/// Whether the channel is protected as a node wants it.
pub fn check_restrictions(protection: Protection, asker: &Asker) -> Result<(), StatusCode> {
    if protection.is_reachable(asker) {
        Ok(())
    } else {
        Err(StatusCode::BadSecurityModeInsufficient)
    }
}

/// A request has something to do, and not too much.
pub fn check_count(count: usize, max: usize) -> Result<(), StatusCode> {
    match count {
        0 => Err(StatusCode::BadNothingToDo),
        count if count > max => Err(StatusCode::BadTooManyOperations),
        _ => Ok(()),
    }
}
