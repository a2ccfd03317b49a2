//! Requests as they are read here where the stack's own reading would refuse a whole message for one
//! wrong operation: index ranges, directions and modes that do not exist are answered one by one.

use opcua::types::{
    DataValue, ExtensionObject, MonitoringMode, NodeId, NumericRange, QualifiedName, StatusCode,
    TimestampsToReturn, Variant,
};

use crate::channel::decode::Reader;

/// What is to be read, monitored or read back of a node.
#[derive(Clone, Debug)]
pub struct ReadItem {
    /// The node.
    pub node: NodeId,
    /// Number of the attribute.
    pub attribute: u32,
    /// Part of an array.
    pub range: Result<NumericRange, StatusCode>,
    /// Name of an encoding.
    pub encoding: QualifiedName,
}

fn range(reader: &mut Reader<'_>) -> Result<Result<NumericRange, StatusCode>, StatusCode> {
    let text = reader.text()?;
    if text.is_empty() {
        return Ok(Ok(NumericRange::None));
    }
    Ok(text.parse().map_err(|_| StatusCode::BadIndexRangeInvalid))
}

/// Which timestamps are wanted.
fn timestamps(reader: &mut Reader<'_>) -> Result<Option<TimestampsToReturn>, StatusCode> {
    let number = reader.plain::<i32>()?;
    let known = TimestampsToReturn::try_from(number).ok();
    Ok(known.filter(|wanted| *wanted != TimestampsToReturn::Invalid))
}

impl ReadItem {
    fn read(reader: &mut Reader<'_>) -> Result<ReadItem, StatusCode> {
        Ok(ReadItem {
            node: reader.plain()?,
            attribute: reader.plain()?,
            range: range(reader)?,
            encoding: reader.plain()?,
        })
    }
}

/// A read.
#[derive(Debug)]
pub struct ReadNodes {
    /// How old a value may be, in ms.
    pub max_age: f64,
    /// Which timestamps are wanted.
    pub timestamps: Option<TimestampsToReturn>,
    /// What is to be read.
    pub items: Vec<ReadItem>,
}

impl ReadNodes {
    /// Reads the request behind its header.
    pub fn read(reader: &mut Reader<'_>) -> Result<ReadNodes, StatusCode> {
        let (max_age, timestamps) = (reader.plain()?, timestamps(reader)?);
        Ok(ReadNodes { max_age, timestamps, items: reader.array(ReadItem::read)? })
    }
}

/// Something to be written.
#[derive(Debug)]
pub struct WriteItem {
    /// The node.
    pub node: NodeId,
    /// Number of the attribute.
    pub attribute: u32,
    /// Part of an array.
    pub range: Result<NumericRange, StatusCode>,
    /// What is to be written.
    pub value: DataValue,
}

/// Reads a write request behind its header.
pub fn read_write(reader: &mut Reader<'_>) -> Result<Vec<WriteItem>, StatusCode> {
    reader.array(|reader| {
        Ok(WriteItem {
            node: reader.plain()?,
            attribute: reader.plain()?,
            range: range(reader)?,
            value: reader.data_value()?,
        })
    })
}

/// Where references lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the node.
    Forward,
    /// To it.
    Inverse,
    /// Both.
    Both,
}

/// A node to be browsed.
#[derive(Debug)]
pub struct BrowseItem {
    /// The node.
    pub node: NodeId,
    /// Which way; `None` for a number that stands for none.
    pub direction: Option<Direction>,
    /// Which references; null for all.
    pub reference_type: NodeId,
    /// And their subtypes.
    pub subtypes: bool,
    /// Which classes of nodes, as bits; 0 for all.
    pub class_mask: u32,
    /// What is to be told, as bits.
    pub result_mask: u32,
}

/// A browse.
#[derive(Debug)]
pub struct Browse {
    /// The view; null for everything.
    pub view: NodeId,
    /// References of one node in one answer; 0 for as many as we like.
    pub max_references: u32,
    /// The nodes.
    pub items: Vec<BrowseItem>,
}

impl Browse {
    /// Reads the request behind its header.
    pub fn read(reader: &mut Reader<'_>) -> Result<Browse, StatusCode> {
        let view = reader.plain()?;
        let (_timestamp, _version) = (reader.plain::<i64>()?, reader.plain::<u32>()?);
        let max_references = reader.plain()?;
        let items = reader.array(|reader| {
            let node = reader.plain()?;
            let direction = match reader.plain::<i32>()? {
                0 => Some(Direction::Forward),
                1 => Some(Direction::Inverse),
                2 => Some(Direction::Both),
                _ => None,
            };
            Ok(BrowseItem {
                node,
                direction,
                reference_type: reader.plain()?,
                subtypes: reader.plain()?,
                class_mask: reader.plain()?,
                result_mask: reader.plain()?,
            })
        })?;
        Ok(Browse { view, max_references, items })
    }
}

/// What a client wants of a monitored item.
#[derive(Debug)]
pub struct Parameters {
    /// The client's own number.
    pub client_handle: u32,
    /// Time between two looks in ms; below 0 for the publishing interval.
    pub sampling: f64,
    /// The filter.
    pub filter: ExtensionObject,
    /// Room of the queue.
    pub queue_size: u32,
    /// Which end of it is lost.
    pub discard_oldest: bool,
}

impl Parameters {
    fn read(reader: &mut Reader<'_>) -> Result<Parameters, StatusCode> {
        Ok(Parameters {
            client_handle: reader.plain()?,
            sampling: reader.plain()?,
            filter: reader.extension_object()?,
            queue_size: reader.plain()?,
            discard_oldest: reader.plain()?,
        })
    }
}

/// An item to be created.
#[derive(Debug)]
pub struct CreateItem {
    /// What it watches.
    pub watch: ReadItem,
    /// Mode; `None` for a number that stands for none.
    pub mode: Option<MonitoringMode>,
    /// What the client wants.
    pub parameters: Parameters,
}

/// Items of a subscription to be created or changed.
#[derive(Debug)]
pub struct Items<T> {
    /// The subscription.
    pub subscription: u32,
    /// Which timestamps are wanted.
    pub timestamps: Option<TimestampsToReturn>,
    /// The items.
    pub items: Vec<T>,
}

/// Reads a request to create items behind its header.
pub fn read_create_items(reader: &mut Reader<'_>) -> Result<Items<CreateItem>, StatusCode> {
    let (subscription, timestamps) = (reader.plain()?, timestamps(reader)?);
    let items = reader.array(|reader| {
        Ok(CreateItem {
            watch: ReadItem::read(reader)?,
            mode: MonitoringMode::try_from(reader.plain::<i32>()?).ok(),
            parameters: Parameters::read(reader)?,
        })
    })?;
    Ok(Items { subscription, timestamps, items })
}

/// Reads a request to change items behind its header.
pub fn read_modify_items(reader: &mut Reader<'_>) -> Result<Items<(u32, Parameters)>, StatusCode> {
    let (subscription, timestamps) = (reader.plain()?, timestamps(reader)?);
    let items = reader.array(|reader| Ok((reader.plain()?, Parameters::read(reader)?)))?;
    Ok(Items { subscription, timestamps, items })
}

/// Items whose mode is to be changed.
#[derive(Debug)]
pub struct SetMode {
    /// The subscription.
    pub subscription: u32,
    /// Mode; `None` for a number that stands for none.
    pub mode: Option<MonitoringMode>,
    /// The items.
    pub items: Vec<u32>,
}

impl SetMode {
    /// Reads the request behind its header.
    pub fn read(reader: &mut Reader<'_>) -> Result<SetMode, StatusCode> {
        Ok(SetMode {
            subscription: reader.plain()?,
            mode: MonitoringMode::try_from(reader.plain::<i32>()?).ok(),
            items: reader.array(Reader::plain)?,
        })
    }
}

/// A method to be called.
#[derive(Debug)]
pub struct CallItem {
    /// The object.
    pub object: NodeId,
    /// The method.
    pub method: NodeId,
    /// What goes in.
    pub arguments: Vec<Variant>,
}

/// Reads a call request behind its header.
pub fn read_call(reader: &mut Reader<'_>) -> Result<Vec<CallItem>, StatusCode> {
    reader.array(|reader| {
        Ok(CallItem {
            object: reader.plain()?,
            method: reader.plain()?,
            arguments: reader.array(Reader::variant)?,
        })
    })
}

/// A variable whose history is to be read.
#[derive(Debug)]
pub struct HistoryItem {
    /// The variable.
    pub node: NodeId,
    /// Part of an array.
    pub range: Result<NumericRange, StatusCode>,
    /// Name of an encoding.
    pub encoding: QualifiedName,
    /// Where to go on.
    pub point: Vec<u8>,
}

/// A read of history.
#[derive(Debug)]
pub struct HistoryRead {
    /// What kind of read.
    pub details: ExtensionObject,
    /// Which timestamps are wanted.
    pub timestamps: Option<TimestampsToReturn>,
    /// Whether the points are only given back.
    pub release: bool,
    /// The variables.
    pub items: Vec<HistoryItem>,
}

impl HistoryRead {
    /// Reads the request behind its header.
    pub fn read(reader: &mut Reader<'_>) -> Result<HistoryRead, StatusCode> {
        let details = reader.extension_object()?;
        let (timestamps, release) = (timestamps(reader)?, reader.plain()?);
        let items = reader.array(|reader| {
            let (node, range) = (reader.plain()?, range(reader)?);
            let encoding = reader.plain()?;
            let point: opcua::types::ByteString = reader.plain()?;
            Ok(HistoryItem { node, range, encoding, point: point.as_ref().to_vec() })
        })?;
        Ok(HistoryRead { details, timestamps, release, items })
    }
}
