"""One download of a model: what the downloader says of it, and what the person may do about it.

Knows the downloader's messages and how it is started. Does not know how it looks, or what is kept of it. The access
token reaches the process through its environment, as in a terminal, so that it is in no message, file or log.
"""

from dataclasses import dataclass, replace
from typing import Literal

from PySide6.QtCore import QObject, Signal, Slot

from app import paths
from app.models.catalogue import Unfinished
from app.programs import Program
from app.protocol import (
    CancelDownload,
    Download,
    DownloadCancelled,
    Downloaded,
    DownloadFailed,
    Downloading,
    DownloadStage,
    PauseDownload,
    ResumeDownload,
)
from app.ui.line_process import LineProcess

Stage = Literal["none", "failed", "arrived", "cancelling"] | DownloadStage
_REQUEST = "download"
_ENDED = "The download stopped: {}. What has arrived is kept; press Go on."


@dataclass(frozen=True, slots=True)
class Arrival:
    """How far the download is. `stage` is the downloader's, or "none", "cancelling", "failed" with a sentence in
    `note`, "arrived" with a count of `files`. Paused, it may have no process at all: then it goes on with a new one."""

    stage: Stage = "none"
    repository: str = ""
    folder: str = ""
    revision: str = ""
    file: str = ""
    done: int = 0
    total: int = 0
    bytes_a_second: float = 0.0
    seconds_left: float = 0.0
    note: str = ""
    files: int = 0

    @property
    def under_way(self) -> bool:
        """Whether bytes come, or would if the line were better."""
        return self.stage in {"listing", "checking", "fetching", "waiting", "stalled"}

    @property
    def unfinished(self) -> Unfinished | None:
        """What has to be known to go on another day; None if there is nothing to go on with."""
        if self.stage in {"none", "arrived", "cancelling"}:
            return None
        paused = not self.under_way
        return Unfinished(self.repository, self.folder, self.revision, paused, self.done, self.total)


class Fetching(QObject):
    """Emits `changed` for every step, and `arrived` once with the folder when all of it is there and right."""

    changed = Signal()
    arrived = Signal(str)

    def __init__(self, downloader: Program, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.now = Arrival()
        self.proxy = ""
        self.token = ""
        self._lines = LineProcess(downloader, paths.log_dir() / "download.log", self)
        self._lines.received.connect(self._on_received)
        self._lines.ended.connect(self._on_ended)

    def begin(self, repository: str, folder: str, revision: str = "") -> None:
        """Fetch a repository into a folder, or go on with it; there is one download at a time."""
        self._set(Arrival("listing", repository, folder, revision))
        self._start()

    def remember(self, unfinished: Unfinished) -> None:
        """Take up what was left the last time: go on with it, or show it paused."""
        left = unfinished
        stage: Stage = "paused" if left.paused else "listing"
        self._set(Arrival(stage, left.repository, left.folder, left.revision, done=left.done, total=left.total))
        if not left.paused:
            self._start()

    @Slot()
    def pause(self) -> None:
        """Let go of the line."""
        self._lines.send(PauseDownload(_REQUEST))

    @Slot()
    def go_on(self) -> None:
        """Go on with what is paused or has failed."""
        self._set(replace(self.now, stage="listing", note="", bytes_a_second=0.0))
        if self._lines.running:
            self._lines.send(ResumeDownload(_REQUEST))
        else:
            self._start()

    @Slot()
    def cancel(self) -> None:
        """End it and take away what has arrived."""
        if not self._lines.running and not self.now.total:  # it never came to anything
            self._set(Arrival())
            return
        self._set(replace(self.now, stage="cancelling"))
        if not self._lines.running:
            self._start()
        self._lines.send(CancelDownload(_REQUEST, discard=True))

    def halt(self) -> None:
        """End the line and its process at once; a new process asks anew whether it may connect."""
        if self._lines.running:
            self._lines.stop()
            self._set(replace(self.now, stage="paused", note="", bytes_a_second=0.0))

    @Slot()
    def dismiss(self) -> None:
        """What arrived, or failed, was taken note of."""
        self._lines.stop()
        self._set(Arrival())

    def close(self) -> None:
        """End the process; what has arrived is safe."""
        self._lines.close()

    def _start(self) -> None:
        environment = {name: self.proxy for name in ("http_proxy", "https_proxy") if self.proxy}
        if self.token:
            environment["HF_TOKEN"] = self.token
        self._lines.start(environment)
        self._lines.send(Download(_REQUEST, self.now.repository, self.now.folder, self.now.revision))

    def _set(self, now: Arrival) -> None:
        self.now = now
        self.changed.emit()

    @Slot(object)
    def _on_received(self, event: object) -> None:
        match event:
            case Downloading() if self.now.stage != "cancelling":
                self._set(_advanced(self.now, event))
            case Downloaded():
                self._lines.stop()
                self._set(replace(self.now, stage="arrived", done=event.size, total=event.size, files=event.files))
                self.arrived.emit(event.folder)
            case DownloadCancelled():
                self._lines.stop()
                self._set(Arrival())
            case DownloadFailed(kind="network" | "repository" | "folder") if self.now.stage == "cancelling":
                self._lines.stop()  # nobody minds any more
                self._set(Arrival())
            case DownloadFailed():
                self._lines.stop()
                self._set(replace(self.now, stage="failed", note=event.message, bytes_a_second=0.0))

    @Slot(str)
    def _on_ended(self, reason: str) -> None:
        self._set(replace(self.now, stage="failed", note=_ENDED.format(reason), bytes_a_second=0.0))


def _advanced(now: Arrival, said: Downloading) -> Arrival:
    """With what the downloader said; while it asks for the list, what was known of the sizes stays."""
    total = said.total or now.total
    return replace(
        now,
        stage=said.stage,
        file=said.file,
        done=said.done if said.total else now.done,
        total=total,
        bytes_a_second=said.bytes_a_second,
        seconds_left=said.seconds_left,
        note=said.note,
    )
