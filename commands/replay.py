"""`stripe-sync replay …`: acting once more on what came, once a cause is mended."""

import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from billing.accounts import COMMAND_LINE, get_organization
from billing.runtime import Runtime
from billing.stripe_events import (
    Preview,
    events_between,
    get_events,
    handle_due,
    preview,
    replay_events,
)
from billing.usage import Wanted, count_replayable, replay_quarantined
from commands.console import json_option, show
from commands.runtime import ACTOR, run


class OrEvents(click.Group):
    """`replay evt_…` and `replay --since …` are `replay events …`, said shorter."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Whatever names no command is about Stripe's events."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args.insert(0, "events")
        return super().parse_args(ctx, args)


@click.group(cls=OrEvents)
def replay() -> None:
    """Act once more on what came: `quarantine` on refused usage, `events` on Stripe's webhooks."""


@replay.command()
@click.argument("event", required=False)
@click.option("--since", type=click.DateTime(), help="Received at or after this instant, UTC.")
@click.option("--until", type=click.DateTime(), help="Received before it; now if left out.")
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
@json_option
def events(
    event: str | None,
    since: datetime | None,
    until: datetime | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fetch again what the event EVENT, or those of a span of time, were about.

    What an event said does not matter, only what it was about: so this is safe at any time.
    """
    if (event is None) == (since is None):
        raise click.UsageError("Give the id of an event, or --since.")
    found, count = run(lambda runtime: _replay_events(runtime, event, since, until, dry_run))
    told = [_told(one) for one in found]
    verb = "would be replayed" if dry_run else "replayed"
    lines = [line for one in found for line in _lines(one)]
    text = "\n".join([*lines, f"{count} events {verb}."])
    show({"events": count, "dry_run": dry_run, "objects": told}, text, as_json=as_json)


async def _replay_events(
    runtime: Runtime,
    event: str | None,
    since: datetime | None,
    until: datetime | None,
    dry_run: bool,
) -> tuple[Sequence[Preview], int]:
    now = await runtime.now()
    async with runtime.sessions() as session:
        if event is not None:
            chosen = await get_events(session, event)
        else:
            assert since is not None
            end = until.replace(tzinfo=UTC) if until else now
            chosen = await events_between(session, since.replace(tzinfo=UTC), end)
    found = await preview(runtime, chosen)
    if dry_run:
        return found, len(chosen)
    async with runtime.sessions.begin() as session:
        count = await replay_events(session, chosen, actor=ACTOR, now=now)
    await handle_due(runtime)
    return found, count


def _told(one: Preview) -> dict[str, object]:
    return {
        "object": one.about,
        "events": one.events,
        "invoice": one.number,
        "changes": [{"field": x.field, "before": x.before, "after": x.after} for x in one.changes],
        "note": one.note,
    }


def _lines(one: Preview) -> list[str]:
    about = f"{one.about} ({one.number})" if one.number else one.about
    if one.note is not None:
        return [f"{about}: {one.note}"]
    if not one.changes:
        return [f"{about}: nothing changes"]
    return [f"{about}: {x.field} {x.before} → {x.after}" for x in one.changes]


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
