"""Compiles the kernels with NVRTC, keeps the result in a folder, and launches them on torch's current stream.

Knows: the driver's interface, how arguments are passed. Does not know: what a kernel computes. Neither nvcc nor a C
compiler is needed: NVRTC and the bindings come with torch. Launches can be recorded by `torch.cuda.graph`.
"""

import ctypes
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

Value = Tensor | int | float | None
"""What a kernel takes: a tensor (its address), an `int`, a `float`, or no address."""

SOURCES = (
    "linear",
    "token",
    "prepare",
    "delta",
    "attention",
    "attention8",
    "dense",
    "chunk",
    "carry",
    "prefill",
    "choose",
)
HEADERS = ("device.cuh", "attention.cuh")
OLDEST = 80
"""The compute capability from which the kernels run, times ten: sm_80 brought bf16 products and asynchronous copies."""
_FREE_SHARED = 48 * 1024
_OVERLAPPING = 90
"""From this compute capability on a kernel can start before the one before it has ended."""


class KernelError(Exception):
    """The kernels cannot be used; its text is a sentence for the person."""


class DriverError(KernelError):
    """The driver or NVRTC refused something."""


class Launch(Protocol):
    """A kernel, ready."""

    def __call__(self, grid: tuple[int, int], threads: int, shared: int, *values: Value) -> None:
        """Launch grid × threads with `shared` bytes of dynamic shared memory; `values` in the order of the source."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """Facts that launches depend on: multiprocessors, bytes of shared memory that a block may have, and, for
    experiments, a depth of the ring other than the usual one."""

    multiprocessors: int
    shared_limit: int
    wanted_ring: int = 0

    @property
    def ring(self) -> int:
        """How many units each warp of `linear.cu` has in flight: what hides the memory's latency and still fits."""
        return self.wanted_ring or (6 if self.shared_limit >= 160 * 1024 else 4)

    @property
    def token_ring(self) -> int:
        """The same of `token.cu`: more would only make its first reads wait, and has to fit beside x."""
        return _token_ring(self.ring)


class Kernels(Protocol):
    """Every kernel by its name, on one GPU."""

    gpu: Gpu

    def __getitem__(self, name: str) -> Launch:
        """The kernel of that name."""


def definitions(ring: int, group: int) -> tuple[str, ...]:
    """What is fixed at compile time: the ring's depth, and how many query heads share a key head."""
    return f"-DRING={ring}", f"-DTOKEN_RING={_token_ring(ring)}", f"-DGROUP={group}"


def _token_ring(ring: int) -> int:
    return 3 if ring > 4 else 2


def compiled(source: str, arch: int, options: tuple[str, ...], cache: Path | None) -> bytes:
    """Machine code of `<source>.cu` for compute capability `arch`, from the cache folder or from NVRTC.

    Raises `KernelError`.
    """
    from cuda.bindings import nvrtc  # type: ignore[import-untyped]  # noqa: PLC0415 - untyped, and absent without CUDA

    folder = files(__package__)
    text, headers = (folder / f"{source}.cu").read_bytes(), [(folder / name).read_bytes() for name in HEADERS]
    flags = [f"--gpu-architecture=sm_{arch}", "--std=c++17", *options]
    key = hashlib.sha256(repr((text, headers, flags, _called(nvrtc.nvrtcVersion))).encode()).hexdigest()[:32]
    kept = cache / f"{source}-sm_{arch}-{key}.cubin" if cache is not None else None
    if kept is not None and kept.exists():
        return kept.read_bytes()
    names = [name.encode() for name in HEADERS]
    program = _called(nvrtc.nvrtcCreateProgram, text, f"{source}.cu".encode(), len(names), headers, names)
    try:
        _called(nvrtc.nvrtcCompileProgram, program, len(flags), [flag.encode() for flag in flags])
    except KernelError as error:
        log = bytes(_called(nvrtc.nvrtcGetProgramLogSize, program))
        nvrtc.nvrtcGetProgramLog(program, log)
        raise KernelError(f"{source}.cu does not compile for sm_{arch}: {log.decode(errors='replace')}") from error
    code = bytes(_called(nvrtc.nvrtcGetCUBINSize, program))
    _called(nvrtc.nvrtcGetCUBIN, program, code)
    _called(nvrtc.nvrtcDestroyProgram, program)
    if kept is not None:
        part = kept.with_suffix(f".{os.getpid()}")
        with suppress(OSError):  # a folder that cannot be written to costs time at the next start, no more
            kept.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(code)
            part.replace(kept)
    return code


class CudaKernels:
    """The kernels on one GPU, for models with `group` query heads to a key head. `progress(done, total)` is called
    between the compilations. `ring` and `overlap` are for experiments. Raises `KernelError`."""

    def __init__(
        self,
        device: torch.device,
        group: int,
        cache: Path | None,
        progress: Callable[[int, int], None] | None = None,
        *,
        ring: int = 0,
        overlap: bool = True,
    ) -> None:
        from cuda.bindings import driver  # noqa: PLC0415 - absent where there is no CUDA

        properties = torch.cuda.get_device_properties(device)
        arch = properties.major * 10 + properties.minor
        if arch < OLDEST:
            raise KernelError(f"{properties.name} is older than the fast kernels support, so answers come slowly.")
        self._driver: Any = driver
        self._device = device
        torch.empty(1, device=device)  # makes the context current
        self.gpu = Gpu(properties.multi_processor_count, self._attribute("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN"), ring)
        self._attributes = [self._overlapping()] if overlap and arch >= _OVERLAPPING else []
        self._libraries = []
        for done, source in enumerate(SOURCES):
            if progress is not None:
                progress(done, len(SOURCES))
            code = compiled(source, arch, definitions(self.gpu.ring, group), cache)
            self._libraries.append(_called(driver.cuLibraryLoadData, code, [], [], 0, [], [], 0))
        self._launches: dict[str, Launch] = {}

    def __getitem__(self, name: str) -> Launch:
        """The kernel of that name."""
        if name not in self._launches:
            self._launches[name] = self._loaded(name)
        return self._launches[name]

    def _overlapping(self) -> Any:
        """Lets a kernel start while the one before is at work; the kernels themselves wait (`device.cuh`)."""
        attribute = self._driver.CUlaunchAttribute()
        attribute.id = self._driver.CUlaunchAttributeID.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
        attribute.value.programmaticStreamSerializationAllowed = 1
        return attribute

    def _attribute(self, name: str) -> int:
        attribute = getattr(self._driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        index = self._device.index if self._device.index is not None else torch.cuda.current_device()
        return int(_called(self._driver.cuDeviceGetAttribute, attribute, index))

    def _loaded(self, name: str) -> Launch:
        driver = self._driver
        for library in self._libraries:
            error, kernel = driver.cuLibraryGetKernel(library, name.encode())
            if not int(error):
                break
        else:
            raise KernelError(f"There is no kernel named {name}.")
        function = _called(driver.cuKernelGetFunction, kernel)
        attributes = driver.CUfunction_attribute
        # The same split of L1 and shared memory for all, or the GPU changes it between two kernels.
        carveout = attributes.CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT
        _called(driver.cuFuncSetAttribute, function, carveout, 86 if self.gpu.ring > 4 else 100)
        allowed = _FREE_SHARED

        def launch(grid: tuple[int, int], threads: int, shared: int, *values: Value) -> None:
            nonlocal allowed
            if shared > allowed:
                most = attributes.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
                _called(driver.cuFuncSetAttribute, function, most, shared)
                allowed = shared
            stream = driver.CUstream(torch.cuda.current_stream(self._device).cuda_stream)
            arguments, addresses = packed_arguments(values)
            place = ctypes.addressof(addresses)
            config = driver.CUlaunchConfig()
            config.gridDimX, config.gridDimY, config.gridDimZ = *grid, 1
            config.blockDimX, config.blockDimY, config.blockDimZ = threads, 1, 1
            config.sharedMemBytes, config.hStream = shared, stream
            config.attrs, config.numAttrs = self._attributes, len(self._attributes)
            _called(driver.cuLaunchKernelEx, config, function, place, 0)
            del arguments  # they had to live until here

        return launch


def packed_arguments(values: tuple[Value, ...]) -> tuple[list[Any], Any]:
    """The values as C values, and the array of their addresses that a launch takes."""
    arguments = [_c_value(value) for value in values]
    return arguments, (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(value) for value in arguments))


def _c_value(value: Value) -> Any:
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    if isinstance(value, int):
        return ctypes.c_int(value)
    return ctypes.c_void_p(0) if value is None else ctypes.c_float(value)


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call the driver or NVRTC; its results without the error code. Raises `DriverError`, or torch's error when memory
    is short."""
    error, *results = function(*arguments)
    if int(error):
        said = f"{getattr(function, '__name__', 'CUDA')}: {getattr(error, 'name', error)}"
        raise torch.OutOfMemoryError(said) if "OUT_OF_MEMORY" in said else DriverError(said)
    return results[0] if len(results) == 1 else results
