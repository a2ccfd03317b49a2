//! OEE: from evidence to classes of time, from these to figures.
//!
//! Read in this order: [`loss`] names the classes, [`timeline`] gives every instant exactly one,
//! [`stops`] finds the physical stops, [`counts`] attributes parts to products, [`kpi`] holds the
//! figures and their formulas, [`evaluate`] joins all for a machine, a line or more.
//! Nothing here keeps state: the same evidence gives the same figures.

pub mod counts;
pub mod evaluate;
pub mod kpi;
pub mod loss;
pub mod stops;
pub mod timeline;
