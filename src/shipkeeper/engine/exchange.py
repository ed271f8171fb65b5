"""Findings in the formats that other tools read: SARIF 2.1.0 and JUnit's XML."""

from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from shipkeeper.engine.finding import Finding, Findings, Severity

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.HIGH: "error", Severity.MEDIUM: "warning", Severity.LOW: "note"}


def sarif(found: Findings, version: str) -> str:
    """A SARIF log of one run; what could not be checked is a notification of it."""
    rules = sorted({each.rule for each in found.findings})
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "shipkeeper",
                "version": version,
                "rules": [{"id": rule, "name": rule} for rule in rules],
            }
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {
                        "level": "warning",
                        "message": {"text": f"not checked: {each.what}: {each.why}"},
                    }
                    for each in found.unchecked
                ],
            }
        ],
        "results": [_result(each) for each in found.findings],
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _result(each: Finding) -> dict[str, Any]:
    location: dict[str, Any] = {
        "logicalLocations": [{"fullyQualifiedName": each.target, "kind": "resource"}]
    }
    path, _, line = each.place.rpartition(":")
    if path:
        location["physicalLocation"] = {
            "artifactLocation": {"uri": path},
            "region": {"startLine": int(line)},
        }
    said = [each.message, *each.evidence, *([f"Remedy: {each.remedy}"] if each.remedy else [])]
    return {
        "ruleId": each.rule,
        "level": _LEVELS[each.severity],
        "message": {"text": "\n".join(said)},
        "locations": [location],
        "partialFingerprints": {"shipkeeper/v1": f"{each.rule}/{each.target}"},
    }


def junit(found: Findings) -> str:
    """A JUnit test suite: findings are failures, checks that passed pass, others are skipped."""
    cases = [
        *(_failure(each) for each in found.findings),
        *(
            f"  <testcase classname={quoteattr(each)} name={quoteattr(each)}/>"
            for each in found.passed
        ),
        *(
            f"  <testcase classname={quoteattr(each.what)} name={quoteattr(each.what)}>"
            f"<skipped message={quoteattr(each.why)}/></testcase>"
            for each in found.unchecked
        ),
    ]
    head = (
        f"<testsuite name={quoteattr(found.subject)} tests={quoteattr(str(len(cases)))} "
        f"failures={quoteattr(str(len(found.findings)))} "
        f"skipped={quoteattr(str(len(found.unchecked)))}>"
    )
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>", ""])


def _failure(each: Finding) -> str:
    text = "\n".join([*each.evidence, *([f"remedy: {each.remedy}"] if each.remedy else [])])
    return (
        f"  <testcase classname={quoteattr(each.rule)} name={quoteattr(each.target)}>"
        f"<failure type={quoteattr(each.severity)} message={quoteattr(each.message)}>"
        f"{escape(text)}</failure></testcase>"
    )
