"""The command lines of `parley download` and `parley verify`. Imports nothing but Python; starts nothing."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from app.models.recommended import REPOSITORY

DEFAULT_REPOSITORY = REPOSITORY


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """What shall be fetched. `to` None means the folder of that name where Parley keeps models."""

    repository: str
    to: Path | None
    revision: str


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Which folder shall be compared with its record."""

    folder: Path
    json: bool


def add_download(download: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    download.description = (
        "Fetch a model from the Hugging Face Hub, every file checked as it arrives. A download that was interrupted, "
        "however, goes on where it was when the same command is given again."
    )
    download.add_argument(
        "repository", nargs="?", default=DEFAULT_REPOSITORY, metavar="REPO", help=f"without it {DEFAULT_REPOSITORY}"
    )
    download.add_argument("--to", type=Path, metavar="DIR", help="the folder to fill; without it one of Parley's own")
    download.add_argument("--revision", default="", metavar="NAME", help="a branch, a tag or a commit")


def add_verify(verify: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    verify.description = "Say whether a downloaded model is complete and right: every file is read and compared."
    verify.add_argument("folder", type=Path, metavar="DIR", help="the folder of a downloaded model")
    verify.add_argument("--json", action="store_true", help="print one JSON object")


def download_options(found: argparse.Namespace) -> DownloadOptions:
    """The options that were found."""
    return DownloadOptions(found.repository, found.to, found.revision)


def verify_options(found: argparse.Namespace) -> VerifyOptions:
    """The options that were found."""
    return VerifyOptions(found.folder, found.json)
