"""The account as a file: taken up when the server starts, put away when it ends."""

import asyncio
import pickle
from pathlib import Path

from sandbox.stripe.world import World

OTHERS_MAY_WRITE = 0o022
ONLY_OURS = 0o600


class SnapshotFile:
    """A file that holds one account. It is pickled: who can write the file can run code here, so
    only its owner may be able to.
    """

    keeps_on_ticks = False  # an account of tens of thousands takes seconds to write

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self) -> World | None:
        """The account as it was put away; None when there is no file yet.

        Raises `PermissionError` for a file that others may write, `ValueError` for one that holds
        something else.
        """
        if not self._path.exists():
            return None
        if self._path.stat().st_mode & OTHERS_MAY_WRITE:
            raise PermissionError(f"{self._path} can be written by others than its owner.")
        try:
            world = pickle.loads(self._path.read_bytes())  # noqa: S301 - checked just above
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError):
            world = None
        if isinstance(world, World):
            return world
        raise ValueError(f"{self._path} holds no account of the fake Stripe.")

    async def keep(self, world: World) -> None:
        """Write all of it beside the old file, and then in its place."""
        await asyncio.to_thread(self._write, pickle.dumps(world))

    def _write(self, account: bytes) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.unlink(missing_ok=True)
        beside.touch(ONLY_OURS, exist_ok=False)
        beside.write_bytes(account)
        beside.replace(self._path)
