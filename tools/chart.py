"""Writes the generated templates of the Helm chart: definitions and permissions.

They are what `shipkeeper operator manifests` prints, with the chart's switches around them, so that
the two cannot drift. Run it with: make chart
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from shipkeeper.model.version import Version
from shipkeeper.operator.api.kind import CEL_SINCE
from shipkeeper.operator.grants import EXTRAS
from shipkeeper.operator.manifests import (
    Manifest,
    ManifestOptions,
    as_text,
    definitions,
    extra,
    host_pods,
    permissions,
)
from shipkeeper.operator.run import LEASE

CHART = Path(__file__).parent.parent / "charts" / "shipkeeper"
_NAMESPACE = "release-namespace"
_HOST_PODS = "host-pods-namespace"
_WRITTEN = "{{- /* Written by tools/chart.py; do not edit. */ -}}\n"
_OLDEST = Version(1, 20, 0)


def camel(name: str) -> str:
    """The chart's value of an extra permission."""
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)


def templates() -> dict[str, str]:
    """The text of each generated template, by the name of its file."""
    options = ManifestOptions(
        version=CEL_SINCE, image="", lease=LEASE, namespace=_NAMESPACE, host_pods=_HOST_PODS
    )
    looking = msgspec.structs.replace(options, host_pods="", read_only=True)
    usual = [each for each in permissions(options) if not _is_of_host_pods(each)]
    rbac = _either(".Values.readOnly", _documents(permissions(looking)), _documents(usual))
    for name in EXTRAS:
        rbac += _when(f".Values.permissions.{camel(name)}", _documents(extra(options, name)))
    rbac += _when(".Values.hostPods.namespace", _documents(host_pods(options)))
    new, old = (_kept(_documents(definitions(version))) for version in (CEL_SINCE, _OLDEST))
    since = f">={CEL_SINCE.major}.{CEL_SINCE.minor}-0"
    crds = (
        "{{- if .Values.crds.install }}\n"
        f'{{{{- if semverCompare "{since}" .Capabilities.KubeVersion.Version }}}}\n'
        f"{new}{{{{- else }}}}\n{old}{{{{- end }}}}\n{{{{- end }}}}\n"
    )
    return {"crds.yaml": _WRITTEN + crds, "rbac.yaml": _WRITTEN + rbac}


def _is_of_host_pods(manifest: Manifest) -> bool:
    return manifest["metadata"].get("namespace") == _HOST_PODS


def _documents(found: Iterable[Manifest]) -> str:
    text = as_text(tuple(found))
    if "{{" in text:
        raise ValueError("a manifest holds what Helm would take for an action")
    text = text.replace(_NAMESPACE, "{{ .Release.Namespace }}")
    return f"---\n{text.replace(_HOST_PODS, '{{ .Values.hostPods.namespace }}')}"


def _when(value: str, text: str) -> str:
    return f"{{{{- if {value} }}}}\n{text}{{{{- end }}}}\n"


def _either(value: str, text: str, otherwise: str) -> str:
    return f"{{{{- if {value} }}}}\n{text}{{{{- else }}}}\n{otherwise}{{{{- end }}}}\n"


def _kept(text: str) -> str:
    """Definitions that outlive the release: with them all objects of their kinds would go."""
    switch = (
        "metadata:\n"
        "{{- if $.Values.crds.keep }}\n"
        "  annotations:\n"
        "    helm.sh/resource-policy: keep\n"
        "{{- end }}\n"
    )
    return text.replace("\nmetadata:\n", f"\n{switch}")


def main() -> int:
    """Write the templates; with --check only tell whether they are as they should be."""
    folder, differs = CHART / "templates", False
    for name, text in templates().items():
        file = folder / name
        if not file.exists() or file.read_text() != text:
            differs = True
            if "--check" not in sys.argv[1:]:
                file.write_text(text)
    return int(differs and "--check" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
