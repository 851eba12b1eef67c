"""What goes into the frozen programs: the tables that installer.spec reads, checked without freezing anything."""

import contents
import pytest

from tests.test_imports import NEVER


@pytest.mark.parametrize(
    "place",
    [
        "torch/lib/libtorch_cpu.so",
        "torch/bin/torch_shm_manager",
        "triton/backends/amd/compiler.py",
        "PySide6/Qt/plugins/platforms/libqxcb.so",
        "resources/demo-model/model.safetensors",
    ],
)
def test_what_the_programs_open_is_kept(place: str) -> None:
    assert contents.is_kept(place)


@pytest.mark.parametrize(
    "place", ["torch/bin/protoc", "torch\\include\\ATen\\ATen.h", "PySide6/Qt/plugins/platforms/libqlinuxfb.so"]
)
def test_what_nothing_opens_is_dropped(place: str) -> None:
    assert not contents.is_kept(place)


def test_each_program_excludes_what_it_must_never_import() -> None:
    foreign = {program: {name for name in NEVER[package] if not name.startswith("app")} for program, package in PAIRS}
    assert {program: names - set(contents.EXCLUDED[program]) for program, names in foreign.items()} == {
        program: set() for program in foreign
    }


# What the engine may import only through GPTQModel, which needs Pillow, is no exclusion of its own.
PAIRS = (("parley", "app.ui"), ("decoder", "app.media"))
