//! What a method of job control says of itself: bits, and Uncertain where it was refused, since the
//! outputs of a Bad call are lost (OPC 10031-4 Annex B.2).

use crate::domain::rejection::{Rejection, RejectionKind};

/// It was done.
pub const DONE: u64 = 1;
/// No such job order is known.
pub const UNKNOWN: u64 = 1 << 1;
/// The job order's state does not allow it.
pub const WRONG_STATE: u64 = 1 << 3;
/// The job order cannot be taken.
pub const NOT_ACCEPTED: u64 = 1 << 4;
/// What is asked makes no sense.
pub const INVALID: u64 = 1 << 32;
/// The store cannot write now; one of the bits that are left to us.
pub const UNAVAILABLE: u64 = 1 << 33;

/// The bits of a refusal.
pub fn of_rejection(rejection: &Rejection) -> u64 {
    match rejection {
        Rejection::UnknownOrder(_) => UNKNOWN,
        Rejection::LineBusy { .. } | Rejection::RevisionConflict { .. } => NOT_ACCEPTED,
        _ => match rejection.kind() {
            RejectionKind::NotFound | RejectionKind::Invalid => INVALID,
            RejectionKind::Conflict => WRONG_STATE,
        },
    }
}
