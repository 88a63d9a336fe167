"""A figure: what was measured, beside the limit of the same run; for people and for programs."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

_SUSPICIOUS_BELOW = 0.6
_HEADINGS = ("name", "value", "unit", "limit", "ratio", "goal", "range", "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. `range` are the least and the greatest window; None is what does not apply.

    `goal` is for the ratio, to be reached from below, save where `remark` says otherwise.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    goal: float | None = None
    range: tuple[float, float] | None = None
    remark: str = ""

    def as_json(self) -> str:
        """One line."""
        return json.dumps({key: _rounded(value) for key, value in asdict(self).items()})

    def cells(self) -> tuple[str, ...]:
        """As a row of the table."""
        between = f"{_shown(self.range[0])} – {_shown(self.range[1])}" if self.range else "–"
        ratio = "–" if self.ratio is None else f"{self.ratio:.2f}"
        goal = "–" if self.goal is None else f"{self.goal:.2f}"
        return (
            self.name,
            _shown(self.value),
            self.unit,
            _shown(self.limit),
            ratio,
            goal,
            between,
            self.remark,
        )


def against(
    name: str,
    unit: str,
    ours: Sequence[float],
    limits: Sequence[float],
    *,
    goal: float | None,
    remark: str = "",
) -> Figure:
    """Our windows beside the limit's: the medians of both, and of what each is of its limit."""
    between = (min(ours), max(ours))
    ratio = median(one / limit for one, limit in zip(ours, limits, strict=True))
    return Figure(name, median(ours), unit, median(limits), ratio, goal, between, remark)


def suspicion(limits: Sequence[float], copies: Sequence[float], usual: float) -> str:
    """What to say of a limit that did far worse beside COPY than it usually does."""
    found = median(limits) / median(copies)
    measured = f"limit/COPY {found:.2f}, usually {usual:.2f}"
    return f"limit suspicious: {measured}" if found < _SUSPICIOUS_BELOW * usual else measured


def table(figures: Sequence[Figure]) -> str:
    """All of them, in columns."""
    rows = [_HEADINGS, *(figure.cells() for figure in figures)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in {0, 2, 7} else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def progress(line: str) -> None:
    """Tell whoever waits what is going on; the figures alone are for standard output."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, tuple):
        return [_rounded(one) for one in value]
    return value


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
