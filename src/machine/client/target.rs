//! Which machine is meant, how the connection to it is protected and as whom we log on.

use std::fmt;
use std::path::PathBuf;

use opcua::crypto::SecurityPolicy;
use opcua::types::MessageSecurityMode;

/// Policies that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Basic256Sha256.
    Basic256Sha256,
    /// Aes128_Sha256_RsaOaep.
    Aes128Sha256RsaOaep,
    /// Aes256_Sha256_RsaPss.
    Aes256Sha256RsaPss,
    /// Basic256, deprecated; never chosen by itself.
    Basic256,
    /// Basic128Rsa15, deprecated; never chosen by itself.
    Basic128Rsa15,
}

impl Policy {
    /// Names of the policies that are safe, the strongest first.
    pub const STRONGEST: [&'static str; 3] =
        ["Aes256_Sha256_RsaPss", "Basic256Sha256", "Aes128_Sha256_RsaOaep"];
}

/// Modes that can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Signed.
    Sign,
    /// Signed and encrypted.
    SignAndEncrypt,
}

/// As whom we log on.
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

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// Which machine is meant, and how we come to it.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// URL of the endpoint.
    pub url: String,
    /// How the connection is protected.
    pub protection: Protection,
    /// SHA-256 of its certificate in hexadecimal digits, or the first of them; then no other is
    /// accepted, and this one whatever the trust list says.
    pub pinned: Option<String>,
    /// As whom we log on.
    pub credentials: Credentials,
    /// Name of the session, for the people at the machine.
    pub name: String,
}

/// How a connection is protected.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Protection {
    /// Policy.
    pub policy: SecurityPolicy,
    /// Mode; none under policy None and only there.
    pub mode: MessageSecurityMode,
}

impl Protection {
    /// None at all.
    pub const NONE: Protection =
        Protection { policy: SecurityPolicy::None, mode: MessageSecurityMode::None };

    /// By a policy in a mode.
    pub fn secured(policy: Policy, mode: Mode) -> Protection {
        Protection {
            policy: match policy {
                Policy::Basic256Sha256 => SecurityPolicy::Basic256Sha256,
                Policy::Aes128Sha256RsaOaep => SecurityPolicy::Aes128Sha256RsaOaep,
                Policy::Aes256Sha256RsaPss => SecurityPolicy::Aes256Sha256RsaPss,
                Policy::Basic256 => SecurityPolicy::Basic256,
                Policy::Basic128Rsa15 => SecurityPolicy::Basic128Rsa15,
            },
            mode: match mode {
                Mode::Sign => MessageSecurityMode::Sign,
                Mode::SignAndEncrypt => MessageSecurityMode::SignAndEncrypt,
            },
        }
    }

    /// Whether there is any.
    pub fn is_secured(self) -> bool {
        self.policy != SecurityPolicy::None
    }
}

/// Host and port of a URL `opc.tcp://host[:port][/path]`; the host may be an IPv6 address in
/// brackets.
pub fn host_and_port(url: &str) -> Option<(String, u16)> {
    const PORT: u16 = 4840;
    let rest = url.strip_prefix("opc.tcp://")?;
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(PORT), |port| port.parse().ok())?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_found_in_every_form_of_a_url() {
        let found = |url: &str| host_and_port(url).map(|(host, port)| format!("{host} {port}"));
        assert_eq!(found("opc.tcp://plc-1:4841/a:b").as_deref(), Some("plc-1 4841"));
        assert_eq!(found("opc.tcp://plc-1").as_deref(), Some("plc-1 4840"));
        assert_eq!(found("opc.tcp://[fe80::1]:4842").as_deref(), Some("fe80::1 4842"));
        assert_eq!(found("opc.tcp://[::1]/x").as_deref(), Some("::1 4840"));
        for wrong in ["http://plc", "opc.tcp://", "opc.tcp://plc:0x1", "opc.tcp://plc:99999"] {
            assert_eq!(found(wrong), None, "{wrong}");
        }
    }
}
