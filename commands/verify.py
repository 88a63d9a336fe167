"""`stripe-sync verify`: issued invoices computed again from their events."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from billing.errors import Invalid
from billing.ids import InvoiceId
from billing.invoices import find_invoice_id
from billing.rules.periods import Period, period_at
from billing.runtime import Runtime
from billing.verifying import Verified, issued_in, verify_all
from commands.console import json_option, show
from commands.runtime import run


@click.command()
@click.argument("number", required=False)
@click.option("--period", "month", help="Every invoice whose period starts in this month: YYYY-MM.")
@json_option
def verify(number: str | None, month: str | None, as_json: bool) -> None:
    """Compute the invoice NUMBER, or a month's invoices, again from raw events.

    Exits 1 if any differs, each difference named by line, or cannot be computed.
    """
    if (number is None) == (month is None):
        raise click.UsageError("Give the number of an invoice, or --period.")
    found = run(lambda runtime: _verify(runtime, number, month))
    wanting = [one for one in found if not one.is_same]
    archived = [one for one in wanting if one.is_same is None]
    verified, differ = len(found) - len(archived), len(wanting) - len(archived)
    listed = found if number else wanting
    answer = {
        "verified": verified,
        "differ": differ,
        "archived": len(archived),
        "invoices": [_row(one) for one in listed],
    }
    told = [f"{x.number}: {x.message}" for x in listed]
    closing = f"{verified} invoices verified, {differ} differ"
    show(answer, "\n".join([*told, closing]), as_json=as_json)
    if wanting:
        sys.exit(1)


async def _verify(runtime: Runtime, number: str | None, month: str | None) -> list[Verified]:
    ids = await _chosen(runtime, number, month)
    with click.progressbar(length=len(ids), label="Verifying", file=sys.stderr) as bar:
        found = []
        async for one in verify_all(runtime, ids):
            found.append(one)
            bar.update(1)
    return found


async def _chosen(runtime: Runtime, number: str | None, month: str | None) -> Sequence[InvoiceId]:
    async with runtime.sessions() as session:
        if number is not None:
            return [await find_invoice_id(session, number)]
        return await issued_in(session, _month(str(month)))


def _month(text: str) -> Period:
    try:
        start = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid(f"--period must be a month such as 2026-11, not {text!r}.") from None
    return period_at(start, anchor_day=1)


def _row(one: Verified) -> dict[str, object]:
    return {
        "number": one.number,
        "is_same": one.is_same,
        "digest": one.digest,
        "message": one.message,
    }
