//! How machines are reached: those of the configuration, and any other that a command is about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::{EXIT_UNAVAILABLE, EXIT_USAGE, Failure, load};
use crate::config::settings::{
    self, ChannelMode, MirrorSettings, OrderSettings, OrderValue, Reach, Security,
};
use crate::config::{BrowseName, FieldStep, NodeAddress, PlaceAddress, StartAddress};
use crate::domain::id::ProductId;
use crate::machine::client::{
    self, Credentials, Dialer, Mode, PIN_MIN, Policy, Protection, Session, Target,
};
use crate::machine::mirror::Scope;
use crate::machine::orders::{Call, Transfer, WrittenValue};
use crate::machine::{Name, Node, Place, Start, Step};
use crate::sys::WallClock;

/// The endpoints of a machine, the first one first, for sessions of this name.
pub fn targets(reach: &Reach, name: &str) -> Vec<Target> {
    let target = |url: &String| Target {
        url: url.clone(),
        protection: protection(reach.security, reach.mode),
        pinned: reach.certificate.clone(),
        credentials: credentials(&reach.credentials),
        name: name.to_owned(),
    };
    reach.endpoints.iter().map(target).collect()
}

/// How a connection is protected.
pub fn protection(security: Security, mode: ChannelMode) -> Protection {
    let policy = match security {
        Security::None => return Protection::NONE,
        Security::Basic256Sha256 => Policy::Basic256Sha256,
        Security::Aes128Sha256RsaOaep => Policy::Aes128Sha256RsaOaep,
        Security::Aes256Sha256RsaPss => Policy::Aes256Sha256RsaPss,
        Security::Basic256 => Policy::Basic256,
        Security::Basic128Rsa15 => Policy::Basic128Rsa15,
    };
    let mode = match mode {
        ChannelMode::Sign => Mode::Sign,
        ChannelMode::SignAndEncrypt => Mode::SignAndEncrypt,
    };
    Protection::secured(policy, mode)
}

fn credentials(configured: &settings::Credentials) -> Credentials {
    match configured.clone() {
        settings::Credentials::Anonymous => Credentials::Anonymous,
        settings::Credentials::Password { name, password } => {
            Credentials::Password { name, password }
        }
        settings::Credentials::Certificate { certificate, key } => {
            Credentials::Certificate { certificate, key }
        }
        settings::Credentials::Token(file) => Credentials::Token(file),
    }
}

fn name(name: &BrowseName) -> Name {
    Name { namespace: name.namespace.clone(), name: name.name.clone() }
}

fn node(address: &NodeAddress) -> Node {
    let NodeAddress { namespace, identifier } = address.clone();
    Node { namespace, identifier }
}

/// How a machine is told of orders, in the words of the client.
pub fn transfer(
    settings: &OrderSettings,
    parameters: &BTreeMap<ProductId, BTreeMap<String, String>>,
) -> Transfer {
    let value = |value: &OrderValue| match value {
        OrderValue::Order => WrittenValue::Order,
        OrderValue::Product => WrittenValue::Product,
        OrderValue::Quantity => WrittenValue::Quantity,
        OrderValue::Lot => WrittenValue::Lot,
        OrderValue::Parameter(name) => WrittenValue::Parameter(name.clone()),
    };
    Transfer {
        receiver: settings.receiver.as_ref().map(place),
        writes: settings.writes.iter().map(|(what, at)| (value(what), place(at))).collect(),
        calls: settings
            .calls
            .iter()
            .map(|call| Call {
                moment: call.when,
                method: place(&call.method),
                arguments: call
                    .arguments
                    .iter()
                    .map(|(at, what)| (at.iter().map(step).collect(), value(what)))
                    .collect(),
            })
            .collect(),
        timeout: settings.timeout,
        parameters: parameters.clone(),
    }
}

/// What is mirrored, in the words of the client.
pub fn scope(settings: &MirrorSettings) -> Scope {
    let paths = |paths: &[Vec<BrowseName>]| -> Vec<Vec<Name>> {
        paths.iter().map(|path| path.iter().map(name).collect()).collect()
    };
    Scope {
        include: paths(&settings.include),
        types: settings.types.iter().map(node).collect(),
        exclude: paths(&settings.exclude),
        write: paths(&settings.write),
        call: paths(&settings.call),
        record: paths(&settings.record),
        record_every: settings.record_every,
        events: settings.events,
        nodes_max: usize::try_from(settings.nodes).unwrap_or(usize::MAX),
        timeout: settings.timeout,
        linger: settings.linger,
    }
}

fn step(step: &FieldStep) -> Step {
    match step {
        FieldStep::Element(index) => Step::Element(*index),
        FieldStep::Field(name) => Step::Field(name.clone()),
    }
}

/// Where something is, in the words of the client.
pub fn place(address: &PlaceAddress) -> Place {
    Place {
        start: match &address.start {
            StartAddress::Node(address) => Start::Node(node(address)),
            StartAddress::Path(names) => Start::Path(names.iter().map(name).collect()),
        },
        field: address.field.iter().map(step).collect(),
    }
}

/// Which machine a command is about: one of the configuration, or any other by its URL.
#[derive(Args, Debug)]
pub struct Machine {
    /// URL of a machine (opc.tcp://host:port), or with --config the id of one
    pub machine: String,
    /// Configuration file in which the machine is
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// How the connection is protected: none, Basic256Sha256, Aes128_Sha256_RsaOaep, Aes256_Sha256_RsaPss
    #[arg(long, default_value = "none", conflicts_with = "config")]
    pub security: String,
    /// Signed only, not encrypted
    #[arg(long, conflicts_with = "config")]
    pub sign_only: bool,
    /// SHA-256 of the machine's certificate, or its first 16 digits or more
    #[arg(long, conflicts_with = "config")]
    pub certificate: Option<String>,
    /// User; the password is in the environment variable LINEWRIGHT_PASSWORD
    #[arg(long, conflicts_with = "config")]
    pub user: Option<String>,
    /// Data directory whose client certificate and trusted ones are used
    #[arg(long, conflicts_with = "config")]
    pub data: Option<PathBuf>,
}

/// The variable in which the password of a user is.
const PASSWORD: &str = "LINEWRIGHT_PASSWORD";

impl Machine {
    /// How it is reached, and with which certificates.
    pub fn target(&self) -> Result<(Target, Dialer), Failure> {
        let wrong = |text: String| Failure::new(EXIT_USAGE, text);
        let name = "Linewright (engineer)";
        if let Some(config) = &self.config {
            let settings = load::from_file(config)?;
            let found = settings.machines.iter().find(|one| one.machine.as_str() == self.machine);
            let machine = found.ok_or_else(|| {
                wrong(format!("{} has no machine {}", config.display(), self.machine))
            })?;
            let target = targets(&machine.reach, name).into_iter().next();
            let target =
                target.ok_or_else(|| wrong(format!("{} has no endpoint", self.machine)))?;
            return Ok((target, dialer(&settings.data)));
        }
        let all = [
            Security::None,
            Security::Basic256Sha256,
            Security::Aes128Sha256RsaOaep,
            Security::Aes256Sha256RsaPss,
            Security::Basic256,
            Security::Basic128Rsa15,
        ];
        let security = all.into_iter().find(|one| one.as_str() == self.security);
        let security = security.ok_or_else(|| {
            let names = all.map(Security::as_str).join(", ");
            wrong(format!("--security {}: write one of {names}", self.security))
        })?;
        let mode = if self.sign_only { ChannelMode::Sign } else { ChannelMode::SignAndEncrypt };
        if !self.machine.starts_with("opc.tcp://") {
            let text = "write a URL such as opc.tcp://192.168.0.10:4840, or give --config";
            return Err(wrong(format!("{}: {text}", self.machine)));
        }
        if let Some(pin) = &self.certificate
            && (pin.len() < PIN_MIN || !pin.chars().all(|letter| letter.is_ascii_hexdigit()))
        {
            let text = format!("--certificate {pin}: write {PIN_MIN} hexadecimal digits or more");
            return Err(wrong(text));
        }
        let credentials = match &self.user {
            None => Credentials::Anonymous,
            Some(name) => {
                let password = std::env::var(PASSWORD);
                let password =
                    password.map_err(|_| wrong(format!("set {PASSWORD} to the password")))?;
                Credentials::Password { name: name.clone(), password }
            }
        };
        let target = Target {
            url: self.machine.clone(),
            protection: protection(security, mode),
            pinned: self.certificate.clone(),
            credentials,
            name: name.into(),
        };
        let data = self.data.clone().unwrap_or_else(|| PathBuf::from("."));
        Ok((target, dialer(&data)))
    }

    /// Connects to it.
    pub async fn log_on(&self) -> Result<Session, Failure> {
        let (target, dialer) = self.target()?;
        let found = dialer.find(&target).await.map_err(|failure| unreachable(&target, &failure))?;
        let session = dialer.log_on(&found).await;
        session.map_err(|failure| unreachable(&target, &failure))
    }
}

fn unreachable(target: &Target, failure: &client::Failure) -> Failure {
    Failure::new(EXIT_UNAVAILABLE, format!("{}: {failure}", target.url))
}

/// The client with the certificates of a data directory.
pub fn dialer(data: &Path) -> Dialer {
    Dialer::new(&data.join("pki/client"), Arc::new(WallClock))
}
