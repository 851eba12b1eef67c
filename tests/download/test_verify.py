"""What is said about a downloaded folder, right or not."""

import os
from pathlib import Path

import pytest

from app.download.control import Control
from app.download.errors import CancelledError, DownloadError
from app.download.names import MANIFEST
from app.download.progress import Progress
from app.download.verify import verified
from app.protocol import Downloading
from tests.download.conftest import Bring
from tests.download.hub import Fault, Hub

ONE, TWO = "model-1-of-2.safetensors", "model-2-of-2.safetensors"


def problems(folder: Path, *, full: bool = False) -> dict[str, str]:
    """The kind of every problem, by file; every sentence names its file."""
    said: list[Downloading] = []
    _, found = verified(folder, Control(), Progress("1", said.append), full=full)
    assert all(problem.file in problem.message and problem.message.endswith(".") for problem in found)
    return {problem.file: problem.kind for problem in found}


def rewrite(path: Path, content: bytes, *, same_time: bool) -> None:
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    moment = before if same_time else before + 10**9
    os.utime(path, ns=(moment, moment))


@pytest.mark.parametrize("full", [False, True])
def test_a_folder_as_it_arrived_is_right(bring: Bring, folder: Path, full: bool) -> None:
    bring()
    (folder / "desktop.ini").write_text("a file manager's")
    (folder / ".DS_Store").write_text("another's")
    assert problems(folder, full=full) == {}


def test_every_kind_of_damage_is_named(hub: Hub, bring: Bring, folder: Path) -> None:
    bring()
    rewrite(folder / ONE, hub.files[ONE][:-1] + b"\0", same_time=False)
    (folder / TWO).write_bytes(hub.files[TWO][:-1])
    (folder / "tokenizer.json").unlink()
    (folder / "sub").mkdir()
    (folder / "sub" / "modeling.py").write_text("import os")
    assert problems(folder) == {
        ONE: "changed",
        TWO: "size",
        "tokenizer.json": "missing",
        "sub/modeling.py": "foreign",
    }


def test_a_change_that_hides_its_time_is_found_by_reading_all(hub: Hub, bring: Bring, folder: Path) -> None:
    bring()
    rewrite(folder / ONE, hub.files[ONE][:-1] + b"\0", same_time=True)
    assert problems(folder) == {}
    assert problems(folder, full=True) == {ONE: "changed"}


def test_a_copy_is_read_once_and_then_taken_at_its_time(
    hub: Hub, bring: Bring, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring()
    rewrite(folder / ONE, hub.files[ONE], same_time=False)
    assert problems(folder) == {}
    monkeypatch.setattr("app.download.verify.right_sha256", None)
    assert problems(folder) == {}


def test_what_has_not_arrived_is_said_so(hub: Hub, bring: Bring, folder: Path) -> None:
    hub.fail(TWO, *[Fault(status=500)] * 3)
    with pytest.raises(DownloadError):
        bring()
    assert problems(folder) == {TWO: "missing"}


def test_a_folder_without_a_record_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"has no {MANIFEST}"):
        problems(tmp_path)
    with pytest.raises(DownloadError, match="There is no folder"):
        problems(tmp_path / "absent")


def test_it_can_be_ended(bring: Bring, folder: Path) -> None:
    bring()
    control = Control()
    control.cancel(discard=False)
    with pytest.raises(CancelledError):
        verified(folder, control, Progress("1", lambda state: None), full=True)
