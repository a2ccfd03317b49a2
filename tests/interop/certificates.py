"""Certificates for the clients of the tests: one of an application, one of a user."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEAR = datetime.timedelta(days=365)


def make(directory, name, uri):
    """Writes NAME.der, NAME.pem, NAME-key.der and NAME-key.pem."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"interop {name}")])
    now = datetime.datetime.now(datetime.timezone.utc)
    usage = {use: use in ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
             for use in ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                         "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")}
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + YEAR)
        .add_extension(x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(uri), x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256()))
    directory.mkdir(parents=True, exist_ok=True)
    for encoding, suffix in ((serialization.Encoding.DER, "der"), (serialization.Encoding.PEM, "pem")):
        (directory / f"{name}.{suffix}").write_bytes(certificate.public_bytes(encoding))
        (directory / f"{name}-key.{suffix}").write_bytes(key.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
