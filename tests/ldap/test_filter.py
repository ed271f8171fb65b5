"""Filters and the encoding: read, filled, encoded; nothing that is put in gets out of its place."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.ldap import ber, messages
from shipkeeper.ldap.filter import (
    FilterError,
    describe_filter,
    encode_filter,
    parse_filter,
    places,
)


@pytest.mark.parametrize(
    "text",
    [
        "(uid=ann)",
        "(uid=*)",
        "(cn=a*b*c)",
        "(cn=*a)",
        "(&(a=b)(!(c>=d))(|(e<=f)(g~=h)))",
        "(member:1.2.840.113556.1.4.1941:=cn=x)",
        "(cn:dn:caseExactMatch:=x)",
        r"(cn=\2a\28\29\5c)",
        "(cn=jürgen)",
    ],
)
def test_read_and_written_again(text: str) -> None:
    assert describe_filter(parse_filter(text), {}) == text


@pytest.mark.parametrize(
    "text", ["", "uid=x", "(uid=x", "(uid=x))", "()", "(&)", "(!(a=b)(c=d))", r"(a=\zz)", "(" * 99]
)
def test_what_is_no_filter(text: str) -> None:
    with pytest.raises(FilterError):
        parse_filter(text)


def test_known_octets() -> None:
    # Worked out by hand from RFC 4511, so that encoder and decoder are not wrong together.
    assert encode_filter(parse_filter("(uid=ann)"), {}).hex() == "a30a04037569640403616e6e"
    assert encode_filter(parse_filter("(cn=a*b)"), {}).hex() == "a40c0402636e3006800161820162"


@given(st.text())
def test_a_value_stays_one_value(value: str) -> None:
    template = parse_filter("(&(objectClass=person)(uid={login}))")
    assert places(template) == {"login"}
    encoded = encode_filter(template, {"login": value})
    ((tag, both),) = ber.elements(encoded)
    _, (_, compared) = ber.elements(both)
    assert tag == 0xA0
    assert [content for _, content in ber.elements(compared)] == [b"uid", value.encode()]


@given(st.text())
def test_a_described_value_is_read_as_the_same(value: str) -> None:
    template = parse_filter("(uid={login})")
    # A brace in a value is a brace: what is described is for people, and has no places.
    described = describe_filter(template, {"login": value}).replace("{", r"\7b")
    again = parse_filter(described)
    if value:
        assert encode_filter(again, {}) == encode_filter(template, {"login": value})


@given(st.integers(-(2**40), 2**40))
def test_integers(value: int) -> None:
    ((_, content),) = ber.elements(ber.integer(value))
    assert ber.number(content) == value


@given(st.binary(max_size=70_000), st.integers(0, 20))
def test_elements_come_whole_or_not_at_all(content: bytes, missing: int) -> None:
    whole = ber.octets(content)
    assert list(ber.elements(whole)) == [(ber.OCTETS, content)]
    if missing:
        with pytest.raises(ber.BerError):
            list(ber.elements(whole[:-missing] or b"\x04"))


@given(st.binary(max_size=300))
def test_anything_is_a_message_or_an_error(data: bytes) -> None:
    # Any other exception is the failure that is looked for.
    with suppress(ber.BerError):
        message = messages.read_message(data)
        messages.read_result(message)


@pytest.mark.parametrize(("dn", "password"), [("", "x"), ("cn=x", ""), ("", "")])
def test_a_bind_that_would_be_anonymous_cannot_be_made(dn: str, password: str) -> None:
    with pytest.raises(ValueError, match="needs a name and a password"):
        messages.bind_request(1, dn, password)
