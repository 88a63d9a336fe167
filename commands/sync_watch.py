"""`stripe-sync sync --watch`: a line a second, until Stripe lacks nothing."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import click

from billing.invoice_sync import PushProgress, push_progress
from billing.runtime import Runtime

_BAR_WIDTH = 24

Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class Watched:
    """What has been seen since the watch began. `most` grows when more is issued meanwhile."""

    began: datetime
    most: int
    first: int

    def line(self, left: PushProgress, now: datetime) -> dict[str, object]:
        """One look, as an object; `pushed_per_second` is since the watch began."""
        self.most = max(self.most, left.waiting)
        seconds = (now - self.began).total_seconds()
        pushed = max(0, self.first - left.waiting)
        measured = pushed / seconds if seconds > 0 else 0.0
        by_pace = timedelta(seconds=round(left.waiting / measured)) if measured else left.left
        return {
            "at": now.isoformat(),
            "waiting": left.waiting,
            "pushed": self.most - left.waiting,
            "of": self.most,
            "pushed_per_second": round(measured, 1),
            "allowed_per_second": round(left.per_second, 1),
            "seconds_left": int(max(left.left, by_pace).total_seconds()),
        }


async def watch(
    runtime: Runtime,
    *,
    as_json: bool,
    say: Callable[[str], None] = click.echo,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Look every second and say what is seen. Reads our database only, whoever does the pushing."""
    seen: Watched | None = None
    while True:
        async with runtime.sessions() as session:
            left = await push_progress(session, runtime.settings.stripe_limits)
        now = await runtime.now()
        seen = seen or Watched(now, left.waiting, left.waiting)
        line = seen.line(left, now)
        say(json.dumps(line) if as_json else _text(line))
        if not left.waiting:
            return
        await sleep(1)


def _text(line: dict[str, object]) -> str:
    of, pushed = int(str(line["of"])), int(str(line["pushed"]))
    share = pushed / of if of else 1.0
    done = round(share * _BAR_WIDTH)
    return (
        f"[{'#' * done}{'.' * (_BAR_WIDTH - done)}] {pushed:,} of {of:,}"
        f"  {line['pushed_per_second']}/s of {line['allowed_per_second']}/s"
        f"  {timedelta(seconds=int(str(line['seconds_left'])))} left"
    )
