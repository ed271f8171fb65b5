"""Findings in the formats that other tools read: SARIF 2.1.0 and JUnit's XML. Pure."""

from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from shipkeeper.engine.finding import Finding, Findings, Severity, Unchecked

# What XML 1.0 has no way to say, not even escaped; names of users may hold it.
_UNSPEAKABLE = dict.fromkeys(
    {*range(0x20), 0xFFFE, 0xFFFF} - {0x09, 0x0A, 0x0D}, "\N{REPLACEMENT CHARACTER}"
)
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
# What code scanning sorts by, 0 to 10; it is a rule's, so the worst of its findings decides.
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.0",
    Severity.LOW: "2.0",
}


def sarif(found: Findings, version: str) -> str:
    """A SARIF log of one run; what could not be checked is a notification of it.

    `version` is shipkeeper's own. Rules that passed are rules without a result: code scanning
    would show a result of kind `pass` as an alert.
    """
    # Findings come the worst first, and the first of a rule speaks for it.
    rules = {each.rule: each for each in reversed(found.findings)}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "shipkeeper",
                "version": version,
                "rules": [
                    *(_rule(rules[each]) for each in sorted(rules)),
                    *(_named(each.rule, each.title) for each in found.passed),
                ],
            }
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [_notification(each) for each in found.unchecked],
            }
        ],
        "results": list(map(_result, found.findings)),
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _named(rule: str, title: str) -> dict[str, Any]:
    text = {"shortDescription": {"text": title}} if title else {}
    return {"id": rule, "name": rule, **text}


def _rule(worst: Finding) -> dict[str, Any]:
    score = _SCORES[worst.severity]
    return {**_named(worst.rule, worst.title), "properties": {"security-severity": score}}


def _notification(each: Unchecked) -> dict[str, Any]:
    return {"level": "warning", "message": {"text": f"not checked: {each.label}: {each.why}"}}


def _result(each: Finding) -> dict[str, Any]:
    location: dict[str, Any] = {
        "logicalLocations": [
            {"fullyQualifiedName": each.target or each.rule, "kind": "resource"},
        ]
    }
    path, _, line = each.place.rpartition(":")
    if path:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": path},
            "region": {"startLine": int(line)},
        }
    said = [each.message, *each.evidence, *([f"Remedy: {each.remedy}"] if each.remedy else [])]
    result: dict[str, Any] = {
        "ruleId": each.rule,
        "level": _LEVELS[each.severity],
        "message": {"text": "\n".join(said)},
        "locations": [location],
        "partialFingerprints": {"shipkeeper/v1": each.fingerprint},
    }
    if each.accepted:
        result["suppressions"] = [{"kind": "external", "justification": each.accepted}]
    return result


def junit(found: Findings) -> str:
    """A JUnit test suite: findings are failures, checks that passed pass, others are skipped."""
    cases = [
        *map(_failure, found.findings),
        *(f"{_case(each.rule, each.title)}/>" for each in found.passed),
        *(_skipped(each.rule or each.what, each.what, each.why) for each in found.unchecked),
    ]
    accepted = len(found.findings) - len(found.standing)
    head = (
        f"<testsuite name={quoteattr(found.subject)} tests={quoteattr(str(len(cases)))} "
        f"failures={quoteattr(str(len(found.standing)))} "
        f"skipped={quoteattr(str(len(found.unchecked) + accepted))}>"
    )
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>", ""]
    return "\n".join(lines).translate(_UNSPEAKABLE)


def _case(rule: str, name: str) -> str:
    return f"  <testcase classname={quoteattr(rule)} name={quoteattr(name or rule)}"


def _skipped(rule: str, name: str, why: str) -> str:
    return f"{_case(rule, name)}><skipped message={quoteattr(why)}/></testcase>"


def _failure(each: Finding) -> str:
    name = each.target or each.title
    if each.accepted:
        return _skipped(each.rule, name, f"accepted: {each.accepted}")
    text = "\n".join([*each.evidence, *([f"remedy: {each.remedy}"] if each.remedy else [])])
    return (
        f"{_case(each.rule, name)}>"
        f"<failure type={quoteattr(each.severity)} message={quoteattr(each.message)}>"
        f"{escape(text)}</failure></testcase>"
    )
