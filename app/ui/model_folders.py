"""Asks for the folders of models: where they are kept, one that the person has, one that was moved. Knows dialogs."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QFileDialog, QWidget


class ModelFolders(QObject):
    """Emits what was chosen; `moved` with the folder that is gone first."""

    place_chosen = Signal(str)
    own_chosen = Signal(str)
    moved = Signal(str, str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window

    def ask_place(self, now: Path) -> None:
        """Where shall models be kept?"""
        self._ask("Choose where models are kept", now, self.place_chosen.emit)

    def ask_own(self, near: Path) -> None:
        """Which folder holds a model?"""
        self._ask("Choose the folder of a model", near, self.own_chosen.emit)

    def ask_gone(self, gone: str, near: Path) -> None:
        """Where is a folder now that was at `gone`?"""
        self._ask("Where is the folder now?", near, self._on_found, gone)

    def _ask(self, title: str, near: Path, chosen: Callable[[str], None], gone: str = "") -> None:
        dialog = QFileDialog(self._window, title, str(near) if near.is_dir() else "")
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setProperty("gone", gone)
        dialog.fileSelected.connect(chosen)
        dialog.open()

    @Slot(str)
    def _on_found(self, folder: str) -> None:
        dialog = self.sender()
        if dialog is not None:
            self.moved.emit(str(dialog.property("gone")), folder)
