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

    def writes_to(self, world: World, call: Call) -> set[str]:
        """The invoices and customers a call of it changes: those it names, and whose they are."""
        if self.method == "GET":
            return set()
        names = [call.path.get("invoice"), call.path.get("customer")]
        names += [call.params.get("invoice"), call.params.get("customer")]
        named = {name for name in names if isinstance(name, str)}
        invoices = (world.invoices.find(name) for name in named)
        return named | {invoice.customer for invoice in invoices if invoice is not None}
