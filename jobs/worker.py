"""The arq worker. A message is only a nudge: every kind of work is swept for every few seconds.

arq runs a job at least once, its cron can fire in several workers at the same time, and a worker
ends when Redis drops. Every job is safe under the first two; `main` sees to the third.
"""

import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC
from functools import wraps
from typing import Any

from arq import cron
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError

from billing.runtime import open_runtime, redis_settings
from billing.settings import Settings, load_settings
from billing.stripe_limits import Lane, in_lane
from jobs.check_heartbeats import check_heartbeats
from jobs.close_periods import close_periods
from jobs.fold_usage import fold_usage
from jobs.pack_hours import pack_hours
from jobs.prune_stripe_events import prune_stripe_events
from jobs.purge_quarantine import purge_quarantine
from jobs.push_credit_notes import push_credit_notes
from jobs.push_customers import push_customers
from jobs.push_invoices import push_invoices
from jobs.reconcile import reconcile
from jobs.stripe_events import backfill_stripe_events, handle_stripe_events
from jobs.verify_invoices import verify_invoices

log = logging.getLogger(__name__)

SWEPT = (
    fold_usage,
    close_periods,
    push_invoices,
    push_credit_notes,
    push_customers,
    handle_stripe_events,
)
SWEEP_SECONDS = set(range(0, 60, 5))
PACK_MINUTES = set(range(3, 60, 10))
JOB_TIMEOUT_SECONDS = 280
REDIS_PAUSE_SECONDS = 2
POLL_SECONDS = 0.1


def one_at_a_time(job: Callable[[dict[str, Any]], Awaitable[None]]) -> WorkerCoroutine:
    """One run of a job in this process: a sweep that finds the last one at work has nothing to do.

    Else a slow Stripe would fill every place of the worker with pushes, and closing would wait.
    """

    @wraps(job)
    async def run(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - arq's
        running: set[str] = ctx["running"]
        if job.__name__ in running:
            return
        running.add(job.__name__)
        try:
            with in_lane(Lane.REFETCH):  # people who wait go first at Stripe
                await job(ctx)
        finally:
            running.discard(job.__name__)

    return run


def worker_of(settings: Settings) -> Worker:
    """A worker of all jobs, each both nudged and swept for."""
    stack = AsyncExitStack()

    async def start(ctx: dict[Any, Any]) -> None:
        ctx["running"] = set()
        ctx["runtime"] = await stack.enter_async_context(open_runtime(settings))

    async def stop(ctx: dict[Any, Any]) -> None:
        await stack.aclose()

    sweeps = [one_at_a_time(x) for x in SWEPT]
    return Worker(
        functions=[func(job, keep_result=0) for job in sweeps],
        cron_jobs=[
            *(cron(job, second=SWEEP_SECONDS, timeout=JOB_TIMEOUT_SECONDS) for job in sweeps),
            cron(one_at_a_time(check_heartbeats), second=30, timeout=JOB_TIMEOUT_SECONDS),
            cron(one_at_a_time(verify_invoices), second=45, timeout=JOB_TIMEOUT_SECONDS),
            cron(one_at_a_time(backfill_stripe_events), second=10, timeout=JOB_TIMEOUT_SECONDS),
            cron(one_at_a_time(reconcile), second=20, timeout=JOB_TIMEOUT_SECONDS),
            cron(one_at_a_time(pack_hours), minute=PACK_MINUTES, second=50),
            cron(purge_quarantine, minute=7, second=0),
            cron(prune_stripe_events, hour=4, minute=17, second=0, timeout=JOB_TIMEOUT_SECONDS),
        ],
        redis_settings=redis_settings(settings),
        on_startup=start,
        on_shutdown=stop,
        # On the worker too: arq 0.28 forgets a function's own when its tries have run out, and a
        # kept result blocks its job id.
        keep_result=0,
        job_timeout=JOB_TIMEOUT_SECONDS,
        poll_delay=POLL_SECONDS,
        timezone=UTC,
    )


def main() -> None:
    """Work until told to stop. When Redis drops, wait and begin again as a fresh process."""
    settings = load_settings()
    logging.basicConfig(level=settings.log_level, format="%(levelname)s %(name)s: %(message)s")
    try:
        worker_of(settings).run()
    except (RedisError, OSError) as error:
        log.warning("Redis is gone (%s); starting again in %s s", error, REDIS_PAUSE_SECONDS)
        time.sleep(REDIS_PAUSE_SECONDS)
        os.execv(sys.executable, [sys.executable, "-m", "jobs.worker"])  # noqa: S606 - ourselves


if __name__ == "__main__":
    main()
