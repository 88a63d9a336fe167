"""Telling: each step by its number, its title and its proof, and a count at the end."""

import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from sandbox.supervisor import print_line

Step = tuple[str, Callable[[], Awaitable[str]]]
"""A title, and what is done: it answers its proof, or raises."""

_TITLE_WIDTH = 44

T = TypeVar("T")


class Unproven(Exception):
    """A step did not come out as it has to."""


def expect(what: str, expected: T, got: T) -> None:
    """Raise `Unproven` unless the two are equal."""
    if expected != got:
        raise Unproven(f"{what}: expected {expected}, got {got}")


def expect_true(what: str, holds: object, got: object) -> None:
    """Raise `Unproven` unless it holds."""
    if not holds:
        raise Unproven(f"expected {what}, got {got}")


async def tell(steps: Sequence[Step]) -> int:
    """Take all steps, also after one has failed. Answers how many have."""
    failed = 0
    for number, (title, take) in enumerate(steps, start=1):
        failed += not await _tell_one(f"[{number:>2}] {title} ".ljust(_TITLE_WIDTH, "."), take)
    print_line(f"story: {len(steps)} steps, {failed} failed")
    return failed


async def _tell_one(heading: str, take: Callable[[], Awaitable[str]]) -> bool:
    try:
        proof = await take()
    except Unproven as error:
        print_line(f"{heading} FAILED {error}")
    except TimeoutError:
        print_line(f"{heading} FAILED it did not come about in time")
    except Exception:
        print_line(f"{heading} FAILED\n{traceback.format_exc()}")
    else:
        print_line(f"{heading} {proof} ok")
        return True
    return False
