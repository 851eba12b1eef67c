"""What a computer has is asked of its driver, and whatever that does is an answer."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.download.machine import surveyed
from app.protocol import Survey, Surveyed


class _NVMLError(Exception):
    """As the library has it."""


def library(**functions: Callable[..., Any]) -> types.ModuleType:
    """NVIDIA's library with two GPUs, of which the second is the larger."""
    gpus = [(8 << 30, 7 << 30, "Small", (7, 5)), (24 << 30, 22 << 30, "Large", (8, 9))]
    module = types.ModuleType("pynvml")
    answers: dict[str, Callable[..., Any]] = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: len(gpus),
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetMemoryInfo": lambda at: types.SimpleNamespace(total=gpus[at][0], free=gpus[at][1]),
        "nvmlDeviceGetCudaComputeCapability": lambda at: gpus[at][3],
        "nvmlDeviceGetName": lambda at: gpus[at][2],
        "nvmlSystemGetDriverVersion": lambda: "580.95",
        "nvmlSystemGetCudaDriverVersion": lambda: 13_000,
    }
    for name, function in (answers | functions).items():
        setattr(module, name, function)
    module.NVMLError = _NVMLError  # type: ignore[attr-defined]  # the module is made here
    return module


def broken() -> None:
    raise _NVMLError("no driver")


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    for name, kind, maker in (("0000:01", "0x030000", "0x10de"), ("0000:02", "0x040300", "0x10de")):
        (tmp_path / "pci" / name).mkdir(parents=True)
        (tmp_path / "pci" / name / "class").write_text(f"{kind}\n")
        (tmp_path / "pci" / name / "vendor").write_text(f"{maker}\n")
    return tmp_path / "pci"


def look(monkeypatch: pytest.MonkeyPatch, module: types.ModuleType | None, devices: Path) -> Surveyed:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return surveyed(Survey("1", str(devices.parent / "not" / "yet" / "there")), devices)


def test_the_largest_gpu_is_described(monkeypatch: pytest.MonkeyPatch, devices: Path) -> None:
    found = look(monkeypatch, library(), devices)
    assert (found.gpu, found.gpu_total, found.gpu_free) == ("Large", 24 << 30, 22 << 30)
    assert (found.driver, found.cuda, found.capability, found.driverless) == ("580.95", 13_000, 89, False)
    assert 0 < found.memory_free <= found.memory_total
    assert found.disk_free > 0, "of the disk that would hold the folder"


@pytest.mark.parametrize("module", [None, library(nvmlInit=broken), library(nvmlDeviceGetName=lambda _at: broken())])
def test_without_an_answer_there_is_no_gpu_but_perhaps_a_card(
    monkeypatch: pytest.MonkeyPatch, devices: Path, module: types.ModuleType | None
) -> None:
    found = look(monkeypatch, module, devices)
    assert (found.gpu, found.gpu_total, found.driverless) == ("", 0, True)
    (devices / "0000:01" / "vendor").write_text("0x1002\n")
    assert not look(monkeypatch, module, devices).driverless
    assert not look(monkeypatch, module, devices / "absent").driverless
