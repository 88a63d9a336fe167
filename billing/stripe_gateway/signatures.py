"""Whether Stripe signed what came: on the raw bytes, by any secret of ours, by our clock."""

from collections.abc import Sequence
from datetime import datetime

import stripe

from billing.errors import Invalid
from billing.stripe_wire import signed_at

WEBHOOK_TOLERANCE_SECONDS = 300


def verify_webhook(body: bytes, header: str, secrets: Sequence[str], now: datetime) -> None:
    """Raise `Invalid` unless one of `secrets` signed `body` within five minutes of `now`.

    The SDK compares with the machine's clock, so its own tolerance is off (None) and the age is
    checked by ours; several secrets are valid while one is being rolled.
    """
    timestamp = signed_at(header)
    if abs((now - timestamp).total_seconds()) > WEBHOOK_TOLERANCE_SECONDS:
        raise Invalid("The signature's timestamp is too old.", code="SIGNATURE_EXPIRED")
    text = body.decode(errors="replace")
    if not any(_is_signed(text, header, secret) for secret in secrets):
        raise Invalid("No secret of ours made this signature.", code="SIGNATURE_INVALID")


def _is_signed(text: str, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(text, header, secret, None)
    except (stripe.SignatureVerificationError, ValueError, TypeError):  # not even ASCII
        return False
    return True
