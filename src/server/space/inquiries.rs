//! Methods that ask and change nothing: what is behind a figure, and where a lot comes from and has gone.
//!
//! Answers come in pages. What the next page is asked for with is text that means something only here.

use opcua::types::{Argument, StatusCode, Variant};

use super::CallOutcome;
use super::figures::exact;
use super::methods::{Arguments, MethodId, check};
use super::source::Subject;
use super::structures::{Encoder, Evidence, LotOperationStructure};
use crate::app::query::{Queries, QueryError};
use crate::app::trace::{Direction, Trail};
use crate::app::view::KpiWindow;
use crate::app::why::{Answer, Place, Question};
use crate::domain::id::LotId;
use crate::domain::oee::figure::Figure;
use crate::domain::time::Timestamp;

/// Rows of one page at most, and where none is said.
const PAGE_MAX: usize = 1000;

/// Asks.
pub struct Inquiry<'a> {
    /// Who answers.
    pub queries: &'a Queries,
    /// How our structures are written.
    pub encoder: &'a Encoder,
}

/// Why there is no answer: a stable code, and why in words with the next step.
struct Refusal(&'static str, String);

type Asked<T> = Result<T, Refusal>;

fn invalid(text: String) -> Refusal {
    Refusal("mes.request.invalid", text)
}

fn refused(error: QueryError, step: &str) -> Refusal {
    match error {
        QueryError::NotFound(text) => Refusal("mes.not_found", format!("{text}; {step}")),
        QueryError::Unavailable(text) => Refusal("mes.unavailable", text),
    }
}

fn size(wanted: u32) -> usize {
    match usize::try_from(wanted).unwrap_or(PAGE_MAX) {
        0 => PAGE_MAX,
        wanted => wanted.min(PAGE_MAX),
    }
}

impl Inquiry<'_> {
    /// Calls one of the methods.
    pub async fn call(
        &self,
        (method, inputs): (MethodId, &[Argument]),
        subject: &Subject,
        arguments: &[Variant],
    ) -> CallOutcome {
        if let Err((status, arguments)) = check(inputs, arguments) {
            return CallOutcome { status, arguments, ..CallOutcome::default() };
        }
        let arguments = Arguments(arguments);
        // What a refused call gives in the places of the answer.
        let (answer, nothing) = match method {
            MethodId::Why(window) => {
                let nothing = vec![
                    Variant::from(""),
                    Variant::Double(0.0),
                    Variant::Double(0.0),
                    Variant::from(Vec::<String>::new()),
                    self.encoder.array::<Evidence>(&[]),
                    Variant::from(""),
                ];
                (self.why(subject, window, &arguments).await, nothing)
            }
            MethodId::Trace(direction) => {
                let nothing =
                    vec![self.encoder.array::<LotOperationStructure>(&[]), Variant::from("")];
                (self.trace(direction, &arguments).await, nothing)
            }
            _ => return CallOutcome { status: StatusCode::BadMethodInvalid, ..Default::default() },
        };
        let (status, mut outputs, code, message) = match answer {
            Ok(outputs) => (StatusCode::Good, outputs, "ok", String::new()),
            Err(Refusal(code, text)) => (StatusCode::Uncertain, nothing, code, text),
        };
        outputs.extend([Variant::from(code), Variant::from(message)]);
        CallOutcome { status, outputs, ..CallOutcome::default() }
    }

    async fn why(
        &self,
        subject: &Subject,
        window: KpiWindow,
        arguments: &Arguments<'_>,
    ) -> Asked<Vec<Variant>> {
        let equipment =
            subject.equipment().ok_or_else(|| invalid("the object has no figures".into()))?;
        let name = arguments.text(0);
        let known = || {
            let known = Figure::ALL.map(Figure::as_str).join(", ");
            invalid(format!("there is no figure {name:?}; ask for one of {known}, or for none"))
        };
        let figure = match name.as_str() {
            "" => None,
            name => Some(Figure::parse(name).ok_or_else(known)?),
        };
        let after = match arguments.text(2).as_str() {
            "" => None,
            text => Some(place(text).ok_or_else(|| lost_place(text))?),
        };
        let limit = size(arguments.count(1));
        let question = Question { equipment, window, figure, after, limit };
        let found = self.queries.why(&question).await;
        let found = found.map_err(|error| refused(error, "ask again"))?;
        let none = || {
            let text = "there is no such window now: no order runs, no shift was before, or another \
                        one has begun since the page before; ask for the first page";
            Refusal("mes.window.none", text.to_owned())
        };
        let Answer { kpi, rules, rows, next } = found.ok_or_else(none)?;
        let part = |of: Option<Variant>| of.unwrap_or(Variant::Double(0.0));
        let rows: Vec<Evidence> = rows.iter().map(Evidence::from).collect();
        let next = next.map(|next| format!("{};{};{}", next.at.ticks(), next.units, next.rows));
        Ok(vec![
            Variant::from(figure.map_or("", Figure::formula)),
            part(figure.and_then(|figure| exact(figure.numerator(&kpi)))),
            part(figure.and_then(|figure| exact(figure.denominator(&kpi)))),
            Variant::from(rules),
            self.encoder.array(&rows),
            Variant::from(next.unwrap_or_default()),
        ])
    }

    async fn trace(&self, direction: Direction, arguments: &Arguments<'_>) -> Asked<Vec<Variant>> {
        let text = arguments.text(0);
        let lot = LotId::parse(&text).map_err(|why| invalid(format!("lot {text:?} {why}")))?;
        let depth = Some(arguments.count(1)).filter(|depth| *depth > 0);
        let skip = match arguments.text(3).as_str() {
            "" => 0,
            text => text.parse().map_err(|_| lost_place(text))?,
        };
        let limit = size(arguments.count(2));
        let trail = Trail { lot, direction, depth, skip, limit };
        let page = self.queries.trail(trail).await;
        let page = page.map_err(|error| refused(error, "check the number of the lot"))?;
        let operations = page.operations.iter();
        let operations: Vec<LotOperationStructure> = operations
            .map(|(depth, operation)| LotOperationStructure::new(*depth, operation))
            .collect();
        let next =
            if page.has_more { (skip + operations.len()).to_string() } else { String::new() };
        Ok(vec![self.encoder.array(&operations), Variant::from(next)])
    }
}

fn lost_place(text: &str) -> Refusal {
    invalid(format!("no page begins at {text:?}; give what the page before gave, or nothing"))
}

/// Where a page of evidence begins.
fn place(text: &str) -> Option<Place> {
    let mut parts = text.split(';');
    let at = Timestamp::from_ticks(parts.next()?.parse().ok()?);
    let (units, rows) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(Place { at, units, rows })
}
