"""What goes into the frozen programs and what stays out, with the reason of each. Knows no PyInstaller.

The exclusions are what the import contracts forbid anyway (tests/test_imports.py): they make sure that a program cannot
hold what it must not import. One that hid something needed would show in `make smoke`.
"""

import re

QT = ["PySide6", "shiboken6"]
HEAVY = [
    "torch",
    "torchvision",
    "transformers",
    "accelerate",
    "gptqmodel",
    "triton",
    "tokenizers",
    "safetensors",
    "jinja2",
]
PIXELS = ["cv2", "PIL"]

# Declared or offered by libraries, imported by no program of ours; pyarrow and pandas alone take 250 MB.
UNUSED = ["datasets", "pyarrow", "pandas", "matplotlib", "tensorboard", "tkinter", "IPython", "pytest", "hypothesis"]

EXCLUDED = {
    "parley": [*UNUSED, *HEAVY, *PIXELS, "numpy"],
    "engine": [*UNUSED, *QT, "cv2"],
    "decoder": [*UNUSED, *QT, *HEAVY],
}

# GPTQModel asks for the versions of its neighbours while it is imported.
VERSIONS_ASKED_FOR = [
    "gptqmodel",
    "accelerate",
    "defuser",
    "device-smi",
    "logbar",
    "pypcre",
    "tokenicer",
    "torchao",
    "triton",
]

# Files that no program of ours opens, by their place below `_internal`.
DROPPED = {
    r"torch/bin/(?!torch_shm_manager)": "protoc and test programs",
    r"torch/(include|share|test)/": "for compiling against torch",
    r"torch/.*\.(a|lib|h|hpp|cuh|cmake)$": "the same",
    r"triton/backends/amd/(lib|include)/": "for AMD; the Python files beside them stay, Triton hashes them",
    r"triton/profiler/|triton/.*/(nvdisasm|cuobjdump)$": "Triton's profiler and disassemblers",
    r"nvidia/.*/lib(nvrtc.*\.alt|cusolverMg|nvblas|nvperf.*)\.so": "no library links to them",
    r"PySide6/Qt/plugins/platforms/libq(eglfs|linuxfb|minimalegl|vkkhrdisplay|vnc)": "for devices without a desktop",
    r"PySide6/Qt/plugins/egldeviceintegrations/": "the same",
    r"PySide6/Qt/plugins/(networkinformation|tls)/": "the window opens no connection",
    r"PySide6/Qt/translations/": "Qt's own words; the window speaks English so far",
}
_DROPPED = re.compile("|".join(f"(?:{pattern})" for pattern in DROPPED))


def is_kept(place: str) -> bool:
    """Whether the file at `place`, relative to `_internal`, goes into the bundle."""
    return _DROPPED.match(place.replace("\\", "/")) is None
