"""The decoder of the watch stream, over streams cut in every way."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.kube.errors import ExpiredError, MalformedAnswerError
from shipkeeper.kube.watch import Bookmark, EventDecoder, Failed, Gone, Seen
from tests.faults.faults import status
from tests.kube.objects import CONFIG_MAPS, ConfigMap


def event(type_: str, revision: str, **data: str) -> dict[str, Any]:
    metadata = {"name": "a", "resourceVersion": revision, "managedFields": [{"time": "t"}]}
    return {"type": type_, "object": {"kind": "ConfigMap", "metadata": metadata, "data": data}}


EVENTS = [
    event("ADDED", "1", text='a line\nand "quotes"'),
    event("MODIFIED", "2", text="ümläut \u2028 🚢"),
    {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "3"}}},
    event("DELETED", "4", big="x" * 5000),
]
STREAM = b"".join(msgspec.json.encode(each) + b"\n" for each in EVENTS)


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_a_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    decoder = EventDecoder(CONFIG_MAPS)
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[begin:end] for begin, end in pairwise(edges)]
    first, second, bookmark, last = [each for chunk in chunks for each in decoder.feed(chunk)]
    assert isinstance(first, Seen)
    assert first.object.data == {"text": 'a line\nand "quotes"'}
    assert isinstance(second, Seen)
    assert second.object.data == {"text": "ümläut \u2028 🚢"}
    assert bookmark == Bookmark("3")
    assert isinstance(last, Gone)
    assert last.object.metadata.resource_version == "4"


def test_an_event_that_has_not_ended_is_not_told() -> None:
    decoder = EventDecoder(CONFIG_MAPS)
    assert list(decoder.feed(STREAM[:-1]))[-1] == Bookmark("3")
    assert len(list(decoder.feed(b"\n"))) == 1


def test_events_before_a_failure_are_told() -> None:
    failure = {"type": "ERROR", "object": status(410, "Expired", "too old resource version")}
    stream = STREAM + msgspec.json.encode(failure) + b"\n"
    *_, gone, failed = EventDecoder(CONFIG_MAPS).feed(stream)
    assert isinstance(gone, Gone)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ExpiredError)
    assert failed.error.message == "too old resource version"


@pytest.mark.parametrize(
    "line",
    [
        b"<html>",
        b"{}",
        b'{"type":"ADDED","object":[]}',
        b'{"type":"ADDED","object":{"metadata":{"labels":"none"}}}',
        b'{"type":"RENAMED","object":{"metadata":{}}}',
    ],
)
def test_what_is_no_event_is_not_guessed_at(line: bytes) -> None:
    decoder = EventDecoder(CONFIG_MAPS)
    told: list[object] = []
    with pytest.raises(
        MalformedAnswerError, match=r"cannot read the answer \(to watch configmaps\)"
    ):
        told.extend(decoder.feed(STREAM + line + b"\n"))
    assert len(told) == len(EVENTS)


def test_an_object_holds_only_what_is_read() -> None:
    first = next(EventDecoder(CONFIG_MAPS).feed(STREAM))
    assert isinstance(first, Seen)
    assert type(first.object) is ConfigMap
    assert msgspec.json.decode(msgspec.json.encode(first.object)) == {
        "metadata": {"name": "a", "resourceVersion": "1"},
        "data": {"text": 'a line\nand "quotes"'},
    }
