"""Golden files: what commands print, word for word.

After a wanted change: UPDATE_GOLDEN=1 python -m pytest tests/cli/test_golden.py
"""

import os
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "golden"


def assert_golden(name: str, text: str) -> None:
    """Compare a text with the golden file of a name."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
