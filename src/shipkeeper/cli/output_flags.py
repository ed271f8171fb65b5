"""Flags about what a command prints and does not do: without imports that take time."""

from typing import Annotated, Literal

from cyclopts import Parameter

Output = Annotated[
    Literal["json", "yaml", "wide", "name"] | None,
    Parameter(name=("--output", "-o"), help="Output format."),
]
ClientDryRun = Annotated[
    Literal["none", "client"],
    Parameter(requires_equals=True, help="client: show what would be done, and do nothing."),
]
