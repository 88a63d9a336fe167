"""What stands in for the compiled code where there is none: nothing is usual."""

from typing import NoReturn


class Scan:
    """There is never one."""


class Batch:
    """There is never one."""


class Recent:
    """Nothing is asked of it."""


def scan(body: bytes, kind: int, events_max: int) -> None:
    """No body is read this way."""


def gather(*_: object) -> NoReturn:
    """Without scans there is nothing to gather."""
    raise NotImplementedError


unknown_subjects = gather
