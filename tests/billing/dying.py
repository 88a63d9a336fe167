"""A worker that dies at one of its calls to Stripe, by an exception that nobody catches."""

from billing.stripe_protocol import Stripe


class Crash(BaseException):
    """The worker died here."""


class Dying:
    """Stripe through a worker that dies at the nth call: before it, or before its answer."""

    def __init__(self, inner: Stripe, at: int, *, after: bool) -> None:
        self._inner = inner
        self._left = at
        self._after = after

    def __getattr__(self, name: str) -> object:
        call = getattr(self._inner, name)

        async def dying(*args: object) -> object:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Crash
            answer = await call(*args)
            if self._left == 0:
                raise Crash
            return answer

        return dying
