"""`shipkeeper users`: who gets into a cluster, and by what."""

from cyclopts import App

users = App(name="users")
for name, summary in (
    ("create", "Make a user, and a kubeconfig for them."),
    ("lint", "Find what is wrong with token files and bootstrap tokens."),
):
    users.command(f"shipkeeper.cli.users_{name}:{name}", name=name, help=summary)
