//! Job orders in the words of ISA-95 Job Control, and back.
//!
//! Exact decimals stay exact. What a job order brings that the MES does not know is not kept.

use opcua::types::{
    EUInformation, LocalizedText, QualifiedName, ReferenceTypeId, RelativePath,
    RelativePathElement, UAString, Variant,
};

use crate::app::view::OrderView;
use crate::channel::job_order::{
    Equipment, JobOrder, JobOrderAndState, JobResponse, Material, Parameter, State,
};
use crate::channel::time::{date_time, timestamp};
use crate::domain::genealogy::{LotOperation, LotOperationKind};
use crate::domain::id::{LineId, LotId, OrderId, ProductId};
use crate::domain::order::{JobState, OrderRequest};
use crate::domain::plant::Plant;
use crate::domain::quantity::Quantity;
use crate::server::space::bind;

/// What material is for, as ISA-95 has it; compared without regard to case.
const PRODUCED: &str = "Material Produced";
const CONSUMED: &str = "Material Consumed";

/// A state of a job order with its number, and the substate with its machine and number.
type Levels = (&'static str, u32, Option<(&'static str, &'static str, u32)>);

fn levels(state: JobState) -> Levels {
    match state {
        JobState::NotAllowedToStart => ("NotAllowedToStart", 1, None),
        JobState::AllowedToStart => ("AllowedToStart", 2, None),
        JobState::Running => ("Running", 3, None),
        // Somebody has asked for the interruption.
        JobState::Interrupted => ("Interrupted", 4, Some(("InterruptedSubstates", "Suspended", 2))),
        JobState::Ended => ("Ended", 5, Some(("EndedSubstates", "Completed", 1))),
        JobState::Closed => ("Ended", 5, Some(("EndedSubstates", "Closed", 2))),
        JobState::Aborted => ("Aborted", 6, None),
    }
}

/// The number of a state, without its substate.
pub fn number(state: JobState) -> u32 {
    levels(state).1
}

/// A state, outermost level first; `namespace` is that of job control.
pub fn states(state: JobState, namespace: u16) -> Vec<State> {
    let (name, number, below) = levels(state);
    let state_text = |name: &str| LocalizedText::new("en", name);
    let mut states = vec![State {
        browse_path: RelativePath { elements: None },
        state_text: state_text(name),
        state_number: number,
    }];
    states.extend(below.map(|(machine, name, number)| {
        let step = RelativePathElement {
            reference_type_id: ReferenceTypeId::HasComponent.into(),
            is_inverse: false,
            include_subtypes: true,
            target_name: QualifiedName::new(namespace, machine),
        };
        State {
            browse_path: RelativePath { elements: Some(vec![step]) },
            state_text: state_text(name),
            state_number: number,
        }
    }));
    states
}

/// A job order as it is stored.
pub fn job_order(request: &OrderRequest, plant: &Plant) -> JobOrder {
    let product = plant.products.get(&request.product);
    let made = Material {
        definition_id: Some(request.product.as_str().into()),
        lot_id: request.lot.as_ref().map(|lot| lot.as_str().into()),
        description: product.map(|product| vec![LocalizedText::from(product.name.as_str())]),
        use_of: Some(PRODUCED.into()),
        quantity: Some(request.quantity.to_string().into()),
        engineering_units: product.map(|product| unit(&product.unit)),
        ..Material::default()
    };
    JobOrder {
        id: request.id.as_str().into(),
        end_time: request.due.map(date_time),
        priority: Some(request.priority),
        equipment: Some(vec![line_equipment(&request.line, plant)]),
        materials: Some(vec![made]),
        ..JobOrder::default()
    }
}

/// A job order with its state.
pub fn with_state(view: &OrderView, plant: &Plant, namespace: u16) -> JobOrderAndState {
    JobOrderAndState {
        job_order: job_order(&view.order.request, plant),
        state: states(view.order.state, namespace),
    }
}

fn line_equipment(line: &LineId, plant: &Plant) -> Equipment {
    let name = plant.lines.get(line).map(|line| vec![LocalizedText::from(line.name.as_str())]);
    Equipment { id: line.as_str().into(), description: name, ..Equipment::default() }
}

fn unit(code: &str) -> EUInformation {
    bind::unit(code, code)
}

/// What came of an order, with the lots that went in where they are known.
pub fn response(
    view: &OrderView,
    operations: &[LotOperation],
    plant: &Plant,
    namespace: u16,
) -> JobResponse {
    let OrderView { order, totals } = view;
    let request = &order.request;
    let parameter =
        |id: &str, value: Variant| Parameter { id: id.into(), value, ..Parameter::default() };
    let data = vec![
        parameter("ProducedQuantity", Variant::Double((totals.good + totals.scrap) as f64)),
        parameter("GoodQuantity", Variant::Double(totals.good as f64)),
        parameter("ScrapQuantity", Variant::Double(totals.scrap as f64)),
        parameter("UnattributedQuantity", Variant::Double(totals.unattributed as f64)),
        parameter("Revision", Variant::UInt64(request.revision)),
    ];
    let ended = order.runs.last().and_then(|run| run.end).filter(|_| order.state.is_final());
    JobResponse {
        id: request.id.as_str().into(),
        job_order_id: request.id.as_str().into(),
        start_time: order.started().map(date_time),
        end_time: ended.map(date_time),
        job_state: states(order.state, namespace),
        data: Some(data),
        equipment: Some(vec![line_equipment(&request.line, plant)]),
        materials: Some(actual_materials(view, operations, plant)),
        ..JobResponse::default()
    }
}

fn actual_materials(view: &OrderView, operations: &[LotOperation], plant: &Plant) -> Vec<Material> {
    let OrderView { order, totals } = view;
    let product = plant.products.get(&order.request.product);
    // Reported parts name their lots; the others belong to the lot of the order.
    let mut lots = order.produced.clone();
    let reported: i64 = lots.values().sum();
    *lots.entry(order.lot()).or_default() += totals.good - reported;
    let made =
        lots.into_iter().filter(|(_, quantity)| *quantity != 0).map(|(lot, quantity)| Material {
            definition_id: Some(order.request.product.as_str().into()),
            lot_id: Some(lot.as_str().into()),
            use_of: Some(PRODUCED.into()),
            quantity: Some(quantity.to_string().into()),
            engineering_units: product.map(|product| unit(&product.unit)),
            ..Material::default()
        });
    let consumed = operations.iter().filter(|one| one.kind == LotOperationKind::Consumed);
    let used = consumed.map(|operation| Material {
        lot_id: Some(operation.lot.as_str().into()),
        use_of: Some(CONSUMED.into()),
        quantity: operation.quantity.map(|quantity| quantity.to_string().into()),
        ..Material::default()
    });
    made.chain(used).collect()
}

/// The order that a structure asks for; `line` is that of the receiver, where it has one.
///
/// Fails with a sentence where it is not clear what to make, how much, or where.
pub fn request(
    job: &JobOrder,
    line: Option<&LineId>,
    plant: &Plant,
) -> Result<OrderRequest, String> {
    let text = |text: &UAString| text.as_ref().to_owned();
    let id = OrderId::parse(job.id.as_ref()).map_err(|why| format!("JobOrderID {why}"))?;
    let materials = job.materials.as_deref().unwrap_or_default();
    let is_made = |material: &&Material| {
        material.use_of.as_ref().is_some_and(|of| of.as_ref().eq_ignore_ascii_case(PRODUCED))
    };
    let made = match materials.iter().filter(is_made).collect::<Vec<_>>()[..] {
        [made] => made,
        [] => return Err(format!("no material requirement has the use {PRODUCED}")),
        _ => return Err(format!("more than one material requirement has the use {PRODUCED}")),
    };
    let product = made.definition_id.as_ref().map(text).unwrap_or_default();
    let product =
        ProductId::parse(&product).map_err(|why| format!("MaterialDefinitionID {why}"))?;
    let quantity = made.quantity.as_ref().map(text).unwrap_or_default();
    let quantity: Quantity =
        quantity.parse().map_err(|_| format!("quantity {quantity:?} is no decimal"))?;
    if let (Some(given), Some(known)) = (&made.engineering_units, plant.products.get(&product))
        && given.unit_id != 0
        && given.unit_id != unit(&known.unit).unit_id
    {
        return Err(format!("product {product} is counted in {}", known.unit));
    }
    let lot = made.lot_id.as_ref().map(text).filter(|lot| !lot.is_empty());
    let lot = lot.map(|lot| LotId::parse(&lot).map_err(|why| format!("MaterialLotID {why}")));
    Ok(OrderRequest {
        id,
        revision: 1,
        line: wanted_line(job, line, plant)?,
        product,
        quantity,
        lot: lot.transpose()?,
        due: job.end_time.as_ref().and_then(timestamp),
        priority: job.priority.unwrap_or_default(),
        released: false,
        ideal_cycle: None,
    })
}

/// The line that a job order names, which must be that of the receiver.
fn wanted_line(job: &JobOrder, line: Option<&LineId>, plant: &Plant) -> Result<LineId, String> {
    let named = job.equipment.as_deref().unwrap_or_default().iter();
    let lines = named.filter_map(|one| LineId::parse(one.id.as_ref()).ok());
    let lines: Vec<_> = lines.filter(|line| plant.lines.contains_key(line)).collect();
    match (line, &lines[..]) {
        (Some(line), []) => Ok(line.clone()),
        (Some(line), [named]) if line == named => Ok(line.clone()),
        (Some(line), _) => Err(format!("this receiver takes orders of line {line} only")),
        (None, [named]) => Ok(named.clone()),
        (None, []) => Err("no equipment requirement names a line".into()),
        (None, _) => Err("the equipment requirements name more than one line".into()),
    }
}
