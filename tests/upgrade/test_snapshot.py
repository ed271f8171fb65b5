"""What keeps an upgrade from saving etcd, on a real one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.rpc import Credentials
from shipkeeper.sandbox.assets.etcd_tools import SERIES, find_etcd_tools
from shipkeeper.sandbox.members import EtcdCluster, etcd_cluster
from shipkeeper.upgrade.snapshot import require_well


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    tools = find_etcd_tools(SERIES[-1], lambda line: print(line, file=sys.stderr))  # noqa: T201
    with etcd_cluster(tools, tmp_path) as made:
        yield made


def ask(cluster: EtcdCluster) -> None:
    client = cluster.directory / "client"
    require_well(
        cluster.members[0].client,
        Credentials(cacert=str(cluster.ca), cert=f"{client}.crt", key=f"{client}.key"),
    )


def test_a_learner_would_keep_the_next_etcd_from_starting(cluster: EtcdCluster) -> None:
    ask(cluster)
    cluster.ctl("member", "add", "late", "--learner", "--peer-urls=https://127.0.0.1:1")
    with pytest.raises(EtcdError, match="learners still") as caught:
        ask(cluster)
    assert caught.value.reason == "EtcdLearner"


def test_an_alarm_says_that_it_takes_no_writes(cluster: EtcdCluster) -> None:
    cluster.stop()
    cluster.start(more=("--quota-backend-bytes=1",))
    cluster.ctl("put", "a", "b", check=False)
    with pytest.raises(EtcdError, match="raised an alarm") as caught:
        ask(cluster)
    assert caught.value.reason == "EtcdAlarm"
