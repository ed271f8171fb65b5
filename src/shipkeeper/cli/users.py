"""`shipkeeper users`: who gets into a cluster, and by what."""

from cyclopts import App

users = App(name="users")
users.command(
    "shipkeeper.cli.users_list:list_",
    name="list",
    help="Show who gets in, by what, how far, and until when.",
)
for name, summary in (
    ("create", "Make a user, and a kubeconfig for them."),
    ("revoke", "Take back what somebody logs in with."),
    ("lint", "Find what is wrong with token files and bootstrap tokens."),
):
    users.command(f"shipkeeper.cli.users_{name}:{name}", name=name, help=summary)
