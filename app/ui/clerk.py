"""Asks the downloader's program short questions: what this computer has, whether a model's folder is as it should be.

A process of its own beside that of a download, so that neither waits for the other. Knows the messages; does not know
what is made of the answers.
"""

import uuid

from PySide6.QtCore import QObject, Signal, Slot

from app import paths
from app.programs import Program
from app.protocol import (
    CancelDownload,
    DownloadCancelled,
    DownloadFailed,
    Survey,
    Surveyed,
    Verified,
    Verify,
    Verifying,
)
from app.ui.line_process import LineProcess

_ENDED = "The folder could not be checked: {}. Try it again."
_UNSEEN = "What this computer has could not be found out: {}. Open this page again to try once more."


class Clerk(QObject):
    """Emits `surveyed`, or `unseen` with a sentence; and of a check, by its folder: `checking` with bytes of bytes,
    then one of `checked`, `refused` with a sentence, `given_up`."""

    surveyed = Signal(object)
    unseen = Signal(str)
    checking = Signal(str, int, int)
    checked = Signal(str, object)
    refused = Signal(str, str)
    given_up = Signal(str)

    def __init__(self, downloader: Program, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.checks: dict[str, str] = {}
        """The folders that are being checked, by their requests."""
        self._surveying = False
        self._lines = LineProcess(downloader, paths.log_dir() / "check.log", self)
        self._lines.received.connect(self._on_received)
        self._lines.ended.connect(self._on_ended)

    def survey(self, folder: str) -> None:
        """Ask what there is, and how much room on the folder's disk."""
        self._surveying = True
        self._running().send(Survey(uuid.uuid4().hex, folder))

    def check(self, folder: str, *, full: bool) -> None:
        """Have a folder compared with its record, once at a time."""
        if folder in self.checks.values():
            return
        request = uuid.uuid4().hex
        self.checks[request] = folder
        self._running().send(Verify(request, folder, full=full))

    def give_up(self, folder: str) -> None:
        """Want no more of a check."""
        for request, checked in self.checks.items():
            if checked == folder:
                self._lines.send(CancelDownload(request))

    def close(self) -> None:
        """End it for good, with the window."""
        self._lines.close()

    def _running(self) -> LineProcess:
        if not self._lines.running:
            self._lines.start()
        return self._lines

    @Slot(object)
    def _on_received(self, event: object) -> None:
        match event:
            case Surveyed():
                self._surveying = False
                self.surveyed.emit(event)
            case Verifying(request=request) if request in self.checks:
                self.checking.emit(self.checks[request], event.done, event.total)
            case Verified(request=request) if request in self.checks:
                self.checked.emit(self.checks.pop(request), event)
            case DownloadFailed(request=request) if request in self.checks:
                self.refused.emit(self.checks.pop(request), event.message)
            case DownloadCancelled(request=request) if request in self.checks:
                self.given_up.emit(self.checks.pop(request))

    @Slot(str)
    def _on_ended(self, reason: str) -> None:
        lost, self.checks = self.checks, {}
        if self._surveying:
            self._surveying = False
            self.unseen.emit(_UNSEEN.format(reason))
        for folder in lost.values():
            self.refused.emit(folder, _ENDED.format(reason))
