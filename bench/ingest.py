"""`ingest_batch` and its kin: a thousand events a request, over HTTP, until they are durable.

With years of usage there and without, in turn: a machine that is shared changes by the minute, and
what is compared must not have been measured minutes apart.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from time import monotonic

from bench.bodies import Request, alone, everyone, mixed
from bench.figures import Figure, against, progress, suspicion
from bench.limits import USUAL_FRESH, USUAL_STEADY, Limit
from bench.load import Loader
from bench.processes import PRODUCT, Served, web, worker
from bench.sending import send
from bench.stage import Acknowledged, Stage

GOAL = 0.6
GROWTH_GOAL = 0.75
CONNECTIONS = 8
_BATCHES_A_SECOND = 150  # more than any machine here has taken
_PRIMING_SECONDS_MAX = 120.0

Draw = Callable[[int], Iterable[Sequence[int]]]


@dataclass(slots=True)
class Side:
    """What is measured in turn: the limit, and our events a second, acknowledged and folded too."""

    limit: Limit
    acknowledged: list[float] = field(default_factory=list)
    folded: list[float] = field(default_factory=list)

    def figure(self, name: str, goal: float | None, usual: float) -> Figure:
        """What was acknowledged, beside the limit; `usual` is what that is of COPY."""
        limit = self.limit
        remark = suspicion(limit.inserts, limit.copies, usual)
        return against(name, "events/s", self.acknowledged, limit.inserts, goal=goal, remark=remark)


@dataclass(slots=True)
class Ingest:
    """The web process that is sent to, and what it was sent last."""

    stage: Stage
    served: Served
    _drawn: list[Request] = field(default_factory=list)

    async def prime(self) -> float:
        """Let it meet every series, as it would have after a few minutes of work."""
        requests = list(self.stage.sending().batches(everyone()))
        sent = await send(
            [self.served.url], requests, connections=CONNECTIONS, seconds=_PRIMING_SECONDS_MAX
        )
        progress(f"  every series once: {sent.rate:,.0f} events/s")
        return sent.rate

    async def turn(self, side: Side, draw: Draw = mixed, *, has_past: bool = False) -> int:
        """A window of the limit and one of ours, what was acknowledged checked; how many it was."""
        await side.limit.measure(one_organization=draw is alone)
        await self.stage.empty_month()
        requests = self._requests(draw)
        started = monotonic()
        seconds = self.stage.lengths.ours_seconds
        sent = await send([self.served.url], requests, connections=CONNECTIONS, seconds=seconds)
        await self.stage.drain()
        side.acknowledged.append(sent.rate)
        side.folded.append(sent.events / (monotonic() - started))
        progress(
            f"  ours: {sent.rate:,.0f} events/s, {side.folded[-1]:,.0f} folded; {sent.latency}"
        )
        known = Acknowledged()
        known.add(sent)
        await self.stage.check(known, are_all_claims_theirs=not has_past)
        return sent.events

    def _requests(self, draw: Draw) -> list[Request]:
        """Drawn once, and then with new ids: whom they are of is of no interest the second time."""
        if draw is mixed and self._drawn:
            for one in self._drawn:
                one.renew()
            return self._drawn
        count = int(self.stage.lengths.ours_seconds * _BATCHES_A_SECOND)
        requests = list(self.stage.sending().batches(draw(count)))
        if draw is mixed:
            self._drawn = requests
        return requests


@asynccontextmanager
async def ingesting(stage: Stage) -> AsyncIterator[Ingest]:
    """A fresh web process, and a worker that folds meanwhile."""
    async with worker(stage.settings), web(PRODUCT, stage.settings) as served:
        yield Ingest(stage, served)


async def measure_ingest(ingest: Ingest) -> list[Figure]:
    """`ingest_batch` and `ingest_folded`, where no years are there."""
    progress("ingest_batch: 1,000 a request, empty tables")
    empty = Side(ingest.stage.limit())
    for _ in range(ingest.stage.lengths.rounds):
        await _turn_without_past(ingest, empty)
    return _empty_figures(empty)


async def measure_grown_ingest(ingest: Ingest, loader: Loader) -> list[Figure]:
    """The same by turns with `ingest_batch_steady`: with all that there, and with nothing."""
    progress("ingest_batch: 1,000 a request, the current month empty")
    stage = ingest.stage
    empty, grown = Side(stage.limit()), Side(stage.limit("limit_kept"))
    await grown.limit.preload(stage.lengths.limit_rows)
    await stage.first.execute("CHECKPOINT")
    progress("  after a checkpoint:")
    first = Side(replace(grown.limit, inserts=[], copies=[]))
    claimed = await ingest.turn(first, has_past=True)
    for _ in range(stage.lengths.rounds):
        progress(f"  with {loader.readings:,} events there:")
        claimed += await ingest.turn(grown, has_past=True)
        progress("  with none:")
        await _turn_without_past(ingest, empty)
    await stage.check_identities(loader.readings + claimed)
    growth = against(
        "growth_ingest",
        "events/s",
        grown.acknowledged,
        empty.acknowledged,
        goal=GROWTH_GOAL,
        remark="limit: ingest_batch on empty tables",
    )
    return [
        *_empty_figures(empty),
        first.figure("ingest_batch_checkpointed", None, USUAL_STEADY),
        grown.figure("ingest_batch_steady", GOAL, USUAL_STEADY),
        growth,
    ]


async def _turn_without_past(ingest: Ingest, side: Side, draw: Draw = mixed) -> None:
    async with ingest.stage.without_past():
        await ingest.turn(side, draw)


def _empty_figures(empty: Side) -> list[Figure]:
    return [
        empty.figure("ingest_batch", GOAL, USUAL_FRESH),
        against("ingest_folded", "events/s", empty.folded, empty.limit.inserts, goal=None),
    ]


async def measure_cold(stage: Stage) -> list[Figure]:
    """`ingest_batch_cold`: what a fresh process takes in while every series is new to it."""
    progress("ingest_batch_cold: every series once, to a fresh process")
    limit, rates = stage.limit(), []
    for _ in range(stage.lengths.rounds):
        await limit.measure()
        await stage.empty_usage()
        async with ingesting(stage) as ingest:
            rates.append(await ingest.prime())
    return [against("ingest_batch_cold", "events/s", rates, limit.inserts, goal=None)]


async def measure_one_organization(ingest: Ingest) -> list[Figure]:
    """`ingest_batch_one_org`: what a sender that batches by organization gets."""
    progress("ingest_batch_one_org: each batch of one organization, empty tables")
    side = Side(ingest.stage.limit())
    for _ in range(ingest.stage.lengths.rounds):
        await _turn_without_past(ingest, side, alone)
    return [side.figure("ingest_batch_one_org", None, USUAL_FRESH)]
