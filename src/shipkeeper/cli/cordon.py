"""`shipkeeper cordon` and `shipkeeper uncordon`."""

from shipkeeper.cli.flags import CURRENT, Cluster, DryRun, Selector, require_targets
from shipkeeper.cli.output import say, write
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.nodes import cordon as cordoning
from shipkeeper.nodes.observe import observe_nodes
from shipkeeper.nodes.signals import clear_conditions

_OWNER = "cordon"
DRY_RUN_SUFFIX = {"none": "", "client": " (dry run)", "server": " (server dry run)"}


async def cordon(
    *nodes: str,
    selector: Selector = "",
    dry_run: DryRun = "none",
    cluster: Cluster = CURRENT,
) -> None:
    """Mark nodes as unschedulable; who did it is remembered on the node."""
    await _change(nodes, selector, dry_run, cluster, unschedulable=True)


async def uncordon(
    *nodes: str,
    selector: Selector = "",
    dry_run: DryRun = "none",
    cluster: Cluster = CURRENT,
) -> None:
    """Mark nodes as schedulable, whoever cordoned them."""
    await _change(nodes, selector, dry_run, cluster, unschedulable=False)


async def _change(
    names: tuple[str, ...], selector: str, dry_run: str, cluster: Cluster, *, unschedulable: bool
) -> None:
    require_targets(names, selector)
    word = "cordoned" if unschedulable else "uncordoned"
    async with connect(cluster.options()) as connection:
        reader = Reader(connection)
        writer = Writer(connection, dry_run=dry_run == "server")
        found = await observe_nodes(reader, names, selector)
        for node in found:
            if dry_run == "client":
                is_changed = node.spec.unschedulable != unschedulable
            elif unschedulable:
                is_changed = await cordoning.cordon(reader, writer, node.name, owner=_OWNER)
            else:
                is_changed = await cordoning.uncordon(reader, writer, node.name)
                await clear_conditions(reader, writer, node)
            already = "" if is_changed else "already "
            write(f"node/{node.name} {already}{word}{DRY_RUN_SUFFIX[dry_run]}\n")
    if not found:
        say("No resources found")
