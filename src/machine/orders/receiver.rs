//! A machine that takes job orders (ISA-95 Job Control, OPC 10031-4): its methods and its list.

use std::time::Duration;

use opcua::types::{
    AttributeId, NodeId, ReadValueId, TimestampsToReturn, UAString, Variant, VariantScalarTypeId,
};

use super::Transfer;
use super::job::Step;
use crate::channel::job_order::{JobOrder, JobOrderAndState, Material, Parameter, WorkMaster};
use crate::channel::structure::Structure as _;
use crate::channel::time::date_time;
use crate::domain::order::{JobState, Order};
use crate::domain::transfer::TransferMoment as Moment;
use crate::machine::client::{Failure, Session};
use crate::machine::spot::Finder;

/// URI of the specification.
const JOB_CONTROL: &str = "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/";
/// What is said of material that is to be made.
const PRODUCED: &str = "Material Produced";

/// A machine's receiver.
pub struct Receiver<'a> {
    session: &'a Session,
    object: NodeId,
    /// Index of the specification's namespace at the machine.
    namespace: u16,
    patience: Duration,
}

impl<'a> Receiver<'a> {
    /// The receiver that is an object of a machine with these namespaces; none where the machine does not have
    /// the specification.
    pub fn new(
        session: &'a Session,
        object: NodeId,
        namespaces: &[String],
        patience: Duration,
    ) -> Option<Receiver<'a>> {
        let index = namespaces.iter().position(|uri| uri == JOB_CONTROL)?;
        let namespace = u16::try_from(index).ok()?;
        Some(Receiver { session, object, namespace, patience })
    }

    /// Tells what has happened to an order; why the machine does not take it.
    pub async fn tell(
        &self,
        step: &Step,
        transfer: &Transfer,
        finder: &mut Finder<'_>,
    ) -> Result<Result<(), String>, Failure> {
        let order = &step.order;
        let id = Variant::from(order.request.id.as_str());
        let known = self.state_of(order.request.id.as_str(), finder).await?;
        let known = known.as_deref();
        let method = match step.moment {
            // It may have been told before we were cut off.
            Moment::Start if known == Some("Running") => return Ok(Ok(())),
            Moment::Start if known == Some("Interrupted") => "Resume",
            Moment::Start if matches!(known, Some("AllowedToStart" | "NotAllowedToStart")) => {
                "Start"
            }
            Moment::Start => {
                let object = self.job_order(order, transfer);
                let context = self.session.context().context();
                let Ok(object) = object.object(self.namespace, &context) else {
                    return Ok(Err("the order cannot be written as a job order".into()));
                };
                return self.call("StoreAndStart", Variant::ExtensionObject(object), finder).await;
            }
            Moment::Pause if known == Some("Interrupted") => return Ok(Ok(())),
            Moment::Pause => "Pause",
            Moment::Resume if known == Some("Running") => return Ok(Ok(())),
            Moment::Resume => "Resume",
            Moment::End if matches!(known, None | Some("Ended" | "Aborted")) => return Ok(Ok(())),
            Moment::End if order.state == JobState::Aborted => "Abort",
            Moment::End => "Stop",
        };
        self.call(method, id, finder).await
    }

    fn job_order(&self, order: &Order, transfer: &Transfer) -> JobOrder {
        let request = &order.request;
        let text = |text: &str| UAString::from(text);
        let recipe = transfer.recipe(order).into_iter().flatten();
        let parameters: Vec<Parameter> = recipe
            .map(|(name, value)| Parameter {
                id: text(name),
                value: plain(value),
                ..Parameter::default()
            })
            .collect();
        let quantity = request.quantity.to_string();
        let planned = Parameter {
            id: text("PlannedOrderQuantity"),
            value: quantity.parse::<f64>().map_or(Variant::Empty, Variant::Double),
            ..Parameter::default()
        };
        let work_master = WorkMaster {
            id: text(request.product.as_str()),
            parameters: (!parameters.is_empty()).then(|| parameters.clone()),
            ..WorkMaster::default()
        };
        let material = Material {
            definition_id: Some(text(request.product.as_str())),
            lot_id: Some(text(order.lot().as_str())),
            use_of: Some(text(PRODUCED)),
            quantity: Some(text(&quantity)),
            ..Material::default()
        };
        JobOrder {
            id: text(request.id.as_str()),
            work_masters: Some(vec![work_master]),
            end_time: request.due.map(date_time),
            priority: Some(request.priority),
            parameters: Some(std::iter::once(planned).chain(parameters).collect()),
            materials: Some(vec![material]),
            ..JobOrder::default()
        }
    }

    /// The state in which the machine has an order; none where it does not have it, or does not say so.
    async fn state_of(
        &self,
        order: &str,
        finder: &mut Finder<'_>,
    ) -> Result<Option<String>, Failure> {
        let Some(list) = finder.child(&self.object, None, "JobOrderList").await? else {
            return Ok(None);
        };
        let question = ReadValueId {
            node_id: list,
            attribute_id: AttributeId::Value as u32,
            ..ReadValueId::default()
        };
        let said = self.session.read(&[question], TimestampsToReturn::Neither).await?;
        let Some(Variant::Array(array)) = said.into_iter().next().and_then(|said| said.value)
        else {
            return Ok(None);
        };
        let context = self.session.context().context();
        let jobs = array.values.iter().filter_map(|value| match value {
            Variant::ExtensionObject(object) => {
                JobOrderAndState::of_object(object, self.namespace, &context).ok()
            }
            _ => None,
        });
        let mut jobs = jobs.filter(|job| job.job_order.id.as_ref() == order);
        let state = jobs.next().and_then(|job| job.state.into_iter().next());
        Ok(state.map(|state| match state.state_text.text.as_ref() {
            "" => name_of(state.state_number).to_owned(),
            text => text.to_owned(),
        }))
    }

    async fn call(
        &self,
        name: &str,
        argument: Variant,
        finder: &mut Finder<'_>,
    ) -> Result<Result<(), String>, Failure> {
        let Some(method) = finder.child(&self.object, None, name).await? else {
            return Ok(Err(format!("the machine's receiver has no method {name}")));
        };
        let comment = Variant::from((VariantScalarTypeId::LocalizedText, Vec::<Variant>::new()));
        let inputs = vec![argument, comment];
        let called = self.session.call(self.object.clone(), method, inputs, self.patience).await?;
        if called.status.is_bad() {
            let why = called.status.sub_code().description();
            return Ok(Err(format!("the machine refuses {name}: {why}")));
        }
        let returned = match called.outputs.first() {
            Some(Variant::UInt64(returned)) => *returned,
            _ => 0,
        };
        Ok(match (called.status.is_uncertain(), returned) {
            // Some machines count no error as bit 0, others as the number 0 (OPC 10031-4 Annex B.2).
            (false, 0 | 1) => Ok(()),
            (_, returned) => Err(format!("the machine refuses {name}: {}", reasons(returned))),
        })
    }
}

/// States by their numbers (OPC 10031-4 §6.2.1).
fn name_of(number: u32) -> &'static str {
    match number {
        1 => "NotAllowedToStart",
        2 => "AllowedToStart",
        3 => "Running",
        4 => "Interrupted",
        5 => "Ended",
        6 => "Aborted",
        _ => "",
    }
}

/// What a returned status says, in words for people (Annex B.2).
fn reasons(returned: u64) -> String {
    const BITS: [(u64, &str); 5] = [
        (1 << 1, "it does not know the order"),
        (1 << 2, "it does not know the command"),
        (1 << 3, "the order is in a state in which that cannot be"),
        (1 << 4, "it is not able to accept it"),
        (1 << 32, "the request is invalid"),
    ];
    let said = BITS.iter().filter(|(bit, _)| returned & bit != 0).map(|(_, text)| *text);
    let said: Vec<_> = said.collect();
    if said.is_empty() { format!("it returns {returned}") } else { said.join(", ") }
}

/// A parameter of a recipe as what it looks like.
fn plain(text: &str) -> Variant {
    match text {
        "true" => Variant::Boolean(true),
        "false" => Variant::Boolean(false),
        text => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Variant::Double(number),
            _ => Variant::from(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_returns_is_told_in_words() {
        assert_eq!(reasons(1 << 4 | 1), "it is not able to accept it");
        assert_eq!(
            reasons(2 | 8),
            "it does not know the order, the order is in a state in which that cannot be"
        );
        assert_eq!(reasons(0), "it returns 0");
    }

    #[test]
    fn parameters_are_what_they_look_like() {
        assert_eq!(plain("180"), Variant::Double(180.0));
        assert_eq!(plain("true"), Variant::Boolean(true));
        assert_eq!(plain("inf"), Variant::from("inf"));
        assert_eq!(plain("PET"), Variant::from("PET"));
    }
}
