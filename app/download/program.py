"""The downloader program: takes commands, does one download or verification after another, says how it goes.

Knows the protocol and threads: one listens, one works. Does not know how files are fetched or compared. The end of
stdin ends it at once, whatever it is doing: what has arrived is safe on the disk.
"""

import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import BinaryIO

from app import connections
from app.download.control import Control
from app.download.errors import CancelledError, DownloadError
from app.download.fetch import Fetch
from app.download.hub import Hub, endpoint, token
from app.download.machine import surveyed
from app.download.progress import Progress
from app.download.verify import verified
from app.protocol import (
    CancelDownload,
    Download,
    DownloadCancelled,
    Downloaded,
    DownloaderEvent,
    DownloadFailed,
    Downloading,
    PauseDownload,
    ProtocolError,
    ResumeDownload,
    Survey,
    Verified,
    Verify,
    Verifying,
    decode,
    encode,
)

Job = Download | Verify
_FORBIDDEN = (
    "Getting models is switched off, so nothing was asked of the hub; switch it on under Connections in Parley's menu."
)


class Program:
    """The work, with its streams. `listen` is the listening thread's, `work` the working one's."""

    def __init__(self, commands: BinaryIO, events: BinaryIO) -> None:
        self._commands = commands
        self._events = events
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._controls: dict[str, Control] = {}

    def listen(self) -> None:
        """Take commands until there are no more, then end the process."""
        try:
            for line in self._commands:
                self._take(line)
        finally:
            if sys.exc_info()[0] is not None:
                traceback.print_exc()
            sys.stderr.flush()
            os._exit(0)

    def work(self) -> None:
        """Do jobs as they come, for ever."""
        while True:
            job = self._jobs.get()
            self._send(self._done(job))
            self._controls.pop(job.request, None)

    def _take(self, line: bytes) -> None:
        try:
            command = decode(line)
        except ProtocolError as error:
            print(f"downloader: {error}", file=sys.stderr, flush=True)  # noqa: T201 - its log
            return
        match command:
            case Download() | Verify():
                self._controls[command.request] = Control()
                self._jobs.put(command)
            case PauseDownload(request) if request in self._controls:
                self._controls[request].pause(paused=True)
            case ResumeDownload(request) if request in self._controls:
                self._controls[request].pause(paused=False)
            case Survey():  # not queued: what is asked while a page opens cannot wait for a download
                self._send(surveyed(command))
            case CancelDownload(request, discard) if request in self._controls:
                self._controls[request].cancel(discard=discard)

    def _done(self, job: Job) -> DownloaderEvent:
        """How a job ended."""
        try:
            return self._downloaded(job) if isinstance(job, Download) else self._verified(job)
        except CancelledError:
            return DownloadCancelled(job.request)
        except DownloadError as error:
            return DownloadFailed(job.request, error.kind, str(error), traceback.format_exc())
        except Exception as error:  # noqa: BLE001 - this program's one place that turns a defect into a sentence
            sentence = f"Something went wrong inside the downloader ({type(error).__name__}); try again."
            return DownloadFailed(job.request, "internal", sentence, traceback.format_exc())

    def _downloaded(self, job: Download) -> Downloaded:
        if not connections.allowed("models"):
            raise DownloadError("network", _FORBIDDEN)
        folder = Path(job.into)
        progress = Progress(job.request, self._send)
        fetch = Fetch(Hub(endpoint(), token()), folder, self._controls[job.request], progress)
        connections.made("models")
        try:
            manifest = fetch.run(job.repository, job.revision)
        finally:
            connections.made("models")
        return Downloaded(job.request, str(folder), manifest.commit, len(manifest.files), manifest.size)

    def _verified(self, job: Verify) -> Verified:
        folder = Path(job.folder)
        progress = Progress(job.request, self._say_verifying)
        manifest, problems = verified(folder, self._controls[job.request], progress, full=job.full)
        files, size = len(manifest.files), manifest.size
        return Verified(job.request, str(folder), manifest.repository, manifest.commit, files, size, problems)

    def _say_verifying(self, state: Downloading) -> None:
        self._send(Verifying(state.request, state.file, state.done, state.total))

    def _send(self, event: DownloaderEvent) -> None:
        """Write a line. If nobody reads any more, the end of stdin says so too."""
        try:
            self._events.write(encode(event))
            self._events.flush()
        except OSError:
            os._exit(0)


def serve() -> None:
    """Claim stdout for messages, then listen and work."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # no library's print can break the stream
    program = Program(sys.stdin.buffer, events)
    threading.Thread(target=program.listen, name="listen", daemon=True).start()
    program.work()
