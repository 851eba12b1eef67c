"""Pictures of the pages about models and connections in every state, for whoever changes their look.

    python -m tests.ui.models_pictures FOLDER [STATE …]

What a computer has, and how far a download is, is put there by hand: a picture needs neither a GPU nor a hub.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtWidgets import QApplication

from app import settings
from app.models import recommended
from app.models.catalogue import Catalogue, Kept, save
from app.protocol import Surveyed
from app.settings import Settings, ThemeChoice
from app.ui.application import Face, prepare
from app.ui.connections_dialog import ConnectionsDialog
from app.ui.fetching import Arrival
from app.ui.leave_question import LeaveQuestion
from app.ui.model_desk import ModelDesk
from tests.ui.conftest import fake, until
from tests.ui.screenshots import NARROW, SMALL, WIDE, wait

GIB = 2**30
PLACE = "/home/ada/.local/share/parley/models"
GPU = Surveyed(
    request="",
    folder=PLACE,
    gpu="NVIDIA GeForce RTX 4090",
    driver="580.95.05",
    driverless=False,
    cuda=13_000,
    capability=89,
    gpu_total=24 * GIB,
    gpu_free=int(22.9 * GIB),
    memory_total=int(62.7 * GIB),
    memory_free=int(48.2 * GIB),
    disk_free=412 * 10**9,
)
NO_GPU = replace(GPU, gpu="", driver="", cuda=0, capability=0, gpu_total=0, gpu_free=0)
FULL_DISK = replace(GPU, disk_free=9 * 10**9, gpu_free=10 * GIB)
ARRIVAL = Arrival(
    stage="fetching",
    repository=recommended.REPOSITORY,
    folder=f"{PLACE}/{recommended.REPOSITORY}",
    file="model-00003-of-00004.safetensors",
    done=7_300_000_000,
    total=17_812_000_000,
    bytes_a_second=11.2e6,
    seconds_left=938.0,
)
HOLDS = (
    ("precision", recommended.PRECISION),
    ("stored", "17.81 GB in 4 files"),
    ("layers", "48 Gated DeltaNet, 16 full attention"),
    ("linears", "feed-forward 192 INT4; Gated DeltaNet 144 INT4 + 96 BF16; full attention 64 INT8; output 1 FP16"),
    ("EoRA", "400 linears, rank 64, beside the weights"),
    ("vision", "27 layers, patches of 16 pixels"),
    ("MTP", "none"),
    ("template", "its own"),
    ("context", "262,144 tokens"),
)


class Studio:
    """Makes a window with the page in it, and a picture."""

    def __init__(self, app: QApplication, folder: Path, home: Path) -> None:
        self.app, self.folder = app, folder
        self.here, self.gone = home / "Qwen3.5-27B", home / "gone"
        self.here.mkdir()

    def page(self, theme: ThemeChoice, size: tuple[int, int], found: Surveyed = GPU, *, first: bool = False) -> Face:
        now = time.time()
        mine = Kept(
            str(self.here),
            recommended.NAME,
            "",
            recommended.PRECISION,
            17_812_000_000,
            used_at=now - 3 * 86_400,
            checked_at=now,
            sizes=recommended.SIZES,
        )
        gone = Kept(str(self.gone), "Qwen3.5-9B-GPTQ", "a/b", "INT4 · EoRA 32", 6_100_000_000, now - 9 * 86_400)
        save(Catalogue(() if first else (mine, gone)))
        settings.save(replace(Settings(), welcomed=not first, theme=theme))
        face = Face(self.app, fake("fake_engine", "--demo"), fake("fake_decoder"))
        face.window.resize(*size)
        face.show()
        until(lambda: face.ready)
        desk: ModelDesk = face.window.models
        if not first:
            desk.open()
        until(lambda: desk.found is not None)
        wait(300)
        desk._on_surveyed(found)
        return face

    def fetching(self, theme: ThemeChoice, size: tuple[int, int], arrival: Arrival) -> Face:
        face = self.page(theme, size)
        face.window.models.fetching._set(arrival)
        face.window.models.open()
        return face

    def take(self, face: Face, name: str) -> None:
        wait(150)
        dialogs = [each for each in (*face.window.findChildren(ConnectionsDialog),) if each.isVisible()]
        shown = dialogs[0] if dialogs else face.window
        shown.grab().save(str(self.folder / f"{name}.png"))
        for question in face.window.findChildren(LeaveQuestion):
            question.grab().save(str(self.folder / f"{name}_question.png"))
        face.close()
        face.window.close()


def first(studio: Studio) -> Face:
    return studio.page("light", WIDE, first=True)


def first_dark(studio: Studio) -> Face:
    return studio.page("dark", WIDE, NO_GPU, first=True)


def first_narrow(studio: Studio) -> Face:
    return studio.page("light", NARROW, FULL_DISK, first=True)


def first_small(studio: Studio) -> Face:
    return studio.page("dark", SMALL, first=True)


def models(studio: Studio) -> Face:
    return studio.page("light", WIDE)


def models_small(studio: Studio) -> Face:
    return studio.page("dark", SMALL)


def fetching(studio: Studio) -> Face:
    return studio.fetching("light", WIDE, ARRIVAL)


def stalled(studio: Studio) -> Face:
    note = "Nothing has come for 12 seconds."
    return studio.fetching("dark", NARROW, replace(ARRIVAL, stage="stalled", note=note, bytes_a_second=0.0))


def failed(studio: Studio) -> Face:
    note = f"The disk of {PLACE} is full; make room and start again: what has arrived is kept."
    return studio.fetching("light", SMALL, replace(ARRIVAL, stage="failed", note=note, bytes_a_second=0.0))


def arrived(studio: Studio) -> Face:
    return studio.fetching("dark", WIDE, replace(ARRIVAL, stage="arrived", done=ARRIVAL.total, files=14))


def leaving(studio: Studio) -> Face:
    face = studio.fetching("light", NARROW, ARRIVAL)
    face.window.close()
    return face


def removing(studio: Studio) -> Face:
    face = studio.page("light", NARROW)
    face.window.models.page.rows[str(studio.here)].remove.trigger()
    return face


def contents(studio: Studio) -> Face:
    face = studio.page("dark", WIDE)
    face.window.models.page.rows[str(studio.here)].show_contents(HOLDS, ("It is quantized without EoRA.",))
    return face


def another(studio: Studio) -> Face:
    face = studio.page("light", WIDE)
    face.window.models.page.offer.another.click()
    face.window.models.page.offer.other.setText("somebody/Tiny-Qwen3.5")
    return face


def connections_light(studio: Studio) -> Face:
    face = studio.page("light", WIDE)
    face.window.models.open_connections()
    return face


def connections_dark(studio: Studio) -> Face:
    face = studio.page("dark", WIDE)
    face.window.models.open_connections()
    return face


STATES: tuple[Callable[[Studio], Face], ...] = (
    first,
    first_dark,
    first_narrow,
    first_small,
    models,
    models_small,
    fetching,
    stalled,
    failed,
    arrived,
    leaving,
    removing,
    contents,
    another,
    connections_light,
    connections_dark,
)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    app = QApplication([])
    prepare(app)
    for state in STATES:
        if state.__name__ in (sys.argv[2:] or state.__name__):
            with tempfile.TemporaryDirectory() as home:
                os.environ["PARLEY_HOME"] = str(Path(home) / "home")
                studio = Studio(app, folder, Path(home))
                studio.take(state(studio), state.__name__)


if __name__ == "__main__":
    main()
