//! How machines are reached, in the words of the client.

use crate::config::settings::{self, ChannelMode, Reach, Security};
use crate::machine::client::{Credentials, Mode, Policy, Protection, Target};

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
