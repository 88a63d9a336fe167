"""More lines than Stripe takes on an invoice: one for each product, with a link to the detail."""

from collections.abc import Sequence

from billing.models import InvoiceLine
from billing.rules.lines import LineKind
from billing.stripe_protocol import PushLine

LINES_MAX = 250
"""What Stripe's reference allows on an invoice."""

_NAMES = {
    LineKind.ONE_OFF: "One-off items",
    LineKind.FEE_IN_ADVANCE: "Fees in advance",
    LineKind.UNUSED_FEE: "Unused fees",
    LineKind.TRUE_UP: "Corrections",
}


def push_lines(lines: Sequence[InvoiceLine], page_url: str) -> tuple[PushLine, ...]:
    """Every line as it is, or where there are too many, the sum of each product's.

    Sums lose nothing: total and currency are the same, and the gate counts what was sent. What is
    alone of its product stays itself.
    """
    if len(lines) <= LINES_MAX:
        return tuple(_line(line) for line in lines)
    groups: dict[tuple[LineKind, str | None], list[InvoiceLine]] = {}
    for line in lines:
        groups.setdefault((line.kind, line.product), []).append(line)
    shown = list(groups.values())
    if len(shown) > LINES_MAX:  # as many products as that: the last of them are one line, too
        shown[LINES_MAX - 1 :] = [[line for group in shown[LINES_MAX - 1 :] for line in group]]
    return tuple(_rolled_up(group, page_url) for group in shown)


def _line(line: InvoiceLine) -> PushLine:
    return PushLine(
        line_id=str(line.id),
        kind=line.kind,
        amount_minor=line.amount_minor,
        description=line.description,
        start=line.span_start,
        end=line.span_end,
    )


def _rolled_up(group: Sequence[InvoiceLine], page_url: str) -> PushLine:
    first = group[0]
    if len(group) == 1:
        return _line(first)
    return PushLine(
        line_id=f"rollup-{first.id}",
        kind=first.kind,
        amount_minor=sum(line.amount_minor for line in group),
        description=f"{_name(group)}: {len(group)} lines, each of them at {page_url}",
        start=min(line.span_start for line in group),
        end=max(line.span_end for line in group),
    )


def _name(group: Sequence[InvoiceLine]) -> str:
    names = {line.product or _NAMES.get(line.kind, line.kind.capitalize()) for line in group}
    return names.pop() if len(names) == 1 else f"{len(names)} further products"
