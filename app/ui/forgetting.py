"""What is erased for good: on the disk, by the library, and in what the engine remembers, also if it does not run.

Knows: what the engine still has to hear. Does not know: who erases, or what is shown.
"""

from collections.abc import Iterable

from app import paths
from app.protocol import Forget
from app.ui.engine_process import EngineProcess
from app.ui.library import Library


class Forgetting:
    """Tells library and engine."""

    def __init__(self, engine: EngineProcess, library: Library) -> None:
        self._engine = engine
        self._library = library
        self._later: set[str] = set()

    def erase(self, keys: tuple[str, ...], *, engine_runs: bool) -> None:
        """Erase conversations; none means everything in the trash."""
        keys = keys or tuple(summary.key for summary in self._library.trashed())
        if engine_runs:
            self._forget(keys)
        else:
            self._later |= set(keys)
        if keys:
            self._library.erase(keys)

    def catch_up(self) -> None:
        """Have a fresh engine forget what was erased without it, and erase what has been in the trash for too long."""
        expired = self._library.expired()
        self._forget(self._later | set(expired))
        self._later.clear()
        if expired:
            self._library.erase(expired)

    def _forget(self, keys: Iterable[str]) -> None:
        cache = str(paths.cache_dir() / "engine")
        for key in keys:
            self._engine.send(Forget(key, cache))
