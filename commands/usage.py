"""`stripe-sync usage …`: voiding events, and months of readings in and out of the database."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import BinaryIO

import click

from billing.accounts import COMMAND_LINE
from billing.runtime import Runtime
from billing.usage.archive import (
    Contents,
    Month,
    attach_month,
    detach_month,
    export_month,
    import_month,
    months_kept,
    remove_month,
)
from billing.usage.voids import Voiding, VoidRequest, VoidVerdict, void_usage
from commands.console import Refusal, json_option, show
from commands.runtime import run

_VOIDS_AT_ONCE = 1_000
_SHOWN_EVERY_BYTES = 10_000_000


month_argument = click.argument(
    "month",
    metavar="MONTH",
    type=click.DateTime(["%Y-%m"]),
    callback=lambda _context, _parameter, instant: instant.date(),
)
file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
existing_file = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group()
def usage() -> None:
    """Recorded usage: voiding events, and archiving months of them."""


@usage.command()
@json_option
def months(as_json: bool) -> None:
    """The months that have readings: in use, detached, or removed to a file."""
    kept = run(_months)
    rows = [
        {"month": f"{x.month:%Y-%m}", "state": x.state, "bytes": x.bytes, "archived_at": at}
        for x in kept
        for at in [x.archived_at.isoformat() if x.archived_at else None]
    ]
    lines = [f"{x.month:%Y-%m}  {x.state:8}  {_megabytes(x.bytes):>12}" for x in kept]
    show(rows, "\n".join(lines) or "No usage is folded yet.", as_json=as_json)


async def _months(runtime: Runtime) -> Sequence[Month]:
    async with runtime.sessions() as session:
        return await months_kept(session)


@usage.command()
@month_argument
@json_option
def detach(month: date, as_json: bool) -> None:
    """Take MONTH's readings out of use; estimates, invoices and resends are not affected.

    Possible 34 days after its end. Until it is attached again nothing can be counted into it or
    voided in it.
    """
    _tell(run(lambda runtime: _detach(runtime, month)), month, "detached", as_json=as_json)


async def _detach(runtime: Runtime, month: date) -> Contents:
    return await detach_month(runtime.sessions, month, now=await runtime.now())


@usage.command()
@month_argument
@json_option
def attach(month: date, as_json: bool) -> None:
    """Bring detached or imported MONTH back into use."""
    contents = run(lambda runtime: attach_month(runtime.sessions, month))
    _tell(contents, month, "attached", as_json=as_json)


@usage.command("export")
@month_argument
@file_argument
@json_option
def export(month: date, file: Path, as_json: bool) -> None:
    """Write MONTH's readings, in use or detached, to a new FILE."""
    with _new_file(file) as target:
        counted = _Counted(target, f"Exporting {month:%Y-%m}")
        contents = run(lambda runtime: export_month(runtime.sessions, month, counted))
        counted.done()
    _tell(contents, month, f"in {file}", as_json=as_json)


@usage.command("import")
@month_argument
@existing_file
@json_option
def import_(month: date, file: Path, as_json: bool) -> None:
    """Read exported MONTH from FILE, to be attached; a file that is not all of it is refused."""
    with file.open("rb") as source:
        counted = _Counted(source, f"Importing {month:%Y-%m}")
        contents = run(lambda runtime: import_month(runtime.sessions, month, counted))
        counted.done()
    _tell(contents, month, "imported; attach it to use it", as_json=as_json)


@usage.command()
@month_argument
@existing_file
@json_option
def remove(month: date, file: Path, as_json: bool) -> None:
    """Drop detached MONTH from the database, if FILE holds all of it, byte for byte."""
    with file.open("rb") as source:
        counted = _Counted(source, f"Comparing {month:%Y-%m}")
        contents = run(lambda runtime: remove_month(runtime.sessions, month, counted))
        counted.done()
    _tell(contents, month, f"removed; {file} is the only copy here", as_json=as_json)


@usage.command()
@click.argument("ids", nargs=-1, required=True)
@click.option("--org", "subject", required=True, help="The organization's key.")
@click.option("--source", required=True, help="The events' own source.")
@click.option("--reason", required=True, help="Why; kept with each event.")
@json_option
def void(ids: tuple[str, ...], subject: str, source: str, reason: str, as_json: bool) -> None:
    """Count the events with these IDS no longer, whatever their age. Asking again is safe."""
    wanted = [VoidRequest(subject, source, id) for id in ids]
    verdicts = run(lambda runtime: _void(runtime, wanted, reason))
    kinds = [one.verdict for one in verdicts]
    voided, before = kinds.count(Voiding.VOIDED), kinds.count(Voiding.ALREADY_VOIDED)
    rejected = [one for one in verdicts if one.verdict is Voiding.REJECTED]
    row = {
        "voided": voided,
        "already_voided": before,
        "rejected": [
            {"id": one.request.id, "code": one.code, "message": one.message} for one in rejected
        ],
    }
    text = f"{voided} voided, {before} were voided before, {len(rejected)} rejected."
    show(row, text, as_json=as_json)
    if rejected:
        details = [f"{one.request.id}: {one.code}: {one.message}" for one in rejected]
        raise Refusal("NOT_ALL_VOIDED", "Some events were not voided.", details=details)


async def _void(runtime: Runtime, wanted: Sequence[VoidRequest], reason: str) -> list[VoidVerdict]:
    now = await runtime.now()
    verdicts: list[VoidVerdict] = []
    with click.progressbar(length=len(wanted), label="Voiding", file=sys.stderr) as bar:
        for start in range(0, len(wanted), _VOIDS_AT_ONCE):
            part = wanted[start : start + _VOIDS_AT_ONCE]
            verdicts += await void_usage(runtime, part, reason=reason, viewer=COMMAND_LINE, now=now)
            bar.update(len(part))
    return verdicts


def _tell(contents: Contents, month: date, outcome: str, *, as_json: bool) -> None:
    row = {"month": f"{month:%Y-%m}", "chunks": contents.chunks, "readings": contents.readings}
    text = f"{month:%Y-%m}: {contents.readings:,} readings are {outcome}."
    show(row, text, as_json=as_json)


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"


class _Counted:
    """A file, and on a terminal how far one has come in it."""

    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file = file
        self._label = label
        self._bytes = 0
        self._is_shown = sys.stderr.isatty()

    def write(self, part: bytes) -> None:
        """As the file's own."""
        self._file.write(part)
        self._count(len(part))

    def read(self, size: int) -> bytes:
        """As the file's own."""
        part = self._file.read(size)
        self._count(len(part))
        return part

    def done(self) -> None:
        """End the line."""
        if self._is_shown:
            click.echo(f"\r{self._label}: {_megabytes(self._bytes)}", err=True)

    def _count(self, size: int) -> None:
        before = self._bytes // _SHOWN_EVERY_BYTES
        self._bytes += size
        if self._is_shown and self._bytes // _SHOWN_EVERY_BYTES != before:
            click.echo(f"\r{self._label}: {_megabytes(self._bytes)}", nl=False, err=True)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Never over another file; on the disk when this ends, and not there at all if it fails."""
    try:
        file = path.open("xb")
    except FileExistsError as error:
        raise Refusal("FILE_EXISTS", f"{path} is there already: choose a new name.") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
