"""Whose hosts a run on hosts goes on with."""

from collections.abc import Mapping

import pytest

from shipkeeper.cli.certs_hosts import ControlPlaneFlags, of_same_cluster
from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.host import Host

RUN = ControlPlaneFlags().at(["a", "b"])


async def answer(*addresses: str) -> Mapping[str, Host]:
    if not addresses:
        raise ShipkeeperError("nobody answers", reason="Unreachable")
    return ControlPlaneFlags(ssh_user="root").at(addresses)


@pytest.mark.parametrize(
    ("asked", "taken"),
    [((), ["a", "b"]), (("b", "c"), ["a", "b"]), (("x", "y"), ["x", "y"])],
    ids=["nobody answers", "the same", "another cluster"],
)
async def test_what_answers_at_the_same_url_may_be_another_cluster(
    asked: tuple[str, ...], taken: list[str]
) -> None:
    assert list(await of_same_cluster(RUN, answer(*asked))) == taken


async def test_a_host_that_is_asked_for_is_reached_as_is_said_now() -> None:
    now = await answer("b")

    async def asked() -> Mapping[str, Host]:
        return now

    found = await of_same_cluster(RUN, asked())
    assert (found["a"], found["b"]) == (RUN["a"], now["b"])
