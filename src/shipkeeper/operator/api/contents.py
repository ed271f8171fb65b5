"""What a backup is to hold: objects and volumes, and the Job that reads them."""

from typing import Annotated, Literal

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.fields import Duration, NamespaceName, Selector

Word = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?$",
        max_length=253,
        extra={"says": "must be a kind as kubectl takes it: secrets, deploy, widgets.example.com"},
    ),
]
ObjectName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][-A-Za-z0-9.]*(/[^/\s]+){1,2}$",
        max_length=512,
        extra={"says": "must be KIND/NAME or KIND/NAMESPACE/NAME, such as secret/shop/db"},
    ),
]


class Objects(KubeStruct, frozen=True, kw_only=True):
    """Which objects are meant, as the flags of `shipkeeper backup create` say it.

    What is not given leaves nothing out.
    """

    namespaces: Annotated[
        tuple[NamespaceName, ...], Meta(description="Only these namespaces.", max_length=1000)
    ] = ()
    exclude_namespaces: Annotated[
        tuple[NamespaceName, ...], Meta(description="Not these namespaces.", max_length=1000)
    ] = ()
    kinds: Annotated[tuple[Word, ...], Meta(description="Only these kinds.", max_length=500)] = ()
    exclude_kinds: Annotated[
        tuple[Word, ...], Meta(description="Not these kinds.", max_length=500)
    ] = ()
    selector: Annotated[
        Selector, Meta(description="Only objects with these labels, as kubectl's -l takes it.")
    ] = ""
    names: Annotated[
        tuple[ObjectName, ...],
        Meta(description="Only these: KIND/NAME or KIND/NAMESPACE/NAME.", max_length=1000),
    ] = ()
    exclude_names: Annotated[
        tuple[ObjectName, ...], Meta(description="Not these.", max_length=1000)
    ] = ()
    cluster_scoped: Annotated[
        Literal["auto", "yes", "no"],
        Meta(description="Objects without a namespace; auto: unless namespaces are chosen."),
    ] = "auto"


VolumeId = Annotated[
    str,
    Meta(
        pattern=r"^(claim|hostpath|nfs|pod|volume)/[^\s]+$",
        max_length=512,
        extra={
            "says": "must be a volume as it is listed (claim/NAMESPACE/NAME, hostpath/NODE/PATH); "
            "* fits any name"
        },
    ),
]


PodImage = Annotated[
    str, Meta(description="The pods' image, with sh and nsenter.", min_length=1, max_length=512)
]
PodNamespace = Annotated[
    NamespaceName, Meta(description="A namespace that admits privileged pods.")
]


class BackupVolumes(KubeStruct, frozen=True, kw_only=True):
    """Which volumes are saved, too, and the pods through which their files are read."""

    only: Annotated[
        tuple[VolumeId, ...],
        Meta(description="Only these; * fits any name. Else all that can be.", max_length=500),
    ] = ()
    image: PodImage = "busybox:stable"
    namespace: PodNamespace = "kube-system"


class RestoreVolumes(KubeStruct, frozen=True, kw_only=True):
    """Which volumes come back, too, and how, and the pods through which their files are written."""

    how: Annotated[
        Literal["in-place", "new", "new-claim"],
        Meta(
            description="In place of what is in them, or beside it in new directories (snapshots: "
            "new claims); new-claim makes volumes and claims of the directories, too."
        ),
    ]
    only: Annotated[
        tuple[VolumeId, ...],
        Meta(
            description="Only these; * fits any name. Else those of the chosen namespaces.",
            max_length=500,
        ),
    ] = ()
    places: Annotated[
        dict[str, str],
        Meta(description="Volume to NODE:/PATH: its files into another, empty directory."),
    ] = {}
    image: PodImage = "busybox:stable"
    namespace: PodNamespace = "kube-system"


Cpu = Annotated[
    str,
    Meta(
        pattern=r"^([1-9][0-9]{2,}m|[1-9][0-9]*)$",
        max_length=20,
        extra={"says": "must be an amount of CPU from 100m on, such as 500m or 2"},
    ),
]


class JobLimits(KubeStruct, frozen=True, kw_only=True):
    """What a Job may take that makes a backup, or carries a restore out."""

    memory_limit: Annotated[
        str,
        Meta(
            description="The most memory that it may take.",
            pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|k|M|G)?$",
            max_length=20,
            extra={"says": "must be an amount of memory such as 512Mi or 2Gi"},
        ),
    ] = "1Gi"
    cpu_limit: Annotated[
        Cpu | None, Meta(description="The most CPU that it may take; else what its node has left.")
    ] = None
    time_limit: Annotated[Duration, Meta(description="The most time that it may take.")] = "24h"


Volumes = Annotated[
    BackupVolumes | None,
    Meta(description="Save volumes, too, in a Job; else they are listed."),
]
Job = Annotated[
    JobLimits | None,
    Meta(description="Make it in a Job of its own, and not in the operator's process."),
]
