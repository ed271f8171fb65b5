"""An audit as JUnit XML, for CI. Pure."""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from shipkeeper.access.audit import Audit
from shipkeeper.access.finding import Finding, Outcome


def junit(audit: Audit) -> str:
    """A test case for each answer; what is not evaluated, or accepted, is skipped."""
    suite = Element("testsuite", name=f"shipkeeper access audit of {audit.source}")
    for finding in audit.findings:
        _case(suite, finding)
    counted = {
        "tests": len(audit.findings),
        "failures": len(suite.findall("testcase/failure")),
        "skipped": len(suite.findall("testcase/skipped")),
        "errors": 0,
    }
    for name, number in counted.items():
        suite.set(name, str(number))
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, finding: Finding) -> None:
    name = f"{finding.title} ({finding.target})" if finding.target else finding.title
    case = SubElement(suite, "testcase", classname=finding.id, name=name)
    if finding.accepted:
        SubElement(case, "skipped", message=f"accepted: {finding.accepted}")
    elif finding.outcome is Outcome.NOT_EVALUATED:
        SubElement(case, "skipped", message=finding.message)
    elif finding.outcome is Outcome.FAIL:
        failure = SubElement(case, "failure", message=finding.message, type=finding.severity.value)
        failure.text = finding.remedy
