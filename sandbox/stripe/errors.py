"""Stripe's refusals, word for word where a recording or Stripe's documentation gives the words."""

from typing import Any

Body = dict[str, Any]
"""A JSON object on its way out."""

DOC_URL = "https://stripe.com/docs/error-codes/"
LOG_URL = "https://dashboard.stripe.com/test/logs/"


class StripeError(Exception):
    """A refusal as Stripe words it: an HTTP status and the fields of its `error` object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        decline_code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.decline_code = decline_code
        self.headers: dict[str, str] = {}
        self.is_logged = True

    def body(self, request_id: str, now: int) -> Body:
        """The envelope. Absent fields are left out, never null; `code` brings its `doc_url`."""
        fields = {
            "type": self.kind,
            "message": self.message,
            "code": self.code,
            "decline_code": self.decline_code,
            "param": self.param,
            "doc_url": self.code and DOC_URL + self.code.replace("_", "-"),
            "request_log_url": f"{LOG_URL}{request_id}?t={now}" if self.is_logged else None,
        }
        return {"error": {name: value for name, value in fields.items() if value is not None}}


def no_such(noun: str, object_id: str, param: str) -> StripeError:
    """An id in a parameter that names nothing: 400."""
    return StripeError(f"No such {noun}: '{object_id}'", code="resource_missing", param=param)


def not_found(noun: str, object_id: str, param: str) -> StripeError:
    """An id in the path that names nothing: 404. Which `param` it blames differs by operation."""
    error = no_such(noun, object_id, param)
    error.status = 404
    return error


def missing(param: str) -> StripeError:
    """A required parameter was not given."""
    return StripeError(f"Missing required param: {param}.", code="parameter_missing", param=param)


def not_modelled(param: str) -> StripeError:
    """Stripe knows this parameter and this fake does not: said aloud, for ignoring it would lie."""
    return StripeError(f"The fake Stripe does not model the parameter {param}.", param=param)


def unrecognized_url(method: str, path: str) -> StripeError:
    """No operation lives at this address."""
    return StripeError(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs"
        " or we can help at https://support.stripe.com/.",
        status=404,
    )


def invalid_version(version: str) -> StripeError:
    """A malformed Stripe-Version. Recorded: the one refusal without a `request_log_url`."""
    error = StripeError(f"Invalid Stripe API version: {version}")
    error.is_logged = False
    return error


def rate_limited(reason: str) -> StripeError:
    """429. The reason travels in a header; there is no Retry-After."""
    error = StripeError(
        "Request rate limit exceeded. You can learn more about rate limits here"
        " https://stripe.com/docs/rate-limits.",
        status=429,
        code="rate_limit",
    )
    error.headers["Stripe-Rate-Limited-Reason"] = reason
    return error


def lock_timeout(object_id: str) -> StripeError:
    """429 as well, but no rate limit: something else is writing to the object just now."""
    return StripeError(
        "This object cannot be accessed right now because another API request or Stripe process is"
        " currently accessing it. If you see this error intermittently, retry the request. If you"
        " see this error frequently and are making multiple concurrent requests to a single object,"
        f" make your requests serially or at a lower rate. The object is {object_id}.",
        status=429,
        code="lock_timeout",
    )


def internal_error() -> StripeError:
    """500: something broke inside Stripe, and the caller cannot tell how far the request got."""
    return StripeError("An unknown error occurred", status=500, kind="api_error")


def unavailable() -> StripeError:
    """503: Stripe is down."""
    return StripeError("Stripe is temporarily unavailable.", status=503, kind="api_error")


def card_declined() -> StripeError:
    """402: the bank said no."""
    return StripeError(
        "Your card was declined.",
        status=402,
        kind="card_error",
        code="card_declined",
        decline_code="generic_decline",
    )
