import json
from pathlib import Path

from sqlalchemy import func, select

from billing.models import Meter, Plan
from billing.runtime import Sessions
from tests.billing.price_books import BOOK
from tests.commands.conftest import StripeSync

BROKEN = BOOK.replace("unit_amount: 0.02", "unit_amount: lots").replace("aggregation: SUM", "")


async def test_a_book_is_shown_then_applied_then_up_to_date(
    stripe_sync: StripeSync, tmp_path: Path
) -> None:
    file = tmp_path / "book.yaml"
    file.write_text(BOOK)

    shown = await stripe_sync("catalog", "apply", str(file), "--dry-run")
    applied = await stripe_sync("catalog", "apply", str(file), "--json")
    again = await stripe_sync("catalog", "apply", str(file))

    assert shown.stdout.splitlines()[0].startswith("+ meter egress_gb: SUM of gb")
    assert shown.stdout.endswith("6 added, 0 changed, 0 kept. Dry run: nothing was written.\n")
    answer = json.loads(applied.stdout)
    assert (answer["applied"], answer["added"]) == (True, 6)
    assert answer["differences"][-1]["name"] == "pro/fee/USD@1"
    assert again.stdout == "0 added, 0 changed, 0 kept. The catalogue is up to date.\n"


async def test_a_broken_book_is_refused_with_every_problem_and_nothing_is_written(
    stripe_sync: StripeSync, sessions: Sessions
) -> None:
    refused = await stripe_sync("catalog", "apply", "-", stdin=BROKEN)

    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert refused.stderr.splitlines() == [
        "error: PRICE_BOOK_REFUSED: The price book has 2 problems; nothing was written.",
        "  meters[0].aggregation (line 3): MISSING_FIELD: aggregation is missing: add it.",
        "  plans[0].prices[0].versions[0].unit_amount (line 19): INVALID_VALUE:"
        " unit_amount must be a finite decimal number, not 'lots'.",
    ]
    async with sessions() as session:
        for table in (Meter, Plan):
            assert await session.scalar(select(func.count()).select_from(table)) == 0


async def test_scripts_get_the_problems_as_json(stripe_sync: StripeSync) -> None:
    refused = await stripe_sync("catalog", "apply", "-", "--json", stdin=BROKEN)

    assert refused.exit_code == 1
    error = json.loads(refused.stdout)["error"]
    assert error["code"] == "PRICE_BOOK_REFUSED"
    assert [problem["code"] for problem in error["problems"]] == ["MISSING_FIELD", "INVALID_VALUE"]
    assert error["problems"][1]["line"] == 19
