//! The first room of a connection: what a peer may send before and after it has opened a channel.
//!
//! A state machine without socket and clock, so that it can be tested and fuzzed with bytes alone.
//! Every frame is judged by its eight byte header before its body is buffered; nothing here
//! decrypts, decodes or allocates for more than one frame. Numbers are those of [`AdmissionLimits`].

use std::time::{Duration, Instant};

use bytes::BytesMut;
use opcua::types::StatusCode;

use crate::channel::frame::{ChunkKind, FRAME_HEADER, Frame, FrameHeader, FrameKind, Side};

/// Smallest frame that carries a chunk: frame header, channel id, token id, sequence header.
const CHUNK_MIN: usize = FRAME_HEADER + 16;

/// What one connection may send.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionLimits {
    /// Time for the whole HELLO.
    pub hello_within: Duration,
    /// Time from there for a secure channel.
    pub open_within: Duration,
    /// Size of a HELLO in bytes.
    pub hello_max: usize,
    /// Size of any other frame in bytes, until the HELLO agrees on less.
    pub frame_max: usize,
    /// Shortest time between two requests to open or renew a channel.
    pub open_interval: Duration,
}

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nothing has been said yet.
    Hello,
    /// The HELLO was accepted.
    Opening,
    /// A secure channel is open.
    Open,
}

/// Why a connection ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Code for the peer.
    pub status: StatusCode,
    /// Sentence for the peer and the log.
    pub reason: &'static str,
}

/// What came of some bytes.
#[derive(Debug)]
pub enum Verdict {
    /// No whole frame yet.
    More,
    /// A frame that may be looked at; there may be another one behind it.
    Frame(Frame),
    /// The connection ends.
    Refused(Refusal),
}

/// The state of one connection.
#[derive(Debug)]
pub struct Admission {
    limits: AdmissionLimits,
    phase: Phase,
    buffer: BytesMut,
    frame_max: usize,
    deadline: Option<Instant>,
    last_open: Option<Instant>,
}

fn refused(status: StatusCode, reason: &'static str) -> Verdict {
    Verdict::Refused(Refusal { status, reason })
}

impl Admission {
    /// A connection that was accepted now.
    pub fn new(now: Instant, limits: AdmissionLimits) -> Admission {
        Admission {
            limits,
            phase: Phase::Hello,
            buffer: BytesMut::new(),
            frame_max: limits.frame_max,
            deadline: Some(now + limits.hello_within),
            last_open: None,
        }
    }

    /// Takes bytes of the peer and judges them; call it with none until it says [`Verdict::More`].
    pub fn on_bytes(&mut self, now: Instant, bytes: &[u8]) -> Verdict {
        self.buffer.extend_from_slice(bytes);
        if self.deadline.is_some_and(|deadline| now >= deadline) {
            return refused(StatusCode::BadTimeout, "the peer took too long to open a channel");
        }
        let Some(header) = self.buffer.first_chunk::<FRAME_HEADER>() else {
            return Verdict::More;
        };
        let header = match FrameHeader::read(Side::Client, *header) {
            Ok(header) => header,
            Err(status) => return refused(status, "this is no frame of OPC UA TCP"),
        };
        if let Some(refusal) = self.judge(now, header) {
            return refusal;
        }
        if self.buffer.len() < header.size {
            self.buffer.reserve(header.size - self.buffer.len());
            return Verdict::More;
        }
        if header.kind == FrameKind::Open {
            self.last_open = Some(now);
        }
        let bytes = self.buffer.split_to(header.size).freeze();
        Verdict::Frame(Frame { header, bytes })
    }

    /// A frame that may not be sent now, or not in this size.
    fn judge(&self, now: Instant, header: FrameHeader) -> Option<Verdict> {
        let expected = match (self.phase, header.kind) {
            (Phase::Hello, FrameKind::Hello) => true,
            (Phase::Opening, FrameKind::Open) => true,
            (Phase::Open, kind) => kind != FrameKind::Hello,
            _ => false,
        };
        if !expected {
            let status = match (self.phase, header.kind) {
                (Phase::Opening, FrameKind::Message | FrameKind::Close) => {
                    StatusCode::BadTcpSecureChannelUnknown
                }
                _ => StatusCode::BadTcpMessageTypeInvalid,
            };
            return Some(refused(status, "this kind of message is not expected now"));
        }
        let (min, max) = match header.kind {
            FrameKind::Hello => (FRAME_HEADER + 24, self.limits.hello_max),
            _ => (CHUNK_MIN, self.frame_max),
        };
        if header.size > max {
            let reason = "the frame is larger than agreed";
            return Some(refused(StatusCode::BadTcpMessageTooLarge, reason));
        }
        if header.size < min
            || (header.kind == FrameKind::Hello && header.chunk != ChunkKind::Final)
        {
            return Some(refused(StatusCode::BadDecodingError, "the frame is cut short"));
        }
        let is_early = |last: Instant| now.duration_since(last) < self.limits.open_interval;
        if header.kind == FrameKind::Open && self.last_open.is_some_and(is_early) {
            let reason = "the channel is renewed too often";
            return Some(refused(StatusCode::BadTcpNotEnoughResources, reason));
        }
        None
    }

    /// The HELLO was accepted and agreed on frames of at most this size from the peer.
    pub fn greeted(&mut self, now: Instant, frame_max: usize) {
        self.phase = Phase::Opening;
        self.frame_max = frame_max.min(self.limits.frame_max);
        self.deadline = Some(now + self.limits.open_within);
    }

    /// A channel is open.
    pub fn opened(&mut self) {
        self.phase = Phase::Open;
        self.deadline = None;
    }

    /// How far the connection has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// When the connection ends if nothing better happens.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Bytes that wait for the rest of their frame.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AdmissionLimits = AdmissionLimits {
        hello_within: Duration::from_secs(3),
        open_within: Duration::from_secs(5),
        hello_max: 4096,
        frame_max: 65_536,
        open_interval: Duration::from_secs(10),
    };

    fn header(kind: &[u8; 4], size: u32) -> Vec<u8> {
        let mut bytes = kind.to_vec();
        bytes.extend(size.to_le_bytes());
        bytes
    }

    fn frame(kind: &[u8; 4], size: u32) -> Vec<u8> {
        let mut bytes = header(kind, size);
        bytes.resize(size as usize, 0);
        bytes
    }

    fn status(verdict: Verdict) -> Option<StatusCode> {
        match verdict {
            Verdict::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    fn in_phase(now: Instant, phase: Phase) -> Admission {
        let mut admission = Admission::new(now, LIMITS);
        if phase != Phase::Hello {
            admission.greeted(now, 8192);
        }
        if phase == Phase::Open {
            admission.opened();
        }
        admission
    }

    #[test]
    fn a_frame_is_refused_by_its_header_before_its_body_arrives() {
        let now = Instant::now();
        for (phase, kind, size, wanted) in [
            (Phase::Hello, b"HELF", u32::MAX, StatusCode::BadTcpMessageTooLarge),
            (Phase::Hello, b"HELF", 4097, StatusCode::BadTcpMessageTooLarge),
            (Phase::Hello, b"HELF", 8, StatusCode::BadDecodingError),
            (Phase::Hello, b"OPNF", 100, StatusCode::BadTcpMessageTypeInvalid),
            (Phase::Hello, b"GET ", 100, StatusCode::BadTcpMessageTypeInvalid),
            (Phase::Opening, b"HELF", 100, StatusCode::BadTcpMessageTypeInvalid),
            (Phase::Opening, b"MSGF", 100, StatusCode::BadTcpSecureChannelUnknown),
            (Phase::Opening, b"OPNF", 8193, StatusCode::BadTcpMessageTooLarge),
            (Phase::Open, b"MSGF", 8193, StatusCode::BadTcpMessageTooLarge),
            (Phase::Open, b"MSGF", 0, StatusCode::BadDecodingError),
            (Phase::Open, b"MSGF", 23, StatusCode::BadDecodingError),
            (Phase::Open, b"HELF", 100, StatusCode::BadTcpMessageTypeInvalid),
        ] {
            let mut admission = in_phase(now, phase);
            let verdict = admission.on_bytes(now, &header(kind, size));
            assert_eq!(status(verdict), Some(wanted), "{phase:?} {kind:?} {size}");
            assert!(admission.buffered() <= FRAME_HEADER);
        }
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let now = Instant::now();
        let mut admission = in_phase(now, Phase::Open);
        let mut bytes = frame(b"MSGC", 40);
        bytes.extend(frame(b"MSGF", 24));
        let mut sizes = Vec::new();
        for byte in bytes {
            if let Verdict::Frame(frame) = admission.on_bytes(now, &[byte]) {
                sizes.push(frame.bytes.len());
            }
        }
        assert_eq!(sizes, [40, 24]);
        let two = [frame(b"MSGF", 24), frame(b"CLOF", 24)].concat();
        assert!(matches!(admission.on_bytes(now, &two), Verdict::Frame(_)));
        assert!(matches!(admission.on_bytes(now, &[]), Verdict::Frame(_)));
        assert!(matches!(admission.on_bytes(now, &[]), Verdict::More));
    }

    #[test]
    fn a_peer_that_dawdles_or_renews_all_the_time_is_refused() {
        let now = Instant::now();
        let mut slow = Admission::new(now, LIMITS);
        let verdict = slow.on_bytes(now + LIMITS.hello_within, b"H");
        assert_eq!(status(verdict), Some(StatusCode::BadTimeout));
        let mut eager = in_phase(now, Phase::Open);
        assert!(matches!(eager.on_bytes(now, &frame(b"OPNF", 200)), Verdict::Frame(_)));
        let verdict = eager.on_bytes(now + Duration::from_secs(9), &header(b"OPNF", 200));
        assert_eq!(status(verdict), Some(StatusCode::BadTcpNotEnoughResources));
        let mut patient = in_phase(now, Phase::Open);
        assert!(matches!(patient.on_bytes(now, &frame(b"OPNF", 200)), Verdict::Frame(_)));
        let later = now + Duration::from_secs(10);
        assert!(matches!(patient.on_bytes(later, &frame(b"OPNF", 200)), Verdict::Frame(_)));
    }
}
