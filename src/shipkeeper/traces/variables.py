"""OpenTelemetry's own variables: whether traces are wanted, and where they go; pure."""

from collections.abc import Mapping
from urllib.parse import urlsplit

_PROTOCOL = "http/protobuf"
_DEFAULT = "http://localhost:4318"


def are_wanted(environment: Mapping[str, str]) -> bool:
    """Whether somebody is named who receives traces, and they are not switched off."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporters:
        return "otlp" in [each.strip() for each in exporters.split(",")]
    return bool(_of_traces(environment, "ENDPOINT"))


def receiver(environment: Mapping[str, str]) -> str:
    """Who receives them, as HOST:PORT: nothing of a URL that may be secret."""
    url = _of_traces(environment, "ENDPOINT") or _DEFAULT
    return urlsplit(url).netloc.rpartition("@")[2] or "a URL without a host"


def foreign_protocol(environment: Mapping[str, str]) -> str:
    """The protocol that is asked for, if it is another than ours; else empty."""
    protocol = _of_traces(environment, "PROTOCOL") or _PROTOCOL
    return "" if protocol == _PROTOCOL else protocol


def _of_traces(environment: Mapping[str, str], name: str) -> str:
    """What is said of traces alone, or else of all signals."""
    for each in (f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
        if found := environment.get(each, "").strip():
            return found
    return ""
