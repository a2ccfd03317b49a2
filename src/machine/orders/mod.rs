//! Telling a machine which job order its line makes: `job` is what it is to know, `receiver` tells it to a
//! machine that takes job orders (OPC 10031-4), `writing` writes single values and reads them back, `calling` calls
//! methods, and `telling` does so over a connection until the machine knows it; `check` tries whether it can be
//! told.
//!
//! What it was told is a fact, kept with all others: a method is called only after it is durable that it will be.
//!
//! Nothing is told that is not configured, and it is always visible what the machine knows and why it does
//! not know more. What is told
//! twice is as if told once, and a method is called once.

mod calling;
mod check;
mod job;
mod receiver;
mod telling;
mod writing;

pub use calling::Call;
pub use check::check;
pub use telling::{Telling, start};

use std::collections::BTreeMap;

use super::spot::Place;
use crate::domain::id::ProductId;
use crate::domain::time::Span;

/// How a machine is told of orders, as it is configured.
#[derive(Clone, PartialEq, Debug)]
pub struct Transfer {
    /// The object that takes job orders, if there is one.
    pub receiver: Option<Place>,
    /// What is written when an order begins, and where.
    pub writes: Vec<(WrittenValue, Place)>,
    /// Methods that are called when something has happened to an order.
    pub calls: Vec<Call>,
    /// How long a step may take.
    pub timeout: Span,
    /// Parameters of recipes, by product and name.
    pub parameters: BTreeMap<ProductId, BTreeMap<String, String>>,
}

/// What is written of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WrittenValue {
    /// Its number.
    Order,
    /// Its product.
    Product,
    /// How much is to be made.
    Quantity,
    /// Number of the lot to make.
    Lot,
    /// A parameter of the recipe, by name.
    Parameter(String),
}

impl std::fmt::Display for WrittenValue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WrittenValue::Order => out.write_str("order"),
            WrittenValue::Product => out.write_str("product"),
            WrittenValue::Quantity => out.write_str("quantity"),
            WrittenValue::Lot => out.write_str("lot"),
            WrittenValue::Parameter(name) => write!(out, "parameter {name}"),
        }
    }
}
