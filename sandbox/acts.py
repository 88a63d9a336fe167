"""What the demo's controls do. Each answers a sentence on what became of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import httpx
from sqlalchemy import select, update

from billing.accounts import COMMAND_LINE, get_organization
from billing.closing import GRACE
from billing.errors import Unavailable
from billing.estimates import current_estimate
from billing.models import InvoiceSync, Organization, SyncState
from billing.rules.money import Money
from billing.rules.periods import period_at
from billing.runtime import Runtime
from billing.usage import EventVerdict, parse_event, record_usage
from sandbox.clock import travel
from sandbox.fleet import Series, Usage, acme

SPIKE_EVENTS = 300
SPIKE_FACTOR = 2000
DUPLICATED_EVENTS = 10
EVERYBODY = "everybody"
Orders = Mapping[str, object]
BREAKAGES: Mapping[str, tuple[str, Orders]] = {
    "down": ("does not answer (503)", {"down": True}),
    "rate_limit": ("limits our rate (429)", {"rate_limit": True}),
    "slow": ("takes five seconds for each answer", {"slow": {"delay_ms": 5000}}),
    "timeout_after_commit": (
        "does what it is asked, and hangs up before it answers, three times",
        {"timeout_after_commit": {"calls": 3}},
    ),
}
_WHOLE: Orders = dict.fromkeys(("down", "rate_limit", "slow", "timeout_after_commit"), False)
_PAST_GRACE = timedelta(minutes=1)


async def spike(runtime: Runtime) -> str:
    """A burst of outbound traffic of one app of Acme's."""
    now = await runtime.now()
    proxy = _series(kind="network.egress", app="web", region="syd")
    busy = replace(proxy, per_hour=proxy.per_hour * SPIKE_FACTOR)
    run = f"spike-{now:%d%H%M%S%f}/"
    usage = [
        busy.usage(now - timedelta(seconds=second + 60), Decimal(1) / 60, run)
        for second in range(SPIKE_EVENTS)
    ]
    before = await _accrued(runtime)
    verdicts = await _record(runtime, usage, now)
    after = await _accrued(runtime)
    return (
        f"{_counted(verdicts)}. Acme's estimate went from {before.major:f} to {after.major:f}"
        f" {after.currency}."
    )


async def jump_to_month_end(runtime: Runtime) -> str:
    """To where the open month has ended and its grace is over: the worker closes it."""
    period = period_at(await runtime.now(), anchor_day=1)
    at = period.end + GRACE + _PAST_GRACE
    await travel(runtime.sessions, runtime.settings, at)
    await runtime.nudges.enqueue("close_periods")
    return f"In the sandbox it is {at:%-d %B %Y, %H:%M} UTC. {period.start:%B} is being closed."


async def break_stripe(runtime: Runtime, how: str) -> str:
    """Let the fake misbehave in one way until it is mended."""
    said, orders = BREAKAGES[how]
    await order(runtime, {**_WHOLE, **orders})
    return f"From now on the fake Stripe {said}."


async def fix_stripe(runtime: Runtime) -> str:
    """End all that, and try again at once what waits: a demo has no patience for pauses."""
    await order(runtime, _WHOLE)
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync)
            .where(InvoiceSync.state.in_((SyncState.PENDING, SyncState.PUSHING)))
            .values(next_attempt_at=now)
        )
    await runtime.nudges.enqueue("push_invoices")
    return "The fake Stripe works again."


async def decline_card(runtime: Runtime, slug: str) -> str:
    """Let payments fail, of one organization or of everybody."""
    return await _set_card(runtime, slug, "decline", "is declined")


async def accept_card(runtime: Runtime, slug: str) -> str:
    """Let payments work again."""
    return await _set_card(runtime, slug, "pay", "pays")


async def send_late_usage(runtime: Runtime) -> str:
    """One event of the month before, whose invoice is issued already."""
    now = await runtime.now()
    last = period_at(now, anchor_day=1).start - timedelta(hours=2)
    machine = _series(kind="machine.usage", app="api", region="fra")
    (verdict,) = await _record(
        runtime, [machine.usage(last, Decimal(1), f"late-{now:%d%H%M%S%f}/")], now
    )
    return f"An hour of {last:%-d %B, %H:%M} UTC: {_counted([verdict])}."


async def send_duplicate_usage(runtime: Runtime) -> str:
    """The same events three times over, and once more with another body."""
    now = await runtime.now()
    run = f"again-{now:%d%H%M%S%f}/"
    start = now - timedelta(minutes=10)
    usage = [one.usage(start, Decimal("0.1"), run) for one in acme()[:DUPLICATED_EVENTS]]
    forged = replace(usage[0], data={**usage[0].data, "hours": "99"})
    return f"{_counted(await _record(runtime, [*usage * 3, forged], now))}."


async def flush_redis(runtime: Runtime) -> str:
    """Lose everything our database of Redis has; a Redis that was given may hold others'."""
    await runtime.nudges.redis.flushdb()
    return "Redis is empty: no nudge, no queue and no live channel is left of before."


async def order(runtime: Runtime, orders: Orders) -> None:
    """Set the fake Stripe's knobs. Raises `Unavailable`."""
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.post(
                f"{runtime.settings.stripe_api_base}/_control", json=orders
            )
            response.raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable("The fake Stripe's control door does not answer.") from error


async def _set_card(runtime: Runtime, slug: str, card: str, said: str) -> str:
    if slug == EVERYBODY:
        await order(runtime, {"default_card": card})
        return f"Every card {said}."
    async with runtime.sessions() as session:
        org = await get_organization(session, slug)
    if org.stripe_customer_id is None:
        return f"{org.name} has not been sent an invoice yet, so Stripe does not know of it."
    await order(runtime, {"cards": {org.stripe_customer_id: card}})
    return f"The card of {org.name} {said}."


async def organization_slugs(runtime: Runtime) -> list[str]:
    """Whose card can be declined."""
    async with runtime.sessions() as session:
        slugs = await session.scalars(select(Organization.slug).order_by(Organization.slug))
        return [*slugs]


async def _accrued(runtime: Runtime) -> Money:
    now = await runtime.now()
    async with runtime.sessions() as session:
        org = await get_organization(session, "acme")
    async with runtime.sessions() as session:
        return (await current_estimate(session, org, now)).accrued


async def _record(runtime: Runtime, usage: Iterable[Usage], now: datetime) -> list[EventVerdict]:
    events = [parse_event(one.cloud_event()) for one in usage]
    return await record_usage(runtime, events, viewer=COMMAND_LINE, now=now)


def _counted(verdicts: Iterable[EventVerdict]) -> str:
    counts = Counter(str(one.verdict) for one in verdicts)
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def _series(*, kind: str, app: str, region: str) -> Series:
    return next(
        one
        for one in acme()
        if (one.type, one.dimensions["app"], one.dimensions["region"]) == (kind, app, region)
    )
