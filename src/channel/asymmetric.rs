//! Security of the chunks that open a channel (Part 6 §6.7.2.3): always signed and encrypted with
//! the keys of the two certificates, whatever the mode of the channel will be.
//!
//! Every length is checked before it is used, and all failures look alike from outside, so that
//! nobody learns from the error what was wrong with a forged message.

use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use opcua::crypto::{KeySize as _, PrivateKey, PublicKey, SecurityPolicy};
use opcua::types::StatusCode;

use super::frame::FRAME_HEADER;
use super::pki::{OwnIdentity, PeerCertificate};

/// Frame header and channel id.
const CHUNK_HEADER: usize = FRAME_HEADER + 4;
/// Sequence number and request id.
const SEQUENCE_HEADER: usize = 8;
/// Longest security policy URI.
const URI_MAX: usize = 256;
/// Longest sender certificate, with its chain.
const CERTIFICATE_MAX: usize = 16_384;
/// Keys of more than this many bytes have padding whose length takes two bytes.
const SHORT_KEY: usize = 256;

/// The part of an opening chunk that is not encrypted.
#[derive(Debug)]
pub struct OpenHeader<'a> {
    /// Channel id that the peer thinks it has; 0 for a new one.
    pub channel: u32,
    /// Policy.
    pub policy: SecurityPolicy,
    /// The sender's certificate, perhaps followed by its chain; empty under policy None.
    pub certificate: &'a [u8],
    /// Thumbprint of the certificate that it was encrypted for.
    pub thumbprint: &'a [u8],
    /// Where the encrypted part begins.
    pub body: usize,
}

/// What is inside an opening chunk.
#[derive(Debug)]
pub struct OpenedChunk {
    /// Sequence number.
    pub sequence: u32,
    /// Request id.
    pub request: u32,
    /// Type id and request.
    pub message: Vec<u8>,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], StatusCode> {
        let end = self.at.checked_add(count).ok_or(StatusCode::BadDecodingError)?;
        let taken = self.bytes.get(self.at..end).ok_or(StatusCode::BadDecodingError)?;
        self.at = end;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, StatusCode> {
        let taken = self.take(4)?.first_chunk::<4>().ok_or(StatusCode::BadDecodingError)?;
        Ok(u32::from_le_bytes(*taken))
    }

    /// A length and as many bytes; null is empty.
    fn byte_string(&mut self, max: usize) -> Result<&'a [u8], StatusCode> {
        let length = self.u32()?;
        if length == u32::MAX {
            return Ok(&[]);
        }
        let length = length as usize;
        if length > max {
            return Err(StatusCode::BadEncodingLimitsExceeded);
        }
        self.take(length)
    }
}

/// Reads the open part of an opening chunk.
pub fn open_header(chunk: &[u8]) -> Result<OpenHeader<'_>, StatusCode> {
    let mut cursor = Cursor { bytes: chunk, at: FRAME_HEADER };
    let channel = cursor.u32()?;
    let uri = cursor.byte_string(URI_MAX)?;
    let certificate = cursor.byte_string(CERTIFICATE_MAX)?;
    let thumbprint = cursor.byte_string(20)?;
    let uri = str::from_utf8(uri).map_err(|_| StatusCode::BadSecurityPolicyRejected)?;
    let policy = SecurityPolicy::from_uri(uri);
    if policy == SecurityPolicy::Unknown {
        return Err(StatusCode::BadSecurityPolicyRejected);
    }
    Ok(OpenHeader { channel, policy, certificate, thumbprint, body: cursor.at })
}

/// Opens a chunk of policy None.
pub fn open_plain(chunk: &[u8], body: usize) -> Result<OpenedChunk, StatusCode> {
    split(chunk.get(body..).ok_or(StatusCode::BadDecodingError)?)
}

fn split(plain: &[u8]) -> Result<OpenedChunk, StatusCode> {
    let mut cursor = Cursor { bytes: plain, at: 0 };
    let (sequence, request) = (cursor.u32()?, cursor.u32()?);
    let message = plain.get(SEQUENCE_HEADER..).unwrap_or_default().to_vec();
    Ok(OpenedChunk { sequence, request, message })
}

/// Decrypts and verifies an opening chunk; costs a private key operation for each block.
pub fn open_secured(
    chunk: &[u8],
    header: &OpenHeader<'_>,
    own: &Arc<OwnIdentity>,
    peer: &PeerCertificate,
) -> Result<OpenedChunk, StatusCode> {
    const FAILED: StatusCode = StatusCode::BadSecurityChecksFailed;
    if header.thumbprint != own.thumbprint.as_ref() {
        return Err(StatusCode::BadCertificateInvalid);
    }
    let cipher = chunk.get(header.body..).ok_or(FAILED)?;
    let own_size = own.key.size();
    if cipher.is_empty() || !cipher.len().is_multiple_of(own_size) {
        return Err(FAILED);
    }
    let mut plain = vec![0; cipher.len()];
    let decrypted = header.policy.asymmetric_decrypt(&own.key, cipher, &mut plain);
    let length = decrypted.map_err(|_| FAILED)?;
    plain.truncate(length);
    let signature_size = peer.key.size();
    let signed_end = length.checked_sub(signature_size).ok_or(FAILED)?;
    let mut signed = chunk.get(..header.body).ok_or(FAILED)?.to_vec();
    signed.extend_from_slice(&plain[..signed_end]);
    let signature = &plain[signed_end..];
    let verified = header.policy.asymmetric_verify_signature(&peer.key, &signed, signature);
    verified.map_err(|_| FAILED)?;
    let end = without_padding(&plain[..signed_end], own_size).ok_or(FAILED)?;
    split(plain.get(..end).ok_or(FAILED)?)
}

/// Where the padding begins, if it is right.
pub fn without_padding(plain: &[u8], key_size: usize) -> Option<usize> {
    let (low_at, high) = if key_size > SHORT_KEY {
        let high = *plain.last()?;
        (plain.len().checked_sub(2)?, usize::from(high))
    } else {
        (plain.len().checked_sub(1)?, 0)
    };
    let low = *plain.get(low_at)?;
    let padding = high << 8 | usize::from(low);
    let start = low_at.checked_sub(padding)?;
    plain.get(start..=low_at)?.iter().all(|byte| *byte == low).then_some(start)
}

/// What an opening chunk of ours is secured with.
pub struct Sealing<'a> {
    /// Policy.
    pub policy: SecurityPolicy,
    /// Our certificate with its key and that of the peer; absent under policy None.
    pub certificates: Option<(&'a OwnIdentity, &'a PeerCertificate)>,
}

/// Writes an opening chunk of ours.
pub fn seal(
    sealing: &Sealing<'_>,
    channel: u32,
    (sequence, request): (u32, u32),
    message: &[u8],
    out: &mut BytesMut,
) -> Result<(), StatusCode> {
    let mut chunk = BytesMut::with_capacity(message.len() + 4096);
    chunk.put_slice(b"OPNF");
    chunk.put_u32_le(0);
    chunk.put_u32_le(channel);
    put_byte_string(&mut chunk, sealing.policy.to_uri().as_bytes());
    match sealing.certificates {
        Some((own, peer)) => {
            put_byte_string(&mut chunk, own.der.as_ref());
            put_byte_string(&mut chunk, &peer.thumbprint);
        }
        None => {
            chunk.put_u32_le(u32::MAX);
            chunk.put_u32_le(u32::MAX);
        }
    }
    let body = chunk.len();
    chunk.put_u32_le(sequence);
    chunk.put_u32_le(request);
    chunk.put_slice(message);
    if let Some((own, peer)) = sealing.certificates {
        encrypt(sealing.policy, &own.key, &peer.key, &mut chunk, body)?;
    } else {
        put_size(&mut chunk)?;
    }
    debug_assert!(body >= CHUNK_HEADER);
    out.extend_from_slice(&chunk);
    Ok(())
}

fn encrypt(
    policy: SecurityPolicy,
    own: &PrivateKey,
    key: &PublicKey,
    chunk: &mut BytesMut,
    body: usize,
) -> Result<(), StatusCode> {
    let signature_size = own.size();
    let info = policy.asymmetric_padding_info(key);
    let unpadded = chunk.len() - body + signature_size + info.minimum_padding;
    let padding = (info.block_size - unpadded % info.block_size) % info.block_size;
    let [low, high, ..] = padding.to_le_bytes();
    chunk.put_bytes(low, padding + 1);
    if info.minimum_padding == 2 {
        chunk.put_u8(high);
    }
    let plain_size = chunk.len() - body + signature_size;
    let cipher_size = policy.calculate_cipher_text_size(plain_size, key);
    let size = u32::try_from(body + cipher_size).map_err(|_| StatusCode::BadTcpInternalError)?;
    chunk[4..8].copy_from_slice(&size.to_le_bytes());
    let mut signature = vec![0; signature_size];
    policy.asymmetric_sign(own, chunk, &mut signature)?;
    chunk.put_slice(&signature);
    let mut cipher = vec![0; cipher_size];
    policy.asymmetric_encrypt(key, &chunk[body..], &mut cipher)?;
    chunk.truncate(body);
    chunk.put_slice(&cipher);
    Ok(())
}

/// Writes a chunk's size into its header.
pub fn put_size(chunk: &mut [u8]) -> Result<(), StatusCode> {
    let size = u32::try_from(chunk.len()).map_err(|_| StatusCode::BadTcpInternalError)?;
    chunk[4..8].copy_from_slice(&size.to_le_bytes());
    Ok(())
}

fn put_byte_string(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_that_is_not_as_the_standard_has_it_is_refused() {
        assert_eq!(without_padding(&[9, 9, 2, 2, 2], 256), Some(2));
        assert_eq!(without_padding(&[9, 0], 256), Some(1));
        assert_eq!(without_padding(&[9, 1, 1, 0], 384), Some(1));
        assert_eq!(without_padding(&[9, 0, 0], 384), Some(1));
        let mut long = vec![7; 2];
        long.extend([4; 261]);
        long.push(1);
        assert_eq!(without_padding(&long, 384), Some(2));
        for (wrong, key) in [
            (&[][..], 256),
            (&[5], 256),
            (&[255, 255], 256),
            (&[9, 3, 2, 2], 256),
            (&[1], 384),
            (&[255, 255], 384),
        ] {
            assert_eq!(without_padding(wrong, key), None, "{wrong:?}");
        }
    }

    #[test]
    fn headers_that_lie_about_lengths_are_refused() {
        let mut chunk = b"OPNF".to_vec();
        chunk.extend(100_u32.to_le_bytes());
        chunk.extend(0_u32.to_le_bytes());
        let cut = chunk.clone();
        assert_eq!(open_header(&cut).err(), Some(StatusCode::BadDecodingError));
        chunk.extend(0x7fff_ffff_u32.to_le_bytes());
        assert_eq!(open_header(&chunk).err(), Some(StatusCode::BadEncodingLimitsExceeded));
        let uri = b"urn:something:else";
        let mut unknown = chunk[..12].to_vec();
        put(&mut unknown, uri);
        put(&mut unknown, &[]);
        put(&mut unknown, &[]);
        assert_eq!(open_header(&unknown).err(), Some(StatusCode::BadSecurityPolicyRejected));
    }

    fn put(out: &mut Vec<u8>, bytes: &[u8]) {
        out.extend((bytes.len() as u32).to_le_bytes());
        out.extend(bytes);
    }
}
