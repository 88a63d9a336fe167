"""A program on a lifeline ends with whoever asked for it: in order, else by force."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import lifeline
from tests.processes import eventually, is_running

SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
IGNORE = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def asked_for(
    program: str, *, grace_seconds: float = 10, remove: Path | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        lifeline.command(
            [sys.executable, "-c", program], grace_seconds=grace_seconds, remove=remove
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


def pid_said_by(asked: subprocess.Popen[bytes]) -> int:
    assert asked.stdout
    return int(asked.stdout.readline())


def test_the_programs_own_end_is_passed_on() -> None:
    with asked_for("raise SystemExit(3)") as asked:
        assert asked.wait() == 3


def test_letting_go_ends_it_and_its_directory(tmp_path: Path) -> None:
    directory = tmp_path / "its"
    (directory / "data").mkdir(parents=True)
    with asked_for(SLEEP, remove=directory) as asked:
        pid = pid_said_by(asked)
        asked.communicate()
    assert asked.returncode == 128 + 15
    assert not is_running(pid)
    assert not directory.exists()


def test_what_ignores_the_signal_is_killed() -> None:
    with asked_for(IGNORE + SLEEP, grace_seconds=0.2) as asked:
        pid_said_by(asked)
        asked.communicate()
    assert asked.returncode == 128 + 9


def test_what_it_started_ends_too() -> None:
    with asked_for("import subprocess; print(subprocess.Popen(['sleep', '60']).pid)") as asked:
        pid = pid_said_by(asked)
        asked.wait()
    eventually(lambda: not is_running(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_it_ends_even_when_the_lifeline_itself_is_killed() -> None:
    with asked_for(SLEEP) as asked:
        pid = pid_said_by(asked)
        asked.kill()
    eventually(lambda: not is_running(pid))
