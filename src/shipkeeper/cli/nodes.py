"""`shipkeeper nodes`: the inventory, and why a drain of a node would be blocked."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import App, Parameter

from shipkeeper.cli.flags import CURRENT, Cluster, Output, Selector
from shipkeeper.cli.output import show
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.selector import parse_selector
from shipkeeper.nodes.explain import explain_drain
from shipkeeper.nodes.inventory import take_inventory
from shipkeeper.nodes.inventory_report import inventory_report
from shipkeeper.nodes.loss.foretell import default_grace, foretell_loss
from shipkeeper.nodes.loss.observe import observe_loss
from shipkeeper.nodes.loss.report import loss_report
from shipkeeper.nodes.observe import observe, observe_nodes
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.report import explanation_report

nodes = App(name="nodes")


@nodes.default
async def list_nodes(
    *names: str,
    selector: Selector = "",
    field_selector: Annotated[str, Parameter(help="Field selector (metadata.name=a).")] = "",
    output: Output = None,
    cluster: Cluster = CURRENT,
) -> None:
    """List nodes: what they run, and what would block a drain.

    A drain is thought of with --ignore-daemonsets and no other flag; -o json has every verdict.
    """
    if names and (selector or field_selector):
        raise UsageError(
            "cannot specify both a node name and a --selector option",
            reason="AmbiguousTarget",
            hint="leave one of them out",
        )
    parse_selector(selector)
    async with connect(cluster.options()) as connection:
        reader = Reader(connection)
        found = await observe_nodes(reader, names, selector, field_selector)
        state = await observe(reader, found)
    now = datetime.now(UTC)
    show(inventory_report(take_inventory(state, now), now), output)


@nodes.command
async def explain(
    node: str,
    /,
    *,
    if_lost: Annotated[bool, Parameter(help="Tell what happens if the node dies now.")] = False,
    node_monitor_grace_period: Annotated[
        str, Parameter(help="kube-controller-manager's flag, if it is not the default.")
    ] = "",
    output: Output = None,
    cluster: Cluster = CURRENT,
) -> None:
    """Explain why a drain of a node would be blocked, or what its loss would mean."""
    grace = parse_duration(node_monitor_grace_period) if node_monitor_grace_period else None
    async with connect(cluster.options()) as connection:
        reader = Reader(connection)
        if if_lost:
            await _explain_loss(reader, node, grace, output)
        else:
            await _explain_drain(reader, node, output)


async def _explain_loss(
    reader: Reader, node: str, grace: timedelta | None, output: str | None
) -> None:
    state = await observe_loss(reader, node)
    loss = foretell_loss(state, default_grace(state.version) if grace is None else grace)
    show(loss_report(loss), output)


async def _explain_drain(reader: Reader, node: str, output: str | None) -> None:
    state = await observe(reader, await observe_nodes(reader, (node,), ""))
    now = datetime.now(UTC)
    show(explanation_report(explain_drain(state, DrainOptions(), now), now), output)
