"""What happens after a payment failed: when the next attempt is, and what follows the last one."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Dunning:
    """Where the collection of one invoice stands.

    `attempts` have failed. `next_at` is the next by itself, None when none is planned;
    `planned_at` are those after it, where our own schedule says so. `is_smart`: Stripe chooses the
    times, so only the next is known.
    """

    attempts: int
    next_at: datetime | None
    planned_at: tuple[datetime, ...]
    is_smart: bool

    @property
    def attempts_left(self) -> int | None:
        """How many more by itself; None where Stripe decides."""
        if self.is_smart:
            return None
        return 0 if self.next_at is None else 1 + len(self.planned_at)


def dunning_of(
    attempts: int, next_at: datetime | None, retry_days: tuple[int, ...]
) -> Dunning | None:
    """None before the first attempt has failed.

    `next_at` is Stripe's own word, for Stripe makes the attempts under either schedule.
    `retry_days` are the days from one to the next; empty for Smart Retries.
    """
    if attempts < 1:
        return None
    planned: list[datetime] = []
    if next_at is not None:
        at = next_at
        for days in retry_days[attempts:]:
            at += timedelta(days=days)
            planned.append(at)
    return Dunning(attempts, next_at, tuple(planned), is_smart=not retry_days)
