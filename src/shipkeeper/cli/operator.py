"""`shipkeeper operator run|manifests`: the operator's process, and what it needs in a cluster."""

from cyclopts import App

operator = App(name="operator")
for name, path, summary in (
    ("run", "operator_run:run", "Run the operator; several may run, one of them leads."),
    ("manifests", "operator_manifests:manifests_", "Print what the operator needs in a cluster."),
):
    operator.command(f"shipkeeper.cli.{path}", name=name, help=summary)
