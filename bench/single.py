"""`ingest_single`: one event a request on 64 connections, beside a bare endpoint."""

from bench.figures import Figure, against, progress
from bench.ingest import Ingest
from bench.processes import BARE, web
from bench.sending import send
from bench.stage import Acknowledged

GOAL = 0.5
CONNECTIONS = 64
_REQUESTS_A_SECOND = 10_000  # more than any machine here has taken
_ANSWERED = frozenset({200})


async def measure_single(ingest: Ingest) -> list[Figure]:
    """Windows of ours and of the bare endpoint in turn, the same requests for both."""
    progress("ingest_single: one event a request, 64 connections")
    stage = ingest.stage
    ours: list[float] = []
    limits: list[float] = []
    latencies: list[str] = []
    await stage.empty_usage()
    known = Acknowledged()
    seconds = stage.lengths.single_seconds
    async with web(BARE, {}) as bare:
        for _ in range(stage.lengths.rounds):
            requests = list(stage.sending().singles(int(seconds * _REQUESTS_A_SECOND)))
            limit = await send(
                [bare.url],
                requests,
                connections=CONNECTIONS,
                seconds=seconds,
                accepted=_ANSWERED,
            )
            sent = await send(
                [ingest.served.url], requests, connections=CONNECTIONS, seconds=seconds
            )
            known.add(sent)
            limits.append(limit.rate)
            ours.append(sent.rate)
            latencies.append(sent.latency)
            progress(
                f"  ours: {sent.rate:,.0f} requests/s, {sent.latency}; bare: {limit.rate:,.0f}"
            )
    await stage.drain()
    await stage.check(known)
    return [against("ingest_single", "requests/s", ours, limits, goal=GOAL, remark=latencies[-1])]
