"""`growth_month`: one month of readings out of the way, into a file, and back; identities stay."""

import tempfile
from time import perf_counter

from bench.figures import Figure, progress
from bench.load import Loader
from bench.stage import Stage, WrongFigures
from billing.clock import wall_time
from billing.usage.archive import attach_month, detach_month, export_month

SECONDS_MAX = 10.0
_IDENTITIES = (
    "SELECT count(*) FROM usage_identities WHERE key < '01000000-0000-0000-0000-000000000000'"
)
"""Those of one organization in 256: to count all takes longer than what is measured."""


async def measure_archiving(stage: Stage, loader: Loader) -> list[Figure]:
    """Detach the oldest month, export it, attach it again."""
    month = loader.months[-1]
    progress(f"growth_month: {month:%Y-%m}, detached, exported, attached")
    sessions = stage.runtime.sessions
    before = await stage.first.fetchval(_IDENTITIES)
    with tempfile.TemporaryFile() as file:
        times = [perf_counter()]
        contents = await detach_month(sessions, month, now=wall_time())
        times.append(perf_counter())
        await export_month(sessions, month, file)
        times.append(perf_counter())
        back = await attach_month(sessions, month)
        times.append(perf_counter())
        size = file.tell()
    if await stage.first.fetchval(_IDENTITIES) != before or back != contents:
        raise WrongFigures("A month lost something on its way out and back.")
    detach, export, attach = (times[n + 1] - times[n] for n in range(3))
    total = detach + export + attach
    remark = (
        f"at most; {contents.readings:,} readings, {size / 2**20:.0f} MiB:"
        f" detach {detach:.1f}, export {export:.1f}, attach {attach:.1f}"
    )
    return [
        Figure("growth_month", total, "s", SECONDS_MAX, total / SECONDS_MAX, 1.0, remark=remark)
    ]
