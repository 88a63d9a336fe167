"""The pages' twins for scripts and accountants: JSON and CSV of the very same figures.

Amounts are decimal strings in major units, times UTC, nothing is rounded again.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from starlette.responses import JSONResponse, Response

from billing.bill_diffs import Compared
from billing.credit_notes import InvoiceCorrections
from billing.estimates import Estimate
from billing.ids import InvoiceId
from billing.models import Invoice, Organization
from billing.rules.completeness import SourceState, completeness_sentence
from billing.rules.lines import DraftLine
from billing.rules.money import Currency, Money
from billing.rules.quantities import plain
from billing.rules.rating import Step
from billing.subscriptions import Standing
from web.costs import share_name
from web.explanations import changes_told, forecast_told
from web.figures import Figures
from web.labels import label_of
from web.reduced import maximum_of

SECOND = timedelta(seconds=1)

_LINE_COLUMNS = ("kind", "key", "segment", "description", "product", "from", "to")
_LINE_FIGURES = ("quantity", "unit", "exact_amount", "amount", "currency")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def estimate_json(figures: Figures, group: str) -> Response:
    """What the billing page says, with its costs by `group`, all of them."""
    estimate, org = figures.estimate, figures.org
    body = {
        "organization": {"slug": org.slug, "name": org.name},
        "status": "DRAFT",
        "period": _span(estimate.period.start, estimate.period.end),
        "as_of": instant_told(estimate.as_of),
        "counted_to": instant_told(estimate.counted_to),
        "currency": org.currency,
        "accrued": _major(estimate.accrued),
        "in_advance": _major(estimate.in_advance),
        "total": _major(estimate.total),
        "digest": estimate.digest,
        "maximum": _maximum(estimate),
        "forecast": forecast_told(figures.outlook.forecast),
        "changes": changes_told(figures.outlook.changes),
        "plans": [_plan(plan) for plan in figures.plans],
        "lines": [line_told(line) for line in estimate.lines],
        "costs": {"by": group, "rows": _costs(estimate, group)},
        "daily": [
            {"date": day.day.isoformat(), "amount": _exact(day.exact_minor, org.currency)}
            for day in figures.outlook.days
        ],
        "completeness": completeness_sentence(estimate.sources, estimate.as_of),
        "sources": [_source(source) for source in estimate.sources],
        "unpriced": [
            {"meter": usage.meter, "quantity": plain(usage.quantity), "unit": usage.unit}
            for usage in estimate.unpriced
        ],
    }
    return JSONResponse(body)


def invoice_json(
    org: Organization,
    invoice: Invoice,
    corrections: InvoiceCorrections,
    lines: Sequence[DraftLine],
    changes: Compared | None,
    *,
    payment: Mapping[str, Any],
) -> Response:
    """An issued invoice, with the arithmetic of each line, and against the one before it."""
    return JSONResponse(
        {"organization": {"slug": org.slug, "name": org.name}}
        | _invoice(invoice)
        | _corrections(invoice, corrections)
        | {
            "digest": invoice.digest,
            "payment": payment,
            "changes": changes_told(changes),
            "lines": [line_told(line) for line in lines],
        }
    )


def invoices_json(
    org: Organization,
    invoices: Sequence[Invoice],
    closing: Mapping[InvoiceId, Money],
    next_url: str | None,
) -> Response:
    """One page of invoices, newest first; those still closing with what they would come to now."""
    return JSONResponse(
        {
            "organization": {"slug": org.slug, "name": org.name},
            "invoices": [
                _invoice(one)
                | {"estimated_total": _major(closing[one.id]) if one.id in closing else None}
                for one in invoices
            ],
            "next": next_url,
        }
    )


def estimate_csv(figures: Figures, group: str | None) -> Response:
    """The draft's lines; or the costs by `group`."""
    slug, month = figures.org.slug, f"{figures.estimate.period.start:%Y-%m}"
    if group is None:
        return lines_csv(f"{slug}-{month}-draft.csv", figures.estimate.lines)
    rows = [
        (row["value"], row["amount"], figures.org.currency)
        for row in _costs(figures.estimate, group)
    ]
    return csv_response(f"{slug}-{month}-by-{group}.csv", (group, "amount", "currency"), rows)


def lines_csv(name: str, lines: Sequence[DraftLine]) -> Response:
    """One row a line."""
    rows = []
    for line in lines:
        told = line_told(line) | _span(line.span.start, line.span.end)
        told["currency"] = line.amount.currency
        rows.append([told[column] for column in (*_LINE_COLUMNS, *_LINE_FIGURES)])
    return csv_response(name, (*_LINE_COLUMNS, *_LINE_FIGURES), rows)


def invoices_csv(org: Organization, invoices: Sequence[Invoice]) -> Response:
    """One row an invoice."""
    columns = ("number", "status", "state", "from", "to", "issued_at", "total", "currency")
    rows = []
    for invoice in invoices:
        told = _invoice(invoice) | _span(invoice.period_start, invoice.period_end)
        rows.append([told[column] for column in columns])
    return csv_response(f"{org.slug}-invoices.csv", columns, rows)


def _invoice(invoice: Invoice) -> dict[str, Any]:
    is_issued = invoice.number is not None
    return {
        "number": invoice.number,
        "status": invoice.status,
        "state": label_of(invoice).text,
        "period": _span(invoice.period_start, invoice.period_end),
        "issued_at": instant_told(invoice.issued_at),
        "paid_at": instant_told(invoice.paid_at),
        "currency": invoice.currency,
        "total": _major(invoice.total) if is_issued else None,
    }


def _corrections(invoice: Invoice, corrections: InvoiceCorrections) -> dict[str, Any]:
    return {
        "amount_due": _major(corrections.amount_due(invoice)),
        "voided_at": instant_told(invoice.voided_at),
        "void_reason": invoice.void_reason,
        "replaces": corrections.replaces,
        "replaced_by": corrections.replaced_by,
        "credit_notes": [
            {
                "number": note.number,
                "kind": note.kind,
                "amount": _major(corrections.given_back(note, invoice)),
                "reason": note.reason,
                "created_at": instant_told(note.recorded_at),
            }
            for note in corrections.credit_notes
        ],
    }


def _plan(plan: Standing) -> dict[str, Any]:
    return {
        "plan": plan.plan.slug,
        "name": plan.plan.name,
        "starts_at": instant_told(plan.row.starts_at),
        "trial_ends_at": instant_told(plan.row.trial_ends_at),
        "ends_at": instant_told(plan.row.ends_at),
    }


def line_told(line: DraftLine) -> dict[str, Any]:
    """A line with its arithmetic."""
    return {
        "kind": line.kind,
        "key": line.key,
        "segment": line.segment,
        "description": line.description,
        "product": line.product,
        "span": _span(line.span.start, line.span.end),
        "quantity": None if line.quantity is None else plain(line.quantity),
        "unit": line.unit,
        "exact_amount": _exact(line.exact_minor, line.amount.currency),
        "amount": _major(line.amount),
        "reduced": _major(Money(line.reduced_minor, line.amount.currency)),
        "granted": _major(Money(line.granted_minor, line.amount.currency)),
        "steps": [_step(step, line.amount.currency) for step in line.steps],
    }


def _step(step: Step, currency: Currency) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "quantity": plain(step.quantity),
        "unit_amount": plain(step.unit_amount),
        "amount": _exact(step.exact_minor, currency),
        "up_to": None if step.up_to is None else plain(step.up_to),
        "of_hours": step.of,
    }


def _costs(estimate: Estimate, group: str) -> list[dict[str, Any]]:
    return [
        {"value": one.value, "name": share_name(one, group), "amount": _major(one.amount)}
        for one in estimate.by_dimension(group)
    ]


def _source(source: SourceState) -> dict[str, Any]:
    return {
        "source": source.source,
        "meters": list(source.meters),
        "last_occurred_at": instant_told(source.last_occurred_at),
        "last_recorded_at": instant_told(source.last_recorded_at),
        "through": instant_told(source.through),
        "behind_seconds": None if source.behind is None else source.behind // SECOND,
        "missing_hours": [
            {
                "hour": instant_told(one.hour),
                "meter": one.meter,
                "sent_events": one.sent_events,
                "counted_events": one.counted_events,
                "sent_total": plain(one.sent_total),
                "counted_total": plain(one.counted_total),
            }
            for one in source.missing_hours
        ],
    }


def _maximum(estimate: Estimate) -> dict[str, str | None] | None:
    shown = maximum_of(estimate)
    if shown is None:
        return None
    return {
        "amount": None if shown.amount is None else _major(shown.amount),
        "used": _major(shown.used),
        "forgiven": _major(shown.forgiven),
        "remaining": None if shown.remaining is None else _major(shown.remaining),
    }


def _span(start: datetime, end: datetime) -> dict[str, Any]:
    return {"from": instant_told(start), "to": instant_told(end)}


def instant_told(instant: datetime | None) -> str | None:
    """In UTC, to the microsecond."""
    return None if instant is None else f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}"


def _major(amount: Money) -> str:
    return f"{amount.major:f}"


def _exact(exact_minor: Fraction, currency: Currency) -> str:
    return plain(exact_minor / currency.minor_per_major)


def csv_response(name: str, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> Response:
    """A file to download; nothing in it is run as a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    headers: Mapping[str, str] = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), media_type="text/csv", headers=headers)


def _cell(value: object) -> object:
    """Text that a spreadsheet would run as a formula is quoted; amounts may be negative."""
    is_formula = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return f"'{value}" if is_formula and not _is_number(str(value)) else value


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()
