//! Proofs that a key is one's own: a signature over the other side's certificate and nonce (Part 4
//! §5.7.2 and §5.7.3).

use opcua::crypto::{KeySize as _, PrivateKey, SecurityPolicy};
use opcua::types::{ByteString, SignatureData, StatusCode};

use super::pki::PeerCertificate;

/// Signs what the other side has sent.
pub fn sign(
    policy: SecurityPolicy,
    key: &PrivateKey,
    certificate: &[u8],
    nonce: &ByteString,
) -> Result<SignatureData, StatusCode> {
    let signed = [certificate, nonce.as_ref()].concat();
    let mut signature = vec![0; key.size()];
    policy.asymmetric_sign(key, &signed, &mut signature)?;
    Ok(SignatureData {
        algorithm: policy.asymmetric_signature_algorithm().into(),
        signature: ByteString::from(signature),
    })
}

/// Whether the owner of a certificate has signed our certificate and nonce.
pub fn verify(
    policy: SecurityPolicy,
    signer: &PeerCertificate,
    certificate: &[u8],
    nonce: &ByteString,
    signature: &SignatureData,
) -> Result<(), StatusCode> {
    const WRONG: StatusCode = StatusCode::BadApplicationSignatureInvalid;
    let is_algorithm = signature.algorithm.as_ref() == policy.asymmetric_signature_algorithm();
    if !is_algorithm || signature.signature.len() != signer.key.size() {
        return Err(WRONG);
    }
    let signed = [certificate, nonce.as_ref()].concat();
    let verified =
        policy.asymmetric_verify_signature(&signer.key, &signed, signature.signature.as_ref());
    verified.map_err(|_| WRONG)
}
