"""`stripe-sync reprice`."""

import csv
import json
from pathlib import Path

import pytest

from billing.models import Organization
from billing.runtime import Runtime
from tests.billing.test_repricing import BOOK
from tests.commands.conftest import StripeSync
from tests.explained import AFTER_GRACE, an_explained_acme, close, send
from tests.factories import an_organization
from tests.world import NOVEMBER_10, Clock


@pytest.fixture
async def org(runtime: Runtime, clock: Clock) -> Organization:
    """Acme paid 30.00 for usage in November, and 29.00; globex is on nothing."""
    org = await an_explained_acme(runtime)
    async with runtime.sessions.begin() as session:
        await an_organization(session, key="globex")
    await send(runtime, "a", "300", NOVEMBER_10)
    return org


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """Egress at half its price."""
    file = tmp_path / "book.yaml"
    file.write_text(BOOK.format(terms="model: PER_UNIT, unit_amount: 0.05", more=""))
    return file


async def test_who_would_have_paid_what(
    runtime: Runtime,
    clock: Clock,
    org: Organization,
    stripe_sync: StripeSync,
    book: Path,
    tmp_path: Path,
) -> None:
    target = tmp_path / "effects.csv"
    early = await stripe_sync("reprice", "--price-book", str(book))
    assert (early.exit_code, early.stdout) == (0, "Nothing is issued yet.\n")
    await close(runtime, clock, AFTER_GRACE)

    told = await stripe_sync("reprice", "--price-book", str(book), "--csv", str(target))
    answered = await stripe_sync("reprice", "--price-book", str(book), "--json", "--periods", "2")

    assert told.exit_code == answered.exit_code == 0
    assert told.stdout == (
        "USD: 59.00 → 44.00 (-15.00) for 2 organizations; 1 pay less, 0 more, 1 the same.\n"
        "  savings: acme 59.00 → 44.00\n"
    )
    [dollars] = json.loads(answered.stdout)
    acme = {
        "organization": "acme",
        "currency": "USD",
        "periods": 1,
        "before": "59.00",
        "after": "44.00",
        "difference": "-15.00",
    }
    assert dollars == {
        "currency": "USD",
        "organizations": 2,
        "before": "59.00",
        "after": "44.00",
        "difference": "-15.00",
        "pay_less": 1,
        "pay_more": 0,
        "unchanged": 1,
        "largest_savings": [acme],
        "largest_increases": [],
    }
    with target.open(newline="") as file:
        rows = {row["organization"]: row for row in csv.DictReader(file)}
    assert rows["acme"] == {name: str(value) for name, value in acme.items()}
    assert rows["globex"]["difference"] == "0.00"


async def test_a_book_that_is_refused_says_where_and_leaves_the_file_alone(
    org: Organization, stripe_sync: StripeSync, tmp_path: Path
) -> None:
    file, target = tmp_path / "book.yaml", tmp_path / "kept.csv"
    file.write_text("plans: [{slug: pro}]")
    target.write_text("kept")

    refused = await stripe_sync("reprice", "--price-book", str(file), "--csv", str(target))

    assert refused.exit_code == 1
    assert "name is missing" in refused.stderr
    assert target.read_text() == "kept"


@pytest.mark.parametrize("periods", ["0", "25", "x"])
async def test_periods_are_1_to_24(
    org: Organization, stripe_sync: StripeSync, book: Path, periods: str
) -> None:
    refused = await stripe_sync("reprice", "--price-book", str(book), "--periods", periods)

    assert refused.exit_code == 2
    assert "--periods" in refused.stderr
