"""Runs one program that must not outlive whoever asked for it, however that one ends.

    python lifeline.py [--stop SIGNAL] [--grace SECONDS] [--remove DIR] [--account NAME] PROGRAM …

The asker alone holds the other end of our standard input. When it closes, be it on purpose, by
Ctrl-C or because the asker was killed outright, the program is told to stop and, after a grace,
killed; then DIR is removed. Standard library only, so that it starts in a blink (`-I -S`).
"""

import argparse
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

GRACE_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def command(
    program: Sequence[str],
    *,
    stop: signal.Signals = signal.SIGTERM,
    grace_seconds: float = GRACE_SECONDS,
    remove: Path | None = None,
    account: str | None = None,
) -> list[str]:
    """The command line that runs `program` on a lifeline.

    Start it with `stdin=PIPE`, which is the lifeline, and in a session of its own, where a Ctrl-C
    meant for the asker does not reach. `remove` is a directory to go when the program has ended,
    `account` the user to run it as, which takes root.
    """
    options = ["--stop", stop.name, "--grace", str(grace_seconds)]
    if remove:
        options += ["--remove", str(remove)]
    if account:
        options += ["--account", account]
    return [sys.executable, "-I", "-S", __file__, *options, *program]


def stop_with_parent(stop: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send us `stop` when our parent dies. On Linux; elsewhere, nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(stop))


def stop_with_make() -> None:
    """If make runs us, end when it does, even killed outright: it takes no recipe along then."""
    if "MAKELEVEL" in os.environ:  # noqa: TID251 - not a setting
        stop_with_parent()


def main() -> int:
    """Run the program to its end. Answers its exit status as a shell puts it: 128 + signal."""
    asked = _arguments()
    try:
        child = _start(asked)
        end = _ender(child, asked.stop, asked.grace)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: end())
        threading.Thread(target=_at_end_of_input, args=(end,), daemon=True).start()
        status = child.wait()
        with suppress(ProcessLookupError):  # as a rule, nothing is left of its group
            os.killpg(child.pid, signal.SIGKILL)
    finally:
        if asked.remove:
            _remove(asked.remove)
    return status if status >= 0 else 128 - status


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stop", type=signal.Signals.__getitem__, default=signal.SIGTERM)
    parser.add_argument("--grace", type=float, default=GRACE_SECONDS)
    parser.add_argument("--remove", type=Path)
    parser.add_argument("--account")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    return parser.parse_args()


def _start(asked: argparse.Namespace) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        asked.program,
        stdin=subprocess.DEVNULL,
        process_group=0,
        user=asked.account,
        group=asked.account and pwd.getpwnam(asked.account).pw_gid,
        extra_groups=[] if asked.account else None,
        umask=0o077,
        # In case this lifeline is killed outright. Safe here: there is no second thread yet.
        preexec_fn=lambda: stop_with_parent(asked.stop),  # noqa: PLW1509
    )


def _ender(
    child: subprocess.Popen[bytes], stop: signal.Signals, grace_seconds: float
) -> Callable[[], None]:
    def send(number: signal.Signals) -> None:
        if child.returncode is None:  # not reaped, so the group's number is still its own
            with suppress(ProcessLookupError):
                os.killpg(child.pid, number)

    def end() -> None:
        send(stop)
        kill = threading.Timer(grace_seconds, send, [signal.SIGKILL])
        kill.daemon = True
        kill.start()

    return end


def _at_end_of_input(end: Callable[[], None]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    end()


def _remove(directory: Path) -> None:
    """Whatever was killed may write for a moment longer, so try until it is really gone."""
    for _ in range(50):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
