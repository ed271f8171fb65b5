"""Keys for tests, in the forms that OpenSSH reads."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519


def write_key(path: Path, passphrase: str = "") -> None:
    """Write an Ed25519 key pair; the public half with .pub behind its name."""
    key = ed25519.Ed25519PrivateKey.generate()
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8 if passphrase else serialization.PrivateFormat.OpenSSH,
        encryption,
    )
    path.touch(mode=0o600)
    path.write_bytes(private)
    path.with_name(f"{path.name}.pub").write_text(f"{_public(key.public_key())}\n")


def ecdsa_public_key() -> str:
    """The public half of a new key of another type."""
    return _public(ec.generate_private_key(ec.SECP256R1()).public_key())


def _public(key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()
