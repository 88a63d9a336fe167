"""What a push costs in calls, and what becomes of an invoice with more lines than Stripe takes."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.ids import LineId, StripeInvoiceId, new_id
from billing.invoice_sync import push_due
from billing.invoice_sync.rollup import LINES_MAX, push_lines
from billing.models import InvoiceLine, SyncState
from billing.rules.lines import LineKind
from billing.runtime import Runtime
from billing.stripe_gateway import TooManyLines
from billing.stripe_protocol import PushInvoice
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.chaos import Fault, Switch
from sandbox.stripe.limits import Limits
from tests.billing.pushing import (
    ADD_LINES,
    STEPS,
    an_issued_invoice,
    assert_exactly_once,
    calls,
    held,
    sync_of,
)
from tests.billing.test_push_doubts import through
from tests.factories import an_organization

CALLS = {0: 0, 1: 3, 100: 3, 101: 4, 250: 5, 251: 3}
"""Two and one for each hundred lines; nothing at all of an invoice without any, for it is 0.00, and
of 251 lines their sum."""

FIRST, LAST = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize("count", CALLS)
async def test_calls_for_so_many_lines(connected: Runtime, fake: FakeStripe, count: int) -> None:
    invoice_id = await an_issued_invoice(connected, *[100] * count, is_empty=not count)
    await push_due(connected)

    made = calls(fake, *STEPS)
    print(f"{count:>4} lines: {made} calls")  # noqa: T201 - the figure is asked for
    assert made == CALLS[count]
    assert fake.world.calls.total() == made + (1 if count else 0), "its customer, once"
    if count:
        lines = 1 if count > LINES_MAX else count
        assert_exactly_once(fake, invoice_id, 100 * count, lines)


async def test_a_second_invoice_of_a_customer_needs_no_other_customer(
    connected: Runtime, fake: FakeStripe
) -> None:
    async with connected.sessions.begin() as session:
        org = await an_organization(session)
    await an_issued_invoice(connected, org=org)
    await push_due(connected)
    before = fake.world.calls.total()
    await an_issued_invoice(connected, org=org, months_before=1)
    await push_due(connected)

    assert fake.world.calls.total() - before == 3


async def test_too_many_lines_for_stripe_are_one_for_each_product_with_a_link(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id = await an_issued_invoice(connected, *range(1, 301))
    await push_due(connected)

    sync = await sync_of(connected, invoice_id)
    assert sync.state is SyncState.PUSHED, sync.error_message
    (invoice,) = held(fake)
    (line,) = invoice.lines
    assert (invoice.total, line.amount) == (45150, 45150)
    number = invoice.metadata["number"]
    org = number.rpartition("-")[0].lower()
    assert line.description == (
        f"One-off items: 300 lines, each of them at"
        f" http://127.0.0.1:8000/orgs/{org}/billing/invoices/{number}"
    )


def a_line(kind: LineKind, product: str | None, minor: int) -> InvoiceLine:
    return InvoiceLine(
        id=LineId(new_id()),
        kind=kind,
        product=product,
        amount_minor=minor,
        exact_minor=Fraction(minor),
        description=f"{product} at {minor}",
        span_start=FIRST,
        span_end=LAST,
    )


@settings(max_examples=10, deadline=None)
@given(
    st.integers(LINES_MAX - 2, LINES_MAX + 200),
    st.integers(1, 400),
    st.randoms(use_true_random=False),
)
def test_rolling_up_keeps_the_total_and_fits(count: int, products: int, chance: Random) -> None:
    names = [None, *(f"product {n}" for n in range(products))]
    lines = [
        a_line(chance.choice(list(LineKind)), chance.choice(names), chance.randint(-500, 5000))
        for _ in range(count)
    ]
    pushed = push_lines(lines, "https://example.test")

    assert len(pushed) <= LINES_MAX
    assert sum(line.amount_minor for line in pushed) == sum(x.amount_minor for x in lines)
    assert len({line.line_id for line in pushed}) == len(pushed)
    assert pushed == push_lines(lines, "https://example.test"), "a repeat is the same"
    if len(lines) <= LINES_MAX:
        assert [line.description for line in pushed] == [line.description for line in lines]


def test_as_many_products_as_lines_fit_too() -> None:
    lines = [a_line(LineKind.USAGE, f"product {n}", n) for n in range(260)]
    pushed = push_lines(lines, "https://example.test")

    assert len(pushed) == LINES_MAX
    assert pushed[0].description == "product 0 at 0"
    assert pushed[-1].description.startswith("11 further products: 11 lines")


async def test_fewer_lines_at_once_where_stripe_finds_them_too_many(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id = await an_issued_invoice(connected, *[100] * 120)
    sizes = []

    async def refuse_many(call: object, id_: str, lines: Sequence[object], key: str) -> object:
        sizes.append(len(lines))
        if len(lines) > 30:
            raise TooManyLines("Stripe refused: You can add up to 30 lines at once")
        return await call(id_, lines, key)  # type: ignore[operator] # the gateway's own

    await push_due(through(connected, "add_lines", refuse_many))

    assert sizes == [100, 50, 25, 25, 25, 25, 20]
    assert_exactly_once(fake, invoice_id, 12000, 120)


async def test_a_line_that_is_one_too_many_by_itself_waits_for_a_person(
    connected: Runtime, fake: FakeStripe
) -> None:
    invoice_id = await an_issued_invoice(connected, *[100] * 8)

    async def refuse(call: object, *args: object) -> object:
        raise TooManyLines("Stripe refused: You can add up to 0 lines at once")

    await push_due(through(connected, "add_lines", refuse))

    assert (await sync_of(connected, invoice_id)).state is SyncState.FAILED
    assert calls(fake, ADD_LINES) == 0


async def test_stripes_own_words_for_too_many_lines_are_understood(
    connected: Runtime, fake: FakeStripe
) -> None:
    await an_issued_invoice(connected)
    fake.world.chaos.turn_on(Fault.DOWN, Switch(operation=ADD_LINES))
    await push_due(connected)
    (draft,) = held(fake)
    many = push_lines([a_line(LineKind.ONE_OFF, None, 1)], "") * (LINES_MAX + 1)
    fake.world.chaos.turn_off(Fault.DOWN)

    with pytest.raises(TooManyLines):
        await connected.stripe.add_lines(StripeInvoiceId(draft.id), many, "of 251")


async def test_two_invoices_of_a_customer_are_never_written_at_once(
    connected: Runtime, fake: FakeStripe
) -> None:
    fake.world.limits = Limits(locks=True)
    async with connected.sessions.begin() as session:
        org, other = await an_organization(session), await an_organization(session)
    for month in range(4):
        await an_issued_invoice(connected, org=org, months_before=month)
    await an_issued_invoice(connected, org=other)
    busy, together = Counter[str](), set[int]()

    async def slowly(call: object, invoice: PushInvoice, customer: str, key: str) -> object:
        busy[customer] += 1
        together.add(busy[customer])
        await asyncio.sleep(0.01)
        answer = await call(invoice, customer, key)  # type: ignore[operator] # the gateway's own
        busy[customer] -= 1
        return answer

    slow = through(connected, "create_invoice", slowly)
    await asyncio.gather(*(push_due(slow) for _ in range(3)))

    assert together == {1}
    assert len(held(fake)) == 5
    assert fake.world.traffic.refused.total() == 0
