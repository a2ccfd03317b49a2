//! `browse`: what a machine shows, as a tree or as JSON, to find out what to bind.

use clap::Args;
use serde_json::{Map, Number, Value, json};

use super::reach::Machine;
use super::{EXIT_UNAVAILABLE, EXIT_USAGE, Failure, Outcome, runtime, say};
use crate::app::time_text::print;
use crate::config::NodeAddress;
use crate::machine::explore::{Bounds, Seen, SeenValue, Sight, explore, status_name};
use crate::machine::text::Shown;
use crate::machine::{Node, Survey};
use crate::sys::WallClock;

/// What to look at.
#[derive(Args, Debug)]
pub struct BrowseOptions {
    #[command(flatten)]
    machine: Machine,
    /// Node to begin at, as nsu=<namespace URI>;s=<name>; the objects of the machine when absent
    #[arg(long)]
    node: Option<String>,
    /// Levels to look at
    #[arg(long, default_value_t = 8)]
    depth: usize,
    /// Nodes to look at
    #[arg(long, default_value_t = 10_000)]
    limit: usize,
    /// Look into the Server object too
    #[arg(long)]
    server: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Looks at a machine.
pub fn run(options: &BrowseOptions) -> Outcome {
    let sight = runtime()?.block_on(look(options))?;
    say(&match options.json {
        true => format!("{:#}\n", to_json(&sight)),
        false => tree(&sight),
    })?;
    if sight.is_cut {
        eprintln!("linewright: there is more; raise --depth or --limit, or begin at a --node");
    }
    Ok(())
}

async fn look(options: &BrowseOptions) -> Result<Sight, Failure> {
    let session = options.machine.log_on().await?;
    let unreadable = |error: String| Failure::new(EXIT_UNAVAILABLE, error);
    let seen = async {
        let survey = Survey::of(&session, &WallClock).await;
        let survey = survey.map_err(|failure| unreadable(failure.to_string()))?;
        let from = options.node.as_deref().map(|text| {
            let address = NodeAddress::parse(text)
                .map_err(|advice| Failure::new(EXIT_USAGE, format!("--node {text}: {advice}")))?;
            let node = Node { namespace: address.namespace, identifier: address.identifier };
            node.id(&survey.namespaces).map_err(|why| Failure::new(EXIT_USAGE, why))
        });
        let bounds =
            Bounds { depth: options.depth, nodes: options.limit, with_server: options.server };
        let seen = explore(&session, &survey.namespaces, from.transpose()?, bounds).await;
        seen.map_err(|failure| unreadable(failure.to_string()))
    };
    let seen = seen.await;
    session.close().await;
    seen
}

fn tree(sight: &Sight) -> String {
    let lines = sight.nodes.iter();
    lines.map(|seen| format!("{}{}\n", "  ".repeat(seen.depth), line(seen))).collect()
}

fn line(seen: &Seen) -> String {
    let name = seen.path.rsplit('/').next().unwrap_or_default();
    let mut line = name.to_owned();
    if let Some(variable) = &seen.variable {
        line += &format!(" = {} ({}", variable.value, variable.data_type);
        if variable.status != 0 {
            line += &format!(", {}", status_name(variable.status));
        }
        if variable.is_writable {
            line += ", writable";
        }
        if variable.has_history {
            line += ", history";
        }
        line.push(')');
    } else {
        let kind = if seen.type_name.is_empty() { seen.class } else { &seen.type_name };
        line += &format!(" ({kind})");
    }
    line += &format!("  {}", seen.node);
    if seen.is_again {
        line += "  (see above)";
    }
    line
}

/// What was seen, for programs.
pub fn to_json(sight: &Sight) -> Value {
    let nodes: Vec<Value> = sight.nodes.iter().map(node_to_json).collect();
    json!({ "nodes": nodes, "complete": !sight.is_cut })
}

fn node_to_json(seen: &Seen) -> Value {
    let mut node = Map::new();
    node.insert("path".into(), json!(seen.path));
    node.insert("node".into(), json!(seen.node.to_string()));
    node.insert("name".into(), json!(seen.name));
    node.insert("class".into(), json!(seen.class));
    node.insert("type".into(), json!(seen.type_name));
    if let Some(of) = &seen.type_node {
        node.insert("type_node".into(), json!(of.to_string()));
    }
    if seen.is_again {
        node.insert("seen_before".into(), json!(true));
    }
    if let Some(variable) = &seen.variable {
        variable_to_json(variable, &mut node);
    }
    Value::Object(node)
}

fn variable_to_json(variable: &SeenValue, node: &mut Map<String, Value>) {
    node.insert("data_type".into(), json!(variable.data_type));
    node.insert("value".into(), value_to_json(&variable.value));
    node.insert("status".into(), json!(status_name(variable.status)));
    if let Some(at) = variable.at {
        node.insert("source_time".into(), json!(print(at)));
    }
    node.insert("writable".into(), json!(variable.is_writable));
    node.insert("history".into(), json!(variable.has_history));
}

fn value_to_json(shown: &Shown) -> Value {
    match shown {
        Shown::Null => Value::Null,
        Shown::Truth(value) => json!(value),
        Shown::Integer(value) => match i64::try_from(*value) {
            Ok(value) => json!(value),
            // Beyond what programs take from JSON without a loss.
            Err(_) => json!(value.to_string()),
        },
        Shown::Number(value) => {
            Number::from_f64(*value).map_or_else(|| json!(value.to_string()), Value::Number)
        }
        Shown::Text(text) | Shown::Other(text) => json!(text),
        Shown::Array(first, count) => {
            let first: Vec<Value> = first.iter().map(value_to_json).collect();
            json!({ "first": first, "count": count })
        }
    }
}
