"""The models on this computer: which there are, whether their files are right, what they hold; switched and removed.

Knows the list that is kept and what each intent of a row leads to. Does not know downloads, nor how a model is loaded:
it says which one is wanted.
"""

import time
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QFile, QObject, QUrl, Signal, Slot
from PySide6.QtGui import QDesktopServices

from app.models import catalogue
from app.models.catalogue import Catalogue, Kept, kept_name
from app.models.fit import context_that_fits
from app.programs import Program
from app.protocol import Surveyed, Verified
from app.ui import figures
from app.ui.clerk import Clerk
from app.ui.contents_reader import ContentsReader
from app.ui.inspection import Found
from app.ui.model_row import Listed, ModelRow
from app.ui.model_words import GONE, UNRECORDED, checked_words, demo_row, details, way_out
from app.ui.session import Session
from app.ui.state import LoadingModel, Ready, State

READING = "Reading what it holds…"
COMPLETE = "Every file was compared as it arrived, and is as the hub has it."
COMPARING = "Comparing its files with the hub's record: {} %"


class ModelList(QObject):
    """Emits `changed` when something is to be shown anew, `wanted` with the folder of a model to be loaded (none for
    the demo model), `repair_wanted` with repository and folder, `find_wanted` with the folder that is gone,
    `contents_found` with a folder and what it holds, and sentences: `told`, or `warned` if they are no good news."""

    changed = Signal()
    wanted = Signal(str)
    repair_wanted = Signal(str, str)
    find_wanted = Signal(str)
    contents_found = Signal(str, object)
    told = Signal(str)
    warned = Signal(str)

    def __init__(self, session: Session, clerk: Clerk, engine: Program, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.catalogue = catalogue.load()
        self.reader = ContentsReader(engine, self)
        self._session, self._clerk = session, clerk
        self._states: dict[str, tuple[str, bool]] = {}
        self._broken: set[str] = set()
        self._full: set[str] = set()
        self._to_unfold: set[str] = set()
        self._loading = False
        session.state_changed.connect(self._on_state_changed)
        clerk.checking.connect(self._on_checking)
        clerk.checked.connect(self._on_checked)
        clerk.refused.connect(self._on_check_refused)
        clerk.given_up.connect(self._on_check_given_up)
        self.reader.found.connect(self._on_contents_found)
        self.reader.refused.connect(self._on_contents_refused)

    def begin(self) -> None:
        """Compare what has a record with it: wholly what never was, else by size and time; the model in use first."""
        self._remember_in_use(used=False)
        for model in sorted(self.catalogue.models, key=self._in_use, reverse=True):
            if model.recorded:
                self.check(model.folder, full=model.checked_at == 0)

    def keep(self, changed: Catalogue) -> None:
        """Take this as the list, and save it."""
        if changed == self.catalogue:
            return
        self.catalogue = changed
        try:
            catalogue.save(changed)
        except OSError as error:
            self.warned.emit(
                f"The list of models could not be saved ({error.strerror}): see that Parley may write to "
                f"{catalogue.catalogue_file().parent} and that the disk has room."
            )
        self.changed.emit()

    def arrived(self, folder: str, repository: str, size: int) -> None:
        """A model was fetched into a folder, every file compared."""
        before = self.catalogue.get(folder) or Kept(folder, kept_name(Path(folder), repository))
        self._states[folder] = (COMPLETE, False)
        self._broken.discard(folder)
        model = replace(before, repository=repository, size=size, checked_at=time.time())
        self.keep(replace(self.catalogue.with_model(model), unfinished=None))
        self.reader.read(folder)

    @Slot(str, str)
    def moved(self, gone: str, folder: str) -> None:
        """A folder that was gone is here now."""
        model = self.catalogue.get(gone)
        if model is None:
            return
        in_use, here = self._in_use(model), replace(model, folder=folder, checked_at=0.0)
        self.keep(self.catalogue.without(gone).with_model(here))
        if in_use:
            self.wanted.emit(folder)
        if here.recorded:
            self.check(folder, full=True)

    def check(self, folder: str, *, full: bool) -> None:
        """Compare a folder with its record."""
        self._full |= {folder} if full else set()
        self._clerk.check(folder, full=full)
        self.changed.emit()

    def rows(self, found: Surveyed | None, own: int) -> list[Listed]:
        """The list as it is shown, the last used first. `own` bytes of the GPU are the loaded model's."""
        models = sorted(self.catalogue.models, key=_last_used)
        rows = [self._row(model, found, own) for model in models]
        return [*rows, demo_row(in_use=not self._session.settings.model)]

    def _row(self, model: Kept, found: Surveyed | None, own: int) -> Listed:
        in_use, there, recorded = self._in_use(model), model.there, model.recorded
        sizes = model.in_bytes if self._session.settings.kv_bits == 8 else model.sizes
        tokens = context_that_fits(found, sizes, own) if found is not None and found.gpu and sizes is not None else None
        state, bad = self._states.get(model.folder, ("" if recorded else UNRECORDED, False))
        return Listed(
            folder=model.folder,
            name=model.name,
            details=details(model, tokens, in_use=in_use),
            state=state if there else GONE.format(model.folder),
            bad=bad or not there,
            in_use=in_use,
            there=there,
            recorded=recorded,
            repairable=there and model.folder in self._broken,
            checking=model.folder in self._clerk.checks.values(),
            size=model.size,
        )

    def _in_use(self, model: Kept) -> bool:
        return model.folder == self._session.settings.model

    # ---- what is used ----------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_state_changed(self, state: State) -> None:
        if isinstance(state, Ready) and self._loading:
            self._remember_in_use(used=True)
        self._loading = isinstance(state, LoadingModel)

    def _remember_in_use(self, *, used: bool) -> None:
        """Keep the model that the settings name; a folder belongs into the list once a model was loaded from it."""
        folder = self._session.settings.model
        model = self.catalogue.get(folder) if folder else None
        if folder and (model is not None or used):
            model = model or Kept(folder, kept_name(Path(folder)))
            self.keep(self.catalogue.with_model(replace(model, used_at=time.time() if used else model.used_at)))
            if used and model.sizes is None:
                self.reader.read(folder)
        self.changed.emit()

    # ---- what a row wants ------------------------------------------------------------------------------------------

    @Slot(object)
    def connect_row(self, row: ModelRow) -> None:
        """Do what a row wants."""
        row.use_requested.connect(self._on_use_requested)
        row.check_requested.connect(self._on_check_requested)
        row.give_up_requested.connect(self._clerk.give_up)
        row.repair_requested.connect(self._on_repair_requested)
        row.contents_requested.connect(self._on_contents_requested)
        row.reveal_requested.connect(self._on_reveal_requested)
        row.find_requested.connect(self.find_wanted)
        row.trash_requested.connect(self._on_trash_requested)
        row.forget_requested.connect(self._on_forget_requested)

    @Slot(str)
    def _on_use_requested(self, folder: str) -> None:
        if folder in self._broken:
            self.warned.emit(f"It is not used as it is. {self._states[folder][0]}")
            return
        self.wanted.emit(folder)
        model = self.catalogue.get(folder)
        if model is not None and model.recorded:
            self.check(folder, full=False)
        self.changed.emit()

    @Slot(str)
    def _on_check_requested(self, folder: str) -> None:
        self.check(folder, full=True)

    @Slot(str)
    def _on_repair_requested(self, folder: str) -> None:
        model = self.catalogue.get(folder)
        if model is not None:
            self.repair_wanted.emit(model.repository, folder)

    @Slot(str)
    def _on_contents_requested(self, folder: str) -> None:
        self._to_unfold.add(folder)
        self._states[folder] = (READING, False)
        self.reader.read(folder)
        self.changed.emit()

    @Slot(str)
    def _on_reveal_requested(self, folder: str) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(folder)):
            self.warned.emit(f"No file manager answered; the folder is {folder}.")

    @Slot(str)
    def _on_trash_requested(self, folder: str) -> None:
        self._let_go(folder)
        if not put_into_trash(folder):
            self.warned.emit(
                f"{folder} could not be moved to the trash; delete it in the file manager, or see that Parley may "
                "write to where it lies."
            )
            return
        model = self.catalogue.get(folder)
        self.keep(self.catalogue.without(folder))
        if model is not None:
            freed = f" Emptying the trash frees {figures.size(model.size)}." if model.size else ""
            self.told.emit(f"{model.name} is in the trash.{freed}")

    @Slot(str)
    def _on_forget_requested(self, folder: str) -> None:
        self._let_go(folder)
        self.keep(self.catalogue.without(folder))

    def _let_go(self, folder: str) -> None:
        """Nothing of ours uses the folder any more."""
        self._clerk.give_up(folder)
        if folder == self._session.settings.model:
            self.wanted.emit("")

    # ---- what was found --------------------------------------------------------------------------------------------

    @Slot(str, int, int)
    def _on_checking(self, folder: str, done: int, total: int) -> None:
        self._states[folder] = (COMPARING.format(100 * done // total if total else 0), False)
        self.changed.emit()

    @Slot(str, object)
    def _on_checked(self, folder: str, found: Verified) -> None:
        model = self.catalogue.get(folder)
        whole = folder in self._full
        self._full.discard(folder)
        self._broken.discard(folder)
        if model is None:
            return
        if whole and not found.problems:
            model = replace(model, checked_at=time.time())
        self._states[folder] = checked_words(found, model.checked_at)
        if found.problems:
            self._broken.add(folder)
            if self._in_use(model):
                self.wanted.emit("")
                self.warned.emit(f"{model.name} is not used: {found.problems[0].message} {way_out(found)}")
        self.keep(self.catalogue.with_model(replace(model, repository=found.repository)))
        self.changed.emit()

    @Slot(str, str)
    def _on_check_refused(self, folder: str, sentence: str) -> None:
        self._full.discard(folder)
        self._states[folder] = (sentence, True)
        self.changed.emit()

    @Slot(str)
    def _on_check_given_up(self, folder: str) -> None:
        self._full.discard(folder)
        self._states.pop(folder, None)
        self.changed.emit()

    @Slot(str, object)
    def _on_contents_found(self, folder: str, found: Found) -> None:
        if folder in self._to_unfold:
            self._to_unfold.discard(folder)
            self._states.pop(folder, None)
            self.contents_found.emit(folder, found)
        model = self.catalogue.get(folder)
        if model is not None:
            name = model.name if model.repository else found.model
            size = model.size or found.size
            read = replace(model, name=name, precision=found.precision, size=size)
            read = replace(read, sizes=found.sizes, in_bytes=found.in_bytes)
            self.keep(self.catalogue.with_model(read))
        self.changed.emit()

    @Slot(str, str)
    def _on_contents_refused(self, folder: str, sentence: str) -> None:
        self._to_unfold.discard(folder)
        self._states[folder] = (sentence, True)
        self.changed.emit()


def put_into_trash(folder: str) -> bool:
    """Move a folder to the desktop's trash, which is a change of its name there; whether that could be done."""
    return bool(QFile.moveToTrash(folder))


def _last_used(model: Kept) -> float:
    return -model.used_at
