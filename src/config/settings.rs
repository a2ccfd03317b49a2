//! What a configuration says besides the plant itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::node::{BrowseName, FieldStep, NodeAddress, PlaceAddress};
use super::targets::Targets;
use crate::domain::id::{MachineId, ProductId};
use crate::domain::plant::Plant;
use crate::domain::role::Role;
use crate::domain::signal::SignalRole;
use crate::domain::time::{Span, Timestamp};
use crate::domain::transfer::TransferMoment;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The plant.
    pub plant: Plant,
    /// The company, where it has a name.
    pub enterprise: Option<String>,
    /// Where data are kept.
    pub data: PathBuf,
    /// How long recorded values of machines are kept.
    pub keep: Span,
    /// The OPC UA server.
    pub opcua: OpcUaSettings,
    /// The HTTP bridge.
    pub http: HttpSettings,
    /// How to reach the machines.
    pub machines: Vec<MachineSettings>,
    /// Who may log on.
    pub users: Vec<UserSettings>,
    /// Parameters of the recipes of products, by name.
    pub recipes: BTreeMap<ProductId, BTreeMap<String, String>>,
    /// What is aimed at, by equipment and figure.
    pub targets: Targets,
}

/// The OPC UA server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpcUaSettings {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Name under which clients reach it; part of the endpoint URLs.
    pub host: String,
    /// Policies of protected endpoints.
    pub policies: Vec<Security>,
    /// Modes of protected endpoints.
    pub modes: Vec<ChannelMode>,
    /// Whether to offer an endpoint without security, for reading; loopback only.
    pub open_endpoint: bool,
    /// Whether reading needs no user on protected endpoints.
    pub anonymous_read: bool,
    /// Whether to accept client certificates that nobody has trusted yet; loopback only.
    pub trust_all_clients: bool,
    /// Connections in all.
    pub connections: usize,
    /// Connections of one address.
    pub connections_per_address: usize,
}

/// How messages of our server are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelMode {
    /// Signed.
    Sign,
    /// Signed and encrypted.
    SignAndEncrypt,
}

impl ChannelMode {
    /// All modes.
    pub const ALL: [ChannelMode; 2] = [ChannelMode::Sign, ChannelMode::SignAndEncrypt];

    /// The word used in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ChannelMode::Sign => "Sign",
            ChannelMode::SignAndEncrypt => "SignAndEncrypt",
        }
    }
}

/// The HTTP bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Whether reading needs no user; loopback only.
    pub anonymous_read: bool,
}

/// How the connection to a machine is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Security {
    /// Not at all.
    None,
    /// Basic256Sha256.
    Basic256Sha256,
    /// Aes128_Sha256_RsaOaep.
    Aes128Sha256RsaOaep,
    /// Aes256_Sha256_RsaPss.
    Aes256Sha256RsaPss,
    /// Basic256, which is not safe any more.
    Basic256,
    /// Basic128Rsa15, which is not safe any more.
    Basic128Rsa15,
}

impl Security {
    /// The word used in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Security::None => "none",
            Security::Basic256Sha256 => "Basic256Sha256",
            Security::Aes128Sha256RsaOaep => "Aes128_Sha256_RsaOaep",
            Security::Aes256Sha256RsaPss => "Aes256_Sha256_RsaPss",
            Security::Basic256 => "Basic256",
            Security::Basic128Rsa15 => "Basic128Rsa15",
        }
    }
}

/// As whom we log on to a machine.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// As nobody.
    Anonymous,
    /// With a name and a password.
    Password {
        /// Name.
        name: String,
        /// Password.
        password: String,
    },
    /// With a certificate and its key, in these files.
    Certificate {
        /// Certificate, DER or PEM.
        certificate: PathBuf,
        /// Private key, PEM.
        key: PathBuf,
    },
    /// With a token in this file, which is read for every connection.
    Token(PathBuf),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::Anonymous => out.write_str("anonymous"),
            Credentials::Password { name, .. } => write!(out, "user {name}"),
            Credentials::Certificate { certificate, .. } => {
                write!(out, "certificate {}", certificate.display())
            }
            Credentials::Token(file) => write!(out, "token {}", file.display()),
        }
    }
}

/// How a machine is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    /// URLs of its endpoints; what follows the first stands by.
    pub endpoints: Vec<String>,
    /// How the connection is protected.
    pub security: Security,
    /// Whether it is encrypted too; says nothing without security.
    pub mode: ChannelMode,
    /// SHA-256 of the certificate that it must show, or the first digits of it.
    pub certificate: Option<String>,
    /// As whom we log on.
    pub credentials: Credentials,
}

/// How to reach one machine.
#[derive(Clone, Debug)]
pub struct MachineSettings {
    /// The machine.
    pub machine: MachineId,
    /// Line of the file where it is configured, from 1.
    pub line: usize,
    /// How it is reached.
    pub reach: Reach,
    /// Publishing interval that is asked for.
    pub publishing_interval: Span,
    /// Sampling interval that is asked for; zero for every change.
    pub sampling_interval: Span,
    /// Beyond this difference of clocks our own time is used.
    pub clock_skew_max: Span,
    /// Where its signals are.
    pub signals: Vec<(SignalRole, PlaceAddress)>,
    /// Values that are shown and not kept.
    pub process_values: Vec<ProcessValueSettings>,
    /// Whether its signals are bound by what it is, as far as they are not configured.
    pub is_bound_by_itself: bool,
    /// How it is told of the orders of its line, if at all.
    pub orders: Option<OrderSettings>,
    /// What of its own address space is shown, if anything.
    pub mirror: Option<MirrorSettings>,
    /// What its nameplate says, by the names of OPC 40001-1; empty where nothing was written down.
    pub nameplate: BTreeMap<&'static str, String>,
}

/// How a machine is told of the orders of its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderSettings {
    /// The object that takes job orders, if there is one.
    pub receiver: Option<PlaceAddress>,
    /// What is written when an order begins, and where.
    pub writes: Vec<(OrderValue, PlaceAddress)>,
    /// Methods that are called, and when.
    pub calls: Vec<OrderCall>,
    /// How long a step may take.
    pub timeout: Span,
}

/// A method that is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderCall {
    /// When.
    pub when: TransferMoment,
    /// Where it is.
    pub method: PlaceAddress,
    /// Names of arguments with steps into them, and what of an order is put there.
    pub arguments: Vec<(Vec<FieldStep>, OrderValue)>,
}

/// What is written of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OrderValue {
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

/// What of a machine's own address space is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MirrorSettings {
    /// Browse paths, each with all that is below it; everything where neither paths nor types are given.
    pub include: Vec<Vec<BrowseName>>,
    /// Types whose objects are shown with all that is below them.
    pub types: Vec<NodeAddress>,
    /// Browse paths that are left out.
    pub exclude: Vec<Vec<BrowseName>>,
    /// Where variables may be written.
    pub write: Vec<Vec<BrowseName>>,
    /// Where methods may be called.
    pub call: Vec<Vec<BrowseName>>,
    /// Variables whose values are kept.
    pub record: Vec<Vec<BrowseName>>,
    /// How often they are looked at; as often as signals where that is not said.
    pub record_every: Option<Span>,
    /// Whether events and conditions are told on.
    pub events: bool,
    /// Nodes at most.
    pub nodes: u64,
    /// How long a write or a call may take.
    pub timeout: Span,
    /// How long values are kept up after nobody looks any more, and shown after the machine was lost.
    pub linger: Span,
}

/// A value that is shown and not kept.
#[derive(Clone, Debug)]
pub struct ProcessValueSettings {
    /// Name, unique on the machine.
    pub name: String,
    /// Where it is.
    pub node: PlaceAddress,
    /// UNECE code of its unit.
    pub unit: String,
}

/// A user.
#[derive(Clone, Debug)]
pub struct UserSettings {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// argon2id hash in PHC form, if he has a password.
    pub password_hash: Option<String>,
    /// SHA-256 of his certificates, in hexadecimal digits.
    pub certificates: Vec<String>,
}

/// What reading a configuration needs of the world outside the file.
pub trait Surroundings {
    /// The rules of an IANA time zone.
    fn zone(&self, name: &str) -> Option<std::sync::Arc<dyn crate::domain::calendar::CivilZone>>;
    /// How an instant is shown in messages.
    fn print(&self, at: Timestamp) -> String;
    /// The content of a file named in the configuration, without a trailing line break.
    fn file(&self, path: &str) -> Result<String, String>;
    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;
    /// What was bound of a machine without a person, if it was recognised, from a data directory.
    fn bound(&self, data: &Path, machine: &MachineId) -> Option<String>;
    /// Whether a text is a password hash that can be checked.
    fn is_password_hash(&self, text: &str) -> bool;
}
