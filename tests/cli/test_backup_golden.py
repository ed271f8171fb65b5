"""Every output format of the backup nouns, word for word."""

from datetime import timedelta
from itertools import islice

import msgspec
import pytest

from shipkeeper.backup.contents import (
    Contents,
    KindContents,
    Moment,
    Unreadable,
    encode_contents,
)
from shipkeeper.backup.difference import Change, Comparison, ObjectChange, comparison_report
from shipkeeper.backup.keep_report import check_report, prune_report
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.outline import Outline
from shipkeeper.backup.pages import Glance
from shipkeeper.backup.report import (
    Named,
    backup_row,
    backups_report,
    contents_report,
    objects_report,
    outline_report,
)
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.restore_plan import (
    Action,
    Candidate,
    Extra,
    Muted,
    plan_restore,
    refused,
    request_of,
    skipped,
)
from shipkeeper.backup.restore_report import restore_report
from shipkeeper.backup.schedule import Schedule, coming
from shipkeeper.backup.schedule_report import preview_report
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.semantic import Difference
from shipkeeper.backup.volumes.destination import Doing, Return, VolumeStep
from shipkeeper.backup.volumes.programs import Root
from shipkeeper.backup.volumes.record import (
    SavedFiles,
    SavedSnapshot,
    State,
    Volume,
    VolumeCounts,
    VolumeRecord,
    Way,
)
from shipkeeper.engine.report import Format, Report, render
from shipkeeper.model.cron import parse_schedule
from shipkeeper.store.findings import Finding
from shipkeeper.store.findings import Report as Checked
from shipkeeper.store.prune import PrunePlan
from shipkeeper.store.retention import Kept, Policy, RetentionPlan
from shipkeeper.store.values import Backup, Figures
from tests.cli.golden import assert_golden
from tests.cli.sample import NOW

CONTENTS = Contents(
    cluster="c2a1f0de-0000-4000-8000-000000000000",
    server="https://10.0.0.1:6443",
    version="v1.37.2",
    began_at=NOW - timedelta(hours=5),
    revision="4711",
    selection=Selection(),
    kinds=(
        KindContents(
            kind=Kind(version="v1", plural="configmaps", kind="ConfigMap", namespaced=True),
            objects=12,
            moment=Moment.COMMON,
            revision="4711",
        ),
        KindContents(
            kind=Kind(
                group="apps", version="v1", plural="deployments", kind="Deployment", namespaced=True
            ),
            objects=3,
            moment=Moment.OWN,
            revision="4720",
        ),
    ),
    unreadable=(Unreadable(what="secrets", reason="Forbidden", message="not allowed"),),
)
BACKUP = Backup(
    name="0a1b2c3d4e5f",
    created=NOW - timedelta(hours=5),
    summary=encode_contents(CONTENTS),
    figures=Figures(entries=15, content_bytes=31_000, objects=15, new_objects=2, added_bytes=900),
)
DATA = Volume(
    id="claim/shop/data",
    type="local",
    way=Way.FILES,
    namespace="shop",
    claim="data",
    volume="pv-1",
    node="w1",
    root=Root(path="/srv/data"),
    pods=("shop/db-0",),
)
VOLUMES = (
    VolumeRecord(
        volume=DATA,
        state=State.PARTIAL,
        reason="FilesChanged",
        message="1 changed while read: log: file changed as we read it",
        files=SavedFiles(
            section="volumes/claim/shop/data",
            files=1200,
            content_bytes=5_000_000,
            stream_bytes=7_000_000,
            read_again=2,
            changed=("log: file changed as we read it",),
        ),
        began_at=NOW - timedelta(hours=5),
        ended_at=NOW - timedelta(hours=4),
    ),
    VolumeRecord(
        volume=Volume(
            id="claim/shop/disk",
            type="csi",
            way=Way.SNAPSHOT,
            namespace="shop",
            claim="disk",
            volume="pv-2",
            driver="disk.example.com",
        ),
        state=State.SAVED,
        snapshot=SavedSnapshot(
            namespace="shop",
            name="shipkeeper-0a1b2c3d4e5f-01234567",
            driver="disk.example.com",
            handle="snap-1",
            snapshot_class="fast",
            restore_size="10Gi",
        ),
    ),
    VolumeRecord(
        volume=Volume(id="pod/shop/db-0/tmp", type="emptyDir", way=Way.NONE, reason="Ephemeral"),
        state=State.LISTED,
        reason="Ephemeral",
        message="it ends with its pod",
    ),
)
SAVED_CONTENTS = msgspec.structs.replace(
    CONTENTS,
    unreadable=(),
    volumes=VolumeCounts(listed=3, saved=1, failed=1, files=1200, content_bytes=5_000_000),
)
SAVED = msgspec.structs.replace(BACKUP, summary=encode_contents(SAVED_CONTENTS))
VOLUME_STEPS = (
    VolumeStep(
        volume="claim/shop/data",
        doing=Doing.UPDATE,
        effect="w1:/srv/data",
        place="w1:/srv/data",
        early=True,
    ),
    VolumeStep(
        volume="claim/shop/disk",
        doing=Doing.REFUSE,
        verdict=refused(
            "claim/shop/disk",
            "ClaimExists",
            "a snapshot fills a claim only when it is made, and the claim is there",
            "delete it first, or have another one made with --volumes new",
        ),
    ),
)
SEALED = Backup(name="ffeeddccbbaa", created=NOW - timedelta(days=2))
PLAN = plan_restore(
    request_of("r", BACKUP.name, RestoreOptions()),
    (
        Candidate(key="namespaces//shop", content="00", rank=1, action=Action.CREATE),
        Candidate(
            key="configmaps/shop/a",
            content="01",
            rank=9,
            action=Action.SKIP,
            verdict=skipped("configmaps/shop/a", "Exists", "is there already", "--existing update"),
        ),
        Candidate(
            key="widgets.example.com/shop/w",
            content="02",
            rank=13,
            action=Action.REFUSE,
            verdict=refused(
                "widgets.example.com/shop/w", "KindNotServed", "no such kind", "install it"
            ),
        ),
    ),
    (Extra(key="configmaps/shop/extra", uid="u", rank=9),),
    (
        Muted(
            resource="validatingwebhookconfigurations",
            name="gate",
            webhooks=("gate.example.com",),
            message="fails closed, and its Service shop/gate does not exist",
        ),
    ),
)
COMPARISON = Comparison(
    old="backup a",
    new="cluster b",
    changes=(
        ObjectChange(change=Change.ADDED, kind="configmaps", namespace="shop", name="new"),
        ObjectChange(
            change=Change.CHANGED,
            kind="deployments.apps",
            namespace="shop",
            name="web",
            fields=(Difference(path=("spec", "replicas"), old=2, new=3),),
        ),
    ),
)
CHECKED = Checked(
    depth="content",
    backups=1,
    blobs=4,
    bytes=5000,
    objects=15,
    findings=(
        Finding(reason="Altered", blob="packs/0a", message="is not as written", backups=("0a1b",)),
        Finding(reason="Unexpected", blob="tmp", message="nobody needs it", harmless=True),
    ),
)
PRUNED = prune_report(
    RetentionPlan(keep=(Kept(BACKUP, ("last 1",)),), forget=(SEALED,)),
    PrunePlan(
        sweep=("a",), sweep_bytes=10, mark=("b", "c"), mark_bytes=20, repack=(), repack_bytes=0
    ),
    NOW,
)
NIGHTLY = Schedule(cron=parse_schedule("30 2 * * *", "Europe/Berlin"))
OUTLINE = Outline(
    cluster=CONTENTS.cluster,
    server=CONTENTS.server,
    version=CONTENTS.version,
    revision="4711",
    kinds=tuple((each.kind, Glance(each.revision, each.objects)) for each in CONTENTS.kinds),
    apart=frozenset({"deployments.apps"}),
    unreadable=CONTENTS.unreadable,
    volumes=VOLUMES[2:],
)
ROWS = (backup_row(SEALED, None), backup_row(BACKUP, CONTENTS))
REPORTS = {
    "backups": backups_report(ROWS, NOW),
    "backup": contents_report(ROWS[1], NOW),
    "restore-plan": restore_report(PLAN),
    "backup-diff": comparison_report(COMPARISON),
    "backup-verify": check_report(CHECKED),
    "backup-prune": PRUNED,
    "backup-volumes": contents_report(backup_row(SAVED, SAVED_CONTENTS, VOLUMES), NOW),
    "restore-volumes": restore_report(
        plan_restore(
            request_of("r", "0a1b2c3d4e5f", RestoreOptions(volumes=Return.IN_PLACE)),
            (),
            volumes=VOLUME_STEPS,
        )
    ),
    "backup-get": objects_report(
        CONTENTS.kinds[0].kind,
        (Named(namespace="shop", name="a", size=120), Named(namespace="", name="b", size=9000)),
    ),
    "backup-outline": outline_report(OUTLINE),
    "backup-schedule": preview_report(
        NIGHTLY,
        tuple(islice(coming(NIGHTLY, NOW), 3)),
        (SEALED, BACKUP),
        Policy(last=1, daily=2),
        NOW,
    ),
}


@pytest.mark.parametrize("format_", list(Format))
@pytest.mark.parametrize("name", REPORTS)
def test_golden(name: str, format_: Format) -> None:
    report: Report = REPORTS[name]
    assert_golden(f"{name}.{format_}", render(report, format_))


def test_summaries_come_back() -> None:
    assert msgspec.json.decode(encode_contents(CONTENTS), type=Contents) == CONTENTS
