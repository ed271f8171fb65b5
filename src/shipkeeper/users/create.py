"""Making a user: what proves who they are, put into a kubeconfig that is ready for use."""

import asyncio
import re
import secrets
from base64 import b64decode, b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.kube.errors import ConflictError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.model.meta import KubeObject
from shipkeeper.users.objects import (
    REQUESTS,
    SECRETS,
    SERVICE_ACCOUNTS,
    TokenRequest,
)

How = Literal["certificate", "serviceaccount"]

SIGNER = "kubernetes.io/kube-apiserver-client"
LABEL = "shipkeeper.dev/user"
_SUFFIX = 4  # bytes that tell the logins of a user from each other
_WAIT = timedelta(seconds=60)
_OWN = "system:"


class CreateError(ShipkeeperError):
    """A user could not be made."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Who is wanted: a name and groups, proven how, for how long; namespace of a ServiceAccount."""

    name: str
    groups: tuple[str, ...]
    how: How
    namespace: str
    lifetime: timedelta


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A user's part of a kubeconfig, who they are to the cluster, and when that ends."""

    user: str
    login: dict[str, Any]
    ends: datetime


def require_sensible(wish: Wish) -> None:
    """UsageError for a user that should not be, or cannot."""
    if wish.how == "serviceaccount" and wish.groups:
        raise UsageError(
            "a ServiceAccount cannot be in groups of one's choice",
            reason="NoGroups",
            hint="bind roles to the ServiceAccount, or use --how certificate",
        )
    for name in (wish.name, *wish.groups):
        if not name.strip() or name.startswith(_OWN):
            raise UsageError(
                f"{name!r} is not for users: names that begin with system: are Kubernetes' own",
                reason="ReservedName",
                hint="use a group of your own, and bind it to a role",
            )
    if wish.lifetime < timedelta(minutes=10):
        raise UsageError(
            "API servers hand out nothing for less than ten minutes",
            reason="TooShort",
            hint="--expires 10m, or longer",
        )


def plan(wish: Wish) -> tuple[str, ...]:
    """What would be done, in words."""
    if wish.how == "certificate":
        groups = f" in {', '.join(wish.groups)}" if wish.groups else ""
        return (
            f"make a key here, and a CertificateSigningRequest for {wish.name}{groups}",
            f"approve it for the signer {SIGNER}",
            "WARNING: nobody can take a certificate back: until it ends, bindings are all there is",
        )
    account = f"{wish.namespace}/{wish.name}"
    return (
        f"create ServiceAccount {account}, unless it is there",
        f"create a Secret in {wish.namespace} that the token is bound to: without it, it ends",
        f"request a token of {account} for that Secret",
    )


async def create(wish: Wish, writer: Writer) -> Made:
    """Make the user; CreateError, or ApiError, if the cluster will not."""
    if wish.how == "certificate":
        return await _certified(wish, writer)
    return await _accounted(wish, writer)


async def _certified(wish: Wish, writer: Writer) -> Made:
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"shipkeeper-{secrets.token_hex(6)}"
    manifest: dict[str, Any] = {
        "apiVersion": REQUESTS.api_version,
        "kind": REQUESTS.kind,
        "metadata": {"name": name, "labels": {LABEL: label_of(wish.name)}},
        "spec": {
            "request": b64encode(_request(key, wish)).decode(),
            "signerName": SIGNER,
            "expirationSeconds": int(wish.lifetime.total_seconds()),
            "usages": ["client auth"],
        },
    }
    await writer.create(REQUESTS, manifest)
    approval = {
        "type": "Approved",
        "status": "True",
        "reason": "ShipkeeperUsersCreate",
        "message": "asked for by shipkeeper users create",
    }
    if writer.dry_run:
        return Made(user=wish.name, login={}, ends=datetime.now(UTC) + wish.lifetime)
    status = {"status": {"conditions": [approval]}}
    await writer.patch(REQUESTS, name, status, subresource="approval")
    certificate = await _issued(name, Reader(writer.connection))
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    login = {
        "client-certificate-data": b64encode(certificate).decode(),
        "client-key-data": b64encode(pem).decode(),
    }
    ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    return Made(user=wish.name, login=login, ends=ends)


def _request(key: ec.EllipticCurvePrivateKey, wish: Wish) -> bytes:
    try:
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in wish.groups),
                x509.NameAttribute(NameOID.COMMON_NAME, wish.name),
            ]
        )
    except ValueError as error:
        raise UsageError(
            f"a certificate cannot hold these names: {error}",
            reason="InvalidSubject",
            hint="names of users and groups have 1 to 64 characters",
        ) from error
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


async def _issued(name: str, reader: Reader) -> bytes:
    try:
        async with asyncio.timeout(_WAIT.total_seconds()):
            while not (found := (await reader.get(REQUESTS, name)).status).certificate:
                failed = [each for each in found.conditions if each.type in ("Failed", "Denied")]
                if failed:
                    raise CreateError(
                        f"the certificate is refused: {failed[0].message}",
                        reason=failed[0].reason or "Refused",
                        hint=f"see: kubectl describe csr {name}",
                    )
                await asyncio.sleep(0.2)
    except TimeoutError as error:
        raise CreateError(
            f"nobody signs the certificate of CertificateSigningRequest {name}",
            reason="NotSigned",
            hint="does the controller manager have --cluster-signing-cert-file and -key-file?",
        ) from error
    return b64decode(found.certificate)


async def _accounted(wish: Wish, writer: Writer) -> Made:
    labels = {LABEL: label_of(wish.name)}
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": wish.name, "labels": labels},
        "automountServiceAccountToken": False,
    }
    # One that is there already is meant: one more token of it is what was asked for.
    with suppress(ConflictError):
        await writer.create(SERVICE_ACCOUNTS, account, namespace=wish.namespace)
    bound = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{wish.name}-login-{secrets.token_hex(_SUFFIX)}", "labels": labels},
        "immutable": True,
    }
    secret = await writer.create(SECRETS, bound, namespace=wish.namespace)
    user = f"system:serviceaccount:{wish.namespace}:{wish.name}"
    if writer.dry_run:
        return Made(user=user, login={}, ends=datetime.now(UTC) + wish.lifetime)
    reference = {"apiVersion": "v1", "kind": "Secret", "name": secret.name, "uid": secret.uid}
    asked = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "expirationSeconds": int(wish.lifetime.total_seconds()),
            "boundObjectRef": reference,
        },
    }
    answer = await writer.post_subresource(
        SERVICE_ACCOUNTS, wish.name, "token", asked, namespace=wish.namespace
    )
    status = msgspec.json.decode(answer, type=TokenRequest).status
    return Made(user=user, login={"token": status.token}, ends=status.expiration_timestamp)


def kubeconfig(cluster: dict[str, Any], made: Made, namespace: str) -> bytes:
    """A kubeconfig of this user for a cluster of another; files that it names are put inside."""
    place = {**cluster}
    if authority := place.pop("certificate-authority", ""):
        place["certificate-authority-data"] = b64encode(Path(authority).read_bytes()).decode()
    context = {"cluster": "kubernetes", "user": made.user}
    if namespace:
        context["namespace"] = namespace
    return msgspec.yaml.encode(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kubernetes", "cluster": place}],
            "users": [{"name": made.user, "user": made.login}],
            "contexts": [{"name": made.user, "context": context}],
            "current-context": made.user,
        }
    )


def label_of(name: str) -> str:
    """The name as far as a label can hold it."""
    kept = "".join(each if each.isascii() and each.isalnum() else "-" for each in name)
    return kept[:63].strip("-") or "user"


def is_login_of(secret: KubeObject, name: str) -> bool:
    """Whether a Secret is what tokens of this ServiceAccount were bound to when it was created.

    Names say more than labels, which hold a part of a long one; but names alone others have, too.
    """
    pattern = rf"{re.escape(name)}-login-[0-9a-f]{{{2 * _SUFFIX}}}"
    is_ours = secret.metadata.labels.get(LABEL) == label_of(name)
    return is_ours and re.fullmatch(pattern, secret.name) is not None
