//! Where clauses (Part 4 §7.7): a tree of operators over the fields of an event.
//!
//! A clause is checked once, when it arrives: number and kind of operands, references that lead
//! forward only, types that exist. So evaluation always ends. It knows three answers: true, false,
//! and not known; an event is wanted if the answer is true.

use std::cmp::Ordering;

use opcua::types::{
    AttributeId, ContentFilterElementResult, ContentFilterResult, FilterOperator, NodeClass,
    NodeId, NumericRange, QualifiedName, StatusCode, Variant, VariantTypeId,
};

use super::compare::{bits, equal, order, text, truth};
use super::like::is_like;
use crate::channel::decode::{Reader, raw_body};
use crate::server::space::{Event, TypeTree};

/// Encodings of operands (Part 6).
mod encoding {
    pub const ELEMENT: u32 = 594;
    pub const LITERAL: u32 = 597;
    pub const ATTRIBUTE: u32 = 600;
    pub const SIMPLE_ATTRIBUTE: u32 = 603;
}

/// Operands of one element at most.
const OPERANDS_MAX: usize = 100;

/// A field of an event.
#[derive(Clone, Debug)]
pub struct FieldPath {
    /// Type of events that have it.
    pub of_type: NodeId,
    /// Browse names from the event to it.
    pub path: Vec<QualifiedName>,
    /// Attribute of it.
    pub attribute: u32,
    /// Part of its array.
    pub range: Result<NumericRange, StatusCode>,
}

/// An operand.
#[derive(Clone, Debug)]
pub enum Operand {
    /// The result of a later element.
    Element(usize),
    /// A value.
    Literal(Variant),
    /// A field of the event.
    Field(FieldPath),
    /// One that is not for events.
    Unsupported,
    /// One that could not be read.
    Invalid,
}

/// An operator with its operands.
#[derive(Clone, Debug)]
pub struct Element {
    /// The operator, `None` for a number that stands for none.
    pub operator: Option<FilterOperator>,
    /// Its operands.
    pub operands: Vec<Operand>,
}

/// A where clause that has been checked.
#[derive(Clone, Debug, Default)]
pub struct WhereClause {
    elements: Vec<Element>,
}

impl FieldPath {
    /// Reads a simple attribute operand.
    pub fn read(reader: &mut Reader<'_>) -> Result<FieldPath, StatusCode> {
        let of_type = reader.plain()?;
        let path = reader.array(Reader::plain)?;
        let attribute = reader.plain()?;
        let range = reader.text()?;
        let range = range.parse().map_err(|_| StatusCode::BadIndexRangeInvalid);
        Ok(FieldPath { of_type, path, attribute, range })
    }

    /// Whether events of the type can have the field (Part 4 §7.22.3).
    pub fn check(&self, types: &TypeTree) -> StatusCode {
        if types.class(&self.of_type) != Some(NodeClass::ObjectType) {
            return StatusCode::BadTypeDefinitionInvalid;
        }
        let is_condition_id = self.path.is_empty() && self.attribute == AttributeId::NodeId as u32;
        if self.attribute != AttributeId::Value as u32 && !is_condition_id {
            return StatusCode::BadAttributeIdInvalid;
        }
        if let Err(status) = self.range {
            return status;
        }
        if types.has_path(&self.of_type, &self.path) {
            StatusCode::Good
        } else {
            StatusCode::BadNodeIdUnknown
        }
    }

    /// The field of an event; `Empty` where it has none.
    pub fn of(&self, event: &Event, types: &TypeTree) -> Variant {
        let attribute = match self.attribute {
            1 => AttributeId::NodeId,
            13 => AttributeId::Value,
            _ => return Variant::Empty,
        };
        let Some(value) = event.field(types, &self.of_type, &self.path, attribute) else {
            return Variant::Empty;
        };
        match &self.range {
            Ok(NumericRange::None) => value,
            Ok(range) => value.range_of(range).unwrap_or_default(),
            Err(_) => Variant::Empty,
        }
    }
}

/// Reads the elements of a content filter.
pub fn read_elements(reader: &mut Reader<'_>) -> Result<Vec<Element>, StatusCode> {
    reader.array(|reader| {
        let operator = FilterOperator::try_from(reader.plain::<i32>()?).ok();
        let operands = reader.array(|reader| {
            let object = reader.extension_object()?;
            let Some((encoding, body)) = raw_body(&object) else {
                return Ok(Operand::Invalid);
            };
            let id = encoding.as_u32().filter(|_| encoding.namespace == 0);
            let mut inner = reader.inside(body);
            Ok(match id {
                Some(encoding::ELEMENT) => match inner.plain::<u32>() {
                    Ok(index) => Operand::Element(index as usize),
                    Err(_) => Operand::Invalid,
                },
                Some(encoding::LITERAL) => {
                    // A value that nests too deep is refused with the whole message.
                    let value = inner.variant();
                    reader.spend(&inner);
                    Operand::Literal(value?)
                }
                Some(encoding::SIMPLE_ATTRIBUTE) => match FieldPath::read(&mut inner) {
                    Ok(field) => Operand::Field(field),
                    Err(_) => Operand::Invalid,
                },
                Some(encoding::ATTRIBUTE) => Operand::Unsupported,
                _ => Operand::Invalid,
            })
        })?;
        Ok(Element { operator, operands })
    })
}

/// How many operands an operator has.
fn arity(operator: FilterOperator) -> (usize, usize) {
    use FilterOperator as F;
    match operator {
        F::IsNull | F::Not | F::OfType | F::InView => (1, 1),
        F::Between => (3, 3),
        F::InList => (2, OPERANDS_MAX),
        F::RelatedTo => (3, 6),
        _ => (2, 2),
    }
}

impl WhereClause {
    /// Checks a clause. The result says of each element and operand what is wrong.
    pub fn new(
        elements: Vec<Element>,
        types: &TypeTree,
    ) -> (Result<WhereClause, StatusCode>, ContentFilterResult) {
        let count = elements.len();
        let results: Vec<_> = elements
            .iter()
            .enumerate()
            .map(|(index, element)| check_element(element, index, count, types))
            .collect();
        let is_good = results.iter().all(|result| result.status_code.is_good());
        let result = ContentFilterResult {
            element_results: (count > 0).then_some(results),
            element_diagnostic_infos: None,
        };
        let clause = if is_good {
            Ok(WhereClause { elements })
        } else {
            Err(StatusCode::BadEventFilterInvalid)
        };
        (clause, result)
    }

    /// Whether an event is wanted; an empty clause wants all.
    pub fn wants(&self, event: &Event, types: &TypeTree) -> bool {
        if self.elements.is_empty() {
            return true;
        }
        // Operands refer to later elements only, so the results are made from the last to the first.
        let mut results = vec![Variant::Empty; self.elements.len()];
        for index in (0..self.elements.len()).rev() {
            let element = &self.elements[index];
            let sight = Sight { event, types, results: &results };
            let result = sight.evaluate(element).unwrap_or_default();
            results[index] = result;
        }
        results[0] == Variant::Boolean(true)
    }
}

fn check_element(
    element: &Element,
    index: usize,
    count: usize,
    types: &TypeTree,
) -> ContentFilterElementResult {
    let operands: Vec<_> = element
        .operands
        .iter()
        .map(|operand| check_operand(operand, index, count, types))
        .collect();
    let status = match element.operator {
        None => StatusCode::BadFilterOperatorInvalid,
        Some(FilterOperator::InView | FilterOperator::RelatedTo) => {
            StatusCode::BadFilterOperatorUnsupported
        }
        Some(operator) => {
            let (min, max) = arity(operator);
            if !(min..=max).contains(&operands.len()) {
                StatusCode::BadFilterOperandCountMismatch
            } else if operands.iter().any(StatusCode::is_bad) {
                StatusCode::BadFilterOperandInvalid
            } else if let Some(status) = check_meaning(operator, &element.operands, types) {
                status
            } else {
                StatusCode::Good
            }
        }
    };
    ContentFilterElementResult {
        status_code: status,
        operand_status_codes: (!operands.is_empty()).then_some(operands),
        operand_diagnostic_infos: None,
    }
}

fn check_operand(operand: &Operand, index: usize, count: usize, types: &TypeTree) -> StatusCode {
    match operand {
        Operand::Element(other) if *other > index && *other < count => StatusCode::Good,
        Operand::Element(_) => StatusCode::BadFilterElementInvalid,
        Operand::Literal(_) => StatusCode::Good,
        // A field that no such event has is null; the clause stays valid (Part 4 §7.22.3).
        Operand::Field(field) => match field.check(types) {
            StatusCode::BadNodeIdUnknown => StatusCode::Good,
            status => status,
        },
        Operand::Unsupported => StatusCode::BadFilterOperandInvalid,
        Operand::Invalid => StatusCode::BadFilterOperandInvalid,
    }
}

/// What an operator wants of a literal.
fn check_meaning(
    operator: FilterOperator,
    operands: &[Operand],
    types: &TypeTree,
) -> Option<StatusCode> {
    let literal = |index: usize| match operands.get(index) {
        Some(Operand::Literal(value)) => Some(value),
        _ => None,
    };
    match operator {
        FilterOperator::OfType => {
            let id = literal(0).and_then(node_id);
            let is_type = id.is_some_and(|id| types.class(&id) == Some(NodeClass::ObjectType));
            (!is_type).then_some(StatusCode::BadFilterOperandInvalid)
        }
        FilterOperator::Like => {
            let pattern = literal(1).and_then(text)?;
            is_like("", &pattern).is_none().then_some(StatusCode::BadFilterOperandInvalid)
        }
        FilterOperator::Cast => {
            let known = literal(1).is_none_or(|value| cast_target(value).is_some());
            (!known).then_some(StatusCode::BadFilterOperandInvalid)
        }
        _ => None,
    }
}

fn node_id(value: &Variant) -> Option<NodeId> {
    match value {
        Variant::NodeId(id) => Some((**id).clone()),
        Variant::ExpandedNodeId(id) if id.server_index == 0 => Some(id.node_id.clone()),
        _ => None,
    }
}

fn cast_target(value: &Variant) -> Option<VariantTypeId<'static>> {
    VariantTypeId::try_from(&node_id(value)?).ok()
}

/// An event with the results of later elements.
struct Sight<'a> {
    event: &'a Event,
    types: &'a TypeTree,
    results: &'a [Variant],
}

impl Sight<'_> {
    fn value(&self, operand: Option<&Operand>) -> Variant {
        match operand {
            Some(Operand::Element(index)) => self.results.get(*index).cloned().unwrap_or_default(),
            Some(Operand::Literal(value)) => value.clone(),
            Some(Operand::Field(field)) => field.of(self.event, self.types),
            _ => Variant::Empty,
        }
    }

    /// The result of an element; `None` where it is not known.
    fn evaluate(&self, element: &Element) -> Option<Variant> {
        use FilterOperator as F;
        let operand = |index: usize| self.value(element.operands.get(index));
        let compared = |wanted: fn(Ordering) -> bool| {
            order(&operand(0), &operand(1)).map(|found| Variant::Boolean(wanted(found)))
        };
        match element.operator? {
            F::Equals => equal(&operand(0), &operand(1)).map(Variant::Boolean),
            F::IsNull => Some(Variant::Boolean(is_null(&operand(0)))),
            F::GreaterThan => compared(Ordering::is_gt),
            F::LessThan => compared(Ordering::is_lt),
            F::GreaterThanOrEqual => compared(Ordering::is_ge),
            F::LessThanOrEqual => compared(Ordering::is_le),
            F::Like => {
                let (value, pattern) = (text(&operand(0))?, text(&operand(1))?);
                is_like(&value, &pattern).map(Variant::Boolean)
            }
            F::Not => truth(&operand(0)).map(|truth| Variant::Boolean(!truth)),
            F::Between => {
                let value = operand(0);
                let above = order(&value, &operand(1))?.is_ge();
                Some(Variant::Boolean(above && order(&value, &operand(2))?.is_le()))
            }
            F::InList => {
                let value = operand(0);
                let listed = |item: &Operand| equal(&value, &self.value(Some(item))) == Some(true);
                Some(Variant::Boolean(element.operands.iter().skip(1).any(listed)))
            }
            F::And => both(truth(&operand(0)), truth(&operand(1)), false).map(Variant::Boolean),
            F::Or => both(truth(&operand(0)), truth(&operand(1)), true).map(Variant::Boolean),
            F::Cast => {
                let cast = operand(0).cast(cast_target(&operand(1))?);
                (!matches!(cast, Variant::Empty)).then_some(cast)
            }
            F::OfType => {
                let wanted = node_id(&operand(0))?;
                Some(Variant::Boolean(self.types.is_a(&self.event.event_type, &wanted)))
            }
            F::BitwiseAnd => bits(&operand(0), &operand(1), |a, b| a & b),
            F::BitwiseOr => bits(&operand(0), &operand(1), |a, b| a | b),
            F::InView | F::RelatedTo => None,
        }
    }
}

/// And and Or over three truths (Part 4 Table 124, 125): `decisive` decides alone.
fn both(a: Option<bool>, b: Option<bool>, decisive: bool) -> Option<bool> {
    match (a, b) {
        (Some(truth), _) | (_, Some(truth)) if truth == decisive => Some(decisive),
        (Some(_), Some(_)) => Some(!decisive),
        _ => None,
    }
}

fn is_null(value: &Variant) -> bool {
    match value {
        Variant::Empty => true,
        Variant::String(text) => text.is_null(),
        Variant::ByteString(bytes) => bytes.is_null(),
        Variant::NodeId(id) => id.is_null(),
        Variant::DateTime(time) => time.is_null(),
        Variant::ExtensionObject(object) => object.is_null(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{DateTime, ObjectTypeId, UAString};

    use super::*;

    fn types() -> TypeTree {
        use ObjectTypeId::{AuditEventType, BaseEventType, SystemEventType};
        let mut tree = TypeTree::default();
        tree.add(BaseEventType.into(), NodeClass::ObjectType, None);
        tree.add(SystemEventType.into(), NodeClass::ObjectType, Some(BaseEventType.into()));
        tree.add(AuditEventType.into(), NodeClass::ObjectType, Some(BaseEventType.into()));
        tree
    }

    fn event() -> Event {
        let source = (NodeId::new(2, "machine/M1"), "M1");
        Event::new(ObjectTypeId::SystemEventType, source, DateTime::from(1000), 600, "it broke")
            .with("Flags", 6_u16)
    }

    fn field(name: &str) -> Operand {
        Operand::Field(FieldPath {
            of_type: ObjectTypeId::BaseEventType.into(),
            path: vec![QualifiedName::new(0, name)],
            attribute: 13,
            range: Ok(NumericRange::None),
        })
    }

    fn literal(value: impl Into<Variant>) -> Operand {
        Operand::Literal(value.into())
    }

    fn wants(elements: Vec<(FilterOperator, Vec<Operand>)>) -> bool {
        let elements = elements.into_iter();
        let elements = elements.map(|(o, operands)| Element { operator: Some(o), operands });
        let (clause, result) = WhereClause::new(elements.collect(), &types());
        clause.unwrap_or_else(|_| panic!("{result:?}")).wants(&event(), &types())
    }

    fn one(operator: FilterOperator, operands: Vec<Operand>) -> bool {
        wants(vec![(operator, operands)])
    }

    #[test]
    fn every_operator_matches_fields_of_every_kind() {
        use FilterOperator as F;
        let type_id = NodeId::from(ObjectTypeId::SystemEventType);
        let base = NodeId::from(ObjectTypeId::BaseEventType);
        let audit = NodeId::from(ObjectTypeId::AuditEventType);
        assert!(one(F::Equals, vec![field("SourceName"), literal("M1")]));
        assert!(!one(F::Equals, vec![field("SourceName"), literal("M2")]));
        assert!(one(F::Equals, vec![field("EventType"), literal(type_id.clone())]));
        assert!(one(F::Equals, vec![field("SourceNode"), literal(NodeId::new(2, "machine/M1"))]));
        assert!(one(F::LessThan, vec![field("Time"), literal(DateTime::from(1001))]));
        assert!(one(F::GreaterThan, vec![field("Severity"), literal(500_i32)]));
        assert!(one(F::GreaterThanOrEqual, vec![field("Severity"), literal(600_u16)]));
        assert!(!one(F::LessThanOrEqual, vec![field("Severity"), literal(599.5_f64)]));
        assert!(one(F::Between, vec![field("Severity"), literal(600_u16), literal(700_u16)]));
        assert!(one(F::Like, vec![field("Message"), literal("%bro_e")]));
        let listed = vec![field("EventType"), literal(audit.clone()), literal(type_id)];
        assert!(one(F::InList, listed));
        assert!(!one(F::InList, vec![field("Severity"), literal(1_u16), literal(2_u16)]));
        assert!(one(F::OfType, vec![literal(base)]) && !one(F::OfType, vec![literal(audit)]));
        assert!(one(F::IsNull, vec![field("NoSuchField")]));
        assert!(!one(F::IsNull, vec![field("Message")]));
        assert!(one(F::Not, vec![literal(false)]));
    }

    #[test]
    fn elements_combine_through_their_operands() {
        use FilterOperator as F;
        let bits = |mask: u16| {
            wants(vec![
                (F::Equals, vec![Operand::Element(1), literal(2_u16)]),
                (F::BitwiseAnd, vec![field("Flags"), literal(mask)]),
            ])
        };
        assert!(bits(3) && !bits(4));
        let cast = vec![
            (F::Equals, vec![Operand::Element(1), literal(UAString::from("600"))]),
            (F::Cast, vec![field("Severity"), literal(NodeId::new(0, 12_u32))]),
        ];
        assert!(wants(cast));
        for (operator, wanted) in [(F::And, false), (F::Or, true)] {
            let combined = wants(vec![
                (operator, vec![Operand::Element(1), Operand::Element(2)]),
                (F::GreaterThan, vec![field("Severity"), literal(500_u16)]),
                (F::Equals, vec![field("SourceName"), literal("M2")]),
            ]);
            assert_eq!(combined, wanted, "{operator:?}");
        }
        // What is not known is neither true nor false, but or and and may decide without it.
        let unknown = || Operand::Element(1);
        let element = || (F::Equals, vec![field("NoSuchField"), literal(1_u16)]);
        assert!(wants(vec![(F::Or, vec![unknown(), literal(true)]), element()]));
        assert!(!wants(vec![(F::And, vec![unknown(), literal(true)]), element()]));
        assert!(!wants(vec![(F::Not, vec![unknown()]), element()]));
    }

    #[test]
    fn clauses_that_make_no_sense_are_refused_where_it_is_wrong() {
        use FilterOperator as F;
        let check = |elements: Vec<Element>| {
            let (clause, result) = WhereClause::new(elements, &types());
            assert_eq!(clause.err(), Some(StatusCode::BadEventFilterInvalid));
            result.element_results.unwrap()[0].status_code
        };
        let single = |operator, operands| vec![Element { operator: Some(operator), operands }];
        for (elements, wanted) in [
            (single(F::Equals, vec![literal(1)]), StatusCode::BadFilterOperandCountMismatch),
            (single(F::Not, vec![Operand::Element(0)]), StatusCode::BadFilterOperandInvalid),
            (single(F::Not, vec![Operand::Element(7)]), StatusCode::BadFilterOperandInvalid),
            (single(F::Not, vec![Operand::Invalid]), StatusCode::BadFilterOperandInvalid),
            (single(F::OfType, vec![literal(5)]), StatusCode::BadFilterOperandInvalid),
            (
                single(F::Like, vec![literal("a"), literal("[a")]),
                StatusCode::BadFilterOperandInvalid,
            ),
            (single(F::InView, vec![literal(1)]), StatusCode::BadFilterOperatorUnsupported),
            (
                vec![Element { operator: None, operands: vec![] }],
                StatusCode::BadFilterOperatorInvalid,
            ),
        ] {
            assert_eq!(check(elements.clone()), wanted, "{elements:?}");
        }
    }
}
