"""How o6 logs on as people do: over an encrypted channel, with a name and a password. No test logic."""

from pathlib import Path

import o6


def client_of(url, folder, user, password):
    """A client that is not connected yet."""
    folder = Path(folder)
    return o6.Client(
        url, certificate=folder / "app.der", privateKey=folder / "app-key.der",
        securityMode=o6.SecurityMode.SIGN_AND_ENCRYPT, securityPolicy=o6.SecurityPolicy.BASIC256SHA256,
        applicationUri="urn:linewright:interop:client", username=user, password=password)


def plant_of(one):
    """Index of the namespace of instances."""
    uris = [str(uri) for uri in one.read("i=2255")]
    return next(i for i, uri in enumerate(uris) if uri.startswith("urn:linewright:ua:plant:"))
