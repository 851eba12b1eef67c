"""The environment's script: made once, found at once, begun anew when half-built, and said in a sentence when it fails.

The commands that would download and install are replaced; everything else is real.
"""

from pathlib import Path

import environment
import pytest


class Machine:
    """Stands in for venv, uv and pip: remembers what was run, and makes what a virtual environment has."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.refuses = ""

    def runs(self, command: list[str]) -> bool:
        line = " ".join(command)
        self.ran.append(line)
        if "-m venv" in line:
            (Path(command[-1]) / "bin").mkdir(parents=True)
            (Path(command[-1]) / "bin" / "python").touch()
        return not (self.refuses and self.refuses in line)

    def installed_with(self) -> list[str]:
        return [
            "uv" if "-m uv" in line else "pip" for line in self.ran if "-r " in line and "requirements-dev.txt" in line
        ]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("")
    (folder / "requirements-dev.txt").write_text("six==1.0\n")
    monkeypatch.setattr(environment, "CHECKOUT", folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.argv", ["environment.py"])
    return folder


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(environment, "_succeeds", made.runs)
    return made


def test_it_is_made_once_outside_the_checkout_and_linked(checkout: Path, machine: Machine) -> None:
    assert environment.main() == 0
    made = (checkout / ".venv").resolve()
    assert made.parent == checkout.parent / "cache" / "parley"
    assert machine.installed_with() == ["uv"]
    assert any(line.endswith(f"--editable {checkout}") for line in machine.ran)
    machine.ran.clear()
    assert environment.main() == 0
    assert machine.ran == []


def test_changed_pins_make_another_one_and_the_old_one_goes(checkout: Path, machine: Machine) -> None:
    environment.main()
    old = (checkout / ".venv").resolve()
    (checkout / "requirements-dev.txt").write_text("six==2.0\n")
    assert environment.main() == 0
    assert (checkout / ".venv").resolve() != old
    assert not old.exists()


def test_an_interrupted_one_is_begun_anew(checkout: Path, machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.refuses = "install"
    assert environment.main() == 2
    assert "Run it again" in capsys.readouterr().err
    assert not (checkout / ".venv").exists()
    machine.refuses = ""
    assert environment.main() == 0
    assert "half-built" in capsys.readouterr().out
    assert (checkout / ".venv" / environment.MARKER).is_file()


def test_pip_takes_over_when_uv_fails(checkout: Path, machine: Machine) -> None:
    machine.refuses = "-m uv"
    assert environment.main() == 0
    assert machine.installed_with() == ["uv", "pip"]


def test_a_folder_of_the_person_is_left_alone(
    checkout: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / ".venv").mkdir()
    assert environment.main() == 2
    assert "move it away" in capsys.readouterr().err
    assert (checkout / ".venv").is_dir()


def test_an_old_python_is_told_what_to_install(
    checkout: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", "")
    assert environment.main() == 2
    assert "apt-get install python3.11 python3.11-venv" in capsys.readouterr().err
    assert machine.ran == []
