"""A run as one HTML file that can be kept: no script, nothing that it would have to fetch."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape

from shipkeeper.model.duration import format_duration
from shipkeeper.nodes.picture import NodePicture, PodPicture, RunPicture
from shipkeeper.nodes.replacements import Replacement
from shipkeeper.nodes.report import plan_line

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #8884;
  vertical-align: top; }
th { font-weight: 600; } .dim { opacity: .7; } .Failed { color: #b3261e; } .Done { color: #1f7a4a; }
@media (prefers-color-scheme: dark) { .Failed { color: #ff8f85; } .Done { color: #5fcf93; } }
pre { white-space: pre-wrap; font-size: .85rem; }
"""


def export_page(picture: RunPicture, replacements: Mapping[str, Replacement]) -> bytes:
    """The file; every word of the cluster is put in as text."""
    run = picture.run
    title = f"{run.id}: {run.outcome or 'not finished'}"
    parts = (
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>",
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(plan_line(run.plan))}</p>",
        "<p class=dim>"
        + escape(
            f"began {_time(run.started_at)}, ended {_time(run.finished_at)}, by "
            f"{run.person or 'unknown'} ({run.door or 'unknown'}), in cluster {run.cluster}"
        )
        + "</p>",
        *_section("Nodes", ("Node", "Wave", "State", "Pods moved", "Took", "Why"), _nodes(picture)),
        *_section("Planned anew", ("What changed",), ((each,) for each in picture.revisions)),
        *_section(
            "Pods",
            ("Pod", "From", "State", "Began", "Gone", "Replaced by", "On", "Ready"),
            (_pod(each, replacements.get(each.uid)) for each in picture.pods.values()),
        ),
        *_section("Verdicts", ("Target", "Effect", "Reason", "What", "Remedy"), _verdicts(picture)),
        "<h2>Said</h2><pre>",
        escape("\n".join(f"{each.at} {each.message}" for each in picture.notes) or "nothing"),
        "</pre></body></html>",
    )
    return "\n".join(parts).encode()


def _section(
    title: str, columns: Iterable[str], rows: Iterable[tuple[object, ...]]
) -> Iterable[str]:
    body = [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    if not body:
        return
    yield f"<h2>{escape(title)}</h2><table><tr>"
    yield "".join(f"<th>{escape(each)}</th>" for each in columns)
    yield "</tr>"
    yield from body
    yield "</table>"


def _cell(value: object) -> str:
    text = escape(str(value))
    is_state = text in ("Done", "Failed", "Gone")
    return (
        f"<td class={'Done' if text == 'Gone' else text}>{text}</td>"
        if is_state
        else (f"<td>{text}</td>")
    )


def _nodes(picture: RunPicture) -> Iterable[tuple[object, ...]]:
    for node in picture.nodes.values():
        why = "; ".join(step.verdict.message for step in node.steps if step.verdict is not None)
        yield (
            node.node,
            node.wave or "",
            node.state,
            f"{node.moved}/{node.moving}",
            _took(node),
            why,
        )


def _pod(pod: PodPicture, came: Replacement | None) -> tuple[object, ...]:
    return (
        pod.key,
        pod.node,
        pod.state,
        _time(pod.began_at),
        _time(pod.gone_at),
        came.key if came else "",
        came.node if came else "",
        _time(came.ready_at) if came else "",
    )


def _verdicts(picture: RunPicture) -> Iterable[tuple[object, ...]]:
    found = [step.verdict for node in picture.nodes.values() for step in node.steps]
    gates = [gate.verdict for gate in picture.gates.values()]
    for each in (*picture.run.plan.verdicts, *found, *gates):
        if each is not None:
            yield each.target, each.effect, each.reason, each.message, each.remedy


def _took(node: NodePicture) -> str:
    if node.began_at is None or node.ended_at is None:
        return ""
    return format_duration(node.ended_at - node.began_at)


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%F %T}Z"
