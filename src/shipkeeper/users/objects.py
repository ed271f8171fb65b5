"""The objects that identities are made of, as far as they are looked at."""

from datetime import datetime

import msgspec

from shipkeeper.kube.resources import Resource
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import Condition, KubeObject


class SecretData(KubeObject, frozen=True, kw_only=True):
    """A Secret with its values in base64; they never leave the functions that look at them."""

    type: str = ""
    data: dict[str, str] = {}


class RequestStatus(KubeStruct, frozen=True, kw_only=True):
    """What became of a CertificateSigningRequest; the certificate is PEM in base64."""

    conditions: tuple[Condition, ...] = ()
    certificate: str = ""


class CertificateRequest(KubeObject, frozen=True, kw_only=True):
    """A CertificateSigningRequest."""

    status: RequestStatus = RequestStatus()


class TokenStatus(KubeStruct, frozen=True, kw_only=True):
    """A token that the API server made."""

    token: str
    expiration_timestamp: datetime


class TokenRequest(msgspec.Struct, frozen=True):
    """The answer to a TokenRequest."""

    status: TokenStatus


SECRETS = Resource("", "v1", "secrets", "Secret", SecretData)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount", KubeObject)
REQUESTS = Resource(
    "certificates.k8s.io",
    "v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    CertificateRequest,
    namespaced=False,
)
