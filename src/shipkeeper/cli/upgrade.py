"""`shipkeeper upgrade`: what runs where, what stands in the way, the plan, and the run of it."""

from cyclopts import App

upgrade = App(name="upgrade")
for name, module, function, summary in (
    ("versions", "upgrade_look", "versions", "Show what runs where, and what breaks the policy."),
    ("check", "upgrade_check", "check", "Find what would stop or break an upgrade."),
    ("plan", "upgrade_look", "plan", "Show every step of an upgrade, proven."),
    ("run", "upgrade_run", "run", "Upgrade a cluster."),
    ("status", "upgrade_run", "status", "Show where an upgrade stands."),
    ("resume", "upgrade_run", "resume", "Go on with an interrupted upgrade."),
    ("abort", "upgrade_run", "abort", "Give an upgrade up, and say what that leaves."),
):
    upgrade.command(f"shipkeeper.cli.{module}:{function}", name=name, help=summary)
