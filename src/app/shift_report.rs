//! Records of shifts as JSON: which shift, which revision, who, when, why, and the figures.

use serde::Serialize;

use super::kpi_report::KpiReport;
use super::time_text;
use crate::domain::calendar::ShiftInstance;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::Profile;
use crate::domain::plant::Plant;
use crate::domain::shift::ShiftRecord;

/// A shift that takes place.
#[derive(Serialize)]
pub struct ShiftReport {
    name: String,
    production_date: String,
    start: String,
    end: String,
    breaks: Vec<(String, String)>,
}

impl From<&ShiftInstance> for ShiftReport {
    fn from(shift: &ShiftInstance) -> Self {
        let breaks = shift.breaks.iter();
        ShiftReport {
            name: shift.name.clone(),
            production_date: shift.production_date.to_string(),
            start: time_text::print(shift.window.from),
            end: time_text::print(shift.window.to),
            breaks: breaks.map(|b| (time_text::print(b.from), time_text::print(b.to))).collect(),
        }
    }
}

/// What was recorded of a shift.
#[derive(Serialize)]
pub struct ShiftRecordReport {
    seq: u64,
    line: String,
    shift: ShiftReport,
    revision: u32,
    recorded: String,
    actor: String,
    cause: String,
    figures: Vec<KpiReport>,
}

impl ShiftRecordReport {
    /// The report of a record.
    pub fn new(plant: &Plant, record: &ShiftRecord) -> ShiftRecordReport {
        let figures = record.figures.iter();
        let report = |(equipment, kpi): &(Equipment, _)| {
            KpiReport::new(equipment.key(plant), kpi, Profile::Tpm)
        };
        ShiftRecordReport {
            seq: record.seq,
            line: record.line.to_string(),
            shift: (&record.shift).into(),
            revision: record.revision,
            recorded: time_text::print(record.at),
            actor: record.actor.clone(),
            cause: record.cause.clone(),
            figures: figures.map(report).collect(),
        }
    }
}
