"""Idempotency keys, as Stripe keeps them.

The first answer of a key is saved from the moment the operation ran: its 4xx and 500 too. What is
refused before (parameters, rate limits) is not. Keys are forgotten after 24 hours, from when on the
same key makes a new object (docs.stripe.com/api/idempotent_requests, error-low-level).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.stripe.errors import StripeError

KEY_LIFETIME_S = 24 * 3600
KEY_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered; `request_id` is of the request that was really executed."""

    status: int
    body: bytes
    request_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a key was first used for; the parameters as JSON with sorted names."""

    path: str
    params: bytes


@dataclass(slots=True)
class Entry:
    """A key in use; without an answer it is still being worked on."""

    attempt: Attempt
    first_used: int
    answer: Answer | None = None


class Replays:
    """The keys of the last 24 hours, oldest first."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __getstate__(self) -> dict[str, dict[str, Entry]]:
        """What outlives a restart: a request under way does not, so its key is free again."""
        answered = {key: entry for key, entry in self._entries.items() if entry.answer is not None}
        return {"_entries": answered}

    def begin(self, key: str, attempt: Attempt, now: int) -> Answer | None:
        """The saved answer of this key; None when the operation is to be executed, and then saved.

        Raises `StripeError`: 400 when the key was used for something else, 409 while a request
        of this key is being worked on.
        """
        self._forget_old(now)
        if len(key) > KEY_LENGTH_MAX:
            raise StripeError(f"Idempotency keys can be at most {KEY_LENGTH_MAX} characters long.")
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = Entry(attempt, now)
            return None
        if entry.attempt != attempt:
            raise _used_for_other(key, entry.attempt, attempt)
        if entry.answer is None:
            raise _in_use(key)
        return entry.answer

    def save(self, key: str, answer: Answer) -> None:
        """Keep what the operation of `begin` was answered, unless all was cleared meanwhile."""
        if (entry := self._entries.get(key)) is not None:
            entry.answer = answer

    def drop(self, key: str) -> None:
        """Forget a key whose operation never came to an answer."""
        self._entries.pop(key, None)

    def _forget_old(self, now: int) -> None:
        while self._entries:
            key = next(iter(self._entries))
            entry = self._entries[key]
            if entry.answer is None or now - entry.first_used < KEY_LIFETIME_S:
                return
            del self._entries[key]


def _used_for_other(key: str, first: Attempt, second: Attempt) -> StripeError:
    same = "with the same parameters they were first used with"
    if first.path != second.path:
        same = f"for the same endpoint they were first used for ('{first.path}' vs '{second.path}')"
    return StripeError(
        f"Keys for idempotent requests can only be used {same}. Try using a key other than '{key}'"
        " if you meant to execute a different request.",
        kind="idempotency_error",
    )


def _in_use(key: str) -> StripeError:
    return StripeError(
        "There is currently another in-progress request using this Idempotent Key (that probably"
        " means you submitted twice, and the other request is still going through):"
        f" {key}. Please try again later.",
        status=409,
        kind="idempotency_error",
        code="idempotency_key_in_use",
    )
