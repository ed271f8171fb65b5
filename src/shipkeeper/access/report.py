"""What the answers look like. Pure."""

from shipkeeper.access.difference import Change, Difference
from shipkeeper.access.explain import Explanation, NearMiss
from shipkeeper.access.matrix import Matrix
from shipkeeper.access.who_can import Holders
from shipkeeper.engine.report import Column, Report, Table

_LETTERS = {
    "get": "g",
    "list": "l",
    "watch": "w",
    "create": "c",
    "update": "u",
    "patch": "p",
    "delete": "d",
    "deletecollection": "D",
}


def holders_report(found: Holders) -> Report:
    """Who may, as a table."""
    rows = tuple(
        (
            each.kind,
            f"{each.name} in {each.group}" if each.group else each.name,
            "(none)" if each.without_namespace else each.namespace or "*",
            each.authorizer,
            each.by,
            each.rule,
        )
        for each in found.holders
    )
    columns = (
        *(Column(title) for title in ("KIND", "NAME", "NAMESPACE", "AUTHORIZER", "BY")),
        Column("RULE", wide=True),
    )
    names = ", ".join(found.webhooks)
    said = f"The webhook {names} was not asked: it may allow or deny besides." if names else ""
    bare = any(each.without_namespace for each in found.holders)
    note = "(none): over all namespaces at once, and in none of them alone." if bare else ""
    return Report(
        value=found,
        body=(Table(columns, rows), note, said),
        names=tuple(f"{each.kind.lower()}/{each.name}" for each in found.holders),
    )


def explanation_report(found: Explanation) -> Report:
    """Why, authorizer by authorizer, and what comes near."""
    answer = found.answer
    head = "yes" if answer.allowed else "it depends" if not answer.is_known else "no"
    why = f"{answer.authorizer}: {answer.rule or answer.reason}" if answer.authorizer else ""
    groups = f" ({', '.join(found.groups)})" if found.groups else ""
    lines = [f"{head}: {found.user}{groups}", f"  {found.question}"]
    lines += [f"  by {why}"] if why.strip(": ") else []
    if answer.unasked:
        lines.append(f"  the webhook {', '.join(answer.unasked)} was not asked")
    rows = tuple(
        (
            each.authorizer,
            each.decision,
            (each.rule or each.reason or each.error).replace("\n", " "),
        )
        for each in found.words
    )
    columns = tuple(Column(title) for title in ("AUTHORIZER", "OPINION", "BECAUSE"))
    misses = tuple(_miss(each) for each in found.near_misses)
    return Report(
        value=found,
        body=(
            "\n".join(lines),
            Table(columns, rows),
            "What comes near:\n" + "\n".join(misses) if misses else "",
        ),
        names=(head.replace(" ", "-"),),
    )


def _miss(miss: NearMiss) -> str:
    return f"  {miss.what}\n    to allow it: {miss.mend}"


def matrix_report(found: Matrix) -> Report:
    """A letter for each verb: g(et) l(ist) w(atch) c(reate) u(pdate) p(atch) d(elete) D."""
    columns = (Column("KIND"), Column("NAME"), *(Column(each) for each in found.resources))
    rows = tuple(
        (
            row.kind,
            row.name,
            *(verb_letters(row.verbs[each], found.verbs) for each in found.resources),
        )
        for row in found.rows
    )
    return Report(
        value=found,
        body=(Table(columns, rows), legend_of(found) if rows else ""),
        names=tuple(f"{row.kind.lower()}/{row.name}" for row in found.rows),
    )


def legend_of(found: Matrix) -> str:
    """Where a matrix is of, and what its letters mean."""
    where = f"in namespace {found.namespace}" if found.namespace else "cluster-wide"
    return f"{where}; {' '.join(f'{_letter(verb)}={verb}' for verb in found.verbs)}"


def verb_letters(held: tuple[str, ...], asked: tuple[str, ...]) -> str:
    """A letter for each verb that is held, a dot for each that is not."""
    return "".join(_letter(verb) if verb in held else "." for verb in asked)


def _letter(verb: str) -> str:
    return _LETTERS.get(verb, verb[:1])


def difference_report(found: Difference) -> Report:
    """Who gains and who loses what."""
    rows = tuple(row for change in found.changes for row in _change_rows(change))
    columns = tuple(Column(title) for title in ("KIND", "NAME", "NAMESPACE", "", "WHAT"))
    chains = (
        f"authorizers: {found.authorizers[0]} → {found.authorizers[1]}" if found.authorizers else ""
    )
    return Report(
        value=found,
        body=(chains, Table(columns, rows)),
        names=tuple(f"{each.kind.lower()}/{each.name}" for each in found.changes),
    )


def _change_rows(change: Change) -> list[tuple[str, ...]]:
    head = (change.kind, change.name, change.namespace or "*")
    return [(*head, "+", each) for each in change.gained] + [
        (*head, "-", each) for each in change.lost
    ]


def yes_no(found: Explanation) -> Report:
    """`can-i` in a word."""
    answer = found.answer
    word = "yes" if answer.allowed else "no" if answer.is_known else "unknown"
    return Report(
        value={"allowed": answer.allowed, "known": answer.is_known, "answer": answer},
        body=(word,),
        names=(word,),
    )
