"""`stripe-sync replay …`: judging again what was refused, once its cause is mended."""

import sys
from collections import Counter

import click

from billing.accounts import COMMAND_LINE, get_organization
from billing.runtime import Runtime
from billing.usage import Wanted, count_replayable, replay_quarantined
from commands.console import json_option, show
from commands.runtime import run


@click.group()
def replay() -> None:
    """Judge again what was refused, once its cause is mended."""


@replay.command()
@click.option("--org", "slug", help="Only this organization's events.")
@click.option("--code", help="Only events refused for this, such as UNKNOWN_METER.")
@click.option("--dry-run", is_flag=True, help="Say what would be counted, and change nothing.")
@json_option
def quarantine(slug: str | None, code: str | None, dry_run: bool, as_json: bool) -> None:
    """Count quarantined usage events that the catalogue of today can count."""
    told = run(lambda runtime: _replay(runtime, slug, code, dry_run=dry_run))
    counted, known = told["ACCEPTED"], told["DUPLICATE"]
    refused = told.total() - counted - known
    row = {"counted": counted, "duplicates": known, "still_refused": refused, "dry_run": dry_run}
    verb = "would be counted" if dry_run else "counted"
    text = f"{counted} {verb}, {known} were counted before, {refused} still refused."
    show(row, text, as_json=as_json)


async def _replay(
    runtime: Runtime, slug: str | None, code: str | None, *, dry_run: bool
) -> Counter[str]:
    now = await runtime.now()
    async with runtime.sessions() as session:
        org = await get_organization(session, slug) if slug else None
        wanted = Wanted(org.id if org else None, code)
        length = await count_replayable(session, wanted)
    told: Counter[str] = Counter()
    chunks = replay_quarantined(runtime, wanted, viewer=COMMAND_LINE, now=now, dry_run=dry_run)
    with click.progressbar(length=length, label="Replaying", file=sys.stderr) as bar:
        async for verdicts in chunks:
            told.update(verdict.verdict for verdict in verdicts)
            bar.update(len(verdicts))
    return told
