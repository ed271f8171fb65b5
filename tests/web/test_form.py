"""What the page asks for, and the command line that it shows and starts, mean the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.cli.app import app
from shipkeeper.cli.maintain import run
from shipkeeper.errors import UsageError
from shipkeeper.nodes.options import as_request
from shipkeeper.web.form import MaintenanceForm

ACTIONS = st.sampled_from(
    [
        {"wait": "5m"},
        {"wait_for": ("kernel=6.12.9", "reboot"), "wait_limit": "2h"},
        {"hook": """./work "$NODE_NAME"; echo 'a b'"""},
        {"ssh": "os-update"},
        {"pod": "reboot-always"},
    ]
)
MORE = st.fixed_dictionaries(
    {},
    optional={
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
    },
)


@settings(max_examples=25, deadline=None)
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
    options = given["fleet"].options(given["flags"].options())
    assert as_request(options, ("a", "b")) == as_request(form.options(), ("a", "b"))


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
