"""`stripe-sync reconcile` as an operator runs it."""

import json
from pathlib import Path

import pytest

from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from tests.billing.pushing import held
from tests.billing.reconciling.conftest import settled_invoice
from tests.commands.conftest import StripeSync, on_the_tests_clock
from tests.world import Clock


@pytest.fixture
async def pushed(
    connected: Runtime, fake: FakeStripe, clock: Clock, environ: dict[str, str]
) -> str:
    """One invoice that both sides have; its id at Stripe."""
    _, stripe_id = await settled_invoice(connected, fake, clock)
    await on_the_tests_clock(connected, environ, clock)
    return stripe_id


async def test_equal_books_exit_0_and_differing_ones_1(
    pushed: str, fake: FakeStripe, stripe_sync: StripeSync
) -> None:
    equal = await stripe_sync("reconcile")
    assert equal.stdout == "1 Stripe invoices read in 1 calls: no difference.\n"
    assert equal.exit_code == 0

    held(fake)[0].lines[0].amount += 1
    differs = await stripe_sync("reconcile", "--period", "2026-11", "--dry-run", "--json")
    assert differs.exit_code == 1
    told = json.loads(differs.stdout)
    assert (told["counts"], told["dry_run"]) == ({"AMOUNT_DRIFT": 1}, True)
    assert told["differences"][0]["stripe_invoice_id"] == pushed
    text = await stripe_sync("reconcile", "--repair")
    assert "AMOUNT_DRIFT" in text.stdout
    assert "needs a person" in text.stdout
    assert "0 mended in 0 calls." in text.stdout


async def test_books_are_signed_and_what_was_changed_is_told(
    pushed: str, stripe_sync: StripeSync, tmp_path: Path
) -> None:
    made = await stripe_sync("reconcile", "books", "--period", "2026-11", "--json")
    file = tmp_path / "books.json"
    file.write_text(made.stdout)
    good = await stripe_sync("reconcile", "verify", str(file))
    file.write_text(made.stdout.replace("34.94", "34.95"))
    changed = await stripe_sync("reconcile", "verify", str(file))

    assert made.exit_code == 0
    assert good.stdout.startswith("As signed: the books of 2026-11, made at 2026-")
    assert changed.exit_code == 1
    assert changed.stderr.startswith("error: BOOKS_TAMPERED: ")


@pytest.mark.parametrize("period", ["2026-13", "November", "2026-1", ""])
async def test_a_month_that_is_none_is_refused(
    pushed: str, stripe_sync: StripeSync, period: str
) -> None:
    refused = await stripe_sync("reconcile", "books", "--period", period)

    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: VALIDATION: A month is written like 2026-11")
