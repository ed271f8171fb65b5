"""caBundles: by what the API server trusts webhooks, aggregated APIs and converters. Pure."""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import msgspec

from shipkeeper.access.certs.certificate import Certificate, UnreadableError, parse_pem
from shipkeeper.access.certs.kinds import (
    ApiService,
    ClientConfig,
    Definition,
    ServiceReference,
    WebhookConfiguration,
)
from shipkeeper.access.certs.survey import Kind, Role, Sighting
from shipkeeper.engine.finding import Finding, Severity


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom the API server calls: where, by which name, trusted by what (None: system)."""

    role: Role
    target: str
    service: ServiceReference | None = None
    address: str = ""
    port: int = 443
    name: str
    anchors: tuple[Certificate, ...] | None = None
    is_checked: bool = True
    bundle: Sighting | None = None


def webhook_backends(kind: str, found: WebhookConfiguration) -> Iterator[Backend]:
    """The backends of a webhook configuration."""
    for each in found.webhooks or ():
        yield _backend(Role.WEBHOOK, f"{kind} {found.name}/{each.name}", each.client_config)


def conversion_backend(found: Definition) -> Backend | None:
    """Who converts a custom resource, if somebody does."""
    webhook = found.spec.conversion.webhook
    if webhook is None:
        return None
    target = f"CustomResourceDefinition {found.name}"
    return _backend(Role.WEBHOOK, target, webhook.client_config)


def service_backend(found: ApiService) -> Backend | None:
    """Who serves an aggregated API."""
    spec = found.spec
    if spec.service is None:
        return None
    config = ClientConfig(service=spec.service, ca_bundle=spec.ca_bundle)
    backend = _backend(Role.API_SERVICE, f"APIService {found.name}", config)
    return msgspec.structs.replace(backend, is_checked=not spec.insecure_skip_tls_verify)


def unverified(found: Iterable[ApiService]) -> Iterator[Finding]:
    """Aggregated APIs that the API server takes from whoever answers."""
    for each in found:
        if each.spec.service is not None and each.spec.insecure_skip_tls_verify:
            yield Finding(
                rule="TlsNotVerified",
                severity=Severity.MEDIUM,
                target=f"APIService {each.name}",
                message="the API server does not look at the certificate of who serves it",
                evidence=("spec.insecureSkipTLSVerify is true",),
                remedy="give it a certificate and name its authority in spec.caBundle",
            )


def _backend(role: Role, target: str, config: ClientConfig) -> Backend:
    bundle = _bundle(target, config.ca_bundle)
    anchors = bundle.chain if bundle else None
    if config.service is not None:
        return Backend(
            role=role,
            target=target,
            service=config.service,
            port=config.service.port or 443,
            name=config.service.dns_name,
            anchors=anchors,
            bundle=bundle,
        )
    url = urlsplit(config.url)
    return Backend(
        role=role,
        target=target,
        address=url.hostname or "",
        port=url.port or 443,
        name=url.hostname or "",
        anchors=anchors,
        bundle=bundle,
    )


def _bundle(target: str, pem: bytes) -> Sighting | None:
    if not pem.strip():
        return None
    sighting = Sighting(
        kind=Kind.BUNDLE,
        target=f"{target} (caBundle)",
        purpose="authority of its backend",
        is_bundle=True,
    )
    try:
        return msgspec.structs.replace(sighting, chain=parse_pem(pem))
    except UnreadableError as error:
        return msgspec.structs.replace(sighting, problem=str(error))
