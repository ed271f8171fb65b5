"""The commands of the documentation's pages exist, with the flags that they give them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclopts import MissingArgumentError

from shipkeeper.cli.app import app

DOCS = Path(__file__).parents[2] / "docs"
# The text of this page is full of headers that begin with the program's name.
NO_COMMANDS = "backup-repository.md"
ENDS = ("|", ">", "&&", ";")


def commands() -> Iterator[tuple[str, str]]:
    """Each page's name and command: those in backticks, and lines of code; not the shortened."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text().replace("\\\n", " ")
        found = re.findall(r"`(shipkeeper [^`]+)`", text)
        found += re.findall(r"^ *(?:\$ )?(shipkeeper -?[a-z].*)$", _code(text), re.MULTILINE)
        if page.name != NO_COMMANDS:
            yield from ((page.name, line) for line in sorted({*found}) if "…" not in line)


def _code(text: str) -> str:
    fenced = "\n".join(re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    indented = "\n".join(re.findall(r"^ {4}.*$", text, re.MULTILINE))
    return f"{fenced}\n{indented}"


def test_the_pages_name_commands() -> None:
    assert len(list(commands())) > 40


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_every_command_of_a_page_can_be_given(page: str, line: str) -> None:
    _, *words = shlex.split(line, comments=True)
    end = next((index for index, word in enumerate(words) if word in ENDS), len(words))
    try:
        _, _, unused = app.parse_args(words[:end], print_error=False, exit_on_error=False)[:3]
    except MissingArgumentError:
        # A command that is spoken of, and not given.
        return
    assert not unused
