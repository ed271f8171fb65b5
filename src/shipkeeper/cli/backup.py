"""`shipkeeper backup`: every resource saved, looked at, compared and brought back."""

from cyclopts import App

backup = App(name="backup")
for name, module, function, summary in (
    ("init", "backup_take", "init", "Make a repository and its keys."),
    ("create", "backup_take", "create", "Back a cluster up."),
    ("schedule", "backup_schedule", "schedule", "Back a cluster up again and again."),
    ("import", "backup_take", "import_", "Make a backup of exported YAML files."),
    ("list", "backup_look", "list_backups", "List the backups of a repository."),
    ("show", "backup_look", "show", "Show what a backup holds."),
    ("get", "backup_look", "get", "Get objects out of a backup."),
    ("diff", "backup_look", "diff", "Compare two backups, or one with the cluster."),
    ("export", "backup_look", "export", "Write a backup as clean YAML files."),
    ("verify", "backup_keep", "verify", "Check every byte of a repository."),
    ("prune", "backup_keep", "prune", "Forget old backups and free their space."),
    ("restore", "backup_restore", "restore", "Bring objects of a backup back."),
):
    backup.command(f"shipkeeper.cli.{module}:{function}", name=name, help=summary)
