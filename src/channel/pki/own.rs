//! Our own certificate and key: made on the first start, readable by nobody else.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use opcua::crypto::{PrivateKey, X509, X509Data};
use opcua::types::ByteString;

use super::certificate::PeerCertificate;

/// Length of new keys in bits.
const KEY_BITS: u32 = 3072;
/// How long new certificates are valid.
const VALID_DAYS: u32 = 5 * 365;

/// Our certificate and key.
pub struct OwnIdentity {
    /// The key.
    pub key: PrivateKey,
    /// The certificate.
    pub der: ByteString,
    /// SHA-1 of the certificate.
    pub thumbprint: ByteString,
    /// The certificate, parsed as those of others.
    pub certificate: PeerCertificate,
}

impl std::fmt::Debug for OwnIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.certificate)
    }
}

/// Where our certificate is.
pub fn certificate_path(root: &Path) -> PathBuf {
    root.join("own/cert.der")
}

/// Where our key is.
pub fn key_path(root: &Path) -> PathBuf {
    root.join("private/private.pem")
}

impl OwnIdentity {
    /// Reads certificate and key, or makes them when there are none.
    pub fn load_or_create(root: &Path, uri: &str, hosts: &[String]) -> Result<OwnIdentity, String> {
        let (certificate, key) = (certificate_path(root), key_path(root));
        if !certificate.exists() && !key.exists() {
            create(root, uri, hosts)?;
        }
        let own = OwnIdentity::load(&certificate, &key).map_err(|problem| {
            format!("{problem}; restore it, or make a new pair with linewright pki new-cert")
        })?;
        if own.certificate.application_uri().as_deref() != Some(uri) {
            return Err(format!(
                "{}: is not for {uri}, the URI of this application; make a new pair with linewright \
                 pki new-cert",
                certificate.display()
            ));
        }
        Ok(own)
    }

    /// Reads a certificate and its key.
    pub fn load(certificate: &Path, key: &Path) -> Result<OwnIdentity, String> {
        let problem = |path: &Path, what: String| format!("{}: {what}", path.display());
        protect(key).map_err(|error| problem(key, error))?;
        let pem = fs::read(key).map_err(|error| problem(key, error.to_string()))?;
        let private = PrivateKey::from_pem(&pem)
            .map_err(|_| problem(key, "is no RSA private key in PEM".into()))?;
        let der = fs::read(certificate).map_err(|e| problem(certificate, e.to_string()))?;
        let parsed = PeerCertificate::from_file(&der)
            .map_err(|_| problem(certificate, "is no certificate with an RSA key".into()))?;
        if !belongs(&private, &parsed) {
            return Err(problem(certificate, "does not belong to the private key".into()));
        }
        Ok(OwnIdentity {
            key: private,
            der: parsed.der.clone(),
            thumbprint: ByteString::from(&parsed.thumbprint),
            certificate: parsed,
        })
    }

    /// Whole days until the certificate expires; negative when it has.
    pub fn days_left(&self, now_seconds: i64) -> i64 {
        (self.certificate.validity().1 - now_seconds).div_euclid(86_400)
    }
}

fn belongs(key: &PrivateKey, certificate: &PeerCertificate) -> bool {
    let policy = opcua::crypto::SecurityPolicy::Basic256Sha256;
    let mut signature = vec![0; opcua::crypto::KeySize::size(key)];
    let signed = policy.asymmetric_sign(key, b"ours", &mut signature);
    let verify = |_| policy.asymmetric_verify_signature(&certificate.key, b"ours", &signature);
    signed.is_ok_and(|size| verify(size).is_ok())
}

/// Lets only this user read the key.
fn protect(key: &Path) -> Result<(), String> {
    let mode = fs::metadata(key).map_err(|error| error.to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(key = %key.display(), "the private key was readable by others; corrected");
        fs::set_permissions(key, fs::Permissions::from_mode(0o600))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Makes a key and a certificate signed with it, in place of those that are there.
pub fn create(root: &Path, uri: &str, hosts: &[String]) -> Result<(), String> {
    let addresses = Some(hosts.to_vec());
    let data = X509Data {
        key_size: KEY_BITS,
        common_name: "Linewright".into(),
        organization: "Linewright".into(),
        // Where we stand is not ours to say: empty parts are left out of the name.
        organizational_unit: String::new(),
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names(uri, addresses, false, true, false),
        certificate_duration_days: VALID_DAYS,
    };
    let (certificate, key) = X509::cert_and_pkey(&data)?;
    let der = certificate.to_der().map_err(|error| error.to_string())?;
    let pem = to_pem(&key)?;
    write(&key_path(root), pem.as_bytes(), 0o600)?;
    write(&certificate_path(root), &der, 0o644)
}

fn to_pem(key: &PrivateKey) -> Result<String, String> {
    use base64::Engine as _;
    let der = key.to_der().map_err(|error| error.to_string())?;
    let text = base64::engine::general_purpose::STANDARD.encode(der.as_bytes());
    let mut pem = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem += &String::from_utf8_lossy(line);
        pem.push('\n');
    }
    Ok(pem + "-----END PRIVATE KEY-----\n")
}

/// Writes a file as a whole or not at all, with its mode from the first byte on.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("{}: {error}", path.display());
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(problem)?;
    let temporary = path.with_extension("new");
    // A leftover of a start that was cut short has no use.
    let _ = fs::remove_file(&temporary);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
    let mut file = file.map_err(problem)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(problem)?;
    fs::rename(&temporary, path).map_err(problem)
}
