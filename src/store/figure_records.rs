//! The binary form of figures and of the records of shifts.

use std::collections::BTreeMap;

use super::codec::{Malformed, Record};
use super::fields::{record_enum, record_struct};
use crate::domain::calendar::ShiftInstance;
use crate::domain::oee::counts::Production;
use crate::domain::oee::evaluate::Equipment;
use crate::domain::oee::kpi::{Flag, Kpi, ReasonTally, StopTally};
use crate::domain::oee::loss::{LossClass, TimeElements};
use crate::domain::oee::parts::Parts;
use crate::domain::quantity::IdealTime;
use crate::domain::shift::ShiftRecord;
use crate::domain::time::Span;

impl Record for TimeElements {
    fn put(&self, out: &mut Vec<u8>) {
        LossClass::ALL.iter().for_each(|class| self.of(*class).put(out));
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        let mut time = TimeElements::default();
        for class in LossClass::ALL {
            time.add(class, Span::get(input)?);
        }
        Ok(time)
    }
}

impl Record for IdealTime {
    fn put(&self, out: &mut Vec<u8>) {
        self.parts().put(out);
    }
    fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
        <BTreeMap<u32, i128> as Record>::get(input).map(IdealTime::of_parts)
    }
}

record_enum!(Flag {
    0 => IdealCycleTooSlow, 1 => QualityAboveOne, 2 => IdealCycleMissing, 3 => ProductUnknown,
    4 => GoodNotCounted, 5 => RejectNotCounted, 6 => UnattributedCounts, 7 => DoubtfulCounterStep,
    8 => CoverageIncomplete, 9 => CounterStuck, 10 => CountersDisagree, 11 => UnexplainedStops,
});
record_enum!(Equipment { 0 => Site, 1 => Area(area), 2 => Line(line), 3 => Machine(machine) });
record_struct!(Parts { good, reject, startup_reject, rework, total, infeed, rework_good });
record_struct!(Production {
    parts,
    unattributed,
    ideal_total,
    ideal_good,
    ideal_startup_reject,
    without_cycle,
    without_product,
    doubtful_steps,
    slow_cycles,
});
record_struct!(ReasonTally { time, stops });
record_struct!(StopTally { stops, micro_stops, failures, failure_time, unexplained, by_reason });
record_struct!(Kpi {
    window,
    time,
    time_in_orders,
    stops,
    production,
    counted,
    provisional,
    flags,
});
record_struct!(ShiftInstance { window, name, production_date, breaks });
record_struct!(ShiftRecord { seq, line, shift, revision, at, actor, cause, figures });
