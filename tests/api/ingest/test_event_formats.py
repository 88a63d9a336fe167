"""Two ways to decode, one meaning: what is decoded at once is what taking care would make of it."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.event_formats import (
    Events,
    careful_batch,
    careful_event,
    careful_lines,
    format_named,
)
from api.problems import BadRequest, BodyTooLarge
from api.typed_events import typed_batch, typed_lines, typed_single
from billing.usage import IncomingEvent, MalformedEvent, NumberText
from billing.usage.scanning import EVENTS_MAX, BodyKind, scan
from tests.api.ingest.conftest import BATCH, LINES, SINGLE, an_event


class Literally(str):
    """Text that stands in JSON as it is."""

    __slots__ = ()


TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "\t\u3000", "x" * 255, "é" * 255, "x" * 256, "\0", "{", "[", "\ud800"]
    ),
    st.text(max_size=5),
)
NUMBERS = st.sampled_from(
    ["0", "-0", "1.50", "1e400", "-1E+2", "9" * 30, "9" * 5000, "NaN", "-Infinity", "01", "1.", "-"]
)
VALUES: st.SearchStrategy[object] = st.recursive(
    st.one_of(st.none(), st.booleans(), TEXTS, NUMBERS.map(Literally)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
TIMES = st.one_of(
    st.datetimes().map(lambda time: time.isoformat() + "Z"),
    st.sampled_from(
        [
            "2026-11-10T13:20:00.123456789+02:00",
            "2026-11-10 13:20:00z",
            "2026-11-10T13:20:00+0200",
            "2026-11-10T13:20:00",
            "2026-11-10T13:20:60Z",
            "2026-02-30T00:00:00Z",
            "1970-01-01T00:30:00+01:00",
            "2200-01-01T00:30:00+01:00",
            "0001-01-01T00:00:00+10:00",
            "9999-12-31T23:59:59-10:00",
            "now",
        ]
    ),
)


def nested(levels: int) -> object:
    """A value of so many arrays."""
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def as_json(value: object) -> str:
    match value:
        case Literally():
            return str(value)
        case Mapping():
            members = (f"{json.dumps(key)}: {as_json(item)}" for key, item in value.items())
            return f"{{{', '.join(members)}}}"
        case list():
            return f"[{', '.join(map(as_json, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=isinstance(value, str) and "\ud800" in value)


CHANGES = st.one_of(
    st.just({}),
    st.dictionaries(st.sampled_from(["id", "source", "type", "subject"]), TEXTS, max_size=2),
    st.fixed_dictionaries({"time": st.one_of(TIMES, VALUES)}),
    st.fixed_dictionaries({"data": VALUES}),
    st.fixed_dictionaries({"data": st.dictionaries(TEXTS, VALUES, max_size=3)}),
    st.dictionaries(st.sampled_from(["traceparent", "data_base64", "specversion"]), VALUES),
    st.sampled_from([{"data": {"x": nested(levels)}} for levels in (1, 18, 19, 20)]),
)
EVENTS = st.one_of(
    CHANGES.map(lambda changes: as_json(an_event(**changes))),
    CHANGES.map(lambda changes: as_json({**an_event(), **changes}).replace("specversion", "id", 1)),
    st.sampled_from(["{}", "null", "[]", '{"id": 1, "id": "e2"}', as_json(an_event())[:-1]]),
    st.tuples(st.sampled_from(["id", "data", "time"]), VALUES).map(
        lambda twice: as_json(an_event())[:-1] + f', "{twice[0]}": {as_json(twice[1])}}}'
    ),
)


@st.composite
def spoilt(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> bytes:
    """The text, as often as not with a few bytes put in or left out."""
    body = draw(texts).encode(errors="surrogatepass")
    if draw(st.booleans()):
        start = draw(st.integers(0, len(body)))
        stray = draw(
            st.sampled_from([b"", b"\xff", b"\n", b"\r", b"\0", b"\\u0000", b"]", b"{", b" "])
        )
        body = body[:start] + stray + body[start + draw(st.integers(0, 2)) :]
    return body


def meaning(value: object) -> object:
    """The same for a number however it is held; a bool is no number."""
    match value:
        case NumberText():
            return ("number", Decimal(value))
        case bool():
            return ("bool", value)
        case int():
            return ("number", Decimal(value))
        case Mapping():
            return {key: meaning(item) for key, item in value.items()}
        case list():
            return [meaning(item) for item in value]
        case _:
            return value


def meanings(events: Events) -> list[tuple[object, ...]]:
    """What there is to each; only well-formed ones may be told apart."""
    assert all(isinstance(event, IncomingEvent) for event in events)
    return [
        (e.id, e.source, e.type, e.subject, e.time, meaning(e.data or {}))
        for e in events
        if isinstance(e, IncomingEvent)
    ]


def check_careful(decode: Callable[[], Events]) -> None:
    """Whoever takes care always has an answer: to each event, or to the whole."""
    with suppress(BadRequest):
        assert all(isinstance(event, IncomingEvent | MalformedEvent) for event in decode())


def check_scanned(body: bytes, kind: BodyKind, decode: Callable[[], Events]) -> None:
    """What is scanned is well-formed to whoever takes care; what it says, usage is compared for."""
    if (found := scan(body, kind, EVENTS_MAX)) is not None:
        assert len(found) == len(meanings(decode()))


@settings(max_examples=400)
@given(spoilt(EVENTS))
def test_a_single_event_means_the_same_both_ways(body: bytes) -> None:
    check_scanned(body, BodyKind.SINGLE, lambda: [careful_event(body)])
    if (typed := typed_single(body)) is None:
        check_careful(lambda: [careful_event(body)])
    else:
        assert meanings(typed) == meanings([careful_event(body)])


@settings(max_examples=400)
@given(spoilt(st.lists(EVENTS, max_size=4).map(lambda events: f"[{', '.join(events)}]")))
@example(b"[" + json.dumps(an_event(traceparent="?")).encode().replace(b"?", b"\xff") + b"]")
@example(b" [" + json.dumps(an_event(time=None, data=None)).encode() + b"]\r\n")
def test_a_batch_means_the_same_both_ways(body: bytes) -> None:
    check_scanned(body, BodyKind.BATCH, lambda: careful_batch(body))
    if (typed := typed_batch(body)) is None:
        check_careful(lambda: careful_batch(body))
    else:
        assert meanings(typed) == meanings(careful_batch(body))


@settings(max_examples=400)
@given(spoilt(st.lists(EVENTS, max_size=4).map("\n".join)))
@example(f"{json.dumps(an_event())} {json.dumps(an_event())}".encode())
@example(json.dumps(an_event(), indent=1).encode())
def test_lines_mean_the_same_both_ways(body: bytes) -> None:
    lines = [line for line in body.split(b"\n") if line.strip()]
    check_scanned(body, BodyKind.LINES, lambda: careful_lines(lines))
    if (typed := typed_lines(body, lines)) is None:
        check_careful(lambda: careful_lines(lines))
    else:
        assert meanings(typed) == meanings(careful_lines(lines))


ORDINARY: Mapping[str, object] = {
    "each of them": [an_event(), an_event(id="e2", data={"value": 2, "app": None})],
    "without data": [an_event(data=None)],
    "nested": [an_event(data={"value": 1, "tags": {"a": ["b"]}})],
    "extensions": [an_event(traceparent="00-1", datacontenttype="application/json")],
    "escapes": [an_event(id="a\\/\u00e9", source="s\U0001f600")],
    "elsewhere": [an_event(time="2026-11-10T14:20:00+01:00")],
}


@pytest.mark.parametrize("events", ORDINARY.values(), ids=ORDINARY.keys())
def test_ordinary_events_are_decoded_at_once(events: list[dict[str, object]]) -> None:
    body = json.dumps(events).encode()
    lines = [json.dumps(event).encode() for event in events]

    typed = typed_batch(body)

    assert typed is not None
    assert meanings(typed) == meanings(careful_batch(body))
    assert meanings(typed_lines(b"\n".join(lines), lines) or []) == meanings(typed)
    assert meanings(typed_single(lines[0]) or []) == meanings(typed[:1])


@pytest.mark.parametrize("name", [name for name in ORDINARY if name not in {"nested", "elsewhere"}])
def test_usual_events_are_not_decoded_at_all(name: str) -> None:
    events = ORDINARY[name]
    assert isinstance(events, list)
    lines = "\n".join(map(json.dumps, events)).encode()

    for kind, body in (
        (BodyKind.BATCH, json.dumps(events, indent=2).encode()),
        (BodyKind.LINES, lines),
        (BodyKind.LINES, lines + b"\r\n"),
        (BodyKind.SINGLE, json.dumps(events[-1]).encode()),
    ):
        found = scan(body, kind, EVENTS_MAX)
        assert found is not None
        assert len(found) == (1 if kind is BodyKind.SINGLE else len(events))


def test_times_become_utc() -> None:
    [event] = typed_batch(json.dumps(ORDINARY["elsewhere"]).encode()) or []

    assert (event.time, event.time and event.time.tzinfo) == (
        datetime(2026, 11, 10, 13, 20, tzinfo=UTC),
        UTC,
    )


def test_the_most_events_a_request_may_carry() -> None:
    events = [json.dumps(an_event()).encode()] * EVENTS_MAX

    for media_type, body in ((BATCH, b"[%s]" % b",".join(events)), (LINES, b"\n".join(events))):
        assert len(format_named(media_type).decode(body)) == EVENTS_MAX
        one_more = body.replace(
            events[0], events[0] + (b"," if media_type == BATCH else b"\n") + events[0], 1
        )
        with pytest.raises(BodyTooLarge):
            format_named(media_type).decode(one_more)


def test_formats_are_known_by_any_spelling() -> None:
    body = json.dumps(an_event()).encode()

    for name in (SINGLE, SINGLE.upper(), f"{SINGLE}; charset=utf-8"):
        assert len(format_named(name).decode(body)) == 1
