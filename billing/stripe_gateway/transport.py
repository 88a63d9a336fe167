"""The last yard before the network: every request, whoever made it, passes the limiter here.

So nothing can forget it: not the next page of a list, nor a raw request without objects.
"""

from collections.abc import Mapping
from typing import Any

import httpx
import stripe

from billing.stripe_limits.limiter import TOO_MANY, Answered, Limits
from billing.stripe_limits.operations import operation_of

TIMEOUT_SECONDS = 20
_LOCK_TIMEOUT = b'"lock_timeout"'


class LimitedTransport(stripe.HTTPXClient):
    """The SDK's own HTTP client, with a turn to be waited for.

    `wire` is httpx's way to the network; a test may give one that ends in this process.
    """

    def __init__(self, limits: Limits, wire: httpx.AsyncBaseTransport | None) -> None:
        super().__init__(timeout=TIMEOUT_SECONDS, verify_ssl_certs=wire is None)
        self._limits = limits
        if wire is not None:
            self._client_async = httpx.AsyncClient(transport=wire)

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,  # noqa: ANN401 - as the SDK has it
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Raises `Paced` instead of asking when it would be long until our turn."""
        operation = operation_of(method, url)
        async with self._limits.turn(operation):
            content, status, answered = await super().request_async(method, url, headers, post_data)
        is_locked = status == TOO_MANY and _LOCK_TIMEOUT in content
        await self._limits.answered(operation, Answered(status, answered, is_locked))
        return content, status, answered
