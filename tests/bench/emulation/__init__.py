"""Runs the kernels' own sources on a processor, where there is no GPU: needs g++ and x86-64, and patience.

    python -m tests.bench.emulation [MULTIPROCESSORS [KILOBYTES]]

compares every kernel with its reference, then whole tokens and a prompt of the small synthetic model with plain torch
in fp32.
"""

import ctypes
import subprocess
from pathlib import Path

from app.engine.kernels.runtime import SOURCES, Gpu, Launch, Value, definitions, packed_arguments
from tests.engine.kernels.plain import signatures

_HERE = Path(__file__).parent
_KERNELS = Path(__file__).parents[3] / "app" / "engine" / "kernels"


class EmulatedKernels:
    """Every kernel by its name, on tensors in ordinary memory."""

    def __init__(self, folder: Path, gpu: Gpu, group: int) -> None:
        self.gpu = gpu
        library, source = folder / f"kernels-{gpu.ring}-{group}.so", folder / "kernels.cpp"
        source.write_text(_source(), encoding="utf-8")
        flags = ["-std=c++20", "-O2", "-w", "-fPIC", "-shared", *definitions(gpu.ring, group)]
        command = ["g++", *flags, f"-I{_HERE}", f"-I{_KERNELS}", str(source), "-o", str(library)]
        subprocess.run(command, check=True)
        self._library = ctypes.CDLL(str(library))

    def __getitem__(self, name: str) -> Launch:
        """The kernel of that name."""
        function = self._library[f"launch_{name}"]

        def launch(grid: tuple[int, int], threads: int, shared: int, *values: Value) -> None:
            arguments, addresses = packed_arguments(values)
            function(*grid, threads, shared, ctypes.byref(addresses))
            del arguments  # they had to live until here

        return launch


def _source() -> str:
    """All kernels in one file, each with a way in that takes addresses of arguments."""
    lines = ['#include "gpu.h"', '#include "device.cuh"']
    for source in SOURCES:
        lines += [f"namespace in_{source} {{", f'#include "{source}.cu"', "}", f"using namespace in_{source};"]
    for name in signatures():
        at_once = str(name.startswith("token_")).lower()
        launch = f"emulation::launch({name}, {at_once}, width, height, threads, shared, values)"
        head = f'extern "C" void launch_{name}(int width, int height, int threads, int shared, void** values)'
        lines.append(f"{head} {{ {launch}; }}")
    return "\n".join(lines) + "\n"
