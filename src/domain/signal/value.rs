//! Values as machines send them, and what a single one of them means.

use std::fmt;

use super::mode::OperationMode;
use super::state::MachineState;
use crate::domain::id::{LotId, PersonId, ReasonId};
use crate::domain::quantity::Quantity;

/// A value as a machine sent it, reduced to what a signal can be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RawValue {
    /// A Boolean.
    Bool(bool),
    /// Any whole number, a float without fraction included.
    Integer(i128),
    /// A text.
    Text(String),
    /// Something that no signal can be; holds its type for the message.
    Other(String),
    /// A number with a fraction, rounded to nine decimal places.
    Decimal(Quantity),
}

impl fmt::Display for RawValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RawValue::Bool(value) => write!(out, "{value}"),
            RawValue::Integer(value) => write!(out, "{value}"),
            RawValue::Text(value) => out.write_str(value),
            RawValue::Other(kind) => write!(out, "a value of type {kind}"),
            RawValue::Decimal(value) => write!(out, "{value}"),
        }
    }
}

/// What a value means.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reading {
    /// The machine's state.
    State(MachineState),
    /// A counter's value, a pulse (1) or its end (0), or the parts of a batch.
    Count(u64),
    /// The lot in use, or none.
    Lot(Option<LotId>),
    /// The value cannot be used.
    Unusable(Unusable),
    /// The operation mode.
    Mode(OperationMode),
    /// The reason that the machine gives, or none.
    Reason(Option<ReasonId>),
    /// Whether a condition holds.
    Truth(bool),
    /// Who works at the machine, or nobody.
    Operator(Option<PersonId>),
}

/// Why a value cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Unusable {
    /// The machine marked it bad.
    BadStatus,
    /// Its type does not fit the role.
    WrongType,
    /// The mapping has no entry for it.
    UnknownValue,
}

impl Unusable {
    /// The word used in logs and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Unusable::BadStatus => "bad status",
            Unusable::WrongType => "wrong type",
            Unusable::UnknownValue => "unknown value",
        }
    }
}

/// Whether an OPC UA status code says that the value may not be used (severity bits, Part 4 §7.39).
pub fn is_bad(status: u32) -> bool {
    status >> 30 >= 2
}
