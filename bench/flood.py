"""`flood_memory`: more than can be stored, for a minute, and what the web process holds."""

from bench.bodies import mixed
from bench.figures import Figure, progress
from bench.ingest import Ingest
from bench.sending import BUSY, STORED, Sent, send
from bench.stage import Acknowledged

CONNECTIONS = 64
_BATCHES_MAX = 1_000_000


async def measure_flood(ingest: Ingest) -> list[Figure]:
    """To a fresh process, on empty tables; what is refused is sent again, when it may be."""
    progress("flood_memory: 1,000 a request on 64 connections")
    stage, served = ingest.stage, ingest.served
    await stage.empty_usage()
    requests = stage.sending().batches(mixed(_BATCHES_MAX))  # made as they are sent
    start = served.resident_mib()
    sent = await send(
        [served.url],
        requests,
        connections=CONNECTIONS,
        seconds=stage.lengths.flood_seconds,
        resends=True,
    )
    peak, end = served.peak_mib(), served.resident_mib()
    progress(f"  {start:.0f} MiB at the start, {peak:.0f} at most, {end:.0f} at the end")
    await stage.drain()
    known = Acknowledged()
    known.add(sent)
    await stage.check(known, doubtful=sent.unanswered)
    return [Figure("flood_memory", peak, "MiB", remark=_remark(sent, start, end))]


def _remark(sent: Sent, start: float, end: float) -> str:
    total = sent.statuses.total()
    stored, busy = sent.statuses[STORED], sent.statuses[BUSY]
    return (
        f"{start:.0f} at the start, {end:.0f} at the end; {total:,} answers:"
        f" {stored / total:.0%} 204, {busy / total:.0%} 503; {sent.rate:,.0f} events/s, all stored"
    )
