"""What the page asks for, and the command line that it shows and starts, mean the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.backup.opening import Place
from shipkeeper.backup.restore_options import Existing
from shipkeeper.backup.restore_plan import request_of
from shipkeeper.cli import backup_restore, upgrade_run
from shipkeeper.cli.app import app
from shipkeeper.cli.maintain import run
from shipkeeper.errors import UsageError
from shipkeeper.nodes.options import as_request
from shipkeeper.web.form import MaintenanceForm
from shipkeeper.web.restore_form import RestoreForm
from shipkeeper.web.upgrade_form import UpgradeForm

ACTIONS = st.sampled_from(
    [
        {"wait": "5m"},
        {"wait_for": ("kernel=6.12.9", "reboot"), "wait_limit": "2h"},
        {"hook": """./work "$NODE_NAME"; echo 'a b'"""},
        {"ssh": "os-update"},
        {"pod": "reboot-always"},
    ]
)
MORE_FIELDS: dict[str, st.SearchStrategy[object]] = {
    "expect_reboot": st.booleans(),
    "max_unavailable": st.sampled_from(["1", "3", "10%"]),
    "max_unavailable_per_zone": st.sampled_from(["", "1", "50%"]),
    "on_failure": st.sampled_from(["stop", "continue"]),
    "allow_pending": st.booleans(),
    "canary": st.sampled_from([(), ("1",), ("1", "zone=a")]),
    "window": st.sampled_from([(), ("0 22 * * sat 4h Europe/Berlin",)]),
    "soak": st.sampled_from(["0s", "30s"]),
    "ignore_daemonsets": st.booleans(),
    "delete_emptydir_data": st.booleans(),
    "force": st.booleans(),
}
MORE = st.fixed_dictionaries({}, optional=MORE_FIELDS)


@settings(max_examples=15, deadline=None)
@given(ACTIONS, MORE)
def test_the_command_line_means_what_the_page_asked_for(
    action: dict[str, object], more: dict[str, object]
) -> None:
    form = MaintenanceForm(nodes=("a", "b"), **{**action, **more})  # pyright: ignore
    form.require_fitting(is_local=True)
    form.require_action()
    words = ["maintain", "run", *form.arguments()]
    function, bound, unused = app.parse_args(words, print_error=False, exit_on_error=False)[:3]
    assert function is run
    assert not unused
    bound.apply_defaults()
    given = bound.arguments
    assert given["nodes"] == ("a", "b")
    flags = given["flags"]
    options = given["departure"].complete(flags, given["fleet"].options(flags.options()))
    assert as_request(options, ("a", "b")) == as_request(form.options(), ("a", "b"))


UPGRADE = st.fixed_dictionaries(
    {"to": st.sampled_from(["v1.37.2", "1.36.0"])},
    optional={
        "via": st.sampled_from([(), ("v1.36.3",)]),
        "wait": st.booleans(),
        "wait_limit": st.sampled_from(["1h", "3h"]),
        "packages": st.sampled_from(["", "apt", "dnf"]),
        "snapshot": st.booleans(),
        "backup": st.booleans(),
        **{name: MORE_FIELDS[name] for name in MORE_FIELDS if name != "expect_reboot"},
    },
)
PLACES = st.sampled_from(
    [
        None,
        Place(url="s3://backups/prod", endpoint="https://store:9000", key="/etc/writer.key"),
        Place(url="folder", key="writer.key", identity="reader.age"),
    ]
)


@settings(max_examples=25, deadline=None)
@given(UPGRADE, PLACES)
def test_an_upgrade_means_what_the_page_asked_for(
    asked: dict[str, object], place: Place | None
) -> None:
    form = UpgradeForm(**asked)  # pyright: ignore
    form.require_fitting(is_local=True)
    words = ["upgrade", "run", *form.arguments(place)]
    function, bound, unused = app.parse_args(words, print_error=False, exit_on_error=False)[:3]
    assert function is upgrade_run.run
    assert not unused
    bound.apply_defaults()
    given = bound.arguments
    flags = (given["fleet"], given["drain"], given["departure"], given["repository"])
    assert given["upgrade"].options(given["to"], *flags) == form.options(place)


RESTORE = st.fixed_dictionaries(
    {"backup": st.just("b"), "kinds": st.sampled_from([(), ("configmaps", "secrets")])},
    optional={
        "namespaces": st.sampled_from([("a", "b")]),
        "names": st.sampled_from([("configmaps/a/x",)]),
        "not_names": st.sampled_from([("secrets/a/y", "namespaces/a")]),
        "existing": st.sampled_from(Existing),
        "scaled_to_zero": st.booleans(),
    },
)


@settings(max_examples=15, deadline=None)
@given(RESTORE)
def test_a_restore_means_what_the_page_asked_for(asked: dict[str, object]) -> None:
    form = RestoreForm(**asked)  # pyright: ignore
    words = ["backup", "restore", *form.arguments()]
    function, bound, unused = app.parse_args(words, print_error=False, exit_on_error=False)[:3]
    assert function is backup_restore.restore
    assert not unused
    bound.apply_defaults()
    found = bound.arguments["flags"].options(bound.arguments["objects"])
    assert request_of("r", "b", found) == request_of("r", "b", form.options())


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (UpgradeForm(to="v1.37.2", backup=False), "LocalOnly"),
        (UpgradeForm(to="v1.37.2", wait=True), "LocalOnly"),
        (UpgradeForm(to="v1.37.2", wait=True, backup=False, packages="pip"), "BadRequest"),
        (UpgradeForm(to="v1.37.2", wait=True, backup=False, on_failure="x"), "BadRequest"),
    ],
)
def test_what_somebody_with_a_token_may_not_have_upgraded(form: UpgradeForm, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        form.require_fitting(is_local=False)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "more",
    [{"to": "x"}, {"to": "--help"}, {"to": "v2.0.0"}, {"via": ("1",)}, {"max_unavailable": "0"}],
)
def test_an_upgrade_that_makes_no_sense_is_refused(more: dict[str, object]) -> None:
    form = UpgradeForm(**{"to": "v1.37.2", **more})  # pyright: ignore
    with pytest.raises(UsageError):
        form.options(None)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (MaintenanceForm(nodes=()), "NoTarget"),
        (MaintenanceForm(nodes=("--all",)), "NoTarget"),
        (MaintenanceForm(nodes=("a",), hook="id"), "LocalOnly"),
        (MaintenanceForm(nodes=("a",), ssh="reboot"), "LocalOnly"),
        (MaintenanceForm(nodes=("a",), pod="/tmp/evil"), "UnknownWork"),
        (MaintenanceForm(nodes=("a",), on_failure="explode"), "BadRequest"),
    ],
)
def test_what_somebody_with_a_token_may_not_ask_for(form: MaintenanceForm, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        form.require_fitting(is_local=False)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "more", [{}, {"wait": "1s", "hook": "id"}, {"pod": "reboot", "wait_for": ("reboot",)}]
)
def test_one_thing_is_done_at_each_node(more: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="one thing"):
        MaintenanceForm(nodes=("a",), **more).require_action()  # pyright: ignore


@pytest.mark.parametrize(
    "more",
    [{"wait": "soon"}, {"max_unavailable": "0"}, {"max_unavailable": "x"}, {"wait_for": ("x=1",)}],
)
def test_values_that_make_no_sense_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        MaintenanceForm(nodes=("a",), **more).options()  # pyright: ignore
