"""Passwords: argon2id, in a thread, and as slow for nobody as for somebody."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from billing.errors import Invalid

CHARACTERS_MIN = 12
CHARACTERS_MAX = 1024

_HASHER = PasswordHasher()
_THREADS = ThreadPoolExecutor(4, "passwords")
"""Each check takes 64 MiB and a core: a flood waits here, and takes nobody else's thread."""


async def hash_password(password: str) -> str:
    """What is stored of it: argon2id by RFC 9106's low-memory profile, argon2-cffi's default.

    Raises `Invalid` `WEAK_PASSWORD` when it is shorter than 12 characters or absurdly long.
    """
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise Invalid(
            f"A password needs {CHARACTERS_MIN} to {CHARACTERS_MAX} characters.",
            code="WEAK_PASSWORD",
            field="password",
        )
    return await asyncio.get_running_loop().run_in_executor(
        _THREADS, _HASHER.hash, _bytes(password)
    )


async def is_password(password: str, stored: str | None) -> bool:
    """Whether it is the one stored. Without one the same work is done, so time tells nothing."""
    matches = await asyncio.get_running_loop().run_in_executor(
        _THREADS, _matches, password[:CHARACTERS_MAX], stored
    )
    return matches and stored is not None and len(password) <= CHARACTERS_MAX


def _matches(password: str, stored: str | None) -> bool:
    try:
        return _HASHER.verify(stored or _nobodys(), _bytes(password))
    except VerificationError:
        return False


@cache
def _nobodys() -> str:
    return _HASHER.hash("the password of nobody at all")


def _bytes(password: str) -> bytes:
    return password.encode(errors="surrogatepass")  # a body's JSON may hold half a character
