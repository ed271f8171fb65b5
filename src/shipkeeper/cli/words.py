"""A drain in kubectl's words: what was done on stdout, what was not (yet) on stderr."""

from collections.abc import Callable

from shipkeeper.engine.progress import (
    Event,
    ItemChanged,
    StepDone,
    StepFailed,
    StepUndone,
)

Put = Callable[[str], None]


class KubectlWords:
    """A sink; `put` takes text for stdout, `say` a line for stderr.

    `suffix` ends every line about something done (` (server dry run)`); `deletes` tells that pods
    are deleted past their budgets, not evicted.
    """

    def __init__(self, put: Put, say: Put, *, suffix: str = "", deletes: bool = False) -> None:
        self._put = put
        self._say = say
        self._suffix = suffix
        self._deletes = deletes

    def __call__(self, event: Event) -> None:
        """Say what is to be said of an event."""
        match event:
            case StepDone(step, already=already):
                if not already:
                    self._done(step.target, step.action, is_changed=bool(step.undo))
            case StepUndone(step):
                self._put(f"{step.target} uncordoned{self._suffix}\n")
            case StepFailed(step, verdict):
                node = step.target.removeprefix("node/")
                self._say(unable(step.action, node, verdict.message))
            case ItemChanged():
                self._item(event)
            case _:
                pass

    def _done(self, target: str, action: str, *, is_changed: bool) -> None:
        if action == "drain":
            self._put(f"{target} drained{self._suffix}\n")
        elif action == "cordon":
            already = "" if is_changed else "already "
            self._put(f"{target} {already}cordoned{self._suffix}\n")

    def _item(self, event: ItemChanged) -> None:
        namespace, _, name = event.item.partition("/")
        match event.state:
            case "Evicting" if not self._deletes:
                self._put(f"evicting pod {event.item}{self._suffix}\n")
            case "Gone":
                self._put(f"pod/{name} {'deleted' if self._deletes else 'evicted'}{self._suffix}\n")
            case "Waiting":
                then = self._suffix or " (will retry when its budget allows)"
                self._say(
                    f'error when evicting pods/"{name}" -n "{namespace}"{then}: {event.message}'
                )
            case "Terminating" | "Skipped":
                self._say(f"pod {event.item} is still there: {event.message}")
            case _:
                pass


def unable(action: str, node: str, *reasons: str) -> str:
    """kubectl's line about a node that is given up; several reasons stand in brackets."""
    why = reasons[0] if len(reasons) == 1 else f"[{', '.join(reasons)}]"
    return f'error: unable to {action} node "{node}" due to error: {why}, continuing command...'


def pending(nodes: list[str]) -> str:
    """kubectl's list of the nodes that were not drained."""
    return "\n".join(["There are pending nodes to be drained:", *(f" {node}" for node in nodes)])
