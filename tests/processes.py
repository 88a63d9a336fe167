"""Words for tests that watch other processes."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether the process is at work still; one that only waits to be buried is not."""
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")  # Linux's alone
        return not (state.parent.exists() and ") Z " in state.read_text())
    return False


def eventually(claim: Callable[[], object], seconds: float = 20) -> None:
    """Wait until another process has made the claim true."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
