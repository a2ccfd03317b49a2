//! Copies that outlast the program, one file a machine, so that the nodes of a machine are there again
//! before it is reached: clients that subscribe meanwhile wait for values, and are not told that
//! there are no such nodes.
//!
//! A file that is not whole, or of other namespaces or another configuration, is no copy; the machine is
//! copied anew anyhow.

use std::path::Path;

use opcua::types::{
    AttributeId, BinaryEncodable, Context, NodeClass, NodeId, StatusCode, UAString,
};

use super::copy::{CopiedNode, CopiedReference, Copy};
use crate::channel::decode::Reader;

/// The version of the format.
const VERSION: u8 = 2;
/// Bytes of a file that is read.
const SIZE_MAX: u64 = 1 << 30;

/// Under what a copy was made; it holds only under the same.
pub struct Made<'a> {
    /// Namespace URIs of our server by their indexes.
    pub namespaces: &'a [String],
    /// What was to be copied.
    pub scope: &'a str,
}

/// The bytes of a copy.
pub fn encode(copy: &Copy, made: &Made<'_>, context: &Context<'_>) -> Result<Vec<u8>, StatusCode> {
    let mut out = Writer { bytes: Vec::new(), context };
    out.count(made.namespaces.len())?;
    for uri in made.namespaces {
        out.put(&UAString::from(uri.as_str()))?;
    }
    out.put(&UAString::from(made.scope))?;
    out.count(copy.roots.len())?;
    for root in &copy.roots {
        out.put(root)?;
    }
    out.count(copy.nodes.len())?;
    for node in &copy.nodes {
        out.node(node)?;
    }
    let mut file = vec![VERSION];
    file.extend(crc32fast::hash(&out.bytes).to_le_bytes());
    file.extend(out.bytes);
    Ok(file)
}

struct Writer<'a> {
    bytes: Vec<u8>,
    context: &'a Context<'a>,
}

impl Writer<'_> {
    fn put(&mut self, value: &impl BinaryEncodable) -> Result<(), StatusCode> {
        value.encode(&mut self.bytes, self.context).map_err(|error| error.status())
    }

    fn count(&mut self, count: usize) -> Result<(), StatusCode> {
        let count = u32::try_from(count).map_err(|_| StatusCode::BadEncodingLimitsExceeded)?;
        self.put(&count)
    }

    fn node(&mut self, node: &CopiedNode) -> Result<(), StatusCode> {
        self.put(&node.id)?;
        self.put(&(node.class as i32))?;
        self.put(&node.browse_name)?;
        self.put(&node.display_name)?;
        self.put(&node.description)?;
        self.put(&node.type_definition)?;
        self.put(&node.is_allowed)?;
        self.put(&node.is_recorded)?;
        self.count(node.attributes.len())?;
        for (attribute, value) in &node.attributes {
            self.put(&(*attribute as u32))?;
            self.put(value)?;
        }
        self.count(node.references.len())?;
        for reference in &node.references {
            self.put(&reference.kind)?;
            self.put(&reference.forward)?;
            self.put(&reference.target)?;
        }
        Ok(())
    }
}

/// The copy of some bytes; none if they are not of one that holds.
pub fn decode(file: &[u8], made: &Made<'_>, context: &Context<'_>) -> Option<Copy> {
    let (head, bytes) = file.split_at_checked(5)?;
    let checksum = u32::from_le_bytes(head.get(1..)?.try_into().ok()?);
    if head.first() != Some(&VERSION) || crc32fast::hash(bytes) != checksum {
        return None;
    }
    let mut reader = Reader::new(bytes, context);
    let known = texts(&mut reader).ok()?;
    // Namespaces that came later do not matter.
    if !made.namespaces.starts_with(&known) || reader.text().ok()? != made.scope {
        return None;
    }
    read(&mut reader).ok()
}

fn count(reader: &mut Reader<'_>) -> Result<usize, StatusCode> {
    let count: u32 = reader.plain()?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > reader.rest().len() { Err(StatusCode::BadDecodingError) } else { Ok(count) }
}

fn texts(reader: &mut Reader<'_>) -> Result<Vec<String>, StatusCode> {
    (0..count(reader)?).map(|_| reader.text()).collect()
}

fn read(reader: &mut Reader<'_>) -> Result<Copy, StatusCode> {
    let roots: Vec<NodeId> =
        (0..count(reader)?).map(|_| reader.plain()).collect::<Result<_, _>>()?;
    let nodes = (0..count(reader)?).map(|_| node(reader)).collect::<Result<_, _>>()?;
    reader.finish()?;
    Ok(Copy { nodes, roots })
}

fn node(reader: &mut Reader<'_>) -> Result<CopiedNode, StatusCode> {
    const WRONG: StatusCode = StatusCode::BadDecodingError;
    Ok(CopiedNode {
        id: reader.plain()?,
        class: NodeClass::try_from(reader.plain::<i32>()?).map_err(|_| WRONG)?,
        browse_name: reader.plain()?,
        display_name: reader.plain()?,
        description: reader.plain()?,
        type_definition: reader.plain()?,
        is_allowed: reader.plain()?,
        is_recorded: reader.plain()?,
        attributes: (0..count(reader)?)
            .map(|_| {
                let attribute = AttributeId::from_u32(reader.plain()?).map_err(|_| WRONG)?;
                // It was bounded before it was written.
                Ok((attribute, reader.plain()?))
            })
            .collect::<Result<_, StatusCode>>()?,
        references: (0..count(reader)?)
            .map(|_| {
                let kind = reader.plain()?;
                let forward = reader.plain()?;
                Ok(CopiedReference { kind, forward, target: reader.plain()? })
            })
            .collect::<Result<_, StatusCode>>()?,
    })
}

/// Writes a file as a whole, or leaves the one that was there.
pub fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, bytes)?;
    std::fs::File::open(&beside)?.sync_all()?;
    std::fs::rename(&beside, file)
}

/// The bytes of a file, if there is one.
pub fn bytes(file: &Path) -> Option<Vec<u8>> {
    let size = std::fs::metadata(file).ok()?.len();
    if size > SIZE_MAX {
        return None;
    }
    std::fs::read(file).ok()
}
