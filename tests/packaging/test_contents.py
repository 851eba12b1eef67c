"""What goes into the frozen programs: the tables that installer.spec reads, checked without freezing anything."""

import contents
import pytest

from tests.test_imports import NEVER


@pytest.mark.parametrize(
    "place",
    [
        "torch/lib/libtorch_cpu.so",
        "libssl.so.3",
        "torch/bin/torch_shm_manager",
        "triton/backends/amd/compiler.py",
        "PySide6/Qt/plugins/platforms/libqxcb.so",
        "resources/demo-model/model.safetensors",
    ],
)
def test_what_the_programs_open_is_kept(place: str) -> None:
    assert contents.is_kept(place, cuda=True)
    assert contents.is_kept(place, cuda=False)


@pytest.mark.parametrize(
    "place",
    [
        "torch/bin/protoc",
        "torch\\include\\ATen\\ATen.h",
        "PySide6/Qt/plugins/platforms/libqlinuxfb.so",
        "libstdc++.so.6",
        "libgio-2.0.so.0",
    ],
)
def test_what_nothing_opens_is_dropped(place: str) -> None:
    assert not contents.is_kept(place, cuda=True)
    assert not contents.is_kept(place, cuda=False)


def test_sources_of_torch_are_kept_where_something_compiles_or_reads_itself() -> None:
    assert contents.is_kept("torch/_inductor/lowering.py", cuda=True)
    assert not contents.is_kept("torch/_inductor/lowering.py", cuda=False)
    for read in ("torch/fx/experimental/_config.py", "torch/nn/functional.py", "torch/functional.py"):
        assert contents.is_kept(read, cuda=False)


def test_only_what_may_be_changed_is_stripped() -> None:
    assert contents.is_stripped("torch/lib/libtorch_cpu.so")
    assert contents.is_stripped("libpython3.11.so.1.0")
    for place in (
        "nvidia/cu13/lib/libcublas.so.13",
        "numpy.libs/libscipy_openblas64_-32a4b2a6.so",
        "numpy/_core/x.pyd",
    ):
        assert not contents.is_stripped(place)


def test_each_program_excludes_what_it_must_never_import() -> None:
    foreign = {
        program: {name for name in NEVER[package] if not name.startswith("app")} - BESIDE.get(program, set())
        for program, package in PAIRS
    }
    assert {program: names - set(contents.EXCLUDED[program]) for program, names in foreign.items()} == {
        program: set() for program in foreign
    }


# What the engine may import only through GPTQModel, which needs Pillow, is no exclusion of its own.
PAIRS = (("parley", "app.ui"), ("decoder", "app.media"))
BESIDE = {"parley": {"ziamath"}}
"""What the window never imports, and what draws formulas in the same program, as a process of its own, does."""
