//! OEE: from evidence to classes of time, from these to figures.
//!
//! Read in this order: [`loss`] names the classes, [`track`] makes a machine's states of its
//! signals, [`stops`] finds the stops on it, [`timeline`] gives every instant exactly one class,
//! [`tally`] adds them up, [`counts`] attributes [`parts`] to products, [`kpi`] holds the figures and
//! their formulas, [`figure`] what is above and below their lines, [`evaluate`] joins all for a machine, a line or more. [`station`] is for parallel
//! machines, [`cause`] says which machine caused a line's stop, [`iso22400`] lists the indicators of
//! the standard.
//! Nothing here keeps state: the same evidence gives the same figures.

pub mod cause;
pub mod counts;
pub mod evaluate;
pub mod figure;
pub mod iso22400;
pub mod kpi;
pub mod loss;
pub mod parts;
pub mod station;
pub mod stops;
pub mod tally;
pub mod timeline;
pub mod track;
