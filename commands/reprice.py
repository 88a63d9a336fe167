"""`stripe-sync reprice`: what other prices would have brought, and whom they would have cost."""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import click
from sqlalchemy import func, select

from billing.models import Organization
from billing.price_book import PriceBook, PriceBookRefused, read_price_book
from billing.repricing import PERIODS_MAX, OrganizationEffect, reprice
from billing.rules.money import Currency, total_of
from billing.runtime import Runtime
from commands.console import Refusal, json_option, show
from commands.runtime import run

SHOWN = 10
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("reprice")
@click.option("--price-book", "file", type=_FILE, required=True)
@click.option("--periods", type=click.IntRange(1, PERIODS_MAX), default=1, show_default=True)
@click.option("--csv", "target", type=click.File("w", lazy=True), help="A row per organization.")
@json_option
def reprice_command(file: Path, periods: int, target: TextIO | None, as_json: bool) -> None:
    """Rate the last issued periods of everybody again at the prices of a price book.

    Nothing is written. Usage and fees are compared, before coupons, maxima, credits and tax.
    """
    try:
        book = read_price_book(file.read_bytes())
    except PriceBookRefused as refusal:
        details = [str(problem) for problem in refusal.problems]
        raise Refusal(refusal.code, str(refusal), details=details) from refusal
    effects = run(lambda runtime: _reprice(runtime, book, periods))
    if target is not None:
        _write(target, effects)
    answer = [_summary(currency, found) for currency, found in _by_currency(effects).items()]
    text = "\n".join(line for one in answer for line in _told(one)) or "Nothing is issued yet."
    show(answer, text, as_json=as_json)


async def _reprice(runtime: Runtime, book: PriceBook, periods: int) -> list[OrganizationEffect]:
    found = []
    async with runtime.sessions() as session:
        count = await session.scalar(select(func.count()).select_from(Organization))
    with click.progressbar(length=count or 0, label="Repricing", file=sys.stderr) as bar:
        async for one in reprice(runtime, book, periods=periods):
            bar.update(1)
            if one.effects:
                found.append(one)
    return found


def _by_currency(
    effects: Iterable[OrganizationEffect],
) -> dict[Currency, list[OrganizationEffect]]:
    found = defaultdict(list)
    for one in effects:
        found[one.org.currency].append(one)
    return dict(found)


def _summary(currency: Currency, effects: Sequence[OrganizationEffect]) -> dict[str, object]:
    before = total_of([x.before for x in effects], currency)
    after = total_of([x.after for x in effects], currency)
    ranked = sorted(effects, key=lambda x: x.difference.minor)
    return {
        "currency": currency,
        "organizations": len(effects),
        "before": f"{before.major:f}",
        "after": f"{after.major:f}",
        "difference": f"{(after + -before).major:f}",
        "pay_less": sum(x.difference.minor < 0 for x in effects),
        "pay_more": sum(x.difference.minor > 0 for x in effects),
        "unchanged": sum(x.difference.minor == 0 for x in effects),
        "largest_savings": [_row(x) for x in ranked[:SHOWN] if x.difference.minor < 0],
        "largest_increases": [_row(x) for x in ranked[::-1][:SHOWN] if x.difference.minor > 0],
    }


def _row(one: OrganizationEffect) -> dict[str, object]:
    return {
        "organization": one.org.slug,
        "currency": one.org.currency,
        "periods": len(one.effects),
        "before": f"{one.before.major:f}",
        "after": f"{one.after.major:f}",
        "difference": f"{one.difference.major:f}",
    }


def _told(one: dict[str, object]) -> Iterable[str]:
    yield (
        f"{one['currency']}: {one['before']} → {one['after']} ({one['difference']}) for"
        f" {one['organizations']} organizations; {one['pay_less']} pay less,"
        f" {one['pay_more']} more, {one['unchanged']} the same."
    )
    for title, name in (("savings", "largest_savings"), ("increases", "largest_increases")):
        rows = one[name]
        assert isinstance(rows, list)
        for row in rows:
            yield f"  {title}: {row['organization']} {row['before']} → {row['after']}"


def _write(target: TextIO, effects: Iterable[OrganizationEffect]) -> None:
    fields = ("organization", "currency", "periods", "before", "after", "difference")
    writer = csv.DictWriter(target, fields)
    writer.writeheader()
    writer.writerows(_row(one) for one in effects)
