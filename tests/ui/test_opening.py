"""Files that Parley is started with: attached to the draft, by the window that is open if there is one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtNetwork import QLocalSocket

from app.ask.arguments import OpenOptions, read_arguments
from app.ui.application import Face
from app.ui.one_instance import OneInstance
from tests.ui.conftest import ROOT, until

SECOND = (
    "import os, sys; from PySide6.QtCore import QCoreApplication; from app.ui.one_instance import OneInstance\n"
    "app = QCoreApplication([]); one = OneInstance(); os.chdir(sys.argv[1])\n"
    "print(one.claim(), one.ask_the_other_forward(sys.argv[2:]))\n"
)


def test_the_command_line_says_what_to_open() -> None:
    assert read_arguments(["open", "a b.png", "c.mp4"]) == OpenOptions(("a b.png", "c.mp4"))
    assert read_arguments(["open"]) == OpenOptions(())
    assert read_arguments([]) is None


def test_files_are_attached_as_if_they_had_been_dropped(face: Face, tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"not looked at here")
    face.attach([str(picture)])
    assert [item.name for item in face.session.draft.items] == ["cat.png"]


def test_a_second_start_hands_its_files_over_by_their_whole_paths(
    app: QCoreApplication, home: Path, tmp_path: Path
) -> None:
    one = OneInstance()
    handed: list[list[str]] = []
    one.handed.connect(handed.append)
    assert one.claim()
    command = [sys.executable, "-c", SECOND, str(tmp_path), "cat.png", "/there/dög 2.mp4"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        until(lambda: other.poll() is not None)
        assert other.stdout is not None
        assert other.stdout.read() == "False True\n"
    assert handed == [[str(tmp_path / "cat.png"), "/there/dög 2.mp4"]]
    one.release()


@pytest.mark.parametrize("line", [b"no JSON", json.dumps({"a": 1}).encode(), json.dumps([1, 2]).encode(), b"\xff\xfe"])
def test_what_is_no_list_of_paths_only_brings_the_window_forward(
    app: QCoreApplication, home: Path, line: bytes
) -> None:
    one = OneInstance()
    forward: list[bool] = []
    handed: list[list[str]] = []
    one.asked_forward.connect(lambda: forward.append(True))
    one.handed.connect(handed.append)
    assert one.claim()
    socket = QLocalSocket()
    socket.connectToServer(one._name)
    socket.write(line + b"\n")
    until(lambda: forward)
    assert handed == []
    one.release()
