//! What the methods of receivers and providers do.

use opcua::types::{Argument, ExtensionObject, StatusCode, Variant, VariantScalarTypeId};

use super::control::{JobControl, line, orders_of};
use super::{JobMethod, status, translate};
use crate::app::engine::{Actor, CommandError, CommandReply, EngineHandle};
use crate::app::query::{Queries, QueryError};
use crate::app::view::OrderView;
use crate::channel::job_order::{JobOrder, JobResponse, State};
use crate::channel::structure::{Structure as _, array};
use crate::domain::command::{Change, Command, Outcome};
use crate::domain::id::OrderId;
use crate::domain::order::{JobCommand, JobState, OrderRequest};
use crate::domain::role::Permission;
use crate::server::space::CallOutcome;
use crate::server::space::protection::Asker;
use crate::server::space::source::Subject;

/// Responses that one call gives at most; more are asked for one by one.
const RESPONSES_MAX: usize = 1000;

impl JobControl {
    /// Calls a method for somebody who may.
    pub async fn call(
        &self,
        (engine, queries): (&EngineHandle, &Queries),
        (method, inputs): (JobMethod, &[Argument]),
        subject: &Subject,
        arguments: &[Variant],
        asker: &Asker,
    ) -> CallOutcome {
        if arguments.len() != inputs.len() {
            let status = if arguments.len() < inputs.len() {
                StatusCode::BadArgumentsMissing
            } else {
                StatusCode::BadTooManyArguments
            };
            return CallOutcome { status, ..CallOutcome::default() };
        }
        if arguments.get(1).is_some_and(|comment| !is_comment(comment)) {
            return wrong(1, arguments.len(), StatusCode::BadTypeMismatch);
        }
        let call = Call { control: self, engine, queries, subject, asker };
        match (method, &arguments[0]) {
            (
                JobMethod::Store | JobMethod::StoreAndStart | JobMethod::Update,
                Variant::ExtensionObject(object),
            ) => match self.job_order(object) {
                Ok(job) => told(call.store(method, &job).await, Vec::new()),
                Err(status) => wrong(0, arguments.len(), status),
            },
            (JobMethod::Move(command), Variant::String(id)) => {
                told(call.carry_out(id.as_ref(), command).await, Vec::new())
            }
            (JobMethod::Clear, Variant::String(id)) => {
                told(call.clear(id.as_ref()).await, Vec::new())
            }
            (JobMethod::ResponseById, Variant::String(id)) => call.response(id.as_ref()).await,
            (JobMethod::ResponseByState, states) => match self.states(states) {
                Ok(states) => call.responses(&states),
                Err(status) => wrong(0, arguments.len(), status),
            },
            _ => wrong(0, arguments.len(), StatusCode::BadTypeMismatch),
        }
    }

    fn job_order(&self, object: &ExtensionObject) -> Result<JobOrder, StatusCode> {
        JobOrder::of_object(object, self.namespace, &self.context.context())
    }

    /// The states that a client asks for.
    fn states(&self, value: &Variant) -> Result<Vec<State>, StatusCode> {
        let context = self.context.context();
        match value {
            Variant::Array(array) => {
                let state = |value: &Variant| match value {
                    Variant::ExtensionObject(object) => {
                        State::of_object(object, self.namespace, &context)
                    }
                    _ => Err(StatusCode::BadTypeMismatch),
                };
                array.values.iter().map(state).collect()
            }
            _ => Err(StatusCode::BadTypeMismatch),
        }
    }
}

/// An argument is not what the method takes.
fn wrong(index: usize, count: usize, status: StatusCode) -> CallOutcome {
    let mut arguments = vec![StatusCode::Good; count];
    if let Some(argument) = arguments.get_mut(index) {
        *argument = status;
    }
    CallOutcome { status: StatusCode::BadInvalidArgument, arguments, ..CallOutcome::default() }
}

/// Whether a value is a comment: texts in some languages, or nothing.
fn is_comment(value: &Variant) -> bool {
    match value {
        Variant::Empty => true,
        Variant::Array(array) => array.value_type == VariantScalarTypeId::LocalizedText,
        _ => false,
    }
}

/// Why a call was refused: in the bits of the specification, and in words for those who ask for them.
struct Refused {
    bits: u64,
    why: String,
}

impl Refused {
    fn new(bits: u64, why: impl Into<String>) -> Refused {
        Refused { bits, why: why.into() }
    }
}

/// What a method gives back: other outputs, and its bits.
fn told(done: Result<(), Refused>, outputs: Vec<Variant>) -> CallOutcome {
    let (status, bits, why) = match done {
        Ok(()) => (StatusCode::Good, status::DONE, None),
        Err(Refused { bits, why }) => (StatusCode::Uncertain, bits, Some(why)),
    };
    let outputs = outputs.into_iter().chain([Variant::UInt64(bits)]).collect();
    CallOutcome { status, outputs, why, ..CallOutcome::default() }
}

/// The names on the way to the machine of a state.
fn path(state: &State) -> Vec<&str> {
    let steps = state.browse_path.elements.iter().flatten();
    steps.map(|step| step.target_name.name.as_ref()).collect()
}

/// What came cannot be written as OPC UA has it.
fn unwritable(error: &opcua::types::Error) -> Refused {
    Refused::new(status::INVALID, error.to_string())
}

/// A call with what it needs.
struct Call<'a> {
    control: &'a JobControl,
    engine: &'a EngineHandle,
    queries: &'a Queries,
    subject: &'a Subject,
    asker: &'a Asker,
}

impl Call<'_> {
    /// The order of a number, if this receiver has it.
    async fn order(&self, id: &str) -> Result<OrderView, Refused> {
        let unknown = || Refused::new(status::UNKNOWN, format!("no job order {id:?} is here"));
        let id = OrderId::parse(id).map_err(|_| unknown())?;
        match self.queries.order(&id).await {
            Ok((order, totals)) => {
                let is_here = line(self.subject).is_none_or(|line| *line == order.request.line);
                if is_here { Ok(OrderView { order, totals }) } else { Err(unknown()) }
            }
            Err(QueryError::NotFound(_)) => Err(unknown()),
            Err(QueryError::Unavailable(why)) => Err(Refused::new(status::UNAVAILABLE, why)),
        }
    }

    async fn command(&self, command: Command) -> Result<Outcome, Refused> {
        let may_correct = self.asker.role.may(Permission::CorrectClosedShifts);
        let actor = Actor { name: &self.asker.name, may_correct };
        match self.engine.command(command, actor, None).await {
            Ok(CommandReply::Done(outcome)) => Ok(outcome),
            Ok(CommandReply::Repeated(_)) => Ok(Outcome::Noted),
            Err(CommandError::Rejected(rejection)) => {
                let why = format!("{rejection}; {}", rejection.next_step());
                Err(Refused::new(status::of_rejection(&rejection), why))
            }
            Err(error) => Err(Refused::new(status::UNAVAILABLE, error.to_string())),
        }
    }

    async fn store(&self, method: JobMethod, job: &JobOrder) -> Result<(), Refused> {
        let wanted = translate::request(job, line(self.subject), &self.engine.plant());
        let mut request: OrderRequest = wanted.map_err(|why| Refused::new(status::INVALID, why))?;
        let id = request.id.clone();
        let expected = if method == JobMethod::Update {
            let known = self.order(id.as_str()).await?.order;
            if !known.state.is_prepared() {
                let why = format!("job order {id} is {} and cannot be updated", known.state);
                return Err(Refused::new(status::WRONG_STATE, why));
            }
            request.revision = known.request.revision + 1;
            request.released = known.state == JobState::AllowedToStart;
            request.ideal_cycle = known.request.ideal_cycle;
            Change::Changed
        } else {
            request.released = method == JobMethod::StoreAndStart;
            Change::Created
        };
        match self.command(Command::StoreOrder(request)).await? {
            Outcome::Order { change, .. } if change == expected => Ok(()),
            _ => {
                let why = format!("job order {id} is stored already; use Update to change it");
                Err(Refused::new(status::NOT_ACCEPTED, why))
            }
        }
    }

    async fn carry_out(&self, id: &str, command: JobCommand) -> Result<(), Refused> {
        let order = self.order(id).await?.order.request.id;
        self.command(Command::MoveOrder { order, command }).await.map(drop)
    }

    /// Orders that were given up are off the list already.
    async fn clear(&self, id: &str) -> Result<(), Refused> {
        let state = self.order(id).await?.order.state;
        if matches!(state, JobState::Aborted | JobState::Closed) {
            return Ok(());
        }
        self.carry_out(id, JobCommand::Close).await
    }

    async fn response(&self, id: &str) -> CallOutcome {
        let (response, done) = match self.try_response(id).await {
            Ok(response) => (response, Ok(())),
            Err(refused) => (JobResponse::default(), Err(refused)),
        };
        let context = self.control.context.context();
        match response.object(self.control.namespace, &context) {
            Ok(object) => told(done, vec![object.into()]),
            Err(error) => told(Err(unwritable(&error)), vec![Variant::Empty]),
        }
    }

    async fn try_response(&self, id: &str) -> Result<JobResponse, Refused> {
        let view = self.order(id).await?;
        let operations = self.queries.operations_of_order(view.order.id()).await;
        let operations =
            operations.map_err(|error| Refused::new(status::UNAVAILABLE, error.to_string()))?;
        let plant = self.engine.plant();
        Ok(translate::response(&view, &operations, &plant, self.control.namespace))
    }

    /// Of the orders in memory: the unfinished and the recently finished.
    fn responses(&self, states: &[State]) -> CallOutcome {
        let view = self.engine.view();
        let (plant, namespace) = (self.engine.plant(), self.control.namespace);
        let is_wanted = |order: &&OrderView| {
            let levels = translate::states(order.order.state, namespace);
            let is_level = |wanted: &State| {
                levels.iter().any(|level| {
                    level.state_number == wanted.state_number && path(level) == path(wanted)
                })
            };
            states.iter().any(is_level)
        };
        let found: Vec<_> = orders_of(&view, self.subject).filter(is_wanted).collect();
        let responses: Vec<_> = found
            .iter()
            .take(RESPONSES_MAX)
            .map(|order| translate::response(order, &[], &plant, namespace))
            .collect();
        let done = if found.len() > RESPONSES_MAX {
            let why = format!("there are {}, and {RESPONSES_MAX} are given", found.len());
            Err(Refused::new(status::NOT_ACCEPTED, why))
        } else {
            Ok(())
        };
        let context = self.control.context.context();
        match array(&responses, namespace, &context) {
            Ok(responses) => told(done, vec![responses]),
            Err(error) => told(Err(unwritable(&error)), vec![Variant::Empty]),
        }
    }
}
