//! The section of the OPC UA server.

use super::plant::{read_listen, read_loopback_only};
use super::section::Section;
use super::settings::{ChannelMode, OpcUaSettings, Security};

const LISTEN: &str = "127.0.0.1:4840";
const CONNECTIONS: usize = 100;
const CONNECTIONS_PER_ADDRESS: usize = 10;

/// The policies that can be offered, the strongest first.
const POLICIES: [Security; 3] =
    [Security::Aes256Sha256RsaPss, Security::Basic256Sha256, Security::Aes128Sha256RsaOaep];

/// Reads the section, or takes what holds without one.
pub fn read(root: &Section<'_>) -> Option<OpcUaSettings> {
    let Some(section) = root.table("opcua") else {
        let listen: std::net::SocketAddr = LISTEN.parse().ok()?;
        return Some(OpcUaSettings {
            listen,
            host: listen.ip().to_string(),
            policies: POLICIES.to_vec(),
            modes: vec![ChannelMode::SignAndEncrypt],
            open_endpoint: false,
            anonymous_read: false,
            trust_all_clients: false,
            connections: CONNECTIONS,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
        });
    };
    let listen = read_listen(&section, LISTEN)?;
    let host = section.text("host").map_or_else(|| listen.ip().to_string(), |host| host.value);
    let open_endpoint = read_loopback_only(&section, "open_endpoint", &listen);
    let trust_all_clients = read_loopback_only(&section, "trust_all_clients", &listen);
    let anonymous_read = section.truth("anonymous_read").is_some_and(|truth| truth.value);
    let policies = choices(&section, "policies", &POLICIES, Security::as_str);
    let modes = choices(&section, "modes", &ChannelMode::ALL, ChannelMode::as_str);
    let modes = if modes.is_empty() { vec![ChannelMode::SignAndEncrypt] } else { modes };
    let policies = if policies.is_empty() { POLICIES.to_vec() } else { policies };
    let connections = number(&section, "connections", CONNECTIONS);
    let per_address = number(&section, "connections_per_address", CONNECTIONS_PER_ADDRESS);
    section.finish();
    Some(OpcUaSettings {
        listen,
        host,
        policies,
        modes,
        open_endpoint,
        anonymous_read,
        trust_all_clients,
        connections,
        connections_per_address: per_address.min(connections),
    })
}

/// A number that is never without end.
fn number(section: &Section<'_>, key: &'static str, default: usize) -> usize {
    let Some(number) = section.number(key, 1) else {
        return default;
    };
    match usize::try_from(number.value) {
        Ok(value) if value <= 10_000 => value,
        _ => {
            let message = format!("`{key}` is {}", number.value);
            section.problems().add(number.span, message, "write a number up to 10000");
            default
        }
    }
}

/// Words of a list, each one of some.
fn choices<T: Copy>(
    section: &Section<'_>,
    key: &'static str,
    known: &[T],
    word: fn(T) -> &'static str,
) -> Vec<T> {
    let mut chosen = Vec::new();
    for text in section.texts(key) {
        match known.iter().find(|one| word(**one) == text.value) {
            Some(one) => chosen.push(*one),
            None => {
                let message = format!("`{key}` has {:?}", text.value);
                let words: Vec<_> = known.iter().map(|one| word(*one)).collect();
                section.problems().add(text.span, message, format!("use {}", words.join(", ")));
            }
        }
    }
    chosen
}
