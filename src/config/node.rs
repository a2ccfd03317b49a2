//! Places at a machine as engineers write them: a node `nsu=<namespace URI>;s=<name>` or `i=2258`, or a path
//! of browse names `Press/Status/State`, and fields inside a value `[0].AccCount`.
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

/// A browse name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrowseName {
    /// Namespace URI; any when absent.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// Reads a path of browse names from the objects of a machine on, or says what to write. A name may stand
/// behind its namespace, `nsu=<namespace URI>;Name`; in a name, `&` stands before `/` and `&` (Part 4
/// Annex A.2).
pub fn parse_path(text: &str) -> Result<Vec<BrowseName>, &'static str> {
    const ADVICE: &str = "write browse names with / between them, such as Press/Status/State";
    let mut rest = text.strip_prefix('/').unwrap_or(text);
    let mut names = Vec::new();
    loop {
        let namespace = match rest.strip_prefix("nsu=") {
            Some(after) => {
                let (uri, after) = after.split_once(';').ok_or(ADVICE)?;
                rest = after;
                Some(uri.to_owned())
            }
            None => None,
        };
        let (name, after) = first_name(rest).ok_or(ADVICE)?;
        if name.is_empty() || namespace.as_ref().is_some_and(String::is_empty) {
            return Err(ADVICE);
        }
        names.push(BrowseName { namespace, name });
        match after {
            Some(after) => rest = after,
            None => return Ok(names),
        }
    }
}

/// The first name, and what stands behind the `/` after it.
fn first_name(text: &str) -> Option<(String, Option<&str>)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '/' => return Some((name, text.get(at + 1..))),
            '&' => name.push(letters.next()?.1),
            other => name.push(other),
        }
    }
    Some((name, None))
}

/// A step into a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FieldStep {
    /// An element of an array, from 0.
    Element(usize),
    /// A field of a structure.
    Field(String),
}

/// Reads steps into a value such as `[0].AccCount`, or says what to write.
pub fn parse_field(text: &str) -> Result<Vec<FieldStep>, &'static str> {
    const ADVICE: &str = "write [0] for an element and .Name for a field, such as [0].AccCount";
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (number, after) = after.split_once(']').ok_or(ADVICE)?;
            steps.push(FieldStep::Element(number.parse().map_err(|_| ADVICE)?));
            rest = after;
            continue;
        }
        let after = match rest.strip_prefix('.') {
            Some(after) => after,
            None if steps.is_empty() => rest,
            None => return Err(ADVICE),
        };
        let end = after.find(['[', '.']).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        if name.is_empty() {
            return Err(ADVICE);
        }
        steps.push(FieldStep::Field(name.to_owned()));
        rest = after;
    }
    if steps.is_empty() { Err(ADVICE) } else { Ok(steps) }
}

/// Where something is at a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceAddress {
    /// Where it begins.
    pub start: StartAddress,
    /// Steps into its value; none for the value itself.
    pub field: Vec<FieldStep>,
}

/// Where something begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StartAddress {
    /// At a node.
    Node(NodeAddress),
    /// At the end of a path.
    Path(Vec<BrowseName>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_names_of_any_namespace_or_of_one_and_letters_that_would_end_them() {
        let names = |text: &str| {
            let names = parse_path(text).unwrap();
            let names = names.into_iter().map(|n| (n.namespace.unwrap_or_default(), n.name));
            names.collect::<Vec<_>>()
        };
        let plain = |name: &str| (String::new(), name.to_owned());
        assert_eq!(names("/Press/State"), [plain("Press"), plain("State")]);
        let uri = "http://press.example/UA/".to_owned();
        let wanted = [(uri, "Press".to_owned()), plain("a/b&c")];
        assert_eq!(names("nsu=http://press.example/UA/;Press/a&/b&&c"), wanted);
        for wrong in ["", "/", "a//b", "a/", "nsu=x", "nsu=;a", "a&"] {
            assert!(parse_path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_are_elements_and_names() {
        use FieldStep::{Element, Field};
        let field = |name: &str| Field(name.to_owned());
        assert_eq!(parse_field("[0].AccCount"), Ok(vec![Element(0), field("AccCount")]));
        assert_eq!(
            parse_field("Job.Parts[12]"),
            Ok(vec![field("Job"), field("Parts"), Element(12)])
        );
        for wrong in ["", "[", "[x]", "[0]Name", ".", "a..b"] {
            assert!(parse_field(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_index_is_refused_and_a_uri_kept() {
        let node = NodeAddress::parse("nsu=urn:a;b=c;s=Line1.State").map(|n| n.identifier);
        assert_eq!(node.as_deref(), Ok("s=Line1.State"));
        assert!(NodeAddress::parse("ns=2;s=X").is_err());
        assert!(NodeAddress::parse("nsu=urn:x;i=abc").is_err());
        assert_eq!(NodeAddress::parse("i=2258").unwrap().namespace, None);
    }
}
