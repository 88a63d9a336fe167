"""The story is told to its end, and a step that fails says what was expected and what came."""

import subprocess
import sys

import pytest

from sandbox.story.teller import expect, tell
from sandbox.toolchain import REPOSITORY

STEPS = 15


def test_every_step_is_proven() -> None:
    story = subprocess.run(
        [sys.executable, "-c", "from cli import main; main()", "story"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert story.stdout.splitlines()[-1] == f"story: {STEPS} steps, 0 failed", story.stdout
    assert story.returncode == 0
    assert "0 duplicates, difference 0.00 USD" in story.stdout


async def a_step_that_holds() -> str:
    return "as it should be"


async def a_step_that_does_not() -> str:
    expect("the total", "12.00", "11.99")
    return "never said"


async def a_step_with_a_bug() -> str:
    raise LookupError("no such thing")


async def test_a_failed_step_says_why_and_the_others_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    steps = [
        ("Wrong", a_step_that_does_not),
        ("Broken", a_step_with_a_bug),
        ("Right", a_step_that_holds),
    ]
    assert await tell(steps) == 2
    told = capsys.readouterr().out
    assert "[ 1] Wrong ....." in told
    assert "FAILED the total: expected 12.00, got 11.99" in told
    assert "LookupError: no such thing" in told
    assert "as it should be ok" in told
    assert told.endswith("story: 3 steps, 2 failed\n")
