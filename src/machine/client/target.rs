//! Which machine is meant and how the connection to it is protected.

use opcua::crypto::SecurityPolicy;
use opcua::types::MessageSecurityMode;

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
