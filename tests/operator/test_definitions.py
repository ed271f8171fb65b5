"""The CustomResourceDefinitions at real API servers: what is taken, what is refused, and how."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from shipkeeper.backup.skip import why_never
from shipkeeper.kube.connection import connect
from shipkeeper.kube.errors import ApiError
from shipkeeper.kube.writer import Writer
from shipkeeper.model.version import Version
from shipkeeper.operator.api.backups import BackupRepositorySpec, BackupSpec, SecretRef
from shipkeeper.operator.api.contents import JobLimits
from shipkeeper.operator.api.kind import GROUP, CustomObject, Kind
from shipkeeper.operator.api.kinds import KINDS
from shipkeeper.operator.backups.backup_job import JobRequest, backup_job
from shipkeeper.operator.grants import EXTRAS
from shipkeeper.operator.manifests import ManifestOptions, as_text, manifests
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import options_of
from tests.operator.bad import Bad, spoilt
from tests.operator.harbour import Harbour
from tests.operator.samples import GOOD

LEAST = 50


async def _refusal(writer: Writer, kind: Kind[Any], spec: dict[str, Any]) -> str:
    """What the server says to a spec; empty if it takes it."""
    manifest = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"generateName": "x"},
        "spec": spec,
    }
    try:
        await writer.create(kind.resource, manifest)
    except ApiError as error:
        return error.message
    return ""


def _is_helpful(bad: Bad, said: str) -> bool:
    """Whether a refusal names the field, and what is wrong with it."""
    return (
        bad.field in said
        and re.search(
            r"must|Required value|Too (long|many)|should|Unsupported value|exactly one", said
        )
        is not None
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
async def test_bad_objects_are_refused_with_a_message_that_helps(
    harbour: Harbour, kind: Kind[Any]
) -> None:
    writer = Writer(harbour.connection, dry_run=True)
    for good in GOOD[kind.kind]:
        assert await _refusal(writer, kind, good) == ""
    bads = list(spoilt(kind, GOOD[kind.kind]))
    assert len(bads) >= LEAST
    said = await asyncio.gather(*(_refusal(writer, kind, bad.spec) for bad in bads))
    found = zip(bads, said, strict=True)
    assert [(bad, text) for bad, text in found if not _is_helpful(bad, text)] == []


async def test_every_manifest_is_taken_by_both_ends_of_the_range(sandbox: Sandbox) -> None:
    version = Version.parse(sandbox.version)
    options = ManifestOptions(
        version=version,
        image="shipkeeper:test",
        lease="x",
        allowed=tuple(EXTRAS),
        host_pods="kube-system",
        traces="http://collector.observability:4318",
        trace_headers="collector-key",
        namespace="dry",
    )
    async with connect(options_of(sandbox)) as connection:
        harbour = Harbour(sandbox, connection, sandbox.directory)
        # A dry run makes no namespace, and nothing can be in one that is not there.
        everything = manifests(options)
        await harbour.kubectl("apply", "--server-side", "-f", "-", given=as_text(everything[:1]))
        said = await harbour.kubectl(
            "apply", "--server-side", "--dry-run=server", "-f", "-", given=as_text(everything)
        )
        await harbour.kubectl("delete", "namespace", "dry", "--wait=false")
    assert len(said.splitlines()) == len(everything)


async def test_old_servers_take_objects_and_refuse_nonsense(oldest: Sandbox) -> None:
    async with connect(options_of(oldest)) as connection:
        harbour = Harbour(oldest, connection, oldest.directory)
        definitions = [kind.definition(Version.parse(oldest.version)) for kind in KINDS]
        await harbour.kubectl("apply", "-f", "-", given=as_text(definitions))
        await harbour.kubectl("wait", "--for=condition=Established", "crd", "--all")
        writer = Writer(connection, dry_run=True)
        for kind in KINDS:
            for good in GOOD[kind.kind]:
                assert await _refusal(writer, kind, good) == ""
            bads = list(spoilt(kind, GOOD[kind.kind]))
            said = await asyncio.gather(*(_refusal(writer, kind, bad.spec) for bad in bads))
            refused = [each for each in zip(bads, said, strict=True) if each[1]]
            assert len(refused) >= LEAST
            assert [(bad, text) for bad, text in refused if not _is_helpful(bad, text)] == []


def test_definitions_of_old_servers_hold_nothing_that_they_do_not_know() -> None:
    for kind in KINDS:
        assert b"x-kubernetes-validations" not in msgspec.json.encode(
            kind.definition(Version(1, 20, 2))
        )


def test_every_field_says_what_it_is() -> None:
    """As `kubectl explain` shows it; what every object has is explained by the API server."""
    usual = {"apiVersion", "kind", "metadata"}
    for kind in KINDS:
        version = kind.definition(Version(1, 37, 2))["spec"]["versions"][0]
        silent = set(_undescribed(version["schema"]["openAPIV3Schema"], ""))
        assert silent == usual, kind.kind


def _undescribed(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, field in schema.get("items", schema).get("properties", {}).items():
        if "description" not in field:
            yield f"{path}{name}"
        yield from _undescribed(field, f"{path}{name}.")


def test_a_status_is_kept_as_it_was_written() -> None:
    """What the server adds to it would differ from what is known at every look."""
    for kind in KINDS:
        version = kind.definition(Version(1, 37, 2))["spec"]["versions"][0]
        properties = version["schema"]["openAPIV3Schema"]["properties"]
        assert b'"default"' not in msgspec.json.encode(properties["status"]), kind.kind


def test_what_was_asked_for_once_does_not_come_back_to_be_done_again() -> None:
    """Objects come back without their status: the operator would take them for new ones."""
    schedules = {"AccessReport", "BackupRepository", "BackupSchedule", "CertificateReport"}
    for kind in KINDS:
        manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}}
        is_lasting = kind.kind in {*schedules, "MaintenanceWindow"}
        assert (why_never(manifest, GROUP) == "") == is_lasting, kind.kind


def test_a_job_that_makes_a_backup_does_not_come_back_either() -> None:
    """While it makes one it is in it, and has not run to its end."""
    request = JobRequest(
        found=msgspec.json.decode(b'{"metadata":{"name":"x","uid":"1"}}', type=CustomObject),
        spec=BackupSpec(repository="prod", job=JobLimits()),
        repository=BackupRepositorySpec(url="s3://backups", key_secret=SecretRef(name="key")),
        namespace="shipkeeper-system",
        image="shipkeeper:1",
        id="0a1b2c3d4e5f",
        attempt=1,
    )
    assert "make it again" in why_never(backup_job(request), "batch")
