"""How asyncua logs on as people do: over an encrypted channel, with a name and a password, or as the engineer
with a certificate. No test logic."""

from pathlib import Path

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256


async def client_of(url, folder, user=None, password=None):
    """A client that is not connected yet; of the engineer where there is no user."""
    folder = Path(folder)
    client = Client(url)
    await client.set_security(SecurityPolicyBasic256Sha256, str(folder / "app.der"),
                              str(folder / "app-key.pem"), mode=ua.MessageSecurityMode.SignAndEncrypt)
    client.application_uri = "urn:linewright:interop:client"
    if user is None:
        await client.load_client_certificate(str(folder / "user.der"))
        await client.load_private_key(str(folder / "user-key.pem"))
    else:
        client.set_user(user)
        client.set_password(password)
    return client
