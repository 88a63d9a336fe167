"""`stripe-sync catalog …`: what is sold."""

import json
from typing import BinaryIO

import click

from billing.price_book import (
    BookDiff,
    Change,
    PriceBook,
    PriceBookRefused,
    apply_price_book,
    read_price_book,
)
from billing.runtime import Runtime
from commands.console import Refusal, json_option, show
from commands.runtime import ACTOR, run

_SIGNS = {Change.ADDED: "+", Change.CHANGED: "~", Change.KEPT: "="}


@click.group()
def catalog() -> None:
    """What is sold: meters, plans and prices."""


@catalog.command()
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Show what would change, and write nothing.")
@json_option
def apply(file: BinaryIO, dry_run: bool, as_json: bool) -> None:
    """Bring the catalogue to what the YAML price book FILE says (- is standard input).

    The whole book is checked first. Nothing is ever deleted, and no version of a price edited:
    what the book lacks is kept.
    """
    try:
        book = read_price_book(file.read())
        diff = run(lambda runtime: _apply(runtime, book, dry_run=dry_run))
    except PriceBookRefused as refusal:
        if as_json:
            click.echo(json.dumps(_refused(refusal), indent=2, ensure_ascii=False))
        details = [] if as_json else [str(problem) for problem in refusal.problems]
        raise Refusal(refusal.code, str(refusal), details=details) from refusal
    is_applied = not dry_run and not diff.is_empty
    show({"applied": is_applied, **diff.as_json()}, _text(diff, dry_run=dry_run), as_json=as_json)


async def _apply(runtime: Runtime, book: PriceBook, *, dry_run: bool) -> BookDiff:
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        return await apply_price_book(session, book, actor=ACTOR, now=now, dry_run=dry_run)


def _text(diff: BookDiff, *, dry_run: bool) -> str:
    lines = [f"{_SIGNS[x.change]} {x.kind} {x.name}: {x.summary}" for x in diff.differences]
    counts = ", ".join(f"{diff.count(change)} {change.lower()}" for change in Change)
    if diff.is_empty:
        outcome = "The catalogue is up to date."
    else:
        outcome = "Dry run: nothing was written." if dry_run else "Applied."
    return "\n".join([*lines, f"{counts}. {outcome}"])


def _refused(refusal: PriceBookRefused) -> dict[str, object]:
    problems = [
        {"path": x.at.path, "line": x.at.line, "code": x.code, "message": x.message}
        for x in refusal.problems
    ]
    return {"error": {"code": refusal.code, "message": str(refusal), "problems": problems}}
