"""Pages, against a slow list that is plainly right."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.stripe.lists import Page, Shelf, Span, Window


@dataclass(slots=True)
class Thing:
    id: str
    created: int
    owner: str
    deleted: bool


@st.composite
def shelves(draw: st.DrawFn) -> list[Thing]:
    """In the order of making: many share a second, some are deleted, two people own them."""
    gaps = draw(st.lists(st.integers(0, 2), max_size=25))
    created = [sum(gaps[: place + 1]) for place in range(len(gaps))]
    return [
        Thing(
            f"t{place}",
            at,
            draw(st.sampled_from("ab")),
            draw(st.sampled_from([False, False, False, True])),
        )
        for place, at in enumerate(created)
    ]


spans = st.just(Span()) | st.builds(Span, st.integers(0, 30), st.integers(0, 60))


@settings(max_examples=150)
@given(
    things=shelves(),
    span=spans,
    owner=st.sampled_from([None, "a", "b"]),
    limit=st.integers(1, 6),
    back=st.booleans(),
    modulus=st.sampled_from([1, 1, 3]),
    data=st.data(),
)
def test_a_page_is_the_slice_of_all_that_a_slow_list_gives(
    things: list[Thing],
    span: Span,
    owner: str | None,
    limit: int,
    back: bool,
    modulus: int,
    data: st.DataObject,
) -> None:
    shelf: Shelf[Thing] = Shelf("thing", lambda thing: thing.owner)
    for thing in things:
        shelf.add(thing)
    cursor = data.draw(st.none() | st.sampled_from([x.id for x in things])) if things else None
    after, before = (None, cursor) if back else (cursor, None)

    page = shelf.page(
        Window(limit, after, before),
        span=span,
        owner=owner,
        keep=lambda x: x.created % modulus == 0,
    )

    shown = [
        thing
        for thing in reversed(things)
        if not thing.deleted
        and thing.created in span
        and thing.created % modulus == 0
        and owner in (None, thing.owner)
    ]
    place = int(cursor[1:]) if cursor is not None else None
    assert page == slow_page(shown, limit, place, back)


def slow_page(newest_first: list[Thing], limit: int, place: int | None, back: bool) -> Page[Thing]:
    if place is None:
        return Page(newest_first[:limit], len(newest_first) > limit)
    if back:
        newer = [thing for thing in newest_first if int(thing.id[1:]) > place]
        return Page(newer[max(0, len(newer) - limit) :], len(newer) > limit)
    older = [thing for thing in newest_first if int(thing.id[1:]) < place]
    return Page(older[:limit], len(older) > limit)
