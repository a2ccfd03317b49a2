//! Calling a method of a machine when something has happened to an order. Its arguments are made as the machine
//! declares them (Part 3 §8.6): what the configuration says is put in, arrays without anything are empty, as
//! PackML machines want it, and a method that needs more is not called.

use std::time::Duration;

use opcua::types::{
    Argument, AttributeId, NodeId, ObjectId, ReadValueId, SubStatusCode as Code,
    TimestampsToReturn, Variant,
};

use super::WrittenValue;
use super::writing::converted;
use crate::channel::decode::{Reader, raw_body};
use crate::domain::transfer::TransferMoment;
use crate::machine::client::{Failure, FailureKind, Session};
use crate::machine::spot::{Finder, Name, Place, Start};
use crate::machine::structure::{Layouts, Step};

/// Arguments of a method.
const ARGUMENTS_MAX: usize = 100;

/// A method that is called.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// When.
    pub moment: TransferMoment,
    /// Where it is.
    pub method: Place,
    /// What of the order its arguments are: the name of an argument and the steps into it, and what is put there.
    pub arguments: Vec<(Vec<Step>, WrittenValue)>,
}

/// A method as it is found at the machine, with what it is called with.
pub struct Ready {
    object: NodeId,
    method: NodeId,
    inputs: Vec<Variant>,
}

impl Call {
    /// The object that has the method.
    pub fn object(&self) -> Option<Place> {
        match &self.method.start {
            Start::Path(names) if names.len() > 1 => {
                let start = Start::Path(names[..names.len() - 1].to_vec());
                Some(Place { start, field: Vec::new() })
            }
            _ => None,
        }
    }

    /// The name of the method.
    pub fn name(&self) -> &str {
        match &self.method.start {
            Start::Path(names) => names.last().map_or("", |Name { name, .. }| name),
            Start::Node(node) => &node.identifier,
        }
    }

    /// Looks whether it can be called with these texts for its arguments, in their order; why not. Nothing is
    /// called yet.
    pub async fn prepare(
        &self,
        session: &Session,
        texts: &[String],
        finder: &mut Finder<'_>,
    ) -> Result<Result<Ready, String>, Failure> {
        let Some(object) = self.object() else {
            return Ok(Err("a method is named by the path to it".into()));
        };
        let (object, method) = match (finder.node(&object).await?, finder.node(&self.method).await?)
        {
            (Ok(object), Ok(method)) => (object, method),
            (Err((_, why)), _) | (_, Err((_, why))) => return Ok(Err(why)),
        };
        let declared = declared(session, &method, finder).await?;
        let mut layouts = Layouts::default();
        for argument in &declared {
            layouts.learn(session, &argument.data_type).await?;
        }
        let inputs = self.inputs(&declared, texts, &layouts, session);
        let inputs = inputs.map_err(|why| format!("{}: {why}", self.name()));
        Ok(inputs.map(|inputs| Ready { object, method, inputs }))
    }

    fn inputs(
        &self,
        declared: &[Argument],
        texts: &[String],
        layouts: &Layouts,
        session: &Session,
    ) -> Result<Vec<Variant>, String> {
        let is_named = |argument: &Argument, steps: &[Step]| matches!(steps.first(), Some(Step::Field(name)) if argument.name.as_ref() == name);
        for (steps, _) in &self.arguments {
            if !declared.iter().any(|argument| is_named(argument, steps)) {
                let names: Vec<_> = declared.iter().map(|a| a.name.as_ref()).collect();
                let names = if names.is_empty() { "none".into() } else { names.join(", ") };
                return Err(format!("it has no argument {:?}; it has {names}", steps.first()));
            }
        }
        let owned = session.context();
        let context = owned.context();
        let input = |argument: &Argument| {
            let puts = self.arguments.iter().zip(texts);
            let puts = puts.filter(|((steps, _), _)| is_named(argument, steps));
            let puts: Vec<_> =
                puts.map(|((steps, _), text)| (&steps[1..], text.as_str())).collect();
            let made = match argument.value_rank {
                -1 | 1 => {
                    let is_array = argument.value_rank == 1;
                    layouts.make(&argument.data_type, is_array, &puts, converted, &context)
                }
                rank => Err(format!("arguments of value rank {rank} cannot be made")),
            };
            made.map_err(|why| format!("argument {}: {why}", argument.name))
        };
        declared.iter().map(input).collect()
    }

    /// Calls it; why the machine does not do it. After a failure it is not known whether it has done it.
    pub async fn call(
        &self,
        ready: Ready,
        session: &Session,
        patience: Duration,
    ) -> Result<Result<(), String>, Failure> {
        let called = session.call(ready.object, ready.method, ready.inputs, patience).await;
        let status = match called {
            Ok(called) => called.status,
            Err(Failure { kind: FailureKind::Refused, status, .. }) => status,
            Err(failure) => return Err(failure),
        };
        match status.sub_code() {
            // What stands behind the machine's server has not answered it.
            Code::BadTimeout | Code::BadRequestTimeout => {
                Err(Failure::silent(status.sub_code().description()))
            }
            why if status.is_bad() => {
                Ok(Err(format!("the machine refuses {}: {}", self.name(), why.description())))
            }
            _ => Ok(Ok(())),
        }
    }
}

/// What a method says that it is called with.
async fn declared(
    session: &Session,
    method: &NodeId,
    finder: &mut Finder<'_>,
) -> Result<Vec<Argument>, Failure> {
    let Some(property) = finder.child(method, None, "InputArguments").await? else {
        return Ok(Vec::new());
    };
    let question = ReadValueId {
        node_id: property,
        attribute_id: AttributeId::Value as u32,
        ..ReadValueId::default()
    };
    let said = session.read(&[question], TimestampsToReturn::Neither).await?;
    let Some(Variant::Array(array)) = said.into_iter().next().and_then(|said| said.value) else {
        return Ok(Vec::new());
    };
    let owned = session.context();
    let context = owned.context();
    let mut arguments = Vec::new();
    for value in array.values.iter().take(ARGUMENTS_MAX) {
        let Variant::ExtensionObject(object) = value else { continue };
        let Some((id, body)) = raw_body(object) else { continue };
        if id == ObjectId::Argument_Encoding_DefaultBinary {
            let read = Reader::new(body, &context).plain::<Argument>();
            let what = "the arguments of a method cannot be read";
            arguments.push(read.map_err(|status| Failure::malformed(status, what))?);
        }
    }
    Ok(arguments)
}
