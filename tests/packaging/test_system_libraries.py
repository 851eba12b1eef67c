"""System libraries: installed when that needs no question, otherwise named with the line that installs them."""

import subprocess

import pytest
import system_libraries


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose loader does not find one of Qt's libraries."""
    monkeypatch.setattr(system_libraries, "_loads", lambda name: name != "libEGL.so.1")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("sys.argv", ["system_libraries.py", "window"])


def test_a_person_is_given_the_exact_line(
    lacking: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert system_libraries.main() == 2
    said = capsys.readouterr().err
    assert "libEGL.so.1" in said
    assert "sudo apt-get install -y --no-install-recommends libegl1" in said


def test_root_has_them_installed(lacking: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        ran.append(command)
        monkeypatch.setattr(system_libraries, "_loads", lambda name: True)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", run)
    assert system_libraries.main() == 0
    assert [command[:2] for command in ran] == [["apt-get", "update"], ["apt-get", "install"]]
    assert "libegl1" in ran[1]


def test_the_tests_need_a_display_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_libraries, "_loads", lambda name: True)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert system_libraries.missing("window") == {}
    assert system_libraries.missing("tests")["Xvfb"] == "xvfb"
