"""An audit as SARIF 2.1.0, for code scanning. Pure."""

from typing import Any

from shipkeeper.access.audit import Audit
from shipkeeper.access.finding import Finding, Outcome, Severity

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
}
_KINDS = {Outcome.FAIL: "fail", Outcome.PASS: "pass", Outcome.NOT_EVALUATED: "notApplicable"}
# What code scanning sorts by, 0 to 10.
_SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.0",
    Severity.LOW: "2.0",
}


def sarif(audit: Audit, version: str) -> dict[str, Any]:
    """The log of one run; `version` is shipkeeper's own."""
    rules = {each.id: _rule(each) for each in audit.findings}
    driver = {"name": "shipkeeper", "version": version, "rules": list(rules.values())}
    run = {
        "tool": {"driver": driver},
        "results": [_result(each, audit.source) for each in audit.findings],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "shortDescription": {"text": finding.title},
        "properties": {"security-severity": _SCORES[finding.severity]},
    }


def _result(finding: Finding, source: str) -> dict[str, Any]:
    kind = _KINDS[finding.outcome]
    name = finding.target or finding.id
    result: dict[str, Any] = {
        "ruleId": finding.id,
        "kind": kind,
        # A level other than none is for fails alone.
        "level": _LEVELS[finding.severity] if kind == "fail" else "none",
        "message": {"text": finding.message or finding.title},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": name}},
                "logicalLocations": [{"fullyQualifiedName": f"{source}/{name}"}],
            }
        ],
        "partialFingerprints": {"shipkeeper/v1": finding.fingerprint},
    }
    if finding.accepted:
        result["suppressions"] = [{"kind": "external", "justification": finding.accepted}]
    return result
