"""A run as one HTML file that can be kept: no script, nothing that it would have to fetch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape

from shipkeeper.engine.verdict import Verdict
from shipkeeper.model.duration import format_duration
from shipkeeper.nodes.picture import NodePicture, PodPicture, StillPicture
from shipkeeper.nodes.replacements import Replacement
from shipkeeper.nodes.report import plan_line
from shipkeeper.web.gauges import Gauge
from shipkeeper.web.plan_words import plan_words

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; --bg: #f6f7f9;
  --surface: #fff; --line: #dfe4ea; --ink: #17212b; --dim: #566473; --accent: #0b5c73;
  --good: #1f7a4a; --wait: #8a5a00; --bad: #b3261e; --rest: #edf0f3; }
@media (prefers-color-scheme: dark) { :root { --bg: #10151b; --surface: #182029;
  --line: #2c3742; --ink: #e6ecf2; --dim: #9fb0c0; --accent: #6cc3da; --good: #5fcf93;
  --wait: #e8b650; --bad: #ff8f85; --rest: #242e38; } }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1.5rem; overflow-wrap: anywhere;
  background: var(--bg); color: var(--ink); }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; } p { margin: .2rem 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; } .dim { color: var(--dim); }
section { overflow-x: auto; padding: .4rem 1.1rem .7rem; background: var(--surface);
  border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; overflow-wrap: break-word; }
th, td { text-align: left; padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tr:last-child td { border-bottom: 0; }
th { font-weight: 560; color: var(--dim); white-space: nowrap; }
.Done, .Gone, .Succeeded { color: var(--good); } .Block, .Failed { color: var(--bad); }
.Wait, .Warn { color: var(--wait); }
.bar { position: relative; display: block; min-width: 10rem; height: 12px; margin-top: .35rem;
  border-radius: 4px; background: var(--rest); }
.bar i { position: absolute; top: 0; bottom: 0; min-width: 2px; border-radius: 4px;
  background: var(--accent); }
.bar b { position: absolute; top: -4px; bottom: -4px; width: 2px; background: var(--ink); }
pre { white-space: pre-wrap; font-size: .85rem; margin: .4rem 0; }
@media print { body { background: none; } section { border: 0; padding: 0; } }
"""


class _Markup(str):
    """HTML that was made here, and is no text of the cluster's."""

    __slots__ = ()


def export_page(
    picture: StillPicture, replacements: Mapping[str, Replacement], gauges: Sequence[Gauge]
) -> bytes:
    """The file; every word of the cluster is put in as text."""
    run = picture.run
    outcome = str(run.outcome or "not finished")
    plan = plan_words(run.plan, run.started_at)
    parts = (
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>{escape(f'{run.id}: {outcome}')}</title><style>{_STYLE}</style><body><main>",
        f"<h1>{escape(run.id)}: <span class={escape(outcome.split()[0])}>{escape(outcome)}</span>",
        f"</h1><p>{escape(plan_line(run.plan))}</p>",
        "<p class=dim>"
        + escape(
            f"began {_time(run.started_at)}, ended {_time(run.finished_at)}, by "
            f"{run.person or 'unknown'} ({run.door or 'unknown'}), in cluster {run.cluster}"
        )
        + "</p>",
        *_section(
            "What stood in the way",
            ("Effect", "Reason", "Target", "What", "Remedy"),
            map(_verdict, _verdicts(picture)),
        ),
        *_section(
            "Budgets, as they were when this was kept",
            ("Budget", "Healthy, and the line", "Lowest seen"),
            map(_gauge, gauges),
        ),
        *_section(
            "Nodes", ("Node", "Wave", "State", "Pods moved", "Took", "When"), _nodes(picture)
        ),
        *_section("Planned anew", ("What changed",), ((each,) for each in picture.revisions)),
        *_section(
            "Pods",
            ("Pod", "From", "State", "Began", "Gone", "Replaced by", "On", "Ready"),
            (_pod(each, replacements.get(each.uid)) for each in picture.pods),
        ),
        f"<h2>Plan</h2><section><pre>{escape(plan)}</pre></section>",
        "<h2>What hosts and the run said</h2><section><pre>",
        escape("\n".join(f"{each.at} {each.message}" for each in picture.notes) or "nothing"),
        "</pre></section></main></body></html>",
    )
    return "\n".join(parts).encode()


def _section(
    title: str, columns: Iterable[str], rows: Iterable[tuple[object, ...]]
) -> Iterable[str]:
    body = [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    if not body:
        return
    # It scrolls where it is too wide, by keys too.
    yield f"<h2>{escape(title)}</h2><section tabindex=0 aria-label='{escape(title)}'><table><tr>"
    yield "".join(f"<th scope=col>{escape(each)}</th>" for each in columns)
    yield "</tr>"
    yield from body
    yield "</table></section>"


def _cell(value: object) -> str:
    text = value if isinstance(value, _Markup) else escape(str(value))
    is_state = text in ("Done", "Failed", "Gone", "Block", "Wait", "Warn")
    return f"<td class={text}>{text}</td>" if is_state else f"<td>{text}</td>"


def _verdict(each: Verdict) -> tuple[object, ...]:
    return (each.effect, each.reason, each.target, each.message, each.remedy)


def _gauge(each: Gauge) -> tuple[object, ...]:
    most = max(each.expected, each.healthy, each.line, 1)
    bar = _bar(0, each.healthy / most, line=each.line / most)
    words = f"{each.healthy} of {each.expected} healthy, at least {each.line}"
    lowest = "not known here" if each.lowest is None else each.lowest
    return (each.name, _Markup(f"{words}{bar}"), lowest)


def _nodes(picture: StillPicture) -> Iterable[tuple[object, ...]]:
    began, ended = _span(picture)
    for node in picture.nodes:
        yield (
            node.node,
            node.wave or "",
            node.state,
            f"{node.moved} of {node.moving}",
            _took(node),
            _when(node, began, ended),
        )


def _span(picture: StillPicture) -> tuple[datetime, datetime]:
    """From the beginning of a run to the last that is known of it."""
    began = picture.run.started_at
    known = [node.ended_at or node.began_at for node in picture.nodes]
    return began, max([picture.run.finished_at or began, *(each for each in known if each)])


def _when(node: NodePicture, began: datetime, ended: datetime) -> str:
    """A node's time on the time line of the run."""
    length = (ended - began).total_seconds()
    if node.began_at is None or length <= 0:
        return ""
    first = (node.began_at - began).total_seconds() / length
    last = ((node.ended_at or ended) - began).total_seconds() / length
    return _bar(first, last)


def _bar(first: float, last: float, *, line: float | None = None) -> _Markup:
    """A bar between two shares of its track, and perhaps a line across it."""
    mark = "" if line is None else f"<b style='left:{line:.1%}'></b>"
    place = f"left:{first:.1%};width:{max(last - first, 0):.1%}"
    return _Markup(f"<span class=bar><i style='{place}'></i>{mark}</span>")


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


def _verdicts(picture: StillPicture) -> Iterable[Verdict]:
    found = [step.verdict for node in picture.nodes for step in node.steps]
    gates = [gate.verdict for gate in picture.gates]
    return (each for each in (*found, *gates, *picture.run.plan.verdicts) if each is not None)


def _took(node: NodePicture) -> str:
    if node.began_at is None or node.ended_at is None:
        return ""
    return format_duration(node.ended_at - node.began_at)


def _time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%F %T}Z"
