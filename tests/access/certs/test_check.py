"""A cluster seeded with defects and their look-alikes: every defect is found, and nothing else."""

import base64
import binascii
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from shipkeeper.access.certs.judge import judge
from shipkeeper.access.certs.observe import Wanted, gather
from shipkeeper.access.certs.report import certificates_report, expiry_metric, listed
from shipkeeper.access.certs.survey import Survey
from shipkeeper.engine.exchange import junit, sarif
from shipkeeper.engine.finding import Severity
from shipkeeper.engine.findings_report import findings_report
from shipkeeper.engine.report import Format, render
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.sandbox.assets import OLDEST
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.certs.seeds import PLANTERS, World, clear_away, create
from tests.access.certs.servers import servers

HORIZON = timedelta(days=30)
MATTERS = (Severity.HIGH, Severity.MEDIUM)


def unpacked(word: bytes) -> bytes:
    """What a word of a host's answer says, if it is base64."""
    try:
        return base64.b64decode(word, validate=True)
    except binascii.Error:
        return word


@asynccontextmanager
async def seeded(sandbox: Sandbox, folder: Path) -> AsyncGenerator[tuple[World, Survey]]:
    """A survey of a cluster with every seed in it."""
    with servers() as running:
        world = World(servers=running, folder=folder)
        for plant in PLANTERS:
            plant(world)
        try:
            await create(sandbox, world)
            options = ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))
            async with connect(options) as connection:
                wanted = Wanted(endpoints=tuple(world.endpoints))
                yield world, await gather(connection, wanted, hosts=world.hosts)
        finally:
            await clear_away(sandbox, world)


# A server of old settings is what is looked for.
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated:DeprecationWarning")
async def test_every_defect_is_found_and_no_look_alike_is(sandbox: Sandbox, tmp_path: Path) -> None:
    async with seeded(sandbox, tmp_path) as (world, survey):
        if sandbox.version == OLDEST:
            # Not planted, and true: Go offered 3DES in its day.
            server = sandbox.server.removeprefix("https://")
            world.expected.add(("WeakCipher", f"kube-apiserver {server}"))
        found = judge(survey, HORIZON)
        hit = {(each.rule, each.target) for each in found.findings if each.severity in MATTERS}
        assert (world.expected - hit, hit - world.expected) == (set(), set())
        assert len(world.defects) >= 30
        assert len(world.look_alikes) >= 30
        for each in found.findings:
            assert each.evidence, each
            assert each.remedy, each
        assert {each.what for each in found.unchecked} == set()
        rows = listed(survey)
        said = (
            *(render(certificates_report(rows, survey.seen_at), each) for each in Format),
            *(render(findings_report(found), each) for each in Format),
            sarif(found, "1"),
            junit(found),
            expiry_metric(rows.items),
            repr(survey),
        )
        assert not any("PRIVATE KEY" in each for each in said)
        told = [word for host in world.hosts for each in host.told for word in each.split()]
        assert len(told) > 100
        assert not any(b"PRIVATE KEY" in each for each in map(unpacked, told))
        keys = {secret for host in world.hosts for secret in host.secrets()}
        assert keys
        assert not any(key in each for key in keys for each in map(unpacked, told))
