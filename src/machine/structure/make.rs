//! Making values of types that a machine describes: what is said is put where it belongs, and all else is
//! empty, as the encoding of each type has it (Part 6 §5.2).

use opcua::types::type_loader::ByteStringBody;
use opcua::types::{
    Array, BinaryEncodable, ByteString, Context, ExtensionObject, NodeId, Variant,
    VariantScalarTypeId,
};

use super::{DEPTH_MAX, EXTENSION_OBJECT, Field, Kind, Layout, Layouts, Step};

/// Elements of an array that is made.
const ELEMENTS_MAX: usize = 100;

/// A text, and the steps to where it belongs.
pub type Put<'a> = (&'a [Step], &'a str);

/// Makes a text a value of a built-in type, if it can be one.
pub type Convert = fn(&str, VariantScalarTypeId) -> Option<Variant>;

struct Making<'a> {
    layouts: &'a Layouts,
    convert: Convert,
    context: &'a Context<'a>,
}

impl Layouts {
    /// A value of a type that was learned, or an array of such; why it cannot be.
    pub fn make(
        &self,
        of: &NodeId,
        is_array: bool,
        puts: &[Put<'_>],
        convert: Convert,
        context: &Context<'_>,
    ) -> Result<Variant, String> {
        let kind = *self.known.get(of).ok_or_else(|| format!("type {of} is not known"))?;
        let making = Making { layouts: self, convert, context };
        if !is_array {
            return making.value(kind, puts);
        }
        let elements = elements(puts)?.into_iter().map(|puts| making.value(kind, &puts));
        let elements = elements.collect::<Result<Vec<_>, _>>()?;
        let scalar = match kind {
            Kind::Structure(_) => VariantScalarTypeId::ExtensionObject,
            Kind::BuiltIn(kind) => scalar(kind)?,
        };
        let array = Array::new(scalar, elements);
        array.map(|array| Variant::Array(Box::new(array))).map_err(|error| error.to_string())
    }
}

impl Making<'_> {
    /// A value as a variant.
    fn value(&self, kind: Kind, puts: &[Put<'_>]) -> Result<Variant, String> {
        match kind {
            Kind::BuiltIn(kind) => match puts {
                [] => empty(kind),
                puts => self.built_in(kind, puts),
            },
            Kind::Structure(place) => {
                let mut body = Vec::new();
                self.structure(place, puts, 0, &mut body)?;
                let encoding = self.layouts.layouts[place].encoding.clone();
                let body = ByteStringBody::new(ByteString::from(body), encoding);
                Ok(Variant::ExtensionObject(ExtensionObject::new(body)))
            }
        }
    }

    fn built_in(&self, kind: u8, puts: &[Put<'_>]) -> Result<Variant, String> {
        let [([], text)] = puts else {
            return Err(format!("there is nothing inside a value of type {kind}"));
        };
        let scalar = scalar(kind)?;
        (self.convert)(text, scalar).ok_or_else(|| format!("{text} is no {scalar:?}"))
    }

    fn structure(
        &self,
        place: usize,
        puts: &[Put<'_>],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err("the machine's structures are too deep".into());
        }
        let layout = &self.layouts.layouts[place];
        layout.has_all(puts)?;
        let is_put = |field: &&Field| !inside(puts, &field.name).is_empty();
        if layout.is_union {
            let of = layout.fields.iter().position(|field| is_put(&field));
            put(out, &of.map_or(0, |place| place as u32 + 1), self.context)?;
        } else if layout.has_mask {
            let optional = layout.fields.iter().filter(|field| field.is_optional);
            let bits = (0..).zip(optional).filter(|(_, field)| is_put(field));
            let mask = bits.fold(0, |mask, (bit, _)| mask | 1_u32.checked_shl(bit).unwrap_or(0));
            put(out, &mask, self.context)?;
        }
        for field in &layout.fields {
            let puts = inside(puts, &field.name);
            let may_be_absent = layout.is_union || layout.has_mask && field.is_optional;
            if may_be_absent && puts.is_empty() {
                continue;
            }
            match field.is_array {
                false => self.element(field.kind, &puts, depth, out)?,
                true => {
                    let elements = elements(&puts)?;
                    put(out, &(elements.len() as i32), self.context)?;
                    for puts in elements {
                        self.element(field.kind, &puts, depth, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn element(
        &self,
        kind: Kind,
        puts: &[Put<'_>],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        match kind {
            Kind::Structure(place) => self.structure(place, puts, depth + 1, out),
            Kind::BuiltIn(kind) if puts.is_empty() => {
                out.extend_from_slice(empty_bytes(kind)?);
                Ok(())
            }
            Kind::BuiltIn(kind) => {
                let value = self.built_in(kind, puts)?;
                let mut bytes = Vec::new();
                value.encode(&mut bytes, self.context).map_err(|error| error.to_string())?;
                // A variant says its type first; in a structure that is known.
                out.extend_from_slice(bytes.get(1..).unwrap_or_default());
                Ok(())
            }
        }
    }
}

impl Layout {
    /// Whether all that is put belongs into its fields; what does not.
    fn has_all(&self, puts: &[Put<'_>]) -> Result<(), String> {
        let names: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        for (steps, _) in puts {
            match steps.first() {
                Some(Step::Field(name)) if names.contains(&name.as_str()) => {}
                Some(Step::Field(name)) => {
                    return Err(format!("it has no field {name}; it has {}", names.join(", ")));
                }
                _ => return Err(format!("say which field: {}", names.join(", "))),
            }
        }
        Ok(())
    }
}

/// What belongs into a field.
fn inside<'a>(puts: &[Put<'a>], name: &str) -> Vec<Put<'a>> {
    let rest = |put: &Put<'a>| {
        let (steps, text) = *put;
        match steps.split_first() {
            Some((Step::Field(field), rest)) if field == name => Some((rest, text)),
            _ => None,
        }
    };
    puts.iter().filter_map(rest).collect()
}

fn put(
    out: &mut Vec<u8>,
    value: &impl BinaryEncodable,
    context: &Context<'_>,
) -> Result<(), String> {
    value.encode(out, context).map_err(|error| error.to_string())
}

/// What belongs into each element of an array, as many as there are.
fn elements<'a>(puts: &[Put<'a>]) -> Result<Vec<Vec<Put<'a>>>, String> {
    let mut elements: Vec<Vec<Put<'a>>> = Vec::new();
    for (steps, text) in puts {
        let Some((Step::Element(index), rest)) = steps.split_first() else {
            return Err("it is an array; say which element, such as [0]".into());
        };
        if *index >= ELEMENTS_MAX {
            return Err(format!("an array that is made has at most {ELEMENTS_MAX} elements"));
        }
        if elements.len() <= *index {
            elements.resize(index + 1, Vec::new());
        }
        elements[*index].push((rest, text));
    }
    Ok(elements)
}

fn scalar(kind: u8) -> Result<VariantScalarTypeId, String> {
    let known = VariantScalarTypeId::try_from(u32::from(kind));
    known.map_err(|_| format!("type {kind} cannot be made"))
}

/// Bytes of an empty value of a built-in type.
fn empty_bytes(kind: u8) -> Result<&'static [u8], String> {
    Ok(match kind {
        1..=3 | 23..=25 => &[0],
        4 | 5 | 17 | 18 => &[0; 2],
        6 | 7 | 10 | 19 => &[0; 4],
        8 | 9 | 11 | 13 => &[0; 8],
        12 | 15 | 16 => &[0xff; 4],
        14 => &[0; 16],
        20 => &[0, 0, 0xff, 0xff, 0xff, 0xff],
        21 => &[0],
        EXTENSION_OBJECT => &[0; 3],
        _ => return Err(format!("type {kind} cannot be made")),
    })
}

/// An empty value of a built-in type as a variant.
fn empty(kind: u8) -> Result<Variant, String> {
    match kind {
        EXTENSION_OBJECT => Ok(Variant::ExtensionObject(ExtensionObject::null())),
        _ => Err("the method needs it; say what it is to be in `arguments`".into()),
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::NamespaceMap;

    use super::*;
    use crate::channel::decode::{decoding, raw_body, raw_context};

    fn field(name: &str, kind: Kind, is_array: bool, is_optional: bool) -> Field {
        Field { name: name.into(), kind, is_array, is_optional }
    }

    fn id(number: u32) -> NodeId {
        NodeId::new(2, number)
    }

    /// A product with a number, a comment that may be absent, and ingredients of a name and an amount.
    fn layouts() -> Layouts {
        let ingredient = Layout {
            encoding: id(11),
            fields: vec![
                field("Name", Kind::BuiltIn(21), false, false),
                field("Amount", Kind::BuiltIn(11), false, false),
            ],
            ..Layout::default()
        };
        let product = Layout {
            encoding: id(12),
            has_mask: true,
            fields: vec![
                field("Number", Kind::BuiltIn(6), false, false),
                field("Comment", Kind::BuiltIn(12), false, true),
                field("Ingredients", Kind::Structure(0), true, false),
            ],
            ..Layout::default()
        };
        Layouts {
            known: [(id(1), Kind::Structure(0)), (id(2), Kind::Structure(1))].into(),
            layouts: vec![ingredient, product],
        }
    }

    fn convert(text: &str, kind: VariantScalarTypeId) -> Option<Variant> {
        match kind {
            VariantScalarTypeId::Int32 => text.parse().ok().map(Variant::Int32),
            VariantScalarTypeId::Double => text.parse().ok().map(Variant::Double),
            _ => Some(Variant::from(text)),
        }
    }

    fn steps(text: &str) -> Vec<Step> {
        let step = |step: &str| match step.parse() {
            Ok(index) => Step::Element(index),
            Err(_) => Step::Field(step.into()),
        };
        text.split('.').map(step).collect()
    }

    fn made(is_array: bool, puts: &[(&str, &str)]) -> Result<Variant, String> {
        let owned = raw_context(NamespaceMap::new(), decoding());
        let steps: Vec<_> = puts.iter().map(|(at, text)| (steps(at), *text)).collect();
        let puts: Vec<_> = steps.iter().map(|(at, text)| (at.as_slice(), *text)).collect();
        layouts().make(&id(2), is_array, &puts, convert, &owned.context())
    }

    #[test]
    fn what_is_said_is_where_it_belongs_and_all_else_is_empty() {
        let puts = [("Number", "7"), ("Ingredients.1.Amount", "2.5")];
        let value = made(false, &puts).unwrap();
        let owned = raw_context(NamespaceMap::new(), decoding());
        let read = |at: &str| layouts().follow(&value, &id(2), &steps(at), &owned.context());
        assert_eq!(read("Number"), Ok(Variant::Int32(7)));
        assert!(read("Comment").is_err(), "it is absent");
        assert_eq!(read("Ingredients.0.Amount"), Ok(Variant::Double(0.0)));
        assert_eq!(read("Ingredients.1.Amount"), Ok(Variant::Double(2.5)));
        assert!(read("Ingredients.2.Amount").is_err());
        let Variant::ExtensionObject(object) = &value else { panic!("{value:?}") };
        assert_eq!(raw_body(object).unwrap().0, id(12));
        let with_comment = made(false, &[("Comment", "x")]).unwrap();
        let read = layouts().follow(&with_comment, &id(2), &steps("Comment"), &owned.context());
        assert_eq!(read, Ok(Variant::from("x")));
    }

    #[test]
    fn an_array_without_anything_is_empty() {
        let Variant::Array(array) = made(true, &[]).unwrap() else { panic!("an array") };
        assert_eq!(array.values.len(), 0);
        let Variant::Array(array) = made(true, &[("0.Number", "1")]).unwrap() else {
            panic!("an array")
        };
        assert_eq!(array.values.len(), 1);
    }

    #[test]
    fn what_does_not_fit_says_why() {
        for (is_array, at, text, wanted) in [
            (false, "Number", "seven", "seven is no Int32"),
            (false, "Colour", "7", "no field Colour; it has Number, Comment, Ingredients"),
            (false, "Ingredients", "7", "say which element"),
            (false, "Ingredients.1000.Amount", "7", "at most 100 elements"),
            (true, "Number", "7", "say which element"),
            (false, "0", "7", "say which field"),
        ] {
            let why = made(is_array, &[(at, text)]).unwrap_err();
            assert!(why.contains(wanted), "{why}");
        }
    }
}
