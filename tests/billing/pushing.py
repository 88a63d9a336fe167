"""Issued invoices, and what a fake Stripe holds of them."""

from datetime import UTC, datetime

from billing.ids import InvoiceId
from billing.invoice_sync import push_due
from billing.invoices import issue
from billing.models import Invoice, InvoiceKind, InvoiceStatus, InvoiceSync, Organization, SyncState
from billing.rules.invoicing import draft_of
from billing.rules.lines import one_off_line
from billing.rules.money import Currency, Money
from billing.rules.periods import Period, period_at
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.records import Invoice as StripeRecord
from tests.factories import an_organization
from tests.world import NOVEMBER_10, Clock

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
CREATE = "POST /v1/invoices"
ADD_LINES = "POST /v1/invoices/{invoice}/add_lines"
FINALIZE = "POST /v1/invoices/{invoice}/finalize"
STEPS = (CREATE, ADD_LINES, FINALIZE)


async def an_issued_invoice(
    runtime: Runtime,
    *amounts: int,
    org: Organization | None = None,
    is_empty: bool = False,
    months_before: int = 0,
) -> InvoiceId:
    """An OPEN invoice with one line for each amount, waiting to be pushed.

    Several of one organization are of different months. An empty one is settled by itself.
    """
    start = datetime(2026, 11 - months_before, 1, tzinfo=UTC)
    period = NOVEMBER if not months_before else period_at(start, 1)
    async with runtime.sessions.begin() as session:
        org = org or await an_organization(session)
        lines = [
            one_off_line(f"item-{i}", f"Item {i}", Money(minor, Currency.USD), NOVEMBER_10)
            for i, minor in enumerate(() if is_empty else amounts or (594, 2900))
        ]
        invoice = Invoice(
            org_id=org.id,
            kind=InvoiceKind.PERIOD,
            status=InvoiceStatus.CLOSING,
            period_start=period.start,
            period_end=period.end,
            closes_at=period.end,
            currency=Currency.USD,
            recorded_at=NOVEMBER_10,
        )
        session.add(invoice)
        await session.flush()
        draft = draft_of(org.key, period, Currency.USD, lines)
        await issue(session, invoice, draft, {}, await runtime.now())
    return invoice.id


async def sync_of(runtime: Runtime, invoice_id: InvoiceId) -> InvoiceSync:
    async with runtime.sessions() as session:
        return await session.get_one(InvoiceSync, invoice_id)


def held(fake: FakeStripe) -> list[StripeRecord]:
    """What the fake holds, drafts too."""
    return list(fake.world.invoices)


def calls(fake: FakeStripe, *operations: str) -> int:
    return sum(fake.world.calls[operation] for operation in operations)


async def until_pushed(runtime: Runtime, clock: Clock, invoice_id: InvoiceId) -> InvoiceSync:
    """Let retries fall due until nothing is left to do."""
    for _ in range(30):
        await push_due(runtime)
        sync = await sync_of(runtime, invoice_id)
        if sync.state not in {SyncState.PENDING, SyncState.PUSHING}:
            return sync
        clock.at = max(clock.at, sync.next_attempt_at)
    raise AssertionError(f"still {sync.state}: {sync.error_message}")


def assert_exactly_once(fake: FakeStripe, invoice_id: InvoiceId, total: int, lines: int) -> None:
    ours = [x for x in held(fake) if x.metadata.get("invoice_id") == str(invoice_id)]
    assert [(x.status, x.total, len(x.lines)) for x in ours] == [("open", total, lines)]
