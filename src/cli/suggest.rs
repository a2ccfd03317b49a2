//! `suggest`: a section of the configuration for a machine, made of what it shows.

use std::fmt::Write as _;

use clap::Args;

use super::reach::Machine;
use super::{EXIT_UNAVAILABLE, Failure, Outcome, runtime, say};
use crate::machine::client::Policy;
use crate::machine::explore::{Bounds, Seen, Sight, explore};
use crate::machine::recognise::{Binding, Recognised, recognise};
use crate::machine::text::Shown;
use crate::machine::{Survey, client};
use crate::sys::WallClock;

/// Which machine.
#[derive(Args, Debug)]
pub struct SuggestOptions {
    #[command(flatten)]
    machine: Machine,
    /// Nodes to look at
    #[arg(long, default_value_t = 20_000)]
    limit: usize,
}

/// Words in names of variables that may be a signal, in roles that they may have.
const HINTS: [(&str, &str); 9] = [
    ("state", "state"),
    ("status", "state"),
    ("mode", "mode"),
    ("good", "good"),
    ("reject", "reject"),
    ("scrap", "reject"),
    ("total", "total"),
    ("count", "total"),
    ("lot", "lot"),
];
/// Signals that are only guessed, at most.
const GUESSES_MAX: usize = 20;

/// What was found out about a machine.
struct Found {
    url: String,
    offers: Vec<String>,
    product: String,
    sight: Sight,
    recognised: Recognised,
}

/// Looks at a machine and proposes a section.
pub fn run(options: &SuggestOptions) -> Outcome {
    let found = runtime()?.block_on(look(options))?;
    say(&section(&found))
}

async fn look(options: &SuggestOptions) -> Result<Found, Failure> {
    let (target, dialer) = options.machine.target()?;
    let unreadable = |failure: client::Failure| Failure::new(EXIT_UNAVAILABLE, failure.to_string());
    let offers = dialer.policies(&target.url).await.map_err(unreadable)?;
    let session = options.machine.log_on().await?;
    let looked = async {
        let survey = Survey::of(&session, &WallClock).await?;
        let bounds = Bounds { depth: 12, nodes: options.limit, with_server: false };
        let sight = explore(&session, &survey.namespaces, None, bounds).await?;
        Ok((survey.product_text(), sight))
    };
    let looked = looked.await;
    session.close().await;
    let (product, sight) = looked.map_err(unreadable)?;
    let recognised = recognise(&sight);
    Ok(Found { url: target.url, offers, product, sight, recognised })
}

/// The section, which is right as it stands where something was recognised, and says what to choose where
/// nothing was.
fn section(found: &Found) -> String {
    let Found { url, offers, product, sight, recognised } = found;
    let mut text = format!("# Proposed from what {url} shows");
    let product = if product.is_empty() { String::new() } else { format!(": {product}") };
    let _ = writeln!(text, "{product}.");
    for note in &recognised.notes {
        let _ = writeln!(text, "# {note}.");
    }
    if sight.is_cut {
        text += "# It has more nodes than were looked at; raise --limit.\n";
    }
    let id = id_of(recognised, sight);
    let _ = writeln!(text, "\n[[machine]]\nid = {id:?}");
    text += "line = \"L1\"                    # the line in which it stands\n";
    let _ = writeln!(text, "endpoint = {}", toml_text(url));
    let strongest = Policy::STRONGEST.iter().find(|policy| offers.iter().any(|o| o == **policy));
    let security = strongest.copied().unwrap_or("none");
    let offered = if offers.is_empty() { "none".to_owned() } else { offers.join(", ") };
    let _ = writeln!(text, "security = {security:?}  # it offers {offered}");
    for binding in &recognised.bindings {
        text += &signal(binding, "machine.signal");
    }
    let has_state =
        recognised.bindings.iter().any(|b| ["state", "cycle"].contains(&b.role.as_str()));
    if !has_state {
        text += &guesses(sight);
    }
    text += &nameplate(recognised, "machine.nameplate");
    text
}

/// A signal in the words of the configuration, in a table of this name.
pub fn signal(binding: &Binding, table: &str) -> String {
    let Binding { role, node, field, reading, standard, why } = binding;
    let mut text = format!("\n[[{table}]]            # {standard}: {}\n", one_line(why));
    let _ = writeln!(text, "role = {:?}", role.as_str());
    let _ = writeln!(text, "node = {}", toml_text(&node.to_string()));
    if !field.is_empty() {
        let _ = writeln!(text, "field = {field:?}");
    }
    if !reading.is_empty() {
        let _ = writeln!(text, "{reading}");
    }
    text
}

/// Variables whose names hint at what they may be; nobody knows, so they are comments.
fn guesses(sight: &Sight) -> String {
    let mut text =
        "\n# Nothing was recognised by its type. These may be signals by their names; choose \
                    and complete:\n"
            .to_owned();
    let mut count = 0;
    for seen in &sight.nodes {
        let Some(role) = hint(seen) else { continue };
        let value = seen.variable.as_ref().map_or(String::new(), |v| v.value.to_string());
        let _ =
            writeln!(text, "# [[machine.signal]]          # {} = {}", seen.path, one_line(&value));
        let _ = writeln!(text, "# role = {role:?}");
        let _ = writeln!(text, "# node = {}", toml_text(&seen.node.to_string()));
        count += 1;
        if count == GUESSES_MAX {
            break;
        }
    }
    text
}

fn hint(seen: &Seen) -> Option<&'static str> {
    let variable = seen.variable.as_ref()?;
    let is_plain = matches!(
        variable.value,
        Shown::Truth(_) | Shown::Integer(_) | Shown::Number(_) | Shown::Text(_)
    );
    // What OPC UA itself has says nothing about production.
    if !is_plain || seen.is_again || seen.node.namespace.is_none() {
        return None;
    }
    let name = seen.path.rsplit('/').next().unwrap_or_default().to_lowercase();
    HINTS.iter().find(|(word, _)| name.contains(word)).map(|(_, role)| *role)
}

/// A nameplate in the words of the configuration, in a table of this name; empty where too little is said.
pub fn nameplate(recognised: &Recognised, table: &str) -> String {
    const KEYS: [(&str, &str); 12] = [
        ("Manufacturer", "manufacturer"),
        ("SerialNumber", "serial_number"),
        ("ProductInstanceUri", "product_instance_uri"),
        ("ManufacturerUri", "manufacturer_uri"),
        ("Model", "model"),
        ("ProductCode", "product_code"),
        ("HardwareRevision", "hardware_revision"),
        ("SoftwareRevision", "software_revision"),
        ("DeviceClass", "device_class"),
        ("AssetId", "asset_id"),
        ("ComponentName", "component_name"),
        ("Location", "location"),
    ];
    let said = |name: &str| recognised.nameplate.iter().find(|(known, _)| known == name);
    // The first three belong to every nameplate.
    if KEYS[..3].iter().any(|(name, _)| said(name).is_none()) {
        return String::new();
    }
    let mut text = format!("\n[{table}]\n");
    for (name, key) in KEYS {
        if let Some((_, value)) = said(name) {
            let _ = writeln!(text, "{key} = {}", toml_text(value));
        }
    }
    text
}

/// A name for the machine: its serial number, else where its signals are.
fn id_of(recognised: &Recognised, sight: &Sight) -> String {
    let serial = recognised.nameplate.iter().find(|(name, _)| name == "SerialNumber");
    let bound = recognised.bindings.first().map(|binding| &binding.node);
    let path = bound.and_then(|node| sight.nodes.iter().find(|seen| seen.node == *node));
    let name = serial.map(|(_, serial)| serial.clone()).or_else(|| {
        let parts: Vec<&str> = path?.path.split('/').collect();
        parts.iter().rev().nth(1).map(|part| (*part).to_owned())
    });
    let name = name.unwrap_or_else(|| "M1".to_owned());
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(40).collect();
    plain.trim_matches('-').to_owned()
}

/// A text of a machine as a TOML text, whatever is in it.
fn toml_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

/// A text of a machine without what would end a line.
pub fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
