"""`shipkeeper operator run|restore|manifests`: the operator, its Jobs, and what they need."""

from cyclopts import App

operator = App(name="operator")
for name, path, summary in (
    ("run", "operator_run:run", "Run the operator; several may run, one of them leads."),
    ("restore", "operator_restore:restore", "Do what is next for one Restore; its Jobs run this."),
    ("manifests", "operator_manifests:manifests_", "Print what the operator needs in a cluster."),
):
    operator.command(f"shipkeeper.cli.{path}", name=name, help=summary)
