"""`ingest_batch` and its kin: a thousand events a request, over HTTP, until they are durable."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from bench.bodies import alone, everyone, mixed
from bench.figures import Figure, against, progress, suspicion
from bench.limits import USUAL_FRESH, Limit
from bench.processes import PRODUCT, web, worker
from bench.sending import send
from bench.stage import Acknowledged, Stage

GOAL = 0.6
CONNECTIONS = 8
PROCESSES = 1
_BATCHES_A_SECOND = 150  # more than any machine here has taken
_PRIMING_SECONDS_MAX = 120.0

Draw = Callable[[int], Iterable[Sequence[int]]]


@dataclass(slots=True)
class Rates:
    """Events a second of each window: acknowledged, and acknowledged and folded."""

    acknowledged: list[float] = field(default_factory=list)
    folded: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Ingest:
    """The web processes that are sent to, and how they did while all was new to them, and after."""

    stage: Stage
    urls: Sequence[str]
    cold: list[float] = field(default_factory=list)
    empty: Rates = field(default_factory=Rates)

    async def prime(self) -> None:
        """Let each process meet every series, as it would have after a few minutes of work."""
        for url in self.urls:
            requests = list(self.stage.sending().batches(everyone()))
            sent = await send(
                [url], requests, connections=CONNECTIONS, seconds=_PRIMING_SECONDS_MAX
            )
            self.cold.append(sent.rate)
            progress(f"  a fresh process, every series new to it: {sent.rate:,.0f} events/s")

    async def window(self, rates: Rates, known: Acknowledged, draw: Draw = mixed) -> None:
        """Send for a while, then fold what is left."""
        seconds = self.stage.lengths.ours_seconds
        drawn = draw(int(seconds * _BATCHES_A_SECOND))
        requests = list(self.stage.sending().batches(drawn))
        started = monotonic()
        sent = await send(self.urls, requests, connections=CONNECTIONS, seconds=seconds)
        await self.stage.drain()
        rates.acknowledged.append(sent.rate)
        rates.folded.append(sent.events / (monotonic() - started))
        known.add(sent)
        progress(
            f"  ours: {sent.rate:,.0f} events/s, {rates.folded[-1]:,.0f} folded; {sent.latency}"
        )

    async def on_empty_tables(self, limit: Limit, rates: Rates, draw: Draw = mixed) -> None:
        """Windows of ours and of the limit in turn, each on empty tables, each checked."""
        for _ in range(self.stage.lengths.rounds):
            await limit.measure(one_organization=draw is alone)
            progress(f"  limit: {limit.inserts[-1]:,.0f} rows/s, COPY {limit.copies[-1]:,.0f}")
            await self.stage.empty_usage()
            known = Acknowledged()
            await self.window(rates, known, draw)
            await self.stage.check(known)


@asynccontextmanager
async def ingesting(stage: Stage) -> AsyncIterator[Ingest]:
    """Web processes that have met every series, and a worker that folds meanwhile."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(worker(stage.settings))
        served = [
            await stack.enter_async_context(web(PRODUCT, stage.settings)) for _ in range(PROCESSES)
        ]
        ingest = Ingest(stage, [one.url for one in served])
        await ingest.prime()
        yield ingest


async def measure_ingest(ingest: Ingest) -> list[Figure]:
    """`ingest_batch`, `ingest_folded`, `ingest_batch_cold`."""
    progress("ingest_batch: 1,000 a request, empty tables")
    limit, rates = ingest.stage.limit(), ingest.empty
    await ingest.on_empty_tables(limit, rates)
    remark = f"{PROCESSES} web; {suspicion(limit.inserts, limit.copies, USUAL_FRESH)}"
    return [
        against(
            "ingest_batch",
            "events/s",
            rates.acknowledged,
            limit.inserts,
            goal=GOAL,
            remark=remark,
        ),
        against("ingest_folded", "events/s", rates.folded, limit.inserts, goal=None),
        against("ingest_batch_cold", "events/s", ingest.cold, limit.inserts, goal=None),
    ]


async def measure_one_organization(ingest: Ingest) -> list[Figure]:
    """`ingest_batch_one_org`: what a sender that batches by organization gets."""
    progress("ingest_batch_one_org: each batch of one organization, empty tables")
    limit, rates = ingest.stage.limit(), Rates()
    await ingest.on_empty_tables(limit, rates, alone)
    return [
        against(
            "ingest_batch_one_org",
            "events/s",
            rates.acknowledged,
            limit.inserts,
            goal=None,
            remark=suspicion(limit.inserts, limit.copies, USUAL_FRESH),
        )
    ]
