"""The objects that hold certificates or name them, decoded to what is read of them. Pure."""

from datetime import datetime

import msgspec

from shipkeeper.kube.resources import Resource
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import Condition, KubeObject

TLS_TYPE = "kubernetes.io/tls"


class TlsData(msgspec.Struct, frozen=True, kw_only=True):
    """A TLS Secret's data; the key is never shown, logged or kept."""

    certificate: bytes = msgspec.field(default=b"", name="tls.crt")
    key: bytes = msgspec.field(default=b"", name="tls.key")

    def __repr__(self) -> str:
        return "TlsData(…)"


class TlsSecret(KubeObject, frozen=True, kw_only=True):
    """A Secret of type kubernetes.io/tls."""

    data: TlsData | None = None


class IngressTls(KubeStruct, frozen=True, kw_only=True):
    """Hosts that an Ingress serves, and the Secret it serves them with (empty: its default)."""

    hosts: tuple[str, ...] | None = None
    secret_name: str = ""


class IngressSpec(KubeStruct, frozen=True, kw_only=True):
    """What is wanted of an Ingress."""

    tls: tuple[IngressTls, ...] | None = None


class Ingress(KubeObject, frozen=True, kw_only=True):
    """An Ingress."""

    spec: IngressSpec = IngressSpec()


class ServiceReference(KubeStruct, frozen=True, kw_only=True):
    """The Service that a webhook or an APIService is reached by."""

    namespace: str = ""
    name: str = ""
    port: int = 443
    path: str = ""

    @property
    def dns_name(self) -> str:
        """The name that the API server comes by."""
        return f"{self.name}.{self.namespace}.svc"


class ClientConfig(KubeStruct, frozen=True, kw_only=True):
    """How the API server reaches a webhook; the bundle is PEM."""

    url: str = ""
    service: ServiceReference | None = None
    ca_bundle: bytes = b""


class Webhook(KubeStruct, frozen=True, kw_only=True):
    """One webhook of a configuration."""

    name: str = ""
    client_config: ClientConfig = ClientConfig()


class WebhookConfiguration(KubeObject, frozen=True, kw_only=True):
    """A ValidatingWebhookConfiguration or a MutatingWebhookConfiguration."""

    webhooks: tuple[Webhook, ...] | None = None


class ConversionWebhook(KubeStruct, frozen=True, kw_only=True):
    """The webhook that converts a custom resource."""

    client_config: ClientConfig = ClientConfig()


class Conversion(KubeStruct, frozen=True, kw_only=True):
    """How versions of a custom resource become each other."""

    webhook: ConversionWebhook | None = None


class DefinitionSpec(KubeStruct, frozen=True, kw_only=True):
    """What is read of a CustomResourceDefinition."""

    conversion: Conversion = Conversion()


class Definition(KubeObject, frozen=True, kw_only=True):
    """A CustomResourceDefinition."""

    spec: DefinitionSpec = DefinitionSpec()


class ApiServiceSpec(KubeStruct, frozen=True, kw_only=True):
    """Who serves an API group; nobody else than the API server itself without a service."""

    service: ServiceReference | None = None
    ca_bundle: bytes = b""
    insecure_skip_tls_verify: bool = msgspec.field(default=False, name="insecureSkipTLSVerify")


class ApiService(KubeObject, frozen=True, kw_only=True):
    """An APIService."""

    spec: ApiServiceSpec = ApiServiceSpec()


class RequestSpec(KubeStruct, frozen=True, kw_only=True):
    """What a certificate is asked for; `request` is a PKCS#10 in PEM."""

    signer_name: str = ""
    request: bytes = b""
    username: str = ""
    groups: tuple[str, ...] | None = None
    usages: tuple[str, ...] | None = None


class RequestStatus(KubeStruct, frozen=True, kw_only=True):
    """What became of a request; `certificate` is PEM, once there is one."""

    certificate: bytes = b""
    conditions: tuple[Condition, ...] | None = None


class CertificateRequest(KubeObject, frozen=True, kw_only=True):
    """A CertificateSigningRequest."""

    spec: RequestSpec = RequestSpec()
    status: RequestStatus = RequestStatus()

    @property
    def is_pending(self) -> bool:
        """Whether nobody has decided yet."""
        decided = {each.type for each in self.status.conditions or ()}
        return decided.isdisjoint({"Approved", "Denied", "Failed"})

    @property
    def created(self) -> datetime | None:
        """When it was made."""
        return self.metadata.creation_timestamp


class ServicePort(KubeStruct, frozen=True, kw_only=True):
    """A port of a Service."""

    name: str = ""
    port: int = 0


class ServiceSpec(KubeStruct, frozen=True, kw_only=True):
    """What is read of a Service."""

    type: str = ""
    external_name: str = ""
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    ports: tuple[ServicePort, ...] | None = None


class Service(KubeObject, frozen=True, kw_only=True):
    """A Service."""

    spec: ServiceSpec = ServiceSpec()


class EndpointAddress(KubeStruct, frozen=True, kw_only=True):
    """Where a backend listens."""

    ip: str


class EndpointSubset(KubeStruct, frozen=True, kw_only=True):
    """Backends that listen at the same ports."""

    addresses: tuple[EndpointAddress, ...] | None = None
    ports: tuple[ServicePort, ...] | None = None


class Endpoints(KubeObject, frozen=True, kw_only=True):
    """The backends of a Service."""

    subsets: tuple[EndpointSubset, ...] | None = None


class ConfigMap(KubeObject, frozen=True, kw_only=True):
    """A ConfigMap."""

    data: dict[str, str] | None = None


_ADMISSION = "admissionregistration.k8s.io"
SECRETS = Resource("", "v1", "secrets", "Secret", TlsSecret)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", ConfigMap)
SERVICES = Resource("", "v1", "services", "Service", Service)
ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", Endpoints)
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress", Ingress)
WEBHOOKS = tuple(
    Resource(_ADMISSION, "v1", plural, kind, WebhookConfiguration, namespaced=False)
    for plural, kind in (
        ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
    )
)
DEFINITIONS = Resource(
    *("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
    *(Definition, False),
)
API_SERVICES = Resource(
    "apiregistration.k8s.io", "v1", "apiservices", "APIService", ApiService, namespaced=False
)
REQUESTS = Resource(
    *("certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest"),
    *(CertificateRequest, False),
)
