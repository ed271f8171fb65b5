"""The steps of an upgrade as they are written down, with what they run and bring about; pure."""

from shipkeeper.engine.plan import Step
from shipkeeper.upgrade.commands import Lines
from shipkeeper.upgrade.outlook import HostCommands

CLUSTER = "cluster"


class Draft:
    """What a plan foretells of its steps: `commands` and `versions` by their ids."""

    def __init__(self) -> None:
        self.commands: dict[str, HostCommands] = {}
        self.versions: dict[str, str] = {}

    def on_host(
        self,
        node: str,
        name: str,
        effect: str,
        lines: Lines,
        *,
        after: tuple[str, ...],
        action: str = "host",
        minutes: int = 15,
        undo: Lines = (),
    ) -> Step:
        """A step that runs some lines on the host of a node."""
        step = Step(
            id=f"{node}/{name}",
            action=action,
            target=f"node/{node}",
            effect=effect,
            undo="; ".join(undo),
            after=after,
        )
        self.commands[step.id] = HostCommands(host=node, lines=lines, minutes=minutes, undo=undo)
        return step
