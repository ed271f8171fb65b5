"""Flags that several commands share, spelled as kubectl spells them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from shipkeeper.cli.output_flags import Output
from shipkeeper.errors import UsageError
from shipkeeper.kube.config import PAGE_SIZE, ConnectionOptions
from shipkeeper.model.selector import parse_selector

__all__ = ["CURRENT", "Cluster", "Clusters", "DryRun", "Output", "Selector", "require_targets"]

_CONNECTION = Group("Connection", sort_key=2)

Selector = Annotated[
    str, Parameter(name=("--selector", "-l"), help="Label selector (a=b,c!=d,e in (f,g)).")
]
DryRun = Annotated[
    Literal["none", "client", "server"],
    Parameter(
        requires_equals=True,
        help="client: show what would be done; server: have the API server check it, unpersisted.",
    ),
]


@Parameter(name="*", group=_CONNECTION)
@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Which API server to speak to, and as whom."""

    kubeconfig: Annotated[str, Parameter(help="Path to the kubeconfig file.")] = ""
    context: Annotated[str, Parameter(help="The kubeconfig context to use.")] = ""
    as_: Annotated[str, Parameter(name="--as", help="User to impersonate.")] = ""
    as_group: Annotated[
        tuple[str, ...], Parameter(help="Group to impersonate; may be repeated.")
    ] = ()

    def options(self, *, page_size: int = PAGE_SIZE) -> ConnectionOptions:
        """What the connection is opened with; lists come in pages of so many, 0 in one piece."""
        return ConnectionOptions(
            kubeconfig=self.kubeconfig,
            context=self.context,
            impersonate_user=self.as_,
            impersonate_groups=self.as_group,
            page_size=page_size,
        )


# The kubeconfig's current context, as oneself.
CURRENT = Cluster()


@dataclass(frozen=True, kw_only=True)
class Clusters(Cluster):
    """Several of them for one command; cli/clusters.py makes it of several --context."""

    contexts: tuple[str, ...]

    def one(self, context: str) -> Cluster:
        """One of them alone."""
        return Cluster(
            kubeconfig=self.kubeconfig, context=context, as_=self.as_, as_group=self.as_group
        )


def require_targets(names: tuple[str, ...], selector: str, *, every: bool = False) -> None:
    """Nodes are named, selected, or all meant: one of these. UsageError otherwise."""
    if names and selector:
        raise UsageError(
            "cannot specify both a node name and a --selector option",
            reason="AmbiguousTarget",
            hint="leave one of them out",
        )
    if every and (names or selector):
        raise UsageError(
            "cannot specify --all together with a node name or a --selector option",
            reason="AmbiguousTarget",
            hint="leave one of them out",
        )
    if not (names or selector or every):
        raise UsageError(
            "no node is named", reason="NoTarget", hint="name nodes, or select some with -l"
        )
    parse_selector(selector)
