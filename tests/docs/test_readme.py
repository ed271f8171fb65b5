"""The README's commands exist, with the flags that it gives them."""

import re
import shlex
from pathlib import Path

import pytest

from shipkeeper.cli.app import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"`(shipkeeper [^`]+)`", README)))
TARGETS = sorted(set(re.findall(r"^    make (\w+)", README, re.MULTILINE)))


def test_the_readme_names_commands() -> None:
    assert len(COMMANDS) > 10


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_can_be_given(line: str) -> None:
    _, *arguments = shlex.split(line)
    _, _, unused = app.parse_args(arguments, print_error=False, exit_on_error=False)[:3]
    assert not unused


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"^    make (\w+)", README, re.MULTILINE)))
)
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
