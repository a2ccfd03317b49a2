//! How a machine is told of the orders of its line.

use super::node::{FieldStep, PlaceAddress, StartAddress, parse_field, parse_path};
use super::section::{Placed, Section};
use super::settings::{OrderCall, OrderSettings, OrderValue};
use super::signals::read_place;
use crate::domain::time::Span;
use crate::domain::transfer::TransferMoment;

const TIMEOUT_DEFAULT: Span = Span::from_seconds(5);
const TIMEOUT_MAX: Span = Span::from_seconds(60);
const VALUES: &str = "\"order\", \"product\", \"quantity\", \"lot\" or \"parameter:<name>\"";

/// Reads the `[machine.orders]` of a machine.
pub fn read(machine: &Section<'_>) -> Option<OrderSettings> {
    let section = machine.table("orders")?;
    let receiver = section.text("receiver").and_then(|text| match parse_path(&text.value) {
        Ok(names) => Some(PlaceAddress { start: StartAddress::Path(names), field: Vec::new() }),
        Err(advice) => {
            let message = format!("`receiver` is {:?}", text.value);
            section.problems().add(text.span, message, advice);
            None
        }
    });
    let timeout = section.duration("timeout");
    let is_wrong = |timeout: Span| timeout <= Span::ZERO || timeout > TIMEOUT_MAX;
    if let Some(wrong) = timeout.as_ref().filter(|timeout| is_wrong(timeout.value)) {
        let advice = "write up to one minute, such as \"5s\"";
        section.problems().add(wrong.span.clone(), "`timeout` is too short or too long", advice);
    }
    let orders = OrderSettings {
        receiver,
        writes: writes(&section),
        calls: calls(&section),
        timeout: timeout.map_or(TIMEOUT_DEFAULT, |timeout| timeout.value),
    };
    let (span, problems) = (section.span(), section.problems());
    section.finish();
    if orders.receiver.is_none() && orders.writes.is_empty() && orders.calls.is_empty() {
        let advice = "add a `receiver`, a [[machine.orders.write]] or a [[machine.orders.call]]";
        problems.add(span, "[machine.orders] tells the machine nothing", advice);
    }
    Some(orders)
}

fn writes(section: &Section<'_>) -> Vec<(OrderValue, PlaceAddress)> {
    let mut writes = Vec::new();
    for section in section.tables("write") {
        let value = section.required("value", VALUES, order_value);
        let place = read_place(&section);
        if let Some(field) = place.as_ref().filter(|place| !place.field.is_empty()) {
            let message = format!("a part of a value cannot be written: {:?}", field.field);
            section.problems().add(section.span(), message, "remove `field`");
        }
        section.finish();
        if let (Some(value), Some(place)) = (value, place) {
            writes.push((value.value, place));
        }
    }
    writes
}

fn order_value(text: &str) -> Option<OrderValue> {
    match text {
        "order" => Some(OrderValue::Order),
        "product" => Some(OrderValue::Product),
        "quantity" => Some(OrderValue::Quantity),
        "lot" => Some(OrderValue::Lot),
        text => {
            let name = text.strip_prefix("parameter:").filter(|name| !name.is_empty())?;
            Some(OrderValue::Parameter(name.to_owned()))
        }
    }
}

fn calls(section: &Section<'_>) -> Vec<OrderCall> {
    let mut calls = Vec::new();
    for section in section.tables("call") {
        let wanted = "\"start\", \"pause\", \"resume\" or \"end\"";
        let when = section.required("when", wanted, |text| {
            TransferMoment::ALL.into_iter().find(|moment| moment.as_str() == text)
        });
        let wanted = "the path to a method, such as \"Press/Reset\"";
        let path = section
            .required("path", wanted, |text| parse_path(text).ok().filter(|names| names.len() > 1));
        let arguments = arguments(&section);
        section.finish();
        if let (Some(when), Some(path)) = (when, path) {
            let method = PlaceAddress { start: StartAddress::Path(path.value), field: Vec::new() };
            calls.push(OrderCall { when: when.value, method, arguments });
        }
    }
    calls
}

/// What arguments of a method are, such as `{ RequestedMode = "parameter:mode" }`.
fn arguments(section: &Section<'_>) -> Vec<(Vec<FieldStep>, OrderValue)> {
    let Some(table) = section.table("arguments") else { return Vec::new() };
    let argument = |(name, text): (String, Placed<String>)| {
        let problem = |message: String, advice: &str| {
            section.problems().add(text.span.clone(), message, advice);
        };
        let steps = parse_field(&name).map_err(|advice| {
            problem(format!("`arguments` has {name:?}"), advice);
        });
        let value = order_value(&text.value);
        if value.is_none() {
            let message = format!("argument {name} is {:?}", text.value);
            problem(message, &format!("write {VALUES}"));
        }
        Some((steps.ok()?, value?))
    };
    table.all_texts().into_iter().filter_map(argument).collect()
}
