"""What can be refused, and why. Five kinds, which every edge knows how to answer.

Each error has a public, stable `code`, words for a person, and where it helps the `field` that is
wrong. Nothing else may leave an edge as a message: a bug is masked, a refusal keeps its words.
"""

from datetime import timedelta


class BillingError(Exception):
    """A refusal. `code` is part of our public contract and never changes its meaning."""

    code = "BILLING_ERROR"

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.field = field


class NotFound(BillingError):
    """It does not exist, or the viewer may not know that it does."""

    code = "NOT_FOUND"


class Invalid(BillingError):
    """What was sent cannot be used as it is; `field` names what to change."""

    code = "VALIDATION"


class Conflict(BillingError):
    """It contradicts what is already recorded."""

    code = "CONFLICT"


class IdempotencyConflict(Conflict):
    """The key was used for something else."""

    code = "IDEMPOTENCY_CONFLICT"


class Forbidden(BillingError):
    """Known, but not allowed to do this."""

    code = "FORBIDDEN"


class Unauthenticated(BillingError):
    """Nobody we know: no credentials, or wrong, expired or revoked ones."""

    code = "UNAUTHENTICATED"


class Unavailable(BillingError):
    """Try again: somebody we depend on is down, slow or limiting us.

    `is_rate_limit`: it works, and only told us to come later. That is no failed attempt.
    """

    code = "UNAVAILABLE"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        retry_after: timedelta = timedelta(seconds=5),
        is_rate_limit: bool = False,
    ) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after
        self.is_rate_limit = is_rate_limit
