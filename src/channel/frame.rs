//! Frames of OPC UA TCP (Part 6 §7.1.2): what the first eight bytes say, judged before anything
//! behind them is waited for.

use bytes::Bytes;
use opcua::types::StatusCode;

/// Bytes of every frame before its body: type, chunk kind, size.
pub const FRAME_HEADER: usize = 8;

/// The two sides of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The one that connects and asks.
    Client,
    /// The one that answers.
    Server,
}

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameKind {
    /// Hello of a client.
    Hello,
    /// What a server answers to it.
    Acknowledge,
    /// What a server says before it closes the connection.
    Error,
    /// A chunk that opens or renews a secure channel.
    Open,
    /// A chunk of a message.
    Message,
    /// A chunk that closes a secure channel.
    Close,
}

/// Where a chunk stands in its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChunkKind {
    /// More follow.
    Intermediate,
    /// The last one.
    Final,
    /// The sender gives the message up.
    Abort,
}

/// The first eight bytes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// What it carries.
    pub kind: FrameKind,
    /// Where it stands in its message.
    pub chunk: ChunkKind,
    /// Size with these eight bytes.
    pub size: usize,
}

/// A whole frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its header.
    pub header: FrameHeader,
    /// All of it, header included.
    pub bytes: Bytes,
}

impl FrameHeader {
    /// Reads a header; a type that this side may not send is [`StatusCode::BadTcpMessageTypeInvalid`].
    pub fn read(sender: Side, bytes: [u8; FRAME_HEADER]) -> Result<FrameHeader, StatusCode> {
        let [a, b, c, chunk, s0, s1, s2, s3] = bytes;
        let kind = match &[a, b, c] {
            b"HEL" if sender == Side::Client => FrameKind::Hello,
            b"ACK" if sender == Side::Server => FrameKind::Acknowledge,
            b"ERR" if sender == Side::Server => FrameKind::Error,
            b"OPN" => FrameKind::Open,
            b"MSG" => FrameKind::Message,
            b"CLO" if sender == Side::Client => FrameKind::Close,
            _ => return Err(StatusCode::BadTcpMessageTypeInvalid),
        };
        let chunk = match chunk {
            b'F' => ChunkKind::Final,
            b'C' if kind == FrameKind::Message => ChunkKind::Intermediate,
            b'A' if kind == FrameKind::Message => ChunkKind::Abort,
            _ => return Err(StatusCode::BadTcpMessageTypeInvalid),
        };
        let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        Ok(FrameHeader { kind, chunk, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_that_a_side_may_send_are_known() {
        let read = |side: Side, text: &[u8; 4]| {
            let [a, b, c, d] = *text;
            let header = FrameHeader::read(side, [a, b, c, d, 12, 0, 0, 0]);
            header.map(|header| (header.kind, header.size))
        };
        assert_eq!(read(Side::Client, b"HELF"), Ok((FrameKind::Hello, 12)));
        assert_eq!(read(Side::Server, b"ACKF"), Ok((FrameKind::Acknowledge, 12)));
        for side in [Side::Client, Side::Server] {
            assert_eq!(read(side, b"MSGC"), Ok((FrameKind::Message, 12)));
            let others: [&[u8; 4]; 3] = match side {
                Side::Client => [b"ACKF", b"ERRF", b"RHEF"],
                Side::Server => [b"HELF", b"CLOF", b"RHEF"],
            };
            let never = [b"HELC", b"ACKC", b"OPNC", b"CLOA", b"MSGX", b"GET "];
            for wrong in others.into_iter().chain(never) {
                let refused = Err(StatusCode::BadTcpMessageTypeInvalid);
                assert_eq!(read(side, wrong), refused, "{side:?} {wrong:?}");
            }
        }
    }
}
