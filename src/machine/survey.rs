//! What must be known of a machine before any of its values can be understood: its clock, its
//! namespaces, since when its server runs, and whose product it is.

use opcua::types::{AttributeId, DataValue, DateTime, NodeId, ReadValueId, VariableId, Variant};

use super::client::{Failure, Session};
use super::clock::Reading;
use crate::app::clock::Clock;
use crate::channel::time::timestamp;
use crate::domain::time::{Span, Timestamp};

/// Longest text of a machine about itself.
const TEXT_MAX: usize = 100;
/// Namespaces of a machine that are looked at.
const NAMESPACES_MAX: usize = 10_000;

/// What a machine says of itself.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Its clock; a machine without one counts as having ours.
    pub clock: Option<Reading>,
    /// Namespace URIs, by index.
    pub namespaces: Vec<String>,
    /// Since when its server runs.
    pub started: Option<Timestamp>,
    /// Who has made the server.
    pub manufacturer: String,
    /// What it is.
    pub product: String,
    /// Its version.
    pub version: String,
}

const CLOCK: VariableId = VariableId::Server_ServerStatus_CurrentTime;
const STATE: VariableId = VariableId::Server_ServerStatus_State;

fn questions(nodes: &[VariableId]) -> Vec<ReadValueId> {
    let question = |node: &VariableId| ReadValueId {
        node_id: NodeId::from(*node),
        attribute_id: AttributeId::Value as u32,
        ..ReadValueId::default()
    };
    nodes.iter().map(question).collect()
}

impl Survey {
    /// Which product its server is, for people.
    pub fn product_text(&self) -> String {
        let parts = [&self.manufacturer, &self.product, &self.version];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        parts.map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Asks a machine.
    pub async fn of(session: &Session, clock: &dyn Clock) -> Result<Survey, Failure> {
        let nodes = questions(&[
            CLOCK,
            VariableId::Server_NamespaceArray,
            VariableId::Server_ServerStatus_StartTime,
            VariableId::Server_ServerStatus_BuildInfo_ManufacturerName,
            VariableId::Server_ServerStatus_BuildInfo_ProductName,
            VariableId::Server_ServerStatus_BuildInfo_SoftwareVersion,
        ]);
        let asked = clock.now();
        let (said, sent) = session.read_with_time(&nodes).await?;
        let answered = clock.now();
        let value = |index: usize| said.get(index).and_then(|one| one.value.as_ref());
        let text = |index: usize| value(index).map(text).unwrap_or_default();
        Ok(Survey {
            clock: clock_of(value(0), sent).map(|said| Reading { asked, answered, said }),
            namespaces: value(1).map(texts).unwrap_or_default(),
            started: value(2).and_then(time),
            manufacturer: text(3),
            product: text(4),
            version: text(5),
        })
    }
}

/// What a machine says now and then.
#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    /// Its clock.
    pub clock: Option<Reading>,
    /// The state of its server where that is not running (Part 5 §12.6).
    pub not_running: Option<i32>,
}

impl Pulse {
    /// Asks a machine.
    pub async fn of(session: &Session, clock: &dyn Clock) -> Result<Pulse, Failure> {
        let asked = clock.now();
        let (said, sent) = session.read_with_time(&questions(&[CLOCK, STATE])).await?;
        let answered = clock.now();
        let value = |index: usize| said.get(index).and_then(|one: &DataValue| one.value.as_ref());
        let state = match value(1) {
            Some(Variant::Int32(state)) => Some(*state).filter(|state| *state != 0),
            _ => None,
        };
        let clock = clock_of(value(0), sent).map(|said| Reading { asked, answered, said });
        Ok(Pulse { clock, not_running: state })
    }
}

/// The time of a machine: that at which it has answered, where its clock confirms it. The clock alone may
/// count only seconds.
fn clock_of(clock: Option<&Variant>, sent: Option<DateTime>) -> Option<Timestamp> {
    const COARSE: Span = Span::from_millis(1500);
    let clock = clock.and_then(time);
    let sent = sent.as_ref().and_then(timestamp);
    match (clock, sent) {
        (Some(clock), Some(sent)) if sent >= clock && sent - clock <= COARSE => Some(sent),
        (Some(clock), _) => Some(clock),
        (None, sent) => sent,
    }
}

fn time(value: &Variant) -> Option<Timestamp> {
    match value {
        Variant::DateTime(time) => timestamp(time),
        _ => None,
    }
}

fn text(value: &Variant) -> String {
    let text = match value {
        Variant::String(text) => text.as_ref(),
        Variant::LocalizedText(text) => text.text.as_ref(),
        _ => "",
    };
    text.chars().filter(|letter| !letter.is_control()).take(TEXT_MAX).collect()
}

fn texts(value: &Variant) -> Vec<String> {
    let Variant::Array(array) = value else { return Vec::new() };
    let name = |value: &Variant| match value {
        Variant::String(text) => text.as_ref().to_owned(),
        _ => String::new(),
    };
    array.values.iter().take(NAMESPACES_MAX).map(name).collect()
}
