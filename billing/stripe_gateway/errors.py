"""What goes wrong at Stripe, as our errors: down is retried, refused is shown.

Only Stripe's code, message and request id are kept: its exceptions carry whole bodies.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import httpx
import stripe

from billing.errors import BillingError, Invalid, Unavailable

_RATE_LIMIT_PAUSE = timedelta(seconds=2)
_DOWN_PAUSE = timedelta(seconds=5)

_LOCKED = "lock_timeout"
"""A 429 that is about one object, not about our rate: another request is at work on it."""

_TOO_MANY_LINES = re.compile(
    r"(up to|at most|more than|maximum of|too many)\b.*\b(lines?|items?)\b"
)


class StripeRefused(Invalid):
    """Stripe understood and said no: trying the same again cannot help."""

    code = "STRIPE_REFUSED"


class TooManyLines(StripeRefused):
    """More lines than it takes: fewer at once may do. Nothing of this call was done."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Down is retried, refused is shown; anything else is our bug and flies on.

    Only Stripe's code, message and request id are kept: its exceptions carry whole bodies, with
    people's addresses in them.
    """
    try:
        yield
    except (stripe.APIConnectionError, httpx.HTTPError) as error:
        raise Unavailable(
            "Stripe cannot be reached.", code="STRIPE_UNREACHABLE", retry_after=_DOWN_PAUSE
        ) from error
    except stripe.StripeError as error:
        raise _translated(error) from None


def _translated(error: stripe.StripeError) -> BillingError:
    status = error.http_status or 0
    code = (error.error.code if error.error else None) or error.code
    text = f"{error.user_message or 'No reason given'} (request {error.request_id})"
    if status in {409, 429}:  # 409: another request is still at work under this very key
        is_busy = status == 409 or code == _LOCKED
        return Unavailable(
            f"Stripe is {'busy' if is_busy else 'limiting our rate'}: {text}",
            code="STRIPE_BUSY" if is_busy else "STRIPE_RATE_LIMITED",
            retry_after=_RATE_LIMIT_PAUSE,
            is_rate_limit=True,
        )
    if isinstance(error, stripe.IdempotencyError):
        return Unavailable(
            f"Stripe knows this key with other arguments: {text}", code="STRIPE_KEY_REUSED"
        )
    if status >= 500:
        return Unavailable(f"Stripe failed: {text}", code="STRIPE_DOWN", retry_after=_DOWN_PAUSE)
    refusal = TooManyLines if status == 400 and _TOO_MANY_LINES.search(text) else StripeRefused
    return refusal(f"Stripe refused{f' ({code})' if code else ''}: {text}")
