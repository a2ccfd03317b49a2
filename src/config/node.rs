//! Node addresses as engineers write them: `nsu=<namespace URI>;s=<name>` or `i=2258`.
//!
//! A namespace index is refused: it changes when a machine's firmware is updated.

/// A node of a machine, by namespace URI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeAddress {
    /// Namespace URI; `None` for OPC UA's own namespace.
    pub namespace: Option<String>,
    /// Identifier with its type: `s=…`, `i=…`, `g=…` or `b=…`.
    pub identifier: String,
}

impl NodeAddress {
    /// Reads an address, or says what to write.
    pub fn parse(text: &str) -> Result<NodeAddress, &'static str> {
        let (namespace, identifier) = match text.strip_prefix("nsu=") {
            Some(rest) => {
                let (uri, identifier) =
                    rest.rsplit_once(';').ok_or("write nsu=<namespace URI>;s=<name>")?;
                (Some(uri), identifier)
            }
            None if text.starts_with("ns=") => {
                return Err("write nsu=<namespace URI>;… since an index changes with the firmware");
            }
            None => (None, text),
        };
        let (kind, value) =
            identifier.split_once('=').ok_or("write nsu=<namespace URI>;s=<name>")?;
        let valid = match kind {
            "i" => value.parse::<u32>().is_ok(),
            "s" | "g" | "b" => !value.is_empty(),
            _ => false,
        };
        if !valid || namespace.is_some_and(str::is_empty) {
            return Err("write nsu=<namespace URI>;s=<name> or nsu=<namespace URI>;i=<number>");
        }
        let namespace = namespace.map(str::to_owned);
        Ok(NodeAddress { namespace, identifier: identifier.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_refused_and_a_uri_kept() {
        let node = NodeAddress::parse("nsu=urn:a;b=c;s=Line1.State").map(|n| n.identifier);
        assert_eq!(node.as_deref(), Ok("s=Line1.State"));
        assert!(NodeAddress::parse("ns=2;s=X").is_err());
        assert!(NodeAddress::parse("nsu=urn:x;i=abc").is_err());
        assert_eq!(NodeAddress::parse("i=2258").unwrap().namespace, None);
    }
}
