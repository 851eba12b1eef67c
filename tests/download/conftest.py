"""What the tests of downloading share: a hub without a proxy before it, and a download that has little patience."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.download import fetch
from app.download.control import Control
from app.download.fetch import Fetch
from app.download.hub import Hub as Client
from app.download.manifest import Manifest
from app.download.progress import Progress
from app.download.transfer import Patience
from app.protocol import Downloading
from tests.download.hub import REPOSITORY, Hub, running, tiny

QUICK = Patience(look=0.02, stalled=0.05, silent=0.3, attempts=3, first_wait=0.01, longest_wait=0.02, longest_asked=5.0)

_DRAW = random.Random(7)  # noqa: S311 - any bytes will do, and always the same
WEIGHTS = {f"model-{n}-of-2.safetensors": _DRAW.randbytes(3 * 2**20 + n) for n in (1, 2)}

Bring = Callable[..., Manifest]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in {"HF_TOKEN", "HF_ENDPOINT"}:
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(tiny(WEIGHTS)) as hub:
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "tiny"


@pytest.fixture
def said() -> list[Downloading]:
    return []


@pytest.fixture
def bring(hub: Hub, folder: Path, said: list[Downloading], monkeypatch: pytest.MonkeyPatch) -> Bring:
    """Runs a download to its end; options are those of the pieces that it is made of."""
    monkeypatch.setattr(fetch, "ROOM", 0)

    def run(
        *,
        into: Path = folder,
        repository: str = REPOSITORY,
        revision: str = "",
        token: str = "",
        control: Control | None = None,
        heard: Callable[[Downloading], None] = said.append,
        patience: Patience = QUICK,
    ) -> Manifest:
        client = Client(hub.address, token)
        progress = Progress("1", heard)
        return Fetch(client, into, control or Control(), progress, patience=patience).run(repository, revision)

    return run
