"""What the operator may do: all of it is used, nothing more is needed; told by the audit log."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from shipkeeper.engine.tenure import NAME as LOCK
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.resources import LEASES, NODES
from shipkeeper.model.version import Version
from shipkeeper.operator.api.backups import (
    BACKUP,
    BACKUP_REPOSITORY,
    BACKUP_SCHEDULE,
    BackupScheduleStatus,
)
from shipkeeper.operator.api.kind import GROUP
from shipkeeper.operator.api.reports import ACCESS_REPORT, CERTIFICATE_REPORT
from shipkeeper.operator.api.restores import RESTORE, RestoreStatus
from shipkeeper.operator.api.upgrades import CLUSTER_UPGRADE, ClusterUpgradeStatus
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from shipkeeper.operator.backups import backup_job, restore_job
from shipkeeper.operator.manifests import ManifestOptions, permissions
from shipkeeper.operator.run import LEASE
from shipkeeper.sandbox import workloads
from tests.nodes.storage import add_claim, attacher, with_claim
from tests.nodes.world import World, audit_end, audit_lines
from tests.operator.harbour import ACCOUNT, USER, Harbour
from tests.operator.harbour import NAMESPACE as OPERATOR
from tests.operator.vault import Vault, stands
from tests.operator.webhook import add_webhook

_BACKUPS = ("backups", "restores")
_REPORTS = ("access-reports", "certificate-reports")
# Authorizers ask for these by themselves, no request has such a verb; without them roles do not
# come back (tests/operator/test_restores.py).
UNSEEN = ("bind", "escalate")
# Told by test_what_backups_and_restores_may_is_used_and_nothing_is_missing.
_STATUSES = tuple(
    f"{each.plural}/status" for each in (BACKUP_REPOSITORY, BACKUP, BACKUP_SCHEDULE, RESTORE)
)
# Told by test_what_upgrades_may_is_used_and_nothing_is_missing.
_UPGRADES = (CLUSTER_UPGRADE.plural, f"{CLUSTER_UPGRADE.plural}/status")
_CHECKS = "upgrade-checks"
# A driver is asked about only while its volume is not attached again yet, which may be never seen.
_BY_CHANCE = {"get storage.k8s.io/csidrivers  in all"}


class Use(msgspec.Struct, frozen=True):
    """One thing that was done."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


def uses(world: World, since: int, user: str = USER) -> tuple[set[Use], list[str]]:
    """What a user, the operator, did, and what it was refused, from a byte of the audit log on."""
    done: set[Use] = set()
    refused: list[str] = []
    for line in audit_lines(world.sandbox, since):
        is_of_objects = line.request_uri.startswith(("/api/v1/", "/apis/"))
        if line.user.username != user:
            continue
        if not is_of_objects:
            done.add(Use(line.verb, "", urlsplit(line.request_uri).path, "", ""))
            continue
        if line.response_status.code == 403:
            refused.append(f"{line.verb} {line.request_uri}")
        else:
            done.add(_use(line.verb, line.request_uri))
    return done, refused


def _use(verb: str, uri: str) -> Use:
    parsed = urlsplit(uri)
    parts = parsed.path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource, name, part = [*rest, "", "", ""][:3]
    chosen = parse_qs(parsed.query).get("fieldSelector", [""])[0]
    return Use(
        verb=verb,
        group=group,
        resource=f"{resource}/{part}" if part else resource,
        namespace=namespace,
        name=name or chosen.removeprefix("metadata.name="),
    )


def rules_of(allowed: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The operator's rules, each with its namespace; those of its Jobs are another account's."""
    options = ManifestOptions(version=Version(1, 37, 2), image="x", lease=LEASE, allowed=allowed)
    for each in permissions(options):
        if each["metadata"]["name"] in (backup_job.ACCOUNT, restore_job.ACCOUNT):
            continue
        for rule in each.get("rules", ()):
            yield each["metadata"].get("namespace", ""), rule


def _rules_beside(*allowed: str) -> list[tuple[str, dict[str, Any]]]:
    usual = list(rules_of(()))
    return [each for each in rules_of(allowed) if each not in usual]


def unused_of(done: set[Use], rules: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    for namespace, rule in rules:
        for group in rule.get("apiGroups", [""]):
            for resource in rule.get("resources") or rule["nonResourceURLs"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        if not any(
                            use.verb == verb
                            and group in ("*", use.group)
                            and resource in ("*", use.resource)
                            and (not namespace or use.namespace == namespace)
                            and (not name or use.name == name)
                            for use in done
                        ):
                            yield f"{verb} {group}/{resource} {name} in {namespace or 'all'}"


async def test_every_permission_is_used_and_none_is_missing(world: World, harbour: Harbour) -> None:
    await harbour.set_up(allowed=_REPORTS)
    for name, namespace in ((LEASE, OPERATOR), (LOCK, "kube-system")):
        with suppress(NotFoundError):
            await harbour.writer.delete(LEASES, name, namespace=namespace)
    since = audit_end(world.sandbox)
    nodes = await world.add_nodes(2)
    async with attacher(world) as driver:
        await add_claim(world, driver.driver)
        database = workloads.stateful_set("db", world.name, shape=world.shape())
        await world.up(with_claim(database))
        await world.up(world.deployment("web", 2), world.budget("web", max_unavailable=1))
        await driver.until(lambda found: [each.status.attached for each in found] == [True])
        replica = harbour.start_command("--namespace", OPERATOR)
        await replica.leads()
        other = harbour.start_command("--namespace", OPERATOR)
        await other.says("standing by")
        for kind in (ACCESS_REPORT, CERTIFICATE_REPORT):
            await harbour.create(kind, "monthly", {"schedule": {"cron": "0 0 1 * *"}})
        window = {"cron": "0 0 * * *", "length": "24h"}
        await harbour.create(MAINTENANCE_WINDOW, "always", window)
        await harbour.maintain("all", nodes, order={"canary": ["1"]}, windows=["always"])
        await harbour.reaches("all", "Succeeded")
    for kind in (ACCESS_REPORT, CERTIFICATE_REPORT):
        await harbour.kubectl(
            "wait", "--for=condition=Checked", f"{kind.plural}/monthly", "--timeout=400s"
        )
    # A watch is logged when it ends.
    await replica.stop()
    await other.leads()
    await other.stop()
    done, refused = uses(world, since)
    assert refused == [], refused
    later = {f"patch {GROUP}/{each}  in all" for each in (*_STATUSES, *_UPGRADES)}
    unused = set(unused_of(done, rules_of(_REPORTS))) - _BY_CHANCE - later
    assert not unused, unused


async def test_what_backups_and_restores_may_is_used_and_nothing_is_missing(
    world: World, harbour: Harbour, vault: Vault
) -> None:
    await harbour.set_up(allowed=_BACKUPS)
    await harbour.kubectl("create", "configmap", "x", "-n", world.name)
    since = audit_end(world.sandbox)
    replica = harbour.start_command("--namespace", OPERATOR)
    await replica.leads()
    spec = {"schedule": {"cron": "* * * * *"}, "repository": "vault", "keep": {"last": 1}}
    await harbour.create(BACKUP_SCHEDULE, "often", spec)
    first = (await _pruned(harbour, lambda seen: seen.pruned_after != "")).pruned_after
    # The next one takes the first one's place, and its object goes with it.
    await _pruned(harbour, lambda seen: seen.pruned_after not in ("", first))
    await harbour.kubectl("wait", "--for=delete", f"bk/{first}", "--timeout=400s")
    await harbour.writer.patch(BACKUP_SCHEDULE.resource, "often", {"spec": {"suspend": True}})
    await vault.back_up("all", deletionPolicy="Delete")
    made = await vault.ended("all")
    assert made.phase == "Completed", made
    await harbour.kubectl("delete", "configmap", "x", "-n", world.name)
    objects = {"namespaces": [world.name], "kinds": ["configmaps"]}
    asked = {"repository": "vault", "backup": made.id, "objects": objects, "approved": True}
    await harbour.create(RESTORE, "back", asked)
    restored = await stands(
        harbour, RESTORE, RestoreStatus, "back", lambda seen: seen.finished_at is not None
    )
    assert restored.phase == "Succeeded", restored
    await harbour.kubectl("delete", "bk", "all", "--timeout=400s")
    await replica.stop()
    done, refused = uses(world, since)
    assert refused == [], refused
    rules = [
        (namespace, rule)
        for namespace, rule in _rules_beside(*_BACKUPS)
        if rule["verbs"] != [*UNSEEN]
    ]
    rules.append(("", {"apiGroups": [GROUP], "resources": _STATUSES, "verbs": ["patch"]}))
    unused = set(unused_of(done, rules))
    assert not unused, unused


async def test_what_upgrades_may_is_used_and_nothing_is_missing(
    world: World, harbour: Harbour
) -> None:
    await harbour.set_up(allowed=(_CHECKS,))
    await harbour.kubectl("create", "service", "clusterip", "hook", "--tcp=443", "-n", world.name)
    await add_webhook(harbour, "asked", world.name, "hook")
    (node,) = await world.add_nodes(1, kubelet_version="v1.36.3")
    since = audit_end(world.sandbox)
    try:
        replica = harbour.start_command("--namespace", OPERATOR)
        await replica.leads()
        await harbour.create(CLUSTER_UPGRADE, "patch", {"to": "v1.37.2", "wait": {}})
        seen = await _upgrade(harbour, lambda status: status.plan_hash != "")
        spec = {"spec": {"approvedPlan": seen.plan_hash, "failOn": "never"}}
        await harbour.writer.patch(CLUSTER_UPGRADE.resource, "patch", spec)
        await _upgrade(harbour, lambda status: bool(status.under_way))
        info = {"status": {"nodeInfo": {"kubeletVersion": "v1.37.2"}}}
        await world.writer.patch(NODES, node, info, subresource="status")
        await _upgrade(harbour, lambda status: status.phase == "Succeeded")
        await replica.stop()
    finally:
        await harbour.kubectl("delete", "validatingwebhookconfigurations", "asked")
        # Later tests see what is told without this permission.
        await harbour.kubectl("delete", "clusterrolebinding", f"{ACCOUNT}-{_CHECKS}")
    done, refused = uses(world, since)
    assert refused == [], refused
    rules = _rules_beside(_CHECKS)
    rules.append(("", {"apiGroups": [GROUP], "resources": _UPGRADES, "verbs": ["patch"]}))
    unused = set(unused_of(done, rules))
    assert not unused, unused


async def _upgrade(
    harbour: Harbour, predicate: Callable[[ClusterUpgradeStatus], bool]
) -> ClusterUpgradeStatus:
    return await stands(harbour, CLUSTER_UPGRADE, ClusterUpgradeStatus, "patch", predicate)


async def _pruned(
    harbour: Harbour, predicate: Callable[[BackupScheduleStatus], bool]
) -> BackupScheduleStatus:
    return await stands(harbour, BACKUP_SCHEDULE, BackupScheduleStatus, "often", predicate)
