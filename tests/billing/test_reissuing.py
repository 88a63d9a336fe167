"""A voided invoice gives back all it took, and its period issued again is the corrected truth."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from sqlalchemy import select

from billing.models import (
    AuditEntry,
    InvoiceKind,
    InvoiceStatus,
    LateUsage,
    OneOffItem,
    Organization,
    Plan,
)
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.lines import LineKind
from billing.rules.money import Currency
from billing.runtime import Runtime
from billing.subscribing import start_subscription
from billing.voiding import (
    AlreadyReissued,
    NotReissuable,
    void_and_reissue,
)
from tests.billing.reissuing import (
    balances,
    closed,
    counting,
    every,
    everything_that_reduces,
    lines_of,
    reissue,
    void,
    with_a_price,
)
from tests.billing.test_true_ups import AFTER_GRACE, JANUARY, LADDER, send
from tests.factories import a_meter, a_plan, a_price, an_organization, subscribed
from tests.world import NOVEMBER_10, Clock

NOVEMBER_30 = datetime(2026, 11, 30, 12, tzinfo=UTC)
"""Not yet too old on the third of January."""

FEBRUARY = datetime(2027, 2, 3, tzinfo=UTC)
FEE = {"model": "FLAT", "amount": "29.00", "timing": "ADVANCE"}
CHEAP = {"model": "FLAT", "amount": "0.31", "timing": "ARREARS"}
CARRIES = (LineKind.CARRIED_IN, LineKind.CARRIED_OUT)


@pytest.fixture
async def plan(runtime: Runtime) -> Plan:
    async with runtime.sessions.begin() as session:
        meter = await a_meter(session)
        plan = await a_plan(session)
        await a_price(session, plan, LADDER, meter=meter, slug="egress")
    return plan


@pytest.fixture
async def org(runtime: Runtime, plan: Plan) -> Organization:
    async with runtime.sessions.begin() as session:
        org = await an_organization(session, key="acme")
        await subscribed(session, org, plan)
    return org


async def test_with_nothing_changed_it_is_the_same_invoice_under_a_new_number(
    connected: Runtime, clock: Clock, org: Organization
) -> None:
    await everything_that_reduces(connected, org, NOVEMBER_10)
    await send(connected, clock, "1", "120", NOVEMBER_10)
    [first] = await closed(connected, clock, AFTER_GRACE)
    assert {kind for kind, _ in lines_of(first)} == {
        LineKind.USAGE,
        LineKind.ONE_OFF,
        LineKind.COUPON,
        LineKind.PROMOTIONAL_CREDIT,
        LineKind.TAX,
        LineKind.PREPAID_CREDIT,
        LineKind.CREDIT_BALANCE,
    }
    left = await balances(connected)

    await void(connected, org, "ACME-0001")
    assert await balances(connected) == {"promo": 200, "paid": 200, "balance": 100}
    async with connected.sessions() as session:
        [item] = await session.scalars(select(OneOffItem))
        assert item.invoice_id is None

    await reissue(connected, org, "ACME-0001")
    new, old = await closed(connected, clock, AFTER_GRACE + timedelta(minutes=1))
    assert (old.status, new.status) == (InvoiceStatus.VOID, InvoiceStatus.OPEN)
    assert (new.number, new.revision, new.replaces_id) == ("ACME-0002", 1, old.id)
    assert lines_of(new) == lines_of(first)
    assert (new.total_minor, new.digest) == (first.total_minor, first.digest)
    assert await balances(connected) == left


async def test_late_usage_is_in_the_new_one_and_needs_no_true_up(
    connected: Runtime, clock: Clock, org: Organization
) -> None:
    await send(connected, clock, "1", "120", NOVEMBER_10)
    await closed(connected, clock, AFTER_GRACE)
    await send(connected, clock, "2", "50", NOVEMBER_10)
    await void_and_reissue(connected, org, "ACME-0001", reason="Late usage", actor="test")
    new, _ = await closed(connected, clock, clock.at)
    assert lines_of(new) == [(LineKind.USAGE, 1350)]

    invoices = await closed(connected, clock, JANUARY)
    assert sum(x.total_minor for x in counting(invoices)) == 1350


async def test_a_period_that_was_corrected_is_not_billed_twice_for_it(
    connected: Runtime, clock: Clock, org: Organization
) -> None:
    """The next invoice has billed the late usage already when the period is issued again."""
    await send(connected, clock, "1", "120", NOVEMBER_10)
    await closed(connected, clock, AFTER_GRACE)
    await send(connected, clock, "2", "50", NOVEMBER_10)
    december, _ = await closed(connected, clock, JANUARY)
    assert lines_of(december) == [(LineKind.TRUE_UP, 250)]

    await void_and_reissue(connected, org, "ACME-0001", reason="A mistake", actor="test")
    _, new, _ = await closed(connected, clock, JANUARY)
    assert lines_of(new) == [(LineKind.USAGE, 1350), (LineKind.TRUE_UP, -250)]
    assert new.lines[1].description == "Billed already: Correction to ACME-0001: egress"

    await send(connected, clock, "3", "10", NOVEMBER_30)
    january, *rest = await closed(connected, clock, FEBRUARY)
    assert lines_of(january) == [(LineKind.TRUE_UP, 50)]
    assert sum(x.total_minor for x in counting([january, *rest])) == 1400


async def test_corrections_of_a_voided_invoice_are_found_again(
    connected: Runtime, clock: Clock, org: Organization
) -> None:
    await send(connected, clock, "1", "120", NOVEMBER_10)
    await closed(connected, clock, AFTER_GRACE)
    await send(connected, clock, "2", "50", NOVEMBER_10)
    await closed(connected, clock, JANUARY)
    await void(connected, org, "ACME-0002")
    async with connected.sessions() as session:
        [note] = await session.scalars(select(LateUsage))
        assert note.day == NOVEMBER_10.date().replace(day=1)

    january, *_ = await closed(connected, clock, FEBRUARY)
    assert lines_of(january) == [(LineKind.TRUE_UP, 250)]


async def test_a_note_that_a_later_period_needs_is_kept_for_it(
    connected: Runtime, clock: Clock, org: Organization
) -> None:
    await send(connected, clock, "1", "120", NOVEMBER_10)
    await closed(connected, clock, AFTER_GRACE)
    await closed(connected, clock, JANUARY)
    await send(connected, clock, "2", "50", NOVEMBER_30)
    await void_and_reissue(connected, org, "ACME-0001", reason="A mistake", actor="test")
    await closed(connected, clock, JANUARY)

    async with connected.sessions() as session:
        assert len((await session.scalars(select(LateUsage))).all()) == 1
    invoices = await closed(connected, clock, FEBRUARY)
    assert sum(x.total_minor for x in counting(invoices)) == 1350


ACTS = ("void", "reissue", "close")
ORDERS = [order for order in permutations(ACTS) if order.index("void") < order.index("reissue")]


async def the_books(
    runtime: Runtime, clock: Clock, org: Organization, order: Sequence[str], number: str
) -> tuple[int, int]:
    """What all invoices ask for in the end, and what they still carry."""
    when = {"void": AFTER_GRACE, "reissue": AFTER_GRACE, "close": JANUARY}
    for act in order:
        clock.at = max(clock.at, when[act])
        if act == "void":
            await void(runtime, org, number)
        if act == "reissue":
            await reissue(runtime, org, number)
        await closed(runtime, clock, clock.at)
    invoices = counting(await closed(runtime, clock, FEBRUARY))
    carried = [x.amount_minor for one in invoices for x in one.lines if x.kind in CARRIES]
    return sum(x.total_minor for x in invoices), sum(carried)


@pytest.mark.parametrize("order", [("close",), *ORDERS], ids="-".join)
async def test_fees_in_advance_and_items_are_billed_once_in_any_order(
    connected: Runtime, clock: Clock, org: Organization, plan: Plan, order: Sequence[str]
) -> None:
    """Fees of November to February and of the item: 126.00, and 11.00 of usage."""
    await with_a_price(connected, plan, FEE, "base")
    await send(connected, clock, "1", "120", NOVEMBER_10)
    async with connected.sessions.begin() as session:
        item = NewOneOff("Import", Decimal("10"), Currency.USD, "import-1", NOVEMBER_10)
        await add_one_off(session, org, item, actor="test", now=NOVEMBER_10)
    await closed(connected, clock, AFTER_GRACE)

    assert await the_books(connected, clock, org, order, "ACME-0001") == (13700, 0)


@pytest.mark.parametrize("order", [("close",), *ORDERS], ids="-".join)
@pytest.mark.parametrize("number", ["ACME-0001"])
async def test_carried_amounts_are_billed_once_in_any_order(
    connected: Runtime,
    clock: Clock,
    org: Organization,
    plan: Plan,
    order: Sequence[str],
    number: str,
) -> None:
    """0.31 a month: carried on, then 0.62 is asked for; the third month carries again."""
    await with_a_price(connected, plan, CHEAP, "base")
    [november] = await closed(connected, clock, AFTER_GRACE)
    assert (november.total_minor, november.status) == (0, InvoiceStatus.PAID)

    total, carried = await the_books(connected, clock, org, order, number)
    assert total - carried == 93
    assert total in {62, 93}


async def test_an_off_cycle_fee_is_billed_by_the_next_close(
    connected: Runtime, clock: Clock, org: Organization
) -> None:
    async with connected.sessions.begin() as session:
        support = await a_plan(session, "support")
        await a_price(session, support, FEE, slug="base")
    async with connected.sessions.begin() as session:
        start = datetime(2026, 11, 15, 14, 37, tzinfo=UTC)
        clock.at = start
        await start_subscription(session, org, "support", start, actor="test", now=start)
    [first] = await every(connected)
    assert (first.kind, first.total_minor) == (InvoiceKind.OFF_CYCLE, 1490)

    with pytest.raises(NotReissuable, match="next close"):
        await void_and_reissue(connected, org, "ACME-0001", reason="A mistake", actor="test")
    assert (await every(connected))[0].status is InvoiceStatus.OPEN
    await void(connected, org, "ACME-0001")
    with pytest.raises(NotReissuable):
        await reissue(connected, org, "ACME-0001")
    invoices = await closed(connected, clock, AFTER_GRACE)
    assert sum(x.total_minor for x in counting(invoices)) == 1490 + 2900


async def test_only_a_void_one_is_issued_again_and_only_once(
    connected: Runtime, clock: Clock, org: Organization
) -> None:
    await send(connected, clock, "1", "120", NOVEMBER_10)
    await closed(connected, clock, AFTER_GRACE)
    with pytest.raises(NotReissuable, match="OPEN"):
        await reissue(connected, org, "ACME-0001")
    await void(connected, org, "ACME-0001")
    await reissue(connected, org, "ACME-0001")
    with pytest.raises(AlreadyReissued, match="still closing"):
        await reissue(connected, org, "ACME-0001")
    await closed(connected, clock, clock.at)
    with pytest.raises(AlreadyReissued, match="ACME-0002"):
        await reissue(connected, org, "ACME-0001")

    await void_and_reissue(connected, org, "ACME-0002", reason="Again", actor="test")
    newest, *_ = await closed(connected, clock, clock.at)
    assert (newest.revision, newest.number, newest.total_minor) == (2, "ACME-0003", 1100)
    async with connected.sessions() as session:
        actions = await session.scalars(select(AuditEntry.action).order_by(AuditEntry.id))
        assert list(actions) == ["invoice.voided", "invoice.reissued"] * 2
