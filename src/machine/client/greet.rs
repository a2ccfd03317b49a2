//! From a URL to a greeted connection: name, socket, HELLO and ACKNOWLEDGE (Part 6 §7.1.2).

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use opcua::types::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::failure::Failure;
use super::target::host_and_port;
use crate::channel::frame::{FRAME_HEADER, Frame, FrameHeader, FrameKind, Side};

/// Largest chunk that we take and send.
pub const CHUNK_MAX: usize = 65_536;
/// Largest message that we take, of all its chunks.
pub const MESSAGE_MAX: usize = 16 << 20;
/// Most chunks of a message that we take.
pub const CHUNKS_MAX: usize = 2048;
/// Smallest buffer that a peer may offer (Part 6 §7.1.2.4).
const BUFFER_MIN: usize = 8192;
/// How long a greeting may take, from the first packet to the last.
const GREETING: Duration = Duration::from_secs(5);
/// Longest text of an error that is shown.
const REASON_MAX: usize = 300;

/// What the machine takes.
#[derive(Clone, Copy, Debug)]
pub struct PeerLimits {
    /// Largest chunk.
    pub chunk: usize,
    /// Largest message; 0 for any.
    pub message: usize,
    /// Most chunks of a message; 0 for any number.
    pub chunks: usize,
}

/// Cuts frames out of what was read.
#[derive(Debug)]
pub struct Framer {
    input: BytesMut,
}

impl Framer {
    /// Nothing was read yet.
    pub fn new() -> Framer {
        Framer { input: BytesMut::new() }
    }

    /// Where to read into.
    pub fn input(&mut self) -> &mut BytesMut {
        self.input.reserve(BUFFER_MIN);
        &mut self.input
    }

    /// The next frame that is there as a whole.
    pub fn next(&mut self) -> Result<Option<Frame>, Failure> {
        let Some(header) = self.input.first_chunk::<FRAME_HEADER>() else {
            return Ok(None);
        };
        let header = FrameHeader::read(Side::Server, *header)
            .map_err(|status| Failure::malformed(status, "this is no OPC UA server"))?;
        if !(FRAME_HEADER..=CHUNK_MAX).contains(&header.size) {
            let text = format!("a chunk of {} bytes is announced", header.size);
            return Err(Failure::malformed(StatusCode::BadTcpMessageTooLarge, text));
        }
        if self.input.len() < header.size {
            return Ok(None);
        }
        Ok(Some(Frame { header, bytes: self.input.split_to(header.size).freeze() }))
    }
}

/// Connects and says hello.
pub async fn greet(url: &str) -> Result<(TcpStream, Framer, PeerLimits), Failure> {
    match tokio::time::timeout(GREETING, connect(url)).await {
        Ok(greeted) => greeted,
        Err(_) => Err(Failure::silent(format!("{url} does not answer"))),
    }
}

async fn connect(url: &str) -> Result<(TcpStream, Framer, PeerLimits), Failure> {
    let target = host_and_port(url).ok_or_else(|| {
        Failure::lost(StatusCode::BadTcpEndpointUrlInvalid, format!("{url} is no OPC UA address"))
    })?;
    let mut stream = TcpStream::connect((target.0.as_str(), target.1)).await.map_err(|error| {
        let text = format!("no connection to {}:{}: {error}", target.0, target.1);
        Failure::lost(StatusCode::BadConnectionRejected, text)
    })?;
    stream.set_nodelay(true).map_err(|error| broken(&error))?;
    stream.write_all(&hello(url)).await.map_err(|error| broken(&error))?;
    let mut framer = Framer::new();
    let frame = next_frame(&mut stream, &mut framer).await?;
    match frame.header.kind {
        FrameKind::Acknowledge => Ok((stream, framer, acknowledged(&frame.bytes)?)),
        FrameKind::Error => Err(told(&frame.bytes)),
        _ => {
            let text = "the machine does not answer a hello";
            Err(Failure::malformed(StatusCode::BadTcpMessageTypeInvalid, text))
        }
    }
}

/// Waits for a whole frame.
pub async fn next_frame(stream: &mut TcpStream, framer: &mut Framer) -> Result<Frame, Failure> {
    loop {
        if let Some(frame) = framer.next()? {
            return Ok(frame);
        }
        match stream.read_buf(framer.input()).await {
            Ok(0) => return Err(closed()),
            Ok(_) => {}
            Err(error) => return Err(broken(&error)),
        }
    }
}

/// The machine has closed the connection.
pub fn closed() -> Failure {
    Failure::lost(StatusCode::BadConnectionClosed, "the machine has closed the connection")
}

/// The connection has failed.
pub fn broken(error: &std::io::Error) -> Failure {
    let text = format!("the connection is broken: {error}");
    Failure::lost(StatusCode::BadConnectionClosed, text)
}

fn hello(url: &str) -> BytesMut {
    let mut out = BytesMut::with_capacity(64 + url.len());
    let size = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    out.put_slice(b"HELF");
    out.put_u32_le(size(FRAME_HEADER + 24 + url.len()));
    out.put_u32_le(0);
    out.put_u32_le(size(CHUNK_MAX));
    out.put_u32_le(size(CHUNK_MAX));
    out.put_u32_le(size(MESSAGE_MAX));
    out.put_u32_le(size(CHUNKS_MAX));
    out.put_u32_le(size(url.len()));
    out.put_slice(url.as_bytes());
    out
}

fn number(bytes: &[u8], index: usize) -> Option<usize> {
    let four = bytes.get(FRAME_HEADER + 4 * index..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*four)).ok()
}

/// Protocol version, what it receives, what it sends, largest message, most chunks.
fn acknowledged(bytes: &Bytes) -> Result<PeerLimits, Failure> {
    let short = || Failure::malformed(StatusCode::BadDecodingError, "its acknowledge is cut short");
    let [receives, message, chunks] = [1, 3, 4].map(|index| number(bytes, index).ok_or_else(short));
    let receives = receives?;
    if receives < BUFFER_MIN {
        let text = format!("it takes chunks of {receives} bytes only; 8192 is the least");
        return Err(Failure::malformed(StatusCode::BadConnectionRejected, text));
    }
    Ok(PeerLimits { chunk: receives.min(CHUNK_MAX), message: message?, chunks: chunks? })
}

/// What the machine says before it closes the connection (Part 6 §7.1.2.5).
pub fn told(bytes: &Bytes) -> Failure {
    let status = bytes.get(FRAME_HEADER..).and_then(|rest| rest.first_chunk::<4>());
    let status = status.map_or(StatusCode::BadConnectionClosed, |four| {
        StatusCode::from(u32::from_le_bytes(*four))
    });
    let reason = bytes.get(FRAME_HEADER + 8..).map(String::from_utf8_lossy).unwrap_or_default();
    let reason: String =
        reason.chars().filter(|letter| !letter.is_control()).take(REASON_MAX).collect();
    let said = match reason.is_empty() {
        true => "the machine has closed the connection".to_owned(),
        false => format!("the machine has closed the connection: {reason}"),
    };
    Failure::lost(status, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framer(bytes: &[u8]) -> Framer {
        Framer { input: BytesMut::from(bytes) }
    }

    #[test]
    fn frames_are_cut_where_they_end_and_large_or_strange_ones_are_refused() {
        let mut two = framer(b"MSGF\x0a\0\0\0abMSGC\x08\0\0\0MS");
        assert_eq!(two.next().unwrap().unwrap().bytes.len(), 10);
        assert_eq!(two.next().unwrap().unwrap().bytes.len(), 8);
        assert!(two.next().unwrap().is_none(), "the rest is no header yet");
        for wrong in [&b"HTTP/1.1 400"[..], b"MSGF\x07\0\0\0", b"MSGF\0\0\x02\0", b"HELF\x08\0\0\0"]
        {
            let failure = framer(wrong).next().unwrap_err();
            assert_eq!(failure.kind, super::super::failure::FailureKind::Malformed, "{wrong:?}");
        }
    }

    #[test]
    fn an_error_is_told_in_the_words_of_the_machine_without_its_control_characters() {
        let mut bytes = b"ERRF\0\0\0\0".to_vec();
        bytes.extend(StatusCode::BadTcpServerTooBusy.bits().to_le_bytes());
        bytes.extend(6_u32.to_le_bytes());
        bytes.extend(b"no\x1b[31m");
        let failure = told(&bytes.into());
        assert_eq!(failure.status, StatusCode::BadTcpServerTooBusy);
        assert_eq!(failure.text, "the machine has closed the connection: no[31m");
        assert_eq!(told(&Bytes::from_static(b"ERRF")).status, StatusCode::BadConnectionClosed);
    }
}
