"""When the worker does what nobody nudges it to do."""

from arq.worker import Worker

from billing.runtime import Runtime
from jobs.worker import worker_of


def minutes_of(worker: Worker, job: str) -> object:
    [one] = [one for one in worker.cron_jobs or () if one.name == f"cron:{job}"]
    return one.minute


async def test_hours_are_packed_every_ten_minutes(runtime: Runtime) -> None:
    worker = worker_of(runtime.settings)

    assert minutes_of(worker, "pack_hours") == {3, 13, 23, 33, 43, 53}
