"""`parley download` and `parley verify` from their options to their exit status.

Knows: the downloader's messages, terminals, what each outcome is called for a shell. Does not know: the hub, files.
"""

import json
import shutil
import sys

from app import paths
from app.ask.child import Child
from app.ask.refusal import BAD_INPUT, FAILURE, AskError
from app.download.arguments import DownloadOptions, VerifyOptions
from app.protocol import (
    Download,
    Downloaded,
    DownloadFailed,
    Downloading,
    Message,
    Verified,
    Verify,
    Verifying,
    to_plain,
)

_INTERRUPTED = 130
"""What shells call a program that was ended by Ctrl+C."""
_SILENCE_SECONDS = 120.0
"""A slow disk may keep the downloader waiting for a while."""
_CLEAR = "\r\x1b[K"
_REQUEST = "1"


def download(options: DownloadOptions) -> int:
    """Fetch a model; the exit status. Its folder goes to stdout."""
    name = options.repository.strip("/").split("/")[-2:]  # also of an address that was pasted
    folder = (options.to or paths.models_dir().joinpath(*name)).absolute()
    status = _told(Download(_REQUEST, options.repository, str(folder), options.revision))
    if status == _INTERRUPTED:
        sys.stderr.write("Stopped; give the same command again to go on.\n")
    return status


def verify(options: VerifyOptions) -> int:
    """Compare a folder with its record; the exit status is that of a failure if anything is wrong."""
    return _told(Verify(_REQUEST, str(options.folder.absolute()), full=True), as_json=options.json)


def _told(command: Download | Verify, *, as_json: bool = False) -> int:
    """Have the downloader do something, and show how it goes; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    downloader = None
    try:
        downloader = Child("downloader")
        downloader.send(command)
        while True:
            event = downloader.receive(_SILENCE_SECONDS)
            status = _heard(event, as_json=as_json)
            if status is not None:
                return status
    except AskError as error:
        _clear()
        sys.stderr.write(f"{error}\n")
        return error.status
    except KeyboardInterrupt:
        _clear()
        return _INTERRUPTED
    finally:
        if downloader is not None:
            downloader.close()


def _heard(event: Message, *, as_json: bool) -> int | None:
    """Show an event; the exit status if it is the last. Raises `AskError` for a failure."""
    match event:
        case Downloading():
            _show(_line(event))
        case Verifying(file=file, done=done, total=total):
            _show(f"{_share(done, total)} · checking {file}")
        case Downloaded(folder=folder, files=files, size=size):
            _clear()
            sys.stderr.write(f"{files} files, {_size(size)}, all as the hub has them.\n")
            print(folder, flush=True)  # noqa: T201 - what was asked for
            return 0
        case Verified():
            _clear()
            print(_json(event) if as_json else _report(event), flush=True)  # noqa: T201 - what was asked for
            return FAILURE if event.problems else 0
        case DownloadFailed(kind=kind, message=message):
            raise AskError(message, BAD_INPUT if kind in {"repository", "folder"} else FAILURE)
    return None


def _line(event: Downloading) -> str:
    """A state of a download on one line."""
    if event.stage == "listing":
        return "Asking the hub which files there are"
    parts = [f"{_size(event.done)} of {_size(event.total)}"] if event.total else []
    if event.stage == "fetching" and event.bytes_a_second:
        parts += [f"{_size(event.bytes_a_second)}/s", f"{_duration(event.seconds_left)} left"]
    parts.append(event.note or (f"checking {event.file}" if event.stage == "checking" else event.file))
    return " · ".join(part for part in parts if part)


def _report(found: Verified) -> str:
    if not found.problems:
        files = f"All {found.files} files ({_size(found.size)})"
        return f"{files} are those of {found.repository} at {found.commit[:8]}."
    lines = [problem.message for problem in found.problems]
    kinds = {problem.kind for problem in found.problems}
    if "foreign" in kinds:
        lines.append("Remove what does not belong there.")
    if kinds - {"foreign"}:
        where = f"parley download {found.repository} --revision {found.commit} --to '{found.folder}'"
        lines.append(f"Repair it with: {where}")
    return "\n".join(lines)


def _json(found: Verified) -> str:
    plain = {name: value for name, value in to_plain(found).items() if name not in {"type", "request"}}
    for problem in plain["problems"]:
        del problem["type"]
    return json.dumps({"right": not found.problems, **plain}, ensure_ascii=False)


def _share(done: int, total: int) -> str:
    return f"{100 * done // total} %" if total else "0 %"


def _size(count: float) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _show(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{_CLEAR}{text[: _width()]}")
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()


def _width() -> int:
    return max(20, shutil.get_terminal_size().columns - 1)
