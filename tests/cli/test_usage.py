"""Command lines that make no sense: exit code 2, one line and a hint, before anything is asked."""

import inspect
from collections.abc import Iterator

import pytest
from cyclopts import App

from shipkeeper.cli.app import app
from shipkeeper.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("cordon", "no node is named"),
        ("uncordon", "no node is named"),
        ("drain", "no node is named"),
        ("maintain --wait=1s", "no node is named"),
        ("drain a -l b", "cannot specify both a node name and a --selector option"),
        ("nodes a -l b", "cannot specify both a node name and a --selector option"),
        ("nodes -l ==", "cannot read the label selector"),
        ("drain a --pod-selector ==", "--pod-selector=<pod_selector> must be a valid label"),
        ("drain a --timeout=soon", "'soon' is not a duration"),
        ("drain a --grace-period=long", "--grace-period"),
        ("drain a --no-such-flag", "--no-such-flag"),
        ("drain a --dry-run=perhaps", "--dry-run"),
        ("drain a -o table", "-o"),
        ("drain a --chunk-size=-1", "--chunk-size"),
        ("maintain a", "either --hook or --wait"),
        ("maintain a --wait=1s --command=true", "either --hook or --wait"),
        ("maintain a --pod=reboot --ssh=reboot", "or --ssh or --pod"),
        ("maintain a --wait-for=moon", "'moon' cannot be waited for"),
        ("maintain a --wait-for=reboot=1", "'reboot=1' cannot be waited for"),
        ("maintain a --wait-for=kernel=", "'kernel=' cannot be waited for"),
        ("maintain a --hook=true --secret-env=A=B", "'A=B' is not the name of an environment"),
        ("maintain a --wait=1s --if-work-fails=burn", "--if-work-fails"),
        ("maintain a --all --wait=1s", "cannot specify --all together"),
        ("maintain a --wait=1s --dry-run=server", "--dry-run"),
        ("maintain a --wait=1s --drain-deadline=5m", "--drain-deadline and --at-deadline go"),
        ("maintain a --wait=1s --at-deadline=kill", "--drain-deadline and --at-deadline go"),
        ("maintain a --wait=1s --drain-deadline=5m --at-deadline=shoot", "--at-deadline"),
        ("maintain a --wait=1s --detach-timeout=soon", "'soon' is not a duration"),
        ("drain a --pod-order=age", "--pod-order"),
        ("drain a --surge-owned", "--surge-owned says more about --surge"),
        ("nodes explain", "NODE"),
        ("nodes explain a --if-lost --node-monitor-grace-period=soon", "is not a duration"),
        ("upgrade plan", "--to"),
        ("upgrade plan --to=newest", "'newest' is not a Kubernetes version"),
        ("upgrade plan --to=v2.0.0", "no version of Kubernetes that exists"),
        ("upgrade run --to=v1.37 --hook=true", "an upgrade does its own work"),
        ("upgrade run --to=v1.37 --via=1", "'1' is not a Kubernetes version"),
        ("upgrade check --to=v1.37 --fail-on=some", "--fail-on"),
        ("no-such-command", "no-such-command"),
        ("sandbox up Not_a_name", "cannot name a sandbox"),
        ("sandbox host reboot a --down-for=soon", "is not a duration"),
    ],
)
def test_usage(
    arguments: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Whoever tries to connect fails with another exit code.
    monkeypatch.setenv("KUBECONFIG", "/no/such/file")
    assert main(arguments.split()) == 2
    said = capsys.readouterr()
    error, hint = said.err.splitlines()
    assert error.startswith("error: ")
    assert words in error
    assert hint.startswith("hint: ")
    assert said.out == ""


def pages(of: App, chain: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every command and what it says of itself."""
    for name in of:
        if not name.startswith("-"):
            yield from pages(of[name], (*chain, name))
    if chain and of.default_command is not None:
        yield chain, inspect.getdoc(of.default_command) or ""


def test_the_page_of_a_command_says_all_that_it_says_of_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for chain, said in pages(app):
        assert main([*chain, "--help"]) == 0
        page = " ".join(capsys.readouterr().out.split())
        # Markup is shown without its marks.
        wanted = " ".join(said.split()).replace("`", "")
        assert wanted
        assert wanted in page.replace("`", ""), chain
