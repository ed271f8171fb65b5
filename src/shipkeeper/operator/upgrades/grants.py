"""What checks of upgrades read, which is not allowed unless whoever installs it says so. Pure."""

from shipkeeper.operator.grant import Grant

UPGRADE_EXTRAS: dict[str, tuple[Grant, ...]] = {
    "upgrade-checks": (
        Grant(
            group="*",
            resources=("*",),
            verbs=("list",),
            why="look for APIs and settings that end, in every kind, Helm's Secrets among them "
            "(ClusterUpgrade); what may not be read is told as not checked",
        ),
        Grant(
            resources=("endpoints", "services"),
            verbs=("get",),
            why="see whether webhooks are answered",
        ),
        Grant(
            urls=("/metrics",),
            verbs=("get",),
            why="see which deprecated APIs are asked for",
        ),
    ),
}
