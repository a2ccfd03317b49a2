//! Whether a machine can be told of orders as it is configured: its variables can be written, its receiver
//! and its methods are there. Nothing is told.

use opcua::types::{AttributeId, ReadValueId, TimestampsToReturn, Variant};

use super::{Transfer, WrittenValue};
use crate::machine::client::{Failure, Session};
use crate::machine::spot::{Finder, Place};
use crate::machine::structure::Step;

/// Bit of AccessLevel (Part 3 §8.57).
const WRITE: u8 = 1 << 1;

/// What is wrong, in sentences with the next step.
pub async fn check(
    session: &Session,
    transfer: &Transfer,
    finder: &mut Finder<'_>,
    problems: &mut Vec<String>,
) -> Result<(), Failure> {
    for (value, place) in &transfer.writes {
        let node = match finder.node(place).await? {
            Ok(node) => node,
            Err((_, why)) => {
                problems
                    .push(format!("{value} of orders: {why}; look for it with linewright browse"));
                continue;
            }
        };
        let question = ReadValueId {
            node_id: node.clone(),
            attribute_id: AttributeId::UserAccessLevel as u32,
            ..ReadValueId::default()
        };
        let said = session.read(&[question], TimestampsToReturn::Neither).await?;
        let level = said.into_iter().next().and_then(|said| said.value);
        if !matches!(level, Some(Variant::Byte(level)) if level & WRITE != 0) {
            problems.push(format!(
                "{value} of orders: {node} may not be written by our user; let the machine allow it"
            ));
        }
    }
    if let Some(place) = &transfer.receiver {
        let methods = ["StoreAndStart", "Stop"];
        check_methods("receiver of orders", place, &methods, finder, problems).await?;
    }
    for call in &transfer.calls {
        let what = format!("method at the {} of orders", call.moment.as_str());
        let example = |(_, value): &(Vec<Step>, WrittenValue)| match value {
            // What stands in a recipe is known when there is an order.
            WrittenValue::Quantity | WrittenValue::Parameter(_) => "1".to_owned(),
            value => value.to_string(),
        };
        let texts: Vec<_> = call.arguments.iter().map(example).collect();
        if let Err(why) = call.prepare(session, &texts, finder).await? {
            problems.push(format!("{what}: {why}; look for it with linewright browse"));
        }
    }
    Ok(())
}

async fn check_methods(
    what: &str,
    place: &Place,
    methods: &[&str],
    finder: &mut Finder<'_>,
    problems: &mut Vec<String>,
) -> Result<(), Failure> {
    let object = match finder.node(place).await? {
        Ok(object) => object,
        Err((_, why)) => {
            problems.push(format!("{what}: {why}; look for it with linewright browse"));
            return Ok(());
        }
    };
    for method in methods {
        if finder.child(&object, None, method).await?.is_none() {
            problems.push(format!("{what}: it has no method {method}; name another object"));
        }
    }
    Ok(())
}
