"""Values that the API server encrypted: the keys of its EncryptionConfiguration, and opening them.

Source: kubernetes/apiserver, pkg/storage/value/encrypt. Pure.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shipkeeper.etcd.encrypted import MARK, Keys
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.secretbox import NotSealedError, open_secretbox

_PROVIDERS: Final = ("aescbc", "aesgcm", "secretbox")
_BLOCK: Final = 16
_NONCE: Final = 12


class EncryptionError(EtcdError):
    """A value cannot be decrypted, or the configuration makes no sense."""


class _Key(msgspec.Struct, frozen=True):
    name: str
    secret: str


class _Provider(msgspec.Struct, frozen=True):
    keys: tuple[_Key, ...] = ()


class _Resource(msgspec.Struct, frozen=True):
    providers: tuple[dict[str, _Provider | None], ...]


class _Configuration(msgspec.Struct, frozen=True):
    resources: tuple[_Resource, ...]


def decode_keys(text: str) -> Keys:
    """Read an EncryptionConfiguration; EncryptionError if it is none."""
    found: dict[tuple[str, str], bytes] = {}
    try:
        configuration = msgspec.convert(msgspec.yaml.decode(text), type=_Configuration)
        for resource in configuration.resources:
            for provider in resource.providers:
                for kind, about in provider.items():
                    for key in about.keys if about and kind in _PROVIDERS else ():
                        found[kind, key.name] = base64.b64decode(key.secret, validate=True)
    except (msgspec.MsgspecError, binascii.Error) as error:
        raise EncryptionError(
            "the encryption configuration cannot be read",
            reason="InvalidEncryptionConfiguration",
            hint="name the file that kube-apiserver's --encryption-provider-config names",
        ) from error
    return Keys(found)


def decrypt(value: bytes, key: bytes, keys: Keys) -> bytes:
    """The value in the clear: as it is, unless it is marked as encrypted. `key` is etcd's.

    EncryptionError when the key is not there or does not fit, or for a KMS.
    """
    if not value.startswith(MARK):
        return value
    parts = value.split(b":", 5)
    provider = parts[2].decode(errors="replace")
    if provider not in _PROVIDERS or len(parts) < 6:
        raise EncryptionError(
            f"{key.decode(errors='replace')} is encrypted by {provider}, which only a running "
            "API server can open",
            reason="UnknownProvider",
            hint="restore the snapshot and read it through an API server",
        )
    name = parts[4].decode(errors="replace")
    secret = keys.by_name.get((provider, name))
    if secret is None:
        raise EncryptionError(
            f"{key.decode(errors='replace')} is encrypted by {provider} with key {name!r}",
            reason="KeyMissing",
            hint="name the configuration that has this key with --encryption-provider-config",
        )
    try:
        return _OPENERS[provider](parts[5], secret, key)
    except (InvalidTag, NotSealedError, ValueError) as error:
        raise EncryptionError(
            f"{key.decode(errors='replace')} does not open with key {name!r} of {provider}",
            reason="WrongKey",
            hint="name the configuration of the time when the snapshot was taken",
        ) from error


def _aescbc(data: bytes, secret: bytes, _: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(secret), modes.CBC(data[:_BLOCK])).decryptor()
    padded = decryptor.update(data[_BLOCK:]) + decryptor.finalize()
    remover = padding.PKCS7(_BLOCK * 8).unpadder()
    return remover.update(padded) + remover.finalize()


def _aesgcm(data: bytes, secret: bytes, key: bytes) -> bytes:
    return AESGCM(secret).decrypt(data[:_NONCE], data[_NONCE:], key)


def _secretbox(data: bytes, secret: bytes, _: bytes) -> bytes:
    return open_secretbox(data, secret)


_OPENERS: Final = cast(
    "Mapping[str, Any]", {"aescbc": _aescbc, "aesgcm": _aesgcm, "secretbox": _secretbox}
)
