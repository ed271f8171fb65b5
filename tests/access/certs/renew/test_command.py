"""What `certs renew` and `certs rotate-ca` say before they get to any host."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from shipkeeper.access.certs.renew.leaves import Authority
from shipkeeper.access.certs.renew.plan import RenewOutlook
from shipkeeper.access.certs.renew.site import Site
from shipkeeper.access.certs.rotate.outlook import RotationOutlook
from shipkeeper.access.certs.rotate.plan import PROCEDURE as ROTATE
from shipkeeper.access.certs.rotate.standing import Stage
from shipkeeper.engine.journal import Entry, Journal, Outcome, Phase, RunRecord
from shipkeeper.engine.plan import Plan, Step
from tests.cli.run import SHIPKEEPER
from tests.forks import run_forked

NO_CLUSTER = """
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
"""


HOST = "127.0.0.9"


def run(tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    config = tmp_path / "config"
    config.write_text(NO_CLUSTER)
    (tmp_path / "known").touch()
    places = {"KUBECONFIG": str(config), "XDG_STATE_HOME": str(tmp_path / "state")}
    known = ("--ssh-known-hosts", str(tmp_path / "known"))
    command = [SHIPKEEPER, "certs", *words, *known]
    return run_forked(command, {**os.environ, **places}, timeout=120)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("renew",), 2, "name each host of the control plane with --host"),
        (("renew", "--host=root@"), 2, "is not a host to log in to"),
        (("renew", "--host=root@127.0.0.1:1"), 1, "127.0.0.1"),
        (("renew", "--host=root@127.0.0.1:1", "--abort"), 2, "no renewal of these hosts"),
        (("renew", "--how=cfssl"), 2, "cfssl"),
        (("rotate-ca", "kubernetes"), 1, "127.0.0.1:1"),
        (("rotate-ca", "root"), 2, "root"),
        (("rotate-ca", "etcd", "--through=all"), 2, "all"),
    ],
)
def test_what_cannot_be_begun_is_said(
    tmp_path: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "bug" not in done.stderr


@pytest.mark.parametrize("outcome", [None, Outcome.INTERRUPTED, Outcome.SUCCEEDED])
@pytest.mark.parametrize(
    "words",
    [
        ("rotate-ca", "kubernetes"),
        ("rotate-ca", "kubernetes", "--back"),
        ("renew",),
        ("renew", "--abort"),
    ],
)
async def test_what_took_the_only_api_server_away_knows_its_hosts(
    tmp_path: Path, words: tuple[str, ...], outcome: Outcome | None
) -> None:
    await _begun(tmp_path, "https://127.0.0.1:1", outcome, procedure=words[0])
    done = run(tmp_path, *words)
    # A stage of a rotation is put back after its end, too.
    is_over = outcome is Outcome.SUCCEEDED and "--back" not in words
    assert done.returncode == (2 if is_over and words[0] == "renew" else 1), done.stderr
    assert (HOST in done.stderr) is not is_over
    assert ("127.0.0.1:1" in done.stderr) is is_over


@pytest.mark.parametrize("words", [("rotate-ca", "kubernetes", "--back"), ("renew", "--abort")])
async def test_of_another_cluster_s_run_no_host_is_taken(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    await _begun(tmp_path, "https://127.0.0.1:2", None, procedure=words[0])
    done = run(tmp_path, *words)
    assert "127.0.0.1:1" in done.stderr
    assert HOST not in done.stderr


async def test_a_stage_whose_way_back_is_being_removed_is_not_given_up(tmp_path: Path) -> None:
    journal = await _begun(tmp_path, "https://127.0.0.1:1", None, Stage.DROP)
    await journal.write(Entry(run="run-1", step="end", phase=Phase.BEFORE))
    done = run(tmp_path, "rotate-ca", "kubernetes", "--back")
    assert done.returncode == 5, done.stderr
    assert "go on with the same command without --back" in done.stderr
    assert journal.run("run-1").outcome is None


async def _begun(
    tmp_path: Path,
    server: str,
    outcome: Outcome | None,
    stage: Stage = Stage.TRUST,
    procedure: str = ROTATE,
) -> Journal:
    """A run that was begun from here on the cluster at a URL; nobody logs in to its host."""
    site = Site(host=HOST, how="openssl")
    rotation = RotationOutlook(
        authority=Authority.KUBERNETES,
        stage=stage,
        sites=(site,),
        nodes={HOST: "cp1"},
        folder="/etc/kubernetes/rotate-trust",
        keep="/etc/kubernetes/rotate-kubernetes",
        maker=HOST,
        name="kubernetes",
        old="",
        server=server,
    )
    renewal = RenewOutlook(
        sites=(site,), folder="/etc/kubernetes/renew-1", kubeadm={}, server=server
    )
    step = Step(id=f"stage/{HOST}", action="stage", target=f"host/{HOST}", effect="stage")
    end = Step(id="end", action="end", target="authority/kubernetes", effect="end")
    is_rotation = procedure == ROTATE
    asked = {"authority": "kubernetes", "stage": stage} if is_rotation else {}
    plan = Plan(
        procedure=procedure,
        request={**asked, "hosts": [HOST]},
        steps=(step, end) if is_rotation else (step,),
        outlook=msgspec.to_builtins(rotation if is_rotation else renewal),
    )
    journal = Journal(tmp_path / "state/shipkeeper/journal.db")
    journal.begin(
        RunRecord(
            id="run-1",
            procedure=procedure,
            cluster=f"{procedure}:{HOST}",
            plan=plan,
            started_at=datetime.now(UTC),
        )
    )
    await journal.write(Entry(run="run-1", step=step.id, phase=Phase.BEFORE))
    if outcome is not None:
        await journal.finish("run-1", outcome)
    return journal
