"""The downloader as a process, and the commands of the terminal: killed, paused, asked in every way a person asks."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.protocol import (
    CancelDownload,
    Download,
    DownloadCancelled,
    Downloaded,
    DownloadFailed,
    Downloading,
    Message,
    PauseDownload,
    ResumeDownload,
    Verified,
    Verify,
    decode,
    encode,
)
from tests.download.hub import REPOSITORY, Fault, Hub, contents, running, tiny

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = "model.safetensors"
SIZE = 40 * 2**20
MB = 2**20


@pytest.fixture(scope="module")
def weights() -> bytes:
    return random.Random(3).randbytes(SIZE)  # noqa: S311 - any bytes will do


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))


@pytest.fixture
def hub(weights: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running(tiny({WEIGHTS: weights})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


class Downloader:
    """The program, spoken to."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def say(self, *messages: Message) -> None:
        assert self.process.stdin is not None
        for message in messages:
            self.process.stdin.write(encode(message))
        self.process.stdin.flush()

    def until(self, *kinds: type) -> Message:
        return next(message for message in self.messages() if isinstance(message, kinds))

    def until_arrived(self, count: int) -> None:
        """Wait until so many bytes in all have come."""
        next(message for message in self.messages() if isinstance(message, Downloading) and message.done >= count)

    def until_paused(self) -> None:
        next(message for message in self.messages() if isinstance(message, Downloading) and message.stage == "paused")

    def messages(self) -> Iterator[Message]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield decode(line)


def small(hub: Hub) -> int:
    """Bytes of the files that come before the weights."""
    return sum(len(content) for name, content in hub.files.items() if name not in {WEIGHTS, ".gitattributes"})


@contextmanager
def downloader() -> Iterator[Downloader]:
    command = [sys.executable, "-m", "app.download"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Downloader(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def parley(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_killed_at_any_moment_it_goes_on_where_it_was(hub: Hub, weights: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    order = Download("1", REPOSITORY, str(folder))
    # Where it goes on, how much comes then before the line hangs: it keeps whole steps of 16 MiB.
    lives = [(0, 5 * MB + 1), (0, 20 * MB), (16 * MB, 11 * MB)]
    hub.fail(WEIGHTS, *[Fault(after=count, hang=True) for _, count in lives])
    for begin, count in lives:
        with downloader() as program:
            program.say(order)
            program.until_arrived(small(hub) + begin + count)
            program.process.kill()
    with downloader() as program:
        program.say(order)
        done = program.until(Downloaded, DownloadFailed)
    assert isinstance(done, Downloaded)
    assert (folder / WEIGHTS).read_bytes() == weights
    assert not [name for name in contents(folder) if name.endswith(".part") or name.startswith(".")]
    assert hub.fetched(WEIGHTS) == [0, 0, 16 * MB, 16 * MB]


def test_pause_resume_and_cancel_over_the_protocol(hub: Hub, weights: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    hub.fail(WEIGHTS, Fault(after=MB, hang=True))
    with downloader() as program:
        program.say(Download("1", REPOSITORY, str(folder)))
        program.until_arrived(small(hub) + MB)
        program.say(PauseDownload("1"))
        program.until_paused()
        program.say(ResumeDownload("1"))
        assert isinstance(program.until(Downloaded, DownloadFailed), Downloaded)
        assert hub.fetched(WEIGHTS) == [0, MB]
        program.say(Verify("2", str(folder)), Verify("3", str(folder), full=True), CancelDownload("9"))
        for request in ("2", "3"):
            found = program.until(Verified)
            assert isinstance(found, Verified)
            assert (found.request, found.problems) == (request, ())
        (folder / WEIGHTS).unlink()
        hub.fail(WEIGHTS, Fault(after=MB, hang=True))
        program.say(Download("4", REPOSITORY, str(folder)))
        program.until_arrived(small(hub) + MB)
        program.say(CancelDownload("4", discard=True))
        program.until(DownloadCancelled)
    assert not folder.exists() or contents(folder) == set()


def test_the_terminal_downloads_verifies_and_repairs(hub: Hub, weights: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    done = parley("download", REPOSITORY, "--to", str(folder))
    assert (done.returncode, done.stdout) == (0, f"{folder}\n")
    assert done.stderr == "5 files, 42.0 MB, all as the hub has them.\n"
    assert parley("verify", str(folder)).returncode == 0
    (folder / WEIGHTS).write_bytes(weights[:-1])
    (folder / "run.py").write_text("")
    found = parley("verify", str(folder), "--json")
    plain = json.loads(found.stdout)
    assert (found.returncode, plain["right"], plain["repository"]) == (1, False, REPOSITORY)
    assert [(problem["file"], problem["kind"]) for problem in plain["problems"]] == [
        (WEIGHTS, "size"),
        ("run.py", "foreign"),
    ]
    told = parley("verify", str(folder)).stdout
    assert "41,943,039 bytes instead of 41,943,040" in told
    assert "Repair it with: parley download" in told


def test_the_terminal_fails_in_one_sentence(hub: Hub, tmp_path: Path) -> None:
    absent = parley("download", "nobody/nothing", "--to", str(tmp_path / "x"))
    assert (absent.returncode, absent.stdout) == (2, "")
    assert absent.stderr == "127.0.0.1 has no nobody/nothing at main; check the name.\n"
    bare = parley("verify", str(tmp_path))
    assert (bare.returncode, bare.stderr.count("\n")) == (2, 1)


def test_without_a_folder_it_goes_where_parley_keeps_models(hub: Hub, tmp_path: Path) -> None:
    hub.files[WEIGHTS] = b"small"
    done = parley("download", f"{hub.address}/{REPOSITORY}")
    assert done.stdout == f"{tmp_path / 'home' / 'data' / 'models' / REPOSITORY}{os.linesep}"
