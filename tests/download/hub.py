"""A hub on this machine, and the storage to which it sends for large files: both can be told to fail in every way.

It answers as the Hugging Face Hub does: a listing with sizes and digests, addresses that hold the commit, small files
from the hub itself after a redirect within it, large ones from another port after a redirect there, byte ranges.
"""

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from app import paths

REPOSITORY = "somebody/Tiny-Qwen3.5"
COMMIT = "c0ffee" + "0" * 34
BRANCHES = {"main": COMMIT}
BLOCK = 64 * 2**10


@dataclass
class Fault:
    """What one answer does wrong. `after`: bytes of the body that are still sent before it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: int | None = None
    hang: bool = False
    flip: bool = False
    whole: bool = False


class Hub:
    """The files of one repository, what shall go wrong with each, and what was asked and sent."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.asked: list[tuple[str, int]] = []
        self.sent: dict[str, int] = defaultdict(int)
        self.headers: list[tuple[str, dict[str, str]]] = []
        self.listing: dict[str, Any] | None = None
        self.token = ""
        self.released = threading.Event()
        self.pace: float = 0.0
        """Seconds that every block takes, at most: for the bench."""
        self.bytes_lock = threading.Lock()
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in self._handlers()]
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def storage_address(self) -> str:
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def _handlers(self) -> list[type[BaseHTTPRequestHandler]]:
        return [type("Handler", (_Handler,), {"hub": self, "storage": storage}) for storage in (False, True)]

    def close(self) -> None:
        self.released.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def fail(self, name: str, *faults: Fault) -> None:
        """The next answers for a file (or "listing") do this wrong, one after another."""
        self.faults[name] += faults

    def plain_listing(self) -> dict[str, Any]:
        """The listing as the hub's interface has it."""
        return self.listing or {
            "id": REPOSITORY,
            "sha": COMMIT,
            "siblings": [listed(*item) for item in self.files.items()],
        }

    def fetched(self, name: str) -> list[int]:
        """From which bytes a file's content was asked for, in order."""
        return [begin for asked, begin in self.asked if asked == name]


def is_large(name: str) -> bool:
    return name.endswith(".safetensors")


def listed(name: str, content: bytes) -> dict[str, Any]:
    """One file of the listing."""
    git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    plain: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git}
    if is_large(name):
        digest = hashlib.sha256(content).hexdigest()
        plain["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 135}
    return plain


def tiny(weights: dict[str, bytes]) -> dict[str, bytes]:
    """A repository that describes a model of this architecture, with any bytes for weights."""
    demo = paths.demo_model_dir()
    names = ("config.json", "generation_config.json", "tokenizer.json", "README.md")
    return {name: (demo / name).read_bytes() for name in names} | {".gitattributes": b"*"} | weights


@contextmanager
def running(files: dict[str, bytes]) -> Iterator[Hub]:
    hub = Hub(files)
    try:
        yield hub
    finally:
        hub.close()


class _Handler(BaseHTTPRequestHandler):
    """Answers for the hub, or for its storage."""

    hub: Hub
    storage: bool
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return

    def do_GET(self) -> None:
        self.close_connection = True
        path = unquote(urlsplit(self.path).path)
        self.hub.headers.append((path, dict(self.headers)))
        with suppress(ConnectionError):
            if self.hub.token and not self.storage and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
                self._plain(401, b"Access is restricted")
            elif self.storage:
                self._content(path.removeprefix("/blob/"))
            elif path.startswith("/api/models/"):
                self._listing(path)
            elif path.startswith("/cache/"):
                self._content(path.removeprefix("/cache/"))
            else:
                self._resolve(path)

    def _listing(self, path: str) -> None:
        fault = self._fault("listing")
        repository, revision = path.removeprefix("/api/models/").split("/revision/")
        known = repository == REPOSITORY and BRANCHES.get(revision, revision) == COMMIT
        if fault.status:
            self._plain(fault.status, fault.body, fault.headers)
        elif known:
            self._plain(200, json.dumps(self.hub.plain_listing()).encode())
        else:
            self._plain(404, b"Repository not found")

    def _resolve(self, path: str) -> None:
        start = f"/{REPOSITORY}/resolve/{COMMIT}/"
        name = path.removeprefix(start)
        if not path.startswith(start) or name not in self.hub.files:
            self._plain(404, b"Entry not found")
            return
        place = f"{self.hub.storage_address}/blob/{name}" if is_large(name) else f"/cache/{name}"
        self._plain(302 if is_large(name) else 307, b"", {"Location": place})

    def _content(self, name: str) -> None:
        fault = self._fault(name)
        content = self.hub.files[name]
        asked = self.headers.get("Range", "bytes=0-")
        begin = 0 if fault.whole else int(asked.removeprefix("bytes=").removesuffix("-"))
        self.hub.asked.append((name, begin))
        if fault.status:
            self._plain(fault.status, fault.body, fault.headers)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        body = memoryview(content)[begin:]
        self._body(name, bytes(~byte & 255 for byte in body[:64]) if fault.flip else b"", body, fault)

    def _body(self, name: str, changed: bytes, body: memoryview, fault: Fault) -> None:
        self._send(name, changed)
        body = body[len(changed) :]
        self._send(name, body[: fault.after])
        if fault.hang:
            self.hub.released.wait(60)

    def _send(self, name: str, body: bytes | memoryview) -> None:
        for place in range(0, len(body), BLOCK):
            block = body[place : place + BLOCK]
            self.wfile.write(block)
            with self.hub.bytes_lock:
                self.hub.sent[name] += len(block)
            if self.hub.pace:
                self.hub.released.wait(self.hub.pace)

    def _plain(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _fault(self, name: str) -> Fault:
        waiting = self.hub.faults[name]
        return waiting.pop(0) if waiting else Fault()


def contents(folder: Path) -> set[str]:
    """The names of all files below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
