"""`shipkeeper etcd`: snapshots taken, looked into and restored; members' health."""

from cyclopts import App

etcd = App(name="etcd")
snapshot = App(name="snapshot", help="save, status, verify and restore, where etcdctl has them.")
_COMMANDS = (
    ("health", "etcd_health", "health", "Tell how the members are."),
    ("defrag", "etcd_health", "defrag", "Make room in members' databases."),
    ("save", "etcd_save", "save", "Save a snapshot of a member."),
    ("fetch", "etcd_fetch", "fetch", "Bring a snapshot of the repository into a file."),
    ("status", "etcd_status", "status", "Tell hash, revision, keys and size of a snapshot."),
    ("ls", "etcd_look", "ls", "List what a snapshot holds."),
    ("get", "etcd_look", "get", "Get one object out of a snapshot."),
    ("history", "etcd_look", "history", "Show the revisions of an object in a snapshot."),
    ("diff", "etcd_look", "diff", "Compare two snapshots."),
    ("restore", "etcd_restore", "restore", "Make a member's data directory of a snapshot."),
    ("recover", "etcd_recover", "recover", "Bring a kubeadm control plane back."),
    ("verify", "etcd_status", "verify", "Check every byte of a snapshot."),
)
for name, module, function, summary in _COMMANDS:
    etcd.command(f"shipkeeper.cli.{module}:{function}", name=name, help=summary)
    if name in ("save", "fetch", "status", "verify", "restore"):
        snapshot.command(f"shipkeeper.cli.{module}:{function}", name=name, help=summary)
etcd.command(snapshot)
