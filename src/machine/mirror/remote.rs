//! A machine as those who look at its mirror ask it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opcua::types::{
    AttributeId, DataValue, MethodId, NodeId, NumericRange, ReadValueId, StatusCode,
    TimestampsToReturn, Variant, WriteValue,
};

use super::mapping::{Mapping, To};
use super::watch::received;
use crate::app::clock::Clock;
use crate::domain::id::MachineId;
use crate::machine::client::{Failure, FailureKind, Session};
use crate::mirror::{Called, HistoryRead, HistorySlice, Remote, event_id_there, without_value};

/// A machine while it can be reached.
pub struct ReachedMachine {
    /// Its name here.
    pub machine: MachineId,
    /// The session.
    pub session: Arc<Session>,
    /// Ids and values of both sides.
    pub mapping: Arc<Mapping>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long anything may take.
    pub timeout: Duration,
}

impl ReachedMachine {
    async fn within<T>(
        &self,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StatusCode> {
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => Err(status_of(&failure)),
            Err(_) => Err(StatusCode::BadTimeout),
        }
    }

    /// The arguments of such a method, with the id that the machine has given to the event.
    fn of_event(&self, inputs: &[Variant]) -> Option<Vec<Variant>> {
        let mut inputs = inputs.to_vec();
        if let Some(Variant::ByteString(id)) = inputs.first_mut() {
            *id = event_id_there(&self.machine, id)?;
        }
        Some(inputs)
    }

    fn value_there(&self, value: Variant) -> Variant {
        self.mapping.value(value, To::There, &self.session.context().context())
    }

    fn value_here(&self, value: Variant) -> Variant {
        self.mapping.value(value, To::Here, &self.session.context().context())
    }
}

/// Whether a method is about an event, which its first argument names (Part 9 §5.5.6, §5.7.3, §5.7.4).
fn is_about_event(method: &NodeId) -> bool {
    [
        MethodId::AcknowledgeableConditionType_Acknowledge,
        MethodId::AcknowledgeableConditionType_Confirm,
        MethodId::ConditionType_AddComment,
    ]
    .into_iter()
    .any(|one| *method == NodeId::from(one))
}

/// What a failure is for a client of ours: that of a machine's session is not that of his.
fn status_of(failure: &Failure) -> StatusCode {
    match failure.kind {
        FailureKind::Silent => StatusCode::BadTimeout,
        FailureKind::Refused if !failure.is_session_gone() => failure.status,
        FailureKind::Malformed => StatusCode::BadDataUnavailable,
        _ => StatusCode::BadNoCommunication,
    }
}

#[async_trait]
impl Remote for ReachedMachine {
    async fn read(&self, nodes: &[NodeId]) -> Vec<DataValue> {
        let question = |id: &NodeId| ReadValueId {
            node_id: self.mapping.there(id),
            attribute_id: AttributeId::Value as u32,
            ..ReadValueId::default()
        };
        let asked: Vec<_> = nodes.iter().map(question).collect();
        let read = self.within(self.session.read(&asked, TimestampsToReturn::Source)).await;
        let now = self.clock.now();
        match read {
            Ok(values) => values
                .into_iter()
                .map(|value| {
                    let context = self.session.context().context();
                    received(self.mapping.data_value(value, To::Here, &context), now)
                })
                .collect(),
            Err(status) => nodes.iter().map(|_| without_value(status, now)).collect(),
        }
    }

    async fn write(&self, node: &NodeId, range: &NumericRange, value: &Variant) -> StatusCode {
        let value = WriteValue {
            node_id: self.mapping.there(node),
            attribute_id: AttributeId::Value as u32,
            index_range: range.clone(),
            value: DataValue::value_only(self.value_there(value.clone())),
        };
        let written = self.within(self.session.write(&[value])).await;
        match written {
            Ok(statuses) => statuses.first().copied().unwrap_or(StatusCode::BadUnexpectedError),
            Err(status) => status,
        }
    }

    async fn call(&self, object: &NodeId, method: &NodeId, inputs: &[Variant]) -> Called {
        let inputs = match is_about_event(method) {
            true => match self.of_event(inputs) {
                Some(inputs) => inputs,
                None => {
                    return Called { status: StatusCode::BadEventIdUnknown, ..Called::default() };
                }
            },
            false => inputs.to_vec(),
        };
        let inputs = inputs.iter().map(|input| self.value_there(input.clone())).collect();
        let (object, method) = (self.mapping.there(object), self.mapping.there(method));
        let called = self.session.call(object, method, inputs, self.timeout);
        match self.within(called).await {
            Ok(called) => Called {
                status: called.status,
                arguments: called.arguments,
                outputs: called.outputs.into_iter().map(|one| self.value_here(one)).collect(),
            },
            Err(status) => Called { status, ..Called::default() },
        }
    }

    async fn history(&self, read: &HistoryRead) -> Result<HistorySlice, StatusCode> {
        let node = self.mapping.there(&read.node);
        let page = self.session.history(
            &node,
            (read.from, read.to),
            (read.max, read.bounds),
            read.next.clone(),
        );
        let page = self.within(page).await?;
        if page.status.is_bad() {
            return Err(page.status);
        }
        let context = self.session.context().context();
        let values = page.values.into_iter();
        let values = values.map(|value| self.mapping.data_value(value, To::Here, &context));
        Ok(HistorySlice { values: values.collect(), next: page.next })
    }
}
