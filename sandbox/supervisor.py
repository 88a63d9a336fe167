"""Keeps a few programs running side by side, as a process manager does in production.

A program that ends is started again: arq's worker ends whenever Redis goes, and must be back when
Redis is. None outlives the supervisor, however that one ends.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sandbox import lifeline

RESTART_SECONDS_MIN = 0.25
RESTART_SECONDS_MAX = 5.0
STEADY_SECONDS = 10.0
"""After running so long, a program that ends is started again as if it had never failed."""
_LINE_BYTES_MAX = 2**20


@dataclass(frozen=True, slots=True)
class Child:
    """One program: `name` marks its lines, `env` is added to our own environment.

    `stop` is the signal it is ended with.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    stop: signal.Signals = signal.SIGTERM


def print_line(line: str) -> None:
    """Show a line at once, even when nobody is at the terminal."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Supervisor:
    """`async with` runs the children until the block is left; `run()` until we are told to stop.

    Each line they say goes to `write`, marked with the child's name.
    """

    def __init__(
        self, children: Sequence[Child], write: Callable[[str], None] = print_line
    ) -> None:
        self._children = children
        self._write = write
        self._width = 0
        self._stopping = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._running: dict[str, Process] = {}

    async def __aenter__(self) -> Self:
        self.start(self._children)
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()
        await asyncio.gather(*self._keepers)

    async def run(self) -> None:
        """Run the children until SIGINT, SIGTERM or SIGHUP, then see them all to their end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        async with self:
            await self._stopping.wait()

    def start(self, children: Sequence[Child]) -> None:
        """Run these too, from now on."""
        self._width = max([self._width, *(len(child.name) for child in children)])
        self._keepers += [asyncio.create_task(self._keep(child)) for child in children]

    def stop(self) -> None:
        """Ask all children to end; those that have not within a few seconds are killed."""
        self._stopping.set()

    def end(self, name: str) -> None:
        """End one child, by its `stop`; it is started again like one that ended by itself."""
        process = self._running[name]
        assert process.stdin, "asked for"
        process.stdin.close()

    async def _keep(self, child: Child) -> None:
        """Start the child, again and again, with longer pauses the sooner it ends."""
        loop = asyncio.get_running_loop()
        pause = RESTART_SECONDS_MIN
        while not self._stopping.is_set():
            started = loop.time()
            status = await self._run_once(child)
            if self._stopping.is_set():
                return
            if loop.time() - started > STEADY_SECONDS:
                pause = RESTART_SECONDS_MIN
            self._say(child, f"ended with status {status}; starting again in {pause} s")
            await self._pause(pause)
            pause = min(pause * 2, RESTART_SECONDS_MAX)

    async def _run_once(self, child: Child) -> int:
        """Run the child to its own end, or to ours. Answers its exit status."""
        process = await asyncio.create_subprocess_exec(
            *lifeline.command(child.argv, stop=child.stop),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **child.env},  # noqa: TID251 - passed on
            start_new_session=True,
            limit=_LINE_BYTES_MAX,
        )
        self._running[child.name] = process
        listener = asyncio.create_task(self._listen(child, process))
        stopper = asyncio.create_task(self._let_go(process))
        status = await process.wait()
        stopper.cancel()
        await listener
        return status

    async def _listen(self, child: Child, process: Process) -> None:
        assert process.stdout, "asked for"
        while not process.stdout.at_eof():
            with suppress(ValueError):  # of a line beyond _LINE_BYTES_MAX, the end alone is shown
                line = await process.stdout.readline()
                if line:
                    self._say(child, line.decode(errors="replace").rstrip())

    async def _let_go(self, process: Process) -> None:
        assert process.stdin, "asked for"
        await self._stopping.wait()
        process.stdin.close()

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _say(self, child: Child, line: str) -> None:
        self._write(f"{child.name:<{self._width}} | {line}")
