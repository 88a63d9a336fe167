"""`python -m sandbox.simulator`: usage over real HTTP, so that figures move while somebody watches.

A second of the demo stands for two minutes of its organizations' lives. What is not acknowledged is
sent again, the same events by the same ids, until it is: a restarted web loses and doubles nothing.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count

import httpx
import msgspec

from billing.settings import Settings, load_settings
from sandbox.deployment import SIMULATORS_KEY, START_SECONDS_MAX, answers
from sandbox.fleet import Series, Usage, acme, bigco, solo
from sandbox.patience import until
from sandbox.shared_clock import shared_clock
from sandbox.supervisor import print_line
from sandbox.toolchain import environment

PATH = "/api/v1/events"
BATCH_TYPE = "application/cloudevents-batch+json"
LAPSE = 120
TICK_SECONDS = 2
SOLO_EVERY_TICKS = 15
BIGCO_AT_ONCE = 25
RETRY_SECONDS_MIN = 0.5
RETRY_SECONDS_MAX = 5.0
_TIMEOUT_SECONDS = 20.0

_ACME, _SOLO, _BIGCO = acme(), solo(), bigco()


def main() -> None:
    """Send until ended."""
    settings = load_settings()
    key = environment({})[SIMULATORS_KEY]
    asyncio.run(_simulate(settings, key))


async def _simulate(settings: Settings, key: str) -> None:
    async with (
        shared_clock(settings.database_url) as now,
        client_of(settings.base_url, key) as client,
    ):
        await until(partial(answers, client, "/readyz"), START_SECONDS_MAX)
        for tick in count():
            await deliver(client, usage_of_tick(tick, await now()))
            await asyncio.sleep(TICK_SECONDS)


def client_of(base_url: str, key: str) -> httpx.AsyncClient:
    """Another app, as far as the web can tell."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(
        base_url=base_url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False
    )


def usage_of_tick(tick: int, now: datetime) -> list[Usage]:
    """What all that reports in this tick used since the one before, reported just now."""
    lived = timedelta(seconds=TICK_SECONDS * LAPSE)
    hours = Decimal(lived // timedelta(seconds=1)) / 3600
    return [one.usage(now - lived, hours, "live/") for one in _reporting(tick)]


def _reporting(tick: int) -> list[Series]:
    """All of Acme, Solo now and then, and Bigco's thousands in turn."""
    first = tick * BIGCO_AT_ONCE % len(_BIGCO)
    solo_too = _SOLO if tick % SOLO_EVERY_TICKS == 0 else []
    return [*_ACME, *solo_too, *_BIGCO[first : first + BIGCO_AT_ONCE]]


async def deliver(
    client: httpx.AsyncClient, usage: Sequence[Usage], retry_seconds: float = RETRY_SECONDS_MIN
) -> None:
    """Send a batch until it is acknowledged. What is refused is said once, and not sent again."""
    body = msgspec.json.encode([one.cloud_event() for one in usage])
    pause = retry_seconds
    while trouble := await _send(client, body):
        if pause == retry_seconds:
            print_line(f"{trouble}; sending the same events again until they are taken")
        await asyncio.sleep(pause)
        pause = min(pause * 2, RETRY_SECONDS_MAX)


async def _send(client: httpx.AsyncClient, body: bytes) -> str | None:
    """None once the batch is settled, else why it has to be sent again."""
    try:
        response = await client.post(PATH, content=body, headers={"Content-Type": BATCH_TYPE})
    except httpx.HTTPError as error:
        return f"No answer ({type(error).__name__})"
    if response.status_code == httpx.codes.BAD_REQUEST:
        print_line(f"Refused: {response.text}")
        return None
    return None if response.is_success else f"Answered {response.status_code}"


if __name__ == "__main__":
    main()
