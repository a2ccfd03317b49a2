//! Why a request to a machine has no answer that can be used.

use std::fmt;

use opcua::types::StatusCode;

/// What kind of failure it is: what follows from it differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// There is no connection, or it has ended: what was asked may or may not have been done.
    Lost,
    /// The machine has not answered in time: what was asked may or may not have been done.
    Silent,
    /// The machine has answered that it does not do it.
    Refused,
    /// What the machine has sent cannot be understood or is more than is taken.
    Malformed,
    /// We do not do it: the machine has not shown that it is the one that was meant.
    Untrusted,
}

/// A failure, in words for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// The code that fits best.
    pub status: StatusCode,
    /// What has happened, without the code.
    pub text: String,
}

impl Failure {
    /// The connection is not there.
    pub fn lost(status: StatusCode, text: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::Lost, status, text: text.into() }
    }

    /// Nothing was heard.
    pub fn silent(text: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::Silent, status: StatusCode::BadTimeout, text: text.into() }
    }

    /// The machine says no.
    pub fn refused(status: StatusCode) -> Failure {
        let text = status.sub_code().description().to_owned();
        Failure { kind: FailureKind::Refused, status, text }
    }

    /// The machine sends what it must not.
    pub fn malformed(status: StatusCode, text: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::Malformed, status, text: text.into() }
    }

    /// The machine has not proved who it is.
    pub fn untrusted(status: StatusCode, text: impl Into<String>) -> Failure {
        Failure { kind: FailureKind::Untrusted, status, text: text.into() }
    }

    /// Whether nothing more can be asked over this connection.
    pub fn is_broken(&self) -> bool {
        matches!(self.kind, FailureKind::Lost | FailureKind::Silent) || self.is_session_gone()
    }

    /// Whether the answer is more than can be sent or taken at once.
    pub fn is_too_much(&self) -> bool {
        const TOO_MUCH: [StatusCode; 4] = [
            StatusCode::BadEncodingLimitsExceeded,
            StatusCode::BadResponseTooLarge,
            StatusCode::BadRequestTooLarge,
            StatusCode::BadTcpMessageTooLarge,
        ];
        matches!(self.kind, FailureKind::Malformed | FailureKind::Refused)
            && TOO_MUCH.contains(&self.status)
    }

    /// Whether the machine has done nothing because it was asked too much at once.
    pub fn is_too_many(&self) -> bool {
        const TOO_MANY: [StatusCode; 3] = [
            StatusCode::BadTooManyOperations,
            StatusCode::BadRequestTooLarge,
            StatusCode::BadEncodingLimitsExceeded,
        ];
        self.kind == FailureKind::Refused && TOO_MANY.contains(&self.status)
    }

    /// Whether the machine does not know our session any more.
    pub fn is_session_gone(&self) -> bool {
        const GONE: [StatusCode; 4] = [
            StatusCode::BadSessionIdInvalid,
            StatusCode::BadSessionClosed,
            StatusCode::BadSessionNotActivated,
            StatusCode::BadSecureChannelIdInvalid,
        ];
        self.kind == FailureKind::Refused && GONE.contains(&self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.text, self.status)
    }
}
