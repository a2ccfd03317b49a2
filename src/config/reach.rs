//! How a machine is reached: its endpoint and those that stand by, how the connection is protected, which
//! certificate it must show, and as whom we log on.

use super::section::{Placed, Section};
use super::settings::{ChannelMode, Credentials, Reach, Security, Surroundings};

/// Hexadecimal digits of a fingerprint that can be written: all, or the first that are shown to people.
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 16..=64;
/// What is not safe any more, for machines that know nothing better.
const OLD: [Security; 2] = [Security::Basic256, Security::Basic128Rsa15];

/// Reads the keys of a `[[machine]]` that say it.
pub fn read(section: &Section<'_>, surroundings: &dyn Surroundings) -> Reach {
    let wanted = "a URL such as \"opc.tcp://192.168.0.10:4840\"";
    let endpoint =
        section.required("endpoint", wanted, |text| is_endpoint(text).then(|| text.to_owned()));
    let standby = section.texts("standby").into_iter().filter_map(|text| {
        if is_endpoint(&text.value) {
            return Some(text.value);
        }
        let message = format!("`standby` has {:?}", text.value);
        section.problems().add(text.span, message, format!("write {wanted}"));
        None
    });
    let mut endpoints = vec![endpoint.map_or_else(String::new, |endpoint| endpoint.value)];
    endpoints.extend(standby);
    let security = read_security(section);
    let mode = section.parsed("mode", "\"Sign\" or \"SignAndEncrypt\"", |text| {
        ChannelMode::ALL.into_iter().find(|mode| mode.as_str() == text)
    });
    if let (Some(mode), Security::None) = (&mode, security) {
        let advice = "remove it, or choose a `security`";
        section.problems().add(mode.span.clone(), "`mode` says nothing without security", advice);
    }
    let pin = section.parsed("certificate", "the SHA-256 of the machine's certificate", |text| {
        let is_pin = PIN_DIGITS.contains(&text.len())
            && text.chars().all(|letter| letter.is_ascii_hexdigit());
        is_pin.then(|| text.to_ascii_lowercase())
    });
    Reach {
        endpoints,
        security,
        mode: mode.map_or(ChannelMode::SignAndEncrypt, |mode| mode.value),
        certificate: pin.map(|pin| pin.value),
        credentials: read_credentials(section, surroundings),
    }
}

/// Whether a text is `opc.tcp://host`, with or without port and path.
fn is_endpoint(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("opc.tcp://") else {
        return false;
    };
    let authority = rest.split_once('/').map_or(rest, |(authority, _)| authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    !host.is_empty()
        && !host.contains(char::is_whitespace)
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn read_security(section: &Section<'_>) -> Security {
    let wanted = "\"none\", \"Basic256Sha256\", \"Aes128_Sha256_RsaOaep\" or \
                  \"Aes256_Sha256_RsaPss\"; only for old machines \"Basic256\" or \"Basic128Rsa15\"";
    let all = [
        Security::None,
        Security::Basic256Sha256,
        Security::Aes128Sha256RsaOaep,
        Security::Aes256Sha256RsaPss,
    ];
    let security = section.required("security", wanted, |text| {
        all.into_iter().chain(OLD).find(|security| security.as_str() == text)
    });
    security.map_or(Security::Basic256Sha256, |security| security.value)
}

fn read_credentials(section: &Section<'_>, surroundings: &dyn Surroundings) -> Credentials {
    let user = section.text("user");
    let certificate = section.text("user_certificate");
    let key = section.text("user_key");
    let token = section.text("user_token");
    let password = read_password(section, user.as_ref(), surroundings);
    let second = [&user, &certificate, &token].into_iter().flatten().nth(1);
    if let Some(second) = second {
        let message = "a machine has more than one way to log on";
        let advice = "keep one of `user`, `user_certificate` and `user_token`";
        section.problems().add(second.span.clone(), message, advice);
    }
    match (user, certificate, key, token) {
        (Some(user), ..) => match password {
            Some(password) => Credentials::Password { name: user.value, password },
            None => Credentials::Anonymous,
        },
        (None, Some(certificate), Some(key), _) => Credentials::Certificate {
            certificate: certificate.value.into(),
            key: key.value.into(),
        },
        (None, Some(one), None, _) | (None, None, Some(one), _) => {
            let message = "a user's certificate and its key belong together";
            let advice = "give both `user_certificate` and `user_key`";
            section.problems().add(one.span, message, advice);
            Credentials::Anonymous
        }
        (None, None, None, Some(token)) => Credentials::Token(token.value.into()),
        (None, None, None, None) => Credentials::Anonymous,
    }
}

fn read_password(
    section: &Section<'_>,
    user: Option<&Placed<String>>,
    surroundings: &dyn Surroundings,
) -> Option<String> {
    let file = section.text("password_file");
    let variable = section.text("password_env");
    let problems = section.problems();
    match (user, file.is_some() || variable.is_some()) {
        (Some(user), false) => {
            let message = format!("user {:?} has no password", user.value);
            problems.add(user.span.clone(), message, "add `password_file` or `password_env`");
        }
        (None, true) => {
            problems.add(section.span(), "a password is given without `user`", "add `user`");
        }
        _ => {}
    }
    match (file, variable) {
        (Some(file), None) => match surroundings.file(&file.value) {
            Ok(password) => Some(password),
            Err(error) => {
                let message = format!("password file {:?} cannot be read: {error}", file.value);
                problems.add(file.span, message, "create it, readable for this user only");
                None
            }
        },
        (None, Some(variable)) => {
            let password = surroundings.variable(&variable.value);
            if password.is_none() {
                let message = format!("environment variable {} is not set", variable.value);
                problems.add(variable.span, message, "set it before the start");
            }
            password
        }
        (Some(file), Some(_)) => {
            let message = "both `password_file` and `password_env` are given";
            problems.add(file.span, message, "keep one of them");
            None
        }
        (None, None) => None,
    }
}
