"""The hub: which files a repository has at a commit, and where they are. Knows the hub's answers, and trusts none.

Does not know: connections, disks. One answer names the commit, the files, their sizes and digests; from then on every
address holds the commit, so that nothing changes under a download.
"""

import json
import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from app.download.errors import DownloadError
from app.download.manifest import COMMIT, LARGEST_FILE, REPOSITORY, Entry, Manifest
from app.download.names import chosen, shown
from app.download.transfer import Transfer

_HOME = "https://huggingface.co"
_LONGEST_LISTING = 32 * 2**20
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def endpoint() -> str:
    """The hub's address; the environment's HF_ENDPOINT names another. Raises `DownloadError`."""
    address = (os.environ.get("HF_ENDPOINT") or _HOME).rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise DownloadError("network", f"HF_ENDPOINT is no web address ({shown(address)}); correct it, or unset it.")
    return address


def token() -> str:
    """The person's access token, if the environment has one."""
    return os.environ.get("HF_TOKEN", "").strip()


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub at an address. `token` is sent only when the hub asks for one."""

    address: str
    token: str = ""

    def repository(self, named: str) -> str:
        """The "owner/name" in what the person typed or pasted. Raises `DownloadError`."""
        name = named.strip().removeprefix(self.address).strip("/")
        if not REPOSITORY.fullmatch(name):
            raise DownloadError(
                "repository", f"{shown(named)} is no repository; name one like “owner/model”, as on its page."
            )
        return name

    def listing(self, repository: str, revision: str, transfer: Transfer) -> Manifest:
        """The files of a repository at a branch, tag or commit. Raises `DownloadError` and `CancelledError`."""
        if not _REVISION.fullmatch(revision):
            raise DownloadError("repository", f"{shown(revision)} is no revision; name a branch, a tag or a commit.")
        url = f"{self.address}/api/models/{quote(repository)}/revision/{quote(revision, safe='')}?blobs=true"
        answer = transfer.whole(url, f"{repository} at {revision}", _LONGEST_LISTING)
        try:
            plain = json.loads(answer)
            commit, listed = plain["sha"], {str(item["rfilename"]): item for item in plain["siblings"]}
            names = chosen([item["rfilename"] for item in plain["siblings"]])
            entries = tuple(_entry(name, listed[name]) for name in names)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._strange() from error
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise self._strange()
        if COMMIT.fullmatch(revision) and commit != revision:
            raise self._strange()
        return Manifest(1, repository, commit, entries)

    def file_url(self, manifest: Manifest, entry: Entry) -> str:
        """Where a file's content is."""
        return f"{self.address}/{quote(manifest.repository)}/resolve/{manifest.commit}/{quote(entry.name)}"

    def _strange(self) -> DownloadError:
        return DownloadError(
            "network",
            f"{urlsplit(self.address).hostname} answered with something else than a list of files; see whether the "
            "network first wants a login on a page of its own, and try again.",
        )


def _entry(name: str, plain: dict[str, Any]) -> Entry:
    """One file of the listing. Raises `ValueError`, `KeyError` or `TypeError` for one that is not described well."""
    large = plain.get("lfs") or None
    size = plain["size"] if large is None else large["size"]
    digest = plain["blobId"] if large is None else large["sha256"]
    pattern = COMMIT if large is None else _SHA256
    if type(size) is not int or not 0 <= size <= LARGEST_FILE or not pattern.fullmatch(digest):
        raise ValueError(name)
    return Entry(name, size, f"git:{digest}" if large is None else f"sha256:{digest}")
