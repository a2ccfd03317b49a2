//! Reads the tables from which the nodesets are written; their notation is in `nodesets/README.md`.

use std::collections::BTreeMap;

/// A model: one namespace.
pub struct Table {
    pub uri: String,
    pub version: String,
    pub date: String,
    pub uses: Vec<Used>,
    pub rows: Vec<Row>,
}

/// A model that another one needs.
pub struct Used {
    pub alias: String,
    pub uri: String,
    pub version: String,
    pub date: String,
}

/// A node with all that is below it.
#[derive(Default)]
pub struct Row {
    pub line: usize,
    pub keyword: String,
    pub id: u32,
    pub name: String,
    pub description: String,
    /// Words after the name, by what they say.
    pub words: BTreeMap<String, Vec<String>>,
    pub value: Option<String>,
    pub fields: Vec<Field>,
    pub references: Vec<Link>,
    pub children: Vec<Row>,
}

/// A field of a structure, a value of an enumeration or an argument of a method.
pub struct Field {
    pub kind: String,
    pub name: String,
    pub data_type: String,
    pub number: i64,
    pub description: String,
}

/// A reference besides those that follow from the notation.
pub struct Link {
    pub forward: bool,
    pub kind: String,
    pub target: String,
}

/// Words that stand alone, and how many words the others take along.
const WORDS: [(&str, usize); 18] = [
    (":", 1),
    ("=", 1),
    ("via", 1),
    ("inverse", 1),
    ("strings", 1),
    ("values", 1),
    ("bits", 1),
    ("encodings", 3),
    ("in", 1),
    ("out", 1),
    ("M", 0),
    ("O", 0),
    ("MP", 0),
    ("OP", 0),
    ("abstract", 0),
    ("notifier", 0),
    ("writable", 0),
    ("symmetric", 0),
];

const NODES: [&str; 9] = [
    "reference",
    "enumeration",
    "structure",
    "datatype",
    "variabletype",
    "objecttype",
    "object",
    "variable",
    "property",
];

impl Row {
    /// The word that follows a word.
    pub fn word(&self, key: &str) -> Option<&str> {
        self.words.get(key)?.first().map(String::as_str)
    }

    /// Whether a word is there.
    pub fn has(&self, key: &str) -> bool {
        self.words.contains_key(key)
    }

    /// The modelling rule.
    pub fn rule(&self) -> Option<u32> {
        let rules = [("M", 78), ("O", 80), ("OP", 11508), ("MP", 11510)];
        rules.into_iter().find(|(word, _)| self.has(word)).map(|(_, id)| id)
    }
}

impl Table {
    /// Reads a table, or says in which line it cannot be read.
    pub fn read(text: &str) -> Result<Table, String> {
        let mut table = Table {
            uri: String::new(),
            version: String::new(),
            date: String::new(),
            uses: Vec::new(),
            rows: Vec::new(),
        };
        // The rows that are open, outermost first.
        let mut open: Vec<Row> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let content = line.trim_start();
            if content.is_empty() || content.starts_with("//") {
                continue;
            }
            let failed = |why: &str| format!("line {number}: {why}: {content}");
            let depth = (line.len() - content.len()) / 2;
            if let Some(head) = content.strip_prefix("model ") {
                let words: Vec<_> = head.split_whitespace().collect();
                let [uri, version, date] = words[..] else {
                    return Err(failed("model takes URI, version and date"));
                };
                (table.uri, table.version, table.date) = (uri.into(), version.into(), date.into());
                continue;
            }
            if let Some(head) = content.strip_prefix("uses ") {
                let words: Vec<_> = head.split_whitespace().map(str::to_owned).collect();
                let Ok([alias, uri, version, date]) = <[String; 4]>::try_from(words) else {
                    return Err(failed("uses takes alias, URI, version and date"));
                };
                table.uses.push(Used { alias, uri, version, date });
                continue;
            }
            if depth > open.len() {
                return Err(failed("is indented too far"));
            }
            while open.len() > depth {
                close(&mut open, &mut table.rows);
            }
            match part(content, number).map_err(|why| failed(&why))? {
                Part::Node(row) => open.push(*row),
                Part::Field(field) => {
                    open.last_mut().ok_or_else(|| failed("has no node above"))?.fields.push(field);
                }
                Part::Link(link) => {
                    let above = open.last_mut().ok_or_else(|| failed("has no node above"))?;
                    above.references.push(link);
                }
            }
        }
        while !open.is_empty() {
            close(&mut open, &mut table.rows);
        }
        Ok(table)
    }
}

fn close(open: &mut Vec<Row>, rows: &mut Vec<Row>) {
    if let Some(row) = open.pop() {
        let siblings = open.last_mut().map_or(rows, |above| &mut above.children);
        siblings.push(row);
    }
}

enum Part {
    Node(Box<Row>),
    Field(Field),
    Link(Link),
}

fn part(content: &str, line: usize) -> Result<Part, String> {
    let (content, description) = content.split_once(" -- ").unwrap_or((content, ""));
    let (content, value) = match content.split_once(" := ") {
        Some((content, value)) => (content, Some(value.trim().to_owned())),
        None => (content, None),
    };
    let mut words = split(content).into_iter();
    let keyword = words.next().ok_or("is empty")?;
    let description = description.trim().to_owned();
    match keyword.as_str() {
        ">" | "<" => {
            let (Some(kind), Some(target)) = (words.next(), words.next()) else {
                return Err("a reference takes its type and a target".into());
            };
            Ok(Part::Link(Link { forward: keyword == ">", kind, target }))
        }
        "value" => {
            let number = words.next().and_then(|word| word.parse().ok()).ok_or("has no number")?;
            let name = words.next().ok_or("has no name")?;
            let data_type = String::new();
            Ok(Part::Field(Field { kind: keyword, name, data_type, number, description }))
        }
        "field" | "in" | "out" => {
            let name = words.next().ok_or("has no name")?;
            if words.next().as_deref() != Some("=") {
                return Err("wants = and a data type".into());
            }
            let data_type = words.next().ok_or("has no data type")?;
            Ok(Part::Field(Field { kind: keyword, name, data_type, number: -1, description }))
        }
        node if NODES.contains(&node) || node == "method" => {
            let id = words.next().and_then(|word| word.parse().ok()).ok_or("has no id")?;
            let name = words.next().ok_or("has no name")?;
            let mut row = Row { line, keyword, id, name, description, value, ..Row::default() };
            while let Some(word) = words.next() {
                let known = WORDS.iter().find(|(known, _)| *known == word);
                let (_, count) = known.ok_or_else(|| format!("does not know {word}"))?;
                let along = words.by_ref().take(*count).collect();
                row.words.insert(word, along);
            }
            Ok(Part::Node(Box::new(row)))
        }
        other => Err(format!("does not know {other}")),
    }
}

/// Words; a name with spaces stands in quotes.
fn split(content: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, piece) in content.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(str::to_owned));
        }
    }
    words
}
