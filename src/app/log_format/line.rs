//! The lines of a log.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line of a log.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LogLine {
    /// A value of a signal as the machine sent it.
    Sample {
        /// Machine.
        machine: String,
        /// Role of the signal, such as `state` or `good`.
        signal: String,
        /// Source time.
        at: String,
        /// The value; `null` for one that is no scalar.
        value: Value,
        /// OPC UA status code; 0 is good.
        #[serde(default)]
        status: u32,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// A link went up or down.
    Link {
        /// Machine.
        machine: String,
        /// From when on.
        at: String,
        /// Whether values arrive.
        up: bool,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// An order was stored or revised.
    Order(OrderLine),
    /// An order was moved through its states.
    Command {
        /// Order.
        order: String,
        /// What to do, such as `start`.
        command: String,
        /// When.
        at: String,
        /// Who.
        #[serde(default)]
        actor: String,
    },
    /// A person reported parts.
    Report {
        /// Order.
        order: String,
        /// When.
        at: String,
        /// Good parts.
        #[serde(default)]
        good: u32,
        /// Scrapped parts.
        #[serde(default)]
        scrap: u32,
        /// Parts that go to rework.
        #[serde(default, skip_serializing_if = "is_zero")]
        rework: u32,
        /// Reworked parts that are good now.
        #[serde(default, skip_serializing_if = "is_zero")]
        rework_good: u32,
        /// Lot, if not the order's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lot: Option<String>,
        /// Reason of the scrap.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Who.
        #[serde(default)]
        actor: String,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// Material of a lot went into an order.
    Consume {
        /// Order.
        order: String,
        /// Lot.
        lot: String,
        /// When.
        at: String,
        /// How much.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quantity: Option<String>,
        /// Machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        machine: Option<String>,
        /// Who.
        #[serde(default)]
        actor: String,
    },
    /// Somebody wrote something down about a shift.
    Note {
        /// Line.
        line: String,
        /// An instant inside the shift.
        shift: String,
        /// What.
        text: String,
        /// When.
        at: String,
        /// Who.
        #[serde(default)]
        actor: String,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// A stop was given its reason.
    Classify {
        /// Machine.
        machine: String,
        /// An instant inside the stop.
        stop: String,
        /// Reason.
        reason: String,
        /// Free text.
        #[serde(default)]
        comment: String,
        /// When it was said.
        at: String,
        /// Who.
        #[serde(default)]
        actor: String,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// A stop is two from an instant on.
    Split {
        /// Machine.
        machine: String,
        /// An instant inside the stop.
        stop: String,
        /// First instant of the second part.
        split_at: String,
        /// Free text.
        #[serde(default)]
        comment: String,
        /// When it was said.
        at: String,
        /// Who.
        #[serde(default)]
        actor: String,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// Stops from one to another are one.
    Merge {
        /// Machine.
        machine: String,
        /// An instant inside the first.
        first: String,
        /// An instant inside the last.
        last: String,
        /// Free text.
        #[serde(default)]
        comment: String,
        /// When it was said.
        at: String,
        /// Who.
        #[serde(default)]
        actor: String,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// A machine stood although no signal says so; without a reason the statement is taken back.
    Stop {
        /// Machine.
        machine: String,
        /// First instant.
        from: String,
        /// First instant after.
        to: String,
        /// Reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Free text.
        #[serde(default)]
        comment: String,
        /// When it was said.
        at: String,
        /// Who.
        #[serde(default)]
        actor: String,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
    /// What a machine did in a gap.
    Resolve {
        /// Machine.
        machine: String,
        /// First instant.
        from: String,
        /// First instant after.
        to: String,
        /// The state, such as `running`.
        state: String,
        /// Free text.
        #[serde(default)]
        comment: String,
        /// When it was said.
        at: String,
        /// Who.
        #[serde(default)]
        actor: String,
        /// Order among lines of the same time.
        #[serde(default)]
        seq: u64,
    },
}

/// An order in a log.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct OrderLine {
    /// Number that the ERP gave it.
    pub id: String,
    /// Revision.
    #[serde(default)]
    pub revision: u64,
    /// Line.
    pub line: String,
    /// Product.
    pub product: String,
    /// Quantity as a decimal.
    pub quantity: String,
    /// Lot to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<String>,
    /// Due time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Priority.
    #[serde(default)]
    pub priority: i16,
    /// Whether it may start.
    #[serde(default = "yes")]
    pub released: bool,
    /// Ideal time of a part, such as `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ideal_cycle: Option<String>,
    /// When it was stored.
    pub at: String,
    /// Who.
    #[serde(default)]
    pub actor: String,
}

fn yes() -> bool {
    true
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
