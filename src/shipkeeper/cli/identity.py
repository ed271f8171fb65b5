"""Which cluster a context leads to, for what this machine or a repository knows of it."""

from shipkeeper.cli.flags import Cluster
from shipkeeper.engine.session import cluster_identity
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader


async def identity_of(cluster: Cluster) -> str:
    """What journals and backups call this cluster."""
    async with connect(cluster.options()) as connection:
        return await cluster_identity(Reader(connection))
