"""`stripe-sync verify`."""

import json

import pytest
from sqlalchemy import update

from billing.models import Organization, UsageBucket
from billing.runtime import Runtime
from billing.usage import fold_tail
from tests.commands.conftest import StripeSync
from tests.explained import AFTER_GRACE, an_explained_acme, close, send
from tests.world import NOVEMBER_10, Clock


@pytest.fixture
async def org(runtime: Runtime, clock: Clock) -> Organization:
    """Acme paid for 8 GB in November."""
    org = await an_explained_acme(runtime)
    await send(runtime, "a", "8", NOVEMBER_10)
    return org


async def test_an_invoice_is_what_its_events_come_to(
    runtime: Runtime, clock: Clock, org: Organization, stripe_sync: StripeSync
) -> None:
    await close(runtime, clock, AFTER_GRACE)

    one = await stripe_sync("verify", "ACME-0001")
    month = await stripe_sync("verify", "--period", "2026-11", "--json")
    none = await stripe_sync("verify", "--period", "2026-12")

    assert (one.exit_code, one.stdout) == (
        0,
        "ACME-0001: The same, from its events.\n1 invoices verified, 0 differ\n",
    )
    assert month.exit_code == 0
    assert json.loads(month.stdout) == {
        "verified": 1,
        "differ": 0,
        "archived": 0,
        "invoices": [],
    }
    assert (none.exit_code, none.stdout) == (0, "0 invoices verified, 0 differ\n")


async def test_a_bucket_that_is_wrong_is_found_and_named(
    runtime: Runtime, clock: Clock, org: Organization, stripe_sync: StripeSync
) -> None:
    """The estimate and the invoice read it; the proof does not."""
    await fold_tail(runtime)
    async with runtime.sessions.begin() as session:
        await session.execute(update(UsageBucket).values(total=9))
    await close(runtime, clock, AFTER_GRACE)

    one = await stripe_sync("verify", "ACME-0001", "--json")
    month = await stripe_sync("verify", "--period", "2026-11")

    message = "pro/egress/USD@1: invoiced 0.90 for 9 GB, from events 0.80 for 8 GB"
    assert (one.exit_code, month.exit_code) == (1, 1)
    answer = json.loads(one.stdout)
    assert (answer["verified"], answer["differ"]) == (1, 1)
    [found] = answer["invoices"]
    assert (found["number"], found["is_same"], found["message"]) == ("ACME-0001", False, message)
    assert month.stdout == f"ACME-0001: {message}\n1 invoices verified, 1 differ\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "Give the number of an invoice, or --period."),
        (("ACME-0001", "--period", "2026-11"), 2, "Give the number of an invoice, or --period."),
        (("ACME-9999",), 1, "error: INVOICE_NOT_FOUND: There is no invoice 'ACME-9999'."),
        (("--period", "November"), 1, "error: VALIDATION: --period must be a month such as"),
    ],
)
async def test_what_cannot_be_verified_is_refused(
    org: Organization, stripe_sync: StripeSync, arguments: tuple[str, ...], code: int, words: str
) -> None:
    refused = await stripe_sync("verify", *arguments)

    assert refused.exit_code == code
    assert words in refused.stderr
