"""Findings in every format, with hostile names in all of their fields, and baselines."""

from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.engine.baseline import Accepted, Baseline, accept, baseline_of
from shipkeeper.engine.exchange import junit, sarif
from shipkeeper.engine.finding import Answer, Finding, Findings, Passed, Severity, Unchecked
from shipkeeper.engine.findings_page import findings_page
from shipkeeper.engine.findings_report import findings_report
from shipkeeper.engine.report import Format, render

HOSTILE = "\"><script>alert(1)</script>&\x1b[31m\x00'<!--"


def finding(rule: str, severity: Severity = Severity.HIGH, text: str = "t") -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        target=text,
        title=text,
        message=text,
        evidence=(text,),
        who=(text,),
        remedy=text,
        breaks=(text,),
    )


def found(*answers: Answer, text: str = "t") -> Findings:
    return Findings.of(text, answers)


EVIL = found(
    finding(HOSTILE, text=HOSTILE),
    Unchecked(rule=HOSTILE, what=HOSTILE, why=HOSTILE),
    Passed(rule=HOSTILE, title=HOSTILE),
    text=HOSTILE,
)


def test_answers_are_sorted_into_three() -> None:
    low, critical = finding("b", Severity.LOW), finding("c", Severity.CRITICAL)
    unchecked, passed = Unchecked(what="w", why="y"), Passed(rule="p")
    made = found(low, unchecked, passed, critical)
    assert made.findings == (critical, low)
    assert (made.unchecked, made.passed) == ((unchecked,), (passed,))
    assert made.at_least(Severity.HIGH) == (critical,)
    assert made.at_least(Severity.LOW) == (critical, low)


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert all(name in ("class", "lang", "charset", "name", "content") for name, _ in attrs)

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_nothing_escapes_into_a_page() -> None:
    parser = _Elements()
    parser.feed(findings_page(EVIL))
    assert "script" not in parser.tags
    assert parser.text.count("<script>alert(1)</script>") >= 10


def test_xml_says_what_it_can() -> None:
    suite = ElementTree.fromstring(junit(EVIL))
    assert suite.get("tests") == "3"
    assert "<script>alert(1)</script>" in str(suite.get("name"))


@given(st.text())
def test_any_text_is_sayable(text: str) -> None:
    made = found(finding(text, text=text), Passed(rule=text), text=text)
    ElementTree.fromstring(junit(made))
    msgspec.json.decode(sarif(made, text))
    findings_page(made)


def test_the_worst_of_a_rule_scores_it() -> None:
    made = found(finding("r", Severity.LOW), finding("r", Severity.CRITICAL))
    (rule,) = msgspec.json.decode(sarif(made, "0"))["runs"][0]["tool"]["driver"]["rules"]
    assert rule["properties"]["security-severity"] == "9.5"


def test_what_is_accepted_no_longer_counts() -> None:
    one, other = finding("a", text="x"), finding("b", text="x")
    made = found(one, other)
    known = Baseline(accepted=(Accepted(finding=one.fingerprint, reason="it is meant"),))
    marked = accept(made, known)
    assert marked.standing == (other,)
    assert marked.at_least(Severity.LOW) == (other,)
    suppressed = [
        each.get("suppressions")
        for each in msgspec.json.decode(sarif(marked, "0"))["runs"][0]["results"]
    ]
    assert suppressed == [[{"kind": "external", "justification": "it is meant"}], None]
    suite = ElementTree.fromstring(junit(marked))
    assert (suite.get("failures"), suite.get("skipped")) == ("1", "1")
    text = render(findings_report(marked), Format.TEXT)
    assert "accepted" in text
    assert "1 finding (0 critical, 1 high, 0 medium, 0 low), 1 accepted" in text


def test_a_baseline_written_anew_keeps_its_reasons() -> None:
    made = found(finding("a"), finding("b"))
    first = Baseline(accepted=(Accepted(finding="a/t", reason="it is meant"),))
    second = baseline_of(accept(made, first), "as found")
    assert [each.reason for each in second.accepted] == ["it is meant", "as found"]
    assert not accept(made, second).standing
