//! What the machine adapter tells about its links and about values that are shown but not kept.
//!
//! These are not facts: they describe the program's own work and may be lost at a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use crate::domain::id::MachineId;
use crate::domain::time::{Span, Timestamp};

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ConnectionState {
    /// Not connected, trying.
    #[default]
    Connecting,
    /// Values arrive.
    Connected,
    /// Connected, but some signals cannot be used.
    Degraded,
}

impl ConnectionState {
    /// The word shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            ConnectionState::Connecting => "connecting",
            ConnectionState::Connected => "connected",
            ConnectionState::Degraded => "degraded",
        }
    }
}

/// The link to one machine, for people to look at.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Where it stands.
    pub state: ConnectionState,
    /// URL of the endpoint.
    pub endpoint: String,
    /// What went wrong last, in plain words.
    pub last_error: String,
    /// When it came up or went down.
    pub since: Timestamp,
    /// How often it has come up.
    pub connects: u64,
    /// How often of these nothing was missed meanwhile.
    pub resumed: u64,
    /// Values received.
    pub values: u64,
    /// When the last value arrived.
    pub last_value: Option<Timestamp>,
    /// The machine's clock less ours.
    pub clock_skew: Span,
    /// How long the slowest of the newest changes has taken to us.
    pub lag: Span,
    /// Which product the machine's server says it is.
    pub product: String,
    /// Whose server it is taken for.
    pub profile: &'static str,
    /// Items that are watched.
    pub items: u64,
    /// What was recognised of the machine and why, a line each; empty where its signals are configured.
    pub binding: String,
    /// Nodes that are mirrored.
    pub mirrored: u64,
    /// Variables whose values are recorded.
    pub recorded: u64,
    /// Why they are not recorded now, in plain words.
    pub recording_note: String,
    /// What of the mirror is not as it is configured, in plain words.
    pub mirror_note: String,
    /// What of its events does not come, in plain words.
    pub events_note: String,
}

impl Connection {
    /// All that is to be said of the mirror, of the events that come with it, and of recording.
    pub fn mirror_notes(&self) -> String {
        let notes = [&self.mirror_note, &self.events_note, &self.recording_note].into_iter();
        let notes = notes.filter(|note| !note.is_empty()).map(String::as_str);
        notes.collect::<Vec<_>>().join("; ")
    }
}

/// A value that is shown live and not kept.
#[derive(Clone, Debug)]
pub struct ProcessValue {
    /// The value; none where there is no number.
    pub value: Option<f64>,
    /// OPC UA status code.
    pub status: u32,
    /// Source timestamp.
    pub at: Timestamp,
}

/// The board on which the machine adapter writes and the interfaces read.
#[derive(Clone, Default)]
pub struct Connections {
    board: Arc<RwLock<BTreeMap<MachineId, Connection>>>,
    values: Arc<RwLock<BTreeMap<(MachineId, String), ProcessValue>>>,
    /// Why nothing is recorded now; empty where everything is.
    not_recording: Arc<RwLock<String>>,
}

impl Connections {
    /// Changes what is said about a machine's link.
    pub fn update(&self, machine: &MachineId, change: impl FnOnce(&mut Connection)) {
        if let Ok(mut board) = self.board.write() {
            change(board.entry(machine.clone()).or_default());
        }
    }

    /// What is said about a machine's link.
    pub fn of(&self, machine: &MachineId) -> Connection {
        let board = self.board.read();
        let known = board.ok().and_then(|board| board.get(machine).cloned());
        let mut connection = known.unwrap_or_default();
        if connection.recorded > 0 {
            connection.recording_note = self.not_recording();
        }
        connection
    }

    /// Says why nothing is recorded now; nothing where everything is.
    pub fn set_not_recording(&self, why: String) {
        if let Ok(mut known) = self.not_recording.write() {
            *known = why;
        }
    }

    /// Why nothing is recorded now; empty where everything is.
    pub fn not_recording(&self) -> String {
        self.not_recording.read().map(|why| why.clone()).unwrap_or_default()
    }

    /// Forgets a machine: there is no link to it any more, or another one.
    pub fn forget(&self, machine: &MachineId) {
        if let Ok(mut board) = self.board.write() {
            board.remove(machine);
        }
        if let Ok(mut values) = self.values.write() {
            values.retain(|(of, _), _| of != machine);
        }
    }

    /// Shows a process value.
    pub fn show(&self, machine: &MachineId, name: &str, value: ProcessValue) {
        if let Ok(mut values) = self.values.write() {
            values.insert((machine.clone(), name.to_owned()), value);
        }
    }

    /// A process value, if one has arrived.
    pub fn process_value(&self, machine: &MachineId, name: &str) -> Option<ProcessValue> {
        let values = self.values.read().ok()?;
        values.get(&(machine.clone(), name.to_owned())).cloned()
    }
}
