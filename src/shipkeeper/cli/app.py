"""The commands, by name; each is imported when it is used."""

from cyclopts import App, Parameter

app = App(
    name="shipkeeper",
    help="Looks after Kubernetes clusters.",
    default_parameter=Parameter(negative=(), show_default=False),
    help_formatter="plain",
    version_flags=[],
    suppress_keyboard_interrupt=False,
)

_COMMANDS = {
    "nodes": ("shipkeeper.cli.nodes:nodes", "List nodes, or explain one."),
    "cordon": ("shipkeeper.cli.cordon:cordon", "Mark nodes as unschedulable."),
    "uncordon": ("shipkeeper.cli.cordon:uncordon", "Mark nodes as schedulable."),
    "drain": ("shipkeeper.cli.drain:drain", "Drain nodes in preparation for maintenance."),
    "maintain": ("shipkeeper.cli.maintain:maintain", "Maintain a fleet of nodes."),
    "upgrade": ("shipkeeper.cli.upgrade:upgrade", "Upgrade a cluster, every hop proven."),
    "backup": ("shipkeeper.cli.backup:backup", "Back a cluster up and bring it back."),
    "etcd": ("shipkeeper.cli.etcd:etcd", "Snapshots of etcd, and its members."),
    "access": ("shipkeeper.cli.access:access", "Tell who may do what, and tighten it."),
    "certs": ("shipkeeper.cli.certs:certs", "List and check every certificate."),
    "users": ("shipkeeper.cli.users:users", "Who gets into a cluster, and by what."),
    "login": ("shipkeeper.cli.login:login", "Log in by a directory, for kubectl."),
    "login-gateway": (
        "shipkeeper.cli.login_gateway:login_gateway",
        "Let users of a directory into clusters.",
    ),
    "operator": ("shipkeeper.cli.operator:operator", "Run in the cluster, on custom resources."),
    "serve": ("shipkeeper.cli.serve:serve", "Open the console in a browser."),
    "runs": ("shipkeeper.cli.runs:runs", "List the runs of the journal, or show one."),
    "resume": ("shipkeeper.cli.resume:resume", "Go on with an interrupted run."),
    "abort": ("shipkeeper.cli.resume:abort", "Give a run up and uncordon what it cordoned."),
    "sandbox": ("shipkeeper.cli.sandbox:sandbox", "A real control plane on this machine."),
    "demo": ("shipkeeper.cli.demo:demo", "Show a rolling maintenance in a sandbox."),
}

for name, (path, summary) in _COMMANDS.items():
    app.command(path, name=name, help=summary)
app.register_install_completion_command(  # pyright: ignore[reportUnknownMemberType]
    help="Install shell completion."
)
