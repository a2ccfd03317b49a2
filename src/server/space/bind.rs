//! Where the values of the members of our types come from, and what their methods do.
//!
//! A member is named by its browse names; what a type declares and is not bound here and has no
//! constant value is an error that shows at the first start.

use opcua::types::{
    AttributeId, ContentFilter, DateTime, EUInformation, EventFilter, ExtensionObject,
    NumericRange, ObjectTypeId, QualifiedName, SimpleAttributeOperand, Variant,
    VariantScalarTypeId,
};

use super::job_control::{JobMethod, JobValue};
use super::machinery::{StateMachine, StatePart};
use super::members::Bound;
use super::methods::MethodId;
use super::source::{
    ConfigurationValue, ConnectionValue, FigurePart, KpiValue, LineValue, MachineValue, Source,
    StopValue, TransferValue,
};
use super::spoken::{self, SpokenValue};
use super::told::{self, ConditionKind, ConditionMethod};
use crate::app::refusals::Refusal;
use crate::app::trace::Direction;
use crate::app::view::KpiWindow;
use crate::channel::time::date_time;
use crate::domain::oee::figure::Figure;
use crate::domain::oee::loss::LossClass;
use crate::domain::order::JobCommand;
use crate::domain::signal::{SignalRole, Vocabulary};
use crate::domain::time::Timestamp;

/// A constant.
pub fn constant(value: impl Into<Variant>) -> Option<Bound> {
    Some(Bound::Source(Source::Constant(value.into())))
}

fn source(source: Source) -> Option<Bound> {
    Some(Bound::Source(source))
}

fn method(method: MethodId) -> Option<Bound> {
    Some(Bound::Method(method))
}

/// The browse names of a path.
fn names(path: &str) -> Vec<&str> {
    path.split('/').collect()
}

/// What equipment of every level has.
pub fn equipment(path: &str, level: i32) -> Option<Bound> {
    match names(path)[..] {
        ["NodeVersion"] => source(Source::NodeVersion),
        ["EquipmentId"] => source(Source::Key),
        ["OpenStops"] => source(Source::OpenStops),
        ["EquipmentLevel"] => constant(level),
        ["HistoricalEventFilter"] => constant(kept_events()),
        ["KPI", window, ref below @ ..] => kpi(KpiWindow::parse(window)?, below),
        _ => None,
    }
}

/// All events are kept with all their fields; these are the ones that every event has.
pub fn kept_events() -> ExtensionObject {
    let names = [
        "EventId",
        "EventType",
        "SourceNode",
        "SourceName",
        "Time",
        "ReceiveTime",
        "Message",
        "Severity",
    ];
    let clause = |name: &&str| SimpleAttributeOperand {
        type_definition_id: ObjectTypeId::BaseEventType.into(),
        browse_path: Some(vec![QualifiedName::new(0, *name)]),
        attribute_id: AttributeId::Value as u32,
        index_range: NumericRange::None,
    };
    ExtensionObject::from_message(EventFilter {
        select_clauses: Some(names.iter().map(clause).collect()),
        where_clause: ContentFilter::default(),
    })
}

fn kpi(window: KpiWindow, below: &[&str]) -> Option<Bound> {
    let value = match *below {
        ["Why"] => return method(MethodId::Why(window)),
        [name, "Target"] => return source(Source::Target(Figure::parse(name)?)),
        [name] => kpi_value(name)?,
        [name, "Formula"] => return constant(Figure::parse(name)?.formula()),
        [name, "Numerator"] => KpiValue::Figure(Figure::parse(name)?, FigurePart::Numerator),
        [name, "Denominator"] => KpiValue::Figure(Figure::parse(name)?, FigurePart::Denominator),
        _ => return None,
    };
    source(Source::Kpi(window, value))
}

fn kpi_value(name: &str) -> Option<KpiValue> {
    use KpiValue as V;
    if let Some(figure) = Figure::parse(name) {
        return Some(V::Figure(figure, FigurePart::Value));
    }
    Some(match name {
        "PlannedBusyTime" => V::PlannedBusyTime,
        "RunTime" => V::RunTime,
        "MicroStopTime" => V::Time(LossClass::MicroStop),
        "SetupTime" => V::Time(LossClass::Setup),
        "UnplannedDownTime" => V::Time(LossClass::UnplannedDown),
        "BlockedTime" => V::Time(LossClass::Blocked),
        "StarvedTime" => V::Time(LossClass::Starved),
        "NoOrderTime" => V::Time(LossClass::NoOrder),
        "PlannedDownTime" => V::Time(LossClass::PlannedDown),
        "NotScheduledTime" => V::Time(LossClass::NotScheduled),
        "NoDataTime" => V::Time(LossClass::NoData),
        "SpeedLossTime" => V::SpeedLoss,
        "QualityLossTime" => V::QualityLoss,
        "FullyProductiveTime" => V::FullyProductive,
        "GoodCount" => V::Good,
        "RejectCount" => V::Reject,
        "TotalCount" => V::Total,
        "UnattributedCount" => V::Unattributed,
        "StopCount" => V::Stops,
        "MicroStopCount" => V::MicroStops,
        "UnexplainedCount" => V::Unexplained,
        "MeanTimeBetweenFailures" => V::TimeBetweenFailures,
        "MeanTimeToRepair" => V::TimeToRepair,
        "WindowName" => V::WindowName,
        "WindowStart" => V::WindowStart,
        "WindowEnd" => V::WindowEnd,
        "Provisional" => V::Provisional,
        "Flags" => V::Flags,
        _ => return None,
    })
}

/// What a line has besides.
pub fn line(path: &str) -> Option<Bound> {
    let value = match path {
        "State" => LineValue::State,
        "CurrentOrder" => LineValue::Order,
        "CurrentProduct" => LineValue::Product,
        "Bottleneck" => LineValue::Bottleneck,
        "Outfeed" => LineValue::Outfeed,
        "NoteShift" => return method(MethodId::NoteShift),
        _ => return job(path.strip_prefix("MachineryBuildingBlocks/JobManagement/")?),
    };
    source(Source::Line(value))
}

/// What job control has.
fn job(path: &str) -> Option<Bound> {
    let value = match names(path)[..] {
        ["JobOrderControl", "CurrentState"] => JobValue::State,
        ["JobOrderControl", "CurrentState", "Id"] => JobValue::StateId,
        ["JobOrderControl", machine, "CurrentState"] => JobValue::Substate(substates(machine)?),
        ["JobOrderControl", machine, "CurrentState", "Id"] => {
            JobValue::SubstateId(substates(machine)?)
        }
        ["JobOrderControl", "JobOrderList"] => JobValue::Orders,
        ["JobOrderControl", "WorkMaster"] => JobValue::WorkMasters,
        ["JobOrderControl", "MaterialDefinitionID"] => JobValue::Products,
        ["JobOrderControl", "EquipmentID"] => JobValue::Lines,
        ["JobOrderControl", "MaterialClassID" | "PersonnelID" | "PhysicalAssetID"] => {
            JobValue::Nothing
        }
        ["JobOrderControl", "MaxDownloadableJobOrders"] => JobValue::OrdersMax,
        ["JobOrderResults", "JobOrderResponseList"] => JobValue::Responses,
        [_, name] => return method(MethodId::Job(JobMethod::parse(name)?)),
        _ => return None,
    };
    source(Source::Job(value))
}

/// The machines of substates that orders go through.
fn substates(name: &str) -> Option<&'static str> {
    ["EndedSubstates", "InterruptedSubstates"].into_iter().find(|known| *known == name)
}

/// Whether an optional member of job control is wanted.
pub fn wants_job(path: &str) -> bool {
    let Some((_, below)) = path.split_once("JobManagement/") else {
        return false;
    };
    match names(below)[..] {
        ["JobOrderControl", name] => JobMethod::parse(name).is_some() || substates(name).is_some(),
        ["JobOrderResults", name] => name == "JobOrderResponseList",
        _ => false,
    }
}

/// The counter of a name.
pub fn counter(name: &str) -> Option<SignalRole> {
    SignalRole::COUNTERS.into_iter().find(|role| counter_name(*role) == Some(name))
}

/// The name of a counter.
pub fn counter_name(role: SignalRole) -> Option<&'static str> {
    Some(match role {
        SignalRole::Good => "Good",
        SignalRole::Reject => "Reject",
        SignalRole::Total => "Total",
        SignalRole::Infeed => "Infeed",
        SignalRole::Rework => "Rework",
        SignalRole::StartupReject => "StartupReject",
        SignalRole::Cycle => "Cycle",
        _ => return None,
    })
}

/// What a machine has besides; the unit of a process value is found by its name.
pub fn machine(path: &str, unit: &dyn Fn(&str) -> Option<Variant>) -> Option<Bound> {
    let named = match names(path)[..] {
        ["State"] => Source::Machine(MachineValue::State),
        ["CurrentOrder"] => Source::Machine(MachineValue::Order),
        ["CurrentLot"] => Source::Machine(MachineValue::Lot),
        ["CurrentOperator"] => Source::Machine(MachineValue::Operator),
        ["CurrentStop", name] => Source::Stop(stop(name)?),
        ["Counters", name] => Source::Counter(counter(name)?),
        ["Connection", "LinkAlarm", ref below @ ..] => {
            return condition(ConditionKind::Link, below);
        }
        ["UnexplainedStop", ref below @ ..] => return condition(ConditionKind::Stop, below),
        ["Connection", name] => Source::Connection(connection(name)?),
        ["OrderTransfer", name] => Source::Transfer(transfer(name)?),
        ["MachineryBuildingBlocks", "Identification", name] => Source::Nameplate(name.to_owned()),
        ["MachineryBuildingBlocks", name, "CurrentState", ref below @ ..] => {
            let machine = match name {
                "MachineryItemState" => StateMachine::ItemState,
                "MachineryOperationMode" => StateMachine::OperationMode,
                _ => return None,
            };
            Source::State(machine, state_part(below)?)
        }
        // The machine's own count of its cycles is the one thing that is known of its whole life.
        ["MachineryBuildingBlocks", "OperationCounters", "OperationCycleCounter"] => {
            Source::Counter(SignalRole::Cycle)
        }
        ["BaseStateMachine", ref below @ ..] => {
            Source::Spoken(Vocabulary::PackMl, spoken::asked(below)?)
        }
        ["UnitModeCurrent"] => Source::Spoken(Vocabulary::PackMl, SpokenValue::Mode),
        ["WS_Cur_State", ref below @ ..] => {
            Source::Spoken(Vocabulary::Weihenstephan, spoken::asked(below)?)
        }
        ["WS_Cur_Prog"] => Source::Spoken(Vocabulary::Weihenstephan, SpokenValue::Mode),
        ["ProcessValues", name] => Source::Process(name.to_owned()),
        ["ProcessValues", name, "EngineeringUnits"] => return constant(unit(name)?),
        [name] => return method(machine_method(name)?),
        _ => return None,
    };
    source(named)
}

/// What a condition has: methods, its type, and what its events say as well.
fn condition(kind: ConditionKind, below: &[&str]) -> Option<Bound> {
    match *below {
        [.., name] if ConditionMethod::parse(name).is_some() => {
            method(MethodId::Condition(kind, ConditionMethod::parse(name)?))
        }
        ["EventType"] => source(Source::ConditionType(kind)),
        _ => {
            let path = below.join("/");
            told::has(kind, &path).then(|| Bound::Source(Source::Condition(kind, path)))
        }
    }
}

fn machine_method(name: &str) -> Option<MethodId> {
    Some(match name {
        "ClassifyStop" => MethodId::ClassifyStop,
        "SplitStop" => MethodId::SplitStop,
        "MergeStops" => MethodId::MergeStops,
        "StateStop" => MethodId::StateStop,
        "WithdrawStop" => MethodId::WithdrawStop,
        "ResolveGap" => MethodId::ResolveGap,
        "LogOn" => MethodId::LogOn,
        "LogOff" => MethodId::LogOff,
        _ => return None,
    })
}

/// What a variable of the state of a state machine says.
fn state_part(below: &[&str]) -> Option<StatePart> {
    Some(match below {
        [] => StatePart::Text,
        ["Id"] => StatePart::Node,
        ["Number"] => StatePart::Number,
        _ => return None,
    })
}

fn stop(name: &str) -> Option<StopValue> {
    Some(match name {
        "Active" => StopValue::Active,
        "Start" => StopValue::Start,
        "Duration" => StopValue::Duration,
        "State" => StopValue::State,
        "Reason" => StopValue::Reason,
        "ReasonName" => StopValue::ReasonName,
        "Comment" => StopValue::Comment,
        "End" => StopValue::End,
        "Micro" => StopValue::Micro,
        "Actor" => StopValue::Actor,
        _ => return None,
    })
}

fn transfer(name: &str) -> Option<TransferValue> {
    Some(match name {
        "Order" => TransferValue::Order,
        "Moment" => TransferValue::Moment,
        "Known" => TransferValue::Known,
        "Reason" => TransferValue::Reason,
        "Time" => TransferValue::Time,
        _ => return None,
    })
}

fn connection(name: &str) -> Option<ConnectionValue> {
    Some(match name {
        "State" => ConnectionValue::State,
        "Endpoint" => ConnectionValue::Endpoint,
        "LastError" => ConnectionValue::LastError,
        "Since" => ConnectionValue::Since,
        "Connects" => ConnectionValue::Connects,
        "Values" => ConnectionValue::Values,
        "LastValueTime" => ConnectionValue::LastValueTime,
        "ClockSkew" => ConnectionValue::ClockSkew,
        "MonitoredItems" => ConnectionValue::MonitoredItems,
        "Resumed" => ConnectionValue::Resumed,
        "Lag" => ConnectionValue::Lag,
        "Product" => ConnectionValue::Product,
        "Profile" => ConnectionValue::Profile,
        "Binding" => ConnectionValue::Binding,
        "MirroredNodes" => ConnectionValue::MirroredNodes,
        "RecordedVariables" => ConnectionValue::RecordedVariables,
        "MirrorNote" => ConnectionValue::MirrorNote,
        _ => return None,
    })
}

/// What belongs to no single piece of equipment.
pub fn mes(path: &str) -> Option<Bound> {
    match names(path)[..] {
        ["Refusals", name] => {
            let found = Refusal::ALL.into_iter().find(|refusal| refusal.texts().0 == name);
            source(Source::Refusals(found?))
        }
        ["Configuration", name] => source(Source::Configuration(match name {
            "Since" => ConfigurationValue::Since,
            "LastRead" => ConfigurationValue::LastRead,
            "Problems" => ConfigurationValue::Problems,
            "RestartFor" => ConfigurationValue::RestartFor,
            _ => return None,
        })),
        [_, "NodeVersion"] => source(Source::NodeVersion),
        ["Lots", "TraceBackward"] => method(MethodId::Trace(Direction::Backward)),
        ["Lots", "TraceForward"] => method(MethodId::Trace(Direction::Forward)),
        ["Orders", name] => method(order_method(name)?),
        _ => job(path.strip_prefix("Orders/JobManagement/")?),
    }
}

fn order_method(name: &str) -> Option<MethodId> {
    Some(match name {
        "StoreOrder" => MethodId::StoreOrder,
        "ReleaseOrder" => MethodId::Move(JobCommand::Release),
        "RevokeOrder" => MethodId::Move(JobCommand::Revoke),
        "StartOrder" => MethodId::Move(JobCommand::Start),
        "PauseOrder" => MethodId::Move(JobCommand::Pause),
        "ResumeOrder" => MethodId::Move(JobCommand::Resume),
        "CompleteOrder" => MethodId::Move(JobCommand::Complete),
        "CancelOrder" => MethodId::Move(JobCommand::Cancel),
        "AbortOrder" => MethodId::Move(JobCommand::Abort),
        "CloseOrder" => MethodId::Move(JobCommand::Close),
        "ReportProduction" => MethodId::ReportProduction,
        "ReportConsumption" => MethodId::ReportConsumption,
        _ => return None,
    })
}

/// What an order has; its values go by name.
pub fn order(path: &str) -> Option<Bound> {
    source(Source::Order(path.to_owned()))
}

/// What a stop that is looked up has.
pub fn past_stop(path: &str) -> Option<Bound> {
    source(Source::PastStop(stop(path)?))
}

/// What a shift has; its values go by name.
pub fn shift(path: &str) -> Option<Bound> {
    source(Source::Shift(path.to_owned()))
}

/// What a person has; its values go by name.
pub fn person(path: &str) -> Option<Bound> {
    source(Source::Person(path.to_owned()))
}

/// What a lot has; its values go by name.
pub fn lot(path: &str) -> Option<Bound> {
    source(Source::Lot(path.to_owned()))
}

/// What is to be known about the namespace of instances (Part 5 §6.3.13); it follows the plant, so it
/// has no version and no date.
pub fn namespace(path: &str, uri: &str) -> Option<Bound> {
    match path {
        "NamespaceUri" => constant(uri),
        "NamespaceVersion" => constant(""),
        "NamespacePublicationDate" => constant(DateTime::null()),
        "IsNamespaceSubset" => constant(false),
        // Kinds of identifiers: text.
        "StaticNodeIdTypes" => constant(vec![1_i32]),
        "StaticNumericNodeIdRange" => constant(Vec::<String>::new()),
        "StaticStringNodeIdPattern" => constant("*"),
        _ => None,
    }
}

/// What types of OPC UA itself declare: how aggregates are to be made (Part 13 §4.2.1.2, its defaults).
pub fn standard(path: &str) -> Option<Bound> {
    let (_, name) = path.rsplit_once("AggregateConfiguration/")?;
    match name {
        "TreatUncertainAsBad" => constant(true),
        "PercentDataBad" | "PercentDataGood" => constant(100_u8),
        "UseSlopedExtrapolation" => constant(false),
        _ => None,
    }
}

/// What the role of ERP systems has (Part 18 §4.4): who has it is in the configuration.
pub fn role(path: &str) -> Option<Bound> {
    let none = (VariantScalarTypeId::ExtensionObject, Vec::<Variant>::new());
    (path == "Identities").then(|| Bound::Source(Source::Constant(Variant::from(none))))
}

/// An instant that may not be there.
pub fn optional_time(at: Timestamp) -> Variant {
    if at == Timestamp::MIN || at == Timestamp::MAX {
        DateTime::null().into()
    } else {
        date_time(at).into()
    }
}

/// A unit of measurement after UNECE Recommendation 20.
pub fn unit(code: &str, display: &str) -> EUInformation {
    EUInformation {
        namespace_uri: "http://www.opcfoundation.org/UA/units/un/cefact".into(),
        unit_id: code.bytes().fold(0_i32, |id, byte| (id << 8) | i32::from(byte)),
        display_name: display.into(),
        description: display.into(),
    }
}
