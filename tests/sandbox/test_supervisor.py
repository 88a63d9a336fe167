"""Programs side by side: started again when they end, and gone when their supervisor is."""

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from sandbox.supervisor import Child, Supervisor
from tests.processes import eventually, is_running

SAY_PID_AND_SLEEP = "import os, time; print(os.getpid()); time.sleep(60)"
SAY_PID_AND_FAIL = "import os; print(os.getpid()); raise SystemExit(3)"
SUPERVISE = """
import asyncio, sys
from sandbox.supervisor import Child, Supervisor

children = [Child(name, [sys.executable, "-c", sys.argv[1]], {}) for name in ("web", "worker")]
asyncio.run(Supervisor(children).run())
"""


def child(name: str, program: str, **env: str) -> Child:
    return Child(name, [sys.executable, "-c", program], env)


class Lines(asyncio.Queue[str]):
    """What the children say, to be waited for."""

    async def next(self) -> str:
        async with asyncio.timeout(20):
            return await self.get()


async def test_a_child_that_ends_is_started_again() -> None:
    lines = Lines()
    async with Supervisor([child("worker", SAY_PID_AND_FAIL)], lines.put_nowait):
        first, ending, second = [await lines.next() for _ in range(3)]
    assert ending == "worker | ended with status 3; starting again in 0.25 s"
    assert first != second


async def test_a_child_that_is_killed_is_started_again() -> None:
    lines = Lines()
    async with Supervisor([child("worker", SAY_PID_AND_SLEEP)], lines.put_nowait):
        first = pid_in(await lines.next())
        os.kill(first, signal.SIGKILL)
        assert "status 137" in await lines.next()
        second = pid_in(await lines.next())
        assert is_running(second)
    assert not is_running(second)


async def test_one_child_is_ended_by_its_own_signal_and_comes_back() -> None:
    lines = Lines()
    mortal = replace(child("worker", SAY_PID_AND_SLEEP), stop=signal.SIGKILL)
    async with Supervisor([mortal], lines.put_nowait) as supervisor:
        first = await lines.next()
        supervisor.end("worker")
        assert "status 137" in await lines.next()
        assert await lines.next() != first


async def test_children_may_join_later() -> None:
    lines = Lines()
    async with Supervisor([child("web", SAY_PID_AND_SLEEP)], lines.put_nowait) as supervisor:
        first = pid_in(await lines.next())
        supervisor.start([child("worker", SAY_PID_AND_SLEEP)])
        second = pid_in(await lines.next())
    assert not is_running(first)
    assert not is_running(second)


async def test_lines_bear_their_childs_name_and_see_its_settings() -> None:
    lines = Lines()
    say = "import os, time; print(os.environ['COLOUR'], 'ü'); time.sleep(60)"
    children = [child("web", say, COLOUR="red"), child("worker", say, COLOUR="blue")]
    async with Supervisor(children, lines.put_nowait):
        said = {await lines.next(), await lines.next()}
    assert said == {"web    | red ü", "worker | blue ü"}


async def test_a_line_without_end_holds_nothing_up() -> None:
    lines = Lines()
    say = "import time; print('x' * 2**22, end='yz\\n'); print('next'); time.sleep(60)"
    async with Supervisor([child("web", say)], lines.put_nowait):
        assert (await lines.next()).endswith("xyz")
        assert await lines.next() == "web | next"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_all_end_with_their_supervisor(number: signal.Signals) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, SAY_PID_AND_SLEEP],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert supervisor.stdout
    pids = [pid_in(supervisor.stdout.readline()) for _ in range(2)]

    os.killpg(supervisor.pid, number)  # as Ctrl-C does: whoever is in its group

    supervisor.communicate()
    assert supervisor.returncode == (-9 if number == signal.SIGKILL else 0)
    eventually(lambda: not any(is_running(pid) for pid in pids))


def pid_in(line: str) -> int:
    return int(line.partition("| ")[2])
