"""The page's live parts: rendered as the page itself renders them, and what of them is new."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from web.costs import CostTable
from web.figures import Figures
from web.rendering import fragment

PARTS = (
    "heading",
    "banner",
    "now",
    "freshness",
    "unpriced",
    "maximum",
    "chart",
    "changes",
    "costs",
    "draft_for",
    "lines",
    "plans",
    "invoices",
    "sources",
)
"""Each is an element's id, and the template of what is inside it."""

_COSTS = "costs"


@dataclass(frozen=True, slots=True)
class View:
    """One rendering. `rows` are the cost table's, once more, each by itself."""

    parts: Mapping[str, str]
    rows: Mapping[str, str]

    def changes_since(self, shown: "View | None") -> str:
        """What a page that shows `shown` lacks, for htmx: "" for nothing, everything for None."""
        if shown is None:
            return "".join(_message(name, html) for name, html in self.parts.items())
        return "".join(_message(name, html) for name, html in self._news(shown))

    def _news(self, shown: "View") -> Iterator[tuple[str, str]]:
        for name, html in self.parts.items():
            if html == shown.parts[name]:
                continue
            if name == _COSTS and self.rows.keys() == shown.rows.keys():
                # In place, in the order the reader has them: rows must not move under the cursor.
                yield from ((x, row) for x, row in self.rows.items() if row != shown.rows[x])
            else:
                yield name, html


class Snapshot:
    """Figures of one moment, each way of looking at them rendered once for all who look so."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self._views: dict[str, View] = {}

    def view(self, group: str) -> View:
        """The rendering with costs by `group`."""
        if group not in self._views:
            self._views[group] = view_of(self.figures, group)
        return self._views[group]


def view_of(figures: Figures, group: str) -> View:
    """Render every part."""
    context = figures.context(group)
    parts = {name: fragment(f"billing/_{name}.html", context) for name in PARTS}
    return View(parts, _rows(context["costs"]))


def _rows(costs: CostTable) -> dict[str, str]:
    rows = {row.id: fragment("billing/_cost_row.html", {"row": row}) for row in costs.rows}
    return {**rows, "cost-total": fragment("billing/_cost_total.html", {"costs": costs})}


def _message(target: str, html: str) -> str:
    return f'<hx-partial hx-target="#{target}" hx-swap="innerMorph">{html}</hx-partial>'
