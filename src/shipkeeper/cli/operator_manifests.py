"""`shipkeeper operator manifests`: what the operator needs in a cluster."""

from typing import Annotated, Literal

from cyclopts import Parameter

from shipkeeper import __version__
from shipkeeper.cli.output import write
from shipkeeper.errors import UsageError
from shipkeeper.model.version import Version
from shipkeeper.operator.grants import only_looks
from shipkeeper.operator.manifests import ManifestOptions, as_text, definitions, manifests
from shipkeeper.operator.run import LEASE

_NEWEST = "v1.37.2"


async def manifests_(
    *,
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="Where the operator lives.")
    ] = "shipkeeper-system",
    kubernetes_version: Annotated[
        str, Parameter(help="The cluster's version; manifests are for it and newer ones.")
    ] = _NEWEST,
    image: Annotated[str, Parameter(help="The image; see Containerfile.")] = (
        f"shipkeeper:{__version__}"
    ),
    replicas: Annotated[int, Parameter(help="How many run; one of them leads.")] = 2,
    allow: Annotated[
        tuple[
            Literal[
                "delete-pods",
                "surge",
                "other-tools",
                "access-reports",
                "certificate-reports",
                "backups",
                "backup-jobs",
                "restores",
                "restore-jobs",
                "upgrade-checks",
            ],
            ...,
        ],
        Parameter(help="What it may do beside the usual; may be repeated."),
    ] = (),
    host_pods: Annotated[
        str, Parameter(help="A namespace in which it may start privileged pods (action.pod).")
    ] = "",
    traces: Annotated[
        str, Parameter(help="Who receives its traces: the URL of an OTLP/HTTP receiver.")
    ] = "",
    trace_headers: Annotated[
        str, Parameter(help="The Secret whose key `headers` has the headers for that.")
    ] = "",
    read_only: Annotated[
        bool, Parameter(help="It reports and checks for upgrades, and may change nothing.")
    ] = False,
    crds_only: Annotated[bool, Parameter(help="Only the CustomResourceDefinitions.")] = False,
) -> None:
    """Print what the operator needs in a cluster, for `kubectl apply --server-side -f -`."""
    version = Version.parse(kubernetes_version)
    if crds_only:
        write(as_text(definitions(version)))
        return
    options = ManifestOptions(
        version=version,
        image=image,
        lease=LEASE,
        namespace=namespace,
        replicas=replicas,
        allowed=allow,
        host_pods=host_pods,
        traces=traces,
        trace_headers=trace_headers,
        read_only=read_only,
    )
    if read_only:
        _require_looks_only(options)
    write(as_text(manifests(options)))


def _require_looks_only(options: ManifestOptions) -> None:
    writing = [f"--allow {each}" for each in options.allowed if not only_looks(each)]
    if options.host_pods:
        writing.append("--host-pods")
    if writing:
        raise UsageError(
            f"--read-only does not go with {', '.join(writing)}: it is for writing",
            reason="Contradiction",
            hint="leave out one or the other",
        )
