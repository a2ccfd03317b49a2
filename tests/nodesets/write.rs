//! Writes the NodeSet2 file of a table (Part 6 Annex F).

use std::fmt::Write as _;

use super::names::{Names, flat, plain};
use super::table::{Field, Row, Table};

const TYPES: &str = "http://opcfoundation.org/UA/2008/02/Types.xsd";
const PROPERTY: &str = "i=68";

/// The nodeset, or the line of the table that cannot be written.
pub fn nodeset(table: &Table, names: &Names) -> Result<String, String> {
    let mut out = head(table);
    for (above, row) in flat(table) {
        let node = Node { table, names, row, above };
        node.write(&mut out).map_err(|why| format!("line {}: {}: {why}", row.line, row.name))?;
    }
    out.push_str("</UANodeSet>\n");
    Ok(out)
}

fn head(table: &Table) -> String {
    let Table { uri, version, date, .. } = table;
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- Written from the table beside it. -->\n\
         <UANodeSet xmlns=\"http://opcfoundation.org/UA/2011/03/UANodeSet.xsd\" \
         LastModified=\"{date}T00:00:00Z\">\n  <NamespaceUris>\n    <Uri>{uri}</Uri>\n"
    );
    for used in table.uses.iter().filter(|used| used.alias != "ua") {
        line(&mut out, 4, &format!("<Uri>{}</Uri>", used.uri));
    }
    let model = format!(
        "<Model ModelUri=\"{uri}\" Version=\"{version}\" PublicationDate=\"{date}T00:00:00Z\">"
    );
    out.push_str("  </NamespaceUris>\n  <Models>\n");
    line(&mut out, 4, &model);
    for used in &table.uses {
        let required = format!(
            "<RequiredModel ModelUri=\"{}\" Version=\"{}\" PublicationDate=\"{}T00:00:00Z\"/>",
            used.uri, used.version, used.date
        );
        line(&mut out, 6, &required);
    }
    out.push_str("    </Model>\n  </Models>\n");
    out
}

fn line(out: &mut String, indent: usize, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{:indent$}{text}", "");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A row with what it stands in.
struct Node<'a> {
    table: &'a Table,
    names: &'a Names,
    row: &'a Row,
    above: Option<&'a Row>,
}

impl Node<'_> {
    fn id(&self, name: &str) -> Result<String, String> {
        self.names.id(self.table, name)
    }

    fn own(&self, number: u32) -> String {
        format!("ns=1;i={number}")
    }

    fn write(&self, out: &mut String) -> Result<(), String> {
        let Node { row, table, .. } = self;
        let tag = match row.keyword.as_str() {
            "reference" => "UAReferenceType",
            "enumeration" | "structure" | "datatype" => "UADataType",
            "variabletype" => "UAVariableType",
            "objecttype" => "UAObjectType",
            "object" => "UAObject",
            "method" => "UAMethod",
            _ => "UAVariable",
        };
        let id = self.own(row.id);
        let name = escaped(&table.browse_name(&row.name)?);
        let mut start = format!("<{tag} NodeId=\"{id}\" BrowseName=\"{name}\"");
        if let Some(above) = self.above {
            let _ = write!(start, " ParentNodeId=\"{}\"", self.own(above.id));
        }
        if let Some(data_type) = row.word("=") {
            let (data_type, rank) = self.ranked(data_type)?;
            let _ = write!(start, " DataType=\"{data_type}\"{}", rank_text(rank));
        }
        let flags = [
            ("abstract", "IsAbstract=\"true\""),
            ("symmetric", "Symmetric=\"true\""),
            ("notifier", "EventNotifier=\"1\""),
            ("writable", "AccessLevel=\"3\""),
        ];
        // What is said of an enumeration is meant for the property with its values.
        let flags = flags.iter().filter(|(word, _)| row.has(word) && tag != "UADataType");
        for (_, flag) in flags {
            let _ = write!(start, " {flag}");
        }
        line(out, 2, &format!("{start}>"));
        self.texts(out, plain(&row.name), &row.description);
        self.references(out)?;
        if let Some(inverse) = row.word("inverse") {
            line(out, 4, &format!("<InverseName>{}</InverseName>", escaped(inverse)));
        }
        if tag == "UADataType" {
            self.definition(out)?;
        }
        if let Some(value) = &row.value {
            self.value(out, value)?;
        }
        line(out, 2, &format!("</{tag}>"));
        self.implied(out)
    }

    fn texts(&self, out: &mut String, name: &str, description: &str) {
        line(out, 4, &format!("<DisplayName>{}</DisplayName>", escaped(name)));
        if !description.is_empty() {
            line(out, 4, &format!("<Description>{}</Description>", escaped(description)));
        }
    }

    /// The id of a data type and whether it is an array.
    fn ranked(&self, text: &str) -> Result<(String, bool), String> {
        let (name, is_array) = match text.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (text, false),
        };
        Ok((self.id(name)?, is_array))
    }

    fn references(&self, out: &mut String) -> Result<(), String> {
        let row = self.row;
        let mut all = Vec::new();
        let is_type = matches!(
            row.keyword.as_str(),
            "reference" | "enumeration" | "structure" | "datatype" | "variabletype" | "objecttype"
        );
        let kind = match row.keyword.as_str() {
            "enumeration" => Some("Enumeration"),
            "structure" => Some("Structure"),
            "object" => Some("BaseObjectType"),
            "variable" => Some("BaseDataVariableType"),
            "property" => Some("PropertyType"),
            _ => None,
        };
        if let Some(kind) = row.word(":").or(kind) {
            let reference = if is_type { "HasSubtype" } else { "HasTypeDefinition" };
            all.push((reference.to_owned(), !is_type, self.id(kind)?));
        }
        if let Some(rule) = row.rule().filter(|_| row.keyword != "enumeration") {
            all.push(("HasModellingRule".to_owned(), true, format!("i={rule}")));
        }
        if let Some(above) = self.above {
            all.push((via(row).to_owned(), false, self.own(above.id)));
        }
        for child in &row.children {
            all.push((via(child).to_owned(), true, self.own(child.id)));
        }
        for (kind, id) in self.implied_ids()? {
            all.push((kind.to_owned(), true, self.own(id)));
        }
        for link in &row.references {
            all.push((link.kind.clone(), link.forward, self.id(&link.target)?));
        }
        line(out, 4, "<References>");
        for (kind, forward, target) in all {
            let kind = self.id(&kind)?;
            let direction = if forward { "" } else { " IsForward=\"false\"" };
            let text =
                format!("<Reference ReferenceType=\"{kind}\"{direction}>{target}</Reference>");
            line(out, 6, &text);
        }
        line(out, 4, "</References>");
        Ok(())
    }

    /// Nodes that a row brings along without having rows of their own.
    fn implied_ids(&self) -> Result<Vec<(&'static str, u32)>, String> {
        let mut ids = Vec::new();
        for word in ["strings", "values", "bits", "in", "out"] {
            if let Some(id) = self.row.word(word) {
                ids.push(("HasProperty", number(id)?));
            }
        }
        for id in self.row.words.get("encodings").into_iter().flatten() {
            if id != "-" {
                ids.push(("HasEncoding", number(id)?));
            }
        }
        Ok(ids)
    }

    fn definition(&self, out: &mut String) -> Result<(), String> {
        let row = self.row;
        if row.fields.is_empty() {
            return Ok(());
        }
        let option_set = if row.has("bits") { " IsOptionSet=\"true\"" } else { "" };
        let name = self.table.browse_name(&row.name)?;
        line(out, 4, &format!("<Definition Name=\"{name}\"{option_set}>"));
        for field in &row.fields {
            let mut start = format!("<Field Name=\"{}\"", escaped(&field.name));
            if field.kind == "value" {
                let _ = write!(start, " Value=\"{}\"", field.number);
            } else {
                let (data_type, optional) = match field.data_type.strip_suffix('?') {
                    Some(data_type) => (data_type, " IsOptional=\"true\""),
                    None => (field.data_type.as_str(), ""),
                };
                let (data_type, rank) = self.ranked(data_type)?;
                let rank = rank_text(rank);
                let _ = write!(start, " DataType=\"{data_type}\"{rank}{optional}");
            }
            let text = escaped(&field.description);
            let text = if text.is_empty() {
                format!("{start}/>")
            } else {
                format!("{start}><Description>{text}</Description></Field>")
            };
            line(out, 6, &text);
        }
        line(out, 4, "</Definition>");
        Ok(())
    }

    fn implied(&self, out: &mut String) -> Result<(), String> {
        let row = self.row;
        let text_of = |field: &Field| localized(&field.name, "");
        if let Some(id) = row.word("strings") {
            let values: Vec<_> = row.fields.iter().map(text_of).collect();
            let value = list("LocalizedText", &values);
            let text = "Names of the values, in order.";
            self.property(out, id, ("EnumStrings", text), ("i=21", values.len()), &value)?;
        }
        if let Some(id) = row.word("bits") {
            let values: Vec<_> = row.fields.iter().map(text_of).collect();
            let value = list("LocalizedText", &values);
            let text = "Names of the bits, in order.";
            self.property(out, id, ("OptionSetValues", text), ("i=21", values.len()), &value)?;
        }
        if let Some(id) = row.word("values") {
            let values: Vec<_> = row.fields.iter().map(enum_value).collect();
            let value = list("ExtensionObject", &values);
            let text = "The values with their names.";
            self.property(out, id, ("EnumValues", text), ("i=7594", values.len()), &value)?;
        }
        for (word, name, text) in [
            ("in", "InputArguments", "What the method is called with."),
            ("out", "OutputArguments", "What the method gives back."),
        ] {
            let Some(id) = row.word(word) else { continue };
            let fields = row.fields.iter().filter(|field| field.kind == word);
            let values: Result<Vec<_>, _> = fields.map(|field| self.argument(field)).collect();
            let values = values?;
            let value = list("ExtensionObject", &values);
            self.property(out, id, (name, text), ("i=296", values.len()), &value)?;
        }
        let encodings = row.words.get("encodings").into_iter().flatten();
        for (id, name) in encodings.zip(["Binary", "XML", "JSON"]) {
            if id != "-" {
                let id = self.own(number(id)?);
                line(out, 2, &format!("<UAObject NodeId=\"{id}\" BrowseName=\"Default {name}\">"));
                let text = format!("How a value is encoded as {name}.");
                self.texts(out, &format!("Default {name}"), &text);
                line(out, 4, "<References>");
                let own = self.own(row.id);
                let text = format!(
                    "<Reference ReferenceType=\"i=38\" IsForward=\"false\">{own}</Reference>"
                );
                line(out, 6, "<Reference ReferenceType=\"i=40\">i=76</Reference>");
                line(out, 6, &text);
                out.push_str("    </References>\n  </UAObject>\n");
            }
        }
        Ok(())
    }

    /// A property with a constant array.
    fn property(
        &self,
        out: &mut String,
        id: &str,
        (name, text): (&str, &str),
        (data_type, length): (&str, usize),
        value: &str,
    ) -> Result<(), String> {
        let (id, above) = (self.own(number(id)?), self.own(self.row.id));
        let start = format!(
            "<UAVariable NodeId=\"{id}\" BrowseName=\"{name}\" ParentNodeId=\"{above}\" \
             DataType=\"{data_type}\" ValueRank=\"1\" ArrayDimensions=\"{length}\"{}>",
            if self.row.has("writable") { " AccessLevel=\"3\"" } else { "" }
        );
        line(out, 2, &start);
        self.texts(out, name, text);
        line(out, 4, "<References>");
        line(out, 6, &format!("<Reference ReferenceType=\"i=40\">{PROPERTY}</Reference>"));
        // What belongs to a data type is no declaration for instances, but some say that it is.
        if self.row.keyword == "method" || self.row.rule().is_some() {
            line(out, 6, "<Reference ReferenceType=\"i=37\">i=78</Reference>");
        }
        let inverse =
            format!("<Reference ReferenceType=\"i=46\" IsForward=\"false\">{above}</Reference>");
        line(out, 6, &inverse);
        line(out, 4, "</References>");
        line(out, 4, &format!("<Value>{value}</Value>"));
        line(out, 2, "</UAVariable>");
        Ok(())
    }

    fn argument(&self, field: &Field) -> Result<String, String> {
        let (data_type, is_array) = self.ranked(&field.data_type)?;
        let (rank, dimensions) = if is_array {
            (1, "<ArrayDimensions><UInt32>0</UInt32></ArrayDimensions>")
        } else {
            (-1, "<ArrayDimensions/>")
        };
        let body = format!(
            "<Argument><Name>{}</Name><DataType><Identifier>{data_type}</Identifier></DataType>\
             <ValueRank>{rank}</ValueRank>{dimensions}<Description><Text>{}</Text></Description>\
             </Argument>",
            escaped(&field.name),
            escaped(&field.description)
        );
        Ok(object("i=297", &body))
    }

    fn value(&self, out: &mut String, value: &str) -> Result<(), String> {
        let data_type = self.row.word("=").ok_or("has a value and no data type")?;
        let text = match data_type.split_once(':').map_or(data_type, |(_, name)| name) {
            "LocalizedText" => localized(unquoted(value), TYPES),
            "QualifiedName" => {
                let name = self.table.browse_name(unquoted(value))?;
                let (index, name) = name.split_once(':').unwrap_or(("0", &name));
                format!(
                    "<QualifiedName xmlns=\"{TYPES}\"><NamespaceIndex>{index}</NamespaceIndex>\
                     <Name>{name}</Name></QualifiedName>"
                )
            }
            "Range" => {
                let (low, high) = value.split_once(' ').ok_or("a range has two ends")?;
                let body = format!("<Range><Low>{low}</Low><High>{high}</High></Range>");
                object("i=885", &body).replacen('>', &format!(" xmlns=\"{TYPES}\">"), 1)
            }
            "EUInformation" => {
                let (code, name) = value.split_once(' ').ok_or("a unit has a code and a name")?;
                let body = unit(code, unquoted(name));
                object("i=888", &body).replacen('>', &format!(" xmlns=\"{TYPES}\">"), 1)
            }
            "String[]" | "NumericRange[]" => texts("String", value),
            "IdType[]" => texts("Int32", value),
            simple => {
                let value = escaped(unquoted(value));
                format!("<{simple} xmlns=\"{TYPES}\">{value}</{simple}>")
            }
        };
        line(out, 4, &format!("<Value>{text}</Value>"));
        Ok(())
    }
}

/// The type of the reference from the node above.
fn via(row: &Row) -> &str {
    let usual = if row.keyword == "property" { "HasProperty" } else { "HasComponent" };
    row.word("via").unwrap_or(usual)
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{text} is no id"))
}

fn rank_text(is_array: bool) -> &'static str {
    if is_array { " ValueRank=\"1\" ArrayDimensions=\"0\"" } else { "" }
}

fn unquoted(text: &str) -> &str {
    text.trim_matches('"')
}

fn localized(text: &str, namespace: &str) -> String {
    let text = escaped(text);
    if namespace.is_empty() {
        format!("<LocalizedText><Text>{text}</Text></LocalizedText>")
    } else {
        format!("<LocalizedText xmlns=\"{namespace}\"><Text>{text}</Text></LocalizedText>")
    }
}

fn list(kind: &str, values: &[String]) -> String {
    format!("<ListOf{kind} xmlns=\"{TYPES}\">{}</ListOf{kind}>", values.concat())
}

/// A constant array of texts or numbers, separated by commas.
fn texts(kind: &str, value: &str) -> String {
    let pieces = unquoted(value).split(',').map(str::trim);
    let pieces: Vec<_> = pieces.map(|text| format!("<{kind}>{}</{kind}>", escaped(text))).collect();
    list(kind, &pieces)
}

fn object(type_id: &str, body: &str) -> String {
    format!(
        "<ExtensionObject><TypeId><Identifier>{type_id}</Identifier></TypeId>\
         <Body>{body}</Body></ExtensionObject>"
    )
}

fn enum_value(field: &Field) -> String {
    let body = format!(
        "<EnumValueType><Value>{}</Value><DisplayName><Text>{}</Text></DisplayName>\
         <Description><Text>{}</Text></Description></EnumValueType>",
        field.number,
        escaped(&field.name),
        escaped(&field.description)
    );
    object("i=7616", &body)
}

fn unit(code: &str, name: &str) -> String {
    let id = code.bytes().fold(0_i32, |id, byte| (id << 8) | i32::from(byte));
    let name = escaped(name);
    format!(
        "<EUInformation><NamespaceUri>http://www.opcfoundation.org/UA/units/un/cefact\
         </NamespaceUri><UnitId>{id}</UnitId><DisplayName><Text>{name}</Text></DisplayName>\
         <Description><Text>{name}</Text></Description></EUInformation>"
    )
}
