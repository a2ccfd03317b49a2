//! A checked configuration in the words of those who work with it: the engine, the server and the links to
//! machines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::reach;
use crate::app::clock::Clock;
use crate::app::configuration::ConfigurationBoard;
use crate::app::connection::Connections;
use crate::app::engine::EngineHandle;
use crate::app::query::Queries;
use crate::app::recorder::Recorder;
use crate::app::refusals::Refusals;
use crate::config::settings::{ChannelMode, MachineSettings, Security, Settings};
use crate::domain::id::MachineId;
use crate::domain::plant::Plant;
use crate::machine::{MachineConnection, Place, Watched};
use crate::mirror::{Mirrors, Namespaces};
use crate::server::limits::Limits;
use crate::server::space::{SpaceInputs, Targets};
use crate::server::{Mode, Offer, Policy, ServerOptions};

/// How the OPC UA server is offered.
pub fn server_options(settings: &Settings) -> ServerOptions {
    let opcua = &settings.opcua;
    let mut offers = Vec::new();
    for policy in opcua.policies.iter().filter_map(|policy| policy_of(*policy)) {
        let modes = opcua.modes.iter();
        offers.extend(modes.map(|mode| Offer { policy, mode: mode_of(*mode) }));
    }
    if opcua.open_endpoint {
        offers.push(Offer::OPEN);
    }
    let mut limits = Limits::default();
    limits.wire.gate.connections = opcua.connections;
    limits.wire.gate.connections_per_address = opcua.connections_per_address;
    // A channel more than sessions, so that discovery always works (Part 4 §5.7.2.1).
    limits.sessions.active = opcua.connections.saturating_sub(1).max(1);
    ServerOptions {
        host: opcua.host.clone(),
        pki: settings.data.join("pki/server"),
        nodesets: settings.data.join("nodesets"),
        offers,
        anonymous: opcua.anonymous_read,
        trust_all_clients: opcua.trust_all_clients,
        site: settings.plant.site.to_string(),
        limits,
        trust_command: trust_command(&settings.data),
    }
}

/// The command that trusts a certificate, without its id.
fn trust_command(data: &Path) -> String {
    let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    format!("linewright pki trust --data {}", data.display())
}

/// What can be offered; what is not safe any more never is.
fn policy_of(security: Security) -> Option<Policy> {
    match security {
        Security::None => Some(Policy::None),
        Security::Basic256Sha256 => Some(Policy::Basic256Sha256),
        Security::Aes128Sha256RsaOaep => Some(Policy::Aes128Sha256RsaOaep),
        Security::Aes256Sha256RsaPss => Some(Policy::Aes256Sha256RsaPss),
        Security::Basic256 | Security::Basic128Rsa15 => None,
    }
}

fn mode_of(mode: ChannelMode) -> Mode {
    match mode {
        ChannelMode::Sign => Mode::Sign,
        ChannelMode::SignAndEncrypt => Mode::SignAndEncrypt,
    }
}

/// What our server shows.
pub fn space_inputs(
    settings: &Settings,
    engine: &EngineHandle,
    recorder: &Recorder,
    clock: &Arc<dyn Clock>,
) -> SpaceInputs {
    let namespaces = Namespaces::new(Some(settings.data.join("namespaces")));
    SpaceInputs {
        engine: engine.clone(),
        queries: Queries::new(engine.clone()),
        connections: Connections::default(),
        mirrors: Mirrors::new(
            Arc::new(namespaces),
            Some(settings.data.join("mirrors")),
            clock.clone(),
            Some(recorder.clone()),
        ),
        mirrored: mirrored(settings),
        told: told(settings),
        clock: clock.clone(),
        refusals: Refusals::default(),
        configuration: ConfigurationBoard::default(),
        enterprise: settings.enterprise.clone(),
        process_units: process_units(settings),
        nameplates: nameplates(settings),
        targets: targets(settings),
    }
}

/// Units of process values, by machine and name.
pub fn process_units(settings: &Settings) -> BTreeMap<(MachineId, String), String> {
    let machines = settings.machines.iter();
    let values = machines.flat_map(|m| m.process_values.iter().map(move |v| (m, v)));
    values.map(|(m, v)| ((m.machine.clone(), v.name.clone()), v.unit.clone())).collect()
}

/// What nameplates say.
pub fn nameplates(settings: &Settings) -> BTreeMap<MachineId, BTreeMap<&'static str, String>> {
    let machines = settings.machines.iter().filter(|machine| !machine.nameplate.is_empty());
    machines.map(|machine| (machine.machine.clone(), machine.nameplate.clone())).collect()
}

/// The machines that are mirrored.
pub fn mirrored(settings: &Settings) -> BTreeSet<MachineId> {
    let machines = settings.machines.iter().filter(|machine| machine.mirror.is_some());
    machines.map(|machine| machine.machine.clone()).collect()
}

/// The machines that are told of the orders of their lines.
pub fn told(settings: &Settings) -> BTreeSet<MachineId> {
    let machines = settings.machines.iter().filter(|machine| machine.orders.is_some());
    machines.map(|machine| machine.machine.clone()).collect()
}

/// What is aimed at.
pub fn targets(settings: &Settings) -> Targets {
    let targets = settings.targets.iter();
    let shares = targets.map(|(equipment, figures)| {
        let figures =
            figures.iter().map(|(figure, share)| (*figure, share.billionths() as f64 / 1e9));
        (equipment.clone(), figures.collect())
    });
    shares.collect()
}

/// How all machines of a configuration are reached and read.
pub fn connections_of(settings: &Settings) -> Vec<MachineConnection> {
    settings.machines.iter().map(|machine| connection(settings, machine)).collect()
}

fn connection(settings: &Settings, machine: &MachineSettings) -> MachineConnection {
    MachineConnection {
        machine: machine.machine.clone(),
        targets: reach::targets(&machine.reach, &format!("Linewright {}", machine.machine)),
        publishing_interval: machine.publishing_interval,
        sampling_interval: machine.sampling_interval,
        clock_skew_max: machine.clock_skew_max,
        items: items(&settings.plant, machine),
        orders: machine.orders.as_ref().map(|orders| reach::transfer(orders, &settings.recipes)),
        is_recognised: machine.is_bound_by_itself,
        mirror: machine.mirror.as_ref().map(reach::scope),
    }
}

fn items(plant: &Plant, machine: &MachineSettings) -> Vec<(Watched, Place)> {
    let known = plant.machines.get(&machine.machine);
    let signals = known.map_or(&[][..], |machine| &machine.signals);
    let mut items = Vec::new();
    for (role, address) in &machine.signals {
        if let Some(signal) = signals.iter().find(|signal| signal.role == *role) {
            items.push((Watched::Signal(signal.clone()), reach::place(address)));
        }
    }
    for value in &machine.process_values {
        items.push((Watched::ProcessValue(value.name.clone()), reach::place(&value.node)));
    }
    items
}
