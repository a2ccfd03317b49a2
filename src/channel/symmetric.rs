//! A secure channel: tokens with their keys, sequence numbers, and the security of message chunks.
//!
//! Keys of an older token stay valid for receiving until they expire, and a server changes its own only
//! when the client uses the new token (Part 4 §5.6.2), so a renewal under load loses nothing.

use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use opcua::crypto::{AesDerivedKeys, SecurityPolicy};
use opcua::types::{MessageSecurityMode, StatusCode};

use super::frame::{ChunkKind, FRAME_HEADER, Frame, Side};

/// Frame header, channel id, token id.
const SYMMETRIC_HEADER: usize = FRAME_HEADER + 8;
/// Sequence number and request id.
const SEQUENCE_HEADER: usize = 8;
/// Sequence numbers wrap before the end of their range (Part 6 §6.7.2.4).
const SEQUENCE_LAST: u32 = u32::MAX - 1024;
/// First number after the wrap is below this.
const SEQUENCE_RESTART: u32 = 1024;
/// AES blocks.
const BLOCK: usize = 16;
/// Tokens that can be valid at once: the present one, the one before, the next one.
const TOKENS_MAX: usize = 3;

/// Keys of one token.
struct Token {
    id: u32,
    /// Keys of what the peer sends and of what we send; absent under policy None.
    keys: Option<(AesDerivedKeys, AesDerivedKeys)>,
    expires: Instant,
}

/// Nonces from which keys are made.
pub struct Nonces<'a> {
    /// Ours.
    pub own: &'a [u8],
    /// The peer's.
    pub peer: &'a [u8],
}

/// A message chunk without its security.
#[derive(Debug)]
pub struct Chunk {
    /// Where it stands.
    pub kind: ChunkKind,
    /// Request id.
    pub request: u32,
    /// Its part of the message.
    pub body: Bytes,
}

/// A secure channel.
pub struct Channel {
    side: Side,
    id: u32,
    policy: SecurityPolicy,
    mode: MessageSecurityMode,
    tokens: Vec<Token>,
    sending: u32,
    received: Option<u32>,
    sequence: u32,
    plain: BytesMut,
}

impl Channel {
    /// Our side of a channel, without a token yet.
    pub fn new(side: Side, id: u32, policy: SecurityPolicy, mode: MessageSecurityMode) -> Channel {
        let (tokens, plain) = (Vec::new(), BytesMut::new());
        Channel { side, id, policy, mode, tokens, sending: 0, received: None, sequence: 0, plain }
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Takes the id that the server has given to a new channel.
    pub fn set_id(&mut self, id: u32) {
        self.id = id;
    }

    /// Adds a token. A client uses it for sending at once, a server when the client has used it.
    pub fn add_token(&mut self, now: Instant, id: u32, lifetime: Duration, nonces: &Nonces<'_>) {
        let keys = (self.policy != SecurityPolicy::None).then(|| {
            let make = |secret, seed| self.policy.make_secure_channel_keys(secret, seed);
            (make(nonces.own, nonces.peer), make(nonces.peer, nonces.own))
        });
        self.tokens.retain(|token| now < token.expires);
        if self.tokens.len() >= TOKENS_MAX {
            let sending = self.sending;
            let oldest = self.tokens.iter().position(|token| token.id != sending);
            oldest.map(|index| self.tokens.remove(index));
        }
        // A quarter more than agreed, for messages that are under way.
        let expires = now + lifetime + lifetime / 4;
        self.tokens.push(Token { id, keys, expires });
        if self.sending == 0 || self.side == Side::Client {
            self.sending = id;
        }
    }

    /// When the last token ends, and with it the channel.
    pub fn expires(&self) -> Option<Instant> {
        self.tokens.iter().map(|token| token.expires).max()
    }

    /// The number of the next chunk of ours.
    pub fn next_sequence(&mut self) -> u32 {
        self.sequence = if self.sequence >= SEQUENCE_LAST { 1 } else { self.sequence + 1 };
        self.sequence
    }

    /// Takes the sequence number of a chunk of the peer; each is the one after the last.
    pub fn accept_sequence(&mut self, number: u32) -> Result<(), StatusCode> {
        let is_next = match self.received {
            None => true,
            Some(last) => {
                number == last.wrapping_add(1) && last != u32::MAX
                    || last >= SEQUENCE_LAST && number < SEQUENCE_RESTART
            }
        };
        if !is_next {
            return Err(StatusCode::BadSequenceNumberInvalid);
        }
        self.received = Some(number);
        Ok(())
    }

    /// Verifies and decrypts a chunk of the peer.
    pub fn open(&mut self, now: Instant, frame: &Frame) -> Result<Chunk, StatusCode> {
        let bytes = &frame.bytes;
        let number = |at: usize| {
            let four = bytes.get(at..at + 4)?.first_chunk::<4>()?;
            Some(u32::from_le_bytes(*four))
        };
        let channel = number(FRAME_HEADER).ok_or(StatusCode::BadDecodingError)?;
        if channel != self.id {
            return Err(StatusCode::BadTcpSecureChannelUnknown);
        }
        let token = number(FRAME_HEADER + 4).ok_or(StatusCode::BadDecodingError)?;
        let known = self.tokens.iter().position(|t| t.id == token && now < t.expires);
        let known = known.ok_or(StatusCode::BadSecureChannelTokenUnknown)?;
        let plain = match &self.tokens[known].keys {
            Some((keys, _)) => self.unsecure(keys, bytes)?,
            None => bytes.slice(SYMMETRIC_HEADER..),
        };
        // Ids rise, so a late chunk of the old token does not lead back to it.
        if self.side == Side::Server {
            self.sending = self.sending.max(token);
        }
        let Some((sequence, rest)) = plain.split_first_chunk::<4>() else {
            return Err(StatusCode::BadDecodingError);
        };
        let Some(request) = rest.first_chunk::<4>() else {
            return Err(StatusCode::BadDecodingError);
        };
        self.accept_sequence(u32::from_le_bytes(*sequence))?;
        let request = u32::from_le_bytes(*request);
        Ok(Chunk { kind: frame.header.chunk, request, body: plain.slice(SEQUENCE_HEADER..) })
    }

    fn unsecure(&self, keys: &AesDerivedKeys, bytes: &Bytes) -> Result<Bytes, StatusCode> {
        const FAILED: StatusCode = StatusCode::BadSecurityChecksFailed;
        let signature_size = self.policy.symmetric_signature_size();
        if self.mode == MessageSecurityMode::Sign {
            let end = bytes.len().checked_sub(signature_size).ok_or(FAILED)?;
            let (signed, signature) = bytes.split_at(end);
            let verified = self.policy.symmetric_verify_signature(keys, signed, signature);
            verified.map_err(|_| FAILED)?;
            return Ok(bytes.slice(SYMMETRIC_HEADER.min(end)..end));
        }
        let cipher = bytes.get(SYMMETRIC_HEADER..).ok_or(FAILED)?;
        if cipher.is_empty() || !cipher.len().is_multiple_of(BLOCK) {
            return Err(FAILED);
        }
        let mut whole = vec![0; bytes.len() + BLOCK];
        whole[..SYMMETRIC_HEADER].copy_from_slice(&bytes[..SYMMETRIC_HEADER]);
        let decrypted = self.policy.symmetric_decrypt(keys, cipher, &mut whole[SYMMETRIC_HEADER..]);
        decrypted.map_err(|_| FAILED)?;
        whole.truncate(bytes.len());
        let end = whole.len().checked_sub(signature_size).ok_or(FAILED)?;
        let (signed, signature) = whole.split_at(end);
        let verified = self.policy.symmetric_verify_signature(keys, signed, signature);
        verified.map_err(|_| FAILED)?;
        // The one byte form of padding: block ciphers have no keys of more than 256 bytes.
        let body = signed.get(SYMMETRIC_HEADER..).ok_or(FAILED)?;
        let length = super::asymmetric::without_padding(body, 0).ok_or(FAILED)?;
        Ok(Bytes::from(whole).slice(SYMMETRIC_HEADER..SYMMETRIC_HEADER + length))
    }

    /// Bytes of a message that fit into one chunk of a size.
    fn body_max(&self, chunk_max: usize) -> usize {
        let fixed = SYMMETRIC_HEADER + SEQUENCE_HEADER;
        match (self.policy, self.mode) {
            (SecurityPolicy::None, _) => chunk_max - fixed,
            (policy, MessageSecurityMode::Sign) => {
                chunk_max - fixed - policy.symmetric_signature_size()
            }
            (policy, _) => {
                let encrypted = (chunk_max - SYMMETRIC_HEADER) / BLOCK * BLOCK;
                encrypted - SEQUENCE_HEADER - 1 - policy.symmetric_signature_size()
            }
        }
    }

    /// How many chunks a message needs.
    pub fn chunks(&self, message: usize, chunk_max: usize) -> usize {
        message.div_ceil(self.body_max(chunk_max)).max(1)
    }

    /// Writes a message in secured chunks of at most `chunk_max` bytes.
    pub fn seal(
        &mut self,
        request: u32,
        message: &[u8],
        chunk_max: usize,
        out: &mut BytesMut,
    ) -> Result<(), StatusCode> {
        let body_max = self.body_max(chunk_max);
        let count = self.chunks(message.len(), chunk_max);
        out.reserve(message.len() + count * 128);
        let mut rest = message;
        for left in (0..count).rev() {
            let (part, after) = rest.split_at(body_max.min(rest.len()));
            rest = after;
            let kind = if left == 0 { b"MSGF" } else { b"MSGC" };
            self.seal_chunk(kind, request, part, out)?;
        }
        Ok(())
    }

    /// Writes the message with which a client closes the channel; it has one chunk.
    pub fn seal_goodbye(
        &mut self,
        request: u32,
        message: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), StatusCode> {
        self.seal_chunk(b"CLOF", request, message, out)
    }

    fn seal_chunk(
        &mut self,
        kind: &[u8; 4],
        request: u32,
        part: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), StatusCode> {
        let sequence = self.next_sequence();
        let start = out.len();
        out.put_slice(kind);
        out.put_u32_le(0);
        out.put_u32_le(self.id);
        out.put_u32_le(self.sending);
        let keys = self.tokens.iter().find(|token| token.id == self.sending);
        let keys = keys.ok_or(StatusCode::BadSecureChannelTokenUnknown)?.keys.as_ref();
        let Some((_, keys)) = keys else {
            out.put_u32_le(sequence);
            out.put_u32_le(request);
            out.put_slice(part);
            return super::asymmetric::put_size(&mut out[start..]);
        };
        let signature_size = self.policy.symmetric_signature_size();
        if self.mode == MessageSecurityMode::Sign {
            out.put_u32_le(sequence);
            out.put_u32_le(request);
            out.put_slice(part);
            let signed_end = out.len();
            out.put_bytes(0, signature_size);
            super::asymmetric::put_size(&mut out[start..])?;
            let (signed, signature) = out[start..].split_at_mut(signed_end - start);
            self.policy.symmetric_sign(keys, signed, signature)?;
            return Ok(());
        }
        let unpadded = SEQUENCE_HEADER + part.len() + 1 + signature_size;
        let padding = (BLOCK - unpadded % BLOCK) % BLOCK;
        let size = SYMMETRIC_HEADER + unpadded + padding;
        let size_field = u32::try_from(size).map_err(|_| StatusCode::BadTcpInternalError)?;
        out[start + 4..start + 8].copy_from_slice(&size_field.to_le_bytes());
        self.plain.clear();
        self.plain.put_slice(&out[start..]);
        self.plain.put_u32_le(sequence);
        self.plain.put_u32_le(request);
        self.plain.put_slice(part);
        self.plain.put_bytes(u8::try_from(padding).unwrap_or(0), padding + 1);
        let signed_end = self.plain.len();
        self.plain.put_bytes(0, signature_size);
        let (signed, signature) = self.plain.split_at_mut(signed_end);
        self.policy.symmetric_sign(keys, signed, signature)?;
        let cipher_at = out.len();
        out.put_bytes(0, size - SYMMETRIC_HEADER + BLOCK);
        let plain = &self.plain[SYMMETRIC_HEADER..];
        self.policy.symmetric_encrypt(keys, plain, &mut out[cipher_at..])?;
        out.truncate(start + size);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::FrameHeader;
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(60);

    /// Two ends of a channel.
    fn pair(policy: SecurityPolicy, mode: MessageSecurityMode) -> (Channel, Channel) {
        let [mut server, mut client] =
            [Side::Server, Side::Client].map(|side| Channel::new(side, 7, policy, mode));
        add(&mut server, &mut client, 1);
        (server, client)
    }

    fn add(server: &mut Channel, client: &mut Channel, token: u32) {
        let now = Instant::now();
        let (own, peer) = ([token as u8; 32], [100 + token as u8; 32]);
        server.add_token(now, token, LIFETIME, &Nonces { own: &own, peer: &peer });
        client.add_token(now, token, LIFETIME, &Nonces { own: &peer, peer: &own });
    }

    fn frames(mut bytes: BytesMut) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(header) = bytes.first_chunk::<8>() {
            // Messages look alike from both sides.
            let header = FrameHeader::read(Side::Client, *header).unwrap();
            frames.push(Frame { header, bytes: bytes.split_to(header.size).freeze() });
        }
        frames
    }

    fn modes() -> Vec<(SecurityPolicy, MessageSecurityMode)> {
        use MessageSecurityMode::{Sign, SignAndEncrypt};
        let mut all = vec![(SecurityPolicy::None, MessageSecurityMode::None)];
        for policy in [
            SecurityPolicy::Basic256Sha256,
            SecurityPolicy::Aes128Sha256RsaOaep,
            SecurityPolicy::Aes256Sha256RsaPss,
        ] {
            all.extend([(policy, Sign), (policy, SignAndEncrypt)]);
        }
        all
    }

    #[test]
    fn messages_of_every_length_come_through_under_every_policy() {
        for (policy, mode) in modes() {
            let (mut server, mut client) = pair(policy, mode);
            for length in [0, 1, 7, 15, 16, 17, 8000, 8192, 30_000] {
                let message: Vec<u8> = (0..length).map(|n| n as u8).collect();
                let mut out = BytesMut::new();
                server.seal(42, &message, 8192, &mut out).unwrap();
                let frames = frames(out);
                assert_eq!(frames.len(), server.chunks(length, 8192));
                let mut received = Vec::new();
                for frame in &frames {
                    assert!(frame.bytes.len() <= 8192, "{policy} {mode:?} {}", frame.bytes.len());
                    let chunk = client.open(Instant::now(), frame).unwrap();
                    assert_eq!(chunk.request, 42);
                    received.extend_from_slice(&chunk.body);
                }
                assert_eq!(received, message, "{policy} {mode:?} {length}");
                let kinds: Vec<_> = frames.iter().map(|frame| frame.header.chunk).collect();
                assert_eq!(kinds.last(), Some(&ChunkKind::Final));
            }
        }
    }

    #[test]
    fn a_changed_cut_or_repeated_chunk_is_refused() {
        for (policy, mode) in modes() {
            let (mut server, mut client) = pair(policy, mode);
            let mut out = BytesMut::new();
            server.seal(1, &[5; 100], 8192, &mut out).unwrap();
            let frame = frames(out).remove(0);
            if policy != SecurityPolicy::None {
                for at in SYMMETRIC_HEADER..frame.bytes.len() {
                    let mut bytes = frame.bytes.to_vec();
                    bytes[at] ^= 1;
                    let forged = Frame { bytes: bytes.into(), ..frame.clone() };
                    let failed = Some(StatusCode::BadSecurityChecksFailed);
                    assert_eq!(client.open(Instant::now(), &forged).err(), failed, "byte {at}");
                }
                for length in 24..frame.bytes.len() {
                    let cut = Frame { bytes: frame.bytes.slice(..length), ..frame.clone() };
                    assert!(client.open(Instant::now(), &cut).is_err());
                }
            }
            client.open(Instant::now(), &frame).unwrap();
            let repeated = client.open(Instant::now(), &frame).err();
            assert_eq!(repeated, Some(StatusCode::BadSequenceNumberInvalid));
        }
    }

    #[test]
    fn a_renewed_token_is_used_for_sending_only_after_the_peer_has_used_it() {
        let policy = SecurityPolicy::Basic256Sha256;
        let (mut server, mut client) = pair(policy, MessageSecurityMode::SignAndEncrypt);
        let send = |from: &mut Channel, to: &mut Channel| {
            let mut out = BytesMut::new();
            from.seal(1, b"message", 8192, &mut out).unwrap();
            let frame = frames(out).remove(0);
            let token = frame.bytes[12];
            to.open(Instant::now(), &frame).map(|_| token)
        };
        add(&mut server, &mut client, 2);
        assert_eq!(send(&mut server, &mut client), Ok(1), "the old token still works");
        client.sending = 1;
        assert_eq!(send(&mut client, &mut server), Ok(1), "both ways");
        assert_eq!(send(&mut server, &mut client), Ok(1));
        client.sending = 2;
        assert_eq!(send(&mut client, &mut server), Ok(2));
        assert_eq!(send(&mut server, &mut client), Ok(2));
        client.tokens.iter_mut().for_each(|token| token.expires = Instant::now());
        let expired = send(&mut server, &mut client);
        assert_eq!(expired, Err(StatusCode::BadSecureChannelTokenUnknown));
    }

    #[test]
    fn sequence_numbers_wrap_where_the_standard_says() {
        let mode = MessageSecurityMode::None;
        let mut channel = Channel::new(Side::Server, 1, SecurityPolicy::None, mode);
        channel.sequence = SEQUENCE_LAST;
        assert_eq!(channel.next_sequence(), 1);
        channel.received = Some(SEQUENCE_LAST + 5);
        assert!(channel.accept_sequence(1024).is_err());
        assert!(channel.accept_sequence(17).is_ok());
        assert!(channel.accept_sequence(17).is_err());
        assert!(channel.accept_sequence(19).is_err());
        assert!(channel.accept_sequence(18).is_ok());
    }
}
