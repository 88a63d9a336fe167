"""Price books for tests: small ones, and how they are applied."""

from billing.price_book import BookDiff, PriceBookRefused, apply_price_book, read_price_book
from billing.runtime import Sessions
from tests.world import NOVEMBER_10

BOOK = """
meters:
  - slug: egress_gb
    name: Egress
    unit: GB
    event_type: network.egress
    value: gb
    aggregation: SUM
    dimensions: [app, region]
plans:
  - slug: pro
    name: Pro
    prices:
      - slug: egress
        name: Egress
        currency: USD
        meter: egress_gb
        versions:
          - {effective_from: 2025-01-01, model: PER_UNIT, unit_amount: 0.02}
      - slug: fee
        name: Fee
        currency: USD
        versions:
          - {effective_from: 2025-01-01, model: FLAT, amount: 29.00, timing: ADVANCE}
"""

NEW_VERSION = """
          - {effective_from: 2025-01-01, model: PER_UNIT, unit_amount: 0.02}
          - {effective_from: 2026-11-20T10:01Z, model: PER_UNIT, unit_amount: 0.03}
"""
ONLY_VERSION = "\n          - {effective_from: 2025-01-01, model: PER_UNIT, unit_amount: 0.02}\n"


def with_price(fields: str) -> str:
    """The book with one more price at its end, in USD."""
    return f"{BOOK}      - {{name: Another, currency: USD, {fields}}}\n"


async def applied(sessions: Sessions, source: str, *, dry_run: bool = False) -> BookDiff:
    async with sessions.begin() as session:
        book = read_price_book(source)
        return await apply_price_book(session, book, actor="cli", now=NOVEMBER_10, dry_run=dry_run)


async def refused(sessions: Sessions, source: str) -> list[tuple[str, str]]:
    """Where and why a book is refused; empty when it is not."""
    try:
        await applied(sessions, source)
    except PriceBookRefused as refusal:
        return [(problem.at.path, problem.code) for problem in refusal.problems]
    return []


def lines(diff: BookDiff) -> list[str]:
    return [f"{x.change} {x.kind} {x.name}: {x.summary}" for x in diff.differences]
