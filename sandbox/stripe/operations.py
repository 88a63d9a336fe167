"""An operation of Stripe's API, and one admitted call of it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sandbox.stripe.errors import Body
from sandbox.stripe.params import Params
from sandbox.stripe.world import Cause, World

LISTING = ("limit", "starting_after", "ending_before", "created")


@dataclass(frozen=True, slots=True)
class Call:
    """What an operation may know of the request: names in the path, checked parameters, cause."""

    path: Mapping[str, str]
    params: Params
    cause: Cause

    @property
    def now(self) -> int:
        """Unix seconds."""
        return self.cause.now


@dataclass(frozen=True, slots=True)
class Operation:
    """One method and path. It changes `world` only after all its checks passed, or raises.

    `modelled` names the parameters that are heeded; another that asks for something is refused.
    """

    method: str
    path: str
    params: type
    run: Callable[[World, Call], Body]
    modelled: Collection[str] = ()

    @property
    def name(self) -> str:
        """As switches and call counts spell it: `POST /v1/invoices/{invoice}/pay`."""
        return f"{self.method} {self.path}"
